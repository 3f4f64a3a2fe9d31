// SPDX-License-Identifier: GPL-2.0-or-later
/* copy.c - from one image to another, by several threads: each takes the next piece of the disk, looks where there are
 * data, leaves out zeroes, and writes (or packs) the rest.
 *
 * What makes it quick: a buffer that stays in the CPU's own cache; two threads rather than many, since the host's file
 * system lets one write to a file at a time; and room asked for in large pieces (blk_reserve) before it is written.  A
 * target of blocks asks for it behind its end, one without where the source has data.  Zeroes that turn up there make
 * holes again, so while they are frequent nothing is reserved. */
#include "disk-formats/ops/ops.h"
#include <errno.h>
#include <string.h>

#define PIECE         (1u << 20)
#define BUFFER        (256u << 10)
#define MAX_THREADS   8
#define LEAST_AHEAD   (1u << 20)
#define MOST_AHEAD    (64u << 20)
#define CLEAN_PIECES  8 /* without zeroes, before room is reserved (again), and before the next larger amount */
#define FINEST_ZERO   4096u
#define COARSEST_ZERO 65536u

struct copier {
    const struct disk_copy *c;
    bool fresh_zero; /* the target shows zeroes where nothing was written */
    uint32_t piece, buffer, grain;
    GMutex lock;
    GCond done;
    uint64_t next, end; /* of the disk */
    unsigned running, clean;
    uint64_t reserved; /* of a target without blocks: up to here; 0: none so far */
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

/* The next piece begins in this extent of the source. */
static void reserve(struct copier *k, const struct extent *e)
{
    uint64_t end = MIN(e->offset + e->bytes, k->end), start = MAX(k->next, k->reserved);
    if (k->c->to->block_bytes || !k->c->to->ahead || e->kind != EXTENT_DATA || k->clean++ < CLEAN_PIECES)
        return;
    if (start >= end || start >= k->next + k->piece)
        return;
    uint64_t ahead = (uint64_t)LEAST_AHEAD << MIN(k->clean / CLEAN_PIECES - 1, 20u);
    k->reserved = MIN(end, start + MIN(ahead, k->c->to->ahead));
    image_reserve(k->c->to, start, k->reserved - start);
}

/* There are zeroes in a target that shows zeroes anyway: what was reserved becomes a hole. */
static int leave_hole(struct copier *k, uint64_t offset, uint64_t bytes)
{
    g_mutex_lock(&k->lock);
    bool reserved = offset < k->reserved;
    k->clean = 0;
    g_mutex_unlock(&k->lock);
    return reserved ? image_sparsify(k->c->to, offset, bytes) : 0;
}

/* The next piece that has something in it; false: the end, or an error. */
static bool take_piece(struct copier *k, uint64_t *offset, uint64_t *bytes)
{
    struct extent e;
    g_mutex_lock(&k->lock);
    while (!k->err && k->next < k->end) {
        k->err = look(k, k->next, &e);
        if (!k->err && !nothing_to_do(k, &e))
            reserve(k, &e);
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
        else
            err = k->fresh_zero ? leave_hole(k, offset + at, run) : image_zero(k->c->to, offset + at, run);
    }
    return err;
}

/* What the guest sees there (own_blocks: where the image itself has it), one extent after the other. */
static int copy_plain(struct copier *k, uint64_t offset, uint64_t bytes, uint8_t *data)
{
    for (uint64_t at = offset, end = offset + bytes, n; at < end; at += n) {
        struct extent e;
        int err = look(k, at, &e);
        n = err ? 0 : MIN(e.bytes, MIN(end - at, k->buffer));
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
    g_autofree uint8_t *data = g_malloc(k->buffer);
    while (take_piece(k, &offset, &bytes)) {
        int err = 0;
        if (!k->c->compress)
            err = copy_plain(k, offset, bytes, data);
        for (uint64_t at = 0; k->c->compress && !err && at < bytes; at += k->buffer)
            err = copy_packed(k, offset + at, MIN(bytes - at, k->buffer), data);
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
    unsigned n = k->c->threads ? k->c->threads : CLAMP(g_get_num_processors(), 2, k->c->compress ? MAX_THREADS : 4);
    n = k->running = CLAMP(n, 1, MAX_THREADS);
    for (unsigned i = 0; i < n; i++)
        thread[i] = g_thread_new("disk-copy", copy_thread, k);
    watch(k, job);
    for (unsigned i = 0; i < n; i++)
        g_thread_join(thread[i]);
}

/* Compressed blocks are unpacked, and made, whole.  A new block of a target that is not empty gets its other bytes from
 * what was there before, so that it should be written at once, too. */
static uint32_t buffer_bytes(const struct copier *k)
{
    uint32_t n = k->fresh_zero ? BUFFER : k->piece;
    if (k->c->compress)
        n = MAX(n, k->c->to->block_bytes);
    for (const struct image *im = k->c->from; im; im = im->parent)
        if (im->format->read)
            n = MAX(n, MIN(im->block_bytes, k->piece));
    return n;
}

bool disk_copy(const struct disk_copy *c, struct disk_job *job, GError **error)
{
    struct copier k = {.c = c, .end = MIN(c->from->bytes, c->to->bytes)};
    k.fresh_zero = !c->own_blocks && !c->to->parent_name;
    k.piece = MAX(PIECE, c->to->block_bytes);
    k.buffer = buffer_bytes(&k);
    k.clean = CLEAN_PIECES;
    if (k.fresh_zero && c->to->block_bytes <= COARSEST_ZERO) /* larger blocks may get holes */
        c->to->ahead = MIN(k.end, MOST_AHEAD);
    k.grain = c->to->block_bytes ? CLAMP(c->to->block_bytes, FINEST_ZERO, COARSEST_ZERO) : FINEST_ZERO;
    g_mutex_init(&k.lock);
    g_cond_init(&k.done);
    run_threads(&k, job);
    g_mutex_clear(&k.lock);
    g_cond_clear(&k.done);
    c->to->ahead = 0;
    if (!k.err)
        return true;
    return disk_fail_errno(error, -k.err, "%s", k.write_failed ? c->to->file->path : c->from->file->path);
}
