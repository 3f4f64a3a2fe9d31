// SPDX-License-Identifier: GPL-2.0-or-later
/* vhdx_meta.c - region table and metadata items ([MS-VHDX] 2.2.3 and 2.6): where things are and what the disk is. */
#include "disk-formats/vhd/vhdx.h"
#include <errno.h>
#include <string.h>

#define ENTRY       32u
#define MAX_ENTRIES 2047u

/* GUIDs as they lie in the file: the first three groups little-endian. */
const uint8_t vhdx_guid_bat[16] = {0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42,
                                   0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08};
const uint8_t vhdx_guid_metadata[16] = {0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b,
                                        0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e};
const uint8_t vhdx_guid_parameters[16] = {0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d,
                                          0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b};
const uint8_t vhdx_guid_size[16] = {0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48,
                                    0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8};
const uint8_t vhdx_guid_disk_id[16] = {0xab, 0x12, 0xca, 0xbe, 0xe6, 0xb2, 0x23, 0x45,
                                       0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46};
const uint8_t vhdx_guid_logical[16] = {0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47,
                                       0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f};
const uint8_t vhdx_guid_physical[16] = {0xc7, 0x48, 0xa3, 0xcd, 0x5d, 0x44, 0x71, 0x44,
                                        0x9c, 0xc9, 0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56};
const uint8_t vhdx_guid_locator[16] = {0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d, 0x45,
                                       0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c};
const uint8_t vhdx_guid_locator_type[16] = {0xb7, 0xef, 0x4a, 0xb0, 0x9e, 0xd1, 0x81, 0x4a,
                                            0xb7, 0x89, 0x25, 0xb8, 0xe9, 0x44, 0x59, 0x13};

static bool damaged(struct image *im, const char *what, GError **error)
{
    return disk_fail(error, DISK_ERROR_CORRUPT, "%s: the %s is damaged", im->file->path, what);
}

/* ---- regions ---- */
static bool regions_good(const uint8_t *t)
{
    return !memcmp(t, "regi", 4) && get_le32(t + 8) <= MAX_ENTRIES &&
           get_le32(t + VHDX_CHECKSUM) == vhdx_sum(t, VHDX_TABLE);
}

static bool take_region(struct image *im, const uint8_t *e, GError **error)
{
    struct vhdx *v = im->state;
    uint64_t at = get_le64(e + 16);
    uint32_t bytes = get_le32(e + 24), required = get_le32(e + 28) & 1;
    if (at < MIB || at % MIB || !bytes || bytes % MIB || at > IMAGE_MAX_BYTES)
        return damaged(im, "region table", error);
    if (!memcmp(e, vhdx_guid_bat, 16)) {
        v->bat_offset = at;
        v->bat_bytes = bytes;
    } else if (!memcmp(e, vhdx_guid_metadata, 16)) {
        v->metadata_offset = at;
        v->metadata_bytes = bytes;
    } else if (required) {
        g_autofree char *guid = vhdx_guid_text(e);
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s needs a region that is not supported: %s", im->file->path,
                         guid);
    }
    return true;
}

bool vhdx_read_regions(struct image *im, GError **error)
{
    struct vhdx *v = im->state;
    g_autofree uint8_t *t = g_malloc(VHDX_TABLE);
    if (!vhdx_get(im, VHDX_REGIONS_1, t, VHDX_TABLE, "region table", error))
        return false;
    if (!regions_good(t) && !vhdx_get(im, VHDX_REGIONS_2, t, VHDX_TABLE, "region table", error))
        return false;
    if (!regions_good(t))
        return damaged(im, "region table", error);
    for (uint32_t i = 0; i < get_le32(t + 8); i++)
        if (!take_region(im, t + 16 + i * ENTRY, error))
            return false;
    return (v->bat_offset && v->metadata_offset) || damaged(im, "region table", error);
}

/* ---- metadata ---- */
struct item {
    const uint8_t *data;
    uint32_t bytes;
};

static char *utf16(const uint8_t *text, uint32_t bytes)
{
    return g_convert((const char *)text, bytes, "UTF-8", "UTF-16LE", NULL, NULL, NULL);
}

/* "FORMAT,ID,NAME": our own key, for parents of any format. */
static void take_ours(struct image *im, const char *value)
{
    g_auto(GStrv) part = g_strsplit(value, ",", 3);
    if (!part[0] || !part[1] || !part[2])
        return;
    g_free(im->parent_format);
    g_free(im->parent_id);
    g_free(im->parent_name);
    im->parent_format = g_strdup(part[0]);
    im->parent_id = *part[1] ? g_strdup(part[1]) : NULL;
    im->parent_name = g_strdup(part[2]);
}

