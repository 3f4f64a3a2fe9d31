// SPDX-License-Identifier: GPL-2.0-or-later
/* nat_passt.c - NAT by passt in the place of libslirp: frames over a stream socket, each after its length (passt(1), as QEMU's
 * -netdev stream has them).  What passt takes only a part of is kept, and frames that come meanwhile are lost, as on any network.
 * When it ends, the cable is out until it runs again. */
#include "core-vmm/base/bytes.h"
#include "core-vmm/base/net_offload.h"
#include "network-modes/nat.h"
#include "network-modes/passt_host.h"
#include "network-modes/process.h"
#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LENGTH = 4,
    FRAME_LEAST = 14,
    FRAME_MOST = 65535,
    ROOM = 4 * (LENGTH + FRAME_MOST),
    AGAIN_MS = 2500,
    AGAIN_MOST_MS = 20000,
    READS = 8
};

struct nat_passt {
    struct nat *nat;
    struct passt_request request;
    int fd; /* -1: it does not run */
    GSource *input, *output, *again;
    guint again_ms;   /* the next wait for a start */
    char *why;        /* it did not run the last time; NULL: it did */
    GByteArray *rest; /* of a frame for it */
    size_t have;      /* bytes of what came */
    uint8_t came[ROOM];
};

static void source_stop(GSource **source)
{
    if (*source)
        g_source_destroy(*source);
    g_clear_pointer(source, g_source_unref);
}

static void hang_up(struct nat_passt *p)
{
    source_stop(&p->input);
    source_stop(&p->output);
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    p->have = 0;
    g_byte_array_set_size(p->rest, 0);
}

static gboolean on_again(gpointer data)
{
    struct nat_passt *p = data;
    source_stop(&p->again);
    nat_passt_restart(p);
    return G_SOURCE_REMOVE;
}

static void gone(struct nat_passt *p, const char *why)
{
    hang_up(p);
    if (g_strcmp0(p->why, why))
        port_log(p->nat->port, "passt %s", why);
    g_free(p->why);
    p->why = g_strdup(why);
    port_link(p->nat->port, false);
    p->again = g_timeout_source_new(p->again_ms);
    p->again_ms = MIN(p->again_ms * 2, AGAIN_MOST_MS);
    g_source_set_callback(p->again, on_again, p, NULL);
    g_source_attach(p->again, NULL);
}

/* ---- from it ---- */

/* False: this is no stream of frames. */
static bool take_frames(struct nat_passt *p)
{
    size_t at = 0;
    while (p->have - at >= LENGTH) {
        uint32_t n = get_be32(p->came + at);
        if (n < FRAME_LEAST || n > FRAME_MOST)
            return false;
        if (p->have - at - LENGTH < n)
            break;
        nat_to_guest(p->nat, p->came + at + LENGTH, n);
        at += LENGTH + n;
    }
    memmove(p->came, p->came + at, p->have - at);
    p->have -= at;
    return true;
}

