// SPDX-License-Identifier: GPL-2.0-or-later
/* The targets of a serial port.  stdio and pty must not block the VM, yet must not change the flags of a descriptor
 * that other processes share (the user's terminal): so they are opened anew where the kernel allows it.
 *
 * Opening and attaching are two steps: a VM process opens all ends before it fences itself, and may open none later. */
#include "core-vmm/machine/char_port.h"
#include "core-vmm/host/char_target.h"
#include "core-vmm/machine/core.h"
#include "core-vmm/host/paths.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define BACKOFF_MS 50

struct char_end {
    struct char_port *port; /* NULL: not attached yet */
    int in, out;            /* of the line, until it has them; -1: none */
    unsigned flags;         /* of the line */
    bool raw;               /* the terminal was switched to raw mode */
    struct termios cooked;
    int terminal;
    int slave; /* of the pty: held open, so that it never hangs up */
    char *link;
    int listening;
    GSource *accept;
    guint backoff;
};

static bool failed(GError **error, const char *what)
{
    int e = errno;
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(e), "%s: %s", what, g_strerror(e));
    return false;
}

/* ---- stdio ---- */

static int open_again(int fd, int flags)
{
    struct stat st;
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    int again = -1;
    if (!fstat(fd, &st) && (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)))
        again = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return again >= 0 ? again : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

/* In the background the terminal is not ours: touching it would stop the process. */
static bool owns_terminal(int fd)
{
    return isatty(fd) && tcgetpgrp(fd) == getpgrp();
}

