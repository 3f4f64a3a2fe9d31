// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshot_independent.c - disks that stay out of snapshots (independent=on): none has them, and going back leaves them as they are.
 *
 * So whatever a guest has of such a disk in its memory fits it no more after going back: there is no snapshot of a machine that runs, or is
 * suspended, and has one.  And an image that snapshots have, or build upon, is never one: it would change under them. */
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/host/snapshot_inside.h"
#include <string.h>
#include <unistd.h>

bool snapshot_is_independent(GKeyFile *file, const char *section)
{
    g_autofree char *said = g_key_file_get_string(file, section, "independent", NULL);
    g_autofree char *image = g_strcmp0(said, "on") ? NULL : snapshot_written_image(file, section);
    return image;
}

char **snapshot_independent_drives(GKeyFile *file)
{
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    g_autoptr(GStrvBuilder) found = g_strv_builder_new();
    for (char **s = sections; *s; s++)
        if (snapshot_is_independent(file, *s))
            g_strv_builder_add(found, *s);
    return g_strv_builder_end(found);
}

char **snapshot_left_out(const char *folder, unsigned id)
{
    g_autofree char *path = snapshot_path(folder, id, "ini");
    g_autoptr(GKeyFile) file = schema_load(path, NULL);
    return file ? snapshot_independent_drives(file) : g_new0(char *, 1);
}

static bool is_free(const struct change *c, GKeyFile *file, const char *section, GError **error)
{
    g_autofree char *image = snapshot_written_image(file, section);
    if (!snapshot_image_at(c, image))
        return true;
    g_set_error(
        error, MACHINE_ERROR, MACHINE_ERROR_FAILED,
        "drive %s is to stay out of snapshots (independent=on), but its image %s is a part of some: delete them "
        "first, or give the drive a copy (vmctl disk convert)",
        section, image);
    return false;
}

bool snapshot_may_stay_out(const struct change *c, GKeyFile *file, const char *section, GError **error)
{
    g_autofree char *saved = g_build_filename(c->folder, PATHS_SAVED, NULL);
    bool runs = c->lock < 0;
    if (!runs && access(saved, F_OK))
        return is_free(c, file, section, error);
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED,
                "drive %s stays out of snapshots (independent=on), so what the guest has of it in its memory would not "
                "fit it any more after going back: take the snapshot while the machine is off",
                section);
    return false;
}

static void copy_section(GKeyFile *from, GKeyFile *to, const char *section)
{
    g_auto(GStrv) keys = g_key_file_get_keys(from, section, NULL, NULL);
    g_key_file_remove_group(to, section, NULL);
    for (char **k = keys; k && *k; k++) {
        g_autofree char *value = g_key_file_get_value(from, section, *k, NULL);
        g_key_file_set_value(to, section, *k, value);
    }
}

/* Those that stayed out of the snapshot and are none any more would be written to below other snapshots, if those have them. */
static bool none_taken_since(const struct change *c, GKeyFile *file, GError **error)
{
    g_auto(GStrv) then = snapshot_independent_drives(file);
    bool good = true;
    for (char **s = then; *s && good; s++)
        good = is_free(c, file, *s, error);
    return good;
}

/* What is kept of the present would have an image that the guest goes on writing to. */
static bool none_is_to_freeze(const struct change *c, GKeyFile *present, GKeyFile *file, GError **error)
{
    g_auto(GStrv) then = snapshot_independent_drives(file);
    g_auto(GStrv) sections = g_key_file_get_groups(present, NULL);
    for (char **d = then; *d; d++)
        for (char **s = sections; *s; s++) {
            g_autofree char *image = snapshot_written_image(file, *d), *now = snapshot_written_image(present, *s);
            if (!now || snapshot_is_independent(present, *s) || !snapshot_same_file(c->folder, image, now))
                continue;
            g_set_error(
                error, MACHINE_ERROR, MACHINE_ERROR_FAILED,
                "drive %s stayed out of the snapshot (independent=on), so after going back the guest would write to "
                "%s, which what is kept would have as drive %s: set %s.independent=on, or go back without --keep",
                *d, image, *s, *s);
            return false;
        }
    return true;
}

/* It stays as it is, and fits a state of then no more; nor may a disk of the snapshot go missing for it. */
static bool may_stay(const struct change *c, const struct snapshot *s, GKeyFile *present, GKeyFile *file,
                     const char *drive, GError **error)
{
    g_autofree char *now = snapshot_written_image(present, drive), *then = snapshot_written_image(file, drive);
    if (!is_free(c, present, drive, error))
        return false;
    if (s->state_bytes)
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED,
                    "drive %s is to stay as it is (independent=on), and snapshot %u has a state that knows it as it "
                    "was: turn that off to go back",
                    drive, s->id);
    else if (then && !snapshot_same_file(c->folder, then, now))
        g_set_error(
            error, MACHINE_ERROR, MACHINE_ERROR_FAILED,
            "drive %s is to stay as it is (independent=on), and was another disk in snapshot %u (%s): turn that "
            "off to go back, or make it another drive",
            drive, s->id, then);
    else
        return true;
    return false;
}

GPtrArray *snapshot_keep_independent(const struct change *c, const struct snapshot *s, GKeyFile *present,
                                     GKeyFile *file, bool keep, GError **error)
{
    g_auto(GStrv) drives = snapshot_independent_drives(present);
    g_autofree char *ini = machines_ini(c->name);
    GPtrArray *disks = g_ptr_array_new();
    bool good = true;
    for (char **d = drives; *d && good; d++) {
        good = may_stay(c, s, present, file, *d, error);
        copy_section(present, file, *d);
    }
    for (guint i = 0; i < s->disks->len && good; i++)
        if (!g_strv_contains((const char *const *)drives, ((struct snapshot_disk *)s->disks->pdata[i])->drive))
            g_ptr_array_add(disks, s->disks->pdata[i]);
    good = good && (!*drives || schema_check_together(file, ini, c->folder, error));
    if (good && none_taken_since(c, file, error) && (!keep || none_is_to_freeze(c, present, file, error)))
        return disks;
    g_ptr_array_unref(disks);
    return NULL;
}
