// SPDX-License-Identifier: GPL-2.0-or-later
/* header.c - the header and its extensions: reading, changing a field, writing a new image. */
#include "core-vmm/base/crc32c.h"
#include "disk-formats/qcow2/qcow2.h"
#include <errno.h>
#include <string.h>

bool qcow2_probe(const uint8_t *head, size_t n, uint64_t file_bytes)
{
    return n >= 8 && get_be32(head) == QCOW2_MAGIC && (get_be32(head + 4) == 2 || get_be32(head + 4) == 3);
}

/* One write within the first sector, between two barriers: what it points to is there before, and what is written next
 * may rely on it. */
int qcow2_write_header_field(struct image *im, unsigned at, const void *value, unsigned bytes)
{
    int err = blk_sync(im->file);
    if (!err)
        err = blk_pwrite(im->file, at, value, bytes);
    return err ? err : blk_sync(im->file);
}

/* ---- reading ---- */

/* The names of the bits that are set, by the image's own table of names where it has one. */
static char *feature_names(const uint8_t *names, uint32_t bytes, uint64_t bits)
{
    GString *s = g_string_new(NULL);
    for (unsigned b = 0; b < 64; b++) {
        const char *name = NULL;
        size_t n = 0;
        for (uint32_t at = 0; names && at + 48 <= bytes && !name; at += 48)
            if (names[at] == 0 && names[at + 1] == b) {
                name = (const char *)names + at + 2;
                n = strnlen(name, 46);
            }
        if (bits >> b & 1)
            g_string_append_printf(s, "%sbit %u%s%.*s%s", s->len ? ", " : "", b, name ? " (" : "", (int)n,
                                   name ? name : "", name ? ")" : "");
    }
    return g_string_free(s, FALSE);
}

static bool check_features(struct image *im, const uint8_t *names, uint32_t bytes, GError **error)
{
    struct qcow2 *s = qcow2_of(im);
    uint64_t unknown =
        s->incompatible & ~(uint64_t)(INCOMPATIBLE_DIRTY | INCOMPATIBLE_CORRUPT | INCOMPATIBLE_DATA_FILE |
                                      INCOMPATIBLE_COMPRESSION | INCOMPATIBLE_EXTENDED_L2);
    if (!unknown)
        return true;
    g_autofree char *which = feature_names(names, bytes, unknown);
    return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s uses qcow2 features that are not supported: %s", im->file->path,
                     which);
}

/* What other programs keep of it when they give the image another parent does not count: hence the name's sum. */
static uint32_t name_sum(const char *parent_name)
{
    return crc32c(0, parent_name, strlen(parent_name));
}

static void use_parent_id(struct image *im, const uint8_t *h)
{
    struct qcow2 *s = qcow2_of(im);
    if (!s->parent_id_at || !im->parent_name)
        return;
    const uint8_t *at = h + s->parent_id_at;
    uint32_t bytes = get_be32(at - 4);
    if (bytes > 5 && bytes < 256 && get_be32(at) == name_sum(im->parent_name) && at[4] != '-')
        im->parent_id = g_strndup((const char *)at + 4, bytes - 4);
}

int qcow2_forget_parent_id(struct image *im)
{
    struct qcow2 *s = qcow2_of(im);
    int err = s->parent_id_at ? qcow2_write_header_field(im, s->parent_id_at + 4, "-", 1) : 0;
    if (!err)
        g_clear_pointer(&im->parent_id, g_free);
    return err;
}

static void read_extension(struct image *im, uint32_t type, const uint8_t *data, uint32_t bytes)
{
    struct qcow2 *s = qcow2_of(im);
    if (type == EXTENSION_BACKING_FORMAT && !im->parent_format)
        im->parent_format = g_strndup((const char *)data, bytes);
    if (type == EXTENSION_DATA_FILE && !s->data_name)
        s->data_name = g_strndup((const char *)data, bytes);
    if (type == EXTENSION_BITMAPS && bytes >= 24) {
        s->bitmap_count = get_be32(data);
        s->bitmaps_bytes = get_be64(data + 8);
        s->bitmaps_offset = get_be64(data + 16);
    }
}

