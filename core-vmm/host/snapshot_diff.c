// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshot_diff.c - see snapshot_diff.h.
 *
 * Two disks of a machine are images on top of others, down to one that both have.  What lies in the images above that one was written
 * after they parted; everywhere else both show the same.  So their maps say where they may differ, without a look at contents. */
#include "core-vmm/host/snapshot_diff.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/disk_look.h"
#include "core-vmm/host/disk_work.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/host/snapshot_inside.h"
#include "disk-formats/image/image.h"
#include <string.h>

struct side {                        /* one of the two */
    const struct snapshot *snapshot; /* NULL: the present */
    GKeyFile *file;
};
struct pair { /* images of one drive */
    char *drive, *path[2], *format[2];
};
struct diffing {
    char *folder;
    struct snapshot_record *record;
    struct side side[2];
    GArray *pairs; /* struct pair */
    struct snapshot_diff *out;
    GString *said; /* in the child: "OFFSET+BYTES," ... ";" for each drive */
};

static void clear_pair(void *pair)
{
    struct pair *p = pair;
    g_free(p->drive);
    for (unsigned i = 0; i < 2; i++) {
        g_free(p->path[i]);
        g_free(p->format[i]);
    }
}

static void clear_setting(void *setting)
{
    struct setting_diff *s = setting;
    g_free(s->key);
    g_free(s->old);
    g_free(s->new);
}

static void clear_disk(void *disk)
{
    struct disk_diff *d = disk;
    g_free(d->drive);
    g_free(d->why);
    g_array_unref(d->areas);
    g_clear_pointer(&d->partitions, g_array_unref);
}

void snapshot_diff_free(struct snapshot_diff *d)
{
    g_array_unref(d->settings);
    g_array_unref(d->disks);
    g_free(d);
}

/* ---- settings ---- */

static const struct snapshot_disk *disk_of(const struct side *s, const char *drive)
{
    for (guint i = 0; s->snapshot && i < s->snapshot->disks->len; i++) {
        const struct snapshot_disk *d = s->snapshot->disks->pdata[i];
        if (!strcmp(d->drive, drive))
            return d;
    }
    return NULL;
}

/* Which image a disk is in changes with every snapshot, and says nothing. */
static bool is_image(const struct diffing *d, const char *section, const char *key)
{
    return (!strcmp(key, "file") || !strcmp(key, "format")) &&
           (disk_of(&d->side[0], section) || disk_of(&d->side[1], section));
}

static void compare_key(struct diffing *d, const char *section, const char *key)
{
    char *old = g_key_file_get_string(d->side[0].file, section, key, NULL);
    char *new = g_key_file_get_string(d->side[1].file, section, key, NULL);
    struct setting_diff s = {g_strdup_printf("%s.%s", section, key), old, new};
    if (g_strcmp0(old, new) && !is_image(d, section, key))
        g_array_append_val(d->out->settings, s);
    else
        clear_setting(&s);
}

/* All keys of one, and those that only the other has. */
static void compare_settings(struct diffing *d)
{
    for (unsigned i = 0; i < 2; i++) {
        g_auto(GStrv) sections = g_key_file_get_groups(d->side[i].file, NULL);
        for (char **s = sections; *s; s++) {
            g_auto(GStrv) keys = g_key_file_get_keys(d->side[i].file, *s, NULL, NULL);
            for (char **k = keys; k && *k; k++)
                if (!i || !g_key_file_has_key(d->side[0].file, *s, *k, NULL))
                    compare_key(d, *s, *k);
        }
    }
}

/* ---- disks, in the child ---- */

static struct image *common_of(struct image *a, struct image *b)
{
    for (struct image *x = a; x; x = x->parent)
        for (struct image *y = b; y; y = y->parent)
            if (blk_same(x->file, y->file))
                return y;
    return NULL;
}

/* Is it written at offset above the common image?  *until: as far as that is so. */
static bool is_written(struct image *top, const struct image *common, uint64_t offset, uint64_t *until)
{
    bool written = false;
    for (struct image *i = top; i && (!common || !blk_same(i->file, common->file)); i = i->parent) {
        struct extent e;
        if (offset >= i->bytes || image_extent(i, offset, true, &e))
            continue;
        written = written || e.kind != EXTENT_HOLE;
        *until = MIN(*until, e.offset + e.bytes);
    }
    return written;
}

