// SPDX-License-Identifier: GPL-2.0-or-later
/* vhd.c - Virtual PC's and Hyper-V's first disk format; the theory is in vhd.h. */
#include "disk-formats/vhd/vhd.h"
#include <errno.h>
#include <string.h>

uint32_t vhd_checksum(const uint8_t *data, size_t n, size_t sum_at)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += i >= sum_at && i < sum_at + 4 ? 0 : data[i];
    return ~sum;
}

char *vhd_uuid(const uint8_t *uuid)
{
    GString *s = g_string_new(NULL);
    for (unsigned i = 0; i < 16; i++)
        g_string_append_printf(s, "%02x", uuid[i]);
    return g_string_free(s, FALSE);
}

/* ---- open ---- */
static bool footer_good(const uint8_t *f)
{
    return !memcmp(f, "conectix", 8) && get_be32(f + FOOTER_SUM) == vhd_checksum(f, VHD_SECTOR, FOOTER_SUM);
}

/* The copy at the start is the one that is never rewritten; a fixed disk has only the one at the end. */
static bool read_footer(struct image *im, GError **error)
{
    struct vhd *v = im->state;
    uint64_t size = blk_size(im->file);
    if (size < VHD_SECTOR)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s is too short for a VHD image", im->file->path);
    if (!blk_get(im->file, 0, v->footer, VHD_SECTOR, "header", error))
        return false;
    if (footer_good(v->footer) && get_be32(v->footer + FOOTER_TYPE) != VHD_FIXED)
        return true;
    if (!blk_get(im->file, size - VHD_SECTOR, v->footer, VHD_SECTOR, "footer", error))
        return false;
    if (footer_good(v->footer))
        return true;
    /* Old versions made it one byte shorter. */
    memset(v->footer, 0, VHD_SECTOR);
    if (!blk_get(im->file, size - (VHD_SECTOR - 1), v->footer, VHD_SECTOR - 1, "footer", error))
        return false;
    return footer_good(v->footer) || disk_fail(error, DISK_ERROR_CORRUPT, "%s: no good VHD footer", im->file->path);
}

static bool check_dynamic(struct image *im, const uint8_t *h, GError **error)
{
    struct vhd *v = im->state;
    uint32_t block = get_be32(h + DYNAMIC_BLOCK);
    v->bat_offset = get_be64(h + DYNAMIC_BAT);
    if (memcmp(h, "cxsparse", 8) || get_be32(h + DYNAMIC_SUM) != vhd_checksum(h, DYNAMIC_BYTES, DYNAMIC_SUM))
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s: the dynamic disk header is damaged", im->file->path);
    if (block < 4096 || block > 256u << 20 || block & (block - 1))
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s: impossible block size", im->file->path);
    uint64_t blocks = (im->bytes + block - 1) / block;
    if (get_be32(h + DYNAMIC_ENTRIES) < blocks || v->bat_offset > IMAGE_MAX_BYTES || v->bat_offset % VHD_SECTOR)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s: the block table does not fit the disk", im->file->path);
    im->block_bytes = block;
    v->blocks = blocks;
    v->bitmap_bytes = (block / VHD_SECTOR / 8 + VHD_SECTOR - 1) / VHD_SECTOR * VHD_SECTOR;
    return true;
}

/* Behind the last block in use; entries that lie outside the file are found by check and on access. */
static void find_end(struct image *im)
{
    struct vhd *v = im->state;
    uint64_t step = v->bitmap_bytes + (uint64_t)im->block_bytes;
    for (uint32_t i = 0; i < v->blocks; i++)
        if (v->bat[i] != VHD_UNUSED)
            v->end = MAX(v->end, v->bat[i] * (uint64_t)VHD_SECTOR + step);
}

