// SPDX-License-Identifier: GPL-2.0-or-later
/* partitions.c - how a disk is partitioned, and whether a boot loader was installed on it.
 * Specs: UEFI 2.10, chapter 5 (GPT) and 13.3 (FAT); Microsoft's FAT specification 1.03.
 *
 * Partitioning programs write a first sector too, whose code does no more than start the active partition; so a disk counts as
 * one that a BIOS can boot only if a boot loader's own code stands there: GRUB's, SYSLINUX's, LILO's or Windows'. */
#include "core-vmm/look/look.h"
#include "core-vmm/base/bytes.h"
#include <string.h>

enum { BLOCK = 512, TABLE = 446, ENTRY = 16, ENTRIES = 4, SIGNATURE = 510, TYPE_GPT = 0xee, TYPE_ESP = 0xef };

static bool has_text(const uint8_t *p, size_t n, const char *text)
{
    return memmem(p, n, text, strlen(text)) != NULL;
}

static bool is_loader(const uint8_t *sector)
{
    static const char *const texts[] = {"GRUB",    "SYSLINUX", "EXTLINUX", "LILO", "Missing operating system",
                                        "BOOTMGR", "BTX"};
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++)
        if (has_text(sector, TABLE, texts[i]))
            return true;
    return false;
}

/* ---- FAT: has its root folder one of this name (11 characters)? ---- */

static bool names_hold(const struct source *s, uint64_t at, uint64_t bytes, const char *name)
{
    uint8_t e[32];
    for (uint64_t i = 0; i < MIN(bytes, 65536) && source_read(s, at + i, e, sizeof e) && *e; i += sizeof e)
        if (!memcmp(e, name, 11) && e[11] & 0x10)
            return true;
    return false;
}

/* Its first cluster only: an EFI system partition has few names in its root. */
static bool fat_has_folder(const struct source *s, uint64_t at, const char *name)
{
    uint8_t b[BLOCK];
    if (!source_read(s, at, b, sizeof b) || get_le16(b + SIGNATURE) != 0xaa55)
        return false;
    uint64_t sector = get_le16(b + 11), cluster = b[13] * sector, reserved = get_le16(b + 14), fats = b[16];
    uint64_t root_entries = get_le16(b + 17), per_fat = get_le16(b + 22);
    if (sector < 512 || sector > 4096 || !cluster)
        return false;
    per_fat = per_fat ? per_fat : get_le32(b + 36);
    uint64_t root = at + (reserved + fats * per_fat) * sector, first = get_le32(b + 44);
    if (root_entries)
        return names_hold(s, root, root_entries * 32, name);
    return first >= 2 && names_hold(s, root + (first - 2) * cluster, cluster, name);
}

static void look_esp(const struct source *s, uint64_t at, struct partitions *p)
{
    p->esp = true;
    p->uefi = p->uefi || fat_has_folder(s, at, "EFI        ");
}

/* ---- tables ---- */

static void look_gpt(const struct source *s, struct partitions *p)
{
    static const uint8_t esp[16] = {0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11,
                                    0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b};
    enum { MOST = 128 };
    uint8_t head[BLOCK], e[128];
    if (!source_read(s, BLOCK, head, sizeof head) || memcmp(head, "EFI PART", 8))
        return;
    uint64_t at = get_le64(head + 72);
    uint32_t count = get_le32(head + 80), size = get_le32(head + 84);
    p->gpt = p->any = true;
    if (size < sizeof e || size > 4096 || at > s->bytes / BLOCK)
        return;
    for (uint32_t i = 0; i < MIN(count, MOST) && source_read(s, at * BLOCK + (uint64_t)i * size, e, sizeof e); i++)
        if (!memcmp(e, esp, sizeof esp) && get_le64(e + 32) < s->bytes / BLOCK)
            look_esp(s, get_le64(e + 32) * BLOCK, p);
}

void partitions_look(const struct source *s, struct partitions *p)
{
    uint8_t mbr[BLOCK];
    *p = (struct partitions){0};
    if (!source_read(s, 0, mbr, sizeof mbr) || get_le16(mbr + SIGNATURE) != 0xaa55)
        return;
    p->bios = is_loader(mbr);
    for (unsigned i = 0; i < ENTRIES; i++) {
        const uint8_t *e = mbr + TABLE + i * ENTRY;
        p->any = p->any || e[4];
        if (e[4] == TYPE_ESP)
            look_esp(s, (uint64_t)get_le32(e + 8) * BLOCK, p);
        if (e[4] == TYPE_GPT)
            look_gpt(s, p);
    }
}
