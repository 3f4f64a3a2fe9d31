// SPDX-License-Identifier: GPL-2.0-or-later
/* vdi.c - VirtualBox's disk image: dynamic, fixed and differencing, header version 1.1.
 *
 * A header sector, a map with a 32-bit block number per 1 MiB of the disk, then the blocks in the order of their first
 * write.  The map is kept in memory.
 *
 * Power cut.  New blocks go to the end of the file; the map points to them only after a barrier.  A flush writes
 *   1. the header with the number of blocks (guest data are written already); barrier;
 *   2. the sectors of the map that changed; barrier.
 * A cut in between leaves blocks that nothing points to: a leak, which the next new blocks take.  Discarded and zeroed
 * blocks stay mapped: they are punched out of the file, so that the header's count stays true.
 *
 * A differencing image knows its parent by two UUIDs, not by a name.  Ours note the parent's name, format and id in the
 * comment; for others, a file of the same folder with the right UUID is looked for. */
#include "core-vmm/base/bytes.h"
#include "disk-formats/image/formats.h"
#include <errno.h>
#include <string.h>

#define VDI_SIGNATURE 0xbeda107fu
#define VDI_VERSION   0x00010001u
#define HEADER_BYTES  512u
#define BLOCK_FREE    0xffffffffu
#define BLOCK_ZERO    0xfffffffeu
#define MAX_BLOCKS    (64u << 20) /* 256 MiB of map */
#define NOTE          "parent="
enum { /* offsets in the header */
       VDI_SIGNATURE_AT = 64,
       VDI_VERSION_AT = 68,
       VDI_HEADER_SIZE = 72,
       VDI_TYPE = 76,
       VDI_COMMENT = 84,
       VDI_MAP = 340,
       VDI_DATA = 344,
       VDI_SECTOR = 360,
       VDI_DISK = 368,
       VDI_BLOCK = 376,
       VDI_BLOCK_EXTRA = 380,
       VDI_BLOCKS = 384,
       VDI_ALLOCATED = 388,
       VDI_UUID = 392,
       VDI_UUID_CHANGE = 408,
       VDI_UUID_PARENT = 424,
       VDI_UUID_PARENT_CHANGE = 440,
       VDI_COMMENT_BYTES = 256,
};
enum { TYPE_DYNAMIC = 1, TYPE_FIXED = 2, TYPE_DIFFERENCING = 4 };

struct vdi {
    uint8_t header[HEADER_BYTES];
    uint32_t *map;  /* host byte order */
    uint8_t *dirty; /* a byte per sector of the map */
    bool any_dirty, header_dirty;
    uint32_t blocks, next; /* next: the number of the next new block */
    uint64_t map_offset, data_offset;
};

static uint64_t block_at(const struct image *im, const struct vdi *v, uint32_t number)
{
    return v->data_offset + (uint64_t)number * im->block_bytes;
}

/* ---- open ---- */
static char *hex_id(const uint8_t *a, const uint8_t *b)
{
    GString *s = g_string_new(NULL);
    for (unsigned i = 0; i < 32; i++)
        g_string_append_printf(s, "%02x", i < 16 ? a[i] : b[i - 16]);
    return g_string_free(s, FALSE);
}

static bool is_null(const uint8_t *uuid)
{
    return image_is_zero(uuid, 16);
}

/* "parent=FORMAT,ID,NAME" in the comment; ID may be empty. */
static void read_parent(struct image *im, const uint8_t *h)
{
    g_autofree char *comment = g_strndup((const char *)h + VDI_COMMENT, VDI_COMMENT_BYTES);
    if (is_null(h + VDI_UUID_PARENT))
        return;
    if (g_str_has_prefix(comment, NOTE)) {
        g_auto(GStrv) part = g_strsplit(comment + strlen(NOTE), ",", 3);
        if (part[0] && part[1] && part[2]) {
            im->parent_format = g_strdup(part[0]);
            im->parent_id = *part[1] ? g_strdup(part[1]) : NULL;
            im->parent_name = g_strdup(part[2]);
            return;
        }
    }
    im->parent_by_id = true;
    im->parent_format = g_strdup("vdi");
    im->parent_id = hex_id(h + VDI_UUID_PARENT, h + VDI_UUID_PARENT_CHANGE);
}

