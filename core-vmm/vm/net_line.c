// SPDX-License-Identifier: GPL-2.0-or-later
/* net_line.c - the VM process' end of net_wire.h.
 *
 * While the network process is there, its socket is `fd`; a card's cable is in from its LINK on.  What the socket has no room
 * for stays in the cable's mailbox, and beyond that is dropped there, so a slow network process holds up nobody.
 *
 * What comes from it is read by the loop thread, or by a halted vCPU as long as that looks for something to do: the loop
 * thread waits by way of an epoll descriptor, which then does not show the socket.  Whoever reads has the lock, so that frames
 * stay in order.  What is not a frame is the loop thread's matter: a vCPU that has read it leaves it in `kept`, and reads on
 * only when that is done. */
#include "core-vmm/vm/net_line.h"
#include "core-vmm/api/net.h"
#include "core-vmm/base/net_wire.h"
#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PACKETS_A_TURN = 64, PACKETS_A_LOOK = 8, AT_ONCE_PIECES = 31 };

struct line_card {
    struct net_line *line;
    struct net_cable *cable; /* NULL: its cable is not in; under line->lock */
    struct net_end end;
    uint8_t number;
    bool up;    /* the network process says so */
    bool waits; /* a frame of it was refused for want of room */
};
struct net_line {
    struct machine *machine;
    int fd;        /* -1: the network process is down; changed under the lock */
    int waits_for; /* the epoll descriptor */
    GSource *input, *room;
    struct line_card card[NET_WIRE_CARDS];
    GMutex lock; /* of reading */
    uint8_t packet[NET_WIRE_PACKET_MOST];
    GBytes *kept;
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
static void say_can(struct line_card *k)
{
    const unsigned all = NET_CHECKSUM | NET_TSO4 | NET_TSO6; /* net_deliver() does what the guest's driver cannot */
    send_packet(k->line, &(struct net_wire){NET_WIRE_CAN, k->number, .can = all}, NULL, 0);
}

/* ---- the cable ---- */

static void set_cable(struct line_card *k, struct net_cable *cable)
{
    g_mutex_lock(&k->line->lock);
    k->cable = cable;
    g_mutex_unlock(&k->line->lock);
    k->waits = false;
}

static void pull(struct line_card *k)
{
    if (k->cable)
        net_attach(k->cable, NULL);
    set_cable(k, NULL);
}

/* The card is being taken out. */
static void on_closed(void *ctx)
{
    set_cable(ctx, NULL);
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
    set_cable(k, cable);
    net_attach(cable, &k->end);
    say_can(k);
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

static struct line_card *card_of(struct net_line *l, const struct net_wire *head)
{
    return head->card && head->card <= NET_WIRE_CARDS ? &l->card[head->card - 1] : NULL;
}

/* Reads a packet, with the lock: a frame goes into its card, another one is kept.  As recv(). */
static ssize_t take(struct net_line *l)
{
    struct net_wire head;
    struct net_offload left;
    ssize_t n = l->fd < 0 ? -1 : read(l->fd, l->packet, sizeof l->packet); /* not recv(): every thread may read */
    if (n < (ssize_t)sizeof head)
        return n;
    memcpy(&head, l->packet, sizeof head);
    struct line_card *k = card_of(l, &head);
    if (head.kind != NET_WIRE_FRAME)
        l->kept = g_bytes_new(l->packet, n);
    else if (k && k->cable && net_wire_left(&head, &left))
        net_deliver(k->cable, l->packet + sizeof head, n - sizeof head, &left);
    return n;
}

static void handle_kept(struct net_line *l)
{
    g_mutex_lock(&l->lock);
    g_autoptr(GBytes) kept = g_steal_pointer(&l->kept);
    g_mutex_unlock(&l->lock);
    const struct net_wire *head = kept ? g_bytes_get_data(kept, NULL) : NULL;
    struct line_card *k = head ? card_of(l, head) : NULL;
    if (k && head->kind == NET_WIRE_LINK)
        set_link(k, head);
}

/* What the loop thread is woken for: packets, or nothing. */
static void wait_for(struct net_line *l, int operation, uint32_t events)
{
    if (l->fd >= 0)
        epoll_ctl(l->waits_for, operation, l->fd, &(struct epoll_event){.events = events});
}

static gboolean on_input(int fd, GIOCondition condition, gpointer data)
{
    struct net_line *l = data;
    ssize_t n = 1;
    for (unsigned i = 0; i < PACKETS_A_TURN && n > 0; i++) {
        handle_kept(l);
        g_mutex_lock(&l->lock);
        n = l->kept ? 1 : take(l); /* a vCPU may have come between */
        g_mutex_unlock(&l->lock);
    }
    if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
        wait_for(l, EPOLL_CTL_DEL, 0); /* the keeper will say that it has ended */
    handle_kept(l);
    return G_SOURCE_CONTINUE;
}

static gboolean on_kept(gpointer line)
{
    handle_kept(line);
    return G_SOURCE_REMOVE;
}

/* ---- by a vCPU that halts ---- */

static void halt_begins(void *ctx)
{
    struct net_line *l = ctx;
    g_mutex_lock(&l->lock);
    wait_for(l, EPOLL_CTL_MOD, 0);
    g_mutex_unlock(&l->lock);
}

static void halt_looks(void *ctx)
{
    struct net_line *l = ctx;
    ssize_t n = 1;
    if (!g_mutex_trylock(&l->lock))
        return;
    for (unsigned i = 0; i < PACKETS_A_LOOK && n > 0 && !l->kept; i++) {
        n = take(l);
        if (n > 0 && l->kept)
            g_idle_add_full(G_PRIORITY_DEFAULT, on_kept, l, NULL);
    }
    g_mutex_unlock(&l->lock);
}

static void halt_ends(void *ctx)
{
    struct net_line *l = ctx;
    g_mutex_lock(&l->lock);
    wait_for(l, EPOLL_CTL_MOD, EPOLLIN);
    g_mutex_unlock(&l->lock);
}

/* ---- the network process comes and goes ---- */

static void on_up(void *ctx, int fd)
{
    struct net_line *l = ctx;
    g_mutex_lock(&l->lock);
    l->fd = fd;
    wait_for(l, EPOLL_CTL_ADD, EPOLLIN);
    g_mutex_unlock(&l->lock);
    for (struct line_card *k = l->card; k < l->card + NET_WIRE_CARDS; k++) {
        if (cable_of(k))
            say_can(k);
    }
}

/* The cables first: a vCPU may be writing to the socket until they are out. */
static void on_down(void *ctx)
{
    struct net_line *l = ctx;
    for (struct line_card *k = l->card; k < l->card + NET_WIRE_CARDS; k++) {
        k->up = false;
        pull(k);
    }
    source_stop(&l->room);
    g_mutex_lock(&l->lock);
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    g_clear_pointer(&l->kept, g_bytes_unref);
    g_mutex_unlock(&l->lock);
}

struct net_line *net_line_new(struct machine *m, struct outer *o, unsigned end)
{
    struct net_line *l = g_new0(struct net_line, 1);
    l->machine = m;
    l->fd = -1;
    l->waits_for = epoll_create1(EPOLL_CLOEXEC);
    g_mutex_init(&l->lock);
    l->input = g_unix_fd_source_new(l->waits_for, G_IO_IN);
    g_source_set_callback(l->input, G_SOURCE_FUNC(on_input), l, NULL);
    g_source_attach(l->input, NULL);
    for (unsigned i = 0; i < NET_WIRE_CARDS; i++) {
        struct line_card *k = &l->card[i];
        k->line = l;
        k->number = i + 1;
        k->end = (struct net_end){on_frame, on_frame_at_once, on_closed, 0, k};
    }
    machine_on_plug(m, on_plug, l);
    machine_on_halt(m, (struct halt_hook){halt_begins, halt_looks, halt_ends, l});
    outer_listen(o, end, "network", &(struct outer_events){on_up, on_down, l});
    return l;
}

void net_line_free(struct net_line *l)
{
    if (!l)
        return;
    machine_on_plug(l->machine, NULL, NULL);
    machine_on_halt(l->machine, (struct halt_hook){0});
    on_down(l);
    source_stop(&l->input);
    while (g_idle_remove_by_data(l))
        ;
    close(l->waits_for);
    g_mutex_clear(&l->lock);
    g_free(l);
}
