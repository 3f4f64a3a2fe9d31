// SPDX-License-Identifier: GPL-2.0-or-later
/* registers.c - see registers.h. */
#include "devices/audio/registers.h"
#include <glib.h>

static int find(const struct register_bank *b, uint64_t offset)
{
    for (unsigned i = 0; i < b->count; i++)
        if (offset - b->spec[i].at < b->spec[i].bytes)
            return i;
    return -1;
}

uint64_t registers_read(const struct register_bank *b, void *ctx, uint64_t offset, unsigned size)
{
    uint64_t v = 0;
    for (unsigned i = 0, n; i < size; i += n) {
        int which = find(b, offset + i);
        n = 1;
        if (which < 0)
            continue;
        const struct register_spec *r = &b->spec[which];
        unsigned into = offset + i - r->at;
        n = MIN(size - i, r->bytes - into);
        v |= ((uint64_t)b->read(ctx, which) >> into * 8 & ((1ull << n * 8) - 1)) << i * 8;
    }
    return v;
}

void registers_write(const struct register_bank *b, void *ctx, uint64_t offset, unsigned size, uint64_t v)
{
    for (unsigned i = 0, n; i < size; i += n) {
        int which = find(b, offset + i);
        n = 1;
        if (which < 0)
            continue;
        const struct register_spec *r = &b->spec[which];
        unsigned into = offset + i - r->at;
        n = MIN(size - i, r->bytes - into);
        uint64_t mask = ((1ull << n * 8) - 1) << into * 8;
        b->write(ctx, which, mask, (v >> i * 8) << into * 8 & mask);
    }
}
