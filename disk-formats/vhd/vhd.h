// SPDX-License-Identifier: GPL-2.0-or-later
/* vhd.h - inside of the VHD format, by Microsoft's "Virtual Hard Disk Image Format Specification" 1.0.  Big-endian.
 *
 * Fixed: the disk's bytes and a footer sector.  Dynamic and differencing: a copy of the footer first, a header, the block
 * allocation table (BAT: a sector number per block of 2 MiB), blocks in the order of their first write, and the footer.
 * A block begins with a bitmap of its sectors; in a differencing disk a clear bit means "see the parent".
 *
 * Power cut.  A new block goes where the footer is, and the footer behind it; the copy at the start stays good all the
 * time.  A flush writes the footer (data and bitmaps of new blocks are written already); barrier; the BAT's entries and
 * bits that were set in old bitmaps; barrier.  A cut in between leaves a block that nothing points to (a leak, the next
 * new block takes its place), or no footer at the end, which the next flush puts there. */
#pragma once
#include "core-vmm/base/bytes.h"
#include "disk-formats/image/formats.h"
#include "disk-formats/image/regions.h"

#define VHD_SECTOR    512u
#define VHD_UNUSED    0xffffffffu
#define VHD_MAX_BYTES (UINT64_C(2040) << 30)
#define VHD_BLOCK     (2u << 20)
#define VHD_LOCATORS  8u
#define VHD_BITMAPS   16384u /* kept in memory, apart from changed ones */
enum {                       /* offsets in the footer */
       FOOTER_FEATURES = 8,
       FOOTER_VERSION = 12,
       FOOTER_HEADER = 16,
       FOOTER_TIME = 24,
       FOOTER_CREATOR = 28,
       FOOTER_CREATOR_VERSION = 32,
       FOOTER_CREATOR_HOST = 36,
       FOOTER_ORIGINAL = 40,
       FOOTER_SIZE = 48,
       FOOTER_CYLINDERS = 56,
       FOOTER_TYPE = 60,
       FOOTER_SUM = 64,
       FOOTER_UUID = 68,
};
enum { /* offsets in the dynamic header */
       DYNAMIC_NEXT = 8,
       DYNAMIC_BAT = 16,
       DYNAMIC_VERSION = 24,
       DYNAMIC_ENTRIES = 28,
       DYNAMIC_BLOCK = 32,
       DYNAMIC_SUM = 36,
       DYNAMIC_PARENT_UUID = 40,
       DYNAMIC_PARENT_TIME = 56,
       DYNAMIC_PARENT_NAME = 64,
       DYNAMIC_PARENT_NAME_BYTES = 512,
       DYNAMIC_LOCATORS = 576,
       DYNAMIC_BYTES = 1024,
};
enum { VHD_FIXED = 2, VHD_DYNAMIC = 3, VHD_DIFFERENCING = 4 };
#define LOCATOR_OURS     0x54524d50u /* "TRMP": format, id and name of a parent of any format */
#define LOCATOR_RELATIVE 0x57327275u /* "W2ru": UTF-16LE */
#define LOCATOR_ABSOLUTE 0x57326b75u /* "W2ku" */

struct vhd {
    uint8_t footer[VHD_SECTOR];
    uint32_t type, blocks, bitmap_bytes;
    uint64_t bat_offset;
    GArray *tables;   /* struct region: all that is no block */
    uint32_t *bat;    /* host byte order, sectors */
    uint8_t **bitmap; /* differencing: of each block, NULL: not read yet */
    uint8_t *dirty;   /* of each block: BAT_DIRTY, BITMAP_DIRTY */
    bool any_dirty, footer_due;
    uint64_t fixed_end;    /* of a fixed disk that ends within a sector; 0: it does not */
    uint64_t end;          /* where the next block goes */
    uint64_t parent_id_at; /* in our own locator; 0: none */
    uint32_t bitmaps;      /* how many are kept */
    GMutex lock;           /* of bitmaps */
};
enum { BAT_DIRTY = 1, BITMAP_DIRTY = 2 };

uint32_t vhd_checksum(const uint8_t *data, size_t n, size_t sum_at);
char *vhd_uuid(const uint8_t *uuid);
int vhd_forget_parent_id(struct image *im);
bool vhd_read_parent(struct image *im, const uint8_t *header, GError **error);
bool vhd_create(struct blk_file *f, const struct image_options *o, GError **error);
void vhd_set_size(uint8_t *footer, uint64_t bytes); /* and geometry and checksum */
