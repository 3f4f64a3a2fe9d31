// SPDX-License-Identifier: GPL-2.0-or-later
/* sparse.c - one sparse extent: grain directory, grain tables, grains; compressed ones too. */
#include "disk-formats/image/regions.h"
#include "disk-formats/vmdk/vmdk.h"
#include <errno.h>
#include <string.h>
#include <zlib.h>

#define ZERO_GRAIN      1u
#define MARKER_BYTES    12u /* sector number, bytes */
#define NO_GD           UINT64_MAX
#define FOOTER_FROM_END 1024u

/* ---- open ---- */
static bool damaged(struct blk_file *f, const char *what, GError **error)
{
    return disk_fail(error, DISK_ERROR_CORRUPT, "%s: %s", f->path, what);
}

static bool check_header(struct image *im, struct vmdk_extent *x, const uint8_t *h, GError **error)
{
    uint64_t grain = get_le64(h + SPARSE_GRAIN), capacity = get_le64(h + SPARSE_CAPACITY);
    uint32_t version = get_le32(h + SPARSE_VERSION);
    x->flags = get_le32(h + SPARSE_FLAGS);
    x->gtes = get_le32(h + SPARSE_GTES);
    x->gd_offset = get_le64(h + SPARSE_GD);
    x->rgd_offset = x->flags & FLAG_REDUNDANT ? get_le64(h + SPARSE_RGD) : 0;
    if (get_le32(h) != VMDK_MAGIC)
        return damaged(x->file, "this is no sparse VMDK file", error);
    if (version < 1 || version > 3 || (version == 3 && im->writable && !(x->flags & FLAG_COMPRESSED)))
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s: VMDK version %u cannot be written", x->file->path,
                         version);
    if (x->flags & FLAG_NEWLINES && memcmp(h + SPARSE_NEWLINES, "\n \r\n", 4))
        return damaged(x->file, "it was copied as text, which has damaged it", error);
    if (x->flags & FLAG_COMPRESSED && get_le16(h + SPARSE_COMPRESSION) != 1)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s: unknown compression", x->file->path);
    if (grain < 1 || grain > 65536 || grain & (grain - 1) || !x->gtes || x->gtes > 512 || x->gtes % 128)
        return damaged(x->file, "impossible grain or table size", error);
    if (!capacity || capacity > IMAGE_MAX_BYTES / 512 || (x->bytes && capacity * 512 < x->bytes))
        return damaged(x->file, "the header's size is wrong", error);
    x->grain_bytes = grain * 512;
    if (!x->bytes)
        x->bytes = capacity * 512;
    uint64_t per_table = (uint64_t)x->gtes * x->grain_bytes, tables = (x->bytes + per_table - 1) / per_table;
    x->tables = tables;
    return tables <= VMDK_MAX_TABLES || damaged(x->file, "its grain directory is absurd", error);
}

static bool load_directory(struct vmdk_extent *x, uint64_t sector, uint32_t **out, GError **error)
{
    if (sector > IMAGE_MAX_BYTES / 512)
        return damaged(x->file, "its grain directory lies at an impossible place", error);
    *out = g_try_new(uint32_t, x->tables);
    if (!*out)
        return damaged(x->file, "no memory for the grain directory", error);
    if (!blk_get(x->file, sector * 512, *out, x->tables * 4ull, "grain directory", error))
        return false;
    for (uint32_t i = 0; i < x->tables; i++)
        (*out)[i] = GUINT32_FROM_LE((*out)[i]);
    return true;
}

/* A stream has its directory at the end, and a second header ("footer") that says where. */
static bool find_footer(struct vmdk_extent *x, uint8_t *h, GError **error)
{
    uint64_t size = blk_size(x->file);
    if (get_le64(h + SPARSE_GD) != NO_GD)
        return true;
    if (size < FOOTER_FROM_END + 512)
        return damaged(x->file, "the footer is missing: it is incomplete", error);
    if (!blk_get(x->file, size - FOOTER_FROM_END, h, 512, "footer", error))
        return false;
    return get_le64(h + SPARSE_GD) != NO_GD || damaged(x->file, "the footer is damaged", error);
}

