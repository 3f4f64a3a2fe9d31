// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_move.c - a machine's disks go to another folder, on a larger disk for example.
 *
 * The machine itself stays where all machines are: there is no register that could say that one is elsewhere.  Each image is copied,
 * to stable storage; then machine.ini names the copies, which decides; then the old ones go.  A kill before leaves copies that
 * nobody names, one behind it old images. */
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/disk_look.h"
#include "core-vmm/host/disk_work.h"
#include "core-vmm/host/machines.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/host/snapshots.h"
#include "disk-formats/ops/ops.h"
#include <string.h>
#include <unistd.h>

struct moved {
    char *section, *from, *to, *format;
};
struct moving {
    const char *name, *to; /* to: absolute */
    char *folder;
    GKeyFile *file;
    GArray *disks;           /* struct moved */
    struct disk_steps steps; /* in the child */
};

static void clear_moved(void *moved)
{
    struct moved *m = moved;
    g_free(m->section);
    g_free(m->from);
    g_free(m->to);
    g_free(m->format);
}

/* ---- in the child ---- */

static bool each(struct moving *m, bool copy, GError **error)
{
    bool good = true;
    for (guint i = 0; good && i < m->disks->len; i++) {
        const struct moved *d = &g_array_index(m->disks, struct moved, i);
        const struct image_how how = {.format = d->format};
        struct disk_convert c = {.target = d->to, .format = d->format, .sync = true};
        struct disk_job job = {.progress = disk_tell_step, .ctx = &m->steps};
        struct image *im = image_open(d->from, &how, error);
        if (im && !copy)
            m->steps.total += im->bytes;
        good = im && (!copy || disk_convert_image(im, &c, &job, error));
        image_close(im);
    }
    return good;
}

static int copy_all(void *ctx, int answer)
{
    struct moving *m = ctx;
    g_autoptr(GError) error = NULL;
    m->steps.answer = answer;
    return each(m, false, &error) && each(m, true, &error) ? 0 : disk_refuse(answer, error);
}

static bool copy(struct moving *m, struct machine_job *job, GError **error)
{
    struct fence_files *f = fence_files_new();
    fence_allow_images(f);
    fence_allow(f, m->folder, FENCE_READ);
    fence_allow(f, m->to, FENCE_READ | FENCE_WRITE | FENCE_MAKE);
    for (guint i = 0; i < m->disks->len; i++)
        fence_allow_beside(f, g_array_index(m->disks, struct moved, i).from, FENCE_READ);
    return disk_work(copy_all, m, f, job, NULL, error);
}

/* ---- may it be? ---- */

static bool refuse(GError **error, const char *name, const char *why)
{
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED, "the disks of %s cannot be moved: %s", name, why);
    return false;
}

static bool may_move(const struct moving *m, GError **error)
{
    struct machine_saved saved;
    struct snapshot_record *r = record_load(m->folder, error);
    bool snapshots = r && r->images->len;
    if (!r)
        return false;
    record_free(r);
    if (snapshots)
        return refuse(error, m->name, "they belong to snapshots, which name their files");
    if (saved_look(m->name, &saved))
        return refuse(error, m->name, "it is saved, and a state knows its disks by their files");
    return g_file_test(m->to, G_FILE_TEST_IS_DIR) ||
           (g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "%s: there is no such folder", m->to), false);
}

/* One that others need, or that needs others, stays. */
static bool add_disk(struct moving *m, const char *section, const char *file, GError **error)
{
    g_autofree char *format = g_key_file_get_string(m->file, section, "format", NULL);
    struct moved d = {g_strdup(section), g_canonicalize_filename(file, m->folder)};
    d.format = g_strdup(format ? format : image_format_by_name(file));
    d.to = g_strdup_printf("%s/%s-%s.%s", m->to, m->name, section, strcmp(d.format, "raw") ? d.format : "img");
    g_array_append_val(m->disks, d);
    g_autofree char *parent = disk_parent_of(d.from, d.format);
    g_autoptr(GPtrArray) users = disk_users(d.from, m->name, error);
    if (!users)
        return false;
    if (parent || users->len) {
        g_autofree char *why = users->len ? g_strdup_printf("%s needs %s", (char *)users->pdata[0], file)
                                          : g_strdup_printf("%s builds upon %s", file, parent);
        return refuse(error, m->name, why);
    }
    return true;
}

