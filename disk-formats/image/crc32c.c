// SPDX-License-Identifier: GPL-2.0-or-later
/* crc32c.c - CRC-32C (Castagnoli), which VHDX has in its headers. */
#include "disk-formats/image/crc32c.h"

#define POLYNOMIAL 0x82f63b78u /* bit-reversed */

static uint32_t of_nibble(uint32_t n)
{
    for (unsigned bit = 0; bit < 4; bit++)
        n = n >> 1 ^ (n & 1 ? POLYNOMIAL : 0);
    return n;
}

/* A nibble at a time: metadata only, a few hundred KiB at most. */
uint32_t crc32c(uint32_t crc, const void *data, size_t n)
{
    const uint8_t *p = data;
    uint32_t table[16];
    for (uint32_t i = 0; i < 16; i++)
        table[i] = of_nibble(i);
    crc = ~crc;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}
