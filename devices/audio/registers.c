// SPDX-License-Identifier: GPL-2.0-or-later
/* registers.c - see registers.h. */
#include "devices/audio/registers.h"
#include <glib.h>
#include <stdbool.h>

/* What of an access falls into one register: `n` bytes from its byte `into` on; or one where there is none. */
struct piece {
    unsigned which, into, n;
};

static bool piece_at(const struct register_bank *b, uint64_t offset, unsigned left, struct piece *p)
{
    p->n = 1;
    for (p->which = 0; p->which < b->count; p->which++) {
        const struct register_spec *r = &b->spec[p->which];
        if (offset - r->at >= r->bytes)
            continue;
        p->into = offset - r->at;
        p->n = MIN(left, r->bytes - p->into);
        return true;
    }
    return false;
}

static uint64_t ones(const struct piece *p)
{
    return (1ull << p->n * 8) - 1;
}

uint64_t registers_read(const struct register_bank *b, void *ctx, uint64_t offset, unsigned size)
{
    struct piece p;
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i += p.n)
        if (piece_at(b, offset + i, size - i, &p))
            v |= ((uint64_t)b->read(ctx, p.which) >> p.into * 8 & ones(&p)) << i * 8;
    return v;
}

void registers_write(const struct register_bank *b, void *ctx, uint64_t offset, unsigned size, uint64_t v)
{
    struct piece p;
    for (unsigned i = 0; i < size; i += p.n)
        if (piece_at(b, offset + i, size - i, &p))
            b->write(ctx, p.which, ones(&p) << p.into * 8, (v >> i * 8 & ones(&p)) << p.into * 8);
}
