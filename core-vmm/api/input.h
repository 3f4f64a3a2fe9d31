// SPDX-License-Identifier: GPL-2.0-or-later
/* input.h - keyboards and pointers.  Keys are Linux evdev codes (KEY_A ... of linux/input-event-codes.h): a place on the
 * keyboard, not a letter.  Called on the loop thread with the device's lock held. */
#pragma once
#include "core-vmm/api/device.h"

enum { POINTER_LEFT = 1, POINTER_RIGHT = 2, POINTER_MIDDLE = 4, POINTER_SIDE = 8, POINTER_EXTRA = 16 };
struct input_ops {
    bool (*key)(struct device *d, unsigned code, bool down); /* false: its queue is full, try later */
    bool (*pointer)(struct device *d, int dx, int dy, int wheel, unsigned buttons); /* relative, screen directions */
    bool (*pointer_absolute)(struct device *d, uint16_t x, uint16_t y, int wheel,
                             unsigned buttons); /* 0-65535; NULL: not this one */
    unsigned (*leds)(struct device *d);         /* bit 0 scroll, 1 num, 2 caps */
};
