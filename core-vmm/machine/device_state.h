// SPDX-License-Identifier: GPL-2.0-or-later
/* device_state.h - one device as it is saved: what core keeps of it, and what its chip says (sync). */
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
    uint32_t lines; /* the level of each interrupt line */
};
/* state_core.c.  put maps regions and sets levels without telling anybody. */
void device_outside_get(struct device *d, struct device_outside *o);
bool device_outside_put(struct device *d, const struct device_outside *o); /* false: a region cannot be there */

/* The two halves of a device.  Loading: core's first, then the chip's, which sets its timers again, and its lines if they are
 * not what they were (the host's clock has gone on).  The device's lock is held; guest time is what it was.  False: bad
 * data, *error says what. */
bool device_core_sync(struct device *d, struct stream *s, GError **error);
bool device_chip_sync(struct device *d, struct stream *s, uint32_t version, GError **error);
