// SPDX-License-Identifier: GPL-2.0-or-later
/* disk_geometry.h - cylinders, heads and sectors of a hard disk.
 *
 * A disk has two geometries: the drive's own, by which ATA commands count (at most 16 heads), and the one by which BIOS
 * calls count (at most 1024 cylinders, 255 heads).  A disk that was partitioned elsewhere says in its partition table by
 * which one that was, and its boot code goes by it. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum { GEOMETRY_SECTORS_MOST = 63, GEOMETRY_DRIVE_HEADS_MOST = 16, GEOMETRY_CYLINDERS_MOST = 16383 };
struct disk_geometry {
    uint16_t cylinders;
    uint8_t heads, sectors; /* sectors per track */
};
bool disk_geometry_parse(const char *text, struct disk_geometry *out); /* "615/4/17" */
/* By which geometry the partition table in the disk's first sector counts; false: none, or it contradicts itself. */
bool disk_geometry_from_table(const uint8_t mbr[512], uint64_t disk_sectors, struct disk_geometry *out);
/* The drive's geometry and the BIOS's for a disk; said: what the user or the partition table says, or NULL. */
void disk_geometry_choose(uint64_t disk_sectors, const struct disk_geometry *said, struct disk_geometry *drive,
                          struct disk_geometry *bios);
