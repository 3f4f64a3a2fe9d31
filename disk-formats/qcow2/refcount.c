// SPDX-License-Identifier: GPL-2.0-or-later
/* refcount.c - reference counts of any width, and finding free clusters. */
#include "disk-formats/qcow2/qcow2.h"
#include <errno.h>
#include <string.h>

/* ---- one count in a block; widths 1, 2 and 4 bits lie from the byte's low end (the specification, "Refcounts") ---- */
uint64_t refcount_read(const struct qcow2 *s, const uint8_t *block, uint64_t index)
{
    unsigned order = s->refcount_order, bits = 1u << order;
    switch (order) {
    case 3: return block[index];
    case 4: return get_be16(block + index * 2);
    case 5: return get_be32(block + index * 4);
    case 6: return get_be64(block + index * 8);
    default: return block[index * bits / 8] >> (index * bits % 8) & ((1u << bits) - 1);
    }
}

void refcount_store(const struct qcow2 *s, uint8_t *block, uint64_t index, uint64_t value)
{
    unsigned order = s->refcount_order, bits = 1u << order, shift = index * bits % 8;
    uint8_t mask = order < 3 ? ((1u << bits) - 1) << shift : 0xff, *byte = block + index * bits / 8;
    switch (order) {
    case 4: put_be16(block + index * 2, value); break;
    case 5: put_be32(block + index * 4, value); break;
    case 6: put_be64(block + index * 8, value); break;
    default: *byte = (*byte & ~mask) | (uint8_t)(value << shift); break;
    }
}

uint64_t refcount_max(const struct qcow2 *s)
{
    return s->refcount_order == 6 ? INT64_MAX : (UINT64_C(1) << (1u << s->refcount_order)) - 1;
}

/* ---- blocks ---- */

/* The block that holds a cluster's count; *out NULL: there is none, the count is 0. */
static int block_of(struct image *im, uint64_t cluster, struct table **out)
{
    struct qcow2 *s = qcow2_of(im);
    uint64_t index = cluster >> refs_per_block_bits(s);
    uint64_t offset = index < s->reftable.entries ? s->reftable.entry[index] & L1_OFFSET_MASK : 0;
    *out = NULL;
    if (!offset)
        return 0;
    return offset % s->cluster ? -EBADMSG : tables_get(im, &s->blocks, offset, out);
}

static uint64_t index_in_block(const struct qcow2 *s, uint64_t cluster)
{
    return cluster & ((UINT64_C(1) << refs_per_block_bits(s)) - 1);
}

int refcount_get(struct image *im, uint64_t cluster, uint64_t *out)
{
    struct qcow2 *s = qcow2_of(im);
    struct table *block;
    int err = block_of(im, cluster, &block);
    *out = !err && block ? refcount_read(s, block->data, index_in_block(s, cluster)) : 0;
    return err;
}

int refcount_set(struct image *im, uint64_t cluster, uint64_t value)
{
    struct qcow2 *s = qcow2_of(im);
    struct table *block;
    int err = block_of(im, cluster, &block);
    if (err || (!block && !value))
        return err;
    if (!block || value > refcount_max(s))
        return -EBADMSG;
    refcount_store(s, block->data, index_in_block(s, cluster), value);
    tables_dirty(&s->blocks, block);
    if (!value)
        s->next_free = MIN(s->next_free, cluster);
    return 0;
}

/* Every cluster that [offset, offset + bytes) touches. */
int refcount_change(struct image *im, uint64_t offset, uint64_t bytes, int by)
{
    struct qcow2 *s = qcow2_of(im);
    uint64_t last = (offset + bytes - 1) >> s->cluster_bits, refs;
    for (uint64_t c = offset >> s->cluster_bits; c <= last; c++) {
        int err = refcount_get(im, c, &refs);
        if (!err && by < 0 && !refs)
            return -EBADMSG;
        if (!err)
            err = refcount_set(im, c, refs + by);
        if (!err && by < 0 && refs == 1) { /* what was a table here once is none now */
            tables_forget(&s->l2, c << s->cluster_bits);
            s->unpacked_entry = 0;
            if (s->packed_end >> s->cluster_bits == c)
                s->packed_end = 0;
        }
        if (err)
            return err;
    }
    return 0;
}

