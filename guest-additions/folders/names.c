// SPDX-License-Identifier: GPL-2.0-or-later
/* names.c - from names to descriptors, never out of the folder: see folder.h. */
#include "guest-additions/folders/folder.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RACES = 8 }; /* of somebody who renames while a path is walked: EAGAIN */

static int beneath(int at, const char *path, int flags, mode_t mode)
{
    struct open_how how = {.flags = flags | O_CLOEXEC | (flags & O_PATH ? 0 : O_NOCTTY),
                           .mode = flags & O_CREAT ? mode : 0,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS};
    int fd = -1;
    for (int i = 0; fd < 0 && i < RACES && (!i || errno == EAGAIN || errno == EINTR); i++)
        fd = syscall(SYS_openat2, at, *path ? path : ".", &how, sizeof how);
    return fd;
}

int folder_open_beneath(const struct folder *f, const char *path, int flags, mode_t mode)
{
    return beneath(f->root, path, flags, mode);
}

/* Devices, pipes and sockets are the host's own affair. */
static bool shown(const struct folder *f, mode_t mode)
{
    return S_ISREG(mode) || S_ISDIR(mode) || (S_ISLNK(mode) && f->links != LINKS_HIDE);
}

int folder_look(const struct folder *f, int at, const char *path, struct stat *st)
{
    int fd = beneath(at, path, O_PATH | O_NOFOLLOW, 0);
    if (fd < 0)
        return -1;
    if (!fstat(fd, st) && shown(f, st->st_mode))
        return fd;
    close(fd);
    errno = ENOENT;
    return -1;
}

bool folder_hides(const struct folder *f, int at, const char *name)
{
    struct stat st;
    int fd = beneath(at, name, O_PATH | O_NOFOLLOW, 0);
    if (fd < 0)
        return errno != ENOENT;
    bool hidden = fstat(fd, &st) || !shown(f, st.st_mode);
    close(fd);
    return hidden;
}

int folder_parent(const struct folder *f, const char *path, const char **name)
{
    const char *slash = strrchr(path, '/');
    g_autofree char *folder = slash ? g_strndup(path, slash - path) : g_strdup("");
    *name = slash ? slash + 1 : path;
    if (!**name) {
        errno = EBUSY; /* the folder itself */
        return -1;
    }
    return folder_open_beneath(f, folder, O_PATH | O_DIRECTORY, 0);
}

/* ---- letters of any case ---- */

static char *entry_any_case(int fd, const char *wanted)
{
    g_autofree char *folded = g_utf8_casefold(wanted, -1);
    DIR *d = fdopendir(fd);
    char *found = NULL;
    for (struct dirent *e; d && !found && (e = readdir(d));) {
        bool text = g_utf8_validate(e->d_name, -1, NULL);
        g_autofree char *other = text ? g_utf8_casefold(e->d_name, -1) : NULL;
        if (other && !strcmp(other, folded) && folder_name_good(e->d_name, strlen(e->d_name)))
            found = g_strdup(e->d_name);
    }
    if (d)
        closedir(d);
    else
        close(fd);
    return found;
}

char *folder_any_case(const struct folder *f, const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    GString *found = g_string_new(NULL);
    bool good = g_utf8_validate(path, -1, NULL);
    for (char **p = parts; *p && good; p++) {
        int fd = folder_open_beneath(f, found->str, O_RDONLY | O_DIRECTORY, 0);
        g_autofree char *name = fd >= 0 ? entry_any_case(fd, *p) : NULL;
        good = name && found->len + strlen(name) + 1 < FOLDER_PATH_MOST;
        if (good)
            g_string_append_printf(found, "%s%s", found->len ? "/" : "", name);
    }
    return g_string_free(found, !good);
}
