// SPDX-License-Identifier: GPL-2.0-or-later
/* server.c - the VM's side of the control socket: who may connect, how many, and who hears of events.  Clients may be
 * hostile or just slow: whatever one of them makes this process hold is counted, for the client and in all
 * (docs/control.md has the table).
 *
 * When all places are taken, or all descriptors, a few reserved connections are left, which live shortly and may only ask
 * `info` and `stop`: a machine can always be stopped. */
#include "core-vmm/control/serving.h"
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS_MAX  64
#define RESERVED_MAX 8
#define RESERVED_US  (200 * 1000) /* that a reserved connection surely has */
#define BACKOFF_MS   50
#define DRAIN_US     (200 * 1000)

int server_spare_descriptor(struct server *s)
{
    return fcntl(s->fd, F_DUPFD_CLOEXEC, 3);
}

/* The process at the other end; 0: it is nobody's business here. */
static pid_t peer_welcome(int fd)
{
    struct ucred peer;
    socklen_t n = sizeof peer;
    bool known = !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n);
    return known && (peer.uid == geteuid() || peer.uid == 0) ? MAX(peer.pid, 1) : 0;
}

static unsigned count(const struct server *s, bool reserved)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->connections->len; i++)
        n += ((struct connection *)s->connections->pdata[i])->reserved == reserved;
    return n;
}

/* Makes a reserved place free, if one has been used long enough. */
static bool evict(struct server *s)
{
    struct connection *oldest = NULL;
    for (unsigned i = 0; i < s->connections->len; i++) {
        struct connection *n = s->connections->pdata[i];
        if (n->reserved && (!oldest || n->since < oldest->since))
            oldest = n;
    }
    if (!oldest || g_get_monotonic_time() - oldest->since < RESERVED_US)
        return false;
    connection_refuse(oldest, NULL, CONTROL_BUSY, "the VM process has as many clients as it can have");
    wire_flush(&oldest->wire);
    connection_end(oldest);
    return true;
}

static void accept_again(struct server *s);

static gboolean on_backoff(gpointer data)
{
    struct server *s = data;
    s->backoff = 0;
    accept_again(s);
    return G_SOURCE_REMOVE;
}

/* Who waits in the kernel's queue keeps the listening socket ready: looking at once would be a loop without end. */
static void back_off(struct server *s)
{
    g_source_destroy(s->accept);
    g_clear_pointer(&s->accept, g_source_unref);
    s->backoff = g_timeout_add(BACKOFF_MS, on_backoff, s);
}

static bool out_of_descriptors(int e)
{
    return e == EMFILE || e == ENFILE || e == ENOBUFS || e == ENOMEM;
}

/* With the last descriptor, if there is no other: reserved then. */
static int accept_one(struct server *s, bool *reserved)
{
    int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0 || !out_of_descriptors(errno) || s->spare < 0)
        return fd;
    close(s->spare);
    s->spare = -1;
    *reserved = true;
    return accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static gboolean on_accept(int listening, GIOCondition condition, gpointer data)
{
    struct server *s = data;
    bool reserved = count(s, false) >= CLIENTS_MAX;
    if (reserved && count(s, true) >= RESERVED_MAX && !evict(s)) {
        back_off(s);
        return G_SOURCE_CONTINUE;
    }
    int fd = accept_one(s, &reserved);
    pid_t peer = fd >= 0 ? peer_welcome(fd) : 0;
    if (peer)
        connection_new(s, fd, peer, reserved);
    else if (fd >= 0)
        close(fd);
    else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED && !evict(s))
        back_off(s);
    if (s->spare < 0)
        s->spare = server_spare_descriptor(s);
    return G_SOURCE_CONTINUE;
}

static void accept_again(struct server *s)
{
    s->accept = g_unix_fd_source_new(s->fd, G_IO_IN);
    g_source_set_callback(s->accept, G_SOURCE_FUNC(on_accept), s, NULL);
    g_source_attach(s->accept, NULL);
}

struct server *server_new(const struct server_options *o, int listening, const char *path)
{
    struct server *s = g_new0(struct server, 1);
    s->o = *o;
    s->path = g_strdup(path);
    s->fd = listening;
    s->connections = g_ptr_array_new_with_free_func(connection_free);
    s->listeners = g_array_new(FALSE, FALSE, sizeof(struct listener));
    s->spare = server_spare_descriptor(s);
    accept_again(s);
    return s;
}

static gboolean on_after(gpointer data)
{
    struct server *s = data;
    s->after = 0;
    s->after_fn(s);
    return G_SOURCE_REMOVE;
}

void server_after(struct server *s, unsigned seconds, void (*fn)(struct server *s))
{
    if (s->after)
        g_source_remove(s->after);
    s->after_fn = fn;
    s->after = fn ? g_timeout_add_seconds(seconds, on_after, s) : 0;
}

const struct server_options *server_options_of(struct server *s)
{
    return &s->o;
}

void server_free(struct server *s)
{
    if (!s)
        return;
    server_after(s, 0, NULL);
    g_ptr_array_unref(s->connections);
    g_array_unref(s->listeners);
    if (s->accept)
        g_source_destroy(s->accept);
    g_clear_pointer(&s->accept, g_source_unref);
    if (s->backoff)
        g_source_remove(s->backoff);
    if (s->spare >= 0)
        close(s->spare);
    if (s->path)
        unlink(s->path);
    close(s->fd);
    g_free(s->path);
    g_free(s);
}

void server_broadcast(struct server *s, const char *event, JsonObject *data)
{
    for (unsigned i = 0; i < s->connections->len; i++)
        connection_event(s->connections->pdata[i], event, json_object_ref(data), -1);
    json_object_unref(data);
}

void server_drain(struct server *s)
{
    gint64 end = g_get_monotonic_time() + DRAIN_US;
    bool waits = true;
    while (waits && g_get_monotonic_time() < end) {
        waits = false;
        for (unsigned i = 0; i < s->connections->len; i++) {
            struct connection *n = s->connections->pdata[i];
            waits |= wire_flush(&n->wire) && n->wire.out.length;
        }
        if (waits)
            g_usleep(1000);
    }
}

unsigned server_owning(struct server *s, const char *key)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->connections->len; i++)
        n += connection_data(s->connections->pdata[i], key) != NULL;
    return n;
}