/* ---- growing ---- */

/* A new block for the clusters from index << refs_per_block_bits on, which all are free: it takes the first of them. */
static int block_add(struct image *im, uint64_t index)
{
    struct qcow2 *s = qcow2_of(im);
    uint64_t cluster = index << refs_per_block_bits(s);
    struct table *block = tables_add(im, &s->blocks, cluster << s->cluster_bits);
    if (!block)
        return -ENOMEM;
    refcount_store(s, block->data, 0, 1);
    memory_table_set(&s->reftable, index, block->offset);
    return 0;
}

/* A larger table goes behind everything that the old one can count, with the new blocks that count it. */
int reftable_grow(struct image *im, uint64_t wanted)
{
    struct qcow2 *s = qcow2_of(im);
    unsigned bits = refs_per_block_bits(s);
    uint64_t start = (uint64_t)s->reftable.entries << bits;
    uint64_t entries = MAX(wanted, s->reftable.entries + s->reftable.entries / 2ull + 1), clusters, blocks = 1;
    do { /* until the blocks count themselves too */
        entries = MAX(entries, (start >> bits) + blocks);
        clusters = (entries * 8 + s->cluster - 1) >> s->cluster_bits;
        blocks = (clusters + blocks + (UINT64_C(1) << bits) - 1) >> bits;
    } while ((start >> bits) + blocks > entries || (blocks << bits) < clusters + blocks);
    entries = clusters << s->cluster_bits >> 3;
    if (entries * 8 > MAX_TABLE_BYTES)
        return -EFBIG;
    int err = qcow2_commit(im); /* what the old table still has to say */
    uint64_t *entry = g_try_new0(uint64_t, entries);
    if (!entry)
        err = -ENOMEM;
    if (!err)
        memcpy(entry, s->reftable.entry, s->reftable.entries * 8ull);
    for (uint64_t b = 0; !err && b < blocks; b++) {
        struct table *block = tables_add(im, &s->blocks, (start + clusters + b) << s->cluster_bits);
        if (!block)
            err = -ENOMEM;
        for (uint64_t i = b << bits; block && i < (b + 1) << bits && i < clusters + blocks; i++)
            refcount_store(s, block->data, i - (b << bits), 1);
        entry[(start >> bits) + b] = (start + clusters + b) << s->cluster_bits;
    }
    if (err) {
        g_free(entry);
        return err;
    }
    struct table_in_memory old = s->reftable;
    s->reftable = (struct table_in_memory){0};
    memory_table_take(&s->reftable, start << s->cluster_bits, entry, entries);
    for (uint64_t i = 0; i < entries; i += 64)
        memory_table_set(&s->reftable, i, entry[i]);
    err = qcow2_commit(im);
    uint8_t field[12];
    put_be64(field, s->reftable.offset);
    put_be32(field + 8, clusters);
    if (!err)
        err = qcow2_write_header_field(im, HEADER_REFTABLE, field, sizeof field);
    if (!err)
        qcow2_drop(s, old.offset, (old.entries * 8ull + s->cluster - 1) / s->cluster * s->cluster, false);
    memory_table_clear(&old);
    return err;
}

/* ---- finding room ---- */

/* Makes sure that cluster's count can be kept. */
static int count_ready(struct image *im, uint64_t cluster)
{
    struct qcow2 *s = qcow2_of(im);
    uint64_t index = cluster >> refs_per_block_bits(s);
    if (index >= s->reftable.entries)
        return reftable_grow(im, index + 1);
    return s->reftable.entry[index] & L1_OFFSET_MASK ? 0 : block_add(im, index);
}

/* Beyond the file's end only little can be in use: what we gave away and was not written yet.  A damaged image may claim
 * more than anybody can look through. */
