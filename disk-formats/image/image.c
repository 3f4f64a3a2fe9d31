// SPDX-License-Identifier: GPL-2.0-or-later
/* image.c - reading and writing an image, whatever its format; the theory is in image.h. */
#include "disk-formats/image/image.h"
#include <errno.h>
#include <string.h>

#define PLACE_MAX (4u << 20) /* how much a single first write copies and places at once */

static bool in_bounds(const struct image *im, uint64_t offset, uint64_t bytes)
{
    return offset <= im->bytes && bytes <= im->bytes - offset;
}

/* The format's answer for the start of [offset, offset + want). */
static int extent_at(struct image *im, uint64_t offset, uint64_t want, struct extent *e)
{
    *e = (struct extent){.offset = offset, .bytes = want, .file = im->file, .file_offset = UINT64_MAX};
    int err = im->format->extent(im, offset, e);
    g_assert(err || (e->offset == offset && e->bytes && e->bytes <= want));
    return err;
}

/* ---- reading ---- */
static int read_locked(struct image *im, uint64_t offset, struct iov_walk *w, uint64_t bytes);

/* A hole: the parent's bytes, and zeroes behind its end. */
static int read_parent(struct image *im, uint64_t offset, struct iov_walk *w, uint64_t bytes)
{
    uint64_t there = im->parent && offset < im->parent->bytes ? MIN(bytes, im->parent->bytes - offset) : 0;
    int err = 0;
    if (there) {
        g_rw_lock_reader_lock(&im->parent->lock);
        err = read_locked(im->parent, offset, w, there);
        g_rw_lock_reader_unlock(&im->parent->lock);
    }
    if (!err)
        iov_zero(w, bytes - there);
    return err;
}

static int read_data(struct image *im, const struct extent *e, struct iov_walk *w, uint64_t bytes)
{
    for (uint64_t done = 0, got; done < bytes; done += got) {
        struct iovec piece[IOV_PIECE];
        int n = iov_take(w, bytes - done, piece, &got);
        int err = e->compressed ? im->format->read(im, e->offset + done, piece, n)
                                : blk_preadv(e->file, e->file_offset + done, piece, n);
        if (err)
            return err;
    }
    return 0;
}

static int read_locked(struct image *im, uint64_t offset, struct iov_walk *w, uint64_t bytes)
{
    while (bytes) {
        struct extent e;
        int err = extent_at(im, offset, bytes, &e);
        uint64_t n = e.bytes;
        if (!err && e.kind == EXTENT_DATA)
            err = read_data(im, &e, w, n);
        else if (!err && e.kind == EXTENT_HOLE)
            err = read_parent(im, offset, w, n);
        else if (!err)
            iov_zero(w, n);
        if (err)
            return err;
        offset += n;
        bytes -= n;
    }
    return 0;
}

int image_readv(struct image *im, uint64_t offset, const struct iovec *iov, int n)
{
    uint64_t bytes = iov_bytes(iov, n);
    if (!in_bounds(im, offset, bytes))
        return -EINVAL;
    struct iov_walk w = {iov, n, 0};
    g_rw_lock_reader_lock(&im->lock);
    int err = read_locked(im, offset, &w, bytes);
    g_rw_lock_reader_unlock(&im->lock);
    return err;
}

/* One extent of this image alone; what a parent has, or is compressed, takes the ordinary way. */
static int read_extent_now(struct image *im, uint64_t offset, struct iov_walk *w, uint64_t *bytes)
{
    struct extent e = {.offset = offset, .bytes = *bytes, .file = im->file, .file_offset = UINT64_MAX, .now = true};
    int err = im->format->extent(im, offset, &e);
    if (!err && (e.compressed || (e.kind == EXTENT_HOLE && im->parent)))
        err = -EAGAIN;
    if (err)
        return err;
    *bytes = e.bytes;
    if (e.kind != EXTENT_DATA)
        iov_zero(w, e.bytes);
    for (uint64_t done = 0, got; e.kind == EXTENT_DATA && done < e.bytes && !err; done += got) {
        struct iovec piece[IOV_PIECE];
        int n = iov_take(w, e.bytes - done, piece, &got);
        err = blk_preadv_now(e.file, e.file_offset + done, piece, n);
    }
    return err;
}

