// SPDX-License-Identifier: GPL-2.0-or-later
/* qcow2.h - inside of the qcow2 format, by QEMU's docs/interop/qcow2.txt ("the specification").
 *
 * Theory.  The guest's disk is cut into clusters.  L1 (in memory) points to L2 tables (one cluster each), whose entries
 * say where a guest cluster is in the file.  Every cluster of the file, tables included, has a reference count, found
 * through the refcount table (in memory) and refcount blocks.  L2 tables and refcount blocks are cached by their place
 * in the file, and written back only by qcow2_commit().
 *
 * Power cut.  What is on the disk must never point to a cluster whose count is lower than the number of pointers to it:
 * that is corruption, the other way round is a leak.  And a pointer must not get there before what it points to.  So
 * qcow2_commit() writes in this order, with a barrier after each step that wrote anything the next one points to:
 *   1. guest data (written already), refcount blocks, L2 tables that nothing on the disk points to yet;
 *   2. refcount table entries of new refcount blocks;
 *   3. L2 tables that are in use, and L1 entries;
 *   4. only now counts of what was dropped in step 3 go down, in memory; they are written by the next commit's step 1.
 * A dropped cluster is not used again before step 4.  Between commits only guest data is written: over clusters that the
 * disk's tables point to already (in place), or into clusters that nothing points to.  The guest's flush is a commit.
 * Tables move (L1 or refcount table grows) by writing the new one, a barrier, and one write within the header's sector.
 *
 * Lazy refcounts: we keep counts right all the time, so the dirty bit is never set; an image that has it set is
 * recounted before it is first changed.  The corrupt bit allows reading only. */
#pragma once
#include "core-vmm/base/bytes.h"
#include "disk-formats/image/formats.h"

#define QCOW2_MAGIC 0x514649fbu /* "QFI\xfb" */
enum {
    INCOMPATIBLE_DIRTY = 1,
    INCOMPATIBLE_CORRUPT = 2,
    INCOMPATIBLE_DATA_FILE = 4,
    INCOMPATIBLE_COMPRESSION = 8,
    INCOMPATIBLE_EXTENDED_L2 = 16,
    COMPATIBLE_LAZY_REFCOUNTS = 1,
    AUTOCLEAR_BITMAPS = 1,
    AUTOCLEAR_RAW_DATA = 2,
};
enum { /* offsets in the header */
       HEADER_BACKING = 8,
       HEADER_CLUSTER_BITS = 20,
       HEADER_SIZE = 24,
       HEADER_CRYPT = 32,
       HEADER_L1_SIZE = 36,
       HEADER_L1 = 40,
       HEADER_REFTABLE = 48,
       HEADER_REFTABLE_CLUSTERS = 56,
       HEADER_SNAPSHOT_COUNT = 60,
       HEADER_SNAPSHOTS = 64,
       HEADER_INCOMPATIBLE = 72,
       HEADER_COMPATIBLE = 80,
       HEADER_AUTOCLEAR = 88,
       HEADER_REFCOUNT_ORDER = 96,
       HEADER_LENGTH = 100,
       HEADER_COMPRESSION = 104,
       HEADER_V2_BYTES = 72,
       HEADER_V3_BYTES = 112,
};
enum {
    EXTENSION_END = 0,
    EXTENSION_BACKING_FORMAT = 0xe2792aca,
    EXTENSION_FEATURES = 0x6803f857,
    EXTENSION_BITMAPS = 0x23852875,
    EXTENSION_DATA_FILE = 0x44415441,
    EXTENSION_PARENT_ID = 0x74727069, /* ours: a checksum of the backing file's name, then its id; "-": none */
};
#define L1_OFFSET_MASK       UINT64_C(0x00fffffffffffe00)
#define L2_OFFSET_MASK       UINT64_C(0x00fffffffffffe00)
#define ENTRY_COPIED         (UINT64_C(1) << 63) /* the target's count is exactly 1 */
#define L2_COMPRESSED        (UINT64_C(1) << 62)
#define L2_ZERO              UINT64_C(1)
#define SUBCLUSTERS          32
#define ALL_ALLOCATED        UINT64_C(0xffffffff)
#define ALL_ZERO             UINT64_C(0xffffffff00000000)
#define MAX_L1_BYTES         (32u << 20) /* like QEMU */
#define MAX_TABLE_BYTES      (8u << 20)  /* refcount table */
#define CACHE_BYTES          (32u << 20)
#define MAX_SNAPSHOTS        65536u
#define CHECK_FIRST_BYTES    (64u << 20) /* of L2 tables: 512 GiB with usual clusters */
#define CHECK_FIRST_CLUSTERS (16u << 20)

