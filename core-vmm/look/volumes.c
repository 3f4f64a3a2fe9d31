// SPDX-License-Identifier: GPL-2.0-or-later
/* volumes.c - the partitions of a disk, and which of them has a file.
 * Specs: UEFI 2.10, chapter 5 (GPT, and the table of a BIOS's time with its chain of extended ones). */
#include "core-vmm/base/bytes.h"
#include "core-vmm/look/volume.h"
#include <string.h>

enum { BLOCK = 512, TABLE = 446, ENTRY = 16, ENTRIES = 4, SIGNATURE = 510 };
enum { EXTENDED = 0x05, EXTENDED_LBA = 0x0f, EXTENDED_LINUX = 0x85, PROTECTIVE = 0xee };
enum { LOGICAL_MOST = 64, GPT_MOST = 128, GPT_ENTRY = 128 };

static void add(GArray *list, const struct source *disk, unsigned number, uint64_t block, uint64_t blocks)
{
    struct partition p = {number, block * BLOCK, 0, NULL};
    if (block >= disk->bytes / BLOCK)
        return;
    p.bytes = MIN(blocks, disk->bytes / BLOCK - block) * BLOCK;
    if (p.bytes)
        g_array_append_val(list, p);
}

static bool is_extended(uint8_t type)
{
    return type == EXTENDED || type == EXTENDED_LBA || type == EXTENDED_LINUX;
}

/* A table each, with one partition and the place of the next. */
static void add_logical(GArray *list, const struct source *disk, uint64_t first)
{
    uint8_t t[BLOCK];
    uint64_t at = first;
    for (unsigned i = 0; i < LOGICAL_MOST && source_read(disk, at * BLOCK, t, sizeof t); i++) {
        const uint8_t *own = t + TABLE, *next = own + ENTRY;
        if (get_le16(t + SIGNATURE) != 0xaa55)
            return;
        if (own[4])
            add(list, disk, ENTRIES + 1 + i, at + get_le32(own + 8), get_le32(own + 12));
        if (!is_extended(next[4]) || !get_le32(next + 8))
            return;
        at = first + get_le32(next + 8);
    }
}

static void add_gpt(GArray *list, const struct source *disk)
{
    static const uint8_t unused[16];
    uint8_t head[BLOCK], e[GPT_ENTRY];
    if (!source_read(disk, BLOCK, head, sizeof head) || memcmp(head, "EFI PART", 8))
        return;
    uint64_t at = get_le64(head + 72);
    uint32_t count = MIN(get_le32(head + 80), GPT_MOST), size = get_le32(head + 84);
    if (size < sizeof e || size > 4096 || at > disk->bytes / BLOCK)
        return;
    for (uint32_t i = 0; i < count && source_read(disk, at * BLOCK + (uint64_t)i * size, e, sizeof e); i++)
        if (memcmp(e, unused, sizeof unused) && get_le64(e + 40) >= get_le64(e + 32))
            add(list, disk, i + 1, get_le64(e + 32), get_le64(e + 40) - get_le64(e + 32) + 1);
}

/* A file system's first sector may end like a table. */
static bool is_table(const uint8_t *mbr)
{
    bool any = false;
    for (unsigned i = 0; i < ENTRIES; i++) {
        const uint8_t *e = mbr + TABLE + i * ENTRY;
        if (e[0] & 0x7f)
            return false;
        any = any || e[4];
    }
    return get_le16(mbr + SIGNATURE) == 0xaa55 && any;
}

static GArray *look_for_parts(const struct source *disk)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(struct partition));
    uint8_t mbr[BLOCK];
    bool table = source_read(disk, 0, mbr, sizeof mbr) && is_table(mbr);
    for (unsigned i = 0; i < ENTRIES && table; i++) {
        const uint8_t *e = mbr + TABLE + i * ENTRY;
        if (e[4] == PROTECTIVE)
            add_gpt(list, disk);
        else if (is_extended(e[4]))
            add_logical(list, disk, get_le32(e + 8));
        else if (e[4])
            add(list, disk, i + 1, get_le32(e + 8), get_le32(e + 12));
    }
    if (!list->len)
        add(list, disk, 0, 0, disk->bytes / BLOCK);
    return list;
}

/* ---- one of them as a source ---- */

static bool read_within(const struct source *s, uint64_t at, void *to, size_t n)
{
    const struct within *w = s->data;
    return source_read(w->disk, w->at + at, to, n);
}

static const struct volume_kind *kind_of(const struct source *s)
{
    static const struct volume_kind *const kinds[] = {&volume_ext, &volume_ntfs, &volume_fat};
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (kinds[i]->is(s))
            return kinds[i];
    return NULL;
}

bool file_fits(const struct source *disk, uint64_t bytes, const struct file_sink *to)
{
    return to->holes || bytes <= disk->bytes;
}

struct source volumes_source(const struct source *disk, const struct partition *p, struct within *room)
{
    *room = (struct within){disk, p->at};
    return (struct source){.read = read_within, .data = room, .fd = -1, .bytes = p->bytes};
}

GArray *volumes_partitions(const struct source *disk)
{
    GArray *list = look_for_parts(disk);
    for (guint i = 0; i < list->len; i++) {
        struct partition *p = &g_array_index(list, struct partition, i);
        struct within room;
        const struct source s = volumes_source(disk, p, &room);
        p->kind = kind_of(&s);
    }
    return list;
}

const char *volumes_why(enum file_result result)
{
    static const char *const words[] = {
        [FILE_NOT_THERE] = "there is no such file",
        [FILE_NO_FILE] = "that is a folder, or something else that is no plain file",
        [FILE_DAMAGED] = "its file system is damaged, as far as the way to the file goes",
        [FILE_UNREADABLE] = "its file system keeps the file in a way that is not known here",
        [FILE_TOO_LARGE] = "it is larger than its disk: it can only go to a new file, which has its holes, too",
        [FILE_NOT_TAKEN] = "what was read of it cannot be written",
    };
    return words[result];
}

bool volumes_copy(const struct source *disk, unsigned number, const char *path, const struct file_sink *to,
                  const char **why)
{
    g_autoptr(GArray) list = volumes_partitions(disk);
    enum file_result result = FILE_NOT_THERE;
    bool any = false, known = false;
    path += strspn(path, "/");
    for (guint i = 0; i < list->len && (result == FILE_NOT_THERE || result == FILE_NO_FILE); i++) {
        const struct partition *p = &g_array_index(list, struct partition, i);
        struct within room;
        const struct source s = volumes_source(disk, p, &room);
        bool wanted = !number || p->number == number;
        enum file_result r = wanted && p->kind ? p->kind->copy(&s, path, to) : FILE_NOT_THERE;
        result = r == FILE_NOT_THERE ? result : r;
        any |= wanted;
        known |= wanted && p->kind;
    }
    *why = !any     ? "it has no such partition"
           : !known ? "there is no file system that is known here (ext2, ext3, ext4, FAT, NTFS)"
                    : volumes_why(result);
    return result == FILE_DONE;
}