int image_readv_now(struct image *im, uint64_t offset, const struct iovec *iov, int n)
{
    uint64_t left = iov_bytes(iov, n), bytes = left;
    struct iov_walk w = {iov, n, 0};
    int err = 0;
    if (!im->format->at_hand || !in_bounds(im, offset, left) || !g_rw_lock_reader_trylock(&im->lock))
        return -EAGAIN;
    for (; left && !err; offset += bytes, left -= bytes, bytes = left)
        err = read_extent_now(im, offset, &w, &bytes);
    g_rw_lock_reader_unlock(&im->lock);
    return err ? -EAGAIN : 0;
}

int image_read(struct image *im, uint64_t offset, void *to, size_t n)
{
    struct iovec one = {to, n};
    return image_readv(im, offset, &one, 1);
}

/* ---- writing ---- */

/* Writes what may be overwritten in place, from *offset on; stops at the first byte that may not. */
static int write_in_place(struct image *im, uint64_t *offset, struct iov_walk *w, uint64_t *bytes)
{
    while (*bytes) {
        struct extent e;
        int err = extent_at(im, *offset, *bytes, &e);
        if (err || !e.in_place)
            return err;
        struct iovec piece[IOV_PIECE];
        uint64_t got;
        int n = iov_take(w, e.bytes, piece, &got);
        err = blk_pwritev(e.file, e.file_offset, piece, n);
        if (err)
            return err;
        *offset += got;
        *bytes -= got;
    }
    return 0;
}

/* What the guest sees in [offset, offset + bytes) of the disk now; behind its end, zeroes. */
static int read_old(struct image *im, uint64_t offset, void *to, uint64_t bytes)
{
    uint64_t there = offset < im->bytes ? MIN(bytes, im->bytes - offset) : 0;
    struct iovec one = {to, there};
    struct iov_walk w = {&one, 1, 0};
    memset((char *)to + there, 0, bytes - there);
    return read_locked(im, offset, &w, there);
}

/* Does [offset, offset + bytes) read as zeroes without looking at data? */
static bool known_zero(struct image *im, uint64_t offset, uint64_t bytes)
{
    while (bytes) {
        struct extent e;
        if (extent_at(im, offset, bytes, &e) || e.kind == EXTENT_DATA)
            return false;
        if (e.kind == EXTENT_HOLE && im->parent && offset < im->parent->bytes)
            return false;
        offset += e.bytes;
        bytes -= e.bytes;
    }
    return true;
}

static bool old_is_zero(struct image *im, uint64_t offset, uint64_t bytes)
{
    uint64_t there = offset < im->bytes ? MIN(bytes, im->bytes - offset) : 0;
    return known_zero(im, offset, there);
}

/* Writes the placed blocks: the head and tail that the request does not cover, and the request's part. */
static int fill_placed(struct image *im, const struct extent *e, uint64_t offset, struct iov_walk *w, uint64_t bytes)
{
    uint64_t head = offset - e->offset, tail = e->bytes - head - bytes;
    if (e->zeroed && old_is_zero(im, e->offset, head))
        head = 0;
    if (e->zeroed && old_is_zero(im, offset + bytes, tail))
        tail = 0;
    uint64_t start = offset - head, at = e->file_offset + (offset - e->offset);
    g_autofree char *edge = g_try_malloc(head + tail + 1);
    if (!edge)
        return -ENOMEM;
    int err = head ? read_old(im, start, edge, head) : 0;
    if (!err && tail)
        err = read_old(im, offset + bytes, edge + head, tail);
    if (!err && head)
        err = blk_pwrite(e->file, at - head, edge, head);
    if (!err && tail)
        err = blk_pwrite(e->file, at + bytes, edge + head, tail);
    for (uint64_t done = 0, got; !err && done < bytes; done += got) {
        struct iovec piece[IOV_PIECE];
        int n = iov_take(w, bytes - done, piece, &got);
        err = blk_pwritev(e->file, at + done, piece, n);
    }
    return err;
}

