// SPDX-License-Identifier: GPL-2.0-or-later
/* tunnel.c - see tunnel.h.  The socket is connected, so the kernel drops what comes from elsewhere. */
#include "network-modes/tunnel.h"
#include "network-modes/frame.h"
#include <arpa/inet.h>
#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { AT_ONCE = 64, BUFFER = 1 << 20 };

struct tunnel {
    int fd;
    GSource *source;
    void (*frame)(void *ctx, const void *frame, size_t bytes);
    void *ctx;
    struct tunnel_counts counts;
    uint8_t packet[NET_FRAME_MOST];
};

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static bool port_of(const char *text, uint16_t *port)
{
    guint64 n;
    bool good = g_ascii_string_to_unsigned(text, 10, 1, UINT16_MAX, &n, NULL);
    *port = htons(good ? n : 0);
    return good;
}

/* "A.B.C.D:PORT" or "[IPV6]:PORT". */
static bool address_parse(const char *text, union address *a)
{
    const char *colon = strrchr(text, ':');
    g_autofree char *host = colon ? g_strndup(text, colon - text) : NULL;
    size_t n = host ? strlen(host) : 0;
    memset(a, 0, sizeof *a);
    if (!host)
        return false;
    if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
        host[n - 1] = 0;
        a->v6.sin6_family = AF_INET6;
        return inet_pton(AF_INET6, host + 1, &a->v6.sin6_addr) == 1 && port_of(colon + 1, &a->v6.sin6_port);
    }
    a->v4.sin_family = AF_INET;
    return inet_pton(AF_INET, host, &a->v4.sin_addr) == 1 && port_of(colon + 1, &a->v4.sin_port);
}

static socklen_t address_bytes(const union address *a)
{
    return a->any.sa_family == AF_INET6 ? sizeof a->v6 : sizeof a->v4;
}

static gboolean on_packets(gint fd, GIOCondition condition, gpointer data)
{
    struct tunnel *t = data;
    for (unsigned i = 0; i < AT_ONCE; i++) {
        ssize_t n = recv(fd, t->packet, sizeof t->packet, MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0 && errno != ECONNREFUSED) /* the peer is not there (yet); the rest is of the same kind */
            break;
        if (n >= 0 && (n > (ssize_t)sizeof t->packet || !frame_good(t->packet, n, NULL))) {
            t->counts.broken++;
        } else if (n >= 0) {
            t->counts.received++;
            t->frame(t->ctx, t->packet, n);
        }
    }
    return G_SOURCE_CONTINUE;
}

static int open_socket(unsigned local, const union address *peer, GError **error)
{
    union address own = {.any.sa_family = peer->any.sa_family};
    int fd = socket(own.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), buffer = BUFFER;
    if (own.any.sa_family == AF_INET6)
        own.v6.sin6_port = htons(local);
    else
        own.v4.sin_port = htons(local);
    if (fd < 0 || bind(fd, &own.any, address_bytes(&own))) {
        int e = errno;
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(e), "UDP port %u on this host: %s%s", local, g_strerror(e),
                    e == EADDRINUSE ? "; another program or VM has it: choose another local-port" : "");
    } else if (connect(fd, &peer->any, address_bytes(peer))) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "the UDP tunnel's peer cannot be reached: %s",
                    g_strerror(errno));
    } else {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

struct tunnel *tunnel_open(unsigned local, const char *peer, void (*frame)(void *ctx, const void *frame, size_t bytes),
                           void *ctx, GError **error)
{
    union address a;
    if (!local || local > UINT16_MAX || !address_parse(peer, &a)) {
        g_set_error(
            error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
            "a UDP tunnel needs local-port, 1 to 65535, and peer, an address with a port like 192.0.2.7:4000 or "
            "[2001:db8::7]:4000, not \"%s\"",
            peer);
        return NULL;
    }
    int fd = open_socket(local, &a, error);
    if (fd < 0)
        return NULL;
    struct tunnel *t = g_new0(struct tunnel, 1);
    t->fd = fd;
    t->frame = frame;
    t->ctx = ctx;
    t->source = g_unix_fd_source_new(fd, G_IO_IN);
    g_source_set_callback(t->source, G_SOURCE_FUNC(on_packets), t, NULL);
    g_source_attach(t->source, g_main_context_get_thread_default());
    return t;
}

void tunnel_close(struct tunnel *t)
{
    if (!t)
        return;
    g_source_destroy(t->source);
    g_source_unref(t->source);
    close(t->fd);
    g_free(t);
}

void tunnel_send(struct tunnel *t, const void *frame, size_t bytes)
{
    bool gone = send(t->fd, frame, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
    t->counts.sent += gone;
    t->counts.full += !gone;
}

void tunnel_count(const struct tunnel *t, struct tunnel_counts *out)
{
    *out = t->counts;
}
