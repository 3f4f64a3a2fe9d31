// SPDX-License-Identifier: GPL-2.0-or-later
/* vhdx.h - inside of the VHDX format, by Microsoft's [MS-VHDX].  Little-endian.
 *
 * At fixed places: file identifier, two headers (the one with the higher sequence number counts), two region tables.
 * They lead to the log, the metadata items, and the block allocation table (BAT): a 64-bit entry per block with its state
 * and its place in MiB; after each "chunk" of blocks comes the entry of a sector bitmap, which a differencing disk needs
 * for blocks that it has in part.
 *
 * Power cut.  The pages of a log that another program left lie over the file in memory, until it is first changed: then
 * it is replayed into the file.  We write no log: the header says that it is empty, new blocks go to the end of the
 * file, and a BAT entry, which never straddles a sector, is written behind a barrier only.  So each state on the disk is
 * a good one, and a cut leaves at most blocks that nothing points to.  A flush: barrier; changed sectors of the BAT;
 * barrier.  Before the first change the headers get new ids, the older copy first, with a barrier between. */
#pragma once
#include "core-vmm/base/bytes.h"
#include "core-vmm/base/crc32c.h"
#include "disk-formats/image/formats.h"

#define MIB            (1u << 20)
#define VHDX_PAGE      4096u
#define VHDX_HEADER_1  (64u << 10)
#define VHDX_HEADER_2  (128u << 10)
#define VHDX_REGIONS_1 (192u << 10)
#define VHDX_REGIONS_2 (256u << 10)
#define VHDX_TABLE     (64u << 10) /* bytes of a region table and of the metadata table */
#define VHDX_MAX_BYTES (UINT64_C(64) << 40)
#define VHDX_MAX_LOG   (256u << 20)
#define VHDX_STATE     7u
#define VHDX_BITMAPS   64u /* of 1 MiB each, kept in memory */
#define VHDX_PLACE     (~(uint64_t)(MIB - 1))
enum { STATE_NOT_PRESENT, STATE_UNDEFINED, STATE_ZERO, STATE_UNMAPPED, STATE_PRESENT = 6, STATE_PARTIAL = 7 };
enum { /* offsets in a header */
       VHDX_CHECKSUM = 4,
       VHDX_SEQUENCE = 8,
       VHDX_FILE_GUID = 16,
       VHDX_DATA_GUID = 32,
       VHDX_LOG_GUID = 48,
       VHDX_LOG_VERSION = 64,
       VHDX_VERSION = 66,
       VHDX_LOG_LENGTH = 68,
       VHDX_LOG_OFFSET = 72,
};
enum { PARAMETER_FIXED = 1, PARAMETER_PARENT = 2 };
enum { ITEM_VIRTUAL_DISK = 2, ITEM_REQUIRED = 4 };
extern const uint8_t vhdx_guid_bat[16], vhdx_guid_metadata[16], vhdx_guid_parameters[16], vhdx_guid_size[16],
    vhdx_guid_disk_id[16], vhdx_guid_logical[16], vhdx_guid_physical[16], vhdx_guid_locator[16],
    vhdx_guid_locator_type[16];

struct vhdx {
    uint8_t header[VHDX_PAGE];
    unsigned header_at; /* 0 or 1: which copy that is */
    uint64_t bat_offset, bat_bytes, metadata_offset, metadata_bytes;
    uint64_t size_at; /* where the disk's size is */
    uint32_t sector_bytes, chunk_blocks, parameters;
    uint32_t blocks, entries;
    uint64_t *bat;  /* host byte order */
    uint8_t *dirty; /* a byte per sector of the BAT */
    bool any_dirty;
    uint64_t end;        /* where the next block goes */
    GHashTable *overlay; /* page number -> 4 KiB that the log says */
    uint64_t log_last;   /* how long the file is with them */
    GHashTable *bitmaps; /* chunk -> 1 MiB of bits */
    GMutex lock;         /* of bitmaps */
};

/* vhdx.c */
bool vhdx_get(struct image *im, uint64_t offset, void *to, size_t n, const char *what, GError **error);
uint32_t vhdx_bat_index(const struct vhdx *v, uint32_t block);
uint32_t vhdx_sum(const uint8_t *data, size_t n); /* the checksum field counts as zero */
int vhdx_write_headers(struct image *im);         /* both copies, the older one first */
char *vhdx_guid_text(const uint8_t *guid);

/* vhdx_log.c: replays what the log holds, to the overlay; and from there to the file, before that is first changed */
bool vhdx_replay(struct image *im, GError **error);
int vhdx_ready(struct image *im);

/* vhdx_meta.c */
bool vhdx_read_regions(struct image *im, GError **error);
bool vhdx_read_metadata(struct image *im, GError **error);

/* vhdx_create.c */
bool vhdx_create(struct blk_file *f, const struct image_options *o, GError **error);
extern const char *const vhdx_option_names[];
