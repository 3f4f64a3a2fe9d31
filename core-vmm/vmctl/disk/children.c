// SPDX-License-Identifier: GPL-2.0-or-later
/* children.c - whether the children of an image are in the way of what is to be done with it. */
#include "core-vmm/vmctl/disk/disk.h"

int disk_may_replace(const char *path)
{
    g_autofree char *child = disk_child_of(path, NULL);
    g_autoptr(GError) error = NULL;
    struct blk_file *f = blk_open(path, FILE_WRITE, CACHE_WRITEBACK, &error); /* for the lock */
    blk_close(f);
    if (g_error_matches(error, DISK_ERROR, DISK_ERROR_LOCKED))
        return fail_error(error);
    return child ? fail(EXIT_CODE_BUSY, "%s is the parent of %s, which would lose its data", path, child)
                 : EXIT_CODE_OK;
}

int disk_may_change(const char *path, const char *except)
{
    g_autofree char *child = disk_child_of(path, except);
    return child ? fail(EXIT_CODE_BUSY,
                        "%s is the parent of %s, which could not be used any more; delete the child if it is not "
                        "needed, or use --force",
                        path, child)
                 : EXIT_CODE_OK;
}
