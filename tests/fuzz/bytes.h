// SPDX-License-Identifier: GPL-2.0-or-later
/* bytes.h - a fuzzer's input, taken a byte at a time; zeros after its end. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct bytes {
    const uint8_t *data;
    size_t left;
};

static inline unsigned take(struct bytes *b)
{
    if (!b->left)
        return 0;
    b->left--;
    return *b->data++;
}

/* n bytes, the low one first. */
static inline uint32_t take_number(struct bytes *b, unsigned n)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < n; i++)
        v |= (uint32_t)take(b) << 8 * i;
    return v;
}
