// SPDX-License-Identifier: GPL-2.0-or-later
/* vhdx.c - Hyper-V's disk format; the theory is in vhdx.h. */
#include "disk-formats/vhd/vhdx.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

char *vhdx_guid_text(const uint8_t *g)
{
    return g_strdup_printf("%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", get_le32(g), get_le16(g + 4),
                           get_le16(g + 6), g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15]);
}

uint32_t vhdx_sum(const uint8_t *data, size_t n)
{
    static const uint8_t zero[4];
    uint32_t crc = crc32c(0, data, VHDX_CHECKSUM);
    return crc32c(crc32c(crc, zero, 4), data + VHDX_CHECKSUM + 4, n - VHDX_CHECKSUM - 4);
}

/* Reads with the log's pages over the file. */
bool vhdx_get(struct image *im, uint64_t offset, void *to, size_t n, const char *what, GError **error)
{
    struct vhdx *v = im->state;
    bool logged = v->overlay && g_hash_table_size(v->overlay);
    if (!logged)
        return blk_get(im->file, offset, to, n, what, error);
    int err = blk_pread(im->file, offset, to, n);
    if (err)
        return disk_fail_errno(error, -err, "%s: cannot read the %s", im->file->path, what);
    for (uint64_t at = offset, end = offset + n, next; at < end; at = next) {
        const uint8_t *page = g_hash_table_lookup(v->overlay, GSIZE_TO_POINTER(at / VHDX_PAGE + 1));
        next = MIN((at / VHDX_PAGE + 1) * VHDX_PAGE, end);
        if (page)
            memcpy((char *)to + (at - offset), page + at % VHDX_PAGE, next - at);
    }
    return true;
}

/* ---- open ---- */
static bool header_good(const uint8_t *h)
{
    return !memcmp(h, "head", 4) && get_le32(h + VHDX_CHECKSUM) == vhdx_sum(h, VHDX_PAGE);
}

static bool read_headers(struct image *im, GError **error)
{
    struct vhdx *v = im->state;
    uint8_t id[8], second[VHDX_PAGE];
    if (!blk_get(im->file, 0, id, sizeof id, "file identifier", error) ||
        !blk_get(im->file, VHDX_HEADER_1, v->header, VHDX_PAGE, "header", error) ||
        !blk_get(im->file, VHDX_HEADER_2, second, VHDX_PAGE, "header", error))
        return false;
    if (memcmp(id, "vhdxfile", 8))
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s is no VHDX image", im->file->path);
    bool one = header_good(v->header), two = header_good(second);
    if (!one && !two)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s: both headers are damaged", im->file->path);
    if (two && (!one || get_le64(second + VHDX_SEQUENCE) > get_le64(v->header + VHDX_SEQUENCE))) {
        memcpy(v->header, second, VHDX_PAGE);
        v->header_at = 1;
    }
    if (get_le16(v->header + VHDX_VERSION) != 1)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s: VHDX version %u is not supported", im->file->path,
                         get_le16(v->header + VHDX_VERSION));
    im->id = vhdx_guid_text(v->header + VHDX_DATA_GUID);
    return true;
}

static uint64_t entries_for(const struct vhdx *v, uint64_t blocks)
{
    return v->parameters & PARAMETER_PARENT
               ? (blocks + v->chunk_blocks - 1) / v->chunk_blocks * (v->chunk_blocks + 1ull)
               : blocks + (blocks - 1) / v->chunk_blocks;
}

