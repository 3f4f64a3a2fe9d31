// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_clone.c - a new machine with what another one has, in its present or in a snapshot.
 *
 * A full clone gets copies of what the source's disks show.  A linked one gets images on top of the source's: those must never
 * change, so they are a snapshot's, and whoever deletes or merges asks which other machines have an image on top (disk_users.h).
 * Both are made in a folder of their own that becomes a machine when it is complete. */
#include "core-vmm/host/machine_inside.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/disk_look.h"
#include "core-vmm/host/disk_work.h"
#include "core-vmm/host/firmware.h"
#include "core-vmm/host/machine_installed.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/host/snapshots.h"
#include "disk-formats/ops/ops.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct clone_disk {
    char *section, *from, *format; /* an image of the source, as an absolute path */
    char *name, *new_format;       /* in the clone's folder */
    struct file_slice slice;       /* of it, if sliced */
    bool sliced, linked;
};
struct cloning {
    const char *source;
    const struct machine_clone *how;
    struct machine_job *job;
    GPtrArray *remarks;
    char *from;                     /* the source's folder */
    GKeyFile *file;                 /* what is to be the clone's settings */
    struct snapshot_record *record; /* the source's */
    const struct snapshot *snapshot;
    GArray *disks;           /* struct clone_disk */
    int lock;                /* the source's, held until the clone is seen by who asks for users of images; -1: none */
    const char *folder;      /* the clone's, for the children */
    struct disk_steps steps; /* there */
    unsigned own_snapshot;   /* taken for the clone; 0: none */
};

void machine_remark(GPtrArray *remarks, char *text)
{
    if (remarks)
        g_ptr_array_add(remarks, text);
    else
        g_free(text);
}

static void clear_disk(void *disk)
{
    struct clone_disk *d = disk;
    g_free(d->section);
    g_free(d->from);
    g_free(d->format);
    g_free(d->name);
    g_free(d->new_format);
}

/* ---- in the child ---- */

static bool sum_up(struct cloning *c, GError **error)
{
    for (guint i = 0; i < c->disks->len; i++) {
        const struct clone_disk *d = &g_array_index(c->disks, struct clone_disk, i);
        struct image_how how = {.format = d->format, .slice = d->sliced ? &d->slice : NULL};
        struct image *im = d->linked ? NULL : image_open(d->from, &how, error);
        if (!im && !d->linked)
            return false;
        c->steps.total += im ? im->bytes : 0;
        image_close(im);
    }
    return true;
}

static bool make_image(struct cloning *c, const struct clone_disk *d, GError **error)
{
    g_autofree char *path = g_build_filename(c->folder, d->name, NULL);
    struct disk_job job = {.progress = disk_tell_step, .ctx = &c->steps};
    struct image_options on_top = {.parent = d->from, .parent_format = d->format};
    struct disk_convert copy = {.source = d->from, .target = path, .format = d->new_format, .sync = true};
    copy.how = (struct image_how){.format = d->format, .slice = d->sliced ? &d->slice : NULL};
    return d->linked ? image_create(path, d->new_format, &on_top, false, error) : disk_convert(&copy, &job, error);
}

static int make_images(void *ctx, int answer)
{
    struct cloning *c = ctx;
    g_autoptr(GError) error = NULL;
    c->steps.answer = answer;
    bool good = sum_up(c, &error);
    for (guint i = 0; good && i < c->disks->len; i++)
        good = make_image(c, &g_array_index(c->disks, struct clone_disk, i), &error);
    return good ? 0 : disk_refuse(answer, error);
}

static bool work(struct cloning *c, const char *folder, GError **error)
{
    struct fence_files *f = fence_files_new();
    fence_allow_images(f);
    fence_allow(f, c->from, FENCE_READ);
    fence_allow(f, folder, FENCE_READ | FENCE_WRITE | FENCE_MAKE);
    for (guint i = 0; i < c->disks->len; i++)
        fence_allow_beside(f, g_array_index(c->disks, struct clone_disk, i).from, FENCE_READ);
    c->folder = folder;
    return disk_work(make_images, c, f, c->job, NULL, error);
}

/* ---- which images ---- */