static bool read_extensions(struct image *im, const uint8_t *h, uint32_t at, uint32_t end, GError **error)
{
    struct qcow2 *s = qcow2_of(im);
    const uint8_t *names = NULL;
    uint32_t names_bytes = 0;
    while (at + 8 <= end) {
        uint32_t type = get_be32(h + at), bytes = get_be32(h + at + 4);
        if (type == EXTENSION_END)
            break;
        if (bytes > end - at - 8)
            return disk_fail(error, DISK_ERROR_CORRUPT, "%s: a header extension is longer than the header",
                             im->file->path);
        if (type == EXTENSION_FEATURES) {
            names = h + at + 8;
            names_bytes = bytes;
        }
        if (type == EXTENSION_PARENT_ID)
            s->parent_id_at = at + 8;
        read_extension(im, type, h + at + 8, bytes);
        at += 8 + (bytes + 7) / 8 * 8;
    }
    return check_features(im, names, names_bytes, error);
}

static bool read_backing_name(struct image *im, const uint8_t *h, GError **error)
{
    uint64_t at = get_be64(h + HEADER_BACKING);
    uint32_t bytes = get_be32(h + HEADER_BACKING + 8);
    uint64_t room = MIN(qcow2_of(im)->cluster, blk_size(im->file));
    if (!at)
        return true;
    if (bytes > 1023 || at > room || bytes > room - at || !bytes)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s: the backing file's name is not in the header", im->file->path);
    char name[1024];
    if (!blk_get(im->file, at, name, bytes, "backing file name", error))
        return false;
    im->parent_name = g_strndup(name, bytes);
    if (strstr(im->parent_name, "://") || g_str_has_prefix(im->parent_name, "json:"))
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s: its parent is no file: %s", im->file->path,
                         im->parent_name);
    return true;
}

static bool read_version_3(struct image *im, const uint8_t *h, uint32_t *header_bytes, GError **error)
{
    struct qcow2 *s = qcow2_of(im);
    s->refcount_order = 4;
    *header_bytes = HEADER_V2_BYTES;
    if (s->version == 2)
        return true;
    s->incompatible = get_be64(h + HEADER_INCOMPATIBLE);
    s->compatible = get_be64(h + HEADER_COMPATIBLE);
    s->autoclear = get_be64(h + HEADER_AUTOCLEAR);
    s->refcount_order = get_be32(h + HEADER_REFCOUNT_ORDER);
    *header_bytes = get_be32(h + HEADER_LENGTH);
    s->extended = s->incompatible & INCOMPATIBLE_EXTENDED_L2;
    if (s->refcount_order > 6 || *header_bytes < 104 || *header_bytes > s->cluster)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s: the header is damaged", im->file->path);
    if (*header_bytes > HEADER_COMPRESSION)
        s->compression = h[HEADER_COMPRESSION];
    bool flagged = s->incompatible & INCOMPATIBLE_COMPRESSION;
    if (s->compression > 1 || flagged != (s->compression != 0))
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s: unknown compression type %u", im->file->path,
                         s->compression);
    return true;
}

static bool read_geometry(struct image *im, const uint8_t *h, GError **error)
{
    struct qcow2 *s = qcow2_of(im);
    s->version = get_be32(h + 4);
    s->cluster_bits = get_be32(h + HEADER_CLUSTER_BITS);
    if (get_be32(h) != QCOW2_MAGIC)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s is no qcow2 image", im->file->path);
    if (s->version != 2 && s->version != 3)
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s: qcow2 version %u is not supported", im->file->path,
                         s->version);
    if (s->cluster_bits < 9 || s->cluster_bits > 21)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s: cluster size 2^%u is not possible", im->file->path,
                         s->cluster_bits);
    if (get_be32(h + HEADER_CRYPT))
        return disk_fail(error, DISK_ERROR_UNSUPPORTED, "%s is encrypted, which is not supported", im->file->path);
    s->cluster = UINT64_C(1) << s->cluster_bits;
    im->bytes = (get_be64(h + HEADER_SIZE) + 511) & ~UINT64_C(511);
    s->snapshot_count = get_be32(h + HEADER_SNAPSHOT_COUNT);
    s->snapshots_offset = get_be64(h + HEADER_SNAPSHOTS);
    return im->bytes <= IMAGE_MAX_BYTES || disk_fail(error, DISK_ERROR_CORRUPT, "%s: absurd disk size", im->file->path);
}

/* Where they end at the latest: the parent's name lies behind them. */
static uint64_t extensions_end(struct image *im, const uint8_t *h, uint32_t header_bytes)
{
    uint64_t backing = get_be64(h + HEADER_BACKING), end = MIN(qcow2_of(im)->cluster, blk_size(im->file));
    return backing > header_bytes && backing < end ? backing : end;
}

