// SPDX-License-Identifier: GPL-2.0-or-later
/* resize.c - growing and shrinking.  Growing: a larger L1 table first if need be, then the size in the header.
 * Shrinking: what lies behind the new end is dropped, then the size; L1 stays as long as it was. */
#include "disk-formats/qcow2/qcow2.h"
#include <errno.h>
#include <string.h>

static int grow_l1(struct image *im, uint64_t entries)
{
    struct qcow2 *s = qcow2_of(im);
    struct table_in_memory old = s->l1;
    uint64_t clusters = (entries * 8 + s->cluster - 1) >> s->cluster_bits, offset;
    entries = clusters << s->cluster_bits >> 3;
    int err = clusters_allocate_exactly(im, clusters, &offset);
    uint64_t *entry = err ? NULL : g_try_new0(uint64_t, entries);
    if (!entry)
        return err ? err : -ENOMEM;
    memcpy(entry, old.entry, old.entries * 8ull);
    s->l1 = (struct table_in_memory){0};
    memory_table_take(&s->l1, offset, entry, entries);
    for (uint64_t i = 0; i < entries; i += 64)
        memory_table_set(&s->l1, i, entry[i]);
    err = qcow2_commit(im);
    uint8_t field[12];
    put_be32(field, entries);
    put_be64(field + 4, offset);
    if (!err)
        err = qcow2_write_header_field(im, HEADER_L1_SIZE, field, sizeof field);
    if (!err && old.entries)
        qcow2_drop(s, old.offset, (old.entries * 8ull + s->cluster - 1) / s->cluster * s->cluster, false);
    memory_table_clear(&old);
    return err;
}

static int drop_tail(struct image *im, uint64_t bytes)
{
    struct qcow2 *s = qcow2_of(im);
    uint64_t keep = (bytes + s->cluster - 1) / s->cluster * s->cluster;
    g_mutex_lock(&s->lock);
    int err = keep < im->bytes ? qcow2_clear(im, keep, im->bytes - keep, false) : 0; /* image_resize minds a parent */
    for (uint64_t i = (bytes + guest_per_l2(s) - 1) / guest_per_l2(s); !err && i < s->l1.entries; i++) {
        uint64_t l2 = s->l1.entry[i] & L1_OFFSET_MASK;
        if (!l2)
            continue;
        if (!(s->l1.entry[i] & ENTRY_COPIED)) { /* a snapshot shares it: its own pointers stay counted */
            qcow2_drop(s, l2, s->cluster, false);
        } else {
            tables_forget(&s->l2, l2);
            qcow2_drop(s, l2, s->cluster, true);
        }
        memory_table_set(&s->l1, i, 0);
    }
    g_mutex_unlock(&s->lock);
    return err ? err : qcow2_flush(im);
}

bool qcow2_may_resize(struct image *im, uint64_t bytes, GError **error)
{
    struct qcow2 *s = qcow2_of(im);
    uint64_t entries = (bytes + guest_per_l2(s) - 1) / guest_per_l2(s);
    if (entries * 8 > MAX_L1_BYTES)
        return disk_fail(error, DISK_ERROR_USAGE, "%s: that is too large for its cluster size", im->file->path);
    if (s->snapshot_count && s->version < 3)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s: version 2 with snapshots cannot be resized",
                         im->file->path);
    return true;
}

bool qcow2_resize(struct image *im, uint64_t bytes, GError **error)
{
    struct qcow2 *s = qcow2_of(im);
    uint64_t entries = (bytes + guest_per_l2(s) - 1) / guest_per_l2(s);
    uint8_t field[8];
    int err = 0;
    if (bytes < im->bytes)
        err = drop_tail(im, bytes);
    g_mutex_lock(&s->lock);
    if (!err && entries > s->l1.entries)
        err = grow_l1(im, entries);
    if (!err && s->data != im->file)
        err = blk_truncate(s->data, bytes);
    put_be64(field, bytes);
    if (!err)
        err = qcow2_write_header_field(im, HEADER_SIZE, field, sizeof field);
    g_mutex_unlock(&s->lock);
    if (err)
        return disk_fail_errno(error, -err, "%s: cannot be resized", im->file->path);
    im->bytes = bytes;
    return true;
}
