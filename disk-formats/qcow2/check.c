// SPDX-License-Identifier: GPL-2.0-or-later
/* check.c - counts how often every cluster is pointed to, compares that with the stored counts, and repairs.
 *
 * A stored count that is too high is a leak: room lost.  Too low is corruption: the cluster could be given away while it
 * is in use.  Repair writes new refcount blocks and a new table behind everything, and switches to them with one write
 * to the header; that works whatever state the old ones are in.  Entries that point to impossible places are reported,
 * and never repaired by guessing. */
#include "disk-formats/qcow2/qcow2.h"
#include <errno.h>
#include <string.h>

#define MAX_CLUSTERS (UINT64_C(1) << 29) /* 1 GiB of counters */

struct count {
    struct image *im;
    struct qcow2 *s;
    struct image_check *out;
    uint16_t *refs; /* saturating */
    uint64_t clusters;
    bool bad_pointers; /* repair cannot help */
};

static void add(struct count *c, uint64_t offset, uint64_t bytes, const char *what)
{
    uint64_t first = offset >> c->s->cluster_bits, last = bytes ? (offset + bytes - 1) >> c->s->cluster_bits : first;
    if (!bytes)
        return;
    if (offset + bytes < offset || last >= c->clusters) {
        image_check_say(c->out, "%s at 0x%" G_GINT64_MODIFIER "x lies outside the file", what, offset);
        c->out->corruptions++;
        c->bad_pointers = true;
        return;
    }
    for (uint64_t i = first; i <= last; i++)
        c->refs[i] += c->refs[i] < UINT16_MAX;
}

static void bad_place(struct count *c, uint64_t offset, const char *what)
{
    image_check_say(c->out, "%s at 0x%" G_GINT64_MODIFIER "x is not where a cluster starts", what, offset);
    c->out->corruptions++;
    c->bad_pointers = true;
}

/* ---- walking the tables ---- */
static void count_l2_entry(struct count *c, uint64_t entry, uint64_t bitmap)
{
    struct qcow2 *s = c->s;
    uint64_t offset = entry & L2_OFFSET_MASK, bytes = s->cluster;
    if (entry & L2_COMPRESSED) {
        compressed_place(s, entry, &offset, &bytes);
        uint64_t end = c->clusters << s->cluster_bits; /* the last sector may be cut short */
        add(c, offset, offset < end ? MIN(bytes, end - offset) : bytes, "compressed data");
    } else if (s->data != c->im->file) {
        return;
    } else if (offset & (s->cluster - 1)) {
        bad_place(c, offset, "data");
    } else if (offset) {
        add(c, offset, bytes, "data");
    }
    if (s->extended && !(entry & L2_COMPRESSED) && (bitmap & bitmap >> 32 & ALL_ALLOCATED)) {
        image_check_say(c->out, "a subcluster is both data and zeroes");
        c->out->corruptions++;
        c->bad_pointers = true;
    }
}

static bool count_l2(struct count *c, uint64_t offset, GError **error)
{
    struct qcow2 *s = c->s;
    g_autofree uint8_t *table = g_malloc(s->cluster);
    int err = blk_pread(c->im->file, offset, table, s->cluster);
    if (err)
        return disk_fail_errno(error, -err, "%s: cannot read an L2 table", c->im->file->path);
    for (unsigned i = 0; i < 1u << s->l2_bits; i++) {
        uint64_t entry = l2_entry(s, table, i);
        c->out->blocks_used += entry != 0;
        count_l2_entry(c, entry, l2_bitmap(s, table, i));
    }
    return true;
}

static bool count_l1(struct count *c, const struct table_in_memory *l1, GError **error)
{
    add(c, l1->offset, l1->entries * 8ull, "L1 table");
    for (uint32_t i = 0; i < l1->entries; i++) {
        uint64_t l2 = l1->entry[i] & L1_OFFSET_MASK;
        if (l2 & (c->s->cluster - 1)) {
            bad_place(c, l2, "L2 table");
        } else if (l2) {
            add(c, l2, c->s->cluster, "L2 table");
            if (l2 >> c->s->cluster_bits < c->clusters && !count_l2(c, l2, error))
                return false;
        }
    }
    return true;
}