static bool open_dynamic(struct image *im, GError **error)
{
    struct vhd *v = im->state;
    uint8_t h[DYNAMIC_BYTES];
    uint64_t at = get_be64(v->footer + FOOTER_HEADER);
    if (!blk_get(im->file, at, h, sizeof h, "dynamic disk header", error))
        return false;
    if (!check_dynamic(im, h, error) || (v->type == VHD_DIFFERENCING && !vhd_read_parent(im, h, error)))
        return false;
    v->bat = g_try_new0(uint32_t, v->blocks + 1);
    v->bitmap = g_try_new0(uint8_t *, v->blocks + 1);
    v->dirty = g_try_malloc0(v->blocks + 1);
    if (!v->bat || !v->bitmap || !v->dirty)
        return disk_fail(error, DISK_ERROR_IO, "%s: no memory for its table", im->file->path);
    if (!blk_get(im->file, v->bat_offset, v->bat, v->blocks * 4ull, "block table", error))
        return false;
    for (uint32_t i = 0; i < v->blocks; i++)
        v->bat[i] = GUINT32_FROM_BE(v->bat[i]);
    uint64_t table_end = v->bat_offset + get_be32(h + DYNAMIC_ENTRIES) * 4ull;
    regions_add(v->tables, 0, VHD_SECTOR); /* the footer's copy */
    regions_add(v->tables, at, DYNAMIC_BYTES);
    regions_add(v->tables, v->bat_offset, v->blocks * 4ull);
    v->end = MAX((table_end + VHD_SECTOR - 1) / VHD_SECTOR * VHD_SECTOR, at + DYNAMIC_BYTES);
    find_end(im);
    return true;
}

static bool vhd_open(struct image *im, GError **error)
{
    struct vhd *v = im->state = g_new0(struct vhd, 1);
    g_mutex_init(&v->lock);
    v->tables = regions_new();
    if (!read_footer(im, error))
        return false;
    v->type = get_be32(v->footer + FOOTER_TYPE);
    uint64_t bytes = get_be64(v->footer + FOOTER_SIZE);
    im->bytes = bytes <= VHD_MAX_BYTES ? (bytes + 511) & ~UINT64_C(511) : 0; /* the last sector is padded */
    im->id = vhd_uuid(v->footer + FOOTER_UUID);
    if (!im->bytes)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s: a VHD disk cannot have this size", im->file->path);
    im->check_first = v->type != VHD_FIXED;
    if (v->type == VHD_DYNAMIC || v->type == VHD_DIFFERENCING)
        return open_dynamic(im, error);
    if (v->type != VHD_FIXED)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s: VHD type %u is not supported", im->file->path, v->type);
    v->fixed_end = bytes % VHD_SECTOR ? bytes : 0;
    return bytes <= blk_size(im->file) ||
           disk_fail(error, DISK_ERROR_CORRUPT, "%s is shorter than its disk", im->file->path);
}

/* ---- read and write ---- */
static void forget_bitmaps(struct vhd *v)
{
    for (uint32_t i = 0; i < v->blocks; i++)
        if (v->bitmap[i] && !(v->dirty[i] & BITMAP_DIRTY)) {
            g_clear_pointer(&v->bitmap[i], g_free);
            v->bitmaps--;
        }
}

/* Lock held, and while *out is looked at. */
static int bitmap_of(struct image *im, uint32_t i, uint8_t **out)
{
    struct vhd *v = im->state;
    int err = 0;
    if (!v->bitmap[i]) {
        if (v->bitmaps >= VHD_BITMAPS)
            forget_bitmaps(v);
        uint8_t *b = g_malloc(v->bitmap_bytes);
        err = blk_pread(im->file, v->bat[i] * (uint64_t)VHD_SECTOR, b, v->bitmap_bytes);
        if (err)
            g_clear_pointer(&b, g_free);
        v->bitmap[i] = b;
        v->bitmaps += b != NULL;
    }
    *out = v->bitmap[i];
    return err;
}

/* Sectors are counted from the highest bit of each byte. */
static bool bit(const uint8_t *bitmap, uint32_t sector)
{
    return bitmap[sector / 8] >> (7 - sector % 8) & 1;
}

