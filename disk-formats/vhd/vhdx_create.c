// SPDX-License-Identifier: GPL-2.0-or-later
/* vhdx_create.c - new VHDX images: 1 MiB of headers, log, metadata, BAT, then blocks. */
#include "disk-formats/vhd/vhdx.h"
#include <errno.h>
#include <string.h>

const char *const vhdx_option_names[] = {"block_size", "logical_sector_size", NULL};

#define LOG_AT      (1 * MIB)
#define LOG_BYTES   (1 * MIB)
#define METADATA_AT (2 * MIB)
#define BAT_AT      (3 * MIB)
#define ITEM_AT     VHDX_TABLE /* the first item, behind the table */
#define ITEM_ROOM   64u
#define LOCATOR_MAX 4096u

static void new_guid(uint8_t *to)
{
    for (unsigned i = 0; i < 16; i++)
        to[i] = g_random_int();
}

/* ---- metadata ---- */
static void put_item(uint8_t *t, const uint8_t *guid, uint32_t flags, const void *data, uint32_t bytes)
{
    uint16_t n = get_le16(t + 10);
    uint8_t *e = t + 32 + n * 32;
    uint32_t at = ITEM_AT + n * ITEM_ROOM; /* the locator comes last and may be longer */
    memcpy(e, guid, 16);
    put_le32(e + 16, at);
    put_le32(e + 20, bytes);
    put_le32(e + 24, flags | ITEM_REQUIRED);
    memcpy(t + at, data, bytes);
    put_le16(t + 10, n + 1);
}

static bool put_pair(uint8_t *l, uint32_t *end, const char *key, const char *value)
{
    uint16_t n = get_le16(l + 18);
    uint8_t *e = l + 20 + n * 12;
    const char *text[2] = {key, value};
    for (unsigned i = 0; i < 2; i++) {
        gsize bytes;
        g_autofree char *wide = g_convert(text[i], -1, "UTF-16LE", "UTF-8", NULL, &bytes, NULL);
        if (!wide || *end + bytes > LOCATOR_MAX)
            return false;
        put_le32(e + i * 4, *end);
        put_le16(e + 8 + i * 2, bytes);
        memcpy(l + *end, wide, bytes);
        *end += bytes;
    }
    put_le16(l + 18, n + 1);
    return true;
}

static bool put_locator(uint8_t *t, const struct image_options *o, GError **error)
{
    const struct image *p = o->parent_image;
    const char *id = p ? image_id_for_child(p) : NULL;
    uint8_t l[LOCATOR_MAX] = {0}, other[16];
    uint32_t end = 20 + 4 * 12;
    new_guid(other);
    g_autofree char *foreign = vhdx_guid_text(other);
    bool own = p && !strcmp(p->format->name, "vhdx"), theirs = own && !strchr(o->parent, '\\');
    g_autofree char *linkage = g_strdup_printf("{%s}", own ? p->id : foreign);
    g_autofree char *ours = g_strdup_printf("%s,%s,%s", o->parent_format, id ? id : "", o->parent);
    g_autofree char *relative = g_strconcat(g_path_is_absolute(o->parent) ? "" : ".\\", o->parent, NULL);
    g_strdelimit(relative, "/", '\\');
    memcpy(l, vhdx_guid_locator_type, 16);
    if (!put_pair(l, &end, "parent_linkage", linkage) || !put_pair(l, &end, "relative_path", relative) ||
        (!theirs && !put_pair(l, &end, "terrarium_parent", ours)))
        return disk_fail(error, DISK_ERROR_USAGE, "the parent's name is too long for a VHDX image");
    put_item(t, vhdx_guid_locator, 0, l, end);
    return true;
}

static bool write_metadata(struct blk_file *f, const struct image_options *o, uint32_t block, uint32_t sector,
                           GError **error)
{
    g_autofree uint8_t *t = g_malloc0(MIB);
    uint8_t value[16];
    memcpy(t, "metadata", 8);
    put_le32(value, block);
    put_le32(value + 4, (o->fixed ? PARAMETER_FIXED : 0) | (o->parent ? PARAMETER_PARENT : 0));
    put_item(t, vhdx_guid_parameters, 0, value, 8);
    put_le64(value, o->bytes);
    put_item(t, vhdx_guid_size, ITEM_VIRTUAL_DISK, value, 8);
    new_guid(value);
    put_item(t, vhdx_guid_disk_id, ITEM_VIRTUAL_DISK, value, 16);
    put_le32(value, sector);
    put_item(t, vhdx_guid_logical, ITEM_VIRTUAL_DISK, value, 4);
    put_le32(value, 4096);
    put_item(t, vhdx_guid_physical, ITEM_VIRTUAL_DISK, value, 4);
    return (!o->parent || put_locator(t, o, error)) && blk_put(f, METADATA_AT, t, MIB, error);
}

