// SPDX-License-Identifier: GPL-2.0-or-later
/* qcow2.c - QEMU's copy-on-write image: opening, closing, and the table of its parts.  The theory is in qcow2.h. */
#include "disk-formats/qcow2/qcow2.h"
#include "disk-formats/image/regions.h"
#include <errno.h>
#include <string.h>

bool qcow2_load_table(struct image *im, struct table_in_memory *t, uint64_t offset, uint64_t entries, const char *what,
                      GError **error)
{
    struct qcow2 *s = qcow2_of(im);
    if (offset % s->cluster || offset > INT64_MAX)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s: the %s lies at an impossible place", im->file->path, what);
    uint64_t *entry = g_try_new0(uint64_t, entries + 1);
    if (!entry)
        return disk_fail(error, DISK_ERROR_IO, "%s: no memory for the %s", im->file->path, what);
    if (entries && !blk_get(im->file, offset, entry, entries * 8, what, error)) {
        g_free(entry);
        return false;
    }
    for (uint64_t i = 0; i < entries; i++)
        entry[i] = GUINT64_FROM_BE(entry[i]);
    memory_table_take(t, offset, entry, entries);
    return true;
}

static bool load_tables(struct image *im, GError **error)
{
    struct qcow2 *s = qcow2_of(im);
    uint8_t h[HEADER_REFTABLE_CLUSTERS + 4];
    if (!blk_get(im->file, 0, h, sizeof h, "header", error))
        return false;
    uint64_t l1_entries = get_be32(h + HEADER_L1_SIZE), per_l2 = guest_per_l2(s);
    uint64_t reftable = (uint64_t)get_be32(h + HEADER_REFTABLE_CLUSTERS) << s->cluster_bits;
    if (l1_entries * 8 > MAX_L1_BYTES || reftable > MAX_TABLE_BYTES || !reftable)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s: a table of absurd size", im->file->path);
    if (!im->snapshot && l1_entries < (im->bytes + per_l2 - 1) / per_l2)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s: the L1 table is too small for the disk", im->file->path);
    return qcow2_load_table(im, &s->l1, get_be64(h + HEADER_L1), l1_entries, "L1 table", error) &&
           qcow2_load_table(im, &s->reftable, get_be64(h + HEADER_REFTABLE), reftable / 8, "refcount table", error);
}

static bool open_data_file(struct image *im, GError **error)
{
    struct qcow2 *s = qcow2_of(im);
    s->data = im->file;
    if (!(s->incompatible & INCOMPATIBLE_DATA_FILE))
        return true;
    if (!s->data_name)
        return disk_fail(error, DISK_ERROR_CORRUPT, "%s: keeps its data in another file but does not name it",
                         im->file->path);
    s->data = blk_sibling(im->file, s->data_name, false, error);
    return s->data != NULL;
}

static int recount(struct image *im)
{
    g_autoptr(GError) error = NULL;
    struct image_check c;
    image_check_init(&c);
    bool ok = qcow2_check(im, true, &c, &error);
    image_check_clear(&c);
    if (!ok)
        g_warning("%s: its clusters cannot be counted: %s", im->file->path, error->message);
    return ok ? 0 : -EBADMSG;
}

/* An image left dirty by a user of lazy refcounts is recounted; features that we do not keep up are cleared. */
static int qcow2_ready(struct image *im)
{
    struct qcow2 *s = qcow2_of(im);
    uint8_t field[8];
    uint64_t keep = s->autoclear & (s->data != im->file ? AUTOCLEAR_RAW_DATA : 0);
    int err = s->incompatible & INCOMPATIBLE_DIRTY ? recount(im) : 0;
    put_be64(field, keep);
    if (!err && s->version >= 3 && keep != s->autoclear)
        err = qcow2_write_header_field(im, HEADER_AUTOCLEAR, field, sizeof field);
    s->autoclear = err ? s->autoclear : keep;
    return err;
}

