// SPDX-License-Identifier: GPL-2.0-or-later
/* crc32c.c - see crc32c.h.  By the instruction of SSE4.2, which every host that this runs on has (x86-64-v2). */
#include "core-vmm/base/crc32c.h"
#include <nmmintrin.h>
#include <string.h>

__attribute__((target("sse4.2"))) uint32_t crc32c(uint32_t crc, const void *data, size_t n)
{
    const uint8_t *p = data;
    uint64_t sum = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, sizeof word);
        sum = _mm_crc32_u64(sum, word);
    }
    for (; n; n--, p++)
        sum = _mm_crc32_u8(sum, *p);
    return ~(uint32_t)sum;
}