/* The blocks from offset on that cannot be written in place, at most PLACE_MAX. */
static int blocks_to_place(struct image *im, uint64_t offset, uint64_t bytes, struct extent *e)
{
    uint64_t block = im->block_bytes, start = offset / block * block, end = offset + bytes;
    *e = (struct extent){.offset = start, .kind = EXTENT_DATA, .file = im->file, .file_offset = UINT64_MAX};
    do {
        e->bytes += block;
        struct extent next;
        if (start + e->bytes >= end)
            break;
        int err = extent_at(im, start + e->bytes, 1, &next);
        if (err)
            return err;
        if (next.in_place)
            break;
    } while (e->bytes < PLACE_MAX);
    return 0;
}

/* ---- first writes: blocks in flight ---- */
struct flight {
    uint64_t start, end;
    struct flight *next;
};

static bool in_flight(const struct image *im, uint64_t start, uint64_t end)
{
    for (const struct flight *f = im->flights; f; f = f->next)
        if (f->start < end && start < f->end)
            return true;
    return false;
}

static void take_off(struct image *im, struct flight *f)
{
    g_mutex_lock(&im->flight_lock);
    f->next = im->flights;
    im->flights = f;
    g_mutex_unlock(&im->flight_lock);
}

static void land(struct image *im, struct flight *f)
{
    struct flight **link = &im->flights;
    g_mutex_lock(&im->flight_lock);
    while (*link != f)
        link = &(*link)->next;
    *link = f->next;
    g_cond_broadcast(&im->landed);
    g_mutex_unlock(&im->flight_lock);
}

/* Takes the exclusive lock at a moment when none of the blocks from offset on is in flight. */
static void lock_landed(struct image *im, uint64_t offset, uint64_t bytes)
{
    uint64_t block = im->block_bytes ? im->block_bytes : 1, start = offset / block * block;
    uint64_t end = bytes > UINT64_MAX - offset - block ? UINT64_MAX : (offset + bytes + block - 1) / block * block;
    for (;;) {
        g_rw_lock_writer_lock(&im->lock);
        if (!in_flight(im, start, end))
            return;
        g_mutex_lock(&im->flight_lock); /* before the lock goes, so that no landing is missed */
        g_rw_lock_writer_unlock(&im->lock);
        while (in_flight(im, start, end))
            g_cond_wait(&im->landed, &im->flight_lock);
        g_mutex_unlock(&im->flight_lock);
    }
}

static void lock_all_landed(struct image *im)
{
    lock_landed(im, 0, UINT64_MAX);
}

/* Writes the data of placed blocks.  New room is ours alone: the exclusive lock is put away meanwhile.  Blocks that are
 * there in part may be overwritten by others, so that it must be kept. */
static int fill_in_flight(struct image *im, const struct extent *e, uint64_t offset, struct iov_walk *w, uint64_t bytes)
{
    struct flight f = {e->offset, e->offset + e->bytes, NULL};
    if (e->reused)
        return fill_placed(im, e, offset, w, bytes);
    take_off(im, &f);
    g_rw_lock_writer_unlock(&im->lock);
    g_rw_lock_reader_lock(&im->lock);
    int err = fill_placed(im, e, offset, w, bytes);
    g_rw_lock_reader_unlock(&im->lock);
    g_rw_lock_writer_lock(&im->lock);
    land(im, &f);
    return err;
}

/* A first write.  Exclusive lock held, and nothing of it in flight. */
static int write_new(struct image *im, uint64_t *offset, struct iov_walk *w, uint64_t *bytes)
{
    struct extent e;
    if (!im->format->place)
        return -EROFS;
    int err = blocks_to_place(im, *offset, *bytes, &e);
    if (!err)
        err = im->format->place(im, &e);
    if (err)
        return err;
    uint64_t n = MIN(*bytes, e.offset + e.bytes - *offset);
    if (im->ahead && !e.reused)
        blk_reserve(e.file, e.file_offset, e.bytes, im->ahead);
    err = fill_in_flight(im, &e, *offset, w, n);
    im->tables_changed = true;
    if (!err)
        err = im->format->link(im, &e); /* all of it or nothing */
    if (err && im->format->unplace)
        im->format->unplace(im, &e);
    *offset += n;
    *bytes -= n;
    return err;
}

static int write_shared(struct image *im, uint64_t *offset, struct iov_walk *w, uint64_t *bytes)
{
    g_rw_lock_reader_lock(&im->lock);
    int err = write_in_place(im, offset, w, bytes);
    g_rw_lock_reader_unlock(&im->lock);
    return err;
}