/* ---- headers ---- */
static bool write_headers(struct blk_file *f, GError **error)
{
    uint8_t h[VHDX_PAGE] = "head";
    put_le16(h + VHDX_VERSION, 1);
    put_le32(h + VHDX_LOG_LENGTH, LOG_BYTES);
    put_le64(h + VHDX_LOG_OFFSET, LOG_AT);
    new_guid(h + VHDX_FILE_GUID);
    new_guid(h + VHDX_DATA_GUID);
    for (unsigned i = 0; i < 2; i++) {
        put_le64(h + VHDX_SEQUENCE, i + 1);
        put_le32(h + VHDX_CHECKSUM, 0);
        put_le32(h + VHDX_CHECKSUM, vhdx_sum(h, VHDX_PAGE));
        if (!blk_put(f, i ? VHDX_HEADER_2 : VHDX_HEADER_1, h, VHDX_PAGE, error))
            return false;
    }
    return true;
}

static void put_region(uint8_t *e, const uint8_t *guid, uint64_t at, uint32_t bytes)
{
    memcpy(e, guid, 16);
    put_le64(e + 16, at);
    put_le32(e + 24, bytes);
    put_le32(e + 28, 1);
}

static bool write_regions(struct blk_file *f, uint32_t bat_bytes, GError **error)
{
    g_autofree uint8_t *t = g_malloc0(VHDX_TABLE);
    memcpy(t, "regi", 4);
    put_le32(t + 8, 2);
    put_region(t + 16, vhdx_guid_bat, BAT_AT, bat_bytes);
    put_region(t + 48, vhdx_guid_metadata, METADATA_AT, MIB);
    put_le32(t + VHDX_CHECKSUM, vhdx_sum(t, VHDX_TABLE));
    return blk_put(f, VHDX_REGIONS_1, t, VHDX_TABLE, error) && blk_put(f, VHDX_REGIONS_2, t, VHDX_TABLE, error);
}

/* ---- blocks ---- */
static bool write_fixed(struct blk_file *f, uint64_t blocks, uint32_t chunk, uint32_t block, uint64_t data,
                        GError **error)
{
    for (uint64_t i = 0; i < blocks; i++) {
        uint8_t entry[8];
        put_le64(entry, (data + i * block) | STATE_PRESENT);
        if (!blk_put(f, BAT_AT + (i + i / chunk) * 8, entry, 8, error))
            return false;
    }
    int err = blk_truncate(f, data + blocks * block);
    if (!err)
        err = blk_zero(f, data, blocks * block, false);
    return !err || disk_fail_errno(error, -err, "%s", f->path);
}

/* Small blocks over a parent, since the first write to a block copies it; otherwise as QEMU chooses. */
static uint64_t usual_block(const struct image_options *o)
{
    if (o->parent)
        return 2 * MIB;
    return o->bytes > UINT64_C(32) << 40    ? 64 * MIB
           : o->bytes > UINT64_C(100) << 30 ? 32 * MIB
           : o->bytes > UINT64_C(1) << 30   ? 16 * MIB
                                            : 8 * MIB;
}

bool vhdx_create(struct blk_file *f, const struct image_options *o, GError **error)
{
    static const char id[] = "vhdxfile";
    uint64_t block, sector;
    if (!image_option_size(o, "block_size", usual_block(o), &block, error) ||
        !image_option_size(o, "logical_sector_size", 512, &sector, error))
        return false;
    if (block < MIB || block > 256 * MIB || block & (block - 1))
        return disk_fail(error, DISK_ERROR_USAGE, "block_size must be a power of two from 1M to 256M");
    if (sector != 512 && sector != 4096)
        return disk_fail(error, DISK_ERROR_USAGE, "logical_sector_size must be 512 or 4096");
    if (o->bytes % sector)
        return disk_fail(error, DISK_ERROR_USAGE, "a disk with sectors of %u bytes has a multiple of them",
                         (unsigned)sector);
    if (!o->bytes || o->bytes > VHDX_MAX_BYTES)
        return disk_fail(error, DISK_ERROR_USAGE, "a VHDX disk has from 512 bytes to 64 TiB");
    uint32_t chunk = (sector << 23) / block;
    uint64_t blocks = (o->bytes + block - 1) / block, chunks = (blocks + chunk - 1) / chunk;
    uint64_t bat = (chunks * (chunk + 1ull) * 8 + MIB - 1) / MIB * MIB, data = BAT_AT + bat;
    int err = blk_truncate(f, data);
    if (err)
        return disk_fail_errno(error, -err, "%s", f->path);
    return write_metadata(f, o, block, sector, error) &&
           (!o->fixed || write_fixed(f, blocks, chunk, block, data, error)) && write_regions(f, bat, error) &&
           write_headers(f, error) && blk_put(f, 0, id, 8, error);
}
