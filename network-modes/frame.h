// SPDX-License-Identifier: GPL-2.0-or-later
/* frame.h - an Ethernet frame with what is left of its making: is it sound, and as a packet of net_wire.h. */
#pragma once
#include "core-vmm/api/net.h"
#include "core-vmm/outer/net_wire.h"

/* Whatever made it: long enough, from one station, and what is left to do lies inside of it.  left: NULL for nothing. */
bool frame_good(const void *frame, size_t bytes, const struct net_offload *left);
struct net_wire frame_head(const struct net_offload *left);             /* of a NET_WIRE_FRAME, without the card */
bool frame_left(const struct net_wire *head, struct net_offload *left); /* false: a header that makes no sense */