static bool count_snapshots(struct count *c, GError **error)
{
    g_autoptr(GArray) list = NULL;
    uint64_t bytes = 0;
    if (!qcow2_snapshots(c->im, &list, error))
        return false;
    for (guint i = 0; i < list->len; i++) {
        struct qcow2_snapshot *n = &g_array_index(list, struct qcow2_snapshot, i);
        struct table_in_memory l1 = {0};
        bool ok = qcow2_load_table(c->im, &l1, n->l1_offset, n->l1_size, "snapshot's L1 table", error) &&
                  count_l1(c, &l1, error);
        memory_table_clear(&l1);
        if (!ok)
            return false;
        bytes += n->table_bytes;
    }
    add(c, c->s->snapshots_offset, bytes, "snapshot table");
    return true;
}

/* Persistent bitmaps, while the image says that they are up to date ("Bitmaps" in the specification). */
static bool count_bitmaps(struct count *c, GError **error)
{
    struct qcow2 *s = c->s;
    if (!(s->autoclear & AUTOCLEAR_BITMAPS) || !s->bitmap_count)
        return true;
    if (s->bitmaps_bytes > 64 << 20)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s: the bitmap directory is absurd", c->im->file->path);
    g_autofree uint8_t *dir = g_malloc0(s->bitmaps_bytes + 1);
    if (!blk_get(c->im->file, s->bitmaps_offset, dir, s->bitmaps_bytes, "bitmap directory", error))
        return false;
    add(c, s->bitmaps_offset, s->bitmaps_bytes, "bitmap directory");
    for (uint64_t at = 0; at + 24 <= s->bitmaps_bytes;) {
        struct table_in_memory t = {0};
        uint64_t offset = get_be64(dir + at), entries = get_be32(dir + at + 8);
        if (entries > 1 << 22)
            return disk_fail(error, DISK_ERROR_CORRUPT, "%s: a bitmap table is absurd", c->im->file->path);
        if (!qcow2_load_table(c->im, &t, offset, entries, "bitmap table", error))
            return false;
        add(c, offset, entries * 8, "bitmap table");
        for (uint64_t i = 0; i < entries; i++)
            if (t.entry[i] & L1_OFFSET_MASK)
                add(c, t.entry[i] & L1_OFFSET_MASK, s->cluster, "bitmap");
        memory_table_clear(&t);
        at += (24 + get_be16(dir + at + 18) + get_be32(dir + at + 20) + 7) / 8 * 8;
    }
    return true;
}

static void count_refcounts(struct count *c)
{
    struct qcow2 *s = c->s;
    add(c, s->reftable.offset, s->reftable.entries * 8ull, "refcount table");
    for (uint32_t i = 0; i < s->reftable.entries; i++) {
        uint64_t block = s->reftable.entry[i] & L1_OFFSET_MASK;
        if (block & (s->cluster - 1)) {
            image_check_say(c->out, "refcount block %u is not where a cluster starts", i);
            c->out->corruptions++;
        } else if (block >> s->cluster_bits >= c->clusters) {
            image_check_say(c->out, "refcount block %u lies outside the file", i);
            c->out->corruptions++;
        } else if (block) {
            add(c, block, s->cluster, "refcount block");
        }
    }
}

static bool count_all(struct count *c, bool with_refcounts, GError **error)
{
    add(c, 0, c->s->cluster, "header");
    if (!count_l1(c, &c->s->l1, error) || !count_snapshots(c, error) || !count_bitmaps(c, error))
        return false;
    if (with_refcounts)
        count_refcounts(c);
    return true;
}

/* ---- comparing ---- */
static void compare_one(struct count *c, uint64_t cluster, uint64_t stored, uint64_t *wrong)
{
    uint64_t found = c->refs[cluster];
    if (found)
        c->out->end = (cluster + 1) << c->s->cluster_bits;
    if (stored == found || (found == UINT16_MAX && stored >= found))
        return;
    ++*wrong;
    *(stored > found ? &c->out->leaks : &c->out->corruptions) += 1;
    c->out->overlaps += stored < found; /* written over in place, or given away, while somebody else uses it */
    image_check_say(c->out,
                    "%s: cluster 0x%" G_GINT64_MODIFIER "x is counted %" G_GUINT64_FORMAT
                    " times and used %" G_GUINT64_FORMAT " times",
                    stored > found ? "leak" : "corruption", cluster << c->s->cluster_bits, stored, found);
}

