// SPDX-License-Identifier: GPL-2.0-or-later
/* vga_reference.h - a second, slow VGA that only knows how to look at one: it reads back the registers and the planes
 * through ports and windows, and computes every dot for itself.  Written from IBM's manual without a look at devices/. */
#pragma once
#include "tests/devices/bench.h"

/* The picture of the VGA on the bench at guest time ns; width and height come out; g_free. */
uint32_t *vga_reference(struct bench *b, uint64_t ns, uint32_t *width, uint32_t *height);
