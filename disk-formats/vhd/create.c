// SPDX-License-Identifier: GPL-2.0-or-later
/* create.c - new VHD images, and how a differencing one names its parent. */
#include "disk-formats/vhd/vhd.h"
#include <errno.h>
#include <string.h>
#include <time.h>

#define YEAR_2000       946684800
#define HEADER_AT       512u
#define LOCATORS_AT     1536u /* before the table, so that blocks begin right behind it */
#define MAX_LOCATOR     4096u
#define LOCATOR_SECTORS (MAX_LOCATOR / VHD_SECTOR)

/* ---- geometry: the specification's appendix "CHS Calculation" ---- */
static void geometry(uint64_t sectors, uint8_t *to)
{
    uint32_t heads, per_track, tracks;
    sectors = MIN(sectors, UINT64_C(65535) * 16 * 255);
    if (sectors >= 65535 * 16 * 63) {
        per_track = 255;
        heads = 16;
        tracks = sectors / per_track;
    } else {
        per_track = 17;
        tracks = sectors / per_track;
        heads = MAX((tracks + 1023) / 1024, 4u);
        if (tracks >= heads * 1024 || heads > 16) {
            per_track = 31;
            heads = 16;
            tracks = sectors / per_track;
        }
        if (tracks >= heads * 1024) {
            per_track = 63;
            tracks = sectors / per_track;
        }
    }
    put_be16(to, tracks / heads);
    to[2] = heads;
    to[3] = per_track;
}

void vhd_set_size(uint8_t *footer, uint64_t bytes)
{
    put_be64(footer + FOOTER_SIZE, bytes);
    geometry(bytes / VHD_SECTOR, footer + FOOTER_CYLINDERS);
    put_be32(footer + FOOTER_SUM, vhd_checksum(footer, VHD_SECTOR, FOOTER_SUM));
}

/* ---- parents ---- */

/* Windows' paths with the host's separators, without a leading "./". */
static char *host_path(const char *text, gsize n, const char *charset)
{
    char *path = g_convert(text, n, "UTF-8", charset, NULL, NULL, NULL);
    if (!path)
        return NULL;
    g_strdelimit(path, "\\", '/');
    char *plain = g_strdup(g_str_has_prefix(path, "./") ? path + 2 : path);
    g_free(path);
    return plain;
}

/* "FORMAT,ID,NAME": a parent of any format. */
static void take_ours(struct image *im, const char *text)
{
    g_auto(GStrv) part = g_strsplit(text, ",", 3);
    if (!part[0] || !part[1] || !part[2])
        return;
    g_free(im->parent_format);
    g_free(im->parent_id);
    g_free(im->parent_name);
    im->parent_format = g_strdup(part[0]);
    im->parent_id = *part[1] && *part[1] != '-' ? g_strdup(part[1]) : NULL;
    im->parent_name = g_strdup(part[2]);
}

static bool take_locator(struct image *im, const uint8_t *l, uint32_t code, GError **error)
{
    char text[MAX_LOCATOR + 1] = {0};
    uint32_t n = get_be32(l + 8);
    uint64_t at = get_be64(l + 16);
    if (get_be32(l) != code || !n || n > MAX_LOCATOR)
        return true;
    regions_add(((struct vhd *)im->state)->tables, at, n);
    if (!blk_get(im->file, at, text, n, "parent locator", error))
        return false;
    if (code == LOCATOR_OURS) {
        take_ours(im, text);
        ((struct vhd *)im->state)->parent_id_at =
            im->parent_id && strchr(text, ',') ? at + (strchr(text, ',') + 1 - text) : 0;
    } else if (!im->parent_name) {
        im->parent_name = host_path(text, n, "UTF-16LE");
    }
    return true;
}

int vhd_forget_parent_id(struct image *im)
{
    struct vhd *v = im->state;
    int err = v->parent_id_at ? blk_pwrite(im->file, v->parent_id_at, "-", 1) : 0;
    if (!err)
        g_clear_pointer(&im->parent_id, g_free);
    return err ? err : blk_sync(im->file);
}

bool vhd_read_parent(struct image *im, const uint8_t *h, GError **error)
{
    static const uint32_t codes[] = {LOCATOR_OURS, LOCATOR_RELATIVE, LOCATOR_ABSOLUTE};
    im->parent_format = g_strdup("vhd");
    im->parent_id = vhd_uuid(h + DYNAMIC_PARENT_UUID);
    for (unsigned c = 0; c < G_N_ELEMENTS(codes); c++)
        for (unsigned i = 0; i < VHD_LOCATORS && !im->parent_name; i++)
            if (!take_locator(im, h + DYNAMIC_LOCATORS + i * 24, codes[c], error))
                return false;
    gsize n = 0;
    while (n < DYNAMIC_PARENT_NAME_BYTES && get_be16(h + DYNAMIC_PARENT_NAME + n))
        n += 2;
    if (!im->parent_name && n)
        im->parent_name = host_path((const char *)h + DYNAMIC_PARENT_NAME, n, "UTF-16BE");
    im->parent_by_id = true;
    return true;
}

static bool put_locator(struct blk_file *f, uint8_t *l, uint32_t code, uint64_t at, const char *data, gsize n,
                        GError **error)
{
    if (n > MAX_LOCATOR)
        return disk_fail(error, DISK_ERROR_USAGE, "the parent's name is too long for a VHD image");
    put_be32(l, code);
    put_be32(l + 4, LOCATOR_SECTORS);
    put_be32(l + 8, n);
    put_be64(l + 16, at);
    return blk_put(f, at, data, n, error);
}

