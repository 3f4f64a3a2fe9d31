// SPDX-License-Identifier: GPL-2.0-or-later
/* fuzz_vhdx.c - VHDX images with bytes changed, their checksums made right. */
#include "tests/fuzz/fuzz_image.h"
#include "disk-formats/vhd/vhdx.h"

#define BITMAP_ENTRY (4096 * 8) /* of the first chunk: blocks of 1 MiB with 512-byte sectors */
#define BITMAP       (16 * MIB)

/* The first block is there in part: every second sector. */
static void make_partial(struct image *im)
{
    struct vhdx *v = im->state;
    uint8_t entry[8], bits[4096];
    if (image_flush(im) || blk_pread(im->file, v->bat_offset, entry, 8) || blk_truncate(im->file, BITMAP + MIB))
        g_error("cannot make a partial block");
    put_le64(entry, get_le64(entry) | 7);
    memset(bits, 0x55, sizeof bits);
    blk_pwrite(im->file, v->bat_offset, entry, 8);
    put_le64(entry, BITMAP | 6);
    blk_pwrite(im->file, v->bat_offset + BITMAP_ENTRY, entry, 8);
    blk_pwrite(im->file, BITMAP, bits, sizeof bits);
}

static const char *const small[] = {"block_size=1M", NULL};
static const struct fuzz_seed seeds[] = {
    {small}, {small, .fixed = true}, {small, .parent = true}, {small, .parent = true, .more = make_partial}};
static const uint32_t places[] = {VHDX_HEADER_1, VHDX_REGIONS_1,         MIB,   MIB + 4096, 2 * MIB, 2 * MIB + 65536,
                                  3 * MIB,       3 * MIB + BITMAP_ENTRY, BITMAP};

#define LOG (1u << 20)

/* A log with one entry that changes a page of the block table. */
static void prepare(uint8_t *data, uint64_t bytes)
{
    uint8_t *e = data + LOG, *d = e + 64, *page = data + 3 * MIB;
    for (unsigned i = 0; i < 2; i++)
        memset(data + (i ? VHDX_HEADER_2 : VHDX_HEADER_1) + VHDX_LOG_GUID, 7, 16);
    memcpy(e, "loge", 4);
    put_le32(e + 8, 8192);
    put_le64(e + 16, 1);
    put_le32(e + 24, 1);
    memset(e + 32, 7, 16);
    put_le64(e + 48, bytes);
    put_le64(e + 56, bytes);
    memcpy(d, "desc", 4);
    memcpy(d + 4, page + 4092, 4);
    memcpy(d + 8, page, 8);
    put_le64(d + 16, 3 * MIB);
    put_le64(d + 24, 1);
    memcpy(e + 4096, "data", 4);
    memcpy(e + 4096 + 8, page + 8, 4084);
    put_le32(e + 8188, 1);
}

static void sum(uint8_t *data, uint64_t bytes, uint64_t at, uint64_t n)
{
    if (at + n <= bytes)
        put_le32(data + at + VHDX_CHECKSUM, vhdx_sum(data + at, n));
}

static void fix(uint8_t *data, uint64_t bytes)
{
    sum(data, bytes, VHDX_HEADER_1, VHDX_PAGE);
    sum(data, bytes, VHDX_HEADER_2, VHDX_PAGE);
    sum(data, bytes, VHDX_REGIONS_1, VHDX_TABLE);
    sum(data, bytes, LOG, 8192);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_format f = {"vhdx", seeds,  G_N_ELEMENTS(seeds), places, G_N_ELEMENTS(places),
                                         fix,    prepare};
    return fuzz_image(&f, data, size);
}
