// SPDX-License-Identifier: GPL-2.0-or-later
/* fresh.c - see fresh.h. */
#include "core-vmm/host/fresh.h"
#include "core-vmm/host/paths.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_FILE "making"
#define TRIES     100

/* -1: somebody has it, or it is gone (whoever had it may have removed it, the file and all). */
static int claim(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, LOCK_FILE, NULL);
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct stat ours, there;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -1;
    if (!fcntl(fd, F_OFD_SETLK, &whole) && !fstat(fd, &ours) && !lstat(path, &there) && ours.st_dev == there.st_dev &&
        ours.st_ino == there.st_ino)
        return fd;
    int e = errno;
    close(fd);
    errno = e;
    return -1;
}

/* Between the two steps somebody may take it for a left-over one, and remove it. */
char *fresh_folder(const char *parent, const char *prefix, int *lock, GError **error)
{
    for (unsigned i = 0; i < TRIES; i++) {
        g_autofree char *name = g_strconcat(prefix, "XXXXXX", NULL), *folder = g_build_filename(parent, name, NULL);
        if (!g_mkdtemp(folder))
            break;
        *lock = claim(folder);
        if (*lock >= 0)
            return g_steal_pointer(&folder);
        int e = errno;
        rmdir(folder);
        errno = e;
    }
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s", parent, g_strerror(errno));
    return NULL;
}

void fresh_done(const char *folder, int lock)
{
    g_autofree char *path = g_build_filename(folder, LOCK_FILE, NULL);
    unlink(path);
    close(lock);
}

void fresh_clean(const char *parent, const char *prefix)
{
    g_autoptr(GDir) dir = g_dir_open(parent, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *folder = g_build_filename(parent, name, NULL);
        bool one = g_str_has_prefix(name, prefix) && !machine_lock_holder(folder);
        int lock = one ? claim(folder) : -1;
        if (lock < 0)
            continue;
        folder_remove(folder, NULL);
        close(lock);
    }
}
