// SPDX-License-Identifier: GPL-2.0-or-later
/* device_state.h - one device as it is saved: what core keeps of it, and what its chip says (sync).  The machine and the
 * test bench, which stands in for core, each say how they give and take the former. */
#pragma once
#include "core-vmm/api/device.h"

#define DEVICE_CORE_VERSION 1

/* What core keeps of a device, apart from memory. */
struct device_outside {
    bool pci;
    uint8_t config[256], writable[256];
    struct {
        uint64_t base;
        bool on;
    } region[DEV_REGIONS];
    uint32_t lines;               /* the level of each interrupt line */
    uint64_t timer_at[DEV_TIMERS]; /* DEV_NEVER: not set */
};
/* Core's or the bench's.  put maps regions and sets levels without telling anybody; timers are the chip's to set again. */
void device_outside_get(struct device *d, struct device_outside *o);
bool device_outside_put(struct device *d, const struct device_outside *o); /* false: a region cannot be there */

/* The two halves of a device.  Loading: core's first, then the chip's, which sets its timers and lines again (it finds the
 * levels as they were); a chip that ends with others than were saved has been given nonsense.  The device's lock is held;
 * guest time is what it was.  False: bad data, *error says what. */
bool device_core_sync(struct device *d, struct stream *s, struct device_outside *o, GError **error);
bool device_chip_sync(struct device *d, struct stream *s, uint32_t version, const struct device_outside *o,
                      GError **error);