bool qcow2_read_header(struct image *im, GError **error)
{
    struct qcow2 *s = qcow2_of(im);
    uint8_t first[HEADER_V3_BYTES] = {0};
    uint32_t header_bytes;
    size_t there = MIN(blk_size(im->file), sizeof first);
    if (!blk_get(im->file, 0, first, MAX(there, (size_t)HEADER_V2_BYTES), "header", error) ||
        !read_geometry(im, first, error) || !read_version_3(im, first, &header_bytes, error))
        return false;
    uint64_t end = extensions_end(im, first, header_bytes);
    g_autofree uint8_t *h = g_malloc0(s->cluster);
    if (!blk_get(im->file, 0, h, end, "header", error) || !read_extensions(im, h, header_bytes, end, error))
        return false;
    s->entry_bytes = s->extended ? 16 : 8;
    s->l2_bits = s->cluster_bits - (s->extended ? 4 : 3);
    s->sub_bytes = s->extended ? s->cluster / SUBCLUSTERS : s->cluster;
    if (s->extended && s->cluster_bits < 14)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s: subclusters would be smaller than a sector", im->file->path);
    if (!read_backing_name(im, first, error))
        return false;
    use_parent_id(im, h);
    return true;
}

/* ---- creating ---- */
const char *const qcow2_option_names[] = {"cluster_size",  "compat",        "lazy_refcounts",
                                          "refcount_bits", "extended_l2",   "compression_type",
                                          "data_file",     "data_file_raw", NULL};
struct layout { /* everything in clusters */
    uint64_t cluster, bytes, l1_entries;
    uint64_t reftable, reftable_clusters, block, blocks, l1, l1_clusters, total;
    unsigned cluster_bits, refcount_order, version, compression;
    bool lazy, extended, raw_data;
    const char *data_file;
};

static bool read_options(const struct image_options *o, struct layout *l, GError **error)
{
    static const char *const compat[] = {"0.10", "1.1", "v2", "v3", NULL}, *const types[] = {"zlib", "zstd", NULL};
    uint64_t bits;
    unsigned at;
    if (!image_option_size(o, "cluster_size", 65536, &l->cluster, error) ||
        !image_option_size(o, "refcount_bits", 16, &bits, error) ||
        !image_option_flag(o, "lazy_refcounts", false, &l->lazy, error) ||
        !image_option_flag(o, "extended_l2", false, &l->extended, error) ||
        !image_option_flag(o, "data_file_raw", false, &l->raw_data, error) ||
        !image_option_choice(o, "compression_type", types, 0, &l->compression, error) ||
        !image_option_choice(o, "compat", compat, 1, &at, error))
        return false;
    l->version = 2 + at % 2;
    l->data_file = image_option(o, "data_file");
    uint64_t smallest = l->extended ? 16384 : 512;
    if (l->cluster & (l->cluster - 1) || l->cluster < smallest || l->cluster > 2u << 20)
        return disk_fail(error, DISK_ERROR_USAGE, "cluster_size must be a power of two from %d to 2M", (int)smallest);
    if (!bits || bits > 64 || bits & (bits - 1))
        return disk_fail(error, DISK_ERROR_USAGE, "refcount_bits must be 1, 2, 4, 8, 16, 32 or 64");
    l->cluster_bits = __builtin_ctzll(l->cluster);
    l->refcount_order = __builtin_ctzll(bits);
    if (l->version == 2 && (l->lazy || l->extended || l->compression || l->data_file || bits != 16))
        return disk_fail(error, DISK_ERROR_USAGE, "compat=0.10 has none of the newer options");
    if (l->raw_data && (!l->data_file || o->parent))
        return disk_fail(error, DISK_ERROR_USAGE, "data_file_raw needs data_file, and no parent");
    return true;
}

/* Header, refcount table (large enough for the full disk), refcount blocks for what is there now, L1. */
static bool lay_out(const struct image_options *o, struct layout *l, GError **error)
{
    uint64_t per_l2 = l->cluster * (l->cluster / (l->extended ? 16 : 8)),
             per_block = (l->cluster * 8) >> l->refcount_order;
    l->bytes = o->bytes;
    l->l1_entries = (o->bytes + per_l2 - 1) / per_l2;
    l->l1_clusters = (l->l1_entries * 8 + l->cluster - 1) / l->cluster;
    if (l->l1_entries * 8 > MAX_L1_BYTES)
        return disk_fail(error, DISK_ERROR_USAGE,
                         "with clusters of %" G_GUINT64_FORMAT " bytes a disk has up to %" G_GUINT64_FORMAT " GiB",
                         l->cluster, MAX_L1_BYTES / 8 * per_l2 >> 30);
    uint64_t all = (o->bytes / l->cluster + l->l1_entries + l->l1_clusters) * 17 / 16 + 64;
    l->reftable_clusters = ((all / per_block + 1) * 8 + l->cluster - 1) / l->cluster;
    if (l->reftable_clusters * l->cluster > MAX_TABLE_BYTES)
        l->reftable_clusters = MAX_TABLE_BYTES / l->cluster;
    l->reftable = 1;
    l->block = l->reftable + l->reftable_clusters;
    do {
        l->blocks++;
        l->l1 = l->block + l->blocks;
        l->total = l->l1 + l->l1_clusters;
    } while (l->blocks * per_block < l->total);
    return true;
}