/* What is there is overwritten under the shared lock, the rest placed under the exclusive one, part by part. */
static int write_parts(struct image *im, uint64_t offset, struct iov_walk *w, uint64_t bytes)
{
    int err = write_shared(im, &offset, w, &bytes);
    while (!err && bytes) {
        struct extent e;
        lock_landed(im, offset, bytes);
        err = extent_at(im, offset, 1, &e);
        if (!err && !e.in_place) /* it may have landed meanwhile */
            err = write_new(im, &offset, w, &bytes);
        g_rw_lock_writer_unlock(&im->lock);
        if (!err)
            err = write_shared(im, &offset, w, &bytes);
    }
    return err;
}

static int after_write(struct image *im, int err)
{
    return !err && im->file->cache == CACHE_WRITETHROUGH ? image_flush(im) : err;
}

/* Exclusive lock held. */
static int ready_locked(struct image *im)
{
    int err = !g_atomic_int_get(&im->ready) && im->format->ready ? im->format->ready(im) : 0;
    if (!err)
        g_atomic_int_set(&im->ready, 1);
    return err;
}

int image_ready(struct image *im)
{
    g_rw_lock_writer_lock(&im->lock);
    int err = ready_locked(im);
    g_rw_lock_writer_unlock(&im->lock);
    return err;
}

/* Exclusive lock held. */
static int begin_locked(struct image *im)
{
    int err = ready_locked(im);
    if (!err && !g_atomic_int_get(&im->changed) && im->format->begin)
        err = im->format->begin(im);
    if (!err)
        g_atomic_int_set(&im->changed, 1);
    return err;
}

int image_begin(struct image *im)
{
    bool is_ready = g_atomic_int_get(&im->ready) || !im->format->ready;
    if (is_ready && (g_atomic_int_get(&im->changed) || !im->format->begin))
        return 0;
    g_rw_lock_writer_lock(&im->lock);
    int err = begin_locked(im);
    g_rw_lock_writer_unlock(&im->lock);
    return err;
}

int image_writev(struct image *im, uint64_t offset, const struct iovec *iov, int n)
{
    uint64_t bytes = iov_bytes(iov, n);
    if (!in_bounds(im, offset, bytes))
        return -EINVAL;
    if (!im->writable)
        return -EROFS;
    struct iov_walk w = {iov, n, 0};
    int err = image_begin(im);
    if (!err)
        err = write_parts(im, offset, &w, bytes);
    return after_write(im, err);
}

int image_write(struct image *im, uint64_t offset, const void *from, size_t n)
{
    struct iovec one = {(void *)from, n};
    return image_writev(im, offset, &one, 1);
}

int image_append(struct image *im, uint64_t offset, const void *packed, size_t n)
{
    if (!im->writable)
        return -EROFS;
    lock_landed(im, offset, im->block_bytes);
    int err = begin_locked(im);
    im->tables_changed = true;
    if (!err)
        err = im->format->append(im, offset, packed, n);
    g_rw_lock_writer_unlock(&im->lock);
    return err;
}

static int flush_tables(struct image *im)
{
    g_rw_lock_writer_lock(&im->lock);
    int err = im->format->flush ? im->format->flush(im) : 0;
    im->tables_changed = im->tables_changed && err;
    g_rw_lock_writer_unlock(&im->lock);
    return err;
}

/* The long wait is for the data: others may read and overwrite meanwhile.  What was linked before this call is in
 * tables_changed.  A parent may have been written to until lately (image_freeze()). */
int image_flush(struct image *im)
{
    if (!im->writable)
        return 0;
    int err = im->parent ? image_flush(im->parent) : 0;
    if (err)
        return err;
    g_rw_lock_reader_lock(&im->lock);
    err = im->format->sync ? im->format->sync(im) : blk_sync(im->file);
    bool tables = im->tables_changed;
    g_rw_lock_reader_unlock(&im->lock);
    return !err && tables ? flush_tables(im) : err;
}

/* ---- zeroes and discards ---- */
static int write_zeroes(struct image *im, uint64_t offset, uint64_t bytes)
{
    const size_t room = 256 << 10;
    g_autofree char *zero = g_malloc0(MIN(bytes, room) + 1);
    for (int err; bytes;) {
        size_t n = MIN(bytes, room);
        struct iovec one = {zero, n};
        struct iov_walk w = {&one, 1, 0};
        if ((err = write_parts(im, offset, &w, n)))
            return err;
        offset += n;
        bytes -= n;
    }
    return 0;
}

