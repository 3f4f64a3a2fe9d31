// SPDX-License-Identifier: GPL-2.0-or-later
/* piix4_pm.h - where the firmware puts the power management function; the ACPI tables say the same. */
#pragma once
#include "core-vmm/api/device.h"

enum { PM_BASE = 0x600, PM_EVENT = 0, PM_CONTROL = 4, PM_TIMER = 8, PM_GPE = 12 };
enum { PM_GPE_HOTPLUG = 1 }; /* the DSDT's _E01 */
enum { PM_SMI_COMMAND = 0xb2, PM_ACPI_ENABLE = 0xf1, PM_ACPI_DISABLE = 0xf0 };

/* Its ports are at PM_BASE from reset on: UEFI firmware would put them elsewhere, but leaves them where they are.  While the
 * machine is built. */
void piix4_pm_set_up(struct device *pm);
/* A general purpose event, 0 to 15.  Takes pm's lock. */
void piix4_pm_event(struct device *pm, unsigned n);