/* Within a block of a differencing disk: as far as the bits are alike. */
static int alike_sectors(struct image *im, uint32_t i, uint64_t in, struct extent *out)
{
    uint32_t first = in / VHD_SECTOR, last = im->block_bytes / VHD_SECTOR, s = first + 1;
    uint64_t want = (in + out->bytes + VHD_SECTOR - 1) / VHD_SECTOR;
    struct vhd *v = im->state;
    uint8_t *bitmap;
    g_mutex_lock(&v->lock);
    int err = bitmap_of(im, i, &bitmap);
    while (!err && s < last && s < want && bit(bitmap, s) == bit(bitmap, first))
        s++;
    bool hole = !err && !bit(bitmap, first);
    g_mutex_unlock(&v->lock);
    out->bytes = MIN(out->bytes, s * (uint64_t)VHD_SECTOR - in);
    if (hole) {
        out->kind = EXTENT_HOLE;
        out->in_place = false;
        out->file_offset = UINT64_MAX;
    }
    return err;
}

/* What the last sector has behind the disk's end is the footer, and none of the disk's. */
static int fixed_extent(const struct vhd *v, uint64_t offset, struct extent *out)
{
    if (v->fixed_end && offset < v->fixed_end)
        out->bytes = MIN(out->bytes, v->fixed_end - offset);
    if (!v->fixed_end || offset < v->fixed_end)
        return 0;
    out->kind = EXTENT_ZERO;
    out->in_place = false;
    out->file_offset = UINT64_MAX;
    return 0;
}

static int vhd_extent(struct image *im, uint64_t offset, struct extent *out)
{
    struct vhd *v = im->state;
    out->kind = EXTENT_DATA;
    out->in_place = im->writable;
    out->file_offset = offset;
    if (v->type == VHD_FIXED)
        return fixed_extent(v, offset, out);
    uint32_t i = offset / im->block_bytes;
    uint64_t in = offset % im->block_bytes;
    out->bytes = MIN(out->bytes, im->block_bytes - in);
    if (v->bat[i] == VHD_UNUSED) {
        out->kind = EXTENT_HOLE;
        out->in_place = false;
        out->file_offset = UINT64_MAX;
        return 0;
    }
    out->file_offset = v->bat[i] * (uint64_t)VHD_SECTOR + v->bitmap_bytes + in;
    return v->type == VHD_DIFFERENCING ? alike_sectors(im, i, in, out) : 0;
}

/* One block at a time: either a new one at the end, or the one that is there in part. */
static int vhd_place(struct image *im, struct extent *out)
{
    struct vhd *v = im->state;
    uint32_t i = out->offset / im->block_bytes;
    uint64_t size = blk_size(im->file), at = v->end, end = at + v->bitmap_bytes + im->block_bytes;
    if (v->type == VHD_FIXED)
        return -EROFS;
    out->bytes = im->block_bytes;
    if (v->bat[i] != VHD_UNUSED) {
        out->file_offset = v->bat[i] * (uint64_t)VHD_SECTOR + v->bitmap_bytes;
        out->reused = true;
        return 0;
    }
    if (end / VHD_SECTOR >= VHD_UNUSED)
        return -EFBIG;
    out->file_offset = at + v->bitmap_bytes;
    out->zeroed = out->file_offset >= size; /* the bitmap covers the old footer */
    v->footer_due = true;
    int err = end + VHD_SECTOR > size ? blk_truncate(im->file, end + VHD_SECTOR) : 0;
    v->end = err ? at : end;
    return err;
}

/* Only the last one can be taken back; others are a leak. */
static void vhd_unplace(struct image *im, const struct extent *e)
{
    struct vhd *v = im->state;
    if (!e->reused && v->end == e->file_offset + im->block_bytes)
        v->end = e->file_offset - v->bitmap_bytes;
}

static int vhd_link(struct image *im, const struct extent *e)
{
    struct vhd *v = im->state;
    uint32_t i = e->offset / im->block_bytes;
    bool fresh = v->bat[i] == VHD_UNUSED;
    g_autofree uint8_t *all = g_malloc(v->bitmap_bytes);
    memset(all, 0xff, v->bitmap_bytes);
    if (fresh) {
        uint64_t at = e->file_offset - v->bitmap_bytes;
        int err = blk_pwrite(im->file, at, all, v->bitmap_bytes);
        if (err)
            return err;
        v->bat[i] = at / VHD_SECTOR;
    }
    v->dirty[i] |= fresh ? BAT_DIRTY : BITMAP_DIRTY;
    v->any_dirty = true;
    if (v->type == VHD_DIFFERENCING) {
        v->bitmaps += !v->bitmap[i];
        g_free(v->bitmap[i]);
        v->bitmap[i] = g_steal_pointer(&all);
    }
    return 0;
}