static uint8_t *put_extension(uint8_t *at, uint32_t type, const char *text)
{
    size_t n = text ? strlen(text) : 0;
    put_be32(at, type);
    put_be32(at + 4, n);
    memcpy(at + 8, text ? text : "", n);
    return at + 8 + (n + 7) / 8 * 8;
}

static uint8_t *put_parent_id(uint8_t *at, const char *name, const char *id)
{
    put_be32(at, EXTENSION_PARENT_ID);
    put_be32(at + 4, 4 + strlen(id));
    put_be32(at + 8, name_sum(name));
    memcpy(at + 12, id, strlen(id));
    return at + 8 + (4 + strlen(id) + 7) / 8 * 8;
}

static void fill_header(uint8_t *h, const struct layout *l)
{
    put_be32(h, QCOW2_MAGIC);
    put_be32(h + 4, l->version);
    put_be32(h + HEADER_CLUSTER_BITS, l->cluster_bits);
    put_be64(h + HEADER_SIZE, l->bytes);
    put_be32(h + HEADER_L1_SIZE, l->l1_entries);
    put_be64(h + HEADER_L1, l->l1_clusters ? l->l1 * l->cluster : 0);
    put_be64(h + HEADER_REFTABLE, l->reftable * l->cluster);
    put_be32(h + HEADER_REFTABLE_CLUSTERS, l->reftable_clusters);
    if (l->version == 2)
        return;
    put_be64(h + HEADER_INCOMPATIBLE, (l->data_file ? INCOMPATIBLE_DATA_FILE : 0) |
                                          (l->compression ? INCOMPATIBLE_COMPRESSION : 0) |
                                          (l->extended ? INCOMPATIBLE_EXTENDED_L2 : 0));
    put_be64(h + HEADER_COMPATIBLE, l->lazy ? COMPATIBLE_LAZY_REFCOUNTS : 0);
    put_be64(h + HEADER_AUTOCLEAR, l->raw_data ? AUTOCLEAR_RAW_DATA : 0);
    put_be32(h + HEADER_REFCOUNT_ORDER, l->refcount_order);
    put_be32(h + HEADER_LENGTH, HEADER_V3_BYTES);
    h[HEADER_COMPRESSION] = l->compression;
}

static bool write_header(struct blk_file *f, const struct image_options *o, const struct layout *l, GError **error)
{
    size_t names = (o->parent ? strlen(o->parent) : 0) + (o->parent_format ? strlen(o->parent_format) : 0) +
                   (l->data_file ? strlen(l->data_file) : 0);
    if (HEADER_V3_BYTES + 64 + names > l->cluster || (o->parent && strlen(o->parent) > 1023))
        return disk_fail(error, DISK_ERROR_USAGE, "the parent's name is too long for this cluster size");
    g_autofree uint8_t *h = g_malloc0(l->cluster);
    uint8_t *at = h + (l->version == 2 ? HEADER_V2_BYTES : HEADER_V3_BYTES);
    fill_header(h, l);
    if (o->parent && o->parent_image && image_id_for_child(o->parent_image) &&
        HEADER_V3_BYTES + 192 + names <= l->cluster)
        at = put_parent_id(at, o->parent,
                           image_id_for_child(o->parent_image)); /* first, so that it lies within the first sector */
    if (o->parent_format)
        at = put_extension(at, EXTENSION_BACKING_FORMAT, o->parent_format);
    if (l->data_file)
        at = put_extension(at, EXTENSION_DATA_FILE, l->data_file);
    at = put_extension(at, EXTENSION_END, NULL);
    if (o->parent) {
        put_be64(h + HEADER_BACKING, at - h);
        put_be32(h + HEADER_BACKING + 8, strlen(o->parent));
        memcpy(at, o->parent, strlen(o->parent));
    }
    return blk_put(f, 0, h, l->cluster, error);
}

