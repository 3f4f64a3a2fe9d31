// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once
#include <stdint.h>
/* The controller's translation of a byte of scan set 2 into set 1 (make code; bytes above 84h stay as they are). */
uint8_t i8042_set1_of(uint8_t set2);

struct device;
/* The mouse reports how it is, though nothing may have changed, unless a report is on its way or the guest wants none.  Takes the
 * controller's lock; another device may hold its own. */
void i8042_mouse_report(struct device *keyboard);
