// SPDX-License-Identifier: GPL-2.0-or-later
/* fuzz_qcow2.c - qcow2 images with bytes changed, and internal snapshots. */
#include "tests/fuzz/fuzz_image.h"
#include "disk-formats/qcow2/qcow2.h"

static void must(int err)
{
    if (err)
        g_error("cannot make a snapshot: %s", g_strerror(-err));
}

/* Everything that an L2 table points to has one more owner. */
static void share_targets(struct image *im, uint64_t l2_offset)
{
    struct qcow2 *s = qcow2_of(im);
    struct table *t;
    must(tables_get(im, &s->l2, l2_offset, &t));
    for (unsigned i = 0; i < 1u << s->l2_bits; i++) {
        uint64_t entry = l2_entry(s, t->data, i), offset = entry & L2_OFFSET_MASK, bytes = s->cluster;
        if (entry & L2_COMPRESSED)
            compressed_place(s, entry, &offset, &bytes);
        if (offset)
            must(refcount_change(im, offset, bytes, 1));
        l2_store(s, t->data, i, entry & ~ENTRY_COPIED, l2_bitmap(s, t->data, i));
    }
    tables_dirty(&s->l2, t);
}

/* An internal snapshot "1" of the disk as it is: the specification's "Snapshots".  The product only reads them. */
static void snapshot(struct image *im)
{
    struct qcow2 *s = qcow2_of(im);
    uint64_t l1, list;
    uint8_t entry[64] = {0};
    must(qcow2_commit(im));
    must(clusters_allocate_exactly(im, 1, &l1));
    must(clusters_allocate_exactly(im, 1, &list));
    g_autofree uint64_t *copy = g_new0(uint64_t, s->l1.entries);
    for (uint32_t i = 0; i < s->l1.entries; i++)
        if (s->l1.entry[i]) {
            memory_table_set(&s->l1, i, s->l1.entry[i] & ~ENTRY_COPIED);
            share_targets(im, s->l1.entry[i]);
            must(refcount_change(im, s->l1.entry[i], s->cluster, 1));
            copy[i] = GUINT64_TO_BE(s->l1.entry[i]);
        }
    put_be64(entry, l1);
    put_be32(entry + 8, s->l1.entries);
    put_be16(entry + 12, 1);
    put_be16(entry + 14, 4);
    put_be32(entry + 36, 16);
    put_be64(entry + 48, im->bytes);
    memcpy(entry + 56, "1name", 5);
    must(blk_pwrite(im->file, l1, copy, s->l1.entries * 8ull));
    must(blk_pwrite(im->file, list, entry, sizeof entry));
    must(qcow2_commit(im));
    put_be32(entry, 1);
    put_be64(entry + 8, list);
    must(qcow2_write_header_field(im, HEADER_SNAPSHOT_COUNT, entry, 4));
    must(qcow2_write_header_field(im, HEADER_SNAPSHOTS, entry + 8, 8));
}

static const char *const small[] = {"cluster_size=512", NULL}, *const v2[] = {"compat=0.10", "cluster_size=4K", NULL},
                         *const extended[] = {"cluster_size=16K", "extended_l2=on", NULL},
                         *const bits[] = {"cluster_size=4K", "refcount_bits=1", NULL},
                         *const page[] = {"cluster_size=4K", NULL},
                         *const zstd[] = {"cluster_size=4K", "compression_type=zstd", NULL};
static const struct fuzz_seed seeds[] = {
    {NULL, .packed = true},
    {small, .parent = true, .packed = true},
    {v2, .parent = true},
    {extended, .parent = true, .packed = true},
    {bits},
    {page, .packed = true, .more = snapshot},
    {extended, .more = snapshot},
    {zstd, .packed = true},
};
static const uint32_t places[] = {0, 512, 1024, 2048, 4096, 8192, 12288, 16384, 65536, 131072, 196608, 262144};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_format f = {"qcow2",          seeds, G_N_ELEMENTS(seeds), places, G_N_ELEMENTS(places),
                                         .snapshots = true};
    return fuzz_image(&f, data, size);
}
