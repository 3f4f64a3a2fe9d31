// SPDX-License-Identifier: GPL-2.0-or-later
/* The bench's network cables: the far end of core's, which keeps what the guest sends.  Frames that the guest has no room for
 * wait in core; what came and was not taken is remembered here too, for a machine made anew. */
#include "tests/devices/bench_inside.h"
#include <string.h>

enum { MOST_SENT = 4096 };

struct frame {
    struct net_offload left;
    GBytes *bytes;
};

struct cable {
    const char *name; /* of the card */
    struct net_end end;
    bool up, full;
    uint64_t received;    /* frames that the guest had taken when `waiting` was looked at last */
    GQueue sent, waiting; /* struct frame; GBytes */
};

static void frame_free(void *data)
{
    struct frame *f = data;
    g_bytes_unref(f->bytes);
    g_free(f);
}

void bench_cable_free(void *cable)
{
    struct cable *c = cable;
    g_queue_clear_full(&c->sent, frame_free);
    g_queue_clear_full(&c->waiting, (GDestroyNotify)g_bytes_unref);
    g_free(c);
}

static struct cable *find(struct device *d)
{
    GPtrArray *cables = bench_of(d)->cables;
    for (unsigned i = 0; i < cables->len; i++) {
        struct cable *c = cables->pdata[i];
        if (c->name == d->name)
            return c;
    }
    return NULL;
}

/* A frame of the guest's. */
static bool end_frame(void *ctx, const void *data, size_t bytes, const struct net_offload *left)
{
    struct cable *c = ctx;
    if (c->full)
        return false;
    if (c->sent.length == MOST_SENT)
        return true;
    struct frame *f = g_new0(struct frame, 1);
    *f = (struct frame){*left, g_bytes_new(data, bytes)};
    g_queue_push_tail(&c->sent, f);
    return true;
}

/* Frames travel by the loop. */
static void travel(void)
{
    while (g_main_context_iteration(NULL, FALSE))
        ;
}

/* What the guest has taken waits no more. */
static void forget_taken(struct device *d, struct cable *c)
{
    struct net_counts counts;
    net_counts(d->core->cable, &counts);
    for (; c->received < counts.received; c->received++)
        g_bytes_unref(g_queue_pop_head(&c->waiting));
}

/* ---- for tests ---- */

void bench_cable(struct device *d, bool up)
{
    struct cable *c = find(d);
    if (!c)
        return;
    travel();
    c->up = up;
    net_attach(d->core->cable, up ? &c->end : NULL);
}

void bench_cable_plug(struct device *d)
{
    if (!d->core->cable)
        return;
    struct cable *c = g_new0(struct cable, 1);
    *c = (struct cable){.name = d->name, .end = {.frame = end_frame, .ctx = c}};
    g_queue_init(&c->sent);
    g_queue_init(&c->waiting);
    g_ptr_array_add(bench_of(d)->cables, c);
    bench_cable(d, true);
}

void bench_cable_can(struct device *d, unsigned offloads)
{
    struct cable *c = find(d);
    if (!c)
        return;
    travel();
    c->end.can = offloads;
    if (c->up)
        net_attach(d->core->cable, &c->end);
}

void bench_cable_full(struct device *d, bool full)
{
    struct cable *c = find(d);
    if (!c)
        return;
    c->full = full;
    net_end_room(d->core->cable);
    travel();
}

bool bench_deliver(struct device *d, const void *frame, size_t n)
{
    struct cable *c = find(d);
    if (!c || !net_deliver(d->core->cable, frame, n, NULL))
        return false;
    g_queue_push_tail(&c->waiting, g_bytes_new(frame, n));
    travel();
    return true;
}

unsigned bench_frames_waiting(struct device *d)
{
    struct cable *c = find(d);
    if (c)
        forget_taken(d, c);
    return c ? c->waiting.length : 0;
}

GBytes *bench_frame_sent(struct device *d, struct net_offload *left)
{
    struct cable *c = find(d);
    travel();
    struct frame *f = c ? g_queue_pop_head(&c->sent) : NULL;
    if (!f)
        return NULL;
    GBytes *bytes = g_bytes_ref(f->bytes);
    if (left)
        *left = f->left;
    frame_free(f);
    return bytes;
}

/* ---- a machine made anew ---- */

void bench_cables_leave(struct bench *b)
{
    for (unsigned i = 0; i < b->cables->len; i++) {
        struct cable *c = b->cables->pdata[i];
        forget_taken(bench_device(b, c->name), c);
        c->received = 0;
    }
}

void bench_cable_again(struct device *d)
{
    struct cable *c = d->core->cable ? find(d) : NULL;
    if (c && c->up)
        net_attach(d->core->cable, &c->end);
}

void bench_cables_deliver(struct bench *b)
{
    for (unsigned i = 0; i < b->cables->len; i++) {
        struct cable *c = b->cables->pdata[i];
        for (GList *l = c->waiting.head; l; l = l->next)
            net_deliver(bench_device(b, c->name)->core->cable, g_bytes_get_data(l->data, NULL),
                        g_bytes_get_size(l->data), NULL);
    }
}
