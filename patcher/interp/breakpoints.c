// SPDX-License-Identifier: GPL-2.0-or-later
/* breakpoints.c - debug registers: which accesses hit an enabled breakpoint. */
#include "patcher/interp/breakpoints.h"

enum { BP_EXEC, BP_WRITE, BP_IO, BP_ACCESS };

static bool enabled(const struct vcpu *c, unsigned n)
{
    return c->dr[7] >> (2 * n) & 3;
}

static unsigned kind(const struct vcpu *c, unsigned n)
{
    return c->dr[7] >> (16 + 4 * n) & 3;
}

static unsigned length(const struct vcpu *c, unsigned n)
{
    static const uint8_t bytes[4] = {1, 2, 8, 4};
    return bytes[c->dr[7] >> (18 + 4 * n) & 3];
}

bool debug_data_any(const struct vcpu *c)
{
    for (unsigned n = 0; n < 4; n++)
        if (enabled(c, n) && (kind(c, n) == BP_WRITE || kind(c, n) == BP_ACCESS))
            return true;
    return false;
}

static bool overlaps(const struct vcpu *c, unsigned n, uint64_t at, unsigned size)
{
    uint64_t len = length(c, n), from = c->dr[n] & ~(len - 1);
    return at < from + len && from < at + size;
}

void debug_data_access(struct vcpu *c, uint64_t lin, unsigned size, bool write)
{
    for (unsigned n = 0; n < 4; n++)
        if (enabled(c, n) && (kind(c, n) == BP_ACCESS || (write && kind(c, n) == BP_WRITE)) &&
            overlaps(c, n, lin, size))
            c->pending_dr6 |= 1u << n;
}

void debug_io_access(struct vcpu *c, uint16_t port, unsigned size)
{
    if (c->cr4 & CR4_DE && debug_any(c))
        for (unsigned n = 0; n < 4; n++)
            if (enabled(c, n) && kind(c, n) == BP_IO && overlaps(c, n, port, size))
                c->pending_dr6 |= 1u << n;
}

uint64_t debug_fetch_hits(const struct vcpu *c, uint64_t lin)
{
    uint64_t hits = 0;
    for (unsigned n = 0; n < 4; n++)
        if (enabled(c, n) && kind(c, n) == BP_EXEC && c->dr[n] == lin)
            hits |= 1u << n;
    return hits;
}
