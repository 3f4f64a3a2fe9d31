// SPDX-License-Identifier: GPL-2.0-or-later
/* crc32c.c - see crc32c.h.  By the instruction of SSE4.2, which every host that this runs on has (x86-64-v2).
 *
 * It takes three cycles and could begin one in each, if the next did not wait for the sum of the last.  So three pieces side by side
 * have a sum each.  What goes behind a sum multiplies it, as a polynomial, by x for each bit: so the three make one by two
 * multiplications by the same power of x. */
#include "core-vmm/base/crc32c.h"
#include <nmmintrin.h>
#include <string.h>

enum { PIECE = 8192 };

#define POLYNOMIAL   0x82f63b78 /* as all here: the lowest bit is the highest power */
#define BEHIND_PIECE 0x28461564 /* x to the power of 8 * PIECE, modulo that */

static uint32_t times(uint32_t a, uint32_t b)
{
    uint32_t product = 0;
    for (unsigned i = 0; i < 32; i++, a <<= 1) {
        product ^= a >> 31 ? b : 0;
        b = b >> 1 ^ (b & 1 ? POLYNOMIAL : 0);
    }
    return product;
}

static uint64_t word_at(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

__attribute__((target("sse4.2"))) static uint32_t three_pieces(uint32_t sum, const uint8_t *p)
{
    uint64_t first = sum, second = 0, third = 0;
    for (const uint8_t *end = p + PIECE; p < end; p += 8) {
        first = _mm_crc32_u64(first, word_at(p));
        second = _mm_crc32_u64(second, word_at(p + PIECE));
        third = _mm_crc32_u64(third, word_at(p + 2 * PIECE));
    }
    return times(times(first, BEHIND_PIECE) ^ second, BEHIND_PIECE) ^ third;
}

__attribute__((target("sse4.2"))) uint32_t crc32c(uint32_t crc, const void *data, size_t n)
{
    const uint8_t *p = data;
    uint64_t sum = ~crc;
    for (; n >= 3 * PIECE; n -= 3 * PIECE, p += 3 * PIECE)
        sum = three_pieces(sum, p);
    for (; n >= 8; n -= 8, p += 8)
        sum = _mm_crc32_u64(sum, word_at(p));
    for (; n; n--, p++)
        sum = _mm_crc32_u8(sum, *p);
    return ~(uint32_t)sum;
}
