// SPDX-License-Identifier: GPL-2.0-or-later
/* i8254.h - what the loudspeaker hears of the timer: OUT of its third channel, where bit 1 of port 61h lets it through. */
#pragma once
#include "core-vmm/api/device.h"

struct i8254_wave {
    bool level, after; /* until the tick `edge`, and from then on */
    uint64_t edge;     /* ticks of 88000/105 ns, of guest time */
    uint32_t period,
        high; /* a square wave of so many ticks that began at `edge`, high for so many of each; 0: no such */
};
/* Called with the timer's lock held when it changes.  ctx: of whoever listens, one at most; in init. */
void i8254_on_speaker(struct device *pit, void (*changed)(void *ctx, uint64_t now_ns, const struct i8254_wave *wave),
                      void *ctx);