/* Ours for all, and the ones of the specification for a VHD parent that is named relatively. */
static bool put_parent(struct blk_file *f, const struct image_options *o, uint8_t *h, uint64_t at, GError **error)
{
    const struct image *p = o->parent_image;
    const char *id = p ? image_id_for_child(p) : NULL;
    gsize n = 0, wide_n = 0;
    g_autofree char *ours = g_strdup_printf("%s,%s,%s", o->parent_format, id ? id : "", o->parent);
    g_autofree char *relative = g_strconcat(g_path_is_absolute(o->parent) ? "" : ".\\", o->parent, NULL);
    g_strdelimit(relative, "/", '\\');
    g_autofree char *wide = g_convert(relative, -1, "UTF-16LE", "UTF-8", NULL, &n, NULL);
    g_autofree char *name = g_path_get_basename(o->parent);
    g_autofree char *wide_name = g_convert(name, -1, "UTF-16BE", "UTF-8", NULL, &wide_n, NULL);
    if (wide_name)
        memcpy(h + DYNAMIC_PARENT_NAME, wide_name, MIN(wide_n, DYNAMIC_PARENT_NAME_BYTES - 2u));
    for (unsigned i = 0; i < 16; i++)
        h[DYNAMIC_PARENT_UUID + i] = g_random_int();
    if (p && !strcmp(p->format->name, "vhd"))
        memcpy(h + DYNAMIC_PARENT_UUID, ((struct vhd *)p->state)->footer + FOOTER_UUID, 16);
    int64_t changed = p ? blk_mtime(p->file) / 1000000000 : 0;
    if (changed > YEAR_2000)
        put_be32(h + DYNAMIC_PARENT_TIME, changed - YEAR_2000);
    uint8_t *l = h + DYNAMIC_LOCATORS;
    return put_locator(f, l, LOCATOR_OURS, at, ours, strlen(ours), error) &&
           (!wide || put_locator(f, l + 24, LOCATOR_RELATIVE, at + MAX_LOCATOR, wide, n, error));
}

/* ---- create ---- */
static void fill_footer(uint8_t *f, const struct image_options *o)
{
    memcpy(f, "conectix", 8);
    put_be32(f + FOOTER_FEATURES, 2);
    put_be32(f + FOOTER_VERSION, 0x10000);
    put_be64(f + FOOTER_HEADER, o->fixed ? UINT64_MAX : HEADER_AT);
    put_be32(f + FOOTER_TIME, MAX(time(NULL) - YEAR_2000, 0));
    /* Programs tell by the creator's name whether size or geometry counts; for this one it is the size. */
    memcpy(f + FOOTER_CREATOR, "win ", 4);
    put_be32(f + FOOTER_CREATOR_VERSION, 0x60001);
    memcpy(f + FOOTER_CREATOR_HOST, "Wi2k", 4);
    put_be64(f + FOOTER_ORIGINAL, o->bytes);
    put_be32(f + FOOTER_TYPE, o->fixed ? VHD_FIXED : o->parent ? VHD_DIFFERENCING : VHD_DYNAMIC);
    for (unsigned i = 0; i < 16; i++)
        f[FOOTER_UUID + i] = g_random_int();
    vhd_set_size(f, o->bytes);
}

static bool create_fixed(struct blk_file *f, const struct image_options *o, const uint8_t *footer, GError **error)
{
    int err = blk_truncate(f, o->bytes);
    if (!err)
        err = blk_zero(f, 0, o->bytes, false);
    if (err)
        return disk_fail_errno(error, -err, "%s", f->path);
    return blk_put(f, o->bytes, footer, VHD_SECTOR, error);
}

bool vhd_create(struct blk_file *f, const struct image_options *o, GError **error)
{
    uint8_t footer[VHD_SECTOR] = {0}, h[DYNAMIC_BYTES] = "cxsparse";
    uint64_t blocks = (o->bytes + VHD_BLOCK - 1) / VHD_BLOCK;
    uint64_t bat_bytes = (blocks * 4 + VHD_SECTOR - 1) / VHD_SECTOR * VHD_SECTOR;
    uint64_t bat_at = LOCATORS_AT + (o->parent ? 2 * MAX_LOCATOR : 0);
    if (!o->bytes || o->bytes > VHD_MAX_BYTES)
        return disk_fail(error, DISK_ERROR_USAGE, "a VHD disk has from 512 bytes to 2040 GiB");
    fill_footer(footer, o);
    if (o->fixed)
        return create_fixed(f, o, footer, error);
    put_be64(h + DYNAMIC_NEXT, UINT64_MAX);
    put_be64(h + DYNAMIC_BAT, bat_at);
    put_be32(h + DYNAMIC_VERSION, 0x10000);
    put_be32(h + DYNAMIC_ENTRIES, blocks);
    put_be32(h + DYNAMIC_BLOCK, VHD_BLOCK);
    if (o->parent && !put_parent(f, o, h, LOCATORS_AT, error))
        return false;
    put_be32(h + DYNAMIC_SUM, vhd_checksum(h, DYNAMIC_BYTES, DYNAMIC_SUM));
    g_autofree uint8_t *bat = g_malloc(bat_bytes + 1);
    memset(bat, 0xff, bat_bytes);
    return blk_put(f, bat_at, bat, bat_bytes, error) && blk_put(f, HEADER_AT, h, sizeof h, error) &&
           blk_put(f, bat_at + bat_bytes, footer, VHD_SECTOR, error) && blk_put(f, 0, footer, VHD_SECTOR, error);
}
