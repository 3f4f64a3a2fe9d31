// SPDX-License-Identifier: GPL-2.0-or-later
/* regions.c - see regions.h. */
#include "disk-formats/image/regions.h"

GArray *regions_new(void)
{
    return g_array_new(FALSE, FALSE, sizeof(struct region));
}

void regions_add(GArray *r, uint64_t from, uint64_t bytes)
{
    struct region one = {from, bytes > UINT64_MAX - from ? UINT64_MAX : from + bytes};
    if (bytes)
        g_array_append_val(r, one);
}

static int by_place(const void *a, const void *b)
{
    const struct region *x = a, *y = b;
    return x->from < y->from ? -1 : x->from > y->from;
}

bool regions_clash(GArray *r, uint64_t *at)
{
    g_array_sort(r, by_place);
    for (guint i = 1; i < r->len; i++) {
        const struct region *before = &g_array_index(r, struct region, i - 1), *one = before + 1;
        if (before->to <= one->from)
            continue;
        if (at)
            *at = one->from;
        return true;
    }
    return false;
}

bool regions_touch(const GArray *sorted, uint64_t from, uint64_t bytes)
{
    guint low = 0, high = sorted->len; /* the first that ends behind from */
    while (low < high) {
        guint middle = low + (high - low) / 2;
        if (g_array_index(sorted, struct region, middle).to <= from)
            low = middle + 1;
        else
            high = middle;
    }
    return bytes && low < sorted->len && g_array_index(sorted, struct region, low).from < from + bytes;
}