#define MAX_BEYOND_END (UINT64_C(2) << 20)

static int next_free_cluster(struct image *im, uint64_t *cluster)
{
    uint64_t refs, end = (blk_size(im->file) >> qcow2_of(im)->cluster_bits) + MAX_BEYOND_END;
    for (end = MAX(end, *cluster + MAX_BEYOND_END);; ++*cluster) {
        if (*cluster > end)
            return -EBADMSG;
        int err = count_ready(im, *cluster);
        if (!err)
            err = refcount_get(im, *cluster, &refs);
        if (err || !refs)
            return err;
    }
}

/* A damaged image may count its own tables as free; they must not be overwritten. */
bool qcow2_is_table(const struct qcow2 *s, uint64_t offset)
{
    uint64_t l1 = s->l1.offset, refs = s->reftable.offset;
    return offset < s->cluster || (offset >= l1 && offset - l1 < s->l1.entries * 8ull) ||
           (offset >= refs && offset - refs < s->reftable.entries * 8ull) ||
           g_hash_table_contains(s->l2.by_offset, &offset) || g_hash_table_contains(s->blocks.by_offset, &offset);
}

int clusters_allocate(struct image *im, uint64_t *count, uint64_t *offset)
{
    struct qcow2 *s = qcow2_of(im);
    uint64_t first = s->next_free, n = 0, refs = 0;
    int err = next_free_cluster(im, &first);
    while (!err && n < *count && !refs) {
        if (qcow2_is_table(s, (first + n) << s->cluster_bits))
            return -EBADMSG;
        err = refcount_set(im, first + n++, 1);
        uint64_t next = first + n;
        /* Across blocks only if the next one is there already: a new one would take the place itself. */
        struct table *block = NULL;
        if (!err && n < *count)
            err = block_of(im, next, &block);
        refs = block ? refcount_read(s, block->data, index_in_block(s, next)) : 1;
    }
    if (err)
        return err;
    s->next_free = first + n;
    *count = n;
    *offset = first << s->cluster_bits;
    return 0;
}

/* The first cluster behind all that are in use, and the number of blocks up to the last one that is there. */
static int used_end(struct image *im, uint64_t *end, uint64_t *blocks)
{
    struct qcow2 *s = qcow2_of(im);
    unsigned bits = refs_per_block_bits(s);
    *blocks = s->reftable.entries;
    while (*blocks && !(s->reftable.entry[*blocks - 1] & L1_OFFSET_MASK))
        --*blocks;
    for (*end = *blocks << bits; *end > (*blocks ? *blocks - 1 : 0) << bits; --*end) {
        uint64_t refs;
        int err = refcount_get(im, *end - 1, &refs);
        if (err || refs)
            return err;
    }
    return 0;
}

/* For tables that must be in one piece: at the end, followed by the new blocks that count them. */
int clusters_allocate_exactly(struct image *im, uint64_t count, uint64_t *offset)
{
    struct qcow2 *s = qcow2_of(im);
    unsigned bits = refs_per_block_bits(s);
    uint64_t end, blocks, added, needed;
    bool grown;
    int err;
    do {
        if ((err = used_end(im, &end, &blocks)))
            return err;
        for (added = 0; ((end + count + added - 1) >> bits) >= blocks + added;)
            added++;
        needed = blocks + added;
        grown = needed > s->reftable.entries;
        if (grown && (err = reftable_grow(im, needed)))
            return err;
    } while (grown); /* growing took room at the end */
    for (uint64_t b = 0; b < added; b++) {
        struct table *block = tables_add(im, &s->blocks, (end + count + b) << s->cluster_bits);
        if (!block)
            return -ENOMEM;
        memory_table_set(&s->reftable, blocks + b, block->offset);
    }
    for (uint64_t i = 0; i < count + added && !err; i++)
        err = refcount_set(im, end + i, 1);
    *offset = end << s->cluster_bits;
    return err;
}
