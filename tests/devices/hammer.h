// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once
#include "tests/devices/bench.h"

/* Turns bytes into accesses, time and save/load on a bench: what a hostile guest could do.  Any bytes are valid.
 * NULL, or what went wrong (g_free).  Shared by the generic test (random bytes) and the fuzzer (chosen bytes). */
char *hammer(struct bench *b, struct device *d, const uint8_t *data, size_t n);
