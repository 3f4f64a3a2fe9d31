// SPDX-License-Identifier: GPL-2.0-or-later
/* vmdk.c - VMware's disk: opening the descriptor and its extents, and sending each request to the right one.
 * The theory is in vmdk.h. */
#include "disk-formats/vmdk/vmdk.h"
#include <errno.h>
#include <string.h>
#include <zlib.h>

/* ---- open ---- */
static bool read_text(struct image *im, struct vmdk_descriptor *d, uint64_t offset, uint64_t bytes, GError **error)
{
    if (bytes > VMDK_MAX_DESCRIPTOR)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s: the descriptor is absurdly long", im->file->path);
    g_autofree char *text = g_malloc0(bytes + 1);
    d->offset = offset;
    if (!blk_get(im->file, offset, text, bytes, "descriptor", error))
        return false;
    vmdk_take_text(d, g_steal_pointer(&text), bytes);
    return !d->recoded || !im->writable ||
           disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s: a descriptor in UTF-16 is not written; convert the disk",
                     im->file->path);
}

/* The descriptor is in a sparse file's header, or the file is the descriptor. */
static bool find_descriptor(struct image *im, bool *alone, GError **error)
{
    struct vmdk *v = im->state;
    uint8_t h[4096] = {0};
    uint64_t size = blk_size(im->file);
    if (!blk_get(im->file, 0, h, MIN(size, sizeof h), "header", error))
        return false;
    *alone = get_le32(h) != VMDK_MAGIC;
    if (get_le32(h) == VMDK_COWD)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED,
                         "%s is one part of a VMDK disk; open the file that describes the whole", im->file->path);
    if (*alone && !vmdk_is_text(h, MIN(size, sizeof h)))
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s is no VMDK image", im->file->path);
    if (*alone)
        return read_text(im, &v->descriptor, 0, size, error);
    uint64_t at = get_le64(h + SPARSE_DESCRIPTOR), sectors = get_le64(h + SPARSE_DESCRIPTOR_SECTORS);
    if (!at || at > IMAGE_MAX_BYTES / 512 || !sectors || sectors > VMDK_MAX_DESCRIPTOR / 512)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED,
                         "%s is one part of a VMDK disk; open the file that describes the whole", im->file->path);
    v->descriptor.room = sectors * 512;
    return read_text(im, &v->descriptor, at * 512, sectors * 512, error);
}

static bool open_extent(struct image *im, const char *text, bool alone, struct vmdk_extent *x, GError **error)
{
    struct vmdk_line line;
    if (!vmdk_parse_line(im, text, &line, error))
        return false;
    *x = (struct vmdk_extent){.kind = line.kind, .start = im->bytes, .bytes = line.sectors * 512};
    bool ok = true;
    if (line.kind != VMDK_ZERO)
        x->file = alone ? blk_sibling(im->file, line.name, false, error) : blk_ref(im->file);
    if (line.kind != VMDK_ZERO && !x->file)
        ok = false;
    else if (line.kind == VMDK_FLAT)
        x->file_offset = line.offset_sectors * 512;
    else if (line.kind == VMDK_SPARSE)
        ok = vmdk_sparse_open(im, x, MAX(VMDK_CACHED / ((struct vmdk *)im->state)->descriptor.lines->len, 16u), error);
    else if (line.kind == VMDK_ESX)
        ok = vmdk_esx_open(im, x, error);
    /* The last sector may be cut short, as in a raw image. */
    if (ok && line.kind == VMDK_FLAT && (blk_size(x->file) + 511) / 512 * 512 < x->file_offset + x->bytes)
        ok = disk_fail(error, DISK_ERROR_CORRUPT, "%s is shorter than its descriptor says", x->file->path);
    im->bytes += x->bytes;
    g_free(line.name);
    return ok;
}

