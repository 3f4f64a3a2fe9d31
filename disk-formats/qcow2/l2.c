// SPDX-License-Identifier: GPL-2.0-or-later
/* l2.c - from guest clusters to the file: lookups, new clusters, zeroes and discards. */
#include "disk-formats/qcow2/qcow2.h"
#include <errno.h>
#include <string.h>

/* ---- one entry ---- */
uint64_t l2_entry(const struct qcow2 *s, const uint8_t *table, unsigned index)
{
    return get_be64(table + (size_t)index * s->entry_bytes);
}

uint64_t l2_bitmap(const struct qcow2 *s, const uint8_t *table, unsigned index)
{
    return s->extended ? get_be64(table + (size_t)index * 16 + 8) : 0;
}

void l2_store(const struct qcow2 *s, uint8_t *table, unsigned index, uint64_t entry, uint64_t bitmap)
{
    put_be64(table + (size_t)index * s->entry_bytes, entry);
    if (s->extended)
        put_be64(table + (size_t)index * 16 + 8, bitmap);
}

/* "Compressed Clusters Descriptor": an offset in bytes, and how many further 512-byte sectors it touches. */
void compressed_place(const struct qcow2 *s, uint64_t entry, uint64_t *offset, uint64_t *bytes)
{
    unsigned x = 62 - (s->cluster_bits - 8);
    *offset = entry & ((UINT64_C(1) << x) - 1);
    uint64_t sectors = (entry & ~(ENTRY_COPIED | L2_COMPRESSED)) >> x;
    *bytes = (sectors + 1) * 512 - *offset % 512;
}

/* ---- tables ---- */
static uint32_t l1_index(const struct qcow2 *s, uint64_t offset)
{
    return offset >> (s->cluster_bits + s->l2_bits);
}

int l2_for_read(struct image *im, uint64_t offset, struct l2_slot *out)
{
    struct qcow2 *s = qcow2_of(im);
    uint32_t at = l1_index(s, offset);
    uint64_t l2 = at < s->l1.entries ? s->l1.entry[at] & L1_OFFSET_MASK : 0;
    out->table = NULL;
    out->index = offset >> s->cluster_bits & ((1u << s->l2_bits) - 1);
    if (!l2)
        return 0;
    return l2 % s->cluster ? -EBADMSG : tables_get(im, &s->l2, l2, &out->table);
}

/* A table that only the disk uses, not a snapshot: a new one, or a copy, if need be. */
static int l2_own(struct image *im, uint32_t at)
{
    struct qcow2 *s = qcow2_of(im);
    uint64_t old = s->l1.entry[at] & L1_OFFSET_MASK, count = 1, offset;
    struct table *from = NULL, *to;
    if (old % s->cluster)
        return -EBADMSG;
    int err = clusters_allocate(im, &count, &offset);
    if (!err && old)
        err = tables_get(im, &s->l2, old, &from);
    if (err)
        return err;
    if (!(to = tables_add(im, &s->l2, offset)))
        return -ENOMEM;
    if (from) {
        memcpy(to->data, from->data, s->cluster);
        qcow2_drop(s, old, s->cluster, false);
    }
    memory_table_set(&s->l1, at, offset | ENTRY_COPIED);
    return 0;
}

int l2_for_write(struct image *im, uint64_t offset, struct l2_slot *out)
{
    struct qcow2 *s = qcow2_of(im);
    uint32_t at = l1_index(s, offset);
    if (at >= s->l1.entries)
        return -EBADMSG;
    bool own = s->l1.entry[at] & ENTRY_COPIED && s->l1.entry[at] & L1_OFFSET_MASK;
    int err = own ? 0 : l2_own(im, at);
    return err ? err : l2_for_read(im, offset, out);
}

/* ---- looking up ---- */
struct piece { /* a run of (sub)clusters that are alike */
    enum extent_kind kind;
    bool compressed, in_place;
    uint64_t file_offset; /* of the first byte */
};

static int look_at(struct image *im, const struct table *t, unsigned index, uint64_t in_cluster, struct piece *out)
{
    struct qcow2 *s = qcow2_of(im);
    uint64_t entry = l2_entry(s, t->data, index), host = entry & L2_OFFSET_MASK;
    uint64_t bitmap = l2_bitmap(s, t->data, index);
    unsigned sub = s->extended ? in_cluster / s->sub_bytes : 0;
    bool allocated = host || (entry & ENTRY_COPIED && s->data != im->file), zero = entry & L2_ZERO && s->version >= 3;
    *out = (struct piece){EXTENT_HOLE, false, false, UINT64_MAX};
    if (entry & L2_COMPRESSED) {
        *out = (struct piece){EXTENT_DATA, true, false, UINT64_MAX};
        return 0;
    }
    if (s->extended) {
        bool has = bitmap >> sub & 1;
        zero = bitmap >> (32 + sub) & 1;
        if ((has && zero) || (has && !allocated))
            return -EBADMSG;
        allocated = has;
    }
    if (host % s->cluster)
        return -EBADMSG;
    if (zero)
        out->kind = EXTENT_ZERO;
    else if (allocated && s->data == im->file && qcow2_is_table(s, host))
        return -EBADMSG;
    else if (allocated)
        *out = (struct piece){EXTENT_DATA, false, entry & ENTRY_COPIED, host + in_cluster};
    return 0;
}

