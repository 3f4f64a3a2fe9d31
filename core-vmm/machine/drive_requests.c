// SPDX-License-Identifier: GPL-2.0-or-later
/* drive_requests.c - a drive's requests: with its workers, and back to the device; and those that a full host disk holds up. */
#include "core-vmm/machine/drive_inside.h"
#include <errno.h>
#include <unistd.h>

#define RETRY_SECONDS 1

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

static void finish(struct job *j)
{
    struct drive *v = j->drive;
    uint64_t one = 1;
    bool full = (j->error == -ENOSPC || j->error == -EDQUOT) && v->on_full;
    g_mutex_lock(&v->lock);
    g_queue_push_tail(full && !v->closing ? &v->stalled : &v->finished, j);
    v->running--;
    if (write(v->wake, &one, sizeof one) != sizeof one)
        g_warning("drive %s: cannot wake the loop", v->section);
    g_cond_broadcast(&v->idle);
    g_mutex_unlock(&v->lock);
}

void drive_worker(void *data, void *unused)
{
    struct job *j = data;
    const struct thread_hook *h = &j->drive->device->machine->on_thread;
    bool may = !h->begins || h->begins(h->ctx, MACHINE_THREAD_WORKER);
    j->error = may ? run_request(j->medium->image, j->request) : -EPERM;
    finish(j);
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

void drive_submit(struct drive *v, struct drive_request *r)
{
    struct job *j = g_slice_new0(struct job);
    g_mutex_lock(&v->lock);
    *j = (struct job){v, r, drive_medium_use(v->medium), 0};
    v->in_flight++;
    v->running++;
    g_mutex_unlock(&v->lock);
    j->error = j->medium ? check_request(j->medium->image, r) : -ENOMEDIUM;
    if (j->error)
        finish(j);
    else
        g_thread_pool_push(v->workers, j, NULL);
}

/* Device's lock held. */
static void complete(struct drive *v, struct job *j)
{
    g_mutex_lock(&v->lock);
    v->in_flight--;
    g_mutex_unlock(&v->lock);
    j->request->done(v->device, j->request, -j->error);
    drive_medium_release(j->medium);
    g_slice_free(struct job, j);
}

static void complete_all(struct drive *v, GQueue *jobs)
{
    struct job *j;
    if (!jobs->length)
        return;
    dev_lock(v->device);
    while ((j = g_queue_pop_head(jobs)))
        complete(v, j);
    if (v->on_batch)
        v->on_batch(v->device, v);
    dev_unlock(v->device);
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
        g_thread_pool_push(v->workers, j, NULL);
    }
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
    GQueue jobs = G_QUEUE_INIT;
    v->on_full = NULL;
    drive_stop_retrying(v);
    g_mutex_lock(&v->lock);
    v->full = false;
    while (v->stalled.length)
        g_queue_push_tail(&jobs, g_queue_pop_head(&v->stalled));
    g_mutex_unlock(&v->lock);
    complete_all(v, &jobs);
}

void drive_quiesce(struct drive *v)
{
    uint64_t one = 1;
    g_mutex_lock(&v->lock);
    while (v->running)
        g_cond_wait(&v->idle, &v->lock);
    bool any = v->stalled.length;
    while (v->stalled.length)
        g_queue_push_tail(&v->finished, g_queue_pop_head(&v->stalled));
    g_mutex_unlock(&v->lock);
    if (any && write(v->wake, &one, sizeof one) != sizeof one)
        g_warning("drive %s: cannot wake the loop", v->section);
}

void drive_complete_finished(struct drive *v)
{
    g_mutex_lock(&v->lock);
    GQueue jobs = v->finished;
    g_queue_init(&v->finished);
    g_mutex_unlock(&v->lock);
    complete_all(v, &jobs);
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