/* A second directory is needed for writing only. */
bool vmdk_sparse_open(struct image *im, struct vmdk_extent *x, unsigned limit, GError **error)
{
    uint8_t h[512];
    if (!blk_get(x->file, 0, h, sizeof h, "header", error) || !find_footer(x, h, error) ||
        !check_header(im, x, h, error))
        return false;
    if (im->writable && x->tables > VMDK_MAX_WRITTEN)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s is too large a sparse VMDK disk to be written",
                         x->file->path);
    if (!load_directory(x, x->gd_offset, &x->gd, error) ||
        (x->rgd_offset && im->writable && !load_directory(x, x->rgd_offset, &x->rgd, error)))
        return false;
    x->gd_offset *= 512;
    x->rgd_offset *= 512;
    x->cache.by_index = g_hash_table_new(NULL, NULL);
    x->cache.limit = limit;
    x->end = MAX((blk_size(x->file) + 511) / 512 * 512, get_le64(h + SPARSE_OVERHEAD) * 512);
    return true;
}

void vmdk_sparse_close(struct vmdk_extent *x)
{
    g_queue_clear_full(&x->cache.used, g_free);
    g_clear_pointer(&x->cache.by_index, g_hash_table_unref);
    g_free(x->gd);
    g_free(x->rgd);
}

/* ---- tables ---- */

/* Makes room for one more; changed ones stay. */
static void shrink(struct grain_tables *c)
{
    for (GList *l = c->used.tail, *next; l && c->used.length >= c->limit; l = next) {
        struct grain_table *t = l->data;
        next = l->prev;
        if (t->dirty)
            continue;
        g_hash_table_remove(c->by_index, GUINT_TO_POINTER(t->index + 1));
        g_queue_delete_link(&c->used, l);
        g_free(t);
    }
}

static int load_table(struct vmdk_extent *x, uint32_t i, struct grain_table **out)
{
    struct grain_table *t = g_try_new0(struct grain_table, 1);
    int err = t ? blk_pread(x->file, x->gd[i] * 512ull, t->entry, x->gtes * 4) : -ENOMEM;
    *out = NULL;
    if (err) {
        g_free(t);
        return err;
    }
    t->index = i;
    for (uint32_t k = 0; k < x->gtes; k++)
        t->entry[k] = GUINT32_FROM_LE(t->entry[k]);
    shrink(&x->cache);
    g_queue_push_head(&x->cache.used, t);
    g_hash_table_insert(x->cache.by_index, GUINT_TO_POINTER(i + 1), x->cache.used.head);
    *out = t;
    return 0;
}

/* The i-th table; *out NULL: the directory has none. */
static int table_at(struct vmdk_extent *x, uint32_t i, struct grain_table **out)
{
    GList *l = g_hash_table_lookup(x->cache.by_index, GUINT_TO_POINTER(i + 1));
    *out = NULL;
    if (!l)
        return x->gd[i] ? load_table(x, i, out) : 0;
    g_queue_unlink(&x->cache.used, l);
    g_queue_push_head_link(&x->cache.used, l);
    *out = l->data;
    return 0;
}

/* The one that has the entry for the byte at in. */
static int table_for(struct vmdk_extent *x, uint64_t in, struct grain_table **out)
{
    return table_at(x, in / x->grain_bytes / x->gtes, out);
}

static bool zero_entry(const struct vmdk_extent *x, uint32_t entry)
{
    return entry == ZERO_GRAIN && x->flags & FLAG_ZERO_GRAINS;
}

static int lookup(struct vmdk_extent *x, uint64_t in, struct extent *out)
{
    struct grain_table *t;
    uint32_t k = in / x->grain_bytes % x->gtes, grain_sectors = x->grain_bytes / 512;
    uint64_t bytes = x->grain_bytes - in % x->grain_bytes;
    int err = table_for(x, in, &t);
    if (err)
        return err;
    uint32_t first = t ? t->entry[k] : 0;
    bool data = first && !zero_entry(x, first), packed = data && x->flags & FLAG_COMPRESSED;
    while (!packed && bytes < out->bytes && ++k < x->gtes &&
           (t ? t->entry[k] : 0) == (data ? t->entry[k - 1] + grain_sectors : first))
        bytes += x->grain_bytes;
    out->bytes = MIN(MIN(bytes, out->bytes), x->bytes - in);
    out->file = x->file;
    out->kind = data ? EXTENT_DATA : first ? EXTENT_ZERO : EXTENT_HOLE;
    out->compressed = packed;
    out->in_place = data && !packed && x->file->writable;
    out->file_offset = data && !packed ? first * 512ull + in % x->grain_bytes : UINT64_MAX;
    return 0;
}

int vmdk_sparse_lookup(struct vmdk *v, struct vmdk_extent *x, uint64_t in, struct extent *out)
{
    g_mutex_lock(&v->lock);
    int err = lookup(x, in, out);
    g_mutex_unlock(&v->lock);
    return err;
}