static bool check_header(struct image *im, const uint8_t *h, GError **error)
{
    const char *path = im->file->path;
    uint32_t block = get_le32(h + VDI_BLOCK), type = get_le32(h + VDI_TYPE), blocks = get_le32(h + VDI_BLOCKS);
    uint64_t disk = get_le64(h + VDI_DISK), map = get_le32(h + VDI_MAP), data = get_le32(h + VDI_DATA);
    if (get_le32(h + VDI_SIGNATURE_AT) != VDI_SIGNATURE)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s is no VDI image", path);
    if (get_le32(h + VDI_VERSION_AT) != VDI_VERSION)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s: VDI version %u.%u is not supported", path,
                         get_le32(h + VDI_VERSION_AT) >> 16, get_le32(h + VDI_VERSION_AT) & 0xffff);
    if (type != TYPE_DYNAMIC && type != TYPE_FIXED && type != TYPE_DIFFERENCING)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s: VDI images of type %u are not supported", path, type);
    if (block < 4096 || block & (block - 1) || get_le32(h + VDI_BLOCK_EXTRA) || get_le32(h + VDI_SECTOR) != 512)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s: its block or sector size is not supported", path);
    if (!disk || disk > IMAGE_MAX_BYTES || blocks > MAX_BLOCKS || (disk + block - 1) / block != blocks)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s: disk size and number of blocks do not match", path);
    if (map < HEADER_BYTES || map % 512 || data % 512 || data < map + blocks * 4ull)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s: map and data overlap", path);
    return true;
}

/* Where the next new block goes; entries behind the file's end are damage, found on access and by check. */
static void find_next(struct image *im)
{
    struct vdi *v = im->state;
    v->next = 0;
    for (uint32_t i = 0; i < v->blocks; i++)
        if (v->map[i] < BLOCK_ZERO && v->map[i] < MAX_BLOCKS)
            v->next = MAX(v->next, v->map[i] + 1);
}

static bool load_map(struct image *im, GError **error)
{
    struct vdi *v = im->state;
    uint64_t sectors = (v->blocks * 4ull + 511) / 512;
    v->map = g_try_malloc0(sectors * 512);
    v->dirty = g_try_malloc0(sectors);
    if (!v->map || !v->dirty)
        return disk_fail(error, DISK_ERROR_IO, "%s: no memory for its map", im->file->path);
    if (!blk_get(im->file, v->map_offset, v->map, v->blocks * 4ull, "block map", error))
        return false;
    for (uint32_t i = 0; i < v->blocks; i++)
        v->map[i] = GUINT32_FROM_LE(v->map[i]);
    find_next(im);
    return true;
}

static bool vdi_open(struct image *im, GError **error)
{
    struct vdi *v = im->state = g_new0(struct vdi, 1);
    if (!blk_get(im->file, 0, v->header, HEADER_BYTES, "header", error) || !check_header(im, v->header, error))
        return false;
    im->bytes = (get_le64(v->header + VDI_DISK) + 511) & ~UINT64_C(511); /* the last sector is padded */
    im->block_bytes = get_le32(v->header + VDI_BLOCK);
    im->id = hex_id(v->header + VDI_UUID, v->header + VDI_UUID_CHANGE);
    v->blocks = get_le32(v->header + VDI_BLOCKS);
    v->map_offset = get_le32(v->header + VDI_MAP);
    v->data_offset = get_le32(v->header + VDI_DATA);
    im->cut_end = im->check_first = true;
    read_parent(im, v->header);
    return load_map(im, error);
}

/* ---- read and write ---- */
static int vdi_extent(struct image *im, uint64_t offset, struct extent *out)
{
    struct vdi *v = im->state;
    uint32_t i = offset / im->block_bytes, first = v->map[i];
    uint64_t in = offset % im->block_bytes, bytes = im->block_bytes - in;
    bool mapped = first < BLOCK_ZERO;
    if (mapped && first >= MAX_BLOCKS)
        return -EBADMSG;
    while (bytes < out->bytes && ++i < v->blocks && v->map[i] == (mapped ? v->map[i - 1] + 1 : first))
        bytes += im->block_bytes;
    out->bytes = MIN(bytes, out->bytes);
    out->kind = mapped ? EXTENT_DATA : first == BLOCK_ZERO ? EXTENT_ZERO : EXTENT_HOLE;
    out->in_place = mapped && im->writable;
    out->file_offset = mapped ? block_at(im, v, first) + in : UINT64_MAX;
    return 0;
}

