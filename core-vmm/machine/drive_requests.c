// SPDX-License-Identifier: GPL-2.0-or-later
/* drive_requests.c - a drive's requests: with its workers, and back to the device; and those that a full host disk holds up. */
#include "core-vmm/machine/drive_inside.h"
#include <errno.h>
#include <unistd.h>

#define RETRY_SECONDS 1
#define TOLD_MOST     1024 /* at a time */

static int run_request(struct image *im, const struct drive_request *r)
{
    switch (r->op) {
    case DRIVE_READ: return image_readv(im, r->offset, r->iov, r->iov_count);
    case DRIVE_WRITE: return image_writev(im, r->offset, r->iov, r->iov_count);
    case DRIVE_FLUSH: return image_flush(im);
    case DRIVE_DISCARD: return image_discard(im, r->offset, r->bytes);
    case DRIVE_ZERO: return image_zero(im, r->offset, r->bytes);
    }
    return -EINVAL;
}

static void wake_loop(struct drive *v)
{
    uint64_t one = 1;
    if (write(v->wake, &one, sizeof one) != sizeof one)
        g_warning("drive %s: cannot wake the loop", v->section);
}

static void tell_all(struct drive *v, unsigned *told);

/* Until nothing more is finished: what others finish meanwhile too. */
static void tell_as_worker(struct drive *v)
{
    bool more = true;
    for (unsigned told = 0; more && told < TOLD_MOST;) {
        tell_all(v, &told);
        g_mutex_lock(&v->lock);
        more = v->finished.length && !v->closing;
        v->telling = more && told < TOLD_MOST;
        g_cond_broadcast(&v->idle);
        g_mutex_unlock(&v->lock);
    }
    if (more)
        wake_loop(v);
}

/* A worker tells the device itself, which saves two changes of threads; a full disk is the loop's matter.  One worker at a time
 * does, and no longer counts as running: whoever has the device's lock may wait for those that run, and the others must be
 * there to run what waits. */
static void finish(struct job *j)
{
    struct drive *v = j->drive;
    bool full = (j->error == -ENOSPC || j->error == -EDQUOT) && v->on_full;
    g_mutex_lock(&v->lock);
    g_queue_push_tail(full && !v->closing ? &v->stalled : &v->finished, j);
    bool loops = !v->device->machine->at_once || full || v->full || v->closing, tell = !loops && !v->telling;
    v->running--;
    v->telling |= tell;
    g_cond_broadcast(&v->idle);
    g_mutex_unlock(&v->lock);
    if (tell)
        tell_as_worker(v);
    if (loops)
        wake_loop(v);
}

/* The drive's lock is held.  One worker more, if something waits for one; each that comes calls the next, so that a burst of
 * requests costs whoever makes them one call. */
void drive_call_worker(struct drive *v)
{
    if (v->called || v->workers_there == DRIVE_WORKERS || !v->waiting.length)
        return;
    v->called = true;
    v->workers_there++;
    g_thread_pool_push(v->workers, v, NULL);
}

void drive_worker(void *data, void *unused)
{
    struct drive *v = data;
    const struct thread_hook *h = &v->device->machine->on_thread;
    bool may = !h->begins || h->begins(h->ctx, MACHINE_THREAD_WORKER);
    struct job *j;
    g_mutex_lock(&v->lock);
    v->called = false;
    while ((j = g_queue_pop_head(&v->waiting))) {
        drive_call_worker(v);
        g_mutex_unlock(&v->lock);
        j->error = may ? run_request(j->medium->image, j->request) : -EPERM;
        finish(j);
        g_mutex_lock(&v->lock);
    }
    v->workers_there--;
    g_mutex_unlock(&v->lock);
}

static int check_request(const struct image *im, const struct drive_request *r)
{
    bool writes = r->op == DRIVE_WRITE || r->op == DRIVE_DISCARD || r->op == DRIVE_ZERO;
    bool moves = r->op == DRIVE_READ || r->op == DRIVE_WRITE;
    if (r->op == DRIVE_FLUSH)
        return 0;
    if (writes && !im->writable)
        return -EROFS;
    if (r->offset > im->bytes || r->bytes > im->bytes - r->offset)
        return -EIO;
    return moves && iov_bytes(r->iov, r->iov_count) != r->bytes ? -EINVAL : 0;
}

