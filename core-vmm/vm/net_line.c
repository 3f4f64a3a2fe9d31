// SPDX-License-Identifier: GPL-2.0-or-later
/* net_line.c - the VM process' end of net_wire.h.
 *
 * While the network process is there, its socket is `fd`; a card's cable is in from its LINK on.  What the socket has no room
 * for stays in the cable's mailbox, and beyond that is dropped there, so a slow network process holds up nobody. */
#include "core-vmm/vm/net_line.h"
#include "core-vmm/api/net.h"
#include "core-vmm/base/net_wire.h"
#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PACKETS_A_TURN = 64, AT_ONCE_PIECES = 31 };

struct line_card {
    struct net_line *line;
    struct net_cable *cable; /* NULL: its cable is not in */
    struct net_end end;
    uint8_t number;
    bool up;    /* the network process says so */
    bool waits; /* a frame of it was refused for want of room */
};
struct net_line {
    struct machine *machine;
    int fd; /* -1: the network process is down */
    GSource *input, *room;
    struct line_card card[NET_WIRE_CARDS];
    uint8_t packet[NET_WIRE_PACKET_MOST];
};

static void source_stop(GSource **source)
{
    if (*source)
        g_source_destroy(*source);
    g_clear_pointer(source, g_source_unref);
}

/* ---- to the network process ---- */

static gboolean on_room(int fd, GIOCondition condition, gpointer data)
{
    struct net_line *l = data;
    source_stop(&l->room);
    for (struct line_card *k = l->card; k < l->card + NET_WIRE_CARDS; k++)
        if (k->waits && k->cable) {
            k->waits = false;
            net_end_room(k->cable);
        }
    return G_SOURCE_REMOVE;
}

static void wait_for_room(struct line_card *k)
{
    struct net_line *l = k->line;
    k->waits = true;
    if (l->room)
        return;
    l->room = g_unix_fd_source_new(l->fd, G_IO_OUT | G_IO_HUP);
    g_source_set_callback(l->room, G_SOURCE_FUNC(on_room), l, NULL);
    g_source_attach(l->room, NULL);
}

