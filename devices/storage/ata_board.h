// SPDX-License-Identifier: GPL-2.0-or-later
/* ata_board.h - what the board wants to know of the drives of ATA controllers. */
#pragma once
#include "core-vmm/api/device.h"
#include "devices/storage/disk_geometry.h"

/* Of ide0 ... ide3, of sata0 ... sata5, after init; false: no hard disk is there. */
bool piix3_ide_geometry(struct device *d, unsigned number, struct disk_geometry *drive, struct disk_geometry *bios);
bool ahci_geometry(struct device *d, unsigned number, struct disk_geometry *drive, struct disk_geometry *bios);
