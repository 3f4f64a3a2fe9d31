// SPDX-License-Identifier: GPL-2.0-or-later
/* volume_fat.c - FAT12, FAT16 and FAT32 with long names.  Spec: Microsoft's FAT specification 1.03.
 *
 * No library of the usual distributions reads FAT from anything but a file or a device.  Chains of clusters are followed for no
 * longer than there are clusters; a name is looked for in the first 64 MiB of a folder. */
#include "core-vmm/base/bytes.h"
#include "core-vmm/look/volume.h"
#include <string.h>

enum { BOOT = 512, ENTRY = 32, LONG_UNITS = 13, LONG_MOST = 20, NAME = 11, FOLDER_ENTRIES_MOST = 2 << 20 };
enum { ATTR_VOLUME = 0x08, ATTR_FOLDER = 0x10, ATTR_LONG = 0x0f, LAST = 0x40, DELETED = 0xe5 };
enum { FAT12_LESS = 4085, FAT16_LESS = 65525 };

struct fat {
    const struct source *s;
    uint64_t table, root, data, cluster; /* places, and bytes of a cluster */
    uint32_t clusters, root_cluster, root_entries;
    unsigned bits;
};
struct place {          /* a folder, or a file */
    bool fixed, folder; /* fixed: the root of FAT12 and FAT16 */
    uint32_t cluster, bytes;
};

static bool fat_open(const struct source *s, struct fat *f)
{
    uint8_t b[BOOT];
    if (!source_read(s, 0, b, sizeof b) || get_le16(b + 510) != 0xaa55 || (b[0] != 0xeb && b[0] != 0xe9))
        return false;
    uint64_t sector = get_le16(b + 11), per = b[13], reserved = get_le16(b + 14), tables = b[16];
    uint64_t all = get_le16(b + 19) ? get_le16(b + 19) : get_le32(b + 32);
    uint64_t each = get_le16(b + 22) ? get_le16(b + 22) : get_le32(b + 36);
    if (sector < 512 || sector > 4096 || sector & (sector - 1) || !per || per & (per - 1) || !reserved || !tables ||
        tables > 2)
        return false;
    *f = (struct fat){.s = s, .cluster = per * sector, .root_entries = get_le16(b + 17)};
    uint64_t root_sectors = ((uint64_t)f->root_entries * ENTRY + sector - 1) / sector;
    uint64_t before = reserved + tables * each + root_sectors;
    if (before >= all || !each)
        return false;
    f->table = reserved * sector;
    f->root = (reserved + tables * each) * sector;
    f->data = before * sector;
    f->clusters = MIN((all - before) / per, 0x0ffffff5);
    f->bits = f->clusters < FAT12_LESS ? 12 : f->clusters < FAT16_LESS ? 16 : 32;
    f->root_cluster = f->bits == 32 ? get_le32(b + 44) : 0;
    return (f->bits == 32) == !f->root_entries;
}

static bool fat_is(const struct source *s)
{
    struct fat f;
    return fat_open(s, &f);
}

/* 0: there is none. */
static uint32_t next_of(const struct fat *f, uint32_t cluster)
{
    uint8_t e[4] = {0};
    uint64_t at = f->table + (f->bits == 12 ? cluster + cluster / 2 : (uint64_t)cluster * f->bits / 8);
    if (!source_read(f->s, at, e, f->bits == 32 ? 4 : 2))
        return 0;
    uint32_t next = f->bits == 12   ? (get_le16(e) >> (cluster & 1) * 4) & 0xfff
                    : f->bits == 16 ? get_le16(e)
                                    : get_le32(e) & 0x0fffffff;
    return next >= 2 && next < f->clusters + 2 ? next : 0;
}

static bool is_cluster(const struct fat *f, uint32_t cluster)
{
    return cluster >= 2 && cluster < f->clusters + 2;
}

static uint64_t cluster_at(const struct fat *f, uint32_t cluster)
{
    return f->data + (uint64_t)(cluster - 2) * f->cluster;
}

/* ---- names ---- */

struct walk { /* over a folder's entries */
    const struct fat *f;
    struct place folder;
    uint32_t cluster, index, steps; /* index: in the cluster, or the fixed root */
};

static bool next_entry(struct walk *w, uint8_t *e)
{
    const struct fat *f = w->f;
    if (w->folder.fixed)
        return w->index < f->root_entries && source_read(f->s, f->root + (uint64_t)w->index++ * ENTRY, e, ENTRY);
    if (w->index == f->cluster / ENTRY) {
        w->cluster = next_of(f, w->cluster);
        w->index = 0;
    }
    return is_cluster(f, w->cluster) && ++w->steps < FOLDER_ENTRIES_MOST &&
           source_read(f->s, cluster_at(f, w->cluster) + (uint64_t)w->index++ * ENTRY, e, ENTRY);
}

/* A part of a long name; parts come from the end to the beginning. */
static void take_long(gunichar2 *name, const uint8_t *e)
{
    static const uint8_t at[LONG_UNITS] = {1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30};
    unsigned part = e[0] & ~LAST;
    if (e[0] & LAST)
        memset(name, 0, (LONG_MOST * LONG_UNITS + 1) * sizeof *name);
    if (!part || part > LONG_MOST)
        return;
    for (unsigned i = 0; i < LONG_UNITS; i++) {
        unsigned unit = get_le16(e + at[i]);
        name[(part - 1) * LONG_UNITS + i] = unit == 0xffff ? 0 : unit;
    }
}