/* In a vCPU's access to the device: what the host has in memory is read here and now, which is quicker than telling a worker;
 * up to so many bytes for each access, for the CPU has to go on. */
static bool run_at_once(struct job *j)
{
    const struct drive_request *r = j->request;
    struct device_core *core = j->drive->device->core;
    if (r->op != DRIVE_READ || r->bytes > core->at_once ||
        image_readv_now(j->medium->image, r->offset, r->iov, r->iov_count))
        return false;
    core->at_once -= r->bytes;
    return true;
}

static void count(struct drive_counts *c, const struct drive_request *r, int error)
{
    bool reads = r->op == DRIVE_READ && !error, writes = r->op == DRIVE_WRITE && !error;
    c->reads += reads;
    c->read_bytes += reads ? r->bytes : 0;
    c->writes += writes;
    c->written_bytes += writes ? r->bytes : 0;
}

struct drive_counts drive_counts(struct drive *v)
{
    g_mutex_lock(&v->lock);
    struct drive_counts c = v->counts;
    g_mutex_unlock(&v->lock);
    return c;
}

void drive_submit(struct drive *v, struct drive_request *r)
{
    struct job *j = g_slice_new0(struct job);
    bool here = v->device->core->at_once > 0;
    g_mutex_lock(&v->lock);
    *j = (struct job){v, r, drive_medium_use(v->medium), 0};
    v->in_flight++;
    bool limited = v->limit.bytes || v->limit.operations;
    g_mutex_unlock(&v->lock);
    j->error = j->medium ? check_request(j->medium->image, r) : -ENOMEDIUM;
    bool through = j->error || (!limited && run_at_once(j));
    g_mutex_lock(&v->lock);
    count(&v->counts, r, j->error);
    if (through || !drive_limit_holds(v, j))
        g_queue_push_tail(through ? &v->finished : &v->waiting, j);
    v->running += !through;
    drive_call_worker(v);
    g_mutex_unlock(&v->lock);
    if (through && here)
        v->device->core->requests_through = true;
    else if (through)
        wake_loop(v);
}

static struct job *next_finished(struct drive *v)
{
    g_mutex_lock(&v->lock);
    struct job *j = g_queue_pop_head(&v->finished);
    g_mutex_unlock(&v->lock);
    return j;
}

/* Device's lock held. */
static void complete(struct drive *v, struct job *j)
{
    j->request->done(v->device, j->request, -j->error);
    drive_medium_release(j->medium);
    g_slice_free(struct job, j);
    g_mutex_lock(&v->lock);
    v->in_flight--;
    g_mutex_unlock(&v->lock);
}

/* Device's lock held.  What is told may lead to further requests, and these to more that is through: a guest that sees to that
 * must not keep this thread, which may be a vCPU's, for ever.  *told: how many so far; false: it is enough, the loop is to go on. */
static bool tell_locked(struct drive *v, unsigned *told)
{
    for (struct job *j = next_finished(v); j; j = next_finished(v)) {
        for (; j; j = ++*told < TOLD_MOST ? next_finished(v) : NULL)
            complete(v, j);
        if (v->on_batch)
            v->on_batch(v->device, v);
        if (*told >= TOLD_MOST)
            return false;
    }
    return true;
}

static void tell_all(struct drive *v, unsigned *told)
{
    dev_lock(v->device);
    tell_locked(v, told);
    dev_unlock(v->device);
}

static bool tell_drives(struct device *d, unsigned *told)
{
    bool all = true;
    for (struct drive *v = d->machine->drives; v; v = v->next)
        all &= v->device != d || tell_locked(v, told);
    return all;
}