static void new_uuid(uint8_t *to)
{
    for (unsigned i = 0; i < 16; i++)
        to[i] = g_random_int();
    to[6] = (to[6] & 0x0f) | 0x40; /* RFC 4122, version 4 */
    to[8] = (to[8] & 0x3f) | 0x80;
}

/* Children of this image must notice that it is not what they were made on. */
static int vdi_begin(struct image *im)
{
    struct vdi *v = im->state;
    if (im->same_disk)
        return 0;
    new_uuid(v->header + VDI_UUID_CHANGE);
    g_free(im->id);
    im->id = hex_id(v->header + VDI_UUID, v->header + VDI_UUID_CHANGE);
    return blk_pwrite(im->file, VDI_UUID_CHANGE, v->header + VDI_UUID_CHANGE, 16);
}

static int vdi_place(struct image *im, struct extent *out)
{
    struct vdi *v = im->state;
    uint32_t count = out->bytes / im->block_bytes;
    uint64_t end = block_at(im, v, v->next + count);
    if (v->next + (uint64_t)count > MAX_BLOCKS)
        return -EFBIG;
    out->file_offset = block_at(im, v, v->next);
    out->zeroed = out->file_offset >= blk_size(im->file);
    int err = end > blk_size(im->file) ? blk_truncate(im->file, end) : 0;
    v->next += err ? 0 : count;
    return err;
}

/* Only the last ones can be taken back; others are a leak. */
static void vdi_unplace(struct image *im, const struct extent *e)
{
    struct vdi *v = im->state;
    if (e->file_offset + e->bytes == block_at(im, v, v->next))
        v->next -= e->bytes / im->block_bytes;
}

static void set_map(struct vdi *v, uint32_t i, uint32_t number)
{
    v->map[i] = number;
    v->dirty[i / 128] = 1;
    v->any_dirty = true;
}

static int vdi_link(struct image *im, const struct extent *e)
{
    struct vdi *v = im->state;
    for (uint64_t at = 0; at < e->bytes; at += im->block_bytes)
        set_map(v, (e->offset + at) / im->block_bytes, (e->file_offset + at - v->data_offset) / im->block_bytes);
    v->header_dirty = true;
    return 0;
}

static int write_header(struct image *im)
{
    struct vdi *v = im->state;
    put_le32(v->header + VDI_ALLOCATED, v->next);
    int err = blk_pwrite(im->file, 0, v->header, HEADER_BYTES);
    v->header_dirty = v->header_dirty && err;
    return err;
}

static int write_map(struct image *im)
{
    struct vdi *v = im->state;
    for (uint32_t first = 0; first < v->blocks; first += 128) {
        uint32_t sector[128], n = MIN(128u, v->blocks - first);
        if (!v->dirty[first / 128])
            continue;
        for (uint32_t i = 0; i < n; i++)
            sector[i] = GUINT32_TO_LE(v->map[first + i]);
        int err = blk_pwrite(im->file, v->map_offset + first * 4ull, sector, n * 4);
        if (err)
            return err;
    }
    return 0;
}

static int vdi_flush(struct image *im)
{
    struct vdi *v = im->state;
    int err = v->header_dirty ? write_header(im) : 0;
    if (!err)
        err = blk_sync(im->file);
    if (err || !v->any_dirty)
        return err;
    err = write_map(im);
    if (!err)
        err = blk_sync(im->file);
    if (!err) {
        memset(v->dirty, 0, (v->blocks * 4ull + 511) / 512);
        v->any_dirty = false;
    }
    return err;
}

/* ---- zeroes ---- */
static int clear_blocks(struct image *im, uint64_t offset, uint64_t bytes, bool zeroes)
{
    struct vdi *v = im->state;
    int err = 0;
    for (uint64_t at = offset; !err && at < offset + bytes; at += im->block_bytes) {
        uint32_t i = at / im->block_bytes;
        if (v->map[i] < BLOCK_ZERO)
            err = blk_zero(im->file, block_at(im, v, v->map[i]), im->block_bytes, true);
        else if (zeroes && v->map[i] == BLOCK_FREE && !is_null(v->header + VDI_UUID_PARENT))
            set_map(v, i, BLOCK_ZERO);
    }
    return err;
}

static int vdi_zero(struct image *im, uint64_t offset, uint64_t bytes)
{
    return clear_blocks(im, offset, bytes, true);
}

static int vdi_discard(struct image *im, uint64_t offset, uint64_t bytes)
{
    return clear_blocks(im, offset, bytes, false);
}