/* Blocks and, after each chunk of them, a bitmap; a disk without a parent has no bitmap after the last blocks. */
static bool load_bat(struct image *im, GError **error)
{
    struct vhdx *v = im->state;
    uint64_t chunk = (UINT64_C(1) << 23) * v->sector_bytes,
             blocks = (im->bytes + im->block_bytes - 1) / im->block_bytes;
    v->chunk_blocks = chunk / im->block_bytes;
    uint64_t entries = entries_for(v, blocks);
    if (entries * 8 > v->bat_bytes || entries > 512u << 20)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s: the block table is too short for the disk", im->file->path);
    v->blocks = blocks;
    v->entries = entries;
    uint64_t sectors = (entries * 8 + 511) / 512;
    v->bat = g_try_malloc0(sectors * 512);
    v->dirty = g_try_malloc0(sectors);
    if (!v->bat || !v->dirty)
        return disk_fail(error, DISK_ERROR_IO, "%s: no memory for its block table", im->file->path);
    if (!vhdx_get(im, v->bat_offset, v->bat, entries * 8, "block table", error))
        return false;
    v->end = (MAX(v->bat_offset + v->bat_bytes, v->metadata_offset + v->metadata_bytes) + MIB - 1) & VHDX_PLACE;
    v->end = MAX(v->end, get_le64(v->header + VHDX_LOG_OFFSET) + get_le32(v->header + VHDX_LOG_LENGTH));
    for (uint64_t i = 0; i < entries; i++) {
        v->bat[i] = GUINT64_FROM_LE(v->bat[i]);
        uint64_t bytes = (i + 1) % (v->chunk_blocks + 1ull) ? im->block_bytes : MIB;
        if (v->bat[i] & VHDX_PLACE && (v->bat[i] & VHDX_PLACE) < IMAGE_MAX_BYTES)
            v->end = MAX(v->end, (v->bat[i] & VHDX_PLACE) + bytes);
    }
    return true;
}

static bool vhdx_open(struct image *im, GError **error)
{
    struct vhdx *v = im->state = g_new0(struct vhdx, 1);
    g_mutex_init(&v->lock);
    im->cut_end = im->check_first = true;
    v->overlay = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    v->bitmaps = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    return read_headers(im, error) && vhdx_replay(im, error) && vhdx_read_regions(im, error) &&
           vhdx_read_metadata(im, error) && load_bat(im, error);
}

/* ---- read ---- */
uint32_t vhdx_bat_index(const struct vhdx *v, uint32_t block)
{
    return block + block / v->chunk_blocks;
}

static bool possible_place(uint64_t place)
{
    return place >= MIB && place <= IMAGE_MAX_BYTES;
}

/* The bits of a chunk, least significant first.  Lock held, and while *out is looked at. */
static int bitmap_of(struct image *im, uint32_t chunk, const uint8_t **out)
{
    struct vhdx *v = im->state;
    uint64_t index = chunk * (v->chunk_blocks + 1ull) + v->chunk_blocks;
    uint64_t entry = index < v->entries ? v->bat[index] : 0; /* the last chunk has one in differencing images only */
    int err = 0;
    if ((entry & VHDX_STATE) != STATE_PRESENT)
        return -EBADMSG;
    uint8_t *bits = g_hash_table_lookup(v->bitmaps, GUINT_TO_POINTER(chunk + 1));
    if (!bits) {
        if (g_hash_table_size(v->bitmaps) >= VHDX_BITMAPS)
            g_hash_table_remove_all(v->bitmaps);
        bits = g_malloc(MIB);
        if (vhdx_get(im, entry & VHDX_PLACE, bits, MIB, "sector bitmap", NULL))
            g_hash_table_insert(v->bitmaps, GUINT_TO_POINTER(chunk + 1), bits);
        else
            err = -EIO;
        if (err)
            g_clear_pointer(&bits, g_free);
    }
    *out = bits;
    return err;
}

static int partial(struct image *im, uint32_t block, uint64_t in, struct extent *out)
{
    struct vhdx *v = im->state;
    uint64_t first = (block % v->chunk_blocks * (uint64_t)im->block_bytes + in) / v->sector_bytes, n = 1;
    const uint8_t *bits;
    bool here = true;
    g_mutex_lock(&v->lock);
    int err = bitmap_of(im, block / v->chunk_blocks, &bits);
    uint64_t most = (im->block_bytes - in / v->sector_bytes * v->sector_bytes) / v->sector_bytes;
    if (!err)
        here = bits[first / 8] >> (first % 8) & 1;
    while (!err && n < most && n * v->sector_bytes < out->bytes + v->sector_bytes &&
           (bits[(first + n) / 8] >> ((first + n) % 8) & 1) == here)
        n++;
    g_mutex_unlock(&v->lock);
    out->bytes = MIN(out->bytes, n * v->sector_bytes - in % v->sector_bytes);
    if (!here) {
        out->kind = EXTENT_HOLE;
        out->in_place = false;
        out->file_offset = UINT64_MAX;
    }
    return err;
}

