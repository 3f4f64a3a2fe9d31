// SPDX-License-Identifier: GPL-2.0-or-later
/* The bench's network cables: they keep what the guest sends, and what it has no room for.  Like the other far ends they
 * outlive the device. */
#include "tests/devices/bench_inside.h"
#include <string.h>

enum { MOST_WAITING = 64, MOST_SENT = 4096 };

struct frame {
    struct net_offload left;
    GBytes *bytes;
};

struct net_cable {
    char *name;
    struct device *device;
    const struct net_card *card;
    bool link, plugged, room; /* room: the card says that it has some again */
    unsigned card_can, end_can;
    GQueue sent, waiting; /* struct frame */
};

static void frame_free(void *data)
{
    struct frame *f = data;
    g_bytes_unref(f->bytes);
    g_free(f);
}

static struct frame *frame_new(GBytes *bytes, const struct net_offload *left)
{
    struct frame *f = g_new0(struct frame, 1);
    f->bytes = bytes;
    f->left = left ? *left : (struct net_offload){0};
    return f;
}

void bench_cable_free(void *cable)
{
    struct net_cable *c = cable;
    g_queue_clear_full(&c->sent, frame_free);
    g_queue_clear_full(&c->waiting, frame_free);
    g_free(c->name);
    g_free(c);
}

static struct net_cable *find(struct device *d)
{
    GPtrArray *cables = d->core->bench->cables;
    for (unsigned i = 0; i < cables->len; i++) {
        struct net_cable *c = cables->pdata[i];
        if (!strcmp(c->name, d->name))
            return c;
    }
    return NULL;
}

struct net_cable *net_open(struct device *d, const struct net_card *card)
{
    struct net_cable *c = find(d);
    if (!c) {
        c = g_new0(struct net_cable, 1);
        c->name = g_strdup(d->name);
        g_queue_init(&c->sent);
        g_queue_init(&c->waiting);
        g_ptr_array_add(d->core->bench->cables, c);
    }
    c->device = d;
    c->card = card;
    return c;
}

void net_close(struct net_cable *c)
{
    c->card = NULL;
}

void net_can(struct net_cable *c, unsigned offloads)
{
    c->card_can = offloads;
}

unsigned net_end_can(struct net_cable *c)
{
    return c->end_can;
}

bool net_link(struct net_cable *c)
{
    return c->link;
}

/* As in the real one, it comes later, from outside of the device's own callback. */
void net_more_room(struct net_cable *c)
{
    c->room = true;
}

static void keep(struct net_cable *c, const uint8_t *frame, size_t bytes, const struct net_offload *left)
{
    if (c->link && bytes >= NET_FRAME_LEAST && bytes <= NET_FRAME_MOST && c->sent.length < MOST_SENT)
        g_queue_push_tail(&c->sent, frame_new(g_bytes_new(frame, bytes), left));
}

static void keep_segment(void *ctx, uint8_t *frame, size_t bytes)
{
    keep(ctx, frame, bytes, NULL);
}

/* As the real one: what the far end cannot do is done here. */
void net_send(struct net_cable *c, const struct iovec *iov, int count, const struct net_offload *left)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    unsigned needs = !left ? 0 : left->segments ? left->segments : left->checksum ? NET_CHECKSUM : 0;
    for (int i = 0; i < count; i++)
        g_byte_array_append(bytes, iov[i].iov_base, iov[i].iov_len);
    if (!(needs & ~c->end_can))
        keep(c, bytes->data, bytes->len, left);
    else if (left->segments)
        offload_cut(bytes->data, bytes->len, left, keep_segment, c);
    else if (offload_checksum(bytes->data, bytes->len, left))
        keep(c, bytes->data, bytes->len, NULL);
}

/* ---- for tests ---- */

void bench_cable(struct device *d, bool up)
{
    struct net_cable *c = find(d);
    bool before = c && c->link;
    if (!c || before == up)
        return;
    c->link = up;
    if (c->card->link)
        c->card->link(d, up);
}

void bench_cable_plug(struct device *d)
{
    struct net_cable *c = find(d);
    if (c && !c->plugged)
        bench_cable(d, true);
    if (c)
        c->plugged = true;
}

void bench_cable_can(struct device *d, unsigned offloads)
{
    struct net_cable *c = find(d);
    if (c)
        c->end_can = offloads;
}

bool bench_deliver(struct device *d, const void *frame, size_t n)
{
    struct net_cable *c = find(d);
    if (!c || !c->link || n < NET_FRAME_LEAST || n > NET_FRAME_MOST || c->waiting.length == MOST_WAITING)
        return false;
    g_queue_push_tail(&c->waiting, frame_new(g_bytes_new(frame, n), NULL));
    bench_cables_settle(d->core->bench);
    return true;
}

unsigned bench_frames_waiting(struct device *d)
{
    struct net_cable *c = find(d);
    return c ? c->waiting.length : 0;
}

GBytes *bench_frame_sent(struct device *d, struct net_offload *left)
{
    struct net_cable *c = find(d);
    struct frame *f = c ? g_queue_pop_head(&c->sent) : NULL;
    if (!f)
        return NULL;
    GBytes *bytes = g_bytes_ref(f->bytes);
    if (left)
        *left = f->left;
    frame_free(f);
    return bytes;
}

bool bench_cables_settle(struct bench *b)
{
    bool any = false;
    for (unsigned i = 0; i < b->cables->len; i++) {
        struct net_cable *c = b->cables->pdata[i];
        struct frame *f = g_queue_peek_head(&c->waiting);
        any |= c->room;
        c->room = false;
        if (!f || !c->card)
            continue;
        gsize n;
        const void *data = g_bytes_get_data(f->bytes, &n);
        if (!c->card->frame(c->device, data, n, &f->left))
            continue;
        frame_free(g_queue_pop_head(&c->waiting));
        any = true;
    }
    return any;
}