/* Windows NT and later note that a name, or what is behind its dot, is all in small letters. */
static char *short_name(const uint8_t *e)
{
    enum { SMALL_NAME = 0x08, SMALL_ENDING = 0x10 };
    char text[NAME + 2];
    unsigned n = 0;
    for (unsigned i = 0; i < NAME; i++) {
        if (i == 8 && e[8] != ' ')
            text[n++] = '.';
        if (e[i] != ' ')
            text[n++] = e[12] & (i < 8 ? SMALL_NAME : SMALL_ENDING) ? g_ascii_tolower(e[i]) : e[i];
    }
    return g_utf8_make_valid(text, n);
}

static bool same_name(const char *a, const char *b)
{
    g_autofree char *x = g_utf8_casefold(a, -1), *y = g_utf8_casefold(b, -1);
    return !strcmp(x, y);
}

static bool has_name(const uint8_t *e, const gunichar2 *units, const char *name)
{
    g_autofree char *own = short_name(e), *full = *units ? g_utf16_to_utf8(units, -1, NULL, NULL, NULL) : NULL;
    return same_name(own, name) || (full && same_name(full, name));
}

static bool find(const struct fat *f, const struct place *folder, const char *name, struct place *out)
{
    struct walk w = {.f = f, .folder = *folder, .cluster = folder->cluster};
    gunichar2 units[LONG_MOST * LONG_UNITS + 1] = {0};
    uint8_t e[ENTRY];
    while (next_entry(&w, e) && e[0]) {
        if (e[0] != DELETED && (e[11] & 0x3f) == ATTR_LONG) {
            take_long(units, e);
            continue;
        }
        if (e[0] != DELETED && !(e[11] & ATTR_VOLUME) && has_name(e, units, name)) {
            *out = (struct place){.folder = e[11] & ATTR_FOLDER, .bytes = get_le32(e + 28)};
            out->cluster = get_le16(e + 26) | (f->bits == 32 ? (uint32_t)get_le16(e + 20) << 16 : 0);
            return true;
        }
        units[0] = 0;
    }
    return false;
}

/* ---- a file ---- */

static enum file_result copy_file(const struct fat *f, const struct place *p, const struct file_sink *to)
{
    g_autofree uint8_t *some = g_malloc(f->cluster);
    uint32_t cluster = p->cluster;
    for (uint32_t at = 0; at < p->bytes;) { /* no longer than a file can be, whatever the chain does */
        size_t n = MIN(f->cluster, p->bytes - at);
        if (!is_cluster(f, cluster) || !source_read(f->s, cluster_at(f, cluster), some, n))
            return FILE_DAMAGED;
        if (!to->put(to->ctx, some, n))
            return FILE_NOT_TAKEN;
        at += n;
        cluster = next_of(f, cluster);
    }
    return FILE_DONE;
}

static enum file_result fat_copy(const struct source *s, const char *path, const struct file_sink *to)
{
    struct fat f;
    g_auto(GStrv) names = g_strsplit(path, "/", -1);
    if (!fat_open(s, &f) || !g_utf8_validate(path, -1, NULL))
        return FILE_NOT_THERE;
    struct place at = {.folder = true, .fixed = f.bits != 32, .cluster = f.root_cluster};
    for (char **n = names; *n; n++) {
        struct place next;
        if (!**n)
            continue;
        if (!at.folder || !find(&f, &at, *n, &next))
            return FILE_NOT_THERE;
        at = next;
    }
    return at.folder ? FILE_NO_FILE : copy_file(&f, &at, to);
}

/* ---- a folder ---- */

#define FIXED_ROOT (UINT64_C(1) << 32) /* as the number of a folder: else its first cluster */

static void *fat_open_to_list(const struct source *s, uint64_t *root)
{
    struct fat *f = g_new0(struct fat, 1);
    if (fat_open(s, f)) {
        *root = f->bits == 32 ? f->root_cluster : FIXED_ROOT;
        return f;
    }
    g_free(f);
    return NULL;
}

static void take_entry(const struct fat *f, const uint8_t *e, struct volume_entry *out)
{
    out->folder = e[11] & ATTR_FOLDER;
    out->id = get_le16(e + 26) | (f->bits == 32 ? (uint32_t)get_le16(e + 20) << 16 : 0);
    out->marks[0] = get_le32(e + 28);
    out->marks[1] = get_le32(e + 22); /* time and day of the last write */
    out->marks[2] = out->folder ? 0 : out->id;
    out->marks[3] = e[11];
}

static enum file_result fat_list(void *volume, uint64_t folder, volume_entry_fn fn, void *ctx)
{
    const struct fat *f = volume;
    struct walk w = {.f = f, .folder.fixed = folder == FIXED_ROOT, .cluster = folder};
    gunichar2 units[LONG_MOST * LONG_UNITS + 1] = {0};
    uint8_t e[ENTRY];
    bool goes_on = true;
    while (goes_on && next_entry(&w, e) && e[0]) {
        if (e[0] != DELETED && (e[11] & 0x3f) == ATTR_LONG) {
            take_long(units, e);
            continue;
        }
        if (e[0] != DELETED && !(e[11] & ATTR_VOLUME) && e[0] != '.') {
            g_autofree char *own = short_name(e), *full = *units ? g_utf16_to_utf8(units, -1, NULL, NULL, NULL) : NULL;
            struct volume_entry out = {.name = full ? full : own};
            take_entry(f, e, &out);
            goes_on = strchr(out.name, '/') || fn(ctx, &out);
        }
        units[0] = 0;
    }
    return goes_on ? FILE_DONE : FILE_NOT_TAKEN;
}

const struct volume_kind volume_fat = {"FAT", fat_is, fat_open_to_list, fat_list, g_free, fat_copy};
