// SPDX-License-Identifier: GPL-2.0-or-later
/* disk_geometry.c - see disk_geometry.h.  Sources: ATA/ATAPI-5, annex on CHS translation; Phoenix, "Enhanced Disk Drive
 * Specification" 3.0, for how BIOSes translate. */
#include "devices/storage/disk_geometry.h"
#include "core-vmm/base/bytes.h"
#include <stdio.h>

enum { TABLE = 446, ENTRY = 16, ENTRIES = 4, BIOS_CYLINDERS = 1024, BIOS_HEADS = 255 };

bool disk_geometry_parse(const char *text, struct disk_geometry *out)
{
    unsigned c, h, s;
    char rest;
    if (sscanf(text, "%5u/%3u/%2u%c", &c, &h, &s, &rest) != 3 || !c || !h || !s || c > UINT16_MAX || h > BIOS_HEADS ||
        s > GEOMETRY_SECTORS_MOST)
        return false;
    *out = (struct disk_geometry){c, h, s};
    return true;
}

/* Is this the sector at chs (head, sector and high cylinder bits, cylinder), by g?  Places behind cylinder 1023 cannot be
 * written down. */
static bool stands_for(const struct disk_geometry *g, const uint8_t chs[3], uint64_t lba)
{
    unsigned cylinder = chs[2] | (chs[1] & 0xc0) << 2, head = chs[0], sector = chs[1] & 63;
    uint64_t track = lba / g->sectors;
    if (track / g->heads >= BIOS_CYLINDERS - 1)
        return cylinder >= BIOS_CYLINDERS - 2;
    return cylinder == track / g->heads && head == track % g->heads && sector == lba % g->sectors + 1;
}

/* Partitions end with a cylinder, so the last head and sector of one are the last of all. */
static bool by_entry(const uint8_t *e, uint64_t disk_sectors, struct disk_geometry *g)
{
    uint64_t start = get_le32(e + 8), count = get_le32(e + 12);
    g->heads = MIN(e[5] + 1, BIOS_HEADS);
    g->sectors = e[6] & 63;
    if (!count || e[5] == 0 || !g->sectors || start + count > disk_sectors)
        return false;
    g->cylinders = MIN(disk_sectors / (g->heads * g->sectors), UINT16_MAX);
    return g->cylinders && stands_for(g, e + 1, start) && stands_for(g, e + 5, start + count - 1);
}

bool disk_geometry_from_table(const uint8_t mbr[512], uint64_t disk_sectors, struct disk_geometry *out)
{
    if (mbr[510] != 0x55 || mbr[511] != 0xaa)
        return false;
    for (unsigned n = 0; n < ENTRIES; n++)
        if (by_entry(mbr + TABLE + n * ENTRY, disk_sectors, out))
            return true;
    return false;
}

/* As BIOSes do it with a disk that LBA reaches: 63 sectors, and as many heads as it takes. */
static struct disk_geometry translated(uint64_t disk_sectors)
{
    static const uint8_t heads[] = {16, 32, 64, 128, BIOS_HEADS};
    unsigned n = 0;
    while (n < G_N_ELEMENTS(heads) - 1 && disk_sectors / (heads[n] * 63u) > BIOS_CYLINDERS)
        n++;
    uint64_t cylinders = disk_sectors / (heads[n] * 63u);
    return (struct disk_geometry){CLAMP(cylinders, 1, BIOS_CYLINDERS), heads[n], 63};
}

void disk_geometry_choose(uint64_t disk_sectors, const struct disk_geometry *said, struct disk_geometry *drive,
                          struct disk_geometry *bios)
{
    uint64_t usual = disk_sectors / (GEOMETRY_DRIVE_HEADS_MOST * GEOMETRY_SECTORS_MOST);
    *drive = (struct disk_geometry){CLAMP(usual, 1, GEOMETRY_CYLINDERS_MOST), GEOMETRY_DRIVE_HEADS_MOST,
                                    GEOMETRY_SECTORS_MOST};
    if (said && said->heads <= GEOMETRY_DRIVE_HEADS_MOST)
        *drive = *said;
    *bios = said ? *said : translated(disk_sectors);
    bios->cylinders = MIN(bios->cylinders, BIOS_CYLINDERS);
}