static int vhdx_extent(struct image *im, uint64_t offset, struct extent *out)
{
    struct vhdx *v = im->state;
    uint32_t block = offset / im->block_bytes;
    uint64_t in = offset % im->block_bytes, entry = v->bat[vhdx_bat_index(v, block)], place = entry & VHDX_PLACE;
    unsigned state = entry & VHDX_STATE;
    out->bytes = MIN(out->bytes, im->block_bytes - in);
    out->file_offset = UINT64_MAX;
    if (state == STATE_NOT_PRESENT) {
        out->kind = EXTENT_HOLE;
        return 0;
    }
    if (state < STATE_PRESENT) {
        out->kind =
            state == STATE_UNDEFINED || state == STATE_ZERO || state == STATE_UNMAPPED ? EXTENT_ZERO : EXTENT_HOLE;
        return out->kind == EXTENT_HOLE ? -EBADMSG : 0;
    }
    if (!possible_place(place))
        return -EBADMSG;
    out->kind = EXTENT_DATA;
    out->in_place = im->writable;
    out->file_offset = place + in;
    return state == STATE_PARTIAL ? partial(im, block, in, out) : 0;
}

/* ---- write ---- */
int vhdx_write_headers(struct image *im)
{
    struct vhdx *v = im->state;
    int err = blk_sync(im->file);
    for (unsigned i = 0; i < 2 && !err; i++) {
        v->header_at ^= 1;
        put_le64(v->header + VHDX_SEQUENCE, get_le64(v->header + VHDX_SEQUENCE) + 1);
        put_le32(v->header + VHDX_CHECKSUM, vhdx_sum(v->header, VHDX_PAGE));
        err = blk_pwrite(im->file, v->header_at ? VHDX_HEADER_2 : VHDX_HEADER_1, v->header, VHDX_PAGE);
        if (!err)
            err = blk_sync(im->file);
    }
    return err;
}

static int vhdx_begin(struct image *im)
{
    struct vhdx *v = im->state;
    for (unsigned i = 0; i < (im->same_disk ? 16 : 32); i++) /* file id, and data id */
        v->header[VHDX_FILE_GUID + i] = g_random_int();
    g_free(im->id);
    im->id = vhdx_guid_text(v->header + VHDX_DATA_GUID);
    return vhdx_write_headers(im);
}

/* One block at a time: a new one at the end, or the one that is there in part. */
static int vhdx_place(struct image *im, struct extent *out)
{
    struct vhdx *v = im->state;
    uint64_t entry = v->bat[vhdx_bat_index(v, out->offset / im->block_bytes)], end = v->end + im->block_bytes;
    out->bytes = im->block_bytes;
    if ((entry & VHDX_STATE) == STATE_PARTIAL) {
        out->file_offset = entry & VHDX_PLACE;
        out->reused = true;
        return 0;
    }
    out->file_offset = v->end;
    out->zeroed = v->end >= blk_size(im->file);
    int err = end > blk_size(im->file) ? blk_truncate(im->file, end) : 0;
    v->end = err ? v->end : end;
    return err;
}

/* Only the last one can be taken back; others are a leak. */
static void vhdx_unplace(struct image *im, const struct extent *e)
{
    struct vhdx *v = im->state;
    if (!e->reused && v->end == e->file_offset + im->block_bytes)
        v->end = e->file_offset;
}

static void set_entry(struct vhdx *v, uint32_t index, uint64_t value)
{
    v->bat[index] = value;
    v->dirty[index / 64] = 1;
    v->any_dirty = true;
}

static int vhdx_link(struct image *im, const struct extent *e)
{
    struct vhdx *v = im->state;
    set_entry(v, vhdx_bat_index(v, e->offset / im->block_bytes), e->file_offset | STATE_PRESENT);
    return 0;
}

