// SPDX-License-Identifier: GPL-2.0-or-later
/* registers.h - a chip's registers as a table, for accesses of any width at any address. */
#pragma once
#include <stdint.h>

struct register_spec {
    uint16_t at;
    uint8_t bytes;
    uint32_t reset, writable, cleared; /* cleared: bits that writing 1 to clears */
};
struct register_bank {
    const struct register_spec *spec;
    unsigned count;
    uint32_t (*read)(void *ctx, unsigned which);
    void (*write)(void *ctx, unsigned which, uint32_t mask, uint32_t v); /* mask: the bits that are written */
};
/* Each register that is touched is read or written once; where there is none, zeroes. */
uint64_t registers_read(const struct register_bank *b, void *ctx, uint64_t offset, unsigned size);
void registers_write(const struct register_bank *b, void *ctx, uint64_t offset, unsigned size, uint64_t v);
/* What it is after such a write, without what the chip does of itself. */
static inline uint32_t register_new(const struct register_spec *r, uint32_t was, uint32_t mask, uint32_t v)
{
    return ((was & ~(r->writable & mask)) | (v & r->writable & mask)) & ~(v & mask & r->cleared);
}