static bool find_disks(struct moving *m, GError **error)
{
    g_auto(GStrv) sections = g_key_file_get_groups(m->file, NULL);
    for (char **s = sections; *s; s++) {
        const struct schema_section *known = schema_find_section(*s);
        g_autofree char *file = known->drive ? g_key_file_get_string(m->file, *s, "file", NULL) : NULL;
        g_autofree char *media = g_key_file_get_string(m->file, *s, "media", NULL);
        g_autofree char *readonly = g_key_file_get_string(m->file, *s, "readonly", NULL);
        bool part = g_key_file_has_key(m->file, *s, "offset", NULL) || g_key_file_has_key(m->file, *s, "size", NULL);
        if (!file || !*file || !g_strcmp0(media, "cdrom") || !g_strcmp0(readonly, "on") || part)
            continue;
        g_autofree char *full = g_canonicalize_filename(file, m->folder);
        if (g_file_test(full, G_FILE_TEST_IS_REGULAR) && !add_disk(m, *s, file, error))
            return false;
    }
    return m->disks->len || refuse(error, m->name, "it has none that are its own files");
}

/* ---- all ---- */

static bool name_them(struct moving *m, GError **error)
{
    g_autofree char *ini = g_build_filename(m->folder, "machine.ini", NULL);
    for (guint i = 0; i < m->disks->len; i++) {
        const struct moved *d = &g_array_index(m->disks, struct moved, i);
        g_key_file_set_string(m->file, d->section, "file", d->to);
        g_key_file_set_string(m->file, d->section, "format", d->format);
    }
    return settings_write(m->file, ini, error);
}

/* remove: the copies, or what they are copies of. */
static void remove_files(const struct moving *m, bool copies)
{
    for (guint i = 0; i < m->disks->len; i++) {
        const struct moved *d = &g_array_index(m->disks, struct moved, i);
        unlink(copies ? d->to : d->from);
    }
}

static bool none_taken(const struct moving *m, GError **error)
{
    for (guint i = 0; i < m->disks->len; i++) {
        const char *to = g_array_index(m->disks, struct moved, i).to;
        if (g_file_test(to, G_FILE_TEST_EXISTS)) {
            g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS, "%s exists already", to);
            return false;
        }
    }
    return true;
}

static bool move_held(struct moving *m, struct machine_job *job, GError **error)
{
    if (!snapshots_settle_held(m->folder, error) || !may_move(m, error) ||
        !(m->file = machines_settings(m->name, error)) || !find_disks(m, error) || !none_taken(m, error))
        return false;
    bool good = copy(m, job, error) && folder_sync(m->to, error) && name_them(m, error);
    remove_files(m, !good);
    return good;
}

bool machines_move(const char *name, const char *folder, struct machine_job *job, GError **error)
{
    g_autofree char *own = paths_machine(name), *to = g_canonicalize_filename(folder, NULL);
    struct moving m = {.name = name, .to = to, .folder = own, .disks = g_array_new(FALSE, FALSE, sizeof(struct moved))};
    int lock = vm_name_check(name, error) ? machines_hold(name, error) : -1;
    int held = lock >= 0 ? settings_hold(own, error) : -1;
    g_array_set_clear_func(m.disks, clear_moved);
    bool good = held >= 0 && move_held(&m, job, error);
    if (held >= 0)
        close(held);
    if (lock >= 0)
        close(lock);
    g_clear_pointer(&m.file, g_key_file_unref);
    g_array_unref(m.disks);
    return good;
}
