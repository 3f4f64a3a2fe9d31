// SPDX-License-Identifier: GPL-2.0-or-later
/* net_wire.h - what the VM process and the network process (network-modes/) say to each other: one packet of a
 * SOCK_SEQPACKET pair for each message, this header first.  Numbers are the host's: both sides run on one machine.
 *
 *   VM process                                   network process
 *      | --- CAN card=1 can=what can be given to it -------> |    for each card, when the pair is new
 *      | <-- LINK card=1 up=1 can=what the mode can take --- |    then the cable is in
 *      | --- FRAME card=1, what is left to do, the frame --> |    and back
 *
 * Each side takes the other for hostile: a packet that is not as it is said here is dropped, and so is a frame that leaves
 * more to do than the receiver said it can. */
#pragma once
#include "core-vmm/base/net_offload.h"

enum { NET_WIRE_CARDS = 8, NET_WIRE_PACKET_MOST = 65536 + 64 };
enum net_wire_kind { NET_WIRE_FRAME = 1, NET_WIRE_LINK, NET_WIRE_CAN };
struct net_wire {
    uint8_t kind, card; /* card: 1 for [nic1] ... NET_WIRE_CARDS */
    uint8_t up;         /* LINK: 0 or 1 */
    uint8_t can;        /* LINK, CAN: NET_CHECKSUM and the others of api/net.h, or-ed */
    uint8_t checksum;   /* FRAME, this and the rest: struct net_offload; checksum is 0 or 1 */
    uint8_t segments;   /* 0, NET_TSO4 or NET_TSO6 */
    uint16_t checksum_start, checksum_offset, segment_bytes, header_bytes;
};

/* The header of a FRAME. */
struct net_wire net_wire_frame(unsigned card, const struct net_offload *left);
/* What it leaves to do; false: it is no FRAME, or makes no sense. */
bool net_wire_left(const struct net_wire *head, struct net_offload *left);
