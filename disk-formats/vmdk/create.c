// SPDX-License-Identifier: GPL-2.0-or-later
/* create.c - new VMDK disks: one or several files, flat, sparse, or compressed for transport. */
#include "disk-formats/vmdk/vmdk.h"
#include <errno.h>
#include <string.h>

const char *const vmdk_option_names[] = {"subformat", "adapter_type", "zeroed_grain", NULL};
enum { MONOLITHIC_SPARSE, MONOLITHIC_FLAT, SPLIT_SPARSE, SPLIT_FLAT, STREAM, VMFS };
static const char *const subformats[] = {"monolithicSparse",
                                         "monolithicFlat",
                                         "twoGbMaxExtentSparse",
                                         "twoGbMaxExtentFlat",
                                         "streamOptimized",
                                         "vmfs",
                                         NULL};
static const char *const adapters[] = {"ide", "lsilogic", "buslogic", "legacyESX", NULL};

#define DESCRIPTOR_SECTORS 20u
#define GRAIN_SECTORS      128u
#define TABLE_SECTORS      (VMDK_GTES * 4 / 512)

#define UNQUOTABLE "\"\r\n"

struct request {
    const struct image_options *o;
    unsigned kind, adapter;
    bool zero_grains;
    char *base; /* the file's name without its ending */
};

static void put_directory(uint8_t *to, uint32_t tables, uint64_t first_table)
{
    for (uint32_t i = 0; i < tables; i++)
        put_le32(to + i * 4ull, first_table + (uint64_t)i * TABLE_SECTORS);
}

/* Header, descriptor, directory and tables, the same again, padding up to the first grain. */
static bool write_sparse(struct blk_file *f, const struct request *r, uint64_t bytes, const char *descriptor,
                         GError **error)
{
    uint64_t sectors = bytes / 512, tables = (sectors + GRAIN_SECTORS * VMDK_GTES - 1) / (GRAIN_SECTORS * VMDK_GTES);
    uint64_t directory = (tables * 4 + 511) / 512, one = directory + tables * TABLE_SECTORS;
    uint64_t rgd = 1 + (descriptor ? DESCRIPTOR_SECTORS : 0), gd = rgd + one;
    uint64_t overhead = (gd + one + GRAIN_SECTORS - 1) / GRAIN_SECTORS * GRAIN_SECTORS;
    bool stream = r->kind == STREAM;
    uint8_t h[512] = {0};
    if (descriptor && strlen(descriptor) >= DESCRIPTOR_SECTORS * 512)
        return disk_fail(error, DISK_ERROR_USAGE, "the parent's name is too long");
    put_le32(h, VMDK_MAGIC);
    put_le32(h + SPARSE_VERSION, stream ? 3 : r->zero_grains ? 2 : 1);
    put_le32(h + SPARSE_FLAGS, FLAG_NEWLINES | FLAG_REDUNDANT | (r->zero_grains ? FLAG_ZERO_GRAINS : 0) |
                                   (stream ? FLAG_COMPRESSED | FLAG_MARKERS : 0));
    put_le64(h + SPARSE_CAPACITY, sectors);
    put_le64(h + SPARSE_GRAIN, GRAIN_SECTORS);
    put_le64(h + SPARSE_DESCRIPTOR, descriptor ? 1 : 0);
    put_le64(h + SPARSE_DESCRIPTOR_SECTORS, descriptor ? DESCRIPTOR_SECTORS : 0);
    put_le32(h + SPARSE_GTES, VMDK_GTES);
    put_le64(h + SPARSE_RGD, rgd);
    put_le64(h + SPARSE_GD, gd);
    put_le64(h + SPARSE_OVERHEAD, overhead);
    memcpy(h + SPARSE_NEWLINES, "\n \r\n", 4);
    put_le16(h + SPARSE_COMPRESSION, stream ? 1 : 0);
    g_autofree uint8_t *d = g_malloc0(directory * 512 + 1);
    int err = blk_truncate(f, overhead * 512);
    if (err)
        return disk_fail_errno(error, -err, "%s", f->path);
    put_directory(d, tables, rgd + directory);
    if (!blk_put(f, rgd * 512, d, directory * 512, error))
        return false;
    put_directory(d, tables, gd + directory);
    return blk_put(f, gd * 512, d, directory * 512, error) &&
           (!descriptor || blk_put(f, 512, descriptor, strlen(descriptor), error)) && blk_put(f, 0, h, sizeof h, error);
}

static bool write_flat(struct blk_file *f, uint64_t bytes, bool fixed, GError **error)
{
    int err = blk_truncate(f, bytes);
    if (!err && fixed)
        err = blk_zero(f, 0, bytes, false);
    return !err || disk_fail_errno(error, -err, "%s", f->path);
}

