// SPDX-License-Identifier: GPL-2.0-or-later
/* mc146818.h - what other chips leave in the battery-backed memory for the firmware. */
#pragma once
#include "core-vmm/api/device.h"

/* The types of floppy drives 0 and 1: 0 none, 1 360K, 2 1.2M, 3 720K, 4 1.44M, 5 2.88M.  From another device's init. */
void mc146818_set_floppies(struct device *rtc, unsigned type0, unsigned type1);
/* Must a floppy's boot sector end with 55 AA to be booted? */
void mc146818_set_floppy_check(struct device *rtc, bool on);
/* The drive's geometry of hard disk 0 or 1, for systems that read it here.  After init. */
void mc146818_set_disk(struct device *rtc, unsigned n, unsigned cylinders, unsigned heads, unsigned sectors);