/* A cached cluster of the file: an L2 table or a refcount block. */
struct table {
    uint64_t offset;
    bool dirty;
    bool fresh; /* nothing on the disk points to it yet */
    struct table *newer, *older;
    uint8_t *data;
};
struct tables {
    GHashTable *by_offset;
    struct table *newest, *oldest;
    unsigned count, dirty, limit;
};
struct table_in_memory { /* L1, refcount table: big-endian on the disk */
    uint64_t offset;
    uint32_t entries;
    uint64_t *entry; /* host byte order */
    uint8_t *dirty;  /* a byte per 512-byte sector */
    bool any_dirty;
};
struct dropped { /* counts to lower when the tables no longer point there */
    uint64_t offset, bytes;
    bool punch;
};
struct qcow2 {
    unsigned version, cluster_bits, refcount_order, compression;
    uint64_t cluster; /* bytes */
    uint64_t incompatible, compatible, autoclear;
    bool extended;
    unsigned entry_bytes, l2_bits; /* log2 of entries per L2 table */
    uint64_t sub_bytes;            /* of a subcluster; without them, of a cluster */
    struct table_in_memory l1, reftable;
    GMutex lock; /* of l2, against other readers */
    struct tables l2, blocks;
    struct blk_file *data; /* the image's file, or the external data file */
    char *data_name;
    GArray *dropped;     /* struct dropped */
    uint64_t next_free;  /* no free cluster is below, except what was dropped since */
    uint64_t packed_end; /* where the next compressed cluster may start, 0: in a new cluster */
    uint32_t snapshot_count;
    uint64_t snapshots_offset, bitmaps_offset, bitmaps_bytes;
    uint32_t bitmap_count;
    uint32_t parent_id_at; /* in the header, 0: none */
    GMutex unpack_lock;
    uint64_t unpacked_entry; /* which compressed cluster is in unpacked; 0: none */
    uint8_t *unpacked;
};
static inline struct qcow2 *qcow2_of(const struct image *im)
{
    return im->state;
}
static inline unsigned refs_per_block_bits(const struct qcow2 *s) /* log2 */
{
    return s->cluster_bits + 3 - s->refcount_order;
}
static inline uint64_t guest_per_l2(const struct qcow2 *s)
{
    return s->cluster << s->l2_bits;
}

/* qcow2/tables.c: results are 0 or -errno */
void tables_init(struct tables *t, unsigned limit);
void tables_clear(struct tables *t);
bool tables_has(const struct tables *t, uint64_t offset); /* is it in the cache? */
int tables_get(struct image *im, struct tables *t, uint64_t offset, struct table **out);
struct table *tables_add(struct image *im, struct tables *t, uint64_t offset); /* new, zeroed, dirty, fresh */
void tables_dirty(struct tables *t, struct table *table);
void tables_forget(struct tables *t, uint64_t offset); /* it is given up: do not write it */
void tables_shrink(struct tables *t);                  /* drops clean ones beyond the limit; invalidates pointers */
void memory_table_set(struct table_in_memory *t, uint32_t index, uint64_t value);
void memory_table_take(struct table_in_memory *t, uint64_t offset, uint64_t *entry, uint32_t entries);
void memory_table_clear(struct table_in_memory *t);
int qcow2_commit(struct image *im); /* the barriers described above */
int qcow2_sync(struct image *im);
int qcow2_flush(struct image *im);
void qcow2_drop(struct qcow2 *s, uint64_t offset, uint64_t bytes, bool punch);

