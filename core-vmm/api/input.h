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

/* Which of its parts the guest listens to now, as far as the device can tell; nothing after reset.  A machine may have
 * several keyboards and pointers.  Keys and relative moves go to the one that the guest began to listen to last, or if it
 * listens to none, to the first on the board.  Absolute positions go to a pointer only that takes them and is listened to;
 * while there is one, whoever shows the screen sends those rather than moves (machine_takes_absolute()). */
enum { INPUT_KEYBOARD = 1, INPUT_POINTER = 2 /* its moves */, INPUT_ABSOLUTE = 4 /* its positions */ };
void dev_input(struct device *d, unsigned listened_to); /* or-ed; inside a callback */
