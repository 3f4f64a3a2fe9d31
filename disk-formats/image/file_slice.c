// SPDX-License-Identifier: GPL-2.0-or-later
/* file_slice.c - a part of a host file or block device as a file of its own: of fixed size, and nothing beside it is touched.
 * Programs that mind our locks do not cut the file short under it.  Where another did, what is gone is an error, whether it is
 * read (zeroes would look like data) or written (the file would grow again, with a hole where data was). */
#include "disk-formats/image/image.h"
#include <errno.h>

enum { SECTOR = 512 };

struct slice {
    struct blk_file *whole;
    struct file_slice where;
};

/* Is all of it there still? */
static int still_there(const struct slice *s, uint64_t offset, uint64_t bytes)
{
    uint64_t size = blk_size(s->whole), end = s->where.offset + offset + bytes;
    return end <= size ? 0 : -EIO;
}

static int slice_preadv(struct blk_file *f, uint64_t offset, const struct iovec *iov, int n)
{
    struct slice *s = f->state;
    int err = still_there(s, offset, iov_bytes(iov, n));
    return err ? err : blk_preadv(s->whole, s->where.offset + offset, iov, n);
}

static int slice_preadv_now(struct blk_file *f, uint64_t offset, const struct iovec *iov, int n)
{
    struct slice *s = f->state;
    return blk_preadv_now(s->whole, s->where.offset + offset, iov, n);
}

static int slice_pwritev(struct blk_file *f, uint64_t offset, const struct iovec *iov, int n)
{
    struct slice *s = f->state;
    int err = still_there(s, offset, iov_bytes(iov, n));
    return err ? err : blk_pwritev(s->whole, s->where.offset + offset, iov, n);
}

static int slice_sync(struct blk_file *f)
{
    return blk_sync(((struct slice *)f->state)->whole);
}

static int slice_truncate(struct blk_file *f, uint64_t bytes)
{
    return -ENOTSUP;
}

static int slice_zero(struct blk_file *f, uint64_t offset, uint64_t bytes, bool punch)
{
    struct slice *s = f->state;
    int err = still_there(s, offset, bytes);
    return err ? err : blk_zero(s->whole, s->where.offset + offset, bytes, punch);
}

static int slice_hole(struct blk_file *f, uint64_t offset, bool *is_hole, uint64_t *until)
{
    struct slice *s = f->state;
    *is_hole = blk_is_hole(s->whole, s->where.offset + offset, until);
    *until = *until == UINT64_MAX ? *until : *until - s->where.offset;
    return 0;
}

static uint64_t slice_size(struct blk_file *f)
{
    return ((struct slice *)f->state)->where.bytes;
}

static void slice_close(struct blk_file *f)
{
    struct slice *s = f->state;
    blk_close(s->whole);
    g_free(s);
}

static const struct blk_file_ops slice_ops = {.preadv = slice_preadv,
                                              .preadv_now = slice_preadv_now,
                                              .pwritev = slice_pwritev,
                                              .sync = slice_sync,
                                              .truncate = slice_truncate,
                                              .zero = slice_zero,
                                              .hole = slice_hole,
                                              .size = slice_size,
                                              .close = slice_close};

static bool fits(struct blk_file *whole, struct file_slice *s, GError **error)
{
    uint64_t size = blk_size(whole) / SECTOR * SECTOR;
    if (s->offset % SECTOR || s->bytes % SECTOR)
        return disk_fail(error, DISK_ERROR_USAGE, "%s: offset and size must be multiples of %d bytes", whole->path,
                         SECTOR);
    if (s->offset >= size || s->bytes > size - s->offset)
        return disk_fail(error, DISK_ERROR_USAGE,
                         "%s has %" G_GUINT64_FORMAT " bytes: a part of it with offset %" G_GUINT64_FORMAT
                         " and size %" G_GUINT64_FORMAT " does not lie within",
                         whole->path, size, s->offset, s->bytes);
    s->bytes = s->bytes ? s->bytes : size - s->offset;
    return true;
}

struct blk_file *blk_open_slice(const char *path, unsigned flags, enum file_cache cache, const struct file_slice *s,
                                GError **error)
{
    struct file_slice where = *s;
    struct blk_file *whole = blk_open(path, flags | FILE_NO_LOCK, cache, error);
    if (!whole || !fits(whole, &where, error) || (!(flags & FILE_NO_LOCK) && !blk_lock_slice(whole, &where, error))) {
        blk_close(whole);
        return NULL;
    }
    struct blk_file *f = g_new0(struct blk_file, 1);
    struct slice *state = g_new(struct slice, 1);
    *state = (struct slice){whole, where};
    *f = (struct blk_file){&slice_ops, g_strdup(path), whole->writable, cache, state};
    return f;
}
