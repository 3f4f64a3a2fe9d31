// SPDX-License-Identifier: GPL-2.0-or-later
/* ethernet.c - see ethernet.h. */
#include "devices/net/ethernet.h"
#include <string.h>
#include <zlib.h>

uint32_t ether_check(const void *frame, size_t bytes)
{
    return crc32(0, frame, bytes);
}

uint32_t ether_hash(const uint8_t *address)
{
    return ~ether_check(address, ETHER_ADDRESS);
}

uint32_t ether_hash_mirrored(const uint8_t *address)
{
    uint32_t hash = ether_hash(address), mirrored = 0;
    for (unsigned i = 0; i < 32; i++)
        mirrored |= (hash >> i & 1) << (31 - i);
    return mirrored;
}

bool ether_is_broadcast(const uint8_t *address)
{
    static const uint8_t all[ETHER_ADDRESS] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    return !memcmp(address, all, sizeof all);
}

bool ether_wait(struct ether_wait *w, uint64_t now)
{
    if (!w->until)
        w->until = now + ETHER_WAIT_NS;
    if (now >= w->until)
        return false;
    w->look = MIN(now + ETHER_LOOK_NS, w->until);
    return true;
}

void ether_wait_end(struct ether_wait *w)
{
    *w = (struct ether_wait){.look = DEV_NEVER};
}
