// SPDX-License-Identifier: GPL-2.0-or-later
/* fence.c - an image may come from anybody: it is looked at only where that can do no harm.
 *
 * `vmctl disk` fences itself when it knows what it is about to do; what is left of it needs no more.  Whoever goes on to do
 * other things afterwards asks a child in a fence: core-vmm/host/disk_look.h. */
#include "core-vmm/vmctl/disk/disk.h"
#include "core-vmm/fence/fence.h"
#include <stdlib.h>
#include <sys/stat.h>

/* The lock is tried before: from inside, one cannot see who has it. */
static bool is_free(const char *path, bool write, int *code)
{
    g_autoptr(GError) error = NULL;
    struct blk_file *f = blk_open(path, write ? FILE_WRITE : 0, CACHE_WRITEBACK, &error);
    blk_close(f);
    if (!g_error_matches(error, DISK_ERROR, DISK_ERROR_LOCKED))
        return true; /* anything else is said when it is opened for good */
    *code = fail_error(error);
    return false;
}

static void allow_folder(struct fence_files *f, const char *path, unsigned access)
{
    g_autofree char *real = realpath(path, NULL), *in = g_path_get_dirname(path);
    g_autofree char *there = g_path_get_dirname(real ? real : path);
    fence_allow(f, in, access);
    fence_allow(f, there, access);
}

static struct fence_files *files_of(const struct disk_needs *n)
{
    struct fence_files *f = fence_files_new();
    fence_allow_images(f);
    for (const char *const *p = n->looks; *p; p++)
        fence_allow_beside(f, *p, FENCE_READ);
    for (const char *const *p = n->changes; *p; p++)
        fence_allow_beside(f, *p, FENCE_READ | FENCE_WRITE);
    if (n->makes)
        allow_folder(f, n->makes, FENCE_READ | FENCE_WRITE | FENCE_MAKE);
    return f;
}

bool disk_fence(const struct disk_needs *n, int *code)
{
    g_autoptr(GError) error = NULL;
    for (const char *const *p = n->looks; *p; p++)
        if (!n->unlocked && !is_free(*p, false, code))
            return false;
    for (const char *const *p = n->changes; *p; p++)
        if (!is_free(*p, true, code))
            return false;
    if (n->makes && n->replace && !is_free(n->makes, true, code))
        return false;
    if (fence_alone(&error) && fence_files_close(files_of(n), &error) && fence_calls_close(FENCE_TOOL, &error) &&
        fence_holds(&error))
        return true;
    *code = fail_error(error);
    return false;
}
