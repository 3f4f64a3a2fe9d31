// SPDX-License-Identifier: GPL-2.0-or-later
/* tunnel.h - a cable between two hosts: each Ethernet frame is the content of a UDP datagram, nothing before or behind it, as in
 * QEMU's and VirtualBox's UDP tunnels.  Not encrypted, and whoever can forge the peer's address can send frames. */
#pragma once
#include "core-vmm/api/net.h"

struct tunnel_counts {
    uint64_t sent, full, received, broken; /* full: that the host's socket had no room for, or nobody listens */
};
struct tunnel;
/* local: port on this host; peer: "192.0.2.7:4000", "[2001:db8::7]:4000".  Datagrams of anybody else never arrive. */
struct tunnel *tunnel_open(unsigned local, const char *peer, void (*frame)(void *ctx, const void *frame, size_t bytes),
                           void *ctx, GError **error);
void tunnel_close(struct tunnel *t);
void tunnel_send(struct tunnel *t, const void *frame, size_t bytes); /* a whole one: nothing is left to do */
void tunnel_count(const struct tunnel *t, struct tunnel_counts *out);
