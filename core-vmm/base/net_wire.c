// SPDX-License-Identifier: GPL-2.0-or-later
/* net_wire.c - struct net_offload as bytes of a packet, which may hold anything, and back. */
#include "core-vmm/base/net_wire.h"

struct net_wire net_wire_frame(unsigned card, const struct net_offload *left)
{
    return (struct net_wire){.kind = NET_WIRE_FRAME,
                             .card = card,
                             .checksum = left->checksum,
                             .segments = left->segments,
                             .checksum_start = left->checksum_start,
                             .checksum_offset = left->checksum_offset,
                             .segment_bytes = left->segment_bytes,
                             .header_bytes = left->header_bytes};
}

bool net_wire_left(const struct net_wire *head, struct net_offload *left)
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
