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

struct net_wire frame_head(const struct net_offload *left)
{
    return (struct net_wire){.kind = NET_WIRE_FRAME,
                             .checksum = left->checksum,
                             .segments = left->segments,
                             .checksum_start = left->checksum_start,
                             .checksum_offset = left->checksum_offset,
                             .segment_bytes = left->segment_bytes,
                             .header_bytes = left->header_bytes};
}

bool frame_left(const struct net_wire *head, struct net_offload *left)
{
    *left = (struct net_offload){.checksum = head->checksum == 1,
                                 .segments = head->segments,
                                 .checksum_start = head->checksum_start,
                                 .checksum_offset = head->checksum_offset,
                                 .segment_bytes = head->segment_bytes,
                                 .header_bytes = head->header_bytes};
    return head->kind == NET_WIRE_FRAME && head->checksum <= 1 &&
           (!head->segments || head->segments == NET_TSO4 || head->segments == NET_TSO6);
}
