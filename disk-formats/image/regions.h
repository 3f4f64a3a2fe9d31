// SPDX-License-Identifier: GPL-2.0-or-later
/* regions.h - stretches of a file that must not lie over each other: headers, tables, blocks. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct region {
    uint64_t from, to; /* to: behind it */
};
GArray *regions_new(void);                                  /* of struct region; g_array_unref */
void regions_add(GArray *r, uint64_t from, uint64_t bytes); /* nothing, if bytes is 0 */
/* Sorts them.  True: two overlap, *at (may be NULL) is where. */
bool regions_clash(GArray *r, uint64_t *at);
/* Is any of [from, from + bytes) in one of them?  They are sorted and do not clash. */
bool regions_touch(const GArray *sorted, uint64_t from, uint64_t bytes);