static bool is_on(GKeyFile *file, const char *section, const char *key, const char *value)
{
    g_autofree char *there = g_key_file_get_string(file, section, key, NULL);
    return !g_strcmp0(there, value);
}

/* An image that the clone must have for itself. */
static bool is_own(const struct cloning *c, const char *section, const char *path)
{
    const struct schema_section *s = schema_find_section(section);
    g_autofree char *inside = g_strconcat(c->from, "/", NULL);
    bool read_only = is_on(c->file, section, "readonly", "on") || is_on(c->file, section, "media", "cdrom");
    return s && s->drive && !is_on(c->file, section, "media", "cdrom") &&
           (!read_only || g_str_has_prefix(path, inside));
}

/* The image that a drive had in the snapshot may have been merged into another since. */
static char *image_in_snapshot(struct cloning *c, const char *section, char **format)
{
    for (guint i = 0; c->snapshot && i < c->snapshot->disks->len; i++) {
        const struct snapshot_disk *d = c->snapshot->disks->pdata[i];
        const struct snapshot_image *image = record_image(c->record, d->file);
        if (strcmp(d->drive, section) || !image)
            continue;
        g_free(*format);
        *format = g_strdup(image->format);
        return g_canonicalize_filename(d->file, c->from);
    }
    return NULL;
}

static void read_slice(const struct cloning *c, struct clone_disk *d)
{
    g_autofree char *offset = g_key_file_get_string(c->file, d->section, "offset", NULL);
    g_autofree char *size = g_key_file_get_string(c->file, d->section, "size", NULL);
    d->sliced = (offset || size) && !g_strcmp0(d->format, "raw");
    if (offset)
        disk_size_parse(offset, &d->slice.offset);
    if (size)
        disk_size_parse(size, &d->slice.bytes);
    g_key_file_remove_key(c->file, d->section, "offset", NULL);
    g_key_file_remove_key(c->file, d->section, "size", NULL);
}

/* A copy has the format of what it is a copy of; one of several images, and one on top, is qcow2. */
static void add_disk(struct cloning *c, const char *section, const char *path)
{
    struct clone_disk d = {.section = g_strdup(section)};
    char *format = g_key_file_get_string(c->file, section, "format", NULL);
    char *frozen = image_in_snapshot(c, section, &format);
    d.from = frozen ? frozen : g_strdup(path);
    d.format = format ? format : g_strdup(image_format_by_name(path));
    d.linked = c->how->linked && frozen;
    read_slice(c, &d);
    g_autofree char *parent = d.linked || d.sliced ? NULL : disk_parent_of(d.from, d.format);
    d.new_format = g_strdup(d.linked || parent ? "qcow2" : d.format);
    d.name = g_strdup_printf("%s.%s", section, strcmp(d.new_format, "raw") ? d.new_format : "img");
    g_key_file_set_string(c->file, section, "file", d.name);
    g_key_file_set_string(c->file, section, "format", d.new_format);
    g_array_append_val(c->disks, d);
}

/* ---- other files ---- */

/* What lies in the source's folder goes when that goes, so the clone gets a copy; the rest is for both. */
static bool copy_file(const char *folder, const char *section, const char *path, char **name, GError **error)
{
    g_autofree char *base = g_path_get_basename(path), *own = g_strconcat(section, "-", base, NULL);
    g_autofree char *to = g_build_filename(folder, own, NULL);
    g_autoptr(GFile) a = g_file_new_for_path(path), b = g_file_new_for_path(to);
    int fd = -1;
    bool good = g_file_copy(a, b, G_FILE_COPY_NONE, NULL, NULL, NULL, error) &&
                ((fd = open(to, O_RDONLY | O_CLOEXEC)) >= 0 || path_failed(to, error)) &&
                (!fsync(fd) || path_failed(to, error));
    if (fd >= 0)
        close(fd);
    *name = good ? g_steal_pointer(&own) : NULL;
    return good;
}

/* A file that both may have stays; one in the source's folder is copied.  *value: how the clone names it. */
static bool keep_one(struct cloning *c, const char *folder, const char *section, const char *full, char **value,
                     GError **error)
{
    g_autofree char *inside = g_strconcat(c->from, "/", NULL);
    if (g_str_has_prefix(full, inside) && g_file_test(full, G_FILE_TEST_IS_REGULAR))
        return copy_file(folder, section, full, value, error);
    *value = g_strdup(full);
    return true;
}

