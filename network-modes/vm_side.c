// SPDX-License-Identifier: GPL-2.0-or-later
/* vm_side.c - the network process' end of net_wire.h.  The VM process is in its guest's hands: a packet that is not what it
 * should be is dropped, and the worst that it can do is to have no network. */
#include "network-modes/process.h"
#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>

enum { BATCH = 32, TURNS = 4, FRAME_AT = 32 };
G_STATIC_ASSERT(FRAME_AT >= MODE_ROOM + sizeof(struct net_wire));

/* A packet's header and frame are received apart, so that the frame has room before it. */
struct packet {
    struct net_wire head;
    uint8_t room[FRAME_AT - sizeof(struct net_wire)];
    uint8_t frame[NET_WIRE_PACKET_MOST];
};
struct vm_side {
    struct net_process *process;
    int fd;
    GSource *source, *room;                 /* room: NULL while nothing is untold */
    struct net_wire untold[NET_WIRE_CARDS]; /* by card: a link that there was no room to tell of; kind 0: none */
    struct packet packet[BATCH];
    struct iovec iov[BATCH][2];
    struct mmsghdr message[BATCH];
};

/* ---- to the VM process ---- */

static bool send_packet(struct vm_side *v, const struct net_wire *head, const uint8_t *frame, size_t bytes)
{
    struct iovec iov[] = {{(void *)head, sizeof *head}, {(void *)frame, bytes}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = frame ? 2 : 1};
    return sendmsg(v->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

bool vm_side_frame(struct vm_side *v, const struct net_port *to, const uint8_t *frame, size_t bytes,
                   const struct net_offload *left)
{
    const struct net_wire head = net_wire_frame(to->number, left);
    return send_packet(v, &head, frame, bytes);
}

static void wait_for_room(struct vm_side *v);

/* False: there is no room yet.  Of a link the VM process must hear: what is lost otherwise is a cable pulled that stays in. */
static bool tell_links(struct vm_side *v)
{
    for (struct net_wire *w = v->untold; w < v->untold + NET_WIRE_CARDS; w++) {
        if (w->kind && !send_packet(v, w, NULL, 0) && errno == EAGAIN) {
            wait_for_room(v);
            return false;
        }
        w->kind = 0;
    }
    return true;
}

static gboolean on_room(int fd, GIOCondition condition, gpointer data)
{
    struct vm_side *v = data;
    if (!tell_links(v))
        return G_SOURCE_CONTINUE;
    g_clear_pointer(&v->room, g_source_unref);
    return G_SOURCE_REMOVE;
}

static void wait_for_room(struct vm_side *v)
{
    if (v->room)
        return;
    v->room = g_unix_fd_source_new(v->fd, G_IO_OUT);
    g_source_set_callback(v->room, G_SOURCE_FUNC(on_room), v, NULL);
    g_source_attach(v->room, NULL);
}

void vm_side_link(struct vm_side *v, const struct net_port *to, bool up, unsigned can)
{
    const struct net_wire head = {.kind = NET_WIRE_LINK, .card = to->number, .up = up, .can = can};
    v->untold[to->number - 1] = head; /* an older one no longer counts */
    if (!v->room)
        tell_links(v);
}

/* ---- from it ---- */

static void handle(struct vm_side *v, struct packet *packet, size_t bytes)
{
    const struct net_wire *w = &packet->head;
    if (bytes < sizeof *w || !w->card || w->card > NET_WIRE_CARDS || !v->process->port[w->card - 1].name)
        return;
    struct net_port *p = &v->process->port[w->card - 1];
    struct net_offload left;
    if (w->kind == NET_WIRE_CAN)
        port_guest_said(p, w->can & (NET_CHECKSUM | NET_TSO4 | NET_TSO6));
    else if (net_wire_left(w, &left))
        port_from_guest(p, packet->frame, bytes - sizeof *w, &left);
}

/* How many packets came; 0: none now; -1: the VM process has gone. */
static int receive(struct vm_side *v)
{
    int n = recvmmsg(v->fd, v->message, BATCH, MSG_DONTWAIT, NULL);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    for (int i = 0; i < n; i++) {
        if (!v->message[i].msg_len)
            return -1;
        if (!(v->message[i].msg_hdr.msg_flags & MSG_TRUNC))
            handle(v, &v->packet[i], v->message[i].msg_len);
    }
    return n;
}

static gboolean on_input(int fd, GIOCondition condition, gpointer data)
{
    struct vm_side *v = data;
    int n = BATCH;
    for (unsigned turn = 0; turn < TURNS && n == BATCH; turn++)
        n = receive(v);
    if (n >= 0)
        return G_SOURCE_CONTINUE;
    v->process->ended = true;
    return G_SOURCE_REMOVE;
}

struct vm_side *vm_side_new(struct net_process *p)
{
    struct vm_side *v = g_new0(struct vm_side, 1);
    v->process = p;
    v->fd = p->wire;
    for (unsigned i = 0; i < BATCH; i++) {
        v->iov[i][0] = (struct iovec){&v->packet[i].head, sizeof v->packet[i].head};
        v->iov[i][1] = (struct iovec){v->packet[i].frame, sizeof v->packet[i].frame};
        v->message[i].msg_hdr = (struct msghdr){.msg_iov = v->iov[i], .msg_iovlen = 2};
    }
    v->source = g_unix_fd_source_new(v->fd, G_IO_IN | G_IO_HUP);
    g_source_set_callback(v->source, G_SOURCE_FUNC(on_input), v, NULL);
    g_source_attach(v->source, NULL);
    return v;
}

void vm_side_free(struct vm_side *v)
{
    g_source_destroy(v->source);
    g_source_unref(v->source);
    if (v->room)
        g_source_destroy(v->room);
    g_clear_pointer(&v->room, g_source_unref);
    g_free(v);
}
