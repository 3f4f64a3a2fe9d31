// SPDX-License-Identifier: GPL-2.0-or-later
/* net.c - the cable of api/net.h: a mailbox each way.  A block is a struct net_offload and the frame behind it. */
#include "core-vmm/api/net.h"
#include "core-vmm/machine/core.h"
#include "core-vmm/machine/mailbox.h"
#include <stdatomic.h>
#include <string.h>

#define WAITING (1u << 20)            /* bytes each way */
#define BLOCK   (2u * NET_FRAME_MOST) /* a frame, also if it has to be cut up */

struct net_cable {
    struct device *device;
    const struct net_card *card;
    const struct net_end *end; /* loop thread */
    _Atomic bool link, wants_room;
    _Atomic unsigned card_can, end_can;
    struct mailbox *to_end, *to_card;
    _Atomic uint64_t sent, sent_dropped, received, received_dropped;
};

static void tell_room(struct net_cable *c)
{
    dev_lock(c->device);
    c->card->room(c->device);
    dev_unlock(c->device);
}

static bool give_to_end(void *ctx, const void *data, size_t bytes)
{
    struct net_cable *c = ctx;
    struct net_offload left;
    if (mailbox_bytes(c->to_end) <= WAITING / 2 && atomic_exchange(&c->wants_room, false))
        tell_room(c);
    if (!c->end)
        return true;
    memcpy(&left, data, sizeof left);
    return c->end->frame(c->end->ctx, (const uint8_t *)data + sizeof left, bytes - sizeof left, &left);
}

static bool give_frame(struct net_cable *c, const void *frame, size_t bytes, const struct net_offload *left)
{
    dev_lock(c->device);
    bool taken = c->card->frame(c->device, frame, bytes, left);
    dev_unlock(c->device);
    atomic_fetch_add(&c->received, taken);
    return taken;
}

static bool give_to_card(void *ctx, const void *data, size_t bytes)
{
    struct net_offload left;
    memcpy(&left, data, sizeof left);
    return give_frame(ctx, (const uint8_t *)data + sizeof left, bytes - sizeof left, &left);
}

struct net_cable *net_open(struct device *d, const struct net_card *card)
{
    struct net_cable *c = g_new0(struct net_cable, 1);
    c->device = d;
    c->card = card;
    c->to_end = mailbox_new(give_to_end, c, WAITING);
    c->to_card = mailbox_new(give_to_card, c, WAITING);
    d->core->cable = c;
    return c;
}

void net_close(struct net_cable *c)
{
    c->device->core->cable = NULL;
    if (c->end && c->end->closed)
        c->end->closed(c->end->ctx);
    mailbox_free(c->to_end);
    mailbox_free(c->to_card);
    g_free(c);
}

void net_can(struct net_cable *c, unsigned offloads)
{
    atomic_store(&c->card_can, offloads);
}

unsigned net_end_can(struct net_cable *c)
{
    return atomic_load(&c->end_can);
}

bool net_link(struct net_cable *c)
{
    return atomic_load(&c->link);
}

static size_t iov_bytes(const struct iovec *iov, int count)
{
    size_t n = 0;
    for (int i = 0; i < count; i++)
        n += iov[i].iov_len;
    return n;
}

static bool is_frame(const struct net_cable *c, size_t bytes)
{
    return atomic_load(&c->link) && bytes >= NET_FRAME_LEAST && bytes <= NET_FRAME_MOST;
}

/* Can the other side do what is left of it? */
static bool leaves(const struct net_offload *left, unsigned can)
{
    unsigned needs = left ? (left->segments ? left->segments : left->checksum ? NET_CHECKSUM : 0) : 0;
    return !(needs & ~can);
}

static bool put(struct mailbox *to, const struct iovec *iov, int count, const struct net_offload *left)
{
    struct net_offload none = {0};
    g_autofree struct iovec *all = g_new(struct iovec, count + 1);
    all[0] = (struct iovec){(void *)(left ? left : &none), sizeof none};
    memcpy(all + 1, iov, count * sizeof *iov);
    return mailbox_put(to, all, count + 1);
}

/* net_attach() changes the end with the device's lock held, as we have it. */
static bool send_at_once(struct net_cable *c, const struct iovec *iov, int count, const struct net_offload *left)
{
    static const struct net_offload none;
    return c->end->at_once && mailbox_empty(c->to_end) && c->end->at_once(c->end->ctx, iov, count, left ? left : &none);
}

static bool put_one(struct net_cable *c, const struct iovec *iov, int count, const struct net_offload *left)
{
    bool gone = send_at_once(c, iov, count, left) || put(c->to_end, iov, count, left);
    atomic_fetch_add(gone ? &c->sent : &c->sent_dropped, 1);
    return gone;
}