/* Less than a block, or where the format cannot say "zeroes". */
static int zero_piece(struct image *im, uint64_t offset, uint64_t bytes)
{
    lock_landed(im, offset, bytes);
    bool nothing = !bytes || known_zero(im, offset, bytes);
    g_rw_lock_writer_unlock(&im->lock);
    return nothing ? 0 : write_zeroes(im, offset, bytes);
}

static int zero_blocks(struct image *im, uint64_t offset, uint64_t bytes)
{
    lock_landed(im, offset, bytes);
    im->tables_changed = true;
    int err = im->format->zero(im, offset, bytes);
    g_rw_lock_writer_unlock(&im->lock);
    return err == -ENOTSUP ? zero_piece(im, offset, bytes) : err;
}

/* Splits the range in the whole blocks, for the format, and the edges.  The image's end counts as a block's end. */
static void whole_blocks(const struct image *im, uint64_t offset, uint64_t bytes, uint64_t *start, uint64_t *end)
{
    uint64_t block = im->block_bytes ? im->block_bytes : 1, stop = offset + bytes;
    *start = MIN((offset + block - 1) / block * block, stop);
    *end = stop == im->bytes ? stop : MAX(stop / block * block, *start);
}

int image_zero(struct image *im, uint64_t offset, uint64_t bytes)
{
    if (!in_bounds(im, offset, bytes))
        return -EINVAL;
    if (!im->writable)
        return -EROFS;
    uint64_t start, end;
    whole_blocks(im, offset, bytes, &start, &end);
    if (!im->format->zero)
        end = start;
    int err = image_begin(im);
    if (!err && start > offset)
        err = zero_piece(im, offset, start - offset);
    if (!err && end > start)
        err = zero_blocks(im, start, end - start);
    if (!err && offset + bytes > end)
        err = zero_piece(im, end, offset + bytes - end);
    return after_write(im, err);
}

int image_discard(struct image *im, uint64_t offset, uint64_t bytes)
{
    if (!in_bounds(im, offset, bytes))
        return -EINVAL;
    if (!im->writable)
        return -EROFS;
    uint64_t start, end;
    whole_blocks(im, offset, bytes, &start, &end);
    if (!im->format->discard || start == end)
        return 0;
    lock_landed(im, start, end - start);
    int err = begin_locked(im);
    im->tables_changed = true;
    if (!err)
        err = im->format->discard(im, start, end - start);
    g_rw_lock_writer_unlock(&im->lock);
    return after_write(im, err);
}

int image_sparsify(struct image *im, uint64_t offset, uint64_t bytes)
{
    if (!in_bounds(im, offset, bytes))
        return -EINVAL;
    if (!im->writable)
        return -EROFS;
    lock_landed(im, offset, bytes);
    int err = ready_locked(im);
    for (uint64_t end = offset + bytes; !err && offset < end;) {
        struct extent e;
        err = extent_at(im, offset, end - offset, &e);
        if (!err && e.in_place)
            err = blk_zero(e.file, e.file_offset, e.bytes, true);
        offset += e.bytes;
    }
    g_rw_lock_writer_unlock(&im->lock);
    return err;
}

void image_reserve(struct image *im, uint64_t offset, uint64_t bytes)
{
    g_rw_lock_reader_lock(&im->lock);
    for (uint64_t end = offset + bytes; offset < end;) {
        struct extent e;
        if (extent_at(im, offset, end - offset, &e))
            break;
        if (e.in_place)
            blk_reserve(e.file, e.file_offset, e.bytes, 0);
        offset += e.bytes;
    }
    g_rw_lock_reader_unlock(&im->lock);
}

/* ---- where things are ---- */
int image_extent(struct image *im, uint64_t offset, bool holes, struct extent *out)
{
    if (offset >= im->bytes)
        return -EINVAL;
    g_rw_lock_reader_lock(&im->lock);
    int err = extent_at(im, offset, im->bytes - offset, out);
    g_rw_lock_reader_unlock(&im->lock);
    uint64_t until;
    if (err || !holes || out->kind != EXTENT_DATA || out->compressed || out->file_offset == UINT64_MAX)
        return err;
    if (blk_is_hole(out->file, out->file_offset, &until))
        out->kind = EXTENT_ZERO;
    out->bytes = MIN(out->bytes, until - out->file_offset);
    return 0;
}

