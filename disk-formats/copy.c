// SPDX-License-Identifier: GPL-2.0-or-later
/* copy.c - from one image to another, by several threads: each takes the next piece of the disk, looks where there are
 * data, leaves out zeroes, and writes (or packs) the rest. */
#include "ops.h"
#include <errno.h>
#include <string.h>

#define PIECE         (1u << 20)
#define MAX_THREADS   8
#define USUAL_THREADS 4
#define FINEST_ZERO   4096u
#define COARSEST_ZERO 65536u

struct copier {
    const struct disk_copy *c;
    bool fresh_zero; /* the target shows zeroes where nothing was written */
    uint32_t piece, grain;
    GMutex lock;
    GCond done;
    uint64_t next, end; /* of the disk */
    unsigned running;
    int err;
    bool write_failed;
};

bool disk_cancelled(struct disk_job *job, GError **error)
{
    return job && g_atomic_int_get(&job->cancel) && (disk_fail(error, DISK_ERROR_CANCELLED, "cancelled"), true);
}

static int look(const struct copier *k, uint64_t offset, struct extent *e)
{
    return k->c->own_blocks ? image_extent(k->c->from, offset, true, e)
                            : image_extent_deep(k->c->from, offset, e, NULL);
}

static bool nothing_to_do(const struct copier *k, const struct extent *e)
{
    return e->kind == EXTENT_HOLE || (e->kind == EXTENT_ZERO && k->fresh_zero);
}

/* The next piece that has something in it; false: the end, or an error. */
static bool take_piece(struct copier *k, uint64_t *offset, uint64_t *bytes)
{
    struct extent e;
    g_mutex_lock(&k->lock);
    while (!k->err && k->next < k->end) {
        k->err = look(k, k->next, &e);
        if (k->err || !nothing_to_do(k, &e))
            break;
        uint64_t skip = k->next + e.bytes; /* pieces stay aligned to the target's blocks */
        k->next = skip >= k->end ? k->end : MAX(skip / k->piece * k->piece, k->next / k->piece * k->piece);
        if (k->next < skip && k->next < k->end)
            break;
    }
    *offset = k->next;
    *bytes = MIN(k->piece - k->next % k->piece, k->end - k->next);
    bool any = !k->err && *bytes;
    k->next += *bytes;
    g_mutex_unlock(&k->lock);
    return any;
}

static int pack_block(struct copier *k, uint64_t offset, const uint8_t *data, uint8_t *packed, size_t room)
{
    struct image *to = k->c->to;
    uint32_t block = to->block_bytes;
    ssize_t n = to->format->compress(to, data, block, packed, room);
    if (n < 0)
        return n;
    if (n == 0)
        return image_write(to, offset, data, MIN(block, to->bytes - offset));
    return image_append(to, offset, packed, n);
}

/* Whole blocks of the target; data is padded with zeroes behind the disk's end. */
static int pack(struct copier *k, uint64_t offset, uint64_t bytes, const uint8_t *data)
{
    uint32_t block = k->c->to->block_bytes;
    size_t room = block + block / 8 + 1024;
    g_autofree uint8_t *packed = g_malloc(room);
    int err = 0;
    for (uint64_t at = 0; at < bytes && !err; at += block)
        if (!image_is_zero(data + at, block))
            err = pack_block(k, offset + at, data + at, packed, room);
    return err;
}

static int write_data(struct copier *k, uint64_t offset, uint64_t bytes, const uint8_t *data)
{
    int err = 0;
    for (uint64_t at = 0, run; at < bytes && !err; at += run) {
        bool zero = image_is_zero(data + at, MIN(k->grain, bytes - at));
        run = MIN(k->grain, bytes - at);
        while (at + run < bytes && image_is_zero(data + at + run, MIN(k->grain, bytes - at - run)) == zero)
            run += MIN(k->grain, bytes - at - run);
        if (!zero)
            err = image_write(k->c->to, offset + at, data + at, run);
        else if (!k->fresh_zero)
            err = image_zero(k->c->to, offset + at, run);
    }
    return err;
}

