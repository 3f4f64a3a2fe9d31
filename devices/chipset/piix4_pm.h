// SPDX-License-Identifier: GPL-2.0-or-later
/* piix4_pm.h - where the firmware puts the power management function; the ACPI tables say the same. */
#pragma once
#include "core-vmm/api/device.h"

/* SeaBIOS puts it at PM_BASE.  OVMF has a place of its own, which its ResetSystem() takes for granted. */
enum { PM_BASE = 0x600, PM_BASE_OVMF = 0xb000, PM_EVENT = 0, PM_CONTROL = 4, PM_TIMER = 8, PM_GPE = 12 };
enum { PM_GPE_HOTPLUG = 1 }; /* the DSDT's _E01 */
enum { PM_SMI_COMMAND = 0xb2, PM_ACPI_ENABLE = 0xf1, PM_ACPI_DISABLE = 0xf0 };

/* A general purpose event, 0 to 15.  Takes pm's lock. */
void piix4_pm_event(struct device *pm, unsigned n);