static bool compare_counts(struct count *c, uint64_t *wrong, GError **error)
{
    for (uint64_t i = 0; i < c->clusters; i++) {
        uint64_t stored;
        int err = refcount_get(c->im, i, &stored);
        if (err == -EBADMSG)
            stored = 0;
        else if (err)
            return disk_fail_errno(error, -err, "%s: cannot read a refcount block", c->im->file->path);
        compare_one(c, i, stored, wrong);
        if (c->s->blocks.count > c->s->blocks.limit)
            tables_shrink(&c->s->blocks);
    }
    return true;
}

/* The "copied" flags of the disk's own tables: set exactly where the count is 1. */
static uint64_t fixed_flag(struct count *c, uint64_t entry, uint64_t target, const char *what, uint64_t *wrong)
{
    uint64_t cluster = target >> c->s->cluster_bits;
    bool is = entry & ENTRY_COPIED, should = cluster < c->clusters && c->refs[cluster] == 1;
    if (!target || is == should)
        return entry;
    ++*wrong;
    c->out->corruptions++;
    c->out->overlaps += is;
    image_check_say(c->out, "%s at 0x%" G_GINT64_MODIFIER "x: the \"copied\" flag is wrong", what, target);
    return entry ^ ENTRY_COPIED;
}

static bool check_flags(struct count *c, bool repair, uint64_t *wrong, GError **error)
{
    struct qcow2 *s = c->s;
    for (uint32_t i = 0; i < s->l1.entries; i++) {
        uint64_t l2 = s->l1.entry[i] & L1_OFFSET_MASK, fixed = fixed_flag(c, s->l1.entry[i], l2, "L2 table", wrong);
        struct table *t;
        if (fixed != s->l1.entry[i] && repair)
            memory_table_set(&s->l1, i, fixed);
        if (!l2 || l2 & (s->cluster - 1) || l2 >> s->cluster_bits >= c->clusters)
            continue;
        int err = tables_get(c->im, &s->l2, l2, &t);
        for (unsigned k = 0; !err && k < 1u << s->l2_bits; k++) {
            uint64_t entry = l2_entry(s, t->data, k), data = entry & L2_OFFSET_MASK;
            if (entry & L2_COMPRESSED || s->data != c->im->file)
                continue;
            fixed = fixed_flag(c, entry, data, "data", wrong);
            if (fixed != entry && repair) {
                l2_store(s, t->data, k, fixed, l2_bitmap(s, t->data, k));
                tables_dirty(&s->l2, t);
            }
        }
        if (!err && s->l2.dirty > s->l2.limit / 2)
            err = qcow2_commit(c->im);
        if (err)
            return disk_fail_errno(error, -err, "%s", c->im->file->path);
        tables_shrink(&s->l2);
    }
    return true;
}

/* ---- repairing ---- */

/* Where the new blocks and the new table go, in clusters, and how many. */
struct rebuilt {
    uint64_t start, blocks, table, entries;
};

static struct rebuilt plan(const struct count *c)
{
    unsigned bits = refs_per_block_bits(c->s);
    struct rebuilt r = {.start = c->clusters};
    uint64_t total;
    do {
        total = r.start + r.blocks + r.table;
        r.blocks = (total + (UINT64_C(1) << bits) - 1) >> bits;
        r.table = (r.blocks * 8 * 2 + c->s->cluster - 1) >> c->s->cluster_bits; /* half of it free, to grow */
    } while (r.start + r.blocks + r.table != total);
    r.entries = r.table << c->s->cluster_bits >> 3;
    return r;
}

static int write_rebuilt(struct count *c, const struct rebuilt *r)
{
    struct qcow2 *s = c->s;
    unsigned bits = refs_per_block_bits(s);
    g_autofree uint8_t *block = g_malloc(s->cluster), *table = g_malloc0(r->table << s->cluster_bits);
    int err = 0;
    for (uint64_t b = 0; !err && b < r->blocks; b++) {
        memset(block, 0, s->cluster);
        for (uint64_t i = b << bits; i < (b + 1) << bits && i < r->start + r->blocks + r->table; i++)
            refcount_store(s, block, i - (b << bits), i < c->clusters ? c->refs[i] : 1);
        put_be64(table + b * 8, (r->start + b) << s->cluster_bits);
        err = blk_pwrite(c->im->file, (r->start + b) << s->cluster_bits, block, s->cluster);
    }
    if (!err)
        err = blk_pwrite(c->im->file, (r->start + r->blocks) << s->cluster_bits, table, r->table << s->cluster_bits);
    uint8_t field[12];
    put_be64(field, (r->start + r->blocks) << s->cluster_bits);
    put_be32(field + 8, r->table);
    return err ? err : qcow2_write_header_field(c->im, HEADER_REFTABLE, field, sizeof field);
}