static void put_segment(void *ctx, uint8_t *frame, size_t bytes)
{
    put_one(ctx, &(struct iovec){frame, bytes}, 1, NULL);
}

/* What the far end cannot do is done first.  False: the frame is not what is said about it. */
static bool put_finished(struct net_cable *c, const struct iovec *iov, int count, const struct net_offload *left)
{
    size_t bytes = iov_bytes(iov, count), at = 0;
    g_autofree uint8_t *flat = g_malloc(bytes);
    for (int i = 0; i < count; at += iov[i++].iov_len)
        memcpy(flat + at, iov[i].iov_base, iov[i].iov_len);
    if (left->segments)
        return offload_cut(flat, bytes, left, put_segment, c);
    bool good = offload_checksum(flat, bytes, left);
    if (good)
        put_one(c, &(struct iovec){flat, bytes}, 1, NULL);
    return good;
}

void net_send(struct net_cable *c, const struct iovec *iov, int count, const struct net_offload *left)
{
    bool good = is_frame(c, iov_bytes(iov, count));
    if (good && leaves(left, net_end_can(c)))
        put_one(c, iov, count, left);
    else if (!good || !put_finished(c, iov, count, left))
        atomic_fetch_add(&c->sent_dropped, 1);
}

/* If nothing waits before it. */
static bool deliver_at_once(struct net_cable *c, const void *frame, size_t bytes, const struct net_offload *left)
{
    static const struct net_offload none;
    return mailbox_empty(c->to_card) && give_frame(c, frame, bytes, left ? left : &none);
}

static bool deliver_one(struct net_cable *c, const void *frame, size_t bytes, const struct net_offload *left)
{
    struct iovec iov = {(void *)frame, bytes};
    bool gone = deliver_at_once(c, frame, bytes, left) || put(c->to_card, &iov, 1, left);
    atomic_fetch_add(&c->received_dropped, !gone);
    return gone;
}

static void deliver_segment(void *ctx, uint8_t *frame, size_t bytes)
{
    deliver_one(ctx, frame, bytes, NULL);
}

/* What the card's driver cannot do is done first.  False: the frame is not what is said about it. */
static bool deliver_finished(struct net_cable *c, const void *frame, size_t bytes, const struct net_offload *left)
{
    if (left->segments)
        return offload_cut(frame, bytes, left, deliver_segment, c);
    g_autofree uint8_t *copy = g_memdup2(frame, bytes);
    bool good = offload_checksum(copy, bytes, left);
    if (good)
        deliver_one(c, copy, bytes, NULL);
    return good;
}

bool net_deliver(struct net_cable *c, const void *frame, size_t bytes, const struct net_offload *left)
{
    bool good = is_frame(c, bytes);
    if (good && leaves(left, atomic_load(&c->card_can)))
        return deliver_one(c, frame, bytes, left);
    good = good && deliver_finished(c, frame, bytes, left);
    atomic_fetch_add(&c->received_dropped, !good);
    return good;
}

bool net_guest_waits(struct net_cable *c)
{
    const struct machine *m = c->device->machine;
    return m->cpus && atomic_load(&m->halted) == m->cpus;
}

static bool has_room(struct net_cable *c)
{
    return mailbox_bytes(c->to_end) + BLOCK <= WAITING;
}

/* The wish is there before the last look: a mailbox that is emptied meanwhile has seen it, or is seen. */
bool net_room(struct net_cable *c)
{
    if (!c->card->room || has_room(c))
        return true;
    atomic_store(&c->wants_room, true);
    return has_room(c);
}

void net_end_room(struct net_cable *c)
{
    mailbox_wake(c->to_end);
}

struct net_cable *machine_cable(struct machine *m, const char *card)
{
    struct device *d = machine_device(m, card);
    return d ? d->core->cable : NULL;
}

void net_more_room(struct net_cable *c)
{
    mailbox_wake(c->to_card);
}

void net_attach(struct net_cable *c, const struct net_end *end)
{
    bool before = atomic_load(&c->link);
    dev_lock(c->device);
    c->end = end;
    atomic_store(&c->end_can, end ? end->can : 0);
    atomic_store(&c->link, end != NULL);
    if (before != (end != NULL) && c->card->link)
        c->card->link(c->device, end != NULL);
    if (c->card->room)
        c->card->room(c->device);
    dev_unlock(c->device);
    mailbox_wake(c->to_end); /* what waited for the old end's room */
}

void net_counts(struct net_cable *c, struct net_counts *out)
{
    *out = (struct net_counts){.sent = atomic_load(&c->sent),
                               .sent_dropped = atomic_load(&c->sent_dropped),
                               .received = atomic_load(&c->received),
                               .received_dropped = atomic_load(&c->received_dropped)};
}