static void tell_areas(struct diffing *d, struct image *a, struct image *b)
{
    uint64_t end = MAX(a->bytes, b->bytes), start = 0, total = 0, count = 0;
    const struct image *common = common_of(a, b);
    bool inside = false;
    for (uint64_t at = 0, until; at <= end; at = until) {
        until = at < end ? end : end + 1;
        bool written = at < end && (is_written(a, common, at, &until) | is_written(b, common, at, &until));
        if (written && !inside)
            start = at;
        if (!written && inside) {
            total += at - start;
            if (count++ < DIFF_AREAS_MAX)
                g_string_append_printf(d->said, "%" G_GUINT64_FORMAT "+%" G_GUINT64_FORMAT ",", start, at - start);
        }
        inside = written;
    }
    g_string_append_printf(d->said, "%" G_GUINT64_FORMAT "=%" G_GUINT64_FORMAT ";", count, total);
}

static int find_areas(void *ctx, int answer)
{
    struct diffing *d = ctx;
    g_autoptr(GError) error = NULL;
    d->said = g_string_new(NULL);
    for (guint i = 0; i < d->pairs->len; i++) {
        const struct pair *p = &g_array_index(d->pairs, struct pair, i);
        const struct image_how a = {.format = p->format[0], .unlocked = true},
                               b = {.format = p->format[1], .unlocked = true};
        struct image *x = image_open(p->path[0], &a, &error), *y = x ? image_open(p->path[1], &b, &error) : NULL;
        if (y)
            tell_areas(d, x, y);
        image_close(x);
        image_close(y);
        if (error)
            return disk_refuse(answer, error);
    }
    disk_answer(answer, d->said->str);
    return 0;
}

/* ---- disks, in the process that asked ---- */

/* The image of a drive on one side; false: there is none. */
static bool image_on(const struct diffing *d, unsigned side, const char *drive, struct pair *p)
{
    const struct side *s = &d->side[side];
    const struct snapshot_disk *known = disk_of(s, drive);
    const struct snapshot_image *image = known ? record_image(d->record, known->file) : NULL;
    g_autofree char *file = s->snapshot ? NULL : g_key_file_get_string(s->file, drive, "file", NULL);
    g_autofree char *format = s->snapshot ? NULL : g_key_file_get_string(s->file, drive, "format", NULL);
    const char *name = known ? known->file : file;
    if (!name || !*name)
        return false;
    p->path[side] = g_canonicalize_filename(name, d->folder);
    p->format[side] = g_strdup(image ? image->format : format ? format : image_format_by_name(name));
    return true;
}

static void add_pair(struct diffing *d, const char *drive)
{
    struct pair p = {g_strdup(drive)};
    bool old = image_on(d, 0, drive, &p), new = image_on(d, 1, drive, &p);
    struct disk_diff one = {g_strdup(drive), old && !new, new && !old,
                            .areas = g_array_new(FALSE, FALSE, sizeof(struct area))};
    bool same = old && new && !strcmp(p.path[0], p.path[1]);
    if (!same && (old || new))
        g_array_append_val(d->out->disks, one);
    else
        clear_disk(&one);
    if (!same && old && new)
        g_array_append_val(d->pairs, p);
    else
        clear_pair(&p);
}

/* A hard disk that came later; one that is only read is in no snapshot, and stays as it is. */
static bool is_new_disk(const struct diffing *d, const char *section)
{
    const struct schema_section *s = schema_find_section(section);
    g_autofree char *media = g_key_file_get_string(d->side[1].file, section, "media", NULL);
    return s && s->drive && strcmp(s->name, "floppy") && g_strcmp0(media, "cdrom") &&
           !g_key_file_has_group(d->side[0].file, section);
}

/* Disks that snapshots have: CDs and floppies are others'. */
static void find_pairs(struct diffing *d)
{
    g_auto(GStrv) sections = d->side[1].snapshot ? NULL : g_key_file_get_groups(d->side[1].file, NULL);
    for (char **s = sections; s && *s; s++)
        if (is_new_disk(d, *s))
            add_pair(d, *s);
    for (unsigned i = 0; i < 2; i++) {
        const struct side *s = &d->side[i];
        for (guint k = 0; s->snapshot && k < s->snapshot->disks->len; k++) {
            const char *drive = ((struct snapshot_disk *)s->snapshot->disks->pdata[k])->drive;
            if (!i || !disk_of(&d->side[0], drive))
                add_pair(d, drive);
        }
    }
}