void drives_tell(struct device *d)
{
    bool all = true;
    for (unsigned told = 0; d->core->requests_through && all;) {
        d->core->requests_through = false;
        all = tell_drives(d, &told);
    }
    for (struct drive *v = d->machine->drives; v && !all; v = v->next)
        if (v->device == d)
            wake_loop(v);
    d->core->requests_through = false;
}

static void say_full(struct drive *v, bool full)
{
    g_autofree char *path = drive_file(v);
    g_autofree char *message =
        full ? g_strdup_printf("The host's disk is full: %s cannot grow.  The VM waits until there is space.", path)
             : g_strdup_printf("There is space again for %s.", path);
    v->on_full(v->full_ctx, v, full, message);
}

static gboolean retry_stalled(void *data)
{
    struct drive *v = data;
    struct job *j;
    g_mutex_lock(&v->lock);
    while ((j = g_queue_pop_head(&v->stalled))) {
        v->running++;
        g_queue_push_tail(&v->waiting, j);
    }
    drive_call_worker(v);
    g_mutex_unlock(&v->lock);
    return G_SOURCE_CONTINUE;
}

void drive_stop_retrying(struct drive *v)
{
    if (v->retry)
        g_source_destroy(v->retry);
    g_clear_pointer(&v->retry, g_source_unref);
}

static void start_retrying(struct drive *v)
{
    v->retry = g_timeout_source_new_seconds(RETRY_SECONDS);
    g_source_set_callback(v->retry, retry_stalled, v, NULL);
    g_source_attach(v->retry, NULL);
}

/* Full begins with the first stalled request and ends when all that had stalled have gone through. */
static void watch_full(struct drive *v)
{
    g_mutex_lock(&v->lock);
    bool full = v->stalled.length > 0 || (v->full && v->running > 0), was = v->full;
    v->full = full;
    g_mutex_unlock(&v->lock);
    if (full == was)
        return;
    if (full)
        start_retrying(v);
    else
        drive_stop_retrying(v);
    say_full(v, full);
}

void drive_on_full(struct drive *v, void (*fn)(void *ctx, struct drive *v, bool full, const char *message), void *ctx)
{
    v->on_full = fn;
    v->full_ctx = ctx;
}

void drive_give_up(struct drive *v)
{
    v->on_full = NULL;
    drive_stop_retrying(v);
    g_mutex_lock(&v->lock);
    v->full = false;
    while (v->stalled.length)
        g_queue_push_tail(&v->finished, g_queue_pop_head(&v->stalled));
    g_mutex_unlock(&v->lock);
    drive_complete_finished(v);
}

void drive_quiesce(struct drive *v)
{
    g_mutex_lock(&v->lock);
    drive_limit_drain(v, true);
    while (v->running)
        g_cond_wait(&v->idle, &v->lock);
    drive_limit_drain(v, false);
    bool any = v->stalled.length;
    while (v->stalled.length)
        g_queue_push_tail(&v->finished, g_queue_pop_head(&v->stalled));
    g_mutex_unlock(&v->lock);
    if (any)
        wake_loop(v);
}

void drive_complete_finished(struct drive *v)
{
    unsigned told = 0;
    g_mutex_lock(&v->lock);
    bool any = v->finished.length;
    g_mutex_unlock(&v->lock);
    if (any)
        tell_all(v, &told);
    if (told >= TOLD_MOST) /* others come first */
        wake_loop(v);
}

void drives_hush(struct machine *m, const struct device *only)
{
    for (struct drive *v = m->drives; v; v = v->next) {
        if (only && v->device != only)
            continue;
        g_mutex_lock(&v->lock);
        v->closing = true;
        g_mutex_unlock(&v->lock);
    }
    for (struct drive *v = m->drives; v; v = v->next)
        if (!only || v->device == only)
            drive_wait_for_workers(v);
}

gboolean drive_on_wake(int fd, GIOCondition condition, void *data)
{
    struct drive *v = data;
    uint64_t count;
    if (read(fd, &count, sizeof count) != sizeof count)
        return G_SOURCE_CONTINUE;
    drive_complete_finished(v);
    if (v->on_full)
        watch_full(v);
    return G_SOURCE_CONTINUE;
}