static bool open_extents(struct image *im, bool alone, GError **error)
{
    struct vmdk *v = im->state;
    GPtrArray *lines = v->descriptor.lines;
    v->extent = g_new0(struct vmdk_extent, lines->len);
    if (!alone && lines->len != 1)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s: has other extents beside itself", im->file->path);
    uint64_t tables = 0;
    bool ok = true;
    while (ok && v->extents < lines->len) {
        struct vmdk_extent *x = &v->extent[v->extents];
        ok = open_extent(im, lines->pdata[v->extents++], alone, x, error); /* else it is closed, too */
        tables += x->tables;
        if (ok && tables > VMDK_MAX_TABLES)
            ok = disk_fail(error, DISK_ERROR_CORRUPT, "%s: its grain directories are absurd", im->file->path);
    }
    return ok;
}

/* Blocks are counted from the disk's start: every sparse extent must begin and end on a grain of one size. */
static bool set_block_size(struct image *im, GError **error)
{
    struct vmdk *v = im->state;
    bool even = true;
    for (unsigned i = 0; i < v->extents; i++) {
        const struct vmdk_extent *x = &v->extent[i];
        if (x->kind != VMDK_SPARSE)
            continue;
        im->block_bytes = im->block_bytes ? im->block_bytes : x->grain_bytes;
        even = even && x->grain_bytes == im->block_bytes && x->start % im->block_bytes == 0;
        even = even && (i + 1 == v->extents || x->bytes % im->block_bytes == 0);
        im->append_only = im->append_only || x->flags & FLAG_COMPRESSED;
    }
    if (even || !im->writable)
        return true;
    return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s: its extents do not fit together for writing; convert it",
                     im->file->path);
}

/* VMware names the parent and its content id, VirtualBox has UUIDs in the descriptor's database and nothing else. */
static void set_parent(struct image *im)
{
    struct vmdk_descriptor *d = &((struct vmdk *)im->state)->descriptor;
    im->id = g_strdup_printf("%08x", d->cid);
    im->uuid = vmdk_uuid(d->uuid, d->uuid_change);
    im->parent_id = d->parent_cid == VMDK_NO_PARENT ? vmdk_uuid(d->parent_uuid, d->parent_uuid_change)
                                                    : g_strdup_printf("%08x", d->parent_cid);
    if (!im->parent_id)
        return;
    im->parent_name = d->parent_cid == VMDK_NO_PARENT ? NULL : g_strdup(d->parent_hint);
    im->parent_by_id = !im->parent_name;
    im->parent_format = g_strdup(d->parent_format && im->parent_name ? d->parent_format : "vmdk");
    if (d->parent_format && im->parent_name) {
        g_free(im->parent_id);
        im->parent_id = d->parent_id && *d->parent_id ? g_strdup(d->parent_id) : NULL;
    }
}

static bool vmdk_open(struct image *im, GError **error)
{
    struct vmdk *v = im->state = g_new0(struct vmdk, 1);
    bool alone;
    g_mutex_init(&v->lock);
    if (!find_descriptor(im, &alone, error) || !vmdk_parse(im, &v->descriptor, error) ||
        !open_extents(im, alone, error) || !set_block_size(im, error))
        return false;
    im->many_files = alone;
    im->cut_end = !alone;
    im->check_first = true;
    set_parent(im);
    return true;
}

/* ---- each request to its extent ---- */
static struct vmdk_extent *extent_of(struct vmdk *v, uint64_t offset)
{
    unsigned low = 0, high = v->extents - 1;
    while (low < high) {
        unsigned middle = (low + high + 1) / 2;
        if (v->extent[middle].start <= offset)
            low = middle;
        else
            high = middle - 1;
    }
    return &v->extent[low];
}