static int write_tables(struct image *im)
{
    struct vhd *v = im->state;
    int err = 0;
    for (uint32_t i = 0; i < v->blocks && !err; i++) {
        uint8_t entry[4];
        put_be32(entry, v->bat[i]);
        if (v->dirty[i] & BITMAP_DIRTY)
            err = blk_pwrite(im->file, v->bat[i] * (uint64_t)VHD_SECTOR, v->bitmap[i], v->bitmap_bytes);
        if (!err && v->dirty[i] & BAT_DIRTY)
            err = blk_pwrite(im->file, v->bat_offset + i * 4ull, entry, 4);
    }
    return err;
}

static int vhd_flush(struct image *im)
{
    struct vhd *v = im->state;
    int err = v->footer_due ? blk_pwrite(im->file, v->end, v->footer, VHD_SECTOR) : 0;
    v->footer_due = v->footer_due && err;
    if (!err)
        err = blk_sync(im->file);
    if (err || !v->any_dirty)
        return err;
    err = write_tables(im);
    if (!err)
        err = blk_sync(im->file);
    if (!err) {
        memset(v->dirty, 0, v->blocks);
        v->any_dirty = false;
    }
    return err;
}

/* ---- zeroes: what is in the file is punched out; a hole over a parent must be written ---- */
static int vhd_clear(struct image *im, uint64_t offset, uint64_t bytes, bool zeroes)
{
    int err = 0;
    for (uint64_t at = offset, end = offset + bytes; !err && at < end;) {
        struct extent e = {.bytes = end - at};
        err = vhd_extent(im, at, &e);
        if (!err && e.kind == EXTENT_HOLE && zeroes && im->parent_name)
            return -ENOTSUP;
        if (!err && e.kind == EXTENT_DATA)
            err = blk_zero(im->file, e.file_offset, e.bytes, true);
        at += e.bytes;
    }
    return err;
}

static int vhd_zero(struct image *im, uint64_t offset, uint64_t bytes)
{
    return vhd_clear(im, offset, bytes, true);
}

static int vhd_discard(struct image *im, uint64_t offset, uint64_t bytes)
{
    return vhd_clear(im, offset, bytes, false);
}

/* ---- resize, check ---- */
static bool vhd_may_resize(struct image *im, uint64_t bytes, GError **error)
{
    struct vhd *v = im->state;
    if (bytes < im->bytes || bytes > VHD_MAX_BYTES)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "a VHD image %s",
                         bytes < im->bytes ? "cannot be made smaller; convert it" : "has 2040 GiB at most");
    if (v->type != VHD_FIXED)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED,
                         "a dynamic VHD image has no room for a larger table; convert it");
    return true;
}

/* Of a fixed disk: the new footer first; then the old one, which lies in the disk now, becomes zeroes. */
static int move_footer(struct image *im, uint64_t was, uint64_t bytes)
{
    struct vhd *v = im->state;
    uint8_t zero[VHD_SECTOR] = {0};
    vhd_set_size(v->footer, bytes);
    int err = blk_pwrite(im->file, bytes, v->footer, VHD_SECTOR);
    if (!err)
        err = blk_sync(im->file);
    if (!err && bytes > was)
        err = blk_pwrite(im->file, was, zero, MIN(bytes - was, VHD_SECTOR));
    return err ? err : blk_sync(im->file);
}

static bool vhd_resize(struct image *im, uint64_t bytes, GError **error)
{
    int err = move_footer(im, im->bytes, bytes);
    if (err)
        return disk_fail_errno(error, -err, "%s", im->file->path);
    im->bytes = bytes;
    return true;
}

/* A fixed disk whose last sector the footer cuts short gets all of it before it is written to. */
static int vhd_ready(struct image *im)
{
    struct vhd *v = im->state;
    int err = v->fixed_end ? move_footer(im, v->fixed_end, im->bytes) : 0;
    v->fixed_end = err ? v->fixed_end : 0;
    return err;
}

