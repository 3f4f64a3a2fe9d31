// SPDX-License-Identifier: GPL-2.0-or-later
/* raw.c - the disk's bytes and nothing else: disk images, ISO 9660/UDF images, floppy images, host block devices.
 *
 * Power cut: every write goes where it belongs; flush is the barrier.  There is nothing to put in order.
 * The last sector of a file that is no multiple of 512 bytes long is padded with zeroes. */
#include "disk-formats/image/formats.h"
#include <errno.h>

static bool raw_open(struct image *im, GError **error)
{
    uint64_t bytes = blk_size(im->file);
    if (!bytes)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s is empty", im->file->path);
    im->bytes = (bytes + 511) / 512 * 512;
    return true;
}

static int raw_extent(struct image *im, uint64_t offset, struct extent *out)
{
    out->kind = EXTENT_DATA;
    out->in_place = true;
    out->file_offset = offset;
    return 0;
}

static int raw_discard(struct image *im, uint64_t offset, uint64_t bytes)
{
    return blk_zero(im->file, offset, bytes, true);
}

static int raw_zero(struct image *im, uint64_t offset, uint64_t bytes)
{
    return blk_zero(im->file, offset, bytes, false);
}

static bool raw_create(struct blk_file *f, const struct image_options *o, GError **error)
{
    int err = blk_truncate(f, o->bytes);
    if (!err && o->fixed)
        err = blk_zero(f, 0, o->bytes, false);
    return !err || disk_fail_errno(error, -err, "%s", f->path);
}

static bool raw_resize(struct image *im, uint64_t bytes, GError **error)
{
    int err = blk_truncate(im->file, bytes);
    if (err)
        return disk_fail_errno(error, -err, "%s", im->file->path);
    im->bytes = bytes;
    return true;
}

const struct image_format format_raw = {
    .name = "raw",
    .summary = "the disk's bytes, nothing else",
    .at_hand = true,
    .create = raw_create,
    .open = raw_open,
    .extent = raw_extent,
    .discard = raw_discard,
    .zero = raw_zero,
    .resize = raw_resize,
};
