// SPDX-License-Identifier: GPL-2.0-or-later
/* file_lock.c - keeps two writers off one image, QEMU's included.
 *
 * QEMU's convention (its docs, "image locking"): a user of an image holds a shared open-file-description lock on byte
 * 100 + p for each permission p it uses, and on byte 200 + p for each p that it does not let others use; then it looks
 * whether anybody holds the opposite byte.  Shared locks never block, so looking is F_OFD_GETLK for an exclusive lock.
 *
 * Whoever uses a slice lets others write, but not resize; and holds the slice's own range far behind the end of any file,
 * exclusively if it writes.  So slices that do not overlap go together, and nothing else does with one that is written. */
#include "disk-formats/image/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLICES (INT64_C(1) << 62) /* where the ranges of slices begin */
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

/* Has the descriptor a lock that touches the slice?  A line of fdinfo: "lock: 1: OFDLCK ADVISORY WRITE -1 08:01:12 FROM TO". */
static bool locks_slice(const char *pid, const char *fd, const struct file_slice *s)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/fdinfo/%s", pid, fd), *text = NULL;
    g_file_get_contents(path, &text, NULL, NULL);
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
    for (char **l = lines; *l; l++) {
        long long from, to;
        const char *kind = g_str_has_prefix(*l, "lock:") ? strstr(*l, "OFDLCK") : NULL;
        if (kind && sscanf(kind, "OFDLCK %*s %*s %*s %*s %lld %lld", &from, &to) == 2 &&
            from < (long long)(SLICES + s->offset + s->bytes) && to >= (long long)(SLICES + s->offset))
            return true;
    }
    return false;
}

/* slice NULL: open at all */
static bool process_has_open(const char *pid, const struct stat *file, const struct file_slice *slice)
{
    char folder[64];
    snprintf(folder, sizeof folder, "/proc/%.20s/fd", pid);
    DIR *d = opendir(folder);
    bool found = false;
    for (struct dirent *e; d && !found && (e = readdir(d));) {
        struct stat st;
        found = fstatat(dirfd(d), e->d_name, &st, 0) == 0 && st.st_dev == file->st_dev && st.st_ino == file->st_ino &&
                (!slice || locks_slice(pid, e->d_name, slice));
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
static char *holder(int fd, const struct file_slice *slice)
{
    struct stat file;
    DIR *d = fstat(fd, &file) ? NULL : opendir("/proc");
    char *name = NULL;
    for (struct dirent *e; d && !name && (e = readdir(d));) {
        if (!g_ascii_isdigit(e->d_name[0]) || atoi(e->d_name) == getpid() || !process_has_open(e->d_name, &file, slice))
            continue;
        name = describe(e->d_name);
    }
    if (d)
        closedir(d);
    return name ? name : g_strdup("another process or another open image of this one");
}

static bool in_use(int fd, const struct file_slice *slice, const char *path, GError **error)
{
    g_autofree char *who = holder(fd, slice);
    if (!slice)
        return disk_fail(error, DISK_ERROR_LOCKED, "%s is in use by %s", path, who);
    return disk_fail(error, DISK_ERROR_LOCKED,
                     "%s: a part of it that overlaps with bytes %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT
                     " (offset, size) is in use by %s",
                     path, slice->offset, slice->offset + slice->bytes - 1, who);
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
    return free || in_use(fd, NULL, path, error);
}

void file_unlock_write(int fd)
{
    const unsigned writer[] = {LOCK_USED + PERM_WRITE, LOCK_USED + PERM_RESIZE};
    for (unsigned i = 0; i < G_N_ELEMENTS(writer); i++) {
        struct flock l = byte_lock(F_UNLCK, writer[i]);
        fcntl(fd, F_OFD_SETLK, &l);
    }
}

bool file_lock_slice(int fd, bool write, const struct file_slice *slice, const char *path, GError **error)
{
    struct flock range = {.l_type = write ? F_WRLCK : F_RDLCK,
                          .l_whence = SEEK_SET,
                          .l_start = SLICES + slice->offset,
                          .l_len = slice->bytes};
    if (hold(fd, LOCK_USED + PERM_READ) || hold(fd, LOCK_UNSHARED + PERM_RESIZE))
        return true; /* a file system without locks: nothing to be had */
    if (write)
        hold(fd, LOCK_USED + PERM_WRITE);
    if (others_hold(fd, LOCK_USED + PERM_RESIZE) || others_hold(fd, LOCK_UNSHARED + PERM_READ) ||
        (write && others_hold(fd, LOCK_UNSHARED + PERM_WRITE)))
        return in_use(fd, NULL, path, error);
    return !fcntl(fd, F_OFD_SETLK, &range) || (errno != EAGAIN && errno != EACCES) || in_use(fd, slice, path, error);
}