static bool continues(const struct piece *a, const struct piece *b, uint64_t distance)
{
    return a->kind == b->kind && a->compressed == b->compressed && a->in_place == b->in_place &&
           (a->file_offset == UINT64_MAX ? b->file_offset == UINT64_MAX : b->file_offset == a->file_offset + distance);
}

/* A stretch of alike clusters, within one table. */
static int scan(struct image *im, struct l2_slot slot, uint64_t offset, struct extent *out)
{
    struct qcow2 *s = qcow2_of(im);
    uint64_t in = offset & (s->cluster - 1), want = out->bytes;
    struct piece first, next;
    int err = look_at(im, slot.table, slot.index, in, &first);
    out->bytes = s->sub_bytes - (in & (s->sub_bytes - 1));
    if (!err && first.compressed)
        out->bytes = s->cluster - in;
    while (!err && !first.compressed && out->bytes < want) {
        uint64_t at = in + out->bytes;
        unsigned index = slot.index + (at >> s->cluster_bits);
        if (index >> s->l2_bits || look_at(im, slot.table, index, at & (s->cluster - 1), &next) ||
            !continues(&first, &next, out->bytes))
            break;
        out->bytes += s->sub_bytes;
    }
    out->bytes = MIN(out->bytes, want);
    out->kind = first.kind;
    out->compressed = first.compressed;
    out->in_place = first.in_place && im->writable;
    out->file = s->data;
    out->file_offset = first.file_offset;
    return err;
}

/* Takes the lock; not now: another thread may read the file meanwhile, or the table that is wanted is not in the cache. */
static int lock_tables(struct image *im, uint64_t offset, bool now)
{
    struct qcow2 *s = qcow2_of(im);
    uint32_t at = l1_index(s, offset);
    if (!now)
        g_mutex_lock(&s->lock);
    else if (!g_mutex_trylock(&s->lock))
        return -EAGAIN;
    uint64_t l2 = at < s->l1.entries ? s->l1.entry[at] & L1_OFFSET_MASK : 0;
    if (!now || !l2 || tables_has(&s->l2, l2))
        return 0;
    g_mutex_unlock(&s->lock);
    return -EAGAIN;
}

int qcow2_extent(struct image *im, uint64_t offset, struct extent *out)
{
    struct qcow2 *s = qcow2_of(im);
    struct l2_slot slot;
    int err = lock_tables(im, offset, out->now);
    if (err)
        return err;
    err = l2_for_read(im, offset, &slot);
    if (!err && slot.table) {
        err = scan(im, slot, offset, out);
    } else if (!err) {
        out->kind = EXTENT_HOLE;
        out->bytes = MIN(out->bytes, guest_per_l2(s) - (offset & (guest_per_l2(s) - 1)));
    }
    if (s->l2.count > s->l2.limit)
        tables_shrink(&s->l2);
    g_mutex_unlock(&s->lock);
    return err;
}

/* ---- new clusters ---- */

/* The cluster that is there already and ours, but not yet (all) in use: preallocated zeroes, partial subclusters. */
static bool reusable(struct image *im, uint64_t offset, uint64_t *host)
{
    struct qcow2 *s = qcow2_of(im);
    struct l2_slot slot;
    if (l2_for_read(im, offset, &slot) || !slot.table)
        return false;
    uint64_t entry = l2_entry(s, slot.table->data, slot.index);
    *host = entry & L2_OFFSET_MASK;
    return !(entry & L2_COMPRESSED) && entry & ENTRY_COPIED && *host && *host % s->cluster == 0;
}

int qcow2_place(struct image *im, struct extent *out)
{
    struct qcow2 *s = qcow2_of(im);
    uint64_t in_table = guest_per_l2(s) - (out->offset & (guest_per_l2(s) - 1)), host;
    int err = 0;
    g_mutex_lock(&s->lock);
    out->bytes = MIN(out->bytes, in_table);
    out->file = s->data;
    if (s->data != im->file) {
        out->file_offset = out->offset;
    } else if (reusable(im, out->offset, &host)) {
        out->bytes = s->cluster;
        out->file_offset = host;
        out->reused = true;
    } else {
        uint64_t count = 1; /* stop before a reusable one */
        while (count << s->cluster_bits < out->bytes && !reusable(im, out->offset + (count << s->cluster_bits), &host))
            count++;
        err = clusters_allocate(im, &count, &out->file_offset);
        out->zeroed = out->file_offset >= blk_size(im->file);
        out->bytes = count << s->cluster_bits;
    }
    g_mutex_unlock(&s->lock);
    return err;
}