static gboolean on_input(int fd, GIOCondition condition, gpointer data)
{
    struct nat_passt *p = data;
    for (unsigned i = 0; i < READS; i++) {
        ssize_t n = recv(fd, p->came + p->have, ROOM - p->have, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return G_SOURCE_CONTINUE;
        p->have += MAX(n, 0);
        if (n <= 0 || !take_frames(p)) {
            gone(p, "has ended; it is started again");
            return G_SOURCE_REMOVE;
        }
    }
    return G_SOURCE_CONTINUE;
}

/* ---- to it ---- */

static gboolean on_output(int fd, GIOCondition condition, gpointer data)
{
    struct nat_passt *p = data;
    ssize_t n = send(fd, p->rest->data, p->rest->len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0)
        g_byte_array_remove_range(p->rest, 0, (guint)n);
    if (p->rest->len)
        return G_SOURCE_CONTINUE;
    g_clear_pointer(&p->output, g_source_unref);
    return G_SOURCE_REMOVE;
}

static GSource *watch(struct nat_passt *p, GIOCondition condition, GUnixFDSourceFunc fn)
{
    GSource *s = g_unix_fd_source_new(p->fd, condition);
    g_source_set_callback(s, G_SOURCE_FUNC(fn), p, NULL);
    g_source_attach(s, NULL);
    return s;
}

static void keep_rest(struct nat_passt *p, const uint8_t *length, const uint8_t *frame, size_t bytes, size_t sent)
{
    if (sent < LENGTH)
        g_byte_array_append(p->rest, length + sent, (guint)(LENGTH - sent));
    size_t of_frame = sent > LENGTH ? sent - LENGTH : 0;
    g_byte_array_append(p->rest, frame + of_frame, (guint)(bytes - of_frame));
    p->output = watch(p, G_IO_OUT, on_output);
}

void nat_passt_send(struct nat_passt *p, const uint8_t *frame, size_t bytes)
{
    uint8_t length[LENGTH];
    struct iovec iov[] = {{length, LENGTH}, {(void *)frame, bytes}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    put_be32(length, (uint32_t)bytes);
    bool may = p->fd >= 0 && !p->rest->len && bytes <= FRAME_MOST;
    ssize_t n = may ? sendmsg(p->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) : -1;
    if (n < 0)
        port_dropped(p->nat->port, bytes > FRAME_MOST ? "no frame" : "passt is slow");
    else if ((size_t)n < LENGTH + bytes)
        keep_rest(p, length, frame, bytes, (size_t)n);
}

/* ---- starting ---- */

void nat_passt_restart(struct nat_passt *p)
{
    struct nat *n = p->nat;
    struct passt_reply reply;
    g_autofree char *forwards = nat_forwards_wanted(n);
    hang_up(p);
    source_stop(&p->again);
    g_strlcpy(p->request.forwards, forwards, sizeof p->request.forwards);
    p->fd = passt_host_start(port_passt(n->port), &p->request, &reply);
    if (p->fd < 0) {
        g_autofree char *why =
            reply.error == EPIPE ? g_strdup("cannot be started: the process that does it has ended, "
                                            "until the machine's next start")
            : reply.error ? g_strdup_printf("cannot be started: %s; that is tried again", g_strerror(reply.error))
                          : g_strdup("does not start, as where the host has no default route; that is tried again");
        gone(p, why);
        return;
    }
    if (p->why)
        port_log(n->port, "passt runs again");
    g_clear_pointer(&p->why, g_free);
    p->again_ms = AGAIN_MS;
    nat_forwards_told(n, reply.forward, PASST_FORWARDS);
    p->input = watch(p, G_IO_IN | G_IO_HUP | G_IO_ERR, on_input);
    port_link(n->port, true);
}

struct nat_passt *nat_passt_new(struct nat *n, GError **error)
{
    if (!port_passt(n->port)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                    "nat-backend = passt needs the program passt (Debian's package of that name), and counts from the "
                    "machine's "
                    "start: install it and start the machine anew, or take libslirp");
        return NULL;
    }
    if (n->tftp || n->bootfile) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                    "passt has no TFTP server: with tftp or bootfile take nat-backend = libslirp");
        return NULL;
    }
    struct nat_passt *p = g_new0(struct nat_passt, 1);
    p->nat = n;
    p->fd = -1;
    p->again_ms = AGAIN_MS;
    p->rest = g_byte_array_new();
    p->request = (struct passt_request){.card = port_number(n->port),
                                        .range = {ntohl(n->network.s_addr), ntohl(n->mask.s_addr)},
                                        .ipv6 = n->ipv6,
                                        .host_reachable = n->host_reachable};
    return p;
}

void nat_passt_free(struct nat_passt *p)
{
    if (!p)
        return;
    hang_up(p);
    source_stop(&p->again);
    g_byte_array_unref(p->rest);
    g_free(p->why);
    g_free(p);
}
