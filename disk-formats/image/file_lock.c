// SPDX-License-Identifier: GPL-2.0-or-later
/* file_lock.c - keeps two writers off one image, QEMU's included.
 *
 * QEMU's convention (its docs, "image locking"): a user of an image holds a shared open-file-description lock on byte
 * 100 + p for each permission p it uses, and on byte 200 + p for each p that it does not let others use; then it looks
 * whether anybody holds the opposite byte.  Shared locks never block, so looking is F_OFD_GETLK for an exclusive lock. */
#include "disk-formats/image/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PERM_READ = 0, PERM_WRITE = 1, PERM_RESIZE = 3, LOCK_USED = 100, LOCK_UNSHARED = 200 };

static struct flock byte_lock(int type, unsigned at)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};
}

static int hold(int fd, unsigned at)
{
    struct flock l = byte_lock(F_RDLCK, at);
    return fcntl(fd, F_OFD_SETLK, &l) ? -errno : 0;
}

static bool others_hold(int fd, unsigned at)
{
    struct flock l = byte_lock(F_WRLCK, at);
    /* A read-only descriptor may not ask for a write lock, but GETLK only looks. */
    return fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

static bool process_has_open(const char *pid, const struct stat *file)
{
    char folder[64];
    snprintf(folder, sizeof folder, "/proc/%.20s/fd", pid);
    DIR *d = opendir(folder);
    bool found = false;
    for (struct dirent *e; d && !found && (e = readdir(d));) {
        struct stat st;
        found = fstatat(dirfd(d), e->d_name, &st, 0) == 0 && st.st_dev == file->st_dev && st.st_ino == file->st_ino;
    }
    if (d)
        closedir(d);
    return found;
}

/* Of a terrarium-vm: the end of its --folder, which is the machine's name.  NULL: something else. */
static char *machine_of(const char *pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/cmdline", pid), *text = NULL;
    gsize n;
    if (!g_file_get_contents(path, &text, &n, NULL)) /* words, each with a zero behind it */
        return NULL;
    for (size_t at = 0, next; at < n; at = next) {
        next = at + strlen(text + at) + 1;
        if (!strcmp(text + at, "--folder") && next < n)
            return g_path_get_basename(text + next);
    }
    return NULL;
}

static char *describe(const char *pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/comm", pid), *comm = NULL;
    g_file_get_contents(path, &comm, NULL, NULL);
    g_autofree char *machine = comm && !strcmp(g_strchomp(comm), "terrarium-vm") ? machine_of(pid) : NULL;
    return machine ? g_strdup_printf("machine %s (process %s)", machine, pid)
                   : g_strdup_printf("process %s (%s)", pid, comm ? comm : "?");
}

/* Who it is.  The kernel does not tell who holds such a lock, so look who has the file open. */
static char *holder(int fd)
{
    struct stat file;
    DIR *d = fstat(fd, &file) ? NULL : opendir("/proc");
    char *name = NULL;
    for (struct dirent *e; d && !name && (e = readdir(d));) {
        if (!g_ascii_isdigit(e->d_name[0]) || atoi(e->d_name) == getpid() || !process_has_open(e->d_name, &file))
            continue;
        name = describe(e->d_name);
    }
    if (d)
        closedir(d);
    return name ? name : g_strdup("another process or another open image of this one");
}

bool file_lock(int fd, bool write, const char *path, GError **error)
{
    const unsigned reader[] = {LOCK_USED + PERM_READ, LOCK_UNSHARED + PERM_WRITE, LOCK_UNSHARED + PERM_RESIZE};
    const unsigned writer[] = {LOCK_USED + PERM_WRITE, LOCK_USED + PERM_RESIZE};
    bool free = true;
    for (unsigned i = 0; i < G_N_ELEMENTS(reader); i++)
        if (hold(fd, reader[i]))
            return true; /* a file system without locks: nothing to be had */
    for (unsigned i = 0; write && i < G_N_ELEMENTS(writer); i++)
        hold(fd, writer[i]);
    free = !others_hold(fd, LOCK_USED + PERM_WRITE) && !others_hold(fd, LOCK_USED + PERM_RESIZE) &&
           !others_hold(fd, LOCK_UNSHARED + PERM_READ);
    if (write)
        free = free && !others_hold(fd, LOCK_UNSHARED + PERM_WRITE) && !others_hold(fd, LOCK_UNSHARED + PERM_RESIZE);
    if (free)
        return true;
    g_autofree char *who = holder(fd);
    return disk_fail(error, DISK_ERROR_LOCKED, "%s is in use by %s", path, who);
}
