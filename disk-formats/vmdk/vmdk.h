// SPDX-License-Identifier: GPL-2.0-or-later
/* vmdk.h - inside of the VMDK format, by VMware's "Virtual Disk Format 5.0" technical note.
 *
 * A text descriptor (a file of its own, or inside a sparse file) lists extents, which follow one another on the disk:
 * flat (plain bytes of a file), sparse, or zero.  A sparse extent is cut into grains (64 KiB); a grain directory (GD)
 * points to grain tables (GT) of 512 entries, which point to grains, in sectors.  Both exist twice in most files.
 *
 * Power cut.  New grains go to the end of the file; a table points to them only after a barrier.  A flush makes a barrier
 * (guest data are written already), writes the changed sectors of both copies of the tables, and makes a barrier again.
 * A cut in between leaves grains that nothing points to: a leak.  The two copies may then differ; the first one counts.
 * A table that the directory did not have is written, with a barrier, before the directory's entry.
 * Zeroed and discarded grains stay where they are, punched out of the file. */
#pragma once
#include "core-vmm/base/bytes.h"
#include "disk-formats/image/formats.h"

#define VMDK_MAGIC          0x564d444bu /* "KDMV" */
#define VMDK_COWD           0x44574f43u /* "COWD": ESX's own sparse format */
#define VMDK_MAX_EXTENTS    1024u
#define VMDK_MAX_TABLES     (16u << 20) /* in all extents together */
#define VMDK_MAX_WRITTEN    (1u << 20)  /* of one that is written: 32 TiB with usual grains */
#define VMDK_CACHED         16384u      /* tables, 32 MiB */
#define VMDK_MAX_DESCRIPTOR (1u << 20)
#define VMDK_NO_PARENT      0xffffffffu
#define VMDK_GTES           512u
#define VMDK_SPLIT_BYTES    UINT64_C(0x7ff00000)
enum { /* offsets in a sparse header */
       SPARSE_VERSION = 4,
       SPARSE_FLAGS = 8,
       SPARSE_CAPACITY = 12,
       SPARSE_GRAIN = 20,
       SPARSE_DESCRIPTOR = 28,
       SPARSE_DESCRIPTOR_SECTORS = 36,
       SPARSE_GTES = 44,
       SPARSE_RGD = 48,
       SPARSE_GD = 56,
       SPARSE_OVERHEAD = 64,
       SPARSE_NEWLINES = 73,
       SPARSE_COMPRESSION = 77,
};
enum { FLAG_NEWLINES = 1, FLAG_REDUNDANT = 2, FLAG_ZERO_GRAINS = 4, FLAG_COMPRESSED = 1 << 16, FLAG_MARKERS = 1 << 17 };
enum vmdk_kind { VMDK_FLAT, VMDK_SPARSE, VMDK_ESX, VMDK_ZERO };

struct grain_table {
    uint32_t index;            /* in the directory */
    uint8_t dirty;             /* a bit per sector */
    uint32_t entry[VMDK_GTES]; /* host byte order */
};
/* The tables that were used last; changed ones stay until they are written.  Exclusive lock, or v->lock, also for as long
 * as one of them is looked at. */
struct grain_tables {
    GHashTable *by_index; /* index + 1 -> its link in used */
    GQueue used;          /* the latest first */
    unsigned dirty, limit;
};
struct vmdk_extent {
    enum vmdk_kind kind;
    uint64_t start, bytes; /* of the disk */
    struct blk_file *file;
    uint64_t file_offset; /* flat */
    /* sparse */
    uint32_t flags, grain_bytes, gtes, tables;
    uint64_t gd_offset, rgd_offset; /* bytes; rgd 0: there is one copy only */
    uint32_t *gd, *rgd;             /* sectors of the tables */
    struct grain_tables cache;
    uint64_t end; /* of the file: where the next grain goes */
    struct vmdk_esx *esx;
};
struct vmdk_descriptor {
    char *text;
    uint64_t offset, room; /* in the file; room 0: a text file, as long as need be */
    bool recoded;          /* the text is not as it is in the file */
    uint32_t cid, parent_cid;
    size_t cid_at, cid_digits, uuid_change_at; /* where they are in the text; uuid_change_at 0: nowhere */
    char *encoding;                            /* of names */
    char *type, *adapter, *parent_hint, *parent_format, *parent_id;
    char *uuid, *uuid_change, *parent_uuid, *parent_uuid_change; /* VirtualBox's */
    GPtrArray *lines;                                            /* the extents' lines, char * */
};
struct vmdk {
    struct vmdk_descriptor descriptor;
    struct vmdk_extent *extent;
    unsigned extents;
    GMutex lock; /* of the tables that are not read yet */
};

/* vmdk/descriptor.c */
bool vmdk_is_text(const uint8_t *head, size_t n); /* does a file that begins like this hold a descriptor alone? */
/* Takes what is in the file, n bytes and a zero. */
void vmdk_take_text(struct vmdk_descriptor *d, char *text, size_t n);
bool vmdk_parse(struct image *im, struct vmdk_descriptor *d, GError **error); /* d->text is there */
void vmdk_descriptor_clear(struct vmdk_descriptor *d);
int vmdk_new_cid(struct image *im, struct vmdk_descriptor *d);
char *vmdk_uuid(const char *image, const char *change); /* as struct image has it; NULL: none */
struct vmdk_line {                                      /* RW 2048 SPARSE "x-s001.vmdk" 0 */
    enum vmdk_kind kind;
    uint64_t sectors, offset_sectors;
    char *name;
};
bool vmdk_parse_line(struct image *im, const char *text, struct vmdk_line *out, GError **error);
char *vmdk_describe(const struct image_options *o, const char *type, const char *extents, const char *adapter);

/* vmdk/sparse.c */
/* limit: how many of its tables may be in memory, apart from changed ones */
bool vmdk_sparse_open(struct image *im, struct vmdk_extent *x, unsigned limit, GError **error);
int vmdk_sparse_lookup(struct vmdk *v, struct vmdk_extent *x, uint64_t in, struct extent *out);
int vmdk_sparse_read(struct vmdk *v, struct vmdk_extent *x, uint64_t in, const struct iovec *iov, int n);
int vmdk_sparse_place(struct vmdk_extent *x, struct extent *out);
void vmdk_sparse_unplace(struct vmdk_extent *x, const struct extent *e);
int vmdk_sparse_link(struct vmdk *v, struct vmdk_extent *x, const struct extent *e);
int vmdk_sparse_append(struct vmdk *v, struct vmdk_extent *x, uint64_t in, const void *packed, size_t n);
int vmdk_sparse_flush(struct vmdk_extent *x);
int vmdk_sparse_clear(struct vmdk *v, struct vmdk_extent *x, uint64_t in, uint64_t bytes, bool zeroes, bool has_parent);
bool vmdk_sparse_check(struct vmdk *v, struct vmdk_extent *x, struct image_check *out, GError **error);
void vmdk_sparse_close(struct vmdk_extent *x);

/* vmdk/esx.c: for reading only */
bool vmdk_esx_open(struct image *im, struct vmdk_extent *x, GError **error);
int vmdk_esx_lookup(struct vmdk *v, struct vmdk_extent *x, uint64_t in, struct extent *out);
bool vmdk_esx_check(struct vmdk *v, struct vmdk_extent *x, struct image_check *out, GError **error);
void vmdk_esx_close(struct vmdk_extent *x);

/* vmdk/create.c */
bool vmdk_create(struct blk_file *f, const struct image_options *o, GError **error);
extern const char *const vmdk_option_names[];
