// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshot_diff.h - in what two snapshots of a machine, or one and the present, differ. */
#pragma once
#include "core-vmm/host/look_program.h"
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct setting_diff {
    char *key;       /* "section.key" */
    char *old, *new; /* NULL: it is not there */
};
struct area {
    uint64_t offset, bytes;
};
struct disk_diff {
    char *drive;
    bool only_old, only_new; /* the other has no such disk */
    bool more;               /* than AREAS_MAX areas; the last ones are not listed */
    uint64_t bytes;          /* of all areas */
    GArray *areas;           /* struct area */
    GArray *
        partitions; /* struct partition_diff, of those that both have; NULL: nobody asked, or there is nothing to compare */
    char *why;      /* why there are none; NULL: there are */
};
struct snapshot_diff {
    GArray *settings, *disks;
};
#define DIFF_AREAS_MAX 4096 /* of a disk */
/* b NULL: the present; files: which files of ext2 to ext4, FAT and NTFS have changed, too, which takes longer.  Areas are those that either has written since they parted, also if it wrote what was there; no
 * contents are compared.  The machine may run: then the present is as of some moment.  Forks.  snapshot_diff_free; NULL: an error. */
struct snapshot_diff *snapshots_diff(const char *machine, const char *a, const char *b, bool files, GError **error);
void snapshot_diff_free(struct snapshot_diff *d);
