// SPDX-License-Identifier: GPL-2.0-or-later
/* mailbox.c - see mailbox.h.  A source of the main loop exists while there is something to deliver. */
#include "core-vmm/machine/mailbox.h"
#include <glib.h>
#include <stdint.h>
#include <string.h>

#define BLOCKS_A_TURN 32

struct mailbox {
    mailbox_fn fn;
    void *ctx;
    size_t most;
    GMutex lock;   /* what follows */
    GQueue blocks; /* GBytes */
    size_t bytes;
    bool woken;      /* mailbox_wake() since the last offer */
    GSource *source; /* NULL: nothing to do */
};

struct mailbox *mailbox_new(mailbox_fn fn, void *ctx, size_t most)
{
    struct mailbox *b = g_new0(struct mailbox, 1);
    b->fn = fn;
    b->ctx = ctx;
    b->most = most;
    g_mutex_init(&b->lock);
    g_queue_init(&b->blocks);
    return b;
}

static void drop_source(struct mailbox *b) /* lock held */
{
    if (b->source) {
        g_source_destroy(b->source);
        g_source_unref(b->source);
    }
    b->source = NULL;
}

void mailbox_free(struct mailbox *b)
{
    drop_source(b);
    g_queue_clear_full(&b->blocks, (GDestroyNotify)g_bytes_unref);
    g_mutex_clear(&b->lock);
    g_free(b);
}

/* The first block, or NULL, and then the source is gone. */
static GBytes *first(struct mailbox *b)
{
    g_mutex_lock(&b->lock);
    GBytes *block = g_queue_peek_head(&b->blocks);
    b->woken = false;
    if (!block)
        drop_source(b);
    g_mutex_unlock(&b->lock);
    return block;
}

/* Only the loop thread takes blocks away.  False: there is none, or it is not wanted now. */
static bool deliver_one(struct mailbox *b)
{
    GBytes *block = first(b);
    if (!block)
        return false;
    gsize n;
    const void *bytes = g_bytes_get_data(block, &n);
    bool taken = b->fn(b->ctx, bytes, n);
    g_mutex_lock(&b->lock);
    if (taken) {
        g_queue_pop_head(&b->blocks);
        b->bytes -= n;
    } else if (!b->woken) {
        drop_source(b);
    }
    bool more = taken || b->woken; /* room that came while it was refused counts */
    g_mutex_unlock(&b->lock);
    if (taken)
        g_bytes_unref(block);
    return more;
}

void mailbox_run(struct mailbox *b)
{
    while (deliver_one(b))
        ;
}

/* A few blocks a turn, so that the loop gets to others in between. */
static gboolean deliver(gpointer data)
{
    for (unsigned i = 0; i < BLOCKS_A_TURN; i++)
        if (!deliver_one(data))
            return G_SOURCE_REMOVE;
    return G_SOURCE_CONTINUE;
}

static void start(struct mailbox *b) /* lock held */
{
    if (b->source || g_queue_is_empty(&b->blocks))
        return;
    b->source = g_idle_source_new();
    g_source_set_priority(b->source, G_PRIORITY_DEFAULT);
    g_source_set_callback(b->source, deliver, b, NULL);
    g_source_attach(b->source, NULL);
}

bool mailbox_put(struct mailbox *b, const struct iovec *iov, int count)
{
    size_t n = 0;
    for (int i = 0; i < count; i++)
        n += iov[i].iov_len;
    g_mutex_lock(&b->lock);
    bool fits = n <= b->most - b->bytes;
    if (fits) {
        uint8_t *copy = g_malloc(MAX(n, 1)), *to = copy;
        for (int i = 0; i < count; to += iov[i++].iov_len)
            memcpy(to, iov[i].iov_base, iov[i].iov_len);
        g_queue_push_tail(&b->blocks, g_bytes_new_take(copy, n));
        b->bytes += n;
        start(b);
    }
    g_mutex_unlock(&b->lock);
    return fits;
}

bool mailbox_empty(struct mailbox *b)
{
    g_mutex_lock(&b->lock);
    bool empty = g_queue_is_empty(&b->blocks);
    g_mutex_unlock(&b->lock);
    return empty;
}

size_t mailbox_bytes(struct mailbox *b)
{
    g_mutex_lock(&b->lock);
    size_t bytes = b->bytes;
    g_mutex_unlock(&b->lock);
    return bytes;
}

void mailbox_wake(struct mailbox *b)
{
    g_mutex_lock(&b->lock);
    b->woken = true;
    start(b);
    g_mutex_unlock(&b->lock);
}