/* Blocks, and what is in v->tables: no two of them have anything in common. */
static void check_places(struct image *im, struct image_check *out)
{
    struct vhd *v = im->state;
    uint64_t step = v->bitmap_bytes + (uint64_t)im->block_bytes, size = blk_size(im->file), at;
    g_autoptr(GArray) places = g_array_copy(v->tables);
    for (uint32_t i = 0; i < v->blocks; i++) {
        uint64_t from = v->bat[i] * (uint64_t)VHD_SECTOR;
        if (v->bat[i] == VHD_UNUSED)
            continue;
        out->blocks_used++;
        regions_add(places, from, step);
        if (from + step <= size)
            continue;
        image_check_say(out, "a block at sector %u lies outside the file", v->bat[i]);
        out->corruptions++;
    }
    if (!regions_clash(places, &at))
        return;
    image_check_say(out, "blocks or tables overlap at 0x%" G_GINT64_MODIFIER "x", at);
    out->corruptions++;
    out->overlaps++;
}

static bool check_footer(struct image *im, bool repair, struct image_check *out, GError **error)
{
    struct vhd *v = im->state;
    uint8_t last[VHD_SECTOR];
    uint64_t size = blk_size(im->file) / VHD_SECTOR * VHD_SECTOR;
    if (size < VHD_SECTOR || !blk_get(im->file, size - VHD_SECTOR, last, sizeof last, "footer", error))
        return false;
    if (footer_good(last))
        return true;
    image_check_say(out, "the footer at the end is missing; the copy at the start is good");
    out->leaks++;
    if (repair) {
        v->footer_due = true;
        int err = blk_truncate(im->file, v->end + VHD_SECTOR);
        if (!err)
            err = vhd_flush(im);
        if (err)
            return disk_fail_errno(error, -err, "%s", im->file->path);
        out->leaks_fixed++;
    }
    return true;
}

static bool vhd_check(struct image *im, bool repair, struct image_check *out, GError **error)
{
    struct vhd *v = im->state;
    if (v->type == VHD_FIXED)
        return true;
    out->blocks = v->blocks;
    out->end = v->end;
    check_places(im, out);
    return check_footer(im, repair, out, error);
}

/* ---- table ---- */
static bool vhd_probe(const uint8_t *head, size_t n, uint64_t file_bytes)
{
    return n >= VHD_SECTOR && footer_good(head); /* a fixed one has it at the end: image_format_guess() looks there */
}

static void vhd_info(struct image *im, struct image_info *out)
{
    static const char *const types[] = {"?", "?", "fixed", "dynamic", "differencing"};
    struct vhd *v = im->state;
    char creator[5] = {0};
    memcpy(creator, v->footer + FOOTER_CREATOR, 4);
    image_info_text(out, "variant", types[v->type]);
    image_info_text(out, "creator", creator);
    image_info_text(out, "uuid", im->id);
    if (im->block_bytes)
        image_info_number(out, "block-size", im->block_bytes);
}

static void vhd_close(struct image *im)
{
    struct vhd *v = im->state;
    for (uint32_t i = 0; v->bitmap && i < v->blocks; i++)
        g_free(v->bitmap[i]);
    g_free(v->bitmap);
    g_array_unref(v->tables);
    g_free(v->bat);
    g_free(v->dirty);
    g_mutex_clear(&v->lock);
    g_free(v);
    im->state = NULL;
}

static char **vhd_alike(struct image *im)
{
    struct vhd *v = im->state;
    return v->type == VHD_DYNAMIC ? g_new0(char *, 1) : NULL;
}

const struct image_format format_vhd = {
    .name = "vhd",
    .summary = "Virtual PC and Hyper-V, first version",
    .parents = true,
    .lasting_id = true,
    .probe = vhd_probe,
    .create = vhd_create,
    .open = vhd_open,
    .extent = vhd_extent,
    .ready = vhd_ready,
    .place = vhd_place,
    .link = vhd_link,
    .unplace = vhd_unplace,
    .flush = vhd_flush,
    .discard = vhd_discard,
    .zero = vhd_zero,
    .may_resize = vhd_may_resize,
    .resize = vhd_resize,
    .alike = vhd_alike,
    .forget_parent_id = vhd_forget_parent_id,
    .check = vhd_check,
    .info = vhd_info,
    .close = vhd_close,
};