static void add_pointed(GArray *r, const struct qcow2 *s, const struct table_in_memory *t)
{
    regions_add(r, t->offset, (t->entries * 8ull + s->cluster - 1) / s->cluster * s->cluster);
    for (uint32_t i = 0; i < t->entries; i++)
        if (t->entry[i] & L1_OFFSET_MASK)
            regions_add(r, t->entry[i] & L1_OFFSET_MASK, s->cluster);
}

/* Header, L1, L2 tables, refcount table and blocks.  That data lie over tables is seen when they are looked up. */
static bool tables_apart(struct image *im, GError **error)
{
    struct qcow2 *s = qcow2_of(im);
    g_autoptr(GArray) r = regions_new();
    uint64_t at;
    if (!im->writable || im->repair)
        return true;
    regions_add(r, 0, s->cluster);
    add_pointed(r, s, &s->l1);
    add_pointed(r, s, &s->reftable);
    return !regions_clash(r, &at) ||
           disk_fail(
               error, DISK_ERROR_CORRUPT,
               "%s is damaged (two tables overlap at 0x%" G_GINT64_MODIFIER "x): it can be read, but is not "
               "written; see whether it can be repaired (vmctl disk check --repair), or copy what it holds (vmctl disk "
               "convert)",
               im->file->path, at);
}

/* Counting all clusters takes its time, which is worth it where there are not too many.  Counts of a dirty image are wrong
 * anyway, and made right before it is changed. */
static bool is_quickly_checked(const struct image *im)
{
    const struct qcow2 *s = qcow2_of(im);
    uint64_t tables = 0;
    for (uint32_t i = 0; i < s->l1.entries; i++)
        tables += (s->l1.entry[i] & L1_OFFSET_MASK) != 0;
    return !(s->incompatible & INCOMPATIBLE_DIRTY) && tables << s->cluster_bits <= CHECK_FIRST_BYTES &&
           blk_size(im->file) >> s->cluster_bits <= CHECK_FIRST_CLUSTERS;
}

static bool may_write(struct image *im, GError **error)
{
    bool corrupt = qcow2_of(im)->incompatible & INCOMPATIBLE_CORRUPT && im->writable && !im->repair;
    return !corrupt ||
           disk_fail(error, DISK_ERROR_CORRUPT,
                     "%s is marked as corrupt: it can be read; \"disk check --repair\" may help", im->file->path);
}

static bool qcow2_open(struct image *im, GError **error)
{
    struct qcow2 *s = g_new0(struct qcow2, 1);
    im->state = s;
    g_mutex_init(&s->lock);
    g_mutex_init(&s->unpack_lock);
    s->dropped = g_array_new(FALSE, FALSE, sizeof(struct dropped));
    s->data = im->file;
    if (!qcow2_read_header(im, error))
        return false;
    unsigned limit = MAX(CACHE_BYTES >> s->cluster_bits, 16u);
    tables_init(&s->l2, limit);
    tables_init(&s->blocks, limit / 2);
    im->block_bytes = s->cluster;
    im->cut_end = true;
    im->many_files = s->data_name != NULL;
    im->snapshots = s->snapshot_count > 0;
    if (!load_tables(im, error) || !open_data_file(im, error))
        return false;
    if (im->snapshot && !qcow2_show_snapshot(im, im->snapshot, error))
        return false;
    im->snapshot = NULL;
    im->put_off = s->incompatible & INCOMPATIBLE_DIRTY;
    im->check_first = is_quickly_checked(im);
    return may_write(im, error) && tables_apart(im, error);
}

/* A second commit writes the counts that the first one lowered. */
static void qcow2_close(struct image *im)
{
    struct qcow2 *s = qcow2_of(im);
    if (im->writable && s->l2.by_offset) {
        if (s->dropped->len)
            qcow2_flush(im);
        if (s->blocks.dirty)
            qcow2_flush(im);
    }
    if (s->l2.by_offset) {
        tables_clear(&s->l2);
        tables_clear(&s->blocks);
    }
    memory_table_clear(&s->l1);
    memory_table_clear(&s->reftable);
    if (s->data != im->file)
        blk_close(s->data);
    g_array_unref(s->dropped);
    g_mutex_clear(&s->lock);
    g_mutex_clear(&s->unpack_lock);
    g_free(s->data_name);
    g_free(s->unpacked);
    g_free(s);
    im->state = NULL;
}