/* Modules of Multiboot: "FILE ARGUMENTS,FILE ARGUMENTS". */
static bool keep_list(struct cloning *c, const char *folder, const char *section, const char *key, const char *list,
                      GError **error)
{
    g_auto(GStrv) parts = g_strsplit(list, ",", -1);
    g_autoptr(GString) all = g_string_new(NULL);
    for (char **p = parts; *p; p++) {
        size_t n = strcspn(*p, " ");
        g_autofree char *name = g_strndup(*p, n), *full = g_canonicalize_filename(name, c->from), *value = NULL;
        if (!keep_one(c, folder, section, full, &value, error))
            return false;
        g_string_append_printf(all, "%s%s%s", p > parts ? "," : "", value, *p + n);
    }
    g_key_file_set_string(c->file, section, key, all->str);
    return true;
}

static bool keep_path(struct cloning *c, const char *folder, const char *section, const struct schema_key *k,
                      GError **error)
{
    const char *key = k->name;
    g_autofree char *path = g_key_file_get_string(c->file, section, key, NULL), *value = NULL;
    g_autofree char *full = schema_is_path(k, path) ? g_canonicalize_filename(path, c->from) : NULL;
    if (!full)
        return true;
    if (!strcmp(key, "file") && is_own(c, section, full)) {
        add_disk(c, section, full);
        return true;
    }
    if (!strcmp(key, "initrd") && strchr(path, ',') && !g_file_test(full, G_FILE_TEST_EXISTS))
        return keep_list(c, folder, section, key, path, error);
    if (!keep_one(c, folder, section, full, &value, error))
        return false;
    g_key_file_set_string(c->file, section, key, value);
    return true;
}

static bool keep_paths(struct cloning *c, const char *folder, GError **error)
{
    g_auto(GStrv) sections = g_key_file_get_groups(c->file, NULL);
    for (char **s = sections; *s; s++)
        for (const struct schema_key *k = schema_find_section(*s)->keys; k->name; k++)
            if (!keep_path(c, folder, *s, k, error))
                return false;
    return true;
}

/* What UEFI remembers: where the disks' systems are, and the keys of Secure Boot. */
static bool keep_variables(struct cloning *c, const char *folder, GError **error)
{
    g_autofree char *from = c->snapshot ? snapshot_path(c->from, c->snapshot->id, "vars")
                                        : g_build_filename(c->from, FIRMWARE_VARS_FILE, NULL);
    g_autofree char *to = g_build_filename(folder, FIRMWARE_VARS_FILE, NULL), *data = NULL;
    gsize n;
    return access(from, F_OK) || (g_file_get_contents(from, &data, &n, error) && file_replace(to, data, n, error));
}

/* ---- settings ---- */

/* Two cards of one address on a network would be none, and systems take a machine by its UUID for another. */
static void rename_parts(struct cloning *c)
{
    g_auto(GStrv) sections = g_key_file_get_groups(c->file, NULL);
    for (char **s = sections; *s; s++)
        if (g_key_file_has_key(c->file, *s, "mac", NULL) && !c->how->keep_macs)
            settings_new_mac(c->file, *s);
    if (g_key_file_has_key(c->file, "machine", "uuid", NULL) && !c->how->keep_uuid) {
        g_autofree char *uuid = g_uuid_string_random();
        g_key_file_set_string(c->file, "machine", "uuid", uuid);
    }
    g_key_file_remove_group(c->file, "vnc",
                            NULL); /* its port is the source's, and its password not among the settings */
    g_key_file_remove_key(c->file, "machine", "name", NULL);
}

/* The locks are the caller's. */
static bool read_source(struct cloning *c, const char *which, GError **error)
{
    struct machine_saved saved;
    g_autofree char *old = NULL;
    if (!snapshots_settle_held(c->from, error) || !(c->record = record_load(c->from, error)) ||
        (which && !(c->snapshot = snapshots_find(c->record, c->source, which, error))))
        return false;
    if (c->snapshot ? c->snapshot->state_bytes > 0 : saved_look(c->source, &saved))
        machine_remark(c->remarks,
                       g_strdup("the saved state is not cloned, for it is one of the source's disks; what the "
                                "clone has is as after a power cut"));
    if (c->snapshot)
        old = snapshot_path(c->from, c->snapshot->id, "ini");
    c->file = old ? schema_load(old, error) : machines_settings(c->source, error);
    return c->file;
}