static struct disk_diff *diff_of(struct diffing *d, const char *drive)
{
    for (guint i = 0; i < d->out->disks->len; i++)
        if (!strcmp(g_array_index(d->out->disks, struct disk_diff, i).drive, drive))
            return &g_array_index(d->out->disks, struct disk_diff, i);
    return NULL;
}

/* "0+65536,131072+65536,2=131072;" for each pair; the child may have said anything. */
static bool take_areas(struct diffing *d, const char *said, GError **error)
{
    char *p = (char *)said;
    for (guint i = 0; i < d->pairs->len; i++) {
        struct disk_diff *one = diff_of(d, g_array_index(d->pairs, struct pair, i).drive);
        uint64_t number = g_ascii_strtoull(p, &p, 10);
        for (; *p == '+' && one->areas->len < DIFF_AREAS_MAX; number = g_ascii_strtoull(p, &p, 10)) {
            struct area a = {number, g_ascii_strtoull(p + 1, &p, 10)};
            g_array_append_val(one->areas, a);
            p += *p == ',';
        }
        if (*p != '=') {
            g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED, "the process that looked at %s answered nonsense",
                        one->drive);
            return false;
        }
        one->more = number > one->areas->len;
        one->bytes = g_ascii_strtoull(p + 1, &p, 10);
        p += *p == ';';
    }
    return true;
}

static bool compare_disks(struct diffing *d, GError **error)
{
    struct fence_files *f = fence_files_new();
    g_autofree char *said = NULL;
    find_pairs(d);
    fence_allow_images(f);
    fence_allow(f, d->folder, FENCE_READ);
    for (guint i = 0; i < d->pairs->len; i++)
        for (unsigned side = 0; side < 2; side++)
            fence_allow_beside(f, g_array_index(d->pairs, struct pair, i).path[side], FENCE_READ | FENCE_DEVICE);
    return disk_work(find_areas, d, f, NULL, &said, error) && take_areas(d, said, error);
}

/* ---- files ---- */

/* What cannot be compared is told of that disk; the others are. */
static void compare_files(const struct pair *p, struct disk_diff *out)
{
    g_autoptr(GError) error = NULL;
    out->partitions = look_compare(p->path, p->format, &error);
    out->why = error ? g_strdup(error->message) : NULL;
}

static void compare_all_files(struct diffing *d)
{
    for (guint i = 0; i < d->pairs->len; i++) {
        const struct pair *p = &g_array_index(d->pairs, struct pair, i);
        compare_files(p, diff_of(d, p->drive));
    }
}

/* ---- all ---- */

static bool load_side(struct diffing *d, const char *machine, unsigned side, const char *which, GError **error)
{
    struct side *s = &d->side[side];
    if (which && !(s->snapshot = snapshots_find(d->record, machine, which, error)))
        return false;
    g_autofree char *old = which ? snapshot_path(d->folder, s->snapshot->id, "ini") : NULL;
    s->file = old ? schema_load(old, error) : machines_settings(machine, error);
    return s->file;
}

struct snapshot_diff *snapshots_diff(const char *machine, const char *a, const char *b, bool files, GError **error)
{
    struct diffing d = {.folder = machines_folder(machine), .record = snapshots_list(machine, error)};
    d.out = g_new0(struct snapshot_diff, 1);
    d.out->settings = g_array_new(FALSE, TRUE, sizeof(struct setting_diff));
    d.out->disks = g_array_new(FALSE, TRUE, sizeof(struct disk_diff));
    d.pairs = g_array_new(FALSE, TRUE, sizeof(struct pair));
    g_array_set_clear_func(d.out->settings, clear_setting);
    g_array_set_clear_func(d.out->disks, clear_disk);
    g_array_set_clear_func(d.pairs, clear_pair);
    bool good = d.record && load_side(&d, machine, 0, a, error) && load_side(&d, machine, 1, b, error);
    if (good) {
        compare_settings(&d);
        good = compare_disks(&d, error);
    }
    if (good && files)
        compare_all_files(&d);
    for (unsigned i = 0; i < 2; i++)
        g_clear_pointer(&d.side[i].file, g_key_file_unref);
    g_clear_pointer(&d.record, record_free);
    g_array_unref(d.pairs);
    g_free(d.folder);
    if (good)
        return d.out;
    snapshot_diff_free(d.out);
    return NULL;
}