/* ---- create, resize, check ---- */
static bool describe_parent(uint8_t *h, const struct image_options *o, GError **error)
{
    struct image *p = o->parent_image;
    const char *id = p ? image_id_for_child(p) : NULL;
    if (!o->parent)
        return true;
    if (p && p->format == &format_vdi) {
        struct vdi *v = p->state;
        memcpy(h + VDI_UUID_PARENT, v->header + VDI_UUID, 32); /* id and change id */
    } else {
        new_uuid(h + VDI_UUID_PARENT);
    }
    g_autofree char *note = g_strdup_printf(NOTE "%s,%s,%s", o->parent_format, id ? id : "", o->parent);
    if (strlen(note) >= VDI_COMMENT_BYTES)
        return disk_fail(error, DISK_ERROR_USAGE, "the parent's name is too long for a VDI image");
    strcpy((char *)h + VDI_COMMENT, note);
    return true;
}

static bool vdi_create(struct blk_file *f, const struct image_options *o, GError **error)
{
    const uint32_t block = 1 << 20;
    uint64_t blocks = (o->bytes + block - 1) / block, room = MAX(blocks * 4 * 4, 1u << 20); /* room to grow */
    uint64_t data = (HEADER_BYTES + room + block - 1) / block * block;
    uint8_t h[HEADER_BYTES] = "<<< Oracle VM VirtualBox Disk Image >>>\n";
    if (!o->bytes || blocks > MAX_BLOCKS)
        return disk_fail(error, DISK_ERROR_USAGE, "a VDI disk has up to %u TiB", MAX_BLOCKS >> 20);
    put_le32(h + VDI_SIGNATURE_AT, VDI_SIGNATURE);
    put_le32(h + VDI_VERSION_AT, VDI_VERSION);
    put_le32(h + VDI_HEADER_SIZE, 400);
    put_le32(h + VDI_TYPE, o->parent ? TYPE_DIFFERENCING : o->fixed ? TYPE_FIXED : TYPE_DYNAMIC);
    put_le32(h + VDI_MAP, HEADER_BYTES);
    put_le32(h + VDI_DATA, data);
    put_le32(h + VDI_SECTOR, 512);
    put_le64(h + VDI_DISK, o->bytes);
    put_le32(h + VDI_BLOCK, block);
    put_le32(h + VDI_BLOCKS, blocks);
    put_le32(h + VDI_ALLOCATED, o->fixed ? blocks : 0);
    new_uuid(h + VDI_UUID);
    new_uuid(h + VDI_UUID_CHANGE);
    if (!describe_parent(h, o, error))
        return false;
    g_autofree uint32_t *map = g_malloc(blocks * 4 + 1);
    for (uint64_t i = 0; i < blocks; i++)
        map[i] = GUINT32_TO_LE(o->fixed ? i : BLOCK_FREE);
    int err = blk_truncate(f, data + (o->fixed ? blocks * block : 0));
    if (!err && o->fixed)
        err = blk_zero(f, data, blocks * block, false);
    if (err)
        return disk_fail_errno(error, -err, "%s", f->path);
    return blk_put(f, HEADER_BYTES, map, blocks * 4, error) && blk_put(f, 0, h, sizeof h, error);
}

static bool vdi_may_resize(struct image *im, uint64_t bytes, GError **error)
{
    struct vdi *v = im->state;
    uint64_t blocks = (bytes + im->block_bytes - 1) / im->block_bytes, sectors = (blocks * 4 + 511) / 512;
    if (bytes < im->bytes)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "a VDI image cannot be made smaller; convert it");
    if (v->map_offset + sectors * 512 > v->data_offset || blocks > MAX_BLOCKS)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s has no room to grow its map; convert it", im->file->path);
    return true;
}

/* Grows in the room that the map has before the data; header last, for then the map's new part is there. */
static bool vdi_resize(struct image *im, uint64_t bytes, GError **error)
{
    struct vdi *v = im->state;
    uint64_t blocks = (bytes + im->block_bytes - 1) / im->block_bytes, sectors = (blocks * 4 + 511) / 512;
    v->map = g_realloc(v->map, sectors * 512);
    v->dirty = g_realloc(v->dirty, sectors);
    memset(v->dirty + (v->blocks * 4ull + 511) / 512, 0, sectors - (v->blocks * 4ull + 511) / 512);
    uint32_t was = v->blocks;
    v->blocks = blocks;
    for (uint64_t i = was; i < blocks; i++)
        set_map(v, i, BLOCK_FREE);
    int err = vdi_flush(im);
    put_le64(v->header + VDI_DISK, bytes);
    put_le32(v->header + VDI_BLOCKS, blocks);
    if (get_le32(v->header + VDI_TYPE) == TYPE_FIXED)
        put_le32(v->header + VDI_TYPE, TYPE_DYNAMIC);
    if (!err)
        err = write_header(im);
    if (!err)
        err = blk_sync(im->file);
    if (err)
        return disk_fail_errno(error, -err, "%s", im->file->path);
    im->bytes = bytes;
    return true;
}