/* What the guest sees there (own_blocks: where the image itself has it), one extent after the other. */
static int copy_plain(struct copier *k, uint64_t offset, uint64_t bytes, uint8_t *data)
{
    for (uint64_t at = offset, end = offset + bytes, n; at < end; at += n) {
        struct extent e;
        int err = look(k, at, &e);
        n = err ? 0 : MIN(e.bytes, end - at);
        if (!err && e.kind == EXTENT_DATA) {
            err = image_read(k->c->from, at, data, n);
            if (!err && (err = write_data(k, at, n, data)))
                k->write_failed = true;
        } else if (!err && e.kind == EXTENT_ZERO && !k->fresh_zero) {
            err = image_zero(k->c->to, at, n);
            k->write_failed = k->write_failed || err;
        }
        if (err)
            return err;
    }
    return 0;
}

static int copy_packed(struct copier *k, uint64_t offset, uint64_t bytes, uint8_t *data)
{
    uint64_t there = offset < k->c->from->bytes ? MIN(bytes, k->c->from->bytes - offset) : 0;
    uint64_t block = k->c->to->block_bytes, whole = (bytes + block - 1) / block * block;
    int err = image_read(k->c->from, offset, data, there);
    if (err)
        return err;
    memset(data + there, 0, whole - there);
    err = pack(k, offset, whole, data);
    k->write_failed = k->write_failed || err;
    return err;
}

static gpointer copy_thread(gpointer p)
{
    struct copier *k = p;
    uint64_t offset, bytes;
    g_autofree uint8_t *data = g_malloc(k->piece);
    while (take_piece(k, &offset, &bytes)) {
        int err = k->c->compress ? copy_packed(k, offset, bytes, data) : copy_plain(k, offset, bytes, data);
        if (err) {
            g_mutex_lock(&k->lock);
            k->err = k->err ? k->err : err;
            g_mutex_unlock(&k->lock);
        }
    }
    g_mutex_lock(&k->lock);
    k->running--;
    g_cond_signal(&k->done);
    g_mutex_unlock(&k->lock);
    return NULL;
}

/* Waits for the threads and shows how far they are. */
static void watch(struct copier *k, struct disk_job *job)
{
    g_mutex_lock(&k->lock);
    while (k->running) {
        g_cond_wait_until(&k->done, &k->lock, g_get_monotonic_time() + G_TIME_SPAN_SECOND / 10);
        uint64_t at = k->next;
        if (job && g_atomic_int_get(&job->cancel))
            k->err = k->err ? k->err : -ECANCELED;
        if (job && job->progress) {
            g_mutex_unlock(&k->lock);
            job->progress(job->ctx, at, k->end);
            g_mutex_lock(&k->lock);
        }
    }
    g_mutex_unlock(&k->lock);
}

static void run_threads(struct copier *k, struct disk_job *job)
{
    GThread *thread[MAX_THREADS];
    /* More than CPUs, since some wait for the disk. */
    unsigned n = k->c->threads ? k->c->threads : MAX(g_get_num_processors(), USUAL_THREADS);
    n = k->running = CLAMP(n, 1, MAX_THREADS);
    for (unsigned i = 0; i < n; i++)
        thread[i] = g_thread_new("disk-copy", copy_thread, k);
    watch(k, job);
    for (unsigned i = 0; i < n; i++)
        g_thread_join(thread[i]);
}

bool disk_copy(const struct disk_copy *c, struct disk_job *job, GError **error)
{
    struct copier k = {.c = c, .end = MIN(c->from->bytes, c->to->bytes)};
    k.fresh_zero = !c->own_blocks && !c->to->parent_name;
    k.piece = MAX(PIECE, c->to->block_bytes);
    k.grain = c->to->block_bytes ? CLAMP(c->to->block_bytes, FINEST_ZERO, COARSEST_ZERO) : FINEST_ZERO;
    g_mutex_init(&k.lock);
    g_cond_init(&k.done);
    run_threads(&k, job);
    g_mutex_clear(&k.lock);
    g_cond_clear(&k.done);
    if (!k.err)
        return true;
    return disk_fail_errno(error, -k.err, "%s", k.write_failed ? c->to->file->path : c->from->file->path);
}
