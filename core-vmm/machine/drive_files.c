// SPDX-License-Identifier: GPL-2.0-or-later
/* drive_files.c - images of a machine that is not there yet: for processes that look at them before the VM's fence. */
#include "core-vmm/machine/drive_inside.h"

/* Is its image one that the guest may write to? */
static bool written(const struct config *c)
{
    struct drive v = {0};
    bool is = drive_read_config(&v, c, NULL) && !v.readonly && v.media != MEDIA_CDROM;
    g_free(v.serial);
    return is;
}

static char *file_of(const struct config *c, const char *folder)
{
    g_autofree char *file = config_string(c, "file");
    return file && *file ? g_canonicalize_filename(file, folder) : NULL;
}

bool drive_open_files(const struct config *c, const char *folder, bool parents, GError **error)
{
    g_autofree char *path = file_of(c, folder), *format = config_string(c, "format");
    struct image_how how = {.format = format, .unlocked = true, .no_parent = !parents};
    GError *why = NULL;
    if (!path)
        return true;
    if (!format)
        how.format = image_format_by_name(path);
    if (image_open(path, &how, &why) || !g_error_matches(why, DISK_ERROR, DISK_ERROR_CORRUPT)) {
        g_clear_error(&why);
        return true;
    }
    g_propagate_prefixed_error(error, why, "%s: section [%s]: ", c->path, c->section);
    return false;
}

bool drive_not_in_use(const struct config *c, const char *folder, GError **error)
{
    g_autofree char *path = file_of(c, folder);
    struct drive v = {0};
    bool good = path && drive_read_config(&v, c, NULL), write = good && !v.readonly && v.media != MEDIA_CDROM;
    GError *why = NULL;
    g_free(v.serial);
    if (good && v.sliced)
        blk_close(blk_open_slice(path, write ? FILE_WRITE : 0, CACHE_WRITEBACK, &v.slice, &why));
    else if (path)
        blk_close(blk_open(path, write ? FILE_WRITE : 0, CACHE_WRITEBACK, &why));
    if (!g_error_matches(why, DISK_ERROR, DISK_ERROR_LOCKED)) {
        g_clear_error(&why); /* anything else is said when it is opened for good */
        return true;
    }
    g_propagate_prefixed_error(error, why, "%s: section [%s]: ", c->path, c->section);
    return false;
}

bool drive_nothing_above(const struct config *c, const char *folder, GError **error)
{
    g_autofree char *path = file_of(c, folder);
    GError *why = NULL;
    if (!path || !written(c) || drive_nothing_above_file(path, &why))
        return true;
    g_propagate_prefixed_error(error, why, "%s: section [%s]: ", c->path, c->section);
    return false;
}