static void check_entry(struct image *im, uint32_t i, uint8_t *seen, uint64_t in_file, struct image_check *out)
{
    struct vdi *v = im->state;
    uint32_t n = v->map[i];
    if (n >= BLOCK_ZERO)
        return;
    out->blocks_used++;
    if (n >= in_file) {
        image_check_say(out, "block %u lies outside the file", i);
        out->corruptions++;
    } else if (seen[n]) {
        image_check_say(out, "block %u has the same place in the file as another one", i);
        out->corruptions++;
        out->overlaps++;
    } else {
        seen[n] = 1;
    }
}

static bool vdi_check(struct image *im, bool repair, struct image_check *out, GError **error)
{
    struct vdi *v = im->state;
    uint64_t size = blk_size(im->file), in_file = size > v->data_offset ? (size - v->data_offset) / im->block_bytes : 0;
    uint32_t counted = get_le32(v->header + VDI_ALLOCATED);
    in_file = MIN(in_file + 1, MAX_BLOCKS); /* the last one may be cut short */
    g_autofree uint8_t *seen = g_malloc0(in_file + 1);
    out->blocks = v->blocks;
    for (uint32_t i = 0; i < v->blocks; i++)
        check_entry(im, i, seen, in_file, out);
    out->end = block_at(im, v, v->next);
    if (counted < out->blocks_used || counted > out->blocks_used) {
        uint64_t *kind = counted < out->blocks_used ? &out->corruptions : &out->leaks;
        uint64_t by = counted < out->blocks_used ? 1 : counted - out->blocks_used;
        image_check_say(out, "the header counts %u blocks, in use are %" G_GUINT64_FORMAT, counted, out->blocks_used);
        *kind += by;
        if (repair && v->next == out->blocks_used) {
            int err = write_header(im);
            if (err)
                return disk_fail_errno(error, -err, "%s", im->file->path);
            *(kind == &out->leaks ? &out->leaks_fixed : &out->corruptions_fixed) += by;
        }
    }
    return true;
}

/* ---- table ---- */
static bool vdi_probe(const uint8_t *head, size_t n, uint64_t file_bytes)
{
    return n >= HEADER_BYTES && get_le32(head + VDI_SIGNATURE_AT) == VDI_SIGNATURE;
}

static void vdi_info(struct image *im, struct image_info *out)
{
    static const char *const types[] = {"?", "dynamic", "fixed", "?", "differencing"};
    struct vdi *v = im->state;
    g_autofree char *id = g_strndup(im->id, 32);
    image_info_text(out, "variant", types[get_le32(v->header + VDI_TYPE)]);
    image_info_number(out, "block-size", im->block_bytes);
    image_info_text(out, "uuid", id);
}

static void vdi_close(struct image *im)
{
    struct vdi *v = im->state;
    g_free(v->map);
    g_free(v->dirty);
    g_free(v);
    im->state = NULL;
}

static char **vdi_alike(struct image *im)
{
    struct vdi *v = im->state;
    return get_le32(v->header + VDI_TYPE) == TYPE_DYNAMIC ? g_new0(char *, 1) : NULL;
}

const struct image_format format_vdi = {
    .name = "vdi",
    .summary = "VirtualBox disk image",
    .parents = true,
    .probe = vdi_probe,
    .create = vdi_create,
    .open = vdi_open,
    .extent = vdi_extent,
    .begin = vdi_begin,
    .place = vdi_place,
    .link = vdi_link,
    .unplace = vdi_unplace,
    .flush = vdi_flush,
    .discard = vdi_discard,
    .zero = vdi_zero,
    .may_resize = vdi_may_resize,
    .resize = vdi_resize,
    .alike = vdi_alike,
    .check = vdi_check,
    .info = vdi_info,
    .close = vdi_close,
};
