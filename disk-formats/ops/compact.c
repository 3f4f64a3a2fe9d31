// SPDX-License-Identifier: GPL-2.0-or-later
/* compact.c - gives room back in place: data that are zeroes become holes, and the unused end of the file goes.  At every
 * moment the image shows the same disk, so it may be stopped anywhere. */
#include "disk-formats/ops/ops.h"
#include <errno.h>
#include <string.h>

#define PIECE (1u << 20)

/* Zeroes of at least this much are worth a hole. */
static uint32_t grain_of(const struct image *im)
{
    return im->block_bytes && im->block_bytes <= PIECE ? im->block_bytes : 65536;
}

static int squeeze(struct image *im, uint64_t offset, uint64_t bytes, uint8_t *data)
{
    uint32_t grain = grain_of(im);
    int err = image_read(im, offset, data, bytes);
    for (uint64_t at = 0; at < bytes && !err; at += grain) {
        uint64_t n = MIN(grain, bytes - at);
        if (!image_is_zero(data + at, n))
            continue;
        while (at + n < bytes && image_is_zero(data + at + n, MIN(grain, bytes - at - n)))
            n += MIN(grain, bytes - at - n);
        bool blocks = im->block_bytes && im->block_bytes <= PIECE;
        err = blocks ? image_zero(im, offset + at, n) : image_sparsify(im, offset + at, n);
        at += (n - 1) / grain * grain;
    }
    return err;
}

static int squeeze_all(struct image *im, struct disk_job *job)
{
    g_autofree uint8_t *data = g_malloc(MAX(PIECE, im->block_bytes));
    uint64_t piece = MAX(PIECE, im->block_bytes);
    int err = 0;
    for (uint64_t at = 0; at < im->bytes && !err;) {
        struct extent e;
        err = image_extent(im, at, true, &e);
        uint64_t n = MIN(e.bytes, piece - at % piece);
        if (!err && e.kind == EXTENT_DATA && !e.compressed)
            err = squeeze(im, at, n, data);
        at += e.kind == EXTENT_DATA ? n : e.bytes;
        if (job && job->progress)
            job->progress(job->ctx, at, im->bytes);
        if (!err && job && g_atomic_int_get(&job->cancel))
            err = -ECANCELED;
    }
    return err;
}

/* Cuts what lies behind the last block in use, where the format has nothing at the end of the file. */
static bool cut_end(struct image *im, GError **error)
{
    struct image_check c;
    bool ok = true;
    if (!im->format->check || !im->cut_end)
        return true;
    image_check_init(&c);
    ok = image_check(im, false, &c, error);
    if (ok && !c.corruptions && c.end && c.end < blk_size(im->file)) {
        int err = image_ready(im);
        if (!err)
            err = blk_truncate(im->file, c.end);
        ok = !err || disk_fail_errno(error, -err, "%s", im->file->path);
    }
    image_check_clear(&c);
    return ok;
}

bool disk_compact(const char *path, const struct image_how *how, struct disk_job *job, uint64_t *freed, GError **error)
{
    struct image_how write = *how;
    write.write = true;
    struct image *im = image_open(path, &write, error);
    if (!im)
        return false;
    im->same_disk = true;
    uint64_t before = blk_allocated(im->file);
    int64_t changed = blk_mtime(im->file);
    int err = squeeze_all(im, job);
    if (!err)
        err = image_flush(im);
    bool ok = (!err || disk_fail_errno(error, -err, "%s", path)) && cut_end(im, error);
    uint64_t after = blk_allocated(im->file);
    *freed = before > after ? before - after : 0;
    struct blk_file *f = blk_ref(im->file);
    err = image_close(im);
    blk_set_mtime(f, changed); /* for its children: it holds what it held before */
    blk_close(f);
    return ok && (!err || disk_fail_errno(error, -err, "%s", path));
}