/* False: there is no room.  What cannot be sent for another reason is lost: the process is about to be down. */
static bool send_packet(struct net_line *l, const struct net_wire *head, const void *frame, size_t bytes)
{
    struct iovec iov[] = {{(void *)head, sizeof *head}, {(void *)frame, bytes}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = frame ? 2 : 1};
    return l->fd < 0 || sendmsg(l->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 ||
           (errno != EAGAIN && errno != ENOBUFS && errno != EINTR);
}

/* On a vCPU's thread: writev() is what all threads may do.  Without room it goes the long way, and waits there. */
static bool on_frame_at_once(void *ctx, const struct iovec *iov, int count, const struct net_offload *left)
{
    struct line_card *k = ctx;
    struct net_wire head = net_wire_frame(k->number, left);
    struct iovec all[1 + AT_ONCE_PIECES] = {{&head, sizeof head}};
    if (count > AT_ONCE_PIECES)
        return false;
    memcpy(all + 1, iov, count * sizeof *iov);
    return writev(k->line->fd, all, 1 + count) > 0;
}

static bool on_frame(void *ctx, const void *frame, size_t bytes, const struct net_offload *left)
{
    struct line_card *k = ctx;
    const struct net_wire head = net_wire_frame(k->number, left);
    bool gone = send_packet(k->line, &head, frame, bytes);
    if (!gone)
        wait_for_room(k);
    return gone;
}

/* A message that finds no room is lost: then the process does not read, or 200 frames are before it. */
static void say_can(struct line_card *k, struct net_cable *cable)
{
    send_packet(k->line, &(struct net_wire){NET_WIRE_CAN, k->number, .can = net_card_can(cable)}, NULL, 0);
}

static void on_card_can(void *ctx)
{
    struct line_card *k = ctx;
    say_can(k, k->cable);
}

/* ---- the cable ---- */

static void pull(struct line_card *k)
{
    if (k->cable)
        net_attach(k->cable, NULL);
    k->cable = NULL;
    k->waits = false;
}

/* The card is being taken out. */
static void on_closed(void *ctx)
{
    struct line_card *k = ctx;
    k->cable = NULL;
    k->waits = false;
}

/* Cards may come and go while the machine runs: who is there is looked up by name. */
static struct net_cable *cable_of(struct line_card *k)
{
    g_autofree char *name = g_strdup_printf("nic%u", k->number);
    return machine_cable(k->line->machine, name);
}

static void put_in(struct line_card *k)
{
    struct net_cable *cable = cable_of(k);
    if (!k->up || !cable) {
        pull(k);
        return;
    }
    k->cable = cable;
    net_attach(cable, &k->end);
    say_can(k, cable);
}

static void set_link(struct line_card *k, const struct net_wire *head)
{
    k->up = head->up;
    k->end.can = head->can & (NET_CHECKSUM | NET_TSO4 | NET_TSO6);
    put_in(k);
}

static void on_plug(void *ctx, const char *section)
{
    struct net_line *l = ctx;
    for (struct line_card *k = l->card; k < l->card + NET_WIRE_CARDS; k++)
        if (cable_of(k) && !k->cable)
            put_in(k);
}

/* ---- from the network process ---- */

static void handle(struct net_line *l, const uint8_t *packet, size_t bytes)
{
    struct net_wire head;
    if (bytes < sizeof head)
        return;
    memcpy(&head, packet, sizeof head);
    if (!head.card || head.card > NET_WIRE_CARDS)
        return;
    struct line_card *k = &l->card[head.card - 1];
    struct net_offload left;
    if (head.kind == NET_WIRE_LINK)
        set_link(k, &head);
    else if (k->cable && net_wire_left(&head, &left))
        net_deliver(k->cable, packet + sizeof head, bytes - sizeof head, &left);
}

static gboolean on_input(int fd, GIOCondition condition, gpointer data)
{
    struct net_line *l = data;
    ssize_t n = 1;
    for (unsigned i = 0; i < PACKETS_A_TURN && n > 0; i++) {
        n = recv(fd, l->packet, sizeof l->packet, MSG_DONTWAIT);
        if (n > 0)
            handle(l, l->packet, n);
    }
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
        return G_SOURCE_CONTINUE;
    source_stop(&l->input); /* the keeper will say that it has ended */
    return G_SOURCE_REMOVE;
}

static void on_up(void *ctx, int fd)
{
    struct net_line *l = ctx;
    l->fd = fd;
    l->input = g_unix_fd_source_new(fd, G_IO_IN | G_IO_HUP);
    g_source_set_callback(l->input, G_SOURCE_FUNC(on_input), l, NULL);
    g_source_attach(l->input, NULL);
    for (struct line_card *k = l->card; k < l->card + NET_WIRE_CARDS; k++) {
        struct net_cable *cable = cable_of(k);
        if (cable)
            say_can(k, cable);
    }
}

static void on_down(void *ctx)
{
    struct net_line *l = ctx;
    source_stop(&l->input);
    source_stop(&l->room);
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    for (struct line_card *k = l->card; k < l->card + NET_WIRE_CARDS; k++) {
        k->up = false;
        pull(k);
    }
}

struct net_line *net_line_new(struct machine *m, struct outer *o, unsigned end)
{
    struct net_line *l = g_new0(struct net_line, 1);
    l->machine = m;
    l->fd = -1;
    for (unsigned i = 0; i < NET_WIRE_CARDS; i++) {
        struct line_card *k = &l->card[i];
        k->line = l;
        k->number = i + 1;
        k->end = (struct net_end){on_frame, on_frame_at_once, on_card_can, on_closed, 0, k};
    }
    machine_on_plug(m, on_plug, l);
    outer_listen(o, end, "network", &(struct outer_events){on_up, on_down, l});
    return l;
}

void net_line_free(struct net_line *l)
{
    if (l) {
        machine_on_plug(l->machine, NULL, NULL);
        on_down(l);
    }
    g_free(l);
}
