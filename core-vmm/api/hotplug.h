// SPDX-License-Identifier: GPL-2.0-or-later
/* hotplug.h - the plug of whoever tells the guest that PCI functions come and go.  A machine has at most one. */
#pragma once
#include "core-vmm/api/device.h"

struct hotplug_ops {                                  /* with the device's lock held */
    void (*plugged)(struct device *d, unsigned slot); /* a function is there now */
    void (*asked)(struct device *d, unsigned slot);   /* the user wants it back: the guest shall let go of it */
};
/* Inside a callback; slots: a bit each.  The guest has let go of what is there: it goes as soon as this instruction is over.
 * What cannot go stays. */
void dev_eject(struct device *d, uint32_t slots);
uint32_t dev_removable(struct device *d); /* where nothing is, or what can go */