/* qcow2/refcount.c */
uint64_t refcount_read(const struct qcow2 *s, const uint8_t *block, uint64_t index);
void refcount_store(const struct qcow2 *s, uint8_t *block, uint64_t index, uint64_t value);
uint64_t refcount_max(const struct qcow2 *s);
int refcount_get(struct image *im, uint64_t cluster, uint64_t *out);
int refcount_set(struct image *im, uint64_t cluster, uint64_t value); /* the block must be there, unless value is 0 */
int refcount_change(struct image *im, uint64_t offset, uint64_t bytes, int by);
/* Up to *count free clusters in a row, at least 1; their counts become 1. */
int clusters_allocate(struct image *im, uint64_t *count, uint64_t *offset);
int clusters_allocate_exactly(struct image *im, uint64_t count, uint64_t *offset);
bool qcow2_is_table(const struct qcow2 *s, uint64_t offset); /* as far as is known without reading */
int reftable_grow(struct image *im, uint64_t entries);

/* qcow2/l2.c */
struct l2_slot { /* one entry in a table */
    struct table *table;
    unsigned index;
};
uint64_t l2_entry(const struct qcow2 *s, const uint8_t *table, unsigned index);
uint64_t l2_bitmap(const struct qcow2 *s, const uint8_t *table, unsigned index);
void l2_store(const struct qcow2 *s, uint8_t *table, unsigned index, uint64_t entry, uint64_t bitmap);
int l2_for_read(struct image *im, uint64_t offset, struct l2_slot *out);  /* table NULL: there is none */
int l2_for_write(struct image *im, uint64_t offset, struct l2_slot *out); /* ours alone */
void l2_drop_target(struct image *im, uint64_t entry, bool punch);
void compressed_place(const struct qcow2 *s, uint64_t entry, uint64_t *offset, uint64_t *bytes);
int qcow2_extent(struct image *im, uint64_t offset, struct extent *out);
int qcow2_place(struct image *im, struct extent *out);
int qcow2_link(struct image *im, const struct extent *e);
void qcow2_unplace(struct image *im, const struct extent *e);
int qcow2_discard(struct image *im, uint64_t offset, uint64_t bytes);
int qcow2_clear(struct image *im, uint64_t offset, uint64_t bytes, bool zeroes); /* lock held */
int qcow2_zero(struct image *im, uint64_t offset, uint64_t bytes);

/* qcow2/pack.c */
int qcow2_read_compressed(struct image *im, uint64_t offset, const struct iovec *iov, int n);
ssize_t qcow2_compress(struct image *im, const void *in, size_t n, void *out, size_t room);
int qcow2_append(struct image *im, uint64_t offset, const void *packed, size_t n);

/* qcow2/header.c */
bool qcow2_read_header(struct image *im, GError **error);
bool qcow2_load_table(struct image *im, struct table_in_memory *t, uint64_t offset, uint64_t entries, const char *what,
                      GError **error);
int qcow2_write_header_field(struct image *im, unsigned at, const void *value, unsigned bytes);
bool qcow2_create(struct blk_file *f, const struct image_options *o, GError **error);
bool qcow2_probe(const uint8_t *head, size_t n, uint64_t file_bytes);
int qcow2_forget_parent_id(struct image *im);
int qcow2_set_parent(struct image *im, const char *name, const char *format, const char *id);
extern const char *const qcow2_option_names[];

/* qcow2/snapshot.c */
struct qcow2_snapshot {
    uint64_t l1_offset, bytes;
    uint32_t l1_size;
    char *id, *name;
    uint64_t at_seconds, vm_state_bytes, table_bytes; /* table_bytes: of its entry */
};
bool qcow2_snapshots(struct image *im, GArray **out, GError **error); /* struct qcow2_snapshot; g_array_unref */
bool qcow2_show_snapshot(struct image *im, const char *wanted, GError **error);

/* qcow2/check.c, qcow2/resize.c */
bool qcow2_check(struct image *im, bool repair, struct image_check *out, GError **error);
bool qcow2_may_resize(struct image *im, uint64_t bytes, GError **error);
bool qcow2_resize(struct image *im, uint64_t bytes, GError **error);