void qcow2_unplace(struct image *im, const struct extent *e)
{
    struct qcow2 *s = qcow2_of(im);
    g_mutex_lock(&s->lock);
    if (s->data == im->file && !e->reused)
        refcount_change(im, e->file_offset, e->bytes, -1);
    g_mutex_unlock(&s->lock);
}

/* The entry gives up what it pointed to. */
void l2_drop_target(struct image *im, uint64_t entry, bool punch)
{
    struct qcow2 *s = qcow2_of(im);
    uint64_t offset = entry & L2_OFFSET_MASK, bytes = s->cluster;
    if (entry & L2_COMPRESSED)
        compressed_place(s, entry, &offset, &bytes);
    else if (!offset || s->data != im->file)
        return;
    qcow2_drop(s, offset, bytes, punch);
}

static int after_change(struct image *im)
{
    struct qcow2 *s = qcow2_of(im);
    bool much = s->l2.dirty + s->blocks.dirty > (s->l2.limit + s->blocks.limit) / 2 || s->dropped->len > 65536;
    int err = much ? qcow2_commit(im) : 0;
    if (s->l2.count > s->l2.limit)
        tables_shrink(&s->l2);
    if (s->blocks.count > s->blocks.limit)
        tables_shrink(&s->blocks);
    return err;
}

int qcow2_link(struct image *im, const struct extent *e)
{
    struct qcow2 *s = qcow2_of(im);
    struct l2_slot slot;
    g_mutex_lock(&s->lock);
    int err = l2_for_write(im, e->offset, &slot); /* place kept to one table */
    for (uint64_t at = 0; !err && at < e->bytes; at += s->cluster, slot.index++) {
        uint64_t old = l2_entry(s, slot.table->data, slot.index), host = e->file_offset + at;
        if (old & L2_COMPRESSED || (old & L2_OFFSET_MASK) != host)
            l2_drop_target(im, old, false);
        l2_store(s, slot.table->data, slot.index, host | ENTRY_COPIED, ALL_ALLOCATED);
    }
    if (!err) {
        tables_dirty(&s->l2, slot.table);
        after_change(im); /* if that fails, the tables stay dirty, and the next flush says so */
    }
    g_mutex_unlock(&s->lock);
    return err;
}

/* ---- zeroes and discards ---- */

/* Replaces every entry of the range by one that says "zeroes", or "nothing here". */
int qcow2_clear(struct image *im, uint64_t offset, uint64_t bytes, bool zeroes)
{
    struct qcow2 *s = qcow2_of(im);
    uint64_t end = offset + bytes;
    int err = 0;
    for (uint64_t at = offset; !err && at < end;) {
        struct l2_slot slot;
        uint64_t stop = MIN((at | (guest_per_l2(s) - 1)) + 1, end);
        err = l2_for_read(im, at, &slot);
        if (!err && (slot.table || zeroes))
            err = l2_for_write(im, at, &slot);
        for (; !err && slot.table && at < stop; at += s->cluster, slot.index++) {
            l2_drop_target(im, l2_entry(s, slot.table->data, slot.index), true);
            l2_store(s, slot.table->data, slot.index, zeroes && !s->extended ? L2_ZERO : 0, zeroes ? ALL_ZERO : 0);
        }
        if (!err && slot.table) {
            tables_dirty(&s->l2, slot.table);
            err = after_change(im);
        }
        at = stop;
    }
    return err;
}

/* With an external data file the guest's bytes stay where they are: they must become zeroes there. */
static int clear_data_file(struct image *im, uint64_t offset, uint64_t bytes)
{
    struct qcow2 *s = qcow2_of(im);
    return s->data != im->file ? blk_zero(s->data, offset, bytes, true) : 0;
}

int qcow2_zero(struct image *im, uint64_t offset, uint64_t bytes)
{
    struct qcow2 *s = qcow2_of(im);
    if (s->version < 3 && im->parent_name) /* no entry can say it */
        return -ENOTSUP;
    int err = clear_data_file(im, offset, bytes);
    g_mutex_lock(&s->lock);
    if (!err)
        err = qcow2_clear(im, offset, bytes, im->parent_name != NULL);
    g_mutex_unlock(&s->lock);
    return err;
}

int qcow2_discard(struct image *im, uint64_t offset, uint64_t bytes)
{
    struct qcow2 *s = qcow2_of(im);
    return s->version < 3 && im->parent_name ? 0 : qcow2_zero(im, offset, bytes);
}