int image_extent_deep(struct image *im, uint64_t offset, struct extent *out, struct image **layer)
{
    int err = image_extent(im, offset, true, out);
    uint64_t bytes = out->bytes;
    while (!err && out->kind == EXTENT_HOLE && im->parent && offset < im->parent->bytes) {
        im = im->parent;
        err = image_extent(im, offset, true, out);
        bytes = out->bytes = MIN(bytes, out->bytes);
    }
    if (!err && out->kind == EXTENT_HOLE)
        out->kind = EXTENT_ZERO;
    if (layer)
        *layer = im;
    return err;
}

bool image_may_resize(struct image *im, uint64_t bytes, GError **error)
{
    if (!im->writable)
        return disk_fail(error, DISK_ERROR_PERMISSION, "%s is open read-only", im->file->path);
    if (!im->format->resize)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "a %s image cannot be resized", im->format->name);
    if (!bytes || bytes > IMAGE_MAX_BYTES || bytes % 512)
        return disk_fail(error, DISK_ERROR_USAGE, "the new size must be a multiple of 512 bytes");
    return !im->format->may_resize || im->format->may_resize(im, bytes, error);
}

bool image_resize(struct image *im, uint64_t bytes, GError **error)
{
    if (!image_may_resize(im, bytes, error))
        return false;
    uint64_t block = im->block_bytes ? im->block_bytes : 1, block_end = (bytes + block - 1) / block * block;
    int err = 0;
    if (bytes < im->bytes) /* the rest of the last block must not come back when the image grows again */
        err = image_zero(im, bytes, MIN(block_end, im->bytes) - bytes);
    if (err)
        return disk_fail_errno(error, -err, "%s", im->file->path);
    uint64_t was = im->bytes, parent = im->parent ? im->parent->bytes : 0;
    lock_all_landed(im);
    im->tables_changed = true;
    err = ready_locked(im);
    bool ok = err ? disk_fail_errno(error, -err, "%s", im->file->path) : im->format->resize(im, bytes, error);
    g_rw_lock_writer_unlock(&im->lock);
    err = ok && bytes > was && parent > was ? image_zero(im, was, MIN(bytes, parent) - was) : 0;
    return ok && (!err || disk_fail_errno(error, -err, "%s", im->file->path));
}

bool image_uses(const struct image *im, const char *path)
{
    bool uses = false;
    for (; im && !uses; im = im->parent)
        uses = blk_has_name(im->file, path) || (im->format->uses && im->format->uses(im, path));
    return uses;
}

char **image_alike(struct image *im)
{
    return im->format->alike ? im->format->alike(im) : NULL;
}

/* Where there is nothing to repair, nothing is changed. */
static bool repair_locked(struct image *im, struct image_check *out, GError **error)
{
    struct image_check found;
    image_check_init(&found);
    bool ok = im->put_off || im->format->check(im, false, &found, error);
    bool sound = ok && !im->put_off && !found.corruptions && !found.leaks;
    int err = ok && !sound ? ready_locked(im) : 0;
    if (sound) {
        struct image_check empty = *out;
        *out = found;
        found = empty;
    } else if (ok) {
        im->tables_changed = true;
        ok = err ? disk_fail_errno(error, -err, "%s", im->file->path) : im->format->check(im, true, out, error);
    }
    image_check_clear(&found);
    return ok;
}

bool image_check(struct image *im, bool repair, struct image_check *out, GError **error)
{
    if (repair && !im->writable)
        return disk_fail(error, DISK_ERROR_PERMISSION, "%s is open read-only", im->file->path);
    if (!im->format->check)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "there is nothing to check in a %s image", im->format->name);
    lock_all_landed(im);
    bool ok = repair ? repair_locked(im, out, error) : im->format->check(im, false, out, error);
    g_rw_lock_writer_unlock(&im->lock);
    return ok;
}

bool image_is_zero(const void *data, size_t n)
{
    const char *p = data;
    if (n < 16)
        return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
    return p[0] == 0 && p[n / 2] == 0 && p[n - 1] == 0 && memcmp(p, p + 1, n - 1) == 0;
}