static int write_bat(struct image *im)
{
    struct vhdx *v = im->state;
    uint64_t sector[64];
    for (uint32_t first = 0; first < v->entries; first += 64) {
        uint32_t n = MIN(64u, v->entries - first);
        if (!v->dirty[first / 64])
            continue;
        for (uint32_t i = 0; i < n; i++)
            sector[i] = GUINT64_TO_LE(v->bat[first + i]);
        int err = blk_pwrite(im->file, v->bat_offset + first * 8ull, sector, n * 8);
        if (err)
            return err;
    }
    return 0;
}

static int vhdx_flush(struct image *im)
{
    struct vhdx *v = im->state;
    int err = blk_sync(im->file);
    if (err || !v->any_dirty)
        return err;
    err = write_bat(im);
    if (!err)
        err = blk_sync(im->file);
    if (!err) {
        memset(v->dirty, 0, (v->entries * 8ull + 511) / 512);
        v->any_dirty = false;
    }
    return err;
}

static int clear(struct image *im, uint64_t offset, uint64_t bytes, bool zeroes)
{
    struct vhdx *v = im->state;
    int err = 0;
    for (uint64_t at = offset, end = offset + bytes; !err && at < end; at += im->block_bytes) {
        uint32_t index = vhdx_bat_index(v, at / im->block_bytes);
        unsigned state = v->bat[index] & VHDX_STATE;
        uint64_t place = v->bat[index] & VHDX_PLACE;
        if (state == STATE_PRESENT)
            err = possible_place(place) ? blk_zero(im->file, place, im->block_bytes, true) : -EBADMSG;
        else if (zeroes && (state == STATE_PARTIAL || (state == STATE_NOT_PRESENT && im->parent_name)))
            set_entry(v, index, STATE_ZERO);
    }
    return err;
}

static int vhdx_zero(struct image *im, uint64_t offset, uint64_t bytes)
{
    return clear(im, offset, bytes, true);
}

static int vhdx_discard(struct image *im, uint64_t offset, uint64_t bytes)
{
    return clear(im, offset, bytes, false);
}

/* ---- resize, check ---- */
static bool vhdx_may_resize(struct image *im, uint64_t bytes, GError **error)
{
    struct vhdx *v = im->state;
    uint64_t entries = entries_for(v, (bytes + im->block_bytes - 1) / im->block_bytes);
    bool fits = bytes >= im->bytes && entries * 8 <= v->bat_bytes && bytes <= VHDX_MAX_BYTES;
    return (fits && bytes % v->sector_bytes == 0) ||
           disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s cannot get this size in place; convert it", im->file->path);
}

static bool vhdx_resize(struct image *im, uint64_t bytes, GError **error)
{
    struct vhdx *v = im->state;
    uint8_t field[8];
    uint64_t blocks = (bytes + im->block_bytes - 1) / im->block_bytes, was = v->entries;
    uint64_t entries = entries_for(v, blocks);
    uint64_t sectors = (entries * 8 + 511) / 512, old = (was * 8 + 511) / 512;
    v->bat = g_realloc(v->bat, sectors * 512);
    v->dirty = g_realloc(v->dirty, sectors);
    memset(v->dirty + old, 0, sectors - old);
    v->entries = entries;
    v->blocks = blocks;
    for (uint64_t i = was; i < entries; i++)
        set_entry(v, i, STATE_NOT_PRESENT);
    int err = vhdx_begin(im);
    if (!err)
        err = vhdx_flush(im);
    put_le64(field, bytes);
    if (!err)
        err = blk_pwrite(im->file, v->size_at, field, sizeof field);
    if (!err)
        err = blk_sync(im->file);
    if (err)
        return disk_fail_errno(error, -err, "%s", im->file->path);
    im->bytes = bytes;
    return true;
}

struct used {
    uint64_t from, to;
};

static int by_place(const void *a, const void *b)
{
    const struct used *x = a, *y = b;
    return x->from < y->from ? -1 : x->from > y->from;
}

static void check_order(struct image *im, struct used *u, uint64_t n, struct image_check *out)
{
    uint64_t size = blk_size(im->file), end = 0;
    qsort(u, n, sizeof *u, by_place);
    for (uint64_t i = 0; i < n; i++) {
        bool outside = u[i].from < MIB || u[i].from >= size, over = !outside && u[i].from < end;
        if (outside || over)
            image_check_say(out, "a block%s at 0x%" G_GINT64_MODIFIER "x lies %s", over ? " or table" : "", u[i].from,
                            over ? "over another" : "outside the data");
        out->corruptions += outside || over;
        out->overlaps += over;
        end = u[i].from < MIB ? end : MAX(end, u[i].to); /* places before that are never used */
    }
}