/* A table that was not there: at the end of the file, in both directories (which point to the same one). */
static int add_table(struct vmdk_extent *x, uint32_t i)
{
    g_autofree void *zero = g_malloc0(x->gtes * 4);
    uint8_t sector[4];
    put_le32(sector, x->end / 512);
    if (x->end / 512 > UINT32_MAX)
        return -EFBIG;
    int err = blk_pwrite(x->file, x->end, zero, x->gtes * 4);
    if (!err)
        err = blk_sync(x->file);
    if (!err)
        err = blk_pwrite(x->file, x->gd_offset + i * 4ull, sector, 4);
    if (!err && x->rgd)
        err = blk_pwrite(x->file, x->rgd_offset + i * 4ull, sector, 4);
    if (err)
        return err;
    x->gd[i] = x->end / 512;
    if (x->rgd)
        x->rgd[i] = x->gd[i];
    x->end += (x->gtes * 4 + 511) / 512 * 512;
    return blk_sync(x->file);
}

static int set_entry(struct vmdk_extent *x, uint64_t in, uint32_t value)
{
    uint32_t i = in / x->grain_bytes / x->gtes, k = in / x->grain_bytes % x->gtes;
    struct grain_table *t;
    int err = x->gd[i] ? 0 : add_table(x, i);
    if (!err)
        err = table_at(x, i, &t);
    if (err)
        return err;
    x->cache.dirty += !t->dirty;
    t->entry[k] = value;
    t->dirty |= 1u << (k / 128);
    return 0;
}

static int write_table(struct vmdk_extent *x, struct grain_table *t)
{
    uint32_t sector[128], i = t->index;
    int err = 0;
    for (unsigned s = 0; s < x->gtes / 128 && !err; s++) {
        if (!(t->dirty >> s & 1))
            continue;
        for (unsigned k = 0; k < 128; k++)
            sector[k] = GUINT32_TO_LE(t->entry[s * 128 + k]);
        err = blk_pwrite(x->file, (x->gd[i] + (uint64_t)s) * 512, sector, 512);
        if (!err && x->rgd && x->rgd[i] && x->rgd[i] != x->gd[i])
            err = blk_pwrite(x->file, (x->rgd[i] + (uint64_t)s) * 512, sector, 512);
    }
    return err;
}

int vmdk_sparse_flush(struct vmdk_extent *x)
{
    int err = blk_sync(x->file);
    if (err || !x->cache.dirty)
        return err;
    for (GList *l = x->cache.used.head; l && !err; l = l->next)
        err = write_table(x, l->data);
    if (!err)
        err = blk_sync(x->file);
    if (err)
        return err;
    for (GList *l = x->cache.used.head; l; l = l->next)
        ((struct grain_table *)l->data)->dirty = 0;
    x->cache.dirty = 0;
    return 0;
}

/* Many changed tables would stay in memory: writes them.  If that fails they do, and the next flush says so. */
static void after_change(struct vmdk_extent *x)
{
    if (x->cache.dirty > x->cache.limit / 2)
        vmdk_sparse_flush(x);
}

/* ---- grains ---- */
int vmdk_sparse_place(struct vmdk_extent *x, struct extent *out)
{
    uint64_t per_table = (uint64_t)x->gtes * x->grain_bytes, in = out->offset - x->start;
    if (x->flags & FLAG_COMPRESSED)
        return -ENOTSUP;
    out->bytes = MIN(out->bytes, per_table - in % per_table); /* link can fail only before its first entry then */
    if ((x->end + out->bytes) / 512 > UINT32_MAX)
        return -EFBIG;
    out->file = x->file;
    out->file_offset = x->end;
    out->zeroed = x->end >= blk_size(x->file);
    int err = x->end + out->bytes > blk_size(x->file) ? blk_truncate(x->file, x->end + out->bytes) : 0;
    x->end += err ? 0 : out->bytes;
    return err;
}

/* Only the last ones can be taken back; others are a leak. */
void vmdk_sparse_unplace(struct vmdk_extent *x, const struct extent *e)
{
    if (x->end == e->file_offset + e->bytes)
        x->end = e->file_offset;
}

int vmdk_sparse_link(struct vmdk *v, struct vmdk_extent *x, const struct extent *e)
{
    int err = 0;
    for (uint64_t at = 0; !err && at < e->bytes; at += x->grain_bytes)
        err = set_entry(x, e->offset + at - x->start, (e->file_offset + at) / 512);
    after_change(x);
    return err;
}