/* ---- another parent ---- */

static bool is_of_parent(uint32_t type)
{
    return type == EXTENSION_PARENT_ID || type == EXTENSION_BACKING_FORMAT;
}

/* The extensions that are not about the parent, from one header, where they end at `to` at the latest, to another, where at is;
 * NULL: there is no room. */
static uint8_t *keep_extensions(const uint8_t *from, uint64_t begin, uint64_t to, uint8_t *at, const uint8_t *end)
{
    uint64_t bytes;
    for (uint64_t i = begin; i + 8 <= to && get_be32(from + i) != EXTENSION_END; i += bytes) {
        bytes = 8 + ((uint64_t)get_be32(from + i + 4) + 7) / 8 * 8;
        if (is_of_parent(get_be32(from + i)))
            continue;
        if (bytes > (size_t)(end - at) || bytes > to - i)
            return NULL;
        memcpy(at, from + i, bytes);
        at += bytes;
    }
    return at;
}

/* The header anew, in one write between two barriers.  One that is as we make it, with a name of the usual length, lies in the
 * first sector, which a power cut leaves old or new. */
int qcow2_set_parent(struct image *im, const char *name, const char *format, const char *id)
{
    struct qcow2 *s = qcow2_of(im);
    size_t names = strlen(name) + strlen(format) + (id ? strlen(id) : 0);
    uint32_t length = s->version == 2 ? HEADER_V2_BYTES : HEADER_V3_BYTES;
    g_autofree uint8_t *old = g_malloc0(s->cluster + 8), *h = g_malloc0(s->cluster + 8);
    int err = blk_pread(im->file, 0, old, s->cluster);
    if (!err && s->version > 2)
        length = get_be32(old + HEADER_LENGTH);
    if (err || length + names + 96 > s->cluster || strlen(name) > 1023)
        return err ? err : -ENAMETOOLONG;
    memcpy(h, old, length);
    uint8_t *at = keep_extensions(old, length, extensions_end(im, old, length),
                                  id ? put_parent_id(h + length, name, id) : h + length, h + s->cluster - names - 96);
    if (!at)
        return -ENAMETOOLONG;
    at = put_extension(at, EXTENSION_BACKING_FORMAT, format);
    at = put_extension(at, EXTENSION_END, NULL);
    put_be64(h + HEADER_BACKING, at - h);
    put_be32(h + HEADER_BACKING + 8, strlen(name));
    memcpy(at, name, strlen(name));
    return qcow2_write_header_field(im, 0, h, (at - h + strlen(name) + 511) / 512 * 512);
}

static bool write_counts(struct blk_file *f, const struct layout *l, GError **error)
{
    struct qcow2 s = {.cluster_bits = l->cluster_bits, .refcount_order = l->refcount_order};
    uint64_t per_block = UINT64_C(1) << refs_per_block_bits(&s);
    g_autofree uint8_t *block = g_malloc(l->cluster);
    uint8_t entry[8];
    for (uint64_t b = 0; b < l->blocks; b++) {
        memset(block, 0, l->cluster);
        for (uint64_t c = b * per_block; c < MIN((b + 1) * per_block, l->total); c++)
            refcount_store(&s, block, c - b * per_block, 1);
        put_be64(entry, (l->block + b) * l->cluster);
        if (!blk_put(f, (l->block + b) * l->cluster, block, l->cluster, error) ||
            !blk_put(f, l->reftable * l->cluster + b * 8, entry, 8, error))
            return false;
    }
    return true;
}

static bool create_data_file(struct blk_file *f, const struct layout *l, GError **error)
{
    struct blk_file *data = blk_sibling(f, l->data_file, true, error);
    int err = data ? blk_truncate(data, l->bytes) : 0;
    bool ok = data && (!err || disk_fail_errno(error, -err, "%s", data->path));
    blk_close(data);
    return ok;
}

bool qcow2_create(struct blk_file *f, const struct image_options *o, GError **error)
{
    struct layout l = {0};
    if (!read_options(o, &l, error) || !lay_out(o, &l, error))
        return false;
    int err = blk_truncate(f, l.total * l.cluster); /* reads as zeroes: tables are empty */
    if (err)
        return disk_fail_errno(error, -err, "%s", f->path);
    return write_counts(f, &l, error) && (!l.data_file || create_data_file(f, &l, error)) &&
           write_header(f, o, &l, error);
}
