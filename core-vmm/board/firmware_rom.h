// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once
#include "core-vmm/api/device.h"

extern const struct device_ops firmware_rom_ops; /* section [machine], key firmware */
bool firmware_rom_is_uefi(struct device *d);     /* from its init on */