static void take_locator_pair(struct image *im, const char *key, char *value, bool ours)
{
    if (ours)
        return;
    if (!strcmp(key, "parent_linkage")) {
        size_t n = strlen(value);
        g_free(im->parent_id);
        im->parent_id = n > 2 && *value == '{' ? g_ascii_strdown(value + 1, n - 2) : NULL;
    } else if (!strcmp(key, "relative_path") || (!strcmp(key, "absolute_win32_path") && !im->parent_name)) {
        g_strdelimit(value, "\\", '/');
        g_free(im->parent_name);
        im->parent_name = g_strdup(g_str_has_prefix(value, "./") ? value + 2 : value);
    }
}

static bool read_locator(struct image *im, struct item it, GError **error)
{
    bool ours = false;
    if (it.bytes < 20 || memcmp(it.data, vhdx_guid_locator_type, 16))
        return damaged(im, "parent locator", error);
    im->parent_format = g_strdup("vhdx");
    for (uint32_t i = 0, at = 20; i < get_le16(it.data + 18); i++, at += 12) {
        if (at + 12 > it.bytes)
            return damaged(im, "parent locator", error);
        uint32_t key_at = get_le32(it.data + at), value_at = get_le32(it.data + at + 4);
        uint32_t key_bytes = get_le16(it.data + at + 8), value_bytes = get_le16(it.data + at + 10);
        if (key_at > it.bytes || key_bytes > it.bytes - key_at || value_at > it.bytes ||
            value_bytes > it.bytes - value_at)
            return damaged(im, "parent locator", error);
        g_autofree char *key = utf16(it.data + key_at, key_bytes), *value = utf16(it.data + value_at, value_bytes);
        if (key && value && !strcmp(key, "terrarium_parent")) {
            take_ours(im, value);
            ours = true;
        } else if (key && value) {
            take_locator_pair(im, key, value, ours);
        }
    }
    im->parent_by_id = im->parent_id != NULL;
    return true;
}

/* What a disk consists of; each item is remembered, so that a required unknown one can be refused. */
static bool find_items(struct image *im, const uint8_t *t, struct item *found, GError **error)
{
    static const uint8_t *const known[] = {vhdx_guid_parameters, vhdx_guid_size,     vhdx_guid_disk_id,
                                           vhdx_guid_logical,    vhdx_guid_physical, vhdx_guid_locator};
    struct vhdx *v = im->state;
    uint16_t count = get_le16(t + 10);
    if (memcmp(t, "metadata", 8) || count > MAX_ENTRIES)
        return damaged(im, "metadata table", error);
    for (unsigned i = 0; i < count; i++) {
        const uint8_t *e = t + ENTRY + i * ENTRY;
        uint32_t at = get_le32(e + 16), bytes = get_le32(e + 20), flags = get_le32(e + 24);
        unsigned k = 0;
        while (k < G_N_ELEMENTS(known) && memcmp(e, known[k], 16))
            k++;
        if (k == G_N_ELEMENTS(known) && flags & ITEM_REQUIRED)
            return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s needs a metadata item that is not supported",
                             im->file->path);
        if (k == G_N_ELEMENTS(known))
            continue;
        if (at < VHDX_TABLE || at > v->metadata_bytes || bytes > v->metadata_bytes - at)
            return damaged(im, "metadata table", error);
        found[k] = (struct item){t + at, bytes};
        if (known[k] == vhdx_guid_size)
            v->size_at = v->metadata_offset + at;
    }
    return true;
}

bool vhdx_read_metadata(struct image *im, GError **error)
{
    struct vhdx *v = im->state;
    struct item item[6] = {0};
    if (v->metadata_bytes > 64 * MIB)
        return damaged(im, "metadata table", error);
    g_autofree uint8_t *t = g_malloc(v->metadata_bytes);
    if (!vhdx_get(im, v->metadata_offset, t, v->metadata_bytes, "metadata", error) || !find_items(im, t, item, error))
        return false;
    if (item[0].bytes < 8 || item[1].bytes < 8 || item[3].bytes < 4)
        return damaged(im, "metadata", error);
    im->block_bytes = get_le32(item[0].data);
    v->parameters = get_le32(item[0].data + 4);
    im->bytes = get_le64(item[1].data);
    v->sector_bytes = get_le32(item[3].data);
    if (im->block_bytes < MIB || im->block_bytes > 256 * MIB || im->block_bytes & (im->block_bytes - 1) || !im->bytes ||
        im->bytes > VHDX_MAX_BYTES || (v->sector_bytes != 512 && v->sector_bytes != 4096))
        return damaged(im, "metadata", error);
    im->bytes = (im->bytes + v->sector_bytes - 1) / v->sector_bytes * v->sector_bytes; /* the last sector is padded */
    if (v->parameters & PARAMETER_PARENT)
        return read_locator(im, item[5], error);
    return true;
}