static bool write_part(struct blk_file *f, const struct request *r, const char *name, uint64_t bytes, GError **error)
{
    bool flat = r->kind != SPLIT_SPARSE;
    struct blk_file *part = blk_sibling(f, name, true, error);
    bool ok = part && (flat ? write_flat(part, bytes, r->o->fixed, error) : write_sparse(part, r, bytes, NULL, error));
    blk_close(part);
    return ok;
}

/* The files beside the descriptor, and the lines that list them. */
static char *write_parts(struct blk_file *f, const struct request *r, GError **error)
{
    bool split = r->kind == SPLIT_SPARSE || r->kind == SPLIT_FLAT;
    GString *lines = g_string_new(NULL);
    unsigned number = 1;
    for (uint64_t at = 0; at < r->o->bytes; number++) {
        uint64_t n = split ? MIN(r->o->bytes - at, VMDK_SPLIT_BYTES) : r->o->bytes;
        g_autofree char *name =
            split ? g_strdup_printf("%s-%c%03u.vmdk", r->base, r->kind == SPLIT_FLAT ? 'f' : 's', number)
                  : g_strdup_printf("%s-flat.vmdk", r->base);
        if (number > VMDK_MAX_EXTENTS || !write_part(f, r, name, n, error)) {
            if (number > VMDK_MAX_EXTENTS)
                disk_fail(error, DISK_ERROR_USAGE, "too large to be split in files of 2 GiB");
            g_string_free(lines, TRUE);
            return NULL;
        }
        const char *type = r->kind == SPLIT_SPARSE ? "SPARSE" : r->kind == VMFS ? "VMFS" : "FLAT";
        g_string_append_printf(lines, "RW %" G_GUINT64_FORMAT " %s \"%s\"%s\n", n / 512, type, name,
                               r->kind == SPLIT_FLAT || r->kind == MONOLITHIC_FLAT ? " 0" : "");
        at += n;
    }
    return g_string_free(lines, FALSE);
}

static bool read_options(const struct image_options *o, struct request *r, GError **error)
{
    unsigned usual = o->fixed ? MONOLITHIC_FLAT : MONOLITHIC_SPARSE;
    if (!image_option_choice(o, "subformat", subformats, usual, &r->kind, error) ||
        !image_option_choice(o, "adapter_type", adapters, 0, &r->adapter, error) ||
        !image_option_flag(o, "zeroed_grain", false, &r->zero_grains, error))
        return false;
    bool flat = r->kind == MONOLITHIC_FLAT || r->kind == SPLIT_FLAT || r->kind == VMFS;
    if (!o->bytes)
        return disk_fail(error, DISK_ERROR_USAGE, "a VMDK disk cannot be empty");
    if (o->parent && (flat || r->kind == STREAM))
        return disk_fail(error, DISK_ERROR_USAGE, "%s disks cannot have a parent", subformats[r->kind]);
    if (!flat && o->fixed)
        return disk_fail(error, DISK_ERROR_USAGE, "%s disks are never fixed", subformats[r->kind]);
    if ((r->kind == MONOLITHIC_SPARSE || r->kind == STREAM) && o->bytes > UINT64_C(2) << 40)
        return disk_fail(error, DISK_ERROR_USAGE, "%s disks hold 2 TiB at most", subformats[r->kind]);
    return true;
}

bool vmdk_create(struct blk_file *f, const struct image_options *o, GError **error)
{
    struct request r = {.o = o};
    g_autofree char *name = g_path_get_basename(f->path);
    if (!read_options(o, &r, error))
        return false;
    if (strpbrk(name, UNQUOTABLE) || (o->parent && strpbrk(o->parent, UNQUOTABLE)))
        return disk_fail(error, DISK_ERROR_USAGE, "%s: names in VMDK disks cannot hold quotes or line breaks", f->path);
    r.base = g_str_has_suffix(name, ".vmdk") ? g_strndup(name, strlen(name) - 5) : g_strdup(name);
    bool one = r.kind == MONOLITHIC_SPARSE || r.kind == STREAM, ok = false;
    g_autofree char *lines = one ? g_strdup_printf("RW %" G_GUINT64_FORMAT " SPARSE \"%s\"\n", o->bytes / 512, name)
                                 : write_parts(f, &r, error);
    if (lines) {
        g_autofree char *text = vmdk_describe(o, subformats[r.kind], lines, adapters[r.adapter]);
        ok = one ? write_sparse(f, &r, o->bytes, text, error) : blk_put(f, 0, text, strlen(text), error);
    }
    g_free(r.base);
    return ok;
}