static int vmdk_extent(struct image *im, uint64_t offset, struct extent *out)
{
    struct vmdk *v = im->state;
    struct vmdk_extent *x = extent_of(v, offset);
    out->bytes = MIN(out->bytes, x->start + x->bytes - offset);
    if (x->kind == VMDK_SPARSE)
        return vmdk_sparse_lookup(v, x, offset - x->start, out);
    if (x->kind == VMDK_ESX)
        return vmdk_esx_lookup(v, x, offset - x->start, out);
    out->kind = x->kind == VMDK_FLAT ? EXTENT_DATA : EXTENT_ZERO;
    out->in_place = x->kind == VMDK_FLAT && im->writable;
    out->file = x->file;
    out->file_offset = x->kind == VMDK_FLAT ? x->file_offset + (offset - x->start) : UINT64_MAX;
    return 0;
}

static int vmdk_read(struct image *im, uint64_t offset, const struct iovec *iov, int n)
{
    struct vmdk *v = im->state;
    struct vmdk_extent *x = extent_of(v, offset);
    return x->kind == VMDK_SPARSE ? vmdk_sparse_read(v, x, offset - x->start, iov, n) : -EBADMSG;
}

static int vmdk_begin(struct image *im)
{
    struct vmdk *v = im->state;
    return im->same_disk ? 0 : vmdk_new_cid(im, &v->descriptor);
}

static int vmdk_place(struct image *im, struct extent *out)
{
    struct vmdk_extent *x = extent_of(im->state, out->offset);
    uint64_t whole = (x->bytes + im->block_bytes - 1) / im->block_bytes * im->block_bytes;
    if (x->kind != VMDK_SPARSE)
        return -EROFS;
    out->bytes = MIN(out->bytes, x->start + whole - out->offset);
    return vmdk_sparse_place(x, out);
}

static int vmdk_link(struct image *im, const struct extent *e)
{
    struct vmdk *v = im->state;
    return vmdk_sparse_link(v, extent_of(v, e->offset), e);
}

static void vmdk_unplace(struct image *im, const struct extent *e)
{
    vmdk_sparse_unplace(extent_of(im->state, e->offset), e);
}

static int vmdk_sync(struct image *im)
{
    struct vmdk *v = im->state;
    int err = blk_sync(im->file);
    for (unsigned i = 0; i < v->extents && !err; i++)
        if (v->extent[i].file && v->extent[i].file != im->file)
            err = blk_sync(v->extent[i].file);
    return err;
}

static int vmdk_flush(struct image *im)
{
    struct vmdk *v = im->state;
    int err = v->extents && v->extent[0].file != im->file ? blk_sync(im->file) : 0;
    for (unsigned i = 0; i < v->extents && !err; i++) {
        struct vmdk_extent *x = &v->extent[i];
        if (x->kind != VMDK_ZERO)
            err = x->kind == VMDK_SPARSE ? vmdk_sparse_flush(x) : blk_sync(x->file);
    }
    return err;
}

static int clear(struct image *im, uint64_t offset, uint64_t bytes, bool zeroes)
{
    struct vmdk *v = im->state;
    int err = 0;
    for (uint64_t at = offset, end = offset + bytes, n; !err && at < end; at += n) {
        struct vmdk_extent *x = extent_of(v, at);
        n = MIN(end - at, x->start + x->bytes - at);
        if (x->kind == VMDK_FLAT)
            err = blk_zero(x->file, x->file_offset + (at - x->start), n, true);
        else if (x->kind == VMDK_SPARSE)
            err = vmdk_sparse_clear(v, x, at - x->start, n, zeroes, im->parent_name != NULL);
    }
    return err;
}

static int vmdk_zero(struct image *im, uint64_t offset, uint64_t bytes)
{
    return clear(im, offset, bytes, true);
}

static int vmdk_discard(struct image *im, uint64_t offset, uint64_t bytes)
{
    int err = clear(im, offset, bytes, false);
    return err == -ENOTSUP ? 0 : err;
}

