// SPDX-License-Identifier: GPL-2.0-or-later
/* piix3_ide.h - what the board wants to know of the IDE drives. */
#pragma once
#include "core-vmm/api/device.h"
#include "devices/storage/disk_geometry.h"

/* Of ide0 ... ide3 after init; false: no hard disk is there. */
bool piix3_ide_geometry(struct device *d, unsigned number, struct disk_geometry *drive, struct disk_geometry *bios);
