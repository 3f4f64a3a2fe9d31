// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshot_live.c - a snapshot of a machine that runs on.
 *
 * The fresh images are the machine's present before the VM process uses them: empty, they show what is below, which it still
 * writes to.  So whatever ends when, machine.ini names the images that have all that the guest has written.  The image below
 * is frozen in the record from then on, and "live": its size and time are known when nobody writes to it any more.  When
 * the state is whole, the record gets the snapshot, which decides.  Somebody who was killed in between leaves images that no snapshot
 * needs, which the next deletion merges, or fresh ones that the VM process does not use, which the next snapshot takes.
 *
 * The machine's lock is the VM process'; the settings' lock is held while the record is changed, but not while the VM
 * process works. */
#include "core-vmm/host/disk_look.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/host/snapshot_inside.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static void disk_free(gpointer disk)
{
    struct live_disk *d = disk;
    g_free(d->drive);
    g_free(d->on);
    g_free(d->file);
    g_free(d->on_path);
    g_free(d->file_path);
    g_free(d);
}

/* ---- the record of a machine that runs ---- */

static bool open_record(struct change *c, const char *machine, GError **error)
{
    *c = (struct change){.name = machine, .folder = machines_folder(machine), .lock = -1, .held = -1, .busy = -1};
    if (!machine_lock_holder(c->folder)) {
        machines_not_running(machine, error);
        return false;
    }
    c->held = settings_hold(c->folder, error);
    if (c->held >= 0 && snapshots_settle_held(c->folder, error))
        c->record = record_load(c->folder, error);
    return c->record && snapshot_is_newest(c, error);
}

/* A child of one that was killed may have it for a moment yet. */
int snapshots_hold(const char *folder, GError **error)
{
    enum { POLL_MS = 20, WAIT_MS = 2000 };
    g_autofree char *in = g_build_filename(folder, SNAPSHOTS_FOLDER, NULL);
    int fd = open(in, O_RDONLY | O_DIRECTORY | O_CLOEXEC), waited = 0;
    if (fd < 0)
        path_failed(in, error);
    while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB)) {
        if (waited < WAIT_MS) {
            g_usleep(POLL_MS * 1000);
            waited += POLL_MS;
            continue;
        }
        close(fd);
        fd = -1;
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_BUSY,
                    "another snapshot of the machine is being taken or deleted; try again when that has ended");
    }
    return fd;
}

bool snapshots_are_held(const char *folder)
{
    g_autofree char *in = g_build_filename(folder, SNAPSHOTS_FOLDER, NULL);
    int fd = open(in, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool held = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB);
    if (fd >= 0)
        close(fd);
    return held;
}

bool change_begin_live(struct change *c, const char *name, GError **error)
{
    bool good = open_record(c, name, error);
    if (good)
        c->busy = snapshots_hold(c->folder, error);
    return good && c->busy >= 0;
}

/* ---- fresh images ---- */

static void add_disk(struct snapshot_live *l, const char *folder, const char *drive, const char *on, const char *file)
{
    struct live_disk *d = g_new0(struct live_disk, 1);
    *d = (struct live_disk){g_strdup(drive), g_strdup(on), g_strdup(file), g_canonicalize_filename(on, folder),
                            g_canonicalize_filename(file, folder)};
    g_ptr_array_add(l->disks, d);
}

static bool has(const struct change *c, const char *file, const char *path)
{
    return path && snapshot_same_file(c->folder, file, path);
}

/* One that somebody made ready who was killed before the VM process used it; else the drive gets a new one.  again: to the list. */
static bool sort_disk(struct snapshot_live *l, struct change *c, const struct snapshot_disk *d, GHashTable *present,
                      struct snapshot *again, GError **error)
{
    const char *path = g_hash_table_lookup(present, d->drive);
    const struct snapshot_image *image = record_image(c->record, d->file);
    const struct snapshot_image *below = image->on ? record_image(c->record, image->on) : NULL;
    if (below && below->live && has(c, below->file, path)) {
        add_disk(l, c->folder, d->drive, below->file, image->file);
        return true;
    }
    snapshot_add_disk(again, d->drive, d->file);
    if (has(c, d->file, path) && !image->frozen)
        return true;
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED,
                "machine.ini names %s for %s, and the running machine has %s: no snapshot can be taken before it is "
                "started anew",
                d->file, d->drive, path ? path : "nothing there");
    return false;
}

static bool freeze(struct snapshot_live *l, struct change *c, const struct snapshot *fresh, GError **error)
{
    for (guint i = 0; i < fresh->disks->len; i++) {
        const struct snapshot_disk *d = fresh->disks->pdata[i];
        g_autofree char *file = snapshot_fresh_image(d->drive, l->number);
        struct snapshot_image *below = record_image(c->record, d->file);
        if (!snapshot_note_time(c->folder, below, error))
            return false;
        below->frozen = below->live = true;
        add_disk(l, c->folder, d->drive, d->file, file);
    }
    return true;
}

/* The settings as they are, but for images that are used already. */
static char *settings_of_snapshot(const struct snapshot_live *l, const struct change *c, GError **error)
{
    g_autofree char *ini = machines_ini(c->name), *text = NULL;
    g_autoptr(GKeyFile) file = l->disks->len ? machines_settings(c->name, error) : NULL;
    if (!l->disks->len)
        return g_file_get_contents(ini, &text, NULL, error) ? g_steal_pointer(&text) : NULL;
    for (guint i = 0; file && i < l->disks->len; i++) {
        const struct live_disk *d = l->disks->pdata[i];
        g_key_file_set_string(file, d->drive, "file", d->on);
        g_key_file_set_string(file, d->drive, "format", record_image(c->record, d->on)->format);
    }
    return file ? g_key_file_to_data(file, NULL, NULL) : NULL;
}

