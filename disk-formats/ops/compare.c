// SPDX-License-Identifier: GPL-2.0-or-later
/* compare.c - do two images have the same contents? */
#include "disk-formats/ops/ops.h"
#include <errno.h>
#include <string.h>

#define PIECE (1u << 20)

/* Is all of it known to be zero, without reading? */
static bool is_hole(struct image *im, uint64_t offset, uint64_t bytes)
{
    while (bytes) {
        struct extent e;
        if (offset >= im->bytes)
            return true;
        if (image_extent_deep(im, offset, &e, NULL) || e.kind == EXTENT_DATA)
            return false;
        uint64_t n = MIN(e.bytes, bytes);
        offset += n;
        bytes -= n;
    }
    return true;
}

static int read_padded(struct image *im, uint64_t offset, uint8_t *to, uint64_t bytes)
{
    uint64_t there = offset < im->bytes ? MIN(bytes, im->bytes - offset) : 0;
    memset(to + there, 0, bytes - there);
    return there ? image_read(im, offset, to, there) : 0;
}

static uint64_t first_difference(const uint8_t *a, const uint8_t *b, uint64_t n)
{
    uint64_t at = 0;
    while (at < n && a[at] == b[at])
        at++;
    return at;
}

bool disk_compare(struct image *a, struct image *b, struct disk_job *job, uint64_t *first, GError **error)
{
    uint64_t end = MAX(a->bytes, b->bytes);
    g_autofree uint8_t *x = g_malloc(PIECE), *y = g_malloc(PIECE);
    *first = UINT64_MAX;
    for (uint64_t at = 0, n; at < end; at += n) {
        n = MIN(PIECE, end - at);
        if (job && job->progress)
            job->progress(job->ctx, at, end);
        if (disk_cancelled(job, error))
            return false;
        if (is_hole(a, at, n) && is_hole(b, at, n))
            continue;
        int err = read_padded(a, at, x, n), err_b = read_padded(b, at, y, n);
        if (err || err_b)
            return disk_fail_errno(error, err ? -err : -err_b, "%s", err ? a->file->path : b->file->path);
        if (memcmp(x, y, n)) {
            *first = at + first_difference(x, y, n);
            return true;
        }
    }
    return true;
}
