// SPDX-License-Identifier: GPL-2.0-or-later
/* nic_rom.h - the option ROM of a network card, by which the BIOS boots from the network. */
#pragma once
#include "core-vmm/api/device.h"

enum { NIC_ROM_BYTES = 128 << 10 };
/* The region for the card's table. */
#define NIC_ROM_REGION                                                                                                 \
    {                                                                                                                  \
        .bus = BUS_MEM, .bytes = NIC_ROM_BYTES, .min_size = 1, .max_size = 8, .bar = BAR_ROM                           \
    }

/* In init: fills that region by the section's key `rom` (off, auto, a path).  auto: iPXE as Debian's package ipxe-qemu has it,
 * by its file's name ("pxe-e1000.rom"), unless the machine has a kernel of its own or `network` is not in its `boot`; if the
 * file is not there, the card has no ROM, and the log says so. */
bool nic_rom_init(struct device *d, unsigned region, const struct config *c, const char *name, GError **error);