static bool begin(struct snapshot_live *l, struct change *c, GHashTable *present, GError **error)
{
    g_autoptr(GKeyFile) file = machines_settings(c->name, error);
    struct snapshot *s = snapshot_new(1), *fresh = snapshot_new(1);
    bool good = file && snapshot_find_disks(c, file, s, error);
    for (guint i = 0; i < s->disks->len && good; i++)
        good = sort_disk(l, c, s->disks->pdata[i], present, fresh, error);
    l->settings = good ? settings_of_snapshot(l, c, error) : NULL;
    l->number = c->record->next++;
    good = l->settings && snapshot_put_on_top(c, file, fresh->disks, l->number, error) && freeze(l, c, fresh, error) &&
           change_commit(c, file, PENDING_STATE_STAYS, error);
    snapshot_free(s);
    snapshot_free(fresh);
    return good;
}

bool snapshots_live_begin(struct snapshot_live *l, const char *machine, const char *name, const char *description,
                          GHashTable *present, GError **error)
{
    struct change c;
    *l = (struct snapshot_live){.machine = g_strdup(machine),
                                .name = g_strdup(name),
                                .description = g_strdup(description),
                                .disks = g_ptr_array_new_with_free_func(disk_free),
                                .busy = -1};
    bool good = open_record(&c, machine, error) && snapshot_may_take_next(&c, name, description, error) &&
                snapshot_begin_record(&c, error);
    if (good)
        l->busy = snapshots_hold(c.folder, error);
    good = l->busy >= 0 && begin(l, &c, present, error);
    change_end(&c);
    return good;
}

/* ---- it is one ---- */

/* Somebody may have had the machine meanwhile, if the VM process ended. */
static bool still_there(const struct snapshot_live *l, const struct change *c, GError **error)
{
    for (guint i = 0; i < l->disks->len; i++) {
        const struct live_disk *d = l->disks->pdata[i];
        const struct snapshot_image *image = record_image(c->record, d->file);
        const struct snapshot_image *below = image ? record_image(c->record, d->on) : NULL;
        if (below && below->live && !g_strcmp0(image->on, d->on))
            continue;
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED,
                    "the machine's snapshots were changed meanwhile; this one was not taken");
        return false;
    }
    return true;
}

static bool finish(struct snapshot_live *l, struct change *c, const struct live_files *made, GError **error)
{
    const struct snapshot_files files = {l->settings, made->state, made->bases, made->vars};
    g_autofree char *in = g_build_filename(c->folder, SNAPSHOTS_FOLDER, NULL);
    struct snapshot_record *r = c->record;
    struct snapshot *s = snapshot_new(l->number);
    snapshot_add(r, s, l->name, l->description);
    for (guint i = 0; i < l->disks->len; i++) {
        const struct live_disk *d = l->disks->pdata[i];
        struct snapshot_image *below = record_image(r, d->on);
        if (!snapshot_note_lasting(c->folder, below, error))
            return false;
        below->live = false;
        snapshot_add_disk(s, d->drive, d->on);
    }
    return snapshot_keep_files(c, s, &files, error) && folder_sync(in, error) &&
           change_commit(c, NULL, PENDING_STATE_STAYS, error);
}

/* For whoever looks at an image of another folder whether something is on top of it; it is a snapshot without it, too. */
static void note_children(const struct snapshot_live *l, const char *folder)
{
    g_autofree char *in = g_build_filename(folder, SNAPSHOTS_FOLDER, NULL);
    g_autoptr(GArray) list = g_array_new(FALSE, TRUE, sizeof(struct overlay));
    g_autoptr(GError) error = NULL;
    for (guint i = 0; i < l->disks->len; i++) {
        const struct live_disk *d = l->disks->pdata[i];
        struct overlay o = {.file = d->file, .on = d->on};
        g_array_append_val(list, o);
    }
    if (list->len && !overlays_note(folder, in, (const struct overlay *)list->data, list->len, &error))
        g_debug("%s", error->message);
}

bool snapshots_live_finish(struct snapshot_live *l, const struct live_files *made, GError **error)
{
    struct change c;
    bool good = open_record(&c, l->machine, error) && still_there(l, &c, error) &&
                snapshot_name_fits(c.record, NULL, l->name, error) && finish(l, &c, made, error);
    if (good)
        note_children(l, c.folder);
    change_end(&c);
    return good;
}

/* ---- it is none ---- */

bool snapshots_live_undo(struct snapshot_live *l, GError **error)
{
    struct change c;
    bool good = open_record(&c, l->machine, error) && still_there(l, &c, error);
    g_autoptr(GKeyFile) file = good ? machines_settings(l->machine, error) : NULL;
    for (guint i = 0; file && i < l->disks->len; i++) {
        const struct live_disk *d = l->disks->pdata[i];
        struct snapshot_image *below = record_image(c.record, d->on);
        below->frozen = below->live = false;
        g_key_file_set_string(file, d->drive, "file", d->on);
        g_key_file_set_string(file, d->drive, "format", below->format);
        g_ptr_array_remove(c.record->images, record_image(c.record, d->file));
    }
    good = file && change_commit(&c, file, PENDING_STATE_STAYS, error);
    change_end(&c);
    return good;
}

void snapshots_live_end(struct snapshot_live *l)
{
    if (l->busy >= 0)
        close(l->busy);
    g_clear_pointer(&l->disks, g_ptr_array_unref);
    g_free(l->machine);
    g_free(l->name);
    g_free(l->description);
    g_free(l->settings);
}