int vmdk_sparse_clear(struct vmdk *v, struct vmdk_extent *x, uint64_t in, uint64_t bytes, bool zeroes, bool has_parent)
{
    int err = 0;
    for (uint64_t end = in + bytes; !err && in < end;) {
        struct extent e = {.bytes = end - in};
        err = vmdk_sparse_lookup(v, x, in, &e);
        if (!err && e.compressed)
            return -ENOTSUP;
        if (!err && e.kind == EXTENT_DATA)
            err = blk_zero(x->file, e.file_offset, e.bytes, true);
        else if (!err && e.kind == EXTENT_HOLE && zeroes && has_parent) {
            if (!(x->flags & FLAG_ZERO_GRAINS))
                return -ENOTSUP;
            for (uint64_t at = 0; !err && at < e.bytes; at += x->grain_bytes)
                err = set_entry(x, in + at, ZERO_GRAIN);
            after_change(x);
        }
        in += e.bytes;
    }
    return err;
}

/* ---- compressed grains: a marker with sector number and length, then a zlib stream ---- */
static int unpack_grain(struct vmdk_extent *x, uint32_t sector, uint8_t *out)
{
    uint8_t marker[MARKER_BYTES];
    uint64_t at = sector * 512ull;
    uint32_t n = x->grain_bytes * 2;
    if (x->flags & FLAG_MARKERS) {
        int err = blk_pread(x->file, at, marker, sizeof marker);
        n = get_le32(marker + 8);
        at += MARKER_BYTES;
        if (err || n > x->grain_bytes * 2 + 4096)
            return err ? err : -EBADMSG;
    }
    g_autofree uint8_t *in = g_try_malloc(n + 1);
    int err = in ? blk_pread(x->file, at, in, n) : -ENOMEM;
    z_stream z = {.next_in = in, .avail_in = n, .next_out = out, .avail_out = x->grain_bytes};
    if (err || inflateInit(&z) != Z_OK)
        return err ? err : -ENOMEM;
    int r = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    memset(z.next_out, 0, z.avail_out); /* the disk's last grain may be short */
    return r == Z_STREAM_END || r == Z_BUF_ERROR ? 0 : -EBADMSG;
}

int vmdk_sparse_read(struct vmdk *v, struct vmdk_extent *x, uint64_t in, const struct iovec *iov, int n)
{
    struct grain_table *t;
    struct iov_walk w = {iov, n, 0};
    uint64_t bytes = iov_bytes(iov, n), skip = in % x->grain_bytes;
    g_mutex_lock(&v->lock);
    int err = table_for(x, in, &t);
    uint32_t sector = !err && t ? t->entry[in / x->grain_bytes % x->gtes] : 0;
    g_mutex_unlock(&v->lock);
    if (err || sector < 2 || skip + bytes > x->grain_bytes)
        return err ? err : -EBADMSG;
    g_autofree uint8_t *grain = g_try_malloc(x->grain_bytes);
    err = grain ? unpack_grain(x, sector, grain) : -ENOMEM;
    if (!err)
        iov_copy_in(&w, grain + skip, bytes);
    return err;
}

int vmdk_sparse_append(struct vmdk *v, struct vmdk_extent *x, uint64_t in, const void *packed, size_t n)
{
    size_t room = (MARKER_BYTES + n + 511) / 512 * 512;
    if (!(x->flags & FLAG_COMPRESSED))
        return -ENOTSUP;
    if ((x->end + room) / 512 > UINT32_MAX)
        return -EFBIG;
    g_autofree uint8_t *b = g_malloc0(room);
    put_le64(b, (x->start + in) / 512);
    put_le32(b + 8, n);
    memcpy(b + MARKER_BYTES, packed, n);
    int err = blk_pwrite(x->file, x->end, b, room);
    if (!err)
        err = set_entry(x, in, x->end / 512);
    x->end += err ? 0 : room;
    after_change(x);
    return err;
}

/* ---- check ---- */
struct check {
    struct vmdk_extent *x;
    struct image_check *out;
    GArray *tables;   /* and directories and header: struct region, sorted; NULL: they overlap */
    uint64_t sectors; /* of the file */
    uint32_t grain;   /* sectors that no two grains share */
    uint32_t *seen;   /* of each grain's room in the file: which sector of it one begins at, plus 1 */
};

static void corrupt(struct check *c, bool overlap)
{
    c->out->corruptions++;
    c->out->overlaps += overlap;
}

