// SPDX-License-Identifier: GPL-2.0-or-later
/* serial_line.c - see serial_line.h. */
#include "gui/manager/serial_line.h"
#include "core-vmm/control/answer.h"
#include "core-vmm/control/client.h"
#include <errno.h>
#include <glib-unix.h>
#include <glib/gi18n.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REPLAY_BYTES = 64 << 10, PIECE = 16 << 10, WAITING_MOST = 64 << 10 };

struct serial_line {
    struct serial_line_calls calls;
    struct client *client; /* it stays: its end is the machine's */
    int fd;                /* -1: not yet */
    guint in, out, failed; /* sources; 0: none */
    GByteArray *waiting;   /* to be sent */
    char *problem;
};

static void stop(struct serial_line *l)
{
    if (l->in)
        g_source_remove(l->in);
    if (l->out)
        g_source_remove(l->out);
    l->in = l->out = 0;
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    g_clear_pointer(&l->client, client_free);
}

static void end(struct serial_line *l, const char *problem)
{
    stop(l);
    l->calls.ended(l->calls.ctx, problem);
}

/* ---- both ways ---- */

static gboolean on_readable(int fd, GIOCondition why, gpointer line)
{
    struct serial_line *l = line;
    uint8_t data[PIECE];
    ssize_t n = recv(fd, data, sizeof data, MSG_DONTWAIT);
    if (n > 0) {
        l->calls.said(l->calls.ctx, data, (gsize)n);
        return G_SOURCE_CONTINUE;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    l->in = 0;
    end(l, NULL);
    return G_SOURCE_REMOVE;
}

/* False: some of it waits still. */
static bool flush(struct serial_line *l)
{
    while (l->waiting->len) {
        ssize_t n = send(l->fd, l->waiting->data, l->waiting->len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return false;
        if (n < 0 && errno != EINTR)
            g_byte_array_set_size(l->waiting, 0); /* the other direction tells of the end */
        else if (n > 0)
            g_byte_array_remove_range(l->waiting, 0, (guint)n);
    }
    return true;
}

static gboolean on_writable(int fd, GIOCondition why, gpointer line)
{
    struct serial_line *l = line;
    if (!flush(l))
        return G_SOURCE_CONTINUE;
    l->out = 0;
    return G_SOURCE_REMOVE;
}

void serial_line_send(struct serial_line *l, const char *text, gsize n)
{
    if (l->fd < 0 || l->waiting->len + n > WAITING_MOST)
        return;
    g_byte_array_append(l->waiting, (const guint8 *)text, (guint)n);
    if (!l->out && !flush(l))
        l->out = g_unix_fd_add(l->fd, G_IO_OUT, on_writable, l);
}

/* ---- its beginning ---- */

static void on_open(void *ctx, JsonObject *result, int *fds, unsigned fd_count, const GError *error)
{
    struct serial_line *l = ctx;
    if (error || fd_count != 1 || !answer_is_stream(fds[0])) {
        bool gone = g_error_matches(error, CONTROL_ERROR, CONTROL_CLOSED);
        end(l, gone ? NULL : error ? error->message : _("the machine's process sent no serial line"));
        return;
    }
    l->fd = fds[0];
    fds[0] = -1;
    /* Below what draws: a guest that floods it stops no window. */
    l->in = g_unix_fd_add_full(G_PRIORITY_DEFAULT_IDLE, l->fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, l, NULL);
}

static void on_event(void *ctx, const char *event, JsonObject *data, int *fds, unsigned fd_count)
{
}

static void on_closed(void *ctx, const GError *error)
{
    struct serial_line *l = ctx;
    g_clear_pointer(&l->client, client_free);
    if (l->fd < 0)
        end(l, NULL); /* else what it has said last is to be read yet */
}

static gboolean on_failed(gpointer line)
{
    struct serial_line *l = line;
    g_autofree char *problem = g_steal_pointer(&l->problem);
    l->failed = 0;
    end(l, problem);
    return G_SOURCE_REMOVE;
}

struct serial_line *serial_line_new(const char *machine, const char *port, const struct serial_line_calls *calls)
{
    struct serial_line *l = g_new0(struct serial_line, 1);
    g_autoptr(GError) error = NULL;
    l->calls = *calls;
    l->fd = -1;
    l->waiting = g_byte_array_new();
    l->client = client_connect_now(machine, &error);
    if (!l->client) {
        l->problem = g_strdup(error->message);
        l->failed = g_idle_add(on_failed, l);
        return l;
    }
    JsonObject *args = json_object_new();
    json_object_set_string_member(args, "device", port);
    json_object_set_int_member(args, "replay", REPLAY_BYTES);
    client_attach(l->client, NULL, on_event, on_closed, l);
    client_send(l->client, "serial.open", args, on_open, l);
    return l;
}

void serial_line_free(struct serial_line *l)
{
    if (!l)
        return;
    stop(l);
    if (l->failed)
        g_source_remove(l->failed);
    g_byte_array_unref(l->waiting);
    g_free(l->problem);
    g_free(l);
}
