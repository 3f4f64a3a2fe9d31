// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshot.c - internal snapshots: the list, and showing one instead of the disk. */
#include "disk-formats/qcow2/qcow2.h"
#include <errno.h>
#include <string.h>

#define ENTRY_BYTES 40

static void snapshot_clear(void *p)
{
    struct qcow2_snapshot *n = p;
    g_free(n->id);
    g_free(n->name);
}

static bool damaged(struct image *im, GError **error)
{
    return disk_fail(error, DISK_ERROR_CORRUPT, "%s: the snapshot table is damaged", im->file->path);
}

/* "Snapshots" in the specification: a fixed part, extra data, id and name, padded to 8 bytes. */
static bool read_one(struct image *im, uint64_t at, struct qcow2_snapshot *out, GError **error)
{
    uint8_t h[ENTRY_BYTES], extra[16] = {0};
    if (!blk_get(im->file, at, h, sizeof h, "snapshot table", error))
        return false;
    uint32_t id = get_be16(h + 12), name = get_be16(h + 14), more = get_be32(h + 36);
    *out = (struct qcow2_snapshot){.l1_offset = get_be64(h), .l1_size = get_be32(h + 8), .bytes = im->bytes};
    out->at_seconds = get_be32(h + 16);
    out->vm_state_bytes = get_be32(h + 32);
    if (more > 1024 || out->l1_size * 8ull > MAX_L1_BYTES)
        return damaged(im, error);
    if (!blk_get(im->file, at + sizeof h, extra, MIN(more, sizeof extra), "snapshot table", error))
        return false;
    if (more >= 8)
        out->vm_state_bytes = get_be64(extra);
    if (more >= 16)
        out->bytes = get_be64(extra + 8);
    out->id = g_malloc0(id + 1);
    out->name = g_malloc0(name + 1);
    at += sizeof h + more;
    out->table_bytes = (sizeof h + more + id + name + 7) / 8 * 8;
    return blk_get(im->file, at, out->id, id, "snapshot table", error) &&
           blk_get(im->file, at + id, out->name, name, "snapshot table", error);
}

bool qcow2_snapshots(struct image *im, GArray **out, GError **error)
{
    struct qcow2 *s = qcow2_of(im);
    GArray *list = g_array_new(FALSE, TRUE, sizeof(struct qcow2_snapshot));
    uint64_t at = s->snapshots_offset;
    bool ok = true;
    g_array_set_clear_func(list, snapshot_clear);
    if (s->snapshot_count > MAX_SNAPSHOTS)
        ok = damaged(im, error);
    for (uint32_t i = 0; ok && i < s->snapshot_count; i++) {
        struct qcow2_snapshot one = {0};
        ok = read_one(im, at, &one, error);
        at += one.table_bytes;
        g_array_append_val(list, one);
    }
    *out = ok ? list : NULL;
    if (!ok)
        g_array_unref(list);
    return ok;
}

bool qcow2_show_snapshot(struct image *im, const char *wanted, GError **error)
{
    struct qcow2 *s = qcow2_of(im);
    g_autoptr(GArray) list = NULL;
    struct qcow2_snapshot *found = NULL;
    if (!qcow2_snapshots(im, &list, error))
        return false;
    for (guint i = 0; i < list->len && !found; i++) {
        struct qcow2_snapshot *n = &g_array_index(list, struct qcow2_snapshot, i);
        if (!strcmp(n->name, wanted) || !strcmp(n->id, wanted))
            found = n;
    }
    if (!found)
        return disk_fail(error, DISK_ERROR_NOT_FOUND, "%s has no snapshot \"%s\"", im->file->path, wanted);
    if (found->bytes > IMAGE_MAX_BYTES || found->l1_size < (found->bytes + guest_per_l2(s) - 1) / guest_per_l2(s))
        return damaged(im, error);
    im->bytes = (found->bytes + 511) & ~UINT64_C(511);
    return qcow2_load_table(im, &s->l1, found->l1_offset, found->l1_size, "snapshot's L1 table", error);
}