static void go_raw(struct char_end *e)
{
    if (tcgetattr(STDIN_FILENO, &e->cooked))
        return;
    struct termios raw = e->cooked;
    cfmakeraw(&raw);
    raw.c_oflag |= OPOST; /* our own messages on the same terminal keep their line ends */
    e->terminal = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    e->raw = !tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

static bool open_stdio(struct char_end *e, GError **error)
{
    bool terminal = owns_terminal(STDIN_FILENO), readable = terminal || !isatty(STDIN_FILENO);
    int in = readable ? open_again(STDIN_FILENO, O_RDONLY) : -1, out = open_again(STDOUT_FILENO, O_WRONLY);
    if (out < 0) {
        if (in >= 0)
            close(in);
        return failed(error, "stdio");
    }
    if (terminal)
        go_raw(e);
    e->in = in;
    e->out = out;
    e->flags = terminal ? CHAR_LINE_ESCAPES : 0;
    return true;
}

/* ---- pty ---- */

static bool link_pty(struct char_end *e, const char *port, const char *slave, const char *folder, GError **error)
{
    g_autofree char *name = g_path_get_basename(folder), *runtime = paths_runtime_of(name, error);
    if (!runtime)
        return false;
    e->link = g_build_filename(runtime, port, NULL);
    unlink(e->link);
    return !symlink(slave, e->link) || failed(error, e->link);
}

static bool open_pty(struct char_end *e, const char *port, const char *folder, GError **error)
{
    char slave[64];
    struct termios t;
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    bool good = fd >= 0 && !grantpt(fd) && !unlockpt(fd) && !ptsname_r(fd, slave, sizeof slave);
    e->slave = good ? open(slave, O_RDWR | O_NOCTTY | O_CLOEXEC) : -1;
    good = e->slave >= 0 && !tcgetattr(e->slave, &t);
    if (good) {
        cfmakeraw(&t);
        good = !tcsetattr(e->slave, TCSANOW, &t);
    }
    if (!good)
        failed(error, "pty");
    if (good && link_pty(e, port, slave, folder, error)) {
        g_message("%s: %s (%s)", port, e->link, slave);
        e->in = e->out = fd;
        return true;
    }
    if (fd >= 0)
        close(fd);
    return false;
}

/* ---- file, socket ---- */

static char *resolve(const char *path, const char *folder)
{
    return g_path_is_absolute(path) ? g_strdup(path) : g_build_filename(folder, path, NULL);
}

static bool open_file(struct char_end *e, const char *path, GError **error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
    if (fd < 0)
        return failed(error, path);
    e->out = fd;
    return true;
}

static void watch_listening(struct char_end *e);

static gboolean on_backoff(gpointer data)
{
    struct char_end *e = data;
    e->backoff = 0;
    watch_listening(e);
    return G_SOURCE_REMOVE;
}

/* Without descriptors the one who waits stays in the queue, and poll() would say so again and again. */
static void back_off(struct char_end *e)
{
    g_source_destroy(e->accept);
    g_clear_pointer(&e->accept, g_source_unref);
    e->backoff = g_timeout_add(BACKOFF_MS, on_backoff, e);
}

static gboolean on_connect(int listening, GIOCondition condition, gpointer data)
{
    struct char_end *e = data;
    int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
        back_off(e);
    if (fd < 0)
        return G_SOURCE_CONTINUE;
    if (char_clients(e->port))
        close(fd); /* a serial line has one far end */
    else
        char_line_add(e->port, fd, fd, CHAR_LINE_CLIENT);
    return G_SOURCE_CONTINUE;
}

static void watch_listening(struct char_end *e)
{
    e->accept = g_unix_fd_source_new(e->listening, G_IO_IN);
    g_source_set_callback(e->accept, G_SOURCE_FUNC(on_connect), e, NULL);
    g_source_attach(e->accept, NULL);
}

static bool open_listening(struct char_end *e, const char *path, GError **error)
{
    e->listening = socket_listen(path, error);
    if (e->listening < 0)
        return false;
    e->link = g_strdup(path);
    return true;
}

/* ---- all ---- */

static bool open_kind(struct char_end *e, enum char_kind kind, const char *path, const char *port, const char *folder,
                      GError **error)
{
    g_autofree char *full = path ? resolve(path, folder) : NULL;
    switch (kind) {
    case CHAR_STDIO: return open_stdio(e, error);
    case CHAR_PTY: return open_pty(e, port, folder, error);
    case CHAR_FILE: return open_file(e, full, error);
    case CHAR_SOCKET: return open_listening(e, full, error);
    case CHAR_NONE: break;
    }
    return true;
}

struct char_end *char_end_open(const char *port, const char *target, const char *folder, GError **error)
{
    enum char_kind kind;
    const char *path;
    if (!char_target_parse(target, &kind, &path)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    "\"%s\" is no target; use none, stdio, pty, file:PATH or socket:PATH", target);
        return NULL;
    }
    struct char_end *e = g_new0(struct char_end, 1);
    *e = (struct char_end){.in = -1, .out = -1, .slave = -1, .listening = -1, .terminal = -1};
    if (open_kind(e, kind, path, port, folder, error))
        return e;
    char_end_close(e);
    return NULL;
}

void char_end_attach(struct char_end *e, struct char_port *p)
{
    e->port = p;
    if (e->out >= 0)
        char_line_add(p, e->in, e->out, e->flags);
    e->in = e->out = -1;
    if (e->listening >= 0)
        watch_listening(e);
}

const char *char_end_name(const struct char_end *e)
{
    return e->link;
}

static void close_fds(struct char_end *e)
{
    const int fds[] = {e->in, e->out == e->in ? -1 : e->out, e->slave, e->listening, e->terminal};
    for (unsigned i = 0; i < G_N_ELEMENTS(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

void char_end_close(struct char_end *e)
{
    if (!e)
        return;
    if (e->raw)
        tcsetattr(e->terminal, TCSANOW, &e->cooked);
    if (e->accept)
        g_source_destroy(e->accept);
    g_clear_pointer(&e->accept, g_source_unref);
    if (e->backoff)
        g_source_remove(e->backoff);
    close_fds(e);
    if (e->link)
        unlink(e->link); /* in the fence that fails, and somebody else does it */
    g_free(e->link);
    g_free(e);
}