static bool vhdx_check(struct image *im, bool repair, struct image_check *out, GError **error)
{
    struct vhdx *v = im->state;
    g_autofree struct used *u = g_try_new(struct used, v->entries + 3ull);
    uint64_t n = 0, log = get_le64(v->header + VHDX_LOG_OFFSET);
    if (!u)
        return disk_fail(error, DISK_ERROR_IO, "no memory for the check");
    u[n++] = (struct used){v->bat_offset, v->bat_offset + v->bat_bytes};
    u[n++] = (struct used){v->metadata_offset, v->metadata_offset + v->metadata_bytes};
    if (get_le32(v->header + VHDX_LOG_LENGTH))
        u[n++] = (struct used){log, log + get_le32(v->header + VHDX_LOG_LENGTH)};
    for (uint64_t i = 0; i < v->entries; i++) {
        bool bitmap = (i + 1) % (v->chunk_blocks + 1ull) == 0;
        uint64_t place = v->bat[i] & VHDX_PLACE;
        if ((v->bat[i] & VHDX_STATE) < STATE_PRESENT)
            continue;
        if ((v->bat[i] & VHDX_STATE) == STATE_PARTIAL && !(v->parameters & PARAMETER_PARENT)) {
            image_check_say(out, "a block is there in part, but there is no parent for the rest of it");
            out->corruptions++;
        }
        u[n++] = (struct used){place, place + (bitmap ? MIB : im->block_bytes)};
        out->blocks_used += !bitmap;
    }
    check_order(im, u, n, out);
    out->blocks = v->blocks;
    out->end = v->end;
    return true;
}

/* ---- table ---- */
static bool vhdx_probe(const uint8_t *head, size_t n, uint64_t file_bytes)
{
    return n >= 8 && !memcmp(head, "vhdxfile", 8);
}

static void vhdx_info(struct image *im, struct image_info *out)
{
    struct vhdx *v = im->state;
    image_info_text(out, "variant",
                    v->parameters & PARAMETER_PARENT  ? "differencing"
                    : v->parameters & PARAMETER_FIXED ? "fixed"
                                                      : "dynamic");
    image_info_number(out, "block-size", im->block_bytes);
    image_info_number(out, "logical-sector-size", v->sector_bytes);
    image_info_text(out, "data-write-guid", im->id);
}

static char **vhdx_alike(struct image *im)
{
    struct vhdx *v = im->state;
    if (v->parameters & PARAMETER_FIXED)
        return NULL;
    char **options = g_new0(char *, 3);
    options[0] = g_strdup_printf("block_size=%u", im->block_bytes);
    options[1] = g_strdup_printf("logical_sector_size=%u", v->sector_bytes);
    return options;
}

static void vhdx_close(struct image *im)
{
    struct vhdx *v = im->state;
    g_hash_table_unref(v->overlay);
    g_hash_table_unref(v->bitmaps);
    g_mutex_clear(&v->lock);
    g_free(v->bat);
    g_free(v->dirty);
    g_free(v);
    im->state = NULL;
}

const struct image_format format_vhdx = {
    .name = "vhdx",
    .summary = "Hyper-V",
    .options = vhdx_option_names,
    .parents = true,
    .probe = vhdx_probe,
    .create = vhdx_create,
    .open = vhdx_open,
    .extent = vhdx_extent,
    .ready = vhdx_ready,
    .begin = vhdx_begin,
    .place = vhdx_place,
    .link = vhdx_link,
    .unplace = vhdx_unplace,
    .flush = vhdx_flush,
    .discard = vhdx_discard,
    .zero = vhdx_zero,
    .may_resize = vhdx_may_resize,
    .resize = vhdx_resize,
    .alike = vhdx_alike,
    .check = vhdx_check,
    .info = vhdx_info,
    .close = vhdx_close,
};
