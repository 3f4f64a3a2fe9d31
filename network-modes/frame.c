// SPDX-License-Identifier: GPL-2.0-or-later
/* frame.c - see frame.h. */
#include "network-modes/frame.h"
#include "network-modes/mac_table.h"

static bool checksum_inside(const struct net_offload *left, size_t bytes)
{
    return left->checksum_start >= NET_FRAME_LEAST && (size_t)left->checksum_start + left->checksum_offset + 2 <= bytes;
}

bool frame_good(const void *frame, size_t bytes, const struct net_offload *left)
{
    const uint8_t *source = (const uint8_t *)frame + MAC_BYTES;
    if (bytes < NET_FRAME_LEAST || bytes > NET_FRAME_MOST || mac_is_group(source))
        return false;
    if (left && left->checksum && !checksum_inside(left, bytes))
        return false;
    return !left || !left->segments ||
           (left->segment_bytes && left->header_bytes > left->checksum_start && left->header_bytes < bytes);
}