static bool rebuild(struct count *c, GError **error)
{
    struct qcow2 *s = c->s;
    for (uint64_t i = 0; i < c->clusters; i++)
        if (c->refs[i] > refcount_max(s))
            return disk_fail(error, DISK_ERROR_CORRUPT, "%s: a cluster is used more often than can be counted",
                             c->im->file->path);
    struct rebuilt r = plan(c);
    int err = write_rebuilt(c, &r);
    if (err)
        return disk_fail_errno(error, -err, "%s: cannot write new refcounts", c->im->file->path);
    tables_clear(&s->blocks);
    tables_init(&s->blocks, s->l2.limit / 2);
    g_array_set_size(s->dropped, 0);
    s->next_free = s->packed_end = 0;
    return qcow2_load_table(c->im, &s->reftable, (r.start + r.blocks) << s->cluster_bits, r.entries, "refcount table",
                            error);
}

static bool clear_marks(struct image *im, GError **error)
{
    struct qcow2 *s = qcow2_of(im);
    uint8_t field[8];
    if (!(s->incompatible & (INCOMPATIBLE_DIRTY | INCOMPATIBLE_CORRUPT)))
        return true;
    s->incompatible &= ~(uint64_t)(INCOMPATIBLE_DIRTY | INCOMPATIBLE_CORRUPT);
    put_be64(field, s->incompatible);
    int err = qcow2_write_header_field(im, HEADER_INCOMPATIBLE, field, sizeof field);
    return !err || disk_fail_errno(error, -err, "%s", im->file->path);
}

static bool repair_counts(struct count *c, GError **error)
{
    struct image_check scratch;
    image_check_init(&scratch);
    struct count again = *c;
    again.out = &scratch;
    memset(c->refs, 0, c->clusters * sizeof *c->refs);
    uint64_t wrong = 0;
    bool ok = count_all(&again, false, error) && rebuild(&again, error) && check_flags(&again, true, &wrong, error);
    image_check_clear(&scratch);
    int err = ok ? qcow2_flush(c->im) : 0;
    return ok && (!err || disk_fail_errno(error, -err, "%s", c->im->file->path));
}

static bool run(struct count *c, bool repair, GError **error)
{
    uint64_t counts = 0, flags = 0, corrupt;
    struct image_check *out = c->out;
    if (!count_all(c, true, error) || !compare_counts(c, &counts, error))
        return false;
    corrupt = out->corruptions;
    if (!check_flags(c, false, &flags, error))
        return false;
    out->blocks = (c->im->bytes + c->s->cluster - 1) >> c->s->cluster_bits;
    if (!repair || c->bad_pointers)
        return true;
    if ((counts || flags || corrupt) && !repair_counts(c, error))
        return false;
    out->corruptions_fixed = out->corruptions;
    out->leaks_fixed = out->leaks;
    return clear_marks(c->im, error);
}

bool qcow2_check(struct image *im, bool repair, struct image_check *out, GError **error)
{
    struct qcow2 *s = qcow2_of(im);
    struct count c = {.im = im, .s = s, .out = out};
    bool changed = s->l2.dirty || s->blocks.dirty || s->l1.any_dirty || s->reftable.any_dirty || s->dropped->len;
    int err = im->writable && changed ? qcow2_flush(im) : 0;
    if (!err && im->writable && s->dropped->len + s->blocks.dirty)
        err = qcow2_flush(im);
    if (err)
        return disk_fail_errno(error, -err, "%s", im->file->path);
    c.clusters = (blk_size(im->file) + s->cluster - 1) >> s->cluster_bits;
    c.refs = c.clusters <= MAX_CLUSTERS ? g_try_new0(uint16_t, c.clusters + 1) : NULL;
    if (!c.refs)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s is too large to be checked in memory", im->file->path);
    bool ok = run(&c, repair, error);
    g_free(c.refs);
    return ok;
}
