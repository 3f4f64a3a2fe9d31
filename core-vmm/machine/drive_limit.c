// SPDX-License-Identifier: GPL-2.0-or-later
/* drive_limit.c - how much a drive may do in a second.
 *
 * What it may do grows with time, at most to a twentieth of a second's worth.  A request is let through while there is any of it, and takes
 * all that it needs, so one that is larger than that leaves a debt; the next ones wait in their order.  They count as running: whoever
 * waits for a drive to stand still lets them go first. */
#include "core-vmm/machine/drive_inside.h"
#include "core-vmm/machine/limits.h"

enum { TICK_MS = 5, SAVED_DIVISOR = 20 };

static void grow(struct drive_limit *l)
{
    gint64 now = g_get_monotonic_time();
    double seconds = (double)(now - l->since) / G_USEC_PER_SEC;
    l->since = now;
    l->may_bytes = MIN(l->may_bytes + (double)l->bytes * seconds, (double)l->bytes / SAVED_DIVISOR);
    l->may_run = MIN(l->may_run + (double)l->operations * seconds, MAX(1, (double)l->operations / SAVED_DIVISOR));
}

static bool may(struct drive_limit *l)
{
    return (!l->bytes || l->may_bytes > 0) && (!l->operations || l->may_run > 0);
}

static void take(struct drive_limit *l, const struct drive_request *r)
{
    bool moves = r->op == DRIVE_READ || r->op == DRIVE_WRITE;
    l->may_bytes -= moves ? (double)r->bytes : 0;
    l->may_run -= 1;
}

bool drive_limit_holds(struct drive *v, struct job *j)
{
    struct drive_limit *l = &v->limit;
    if (!l->bytes && !l->operations)
        return false;
    grow(l);
    if (!v->held.length && may(l)) {
        take(l, j->request);
        return false;
    }
    g_queue_push_tail(&v->held, j);
    v->counts.held++;
    return true;
}

void drive_limit_let_go(struct drive *v)
{
    while (v->held.length)
        g_queue_push_tail(&v->waiting, g_queue_pop_head(&v->held));
    drive_call_worker(v);
}

static gboolean tick(gpointer data)
{
    struct drive *v = data;
    struct drive_limit *l = &v->limit;
    g_mutex_lock(&v->lock);
    for (grow(l); v->held.length && may(l);) {
        struct job *j = g_queue_pop_head(&v->held);
        take(l, j->request);
        g_queue_push_tail(&v->waiting, j);
    }
    drive_call_worker(v);
    g_mutex_unlock(&v->lock);
    return G_SOURCE_CONTINUE;
}

void drive_limit_stop(struct drive *v)
{
    if (v->limiter)
        g_source_destroy(v->limiter);
    g_clear_pointer(&v->limiter, g_source_unref);
}

void drive_limit_set(struct drive *v, uint64_t bytes, uint64_t operations)
{
    drive_limit_stop(v);
    g_mutex_lock(&v->lock);
    v->limit = (struct drive_limit){.bytes = bytes, .operations = operations, .since = g_get_monotonic_time()};
    drive_limit_let_go(v);
    g_mutex_unlock(&v->lock);
    if (!bytes && !operations)
        return;
    v->limiter = g_timeout_source_new(TICK_MS);
    g_source_set_priority(v->limiter, G_PRIORITY_HIGH);
    g_source_set_callback(v->limiter, tick, v, NULL);
    g_source_attach(v->limiter, NULL);
}

bool drive_limit_read(struct drive *v, const struct config *c, GError **error)
{
    uint64_t bytes = 0;
    int64_t operations = 0;
    if (!config_size(c, "limit-bytes", &bytes, error) || !config_number(c, "limit-operations", &operations, error))
        return false;
    drive_limit_set(v, bytes, operations);
    return true;
}
