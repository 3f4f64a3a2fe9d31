// SPDX-License-Identifier: GPL-2.0-or-later
/* frame.h - an Ethernet frame with what is left of its making: is it sound? */
#pragma once
#include "core-vmm/api/net.h"

/* Whatever made it: long enough, from one station, and what is left to do lies inside of it.  left: NULL for nothing. */
bool frame_good(const void *frame, size_t bytes, const struct net_offload *left);
