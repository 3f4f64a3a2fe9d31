// SPDX-License-Identifier: GPL-2.0-or-later
/* balloon.h - the plug of a device by which the host asks the guest for memory, and hears how much it has. */
#pragma once
#include "core-vmm/api/device.h"

enum { BALLOON_STATS = 16 };
struct balloon_state {
    bool listens;          /* the guest has a driver for it */
    uint64_t asked, given; /* bytes that the guest shall give, and has given */
    uint64_t returned;     /* bytes that the host got back so far, those that were given and those that were free */
    uint32_t stats, told;  /* which of `stat` there are, a bit each; how often the guest told them */
    uint64_t stat[BALLOON_STATS];
};
/* With the device's lock held. */
struct balloon_ops {
    void (*ask)(struct device *d, uint64_t bytes); /* shall be given in all */
    void (*look)(struct device *d, struct balloon_state *out);
    void (*refresh)(struct device *d); /* the guest is asked for its statistics */
};
const char *balloon_stat_name(unsigned n); /* of stat[n]; NULL: it has none */

/* The whole pages of RAM in [gpa, gpa + bytes) hold nothing of worth to the guest: the host has them until they are used again,
 * and then they are zeroes.  How many bytes that were.  Inside a callback. */
uint64_t dev_give_back(struct device *d, uint64_t gpa, uint64_t bytes);
