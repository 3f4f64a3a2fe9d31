// SPDX-License-Identifier: GPL-2.0-or-later
/* sockaddr_un holds 107 bytes of path, and home folders can be deep: a longer path is named through a descriptor of
 * its folder, /proc/self/fd/N/NAME. */
#include "core-vmm/host/paths.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define QUEUE 128 /* connections that wait to be accepted */

struct address {
    struct sockaddr_un un;
    int folder; /* -1, or held open while the address is in use */
};

static bool address_of(const char *path, struct address *a, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path), *name = g_path_get_basename(path), *spelled = g_strdup(path);
    a->folder = -1;
    a->un.sun_family = AF_UNIX;
    if (strlen(path) >= sizeof a->un.sun_path) {
        a->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        g_free(spelled);
        spelled = g_strdup_printf("/proc/self/fd/%d/%s", a->folder, name);
    }
    if (strlen(spelled) >= sizeof a->un.sun_path) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FILENAME_TOO_LONG, "%s: too long for a socket's name", path);
        if (a->folder >= 0)
            close(a->folder);
        return false;
    }
    g_strlcpy(a->un.sun_path, spelled, sizeof a->un.sun_path);
    return true;
}

static int open_socket(const char *path, int type, int (*use)(int, const struct sockaddr *, socklen_t), GError **error)
{
    struct address a;
    if (!address_of(path, &a, error))
        return -1;
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* fchmod: the mode that bind() gives the new name, from its first moment on */
    int e = fd < 0 || fchmod(fd, 0600) || use(fd, (struct sockaddr *)&a.un, sizeof a.un) ? errno : 0;
    if (a.folder >= 0)
        close(a.folder);
    if (!e)
        return fd;
    if (fd >= 0)
        close(fd);
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(e), "%s: %s", path, g_strerror(e));
    return -1;
}

int socket_connect(const char *path, GError **error)
{
    return open_socket(path, SOCK_STREAM, connect, error);
}

bool socket_is_alive(const char *path)
{
    int fd = open_socket(path, SOCK_SEQPACKET, connect, NULL);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* Left behind by a process that was killed: nobody answers. */
static void remove_stale(const char *path)
{
    g_autoptr(GError) error = NULL;
    struct stat st;
    if (lstat(path, &st) || !S_ISSOCK(st.st_mode))
        return;
    int fd = socket_connect(path, &error);
    if (fd >= 0)
        close(fd);
    else if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED))
        unlink(path);
}

int socket_listen(const char *path, GError **error)
{
    remove_stale(path);
    int fd = open_socket(path, SOCK_STREAM, bind, error);
    if (fd < 0)
        return -1;
    if (listen(fd, QUEUE)) {
        int e = errno;
        close(fd);
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(e), "%s: %s", path, g_strerror(e));
        return -1;
    }
    return fd;
}