/* All that is no grain.  Both directories may point to the same tables. */
static void add_tables(struct check *c, const uint32_t *gd, const uint32_t *other)
{
    for (uint32_t i = 0; gd && i < c->x->tables; i++)
        if (gd[i] && !(other && other[i] == gd[i]))
            regions_add(c->tables, gd[i] * 512ull, c->x->gtes * 4);
}

static void find_tables(struct check *c, const struct vmdk *v)
{
    struct vmdk_extent *x = c->x;
    uint64_t at;
    c->tables = regions_new();
    regions_add(c->tables, 0, 512);
    regions_add(c->tables, x->gd_offset, x->tables * 4ull);
    if (v->descriptor.room)
        regions_add(c->tables, v->descriptor.offset, v->descriptor.room);
    if (x->rgd && x->rgd_offset != x->gd_offset)
        regions_add(c->tables, x->rgd_offset, x->tables * 4ull);
    add_tables(c, x->gd, NULL);
    add_tables(c, x->rgd, x->gd);
    if (!regions_clash(c->tables, &at))
        return;
    image_check_say(c->out, "%s: two tables overlap at 0x%" G_GINT64_MODIFIER "x", x->file->path, at);
    corrupt(c, true);
    g_clear_pointer(&c->tables, g_array_unref);
}

/* Grains may begin at any sector, but are all of one size: one that overlaps begins in the same room or in the next. */
static bool is_taken(const struct check *c, uint32_t entry)
{
    uint64_t room = entry / c->grain;
    uint32_t in = entry % c->grain + 1;
    return c->seen[room] || (room && c->seen[room - 1] > in) || (c->seen[room + 1] && c->seen[room + 1] < in);
}

static void check_entry(struct check *c, uint64_t in, uint32_t entry)
{
    struct vmdk_extent *x = c->x;
    if (!entry || zero_entry(x, entry))
        return;
    c->out->blocks_used++;
    bool outside = entry >= c->sectors;
    bool over_table = !outside && c->tables && regions_touch(c->tables, entry * 512ull, c->grain * 512ull);
    if (outside || over_table || is_taken(c, entry)) {
        image_check_say(c->out, "%s: the grain at 0x%" G_GINT64_MODIFIER "x %s", x->file->path, in,
                        outside      ? "lies outside the file"
                        : over_table ? "lies over a table"
                                     : "has the same place as another");
        corrupt(c, !outside);
    }
    if (!outside)
        c->seen[entry / c->grain] = entry % c->grain + 1;
}

static int check_tables(struct check *c)
{
    struct vmdk_extent *x = c->x;
    int err = 0;
    for (uint32_t i = 0; i < x->tables && !err; i++) {
        struct grain_table *t;
        uint64_t in = (uint64_t)i * x->gtes * x->grain_bytes;
        err = table_at(x, i, &t);
        for (uint32_t k = 0; !err && t && k < x->gtes && in < x->bytes; k++, in += x->grain_bytes)
            check_entry(c, in, t->entry[k]);
    }
    return err;
}

static bool count_leaks(struct check *c, uint64_t used, GError **error)
{
    struct vmdk_extent *x = c->x;
    uint8_t h[512];
    if (!blk_get(x->file, 0, h, sizeof h, "header", error))
        return false;
    uint64_t room = (c->sectors - MIN(c->sectors, get_le64(h + SPARSE_OVERHEAD))) * 512 / x->grain_bytes;
    if (!(x->flags & FLAG_COMPRESSED) && room > used)
        c->out->leaks += room - used;
    c->out->end = MAX(c->out->end, x->end);
    return true;
}

bool vmdk_sparse_check(struct vmdk *v, struct vmdk_extent *x, struct image_check *out, GError **error)
{
    struct check c = {x, out, NULL, (blk_size(x->file) + 511) / 512,
                      x->flags & FLAG_COMPRESSED ? 1 : x->grain_bytes / 512};
    uint64_t used = out->blocks_used;
    if (c.sectors > UINT64_C(1) << 32)
        return damaged(x->file, "too large for its format", error);
    if (!(c.seen = g_try_new0(uint32_t, c.sectors / c.grain + 2)))
        return disk_fail(error, DISK_ERROR_IO, "no memory for the check");
    out->blocks += (x->bytes + x->grain_bytes - 1) / x->grain_bytes;
    find_tables(&c, v);
    int err = check_tables(&c);
    g_clear_pointer(&c.tables, g_array_unref);
    g_free(c.seen);
    if (err)
        return disk_fail_errno(error, -err, "%s: cannot read a grain table", x->file->path);
    return count_leaks(&c, out->blocks_used - used, error);
}