static bool qcow2_uses(const struct image *im, const char *path)
{
    return blk_has_name(qcow2_of(im)->data, path);
}

static void snapshot_facts(struct image *im, struct image_info *out)
{
    g_autoptr(GArray) list = NULL;
    if (!qcow2_snapshots(im, &list, NULL))
        return;
    for (guint i = 0; i < list->len; i++) {
        struct qcow2_snapshot *n = &g_array_index(list, struct qcow2_snapshot, i);
        g_autofree char *text = g_strdup_printf("%s \"%s\", %" G_GUINT64_FORMAT " bytes", n->id, n->name, n->bytes);
        image_info_text(out, "snapshot", text);
    }
}

static void qcow2_info(struct image *im, struct image_info *out)
{
    static const char *const compression[] = {"zlib", "zstd"};
    struct qcow2 *s = qcow2_of(im);
    image_info_text(out, "compat", s->version == 2 ? "0.10" : "1.1");
    image_info_number(out, "cluster-size", s->cluster);
    image_info_number(out, "refcount-bits", 1u << s->refcount_order);
    image_info_text(out, "compression-type", compression[s->compression]);
    image_info_text(out, "lazy-refcounts", s->compatible & COMPATIBLE_LAZY_REFCOUNTS ? "on" : "off");
    image_info_text(out, "extended-l2", s->extended ? "on" : "off");
    image_info_text(out, "corrupt", s->incompatible & INCOMPATIBLE_CORRUPT ? "yes" : "no");
    image_info_text(out, "dirty", s->incompatible & INCOMPATIBLE_DIRTY ? "yes" : "no");
    if (s->data_name)
        image_info_text(out, "data-file", s->data_name);
    snapshot_facts(im, out);
}

static char **qcow2_alike(struct image *im)
{
    const struct qcow2 *s = qcow2_of(im);
    if (s->data_name)
        return NULL;
    char **options = g_new0(char *, 7), **o = options;
    *o++ = g_strdup_printf("cluster_size=%" G_GUINT64_FORMAT, s->cluster);
    *o++ = g_strdup_printf("compat=%s", s->version == 2 ? "0.10" : "1.1");
    *o++ = g_strdup_printf("refcount_bits=%u", 1u << s->refcount_order);
    *o++ = g_strdup_printf("lazy_refcounts=%s", s->compatible & COMPATIBLE_LAZY_REFCOUNTS ? "on" : "off");
    *o++ = g_strdup_printf("extended_l2=%s", s->extended ? "on" : "off");
    *o++ = g_strdup_printf("compression_type=%s", s->compression ? "zstd" : "zlib");
    return options;
}

const struct image_format format_qcow2 = {
    .name = "qcow2",
    .summary = "QEMU copy-on-write, versions 2 and 3",
    .options = qcow2_option_names,
    .parents = true,
    .at_hand = true,
    .preallocate = true,
    .probe = qcow2_probe,
    .create = qcow2_create,
    .open = qcow2_open,
    .extent = qcow2_extent,
    .read = qcow2_read_compressed,
    .ready = qcow2_ready,
    .place = qcow2_place,
    .link = qcow2_link,
    .unplace = qcow2_unplace,
    .sync = qcow2_sync,
    .flush = qcow2_flush,
    .discard = qcow2_discard,
    .zero = qcow2_zero,
    .compress = qcow2_compress,
    .append = qcow2_append,
    .may_resize = qcow2_may_resize,
    .resize = qcow2_resize,
    .uses = qcow2_uses,
    .alike = qcow2_alike,
    .forget_parent_id = qcow2_forget_parent_id,
    .set_parent = qcow2_set_parent,
    .check = qcow2_check,
    .info = qcow2_info,
    .close = qcow2_close,
};
