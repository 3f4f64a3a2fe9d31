// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_saved.c - a machine that is suspended: its state lies in saved.state, and its next start goes on from there.
 *
 * The state is written under another name, on which whoever makes it holds a lock; it has its own when it is whole and on
 * stable storage.  A start takes it away when all is ready, and before the guest's first instruction (core-vmm/vm/sweeper.c), so it is not lost
 * by a start that fails, and never there while its disks change. */
#include "core-vmm/base/state_file.h"
#include "core-vmm/host/machines.h"
#include "core-vmm/host/paths.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define SAVING ".saving-" /* how names begin of states on their way */

/* What killed ones have left: nobody has its lock.  How much was removed. */
static unsigned sweep(const char *folder)
{
    unsigned removed = 0;
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        int fd = g_str_has_prefix(name, SAVING) ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
        if (fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB) && !unlink(path))
            removed++;
        if (fd >= 0)
            close(fd);
    }
    return removed;
}

int saved_new(const char *folder, char **path, GError **error)
{
    sweep(folder);
    g_autofree char *fresh = g_build_filename(folder, SAVING "XXXXXX", NULL);
    int fd = g_mkstemp_full(fresh, O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB)) {
        close(fd);
        fd = -1;
    }
    if (fd < 0)
        path_failed(fresh, error);
    else
        *path = g_steal_pointer(&fresh);
    return fd;
}

bool saved_publish(const char *folder, const char *path, GError **error)
{
    g_autofree char *final = g_build_filename(folder, PATHS_SAVED, NULL);
    if (rename(path, final))
        return path_failed(final, error);
    for (unsigned n = 1; n <= STATE_BASES_MAX; n++) { /* of the one before; this one has all of its memory itself */
        g_autofree char *base = paths_saved_base(folder, n);
        unlink(base);
    }
    return folder_sync(folder, error);
}

bool saved_look(const char *name, struct machine_saved *out)
{
    g_autofree char *folder = machines_folder(name), *path = g_build_filename(folder, PATHS_SAVED, NULL);
    struct stat st;
    if (lstat(path, &st) || !S_ISREG(st.st_mode))
        return false;
    *out = (struct machine_saved){st.st_mtim.tv_sec, st.st_size};
    return true;
}

static bool none(const char *name, GError **error)
{
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_NOT_FOUND, "%s has no saved state", name);
    return false;
}

static bool discard(const char *name, const char *folder, GError **error)
{
    g_autofree char *path = g_build_filename(folder, PATHS_SAVED, NULL);
    unsigned removed = sweep(folder);
    bool there = !unlink(path);
    if (!there && errno != ENOENT)
        return path_failed(path, error);
    if (!there && !removed)
        return none(name, error);
    return folder_sync(folder, error);
}

bool machines_discard_saved(const char *name, GError **error)
{
    g_autofree char *folder = paths_machine(name);
    int lock = machines_hold(name, error);
    bool good = lock >= 0 && discard(name, folder, error);
    if (lock >= 0)
        close(lock);
    return good;
}