/* A snapshot does not have them, and what they hold is of another time. */
static void leave_independent_out(struct cloning *c)
{
    g_auto(GStrv) drives = snapshot_independent_drives(c->file);
    for (char **d = drives; *d && c->snapshot; d++) {
        g_key_file_remove_group(c->file, *d, NULL);
        machine_remark(c->remarks, g_strdup_printf("drive %s stays out of snapshots (independent=on), so the clone "
                                                   "does not have it",
                                                   *d));
    }
}

static bool fill_held(struct cloning *c, const char *folder, const char *which, int held, GError **error)
{
    g_autofree char *ini = g_build_filename(folder, "machine.ini", NULL);
    bool good = read_source(c, which, error);
    close(held); /* it is known; that the source stays as it is, its own lock sees to */
    if (good)
        leave_independent_out(c);
    if (!good || !keep_paths(c, folder, error) || !keep_variables(c, folder, error) || !work(c, folder, error))
        return false;
    rename_parts(c);
    return settings_write(c->file, ini, error) && folder_sync(folder, error);
}

static bool fill_from(struct cloning *c, const char *folder, const char *which, GError **error)
{
    c->lock = machines_hold(c->source, error);
    int held = c->lock >= 0 ? settings_hold(c->from, error) : -1;
    c->disks = g_array_new(FALSE, FALSE, sizeof(struct clone_disk));
    g_array_set_clear_func(c->disks, clear_disk);
    bool good = held >= 0 && fill_held(c, folder, which, held, error);
    g_array_unref(c->disks);
    g_clear_pointer(&c->file, g_key_file_unref);
    g_clear_pointer(&c->record, record_free);
    return good;
}

static void let_go(struct cloning *c)
{
    if (c->lock >= 0)
        close(c->lock);
    c->lock = -1;
}

/* The present, frozen. */
static bool fill_linked(struct cloning *c, const char *folder, GError **error)
{
    if (!snapshots_take(c->source, NULL, "what a linked clone builds upon", &c->own_snapshot, error))
        return false;
    g_autofree char *which = g_strdup_printf("%u", c->own_snapshot);
    return fill_from(c, folder, which, error);
}

/* When the clone failed, nobody needs what was frozen for it. */
static void end_snapshot(const struct cloning *c, bool good)
{
    g_autofree char *which = g_strdup_printf("%u", c->own_snapshot), *kept = NULL;
    g_autoptr(GError) why = NULL;
    if (good)
        machine_remark(c->remarks,
                       g_strdup_printf("%s has a new snapshot, %s, that the clone builds upon", c->source, which));
    else if (!snapshots_delete(c->source, which, NULL, NULL, &kept, &why))
        machine_remark(c->remarks,
                       g_strdup_printf("%s has a snapshot, %s, that nobody needs, for it could not be deleted: %s",
                                       c->source, which, why->message));
}

static bool fill_clone(void *ctx, const char *folder, GError **error)
{
    struct cloning *c = ctx;
    bool freeze = c->how->linked && !c->how->snapshot;
    return freeze ? fill_linked(c, folder, error) : fill_from(c, folder, c->how->snapshot, error);
}

bool machines_clone(const char *source, const char *name, const struct machine_clone *how, struct machine_job *job,
                    GPtrArray *remarks, GError **error)
{
    static const struct machine_clone full;
    g_autofree char *from = paths_machine(source);
    struct cloning c = {
        .source = source, .how = how ? how : &full, .job = job, .remarks = remarks, .from = from, .lock = -1};
    if (is_installing(from)) { /* what its installation needs has names that are its own */
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED,
                    "%s has an installation that is under way; clone it when that is over (vmctl unattended finish)",
                    source);
        return false;
    }
    bool good = vm_name_check(source, error) && machine_make(name, fill_clone, &c, error);
    let_go(&c);
    if (c.own_snapshot)
        end_snapshot(&c, good);
    return good;
}
