// SPDX-License-Identifier: GPL-2.0-or-later
/* floppy.h - a floppy disk drive and the medium in it, as the controller (i82077.c) sees them. */
#pragma once
#include "core-vmm/api/drive.h"

#define FLOPPY_SECTOR 512
enum floppy_rate { FLOPPY_500K, FLOPPY_300K, FLOPPY_250K, FLOPPY_1M }; /* as the data rate registers code them */

struct floppy_medium {
    uint32_t kib; /* what fits on it */
    uint8_t tracks, heads, sectors;
    uint8_t rate_40, rate_80; /* enum floppy_rate in a 40- and in an 80-track drive */
};
struct floppy {
    bool real_speed;                     /* steps and turns take their time; by the config */
    struct drive *drive;                 /* NULL: no such drive */
    const struct floppy_medium *medium;  /* NULL: none in it */
    struct floppy_medium by_boot_sector; /* what medium points to if it is of no known size */
    uint8_t type;                        /* as CMOS codes it: 1 360K, 2 1.2M, 3 720K, 4 1.44M, 5 2.88M */
    uint8_t track;                       /* where the heads are */
    bool changed;                        /* the disk change line: the medium was changed and the heads not yet moved */
};
void floppy_attach(struct floppy *f, struct drive *drive); /* the drive's type follows from the medium in it now */
void floppy_medium_changed(struct floppy *f);
/* Steps the heads (negative: outwards) as far as they go; returns whether they are on track 0. */
bool floppy_step(struct floppy *f, int steps);
/* The medium's own number of the track under the heads, or -1 if they stand between two of them. */
int floppy_medium_track(const struct floppy *f);
enum floppy_rate floppy_medium_rate(const struct floppy *f);
/* Does its first sector begin like boot code, by the rule of the PC AT's BIOS?  Others are data disks without one. */
bool floppy_has_boot_code(const struct floppy *f);
