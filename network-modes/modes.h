// SPDX-License-Identifier: GPL-2.0-or-later
/* modes.h - the modes that there are. */
#pragma once
#include "network-modes/mode.h"

extern const struct net_mode none_mode, nat_mode, natnetwork_mode, internal_mode, hostonly_mode, bridged_mode, udp_mode;
