// SPDX-License-Identifier: GPL-2.0-or-later
/* client_snapshot.c - a snapshot of a machine, also while it runs: files are made and opened here, with the user's rights, and used by
 * the VM process; snapshot_live.c says why whoever is killed when leaves a machine that has all it had. */
#include "core-vmm/control/answer.h"
#include "core-vmm/control/client_machine.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/host/snapshots.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define PATIENCE_MS   60000
#define PICTURE_WIDTH 400

/* The path of what is in each drive, by its section; NULL: an error. */
static GHashTable *present_images(struct client *c, GError **error)
{
    JsonObject *listed = client_call(c, "media.list", NULL, PATIENCE_MS, error);
    GHashTable *present = listed ? g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free) : NULL;
    JsonArray *drives = listed ? answer_array(listed, "drives") : NULL;
    for (unsigned i = 0; i < answer_count(drives); i++) {
        JsonObject *o = answer_element(drives, i);
        const char *file = answer_text(o, "file", NULL);
        if (file)
            g_hash_table_insert(present, g_strdup(answer_text(o, "drive", "")), g_strdup(file));
    }
    g_clear_pointer(&listed, json_object_unref);
    return present;
}

static bool pass_disk(struct client *c, const struct live_disk *d, GHashTable *present, GError **error)
{
    int fd = open(d->file_path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return path_failed(d->file_path, error);
    JsonObject *args = json_object_new();
    json_object_set_string_member(args, "drive", d->drive);
    json_object_set_string_member(args, "file", d->file_path);
    json_object_set_string_member(args, "on", g_hash_table_lookup(present, d->drive));
    JsonObject *result = client_call_fds(c, "live.disk", args, &fd, 1, NULL, NULL, PATIENCE_MS, error);
    bool good = result;
    close(fd);
    g_clear_pointer(&result, json_object_unref);
    return good;
}

static bool pass_disks(struct client *c, const struct snapshot_live *l, GHashTable *present, GError **error)
{
    JsonObject *dropped = client_call(c, "live.drop", NULL, PATIENCE_MS, error); /* of somebody who was killed */
    bool good = dropped;
    g_clear_pointer(&dropped, json_object_unref);
    for (guint i = 0; i < l->disks->len && good; i++)
        good = pass_disk(c, l->disks->pdata[i], present, error);
    return good;
}

/* If the VM process says that it has used none of the fresh images, they go. */
static void give_up(struct client *c, struct snapshot_live *l)
{
    JsonObject *dropped = client_call(c, "live.drop", NULL, PATIENCE_MS, NULL);
    g_autoptr(GHashTable) present = dropped ? present_images(c, NULL) : NULL;
    g_autoptr(GError) error = NULL;
    bool unused = present;
    for (guint i = 0; i < l->disks->len && unused; i++) {
        const struct live_disk *d = l->disks->pdata[i];
        const char *path = g_hash_table_lookup(present, d->drive);
        unused = path && snapshot_same_file("/", path, d->on_path);
    }
    if (unused && !snapshots_live_undo(l, &error))
        g_debug("%s", error->message);
    g_clear_pointer(&dropped, json_object_unref);
}

/* For people: there is none of a machine without a screen, and nothing is lost without it. */
static void take_picture(struct client *c, const char *folder, unsigned id)
{
    g_autofree char *path = snapshot_path(folder, id, "png");
    g_autoptr(GError) error = NULL;
    if (!client_picture(c, path, PICTURE_WIDTH, &error))
        g_debug("%s", error->message);
}

static void remove_new(int file, const char *path)
{
    if (file < 0)
        return;
    unlink(path);
    close(file);
}

static bool pass_base(struct client *c, const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return path_failed(path, error);
    JsonObject *result = client_call_fds(c, "live.older", NULL, &fd, 1, NULL, NULL, PATIENCE_MS, error);
    bool good = result;
    close(fd);
    g_clear_pointer(&result, json_object_unref);
    return good;
}

/* The VM process compares what memory is with what it was, and says whether it could. */
static bool pass_bases(struct client *c, char **bases, GError **error)
{
    bool good = true;
    for (char **path = bases; path && *path && good; path++)
        good = pass_base(c, *path, error);
    return good;
}

/* Nobody held the snapshots yet when they were looked at. */
static bool all_there(char **paths)
{
    bool there = paths;
    for (; there && *paths; paths++)
        there = !access(*paths, R_OK);
    return there;
}

/* given: what it may build upon, or NULL. */
static bool save(struct client *c, struct snapshot_live *l, char **given, struct machine_job *job,
                 struct snapshot_taken *out, GError **error)
{
    g_autofree char *folder = machines_folder(l->machine), *path = NULL, *vars_path = NULL;
    char **bases = all_there(given) ? given : NULL;
    int file = saved_new(folder, &path, error), vars = file >= 0 ? saved_new(folder, &vars_path, error) : -1;
    bool ready = vars >= 0 && pass_bases(c, bases, error);
    JsonObject *result = ready ? client_ask_to_save(c, "live.save", file, vars, job, error) : NULL;
    bool uefi = result && answer_flag(result, "vars"), based = result && answer_flag(result, "based");
    const struct live_files made = {path, based ? bases : NULL, uefi ? vars_path : NULL};
    bool good = result && snapshots_live_finish(l, &made, error);
    if (good) {
        out->id = l->number;
        out->ran = true;
        take_picture(c, folder, l->number);
        out->stood_us = answer_number(result, "stood-us", 0, INT64_MAX, 0);
    }
    g_clear_pointer(&result, json_object_unref);
    remove_new(file, path);
    remove_new(vars, vars_path);
    return good;
}

/* ---- file systems that stand still ---- */

#define FREEZE_MS 70000 /* a little longer than the VM process waits for its guest */

static bool freeze(struct client *c, GError **error)
{
    JsonObject *o = client_call(c, "guest.freeze", NULL, FREEZE_MS, error);
    if (o)
        json_object_unref(o);
    return o != NULL;
}

/* taken 0: there is no snapshot, and an error that says so already. */
static bool thaw(struct client *c, unsigned taken, GError **error)
{
    g_autoptr(GError) why = NULL;
    JsonObject *o = client_call(c, "guest.thaw", NULL, FREEZE_MS, &why);
    if (o)
        json_object_unref(o);
    else if (taken)
        g_set_error(error, why->domain, why->code, "snapshot %u is there, but: %s", taken, why->message);
    return o || !taken;
}

static bool take_live(const char *machine, const char *name, const char *description, bool still,
                      struct machine_job *job, struct snapshot_taken *out, GError **error)
{
    struct client *c = client_connect_machine(machine, NULL, error);
    g_autoptr(GHashTable) present = c ? present_images(c, error) : NULL;
    struct snapshot_live l = {.busy = -1};
    g_auto(GStrv) bases =
        present ? snapshots_live_bases(machine) : NULL; /* reads all of them: not while the guest stands */
    bool stands = present && still && freeze(c, error);
    bool begun = present && stands == still && snapshots_live_begin(&l, machine, name, description, present, error);
    bool good = begun && pass_disks(c, &l, present, error) && save(c, &l, bases, job, out, error);
    if (begun && !good)
        give_up(c, &l);
    snapshots_live_end(&l);
    if (stands && !thaw(c, good ? out->id : 0, error))
        good = false;
    client_free(c);
    return good;
}

bool client_snapshot(const char *given, const char *name, const char *description, bool still, struct machine_job *job,
                     struct snapshot_taken *out, GError **error)
{
    g_autofree char *exact = machines_find(given, error), *folder = exact ? machines_folder(exact) : NULL;
    *out = (struct snapshot_taken){0};
    if (!exact)
        return false;
    if (paths_is_throwaway(exact)) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED,
                    "%s is a throw-away machine: it is gone when it ends, and cannot go back to anything", exact);
        return false;
    }
    if (!machine_lock_holder(folder))
        return snapshots_take(exact, name, description, &out->id, error);
    return take_live(exact, name, description, still, job, out, error);
}

/* ---- deleting ---- */

static bool tell_merged(void *client, const char *path, const char *gone, const char *name, const char *writes,
                        GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return path_failed(path, error);
    JsonObject *args = json_object_new();
    json_object_set_string_member(args, "file", path);
    json_object_set_string_member(args, "gone", gone);
    json_object_set_string_member(args, "name", name);
    json_object_set_string_member(args, "writes", writes);
    JsonObject *result = client_call_fds(client, "live.merged", args, &fd, 1, NULL, NULL, PATIENCE_MS, error);
    bool good = result;
    close(fd);
    g_clear_pointer(&result, json_object_unref);
    return good;
}

bool client_snapshot_delete(const char *given, const char *which, struct machine_job *job, char **kept, GError **error)
{
    g_autofree char *exact = machines_find(given, error), *folder = exact ? machines_folder(exact) : NULL;
    *kept = NULL;
    if (!exact)
        return false;
    if (!machine_lock_holder(folder))
        return snapshots_delete(exact, which, job, NULL, kept, error);
    struct client *c = client_connect_machine(exact, NULL, error);
    const struct live_merges live = {tell_merged, c};
    bool good = c && snapshots_delete(exact, which, job, &live, kept, error);
    client_free(c);
    return good;
}