/* ---- compressed ---- */
static ssize_t vmdk_compress(struct image *im, const void *in, size_t n, void *out, size_t room)
{
    uLongf bytes = room;
    return compress2(out, &bytes, in, n, Z_DEFAULT_COMPRESSION) == Z_OK ? (ssize_t)bytes : 0;
}

static int vmdk_append(struct image *im, uint64_t offset, const void *packed, size_t n)
{
    struct vmdk *v = im->state;
    struct vmdk_extent *x = extent_of(v, offset);
    return x->kind == VMDK_SPARSE ? vmdk_sparse_append(v, x, offset - x->start, packed, n) : -ENOTSUP;
}

/* ---- check, info, table ---- */
static bool vmdk_check(struct image *im, bool repair, struct image_check *out, GError **error)
{
    struct vmdk *v = im->state;
    bool ok = true;
    for (unsigned i = 0; i < v->extents && ok; i++) {
        struct vmdk_extent *x = &v->extent[i];
        if (x->kind == VMDK_SPARSE || x->kind == VMDK_ESX)
            ok = x->kind == VMDK_ESX ? vmdk_esx_check(v, x, out, error) : vmdk_sparse_check(v, x, out, error);
    }
    return ok;
}

static bool vmdk_probe(const uint8_t *head, size_t n, uint64_t file_bytes)
{
    return (n >= 512 && get_le32(head) == VMDK_MAGIC) || vmdk_is_text(head, n);
}

static void vmdk_info(struct image *im, struct image_info *out)
{
    struct vmdk *v = im->state;
    image_info_text(out, "variant", v->descriptor.type);
    image_info_text(out, "cid", im->id);
    image_info_number(out, "extents", v->extents);
    if (im->block_bytes)
        image_info_number(out, "grain-size", im->block_bytes);
}

static bool vmdk_uses(const struct image *im, const char *path)
{
    const struct vmdk *v = im->state;
    bool uses = false;
    for (unsigned i = 0; i < v->extents && !uses; i++)
        uses = v->extent[i].file && blk_has_name(v->extent[i].file, path);
    return uses;
}

static void vmdk_close(struct image *im)
{
    struct vmdk *v = im->state;
    for (unsigned i = 0; i < v->extents; i++) {
        vmdk_sparse_close(&v->extent[i]);
        vmdk_esx_close(&v->extent[i]);
        blk_close(v->extent[i].file);
    }
    vmdk_descriptor_clear(&v->descriptor);
    g_mutex_clear(&v->lock);
    g_free(v->extent);
    g_free(v);
    im->state = NULL;
}

static char **vmdk_alike(struct image *im)
{
    struct vmdk *v = im->state;
    if (strcmp(v->descriptor.type, "monolithicSparse"))
        return NULL;
    char **options = g_new0(char *, 4), **o = options;
    *o++ = g_strdup("subformat=monolithicSparse");
    *o++ = g_strdup_printf("zeroed_grain=%s", v->extent[0].flags & FLAG_ZERO_GRAINS ? "on" : "off");
    if (v->descriptor.adapter)
        *o++ = g_strdup_printf("adapter_type=%s", v->descriptor.adapter);
    return options;
}

const struct image_format format_vmdk = {
    .name = "vmdk",
    .summary = "VMware virtual disk",
    .options = vmdk_option_names,
    .parents = true,
    .probe = vmdk_probe,
    .create = vmdk_create,
    .open = vmdk_open,
    .extent = vmdk_extent,
    .read = vmdk_read,
    .begin = vmdk_begin,
    .place = vmdk_place,
    .link = vmdk_link,
    .unplace = vmdk_unplace,
    .sync = vmdk_sync,
    .flush = vmdk_flush,
    .discard = vmdk_discard,
    .zero = vmdk_zero,
    .compress = vmdk_compress,
    .append = vmdk_append,
    .uses = vmdk_uses,
    .alike = vmdk_alike,
    .check = vmdk_check,
    .info = vmdk_info,
    .close = vmdk_close,
};
