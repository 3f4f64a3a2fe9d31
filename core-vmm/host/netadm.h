// SPDX-License-Identifier: GPL-2.0-or-later
/* netadm.h - having something made of the host's network by terrarium-netadm (network-modes/admin), which alone has the
 * privilege for it: as root, by the capability of its file, or by polkit, which may ask the user; that takes up to two
 * minutes.  An error is one sentence that says what to do. */
#pragma once
#include "core-vmm/base/net_range.h"
#include <glib.h>
#include <stdbool.h>

struct netadm_tap {
    int fd;   /* for frames, as network-modes/tap.h takes it */
    int hold; /* what was made stays as long as this is open, too */
};
/* A card of that address in a bridge of the host or on an interface with a cable. */
bool netadm_bridged(const char *interface, const uint8_t mac[6], struct netadm_tap *out, GError **error);
/* In this user's host-only network of that name, in which the host has the first address. */
bool netadm_hostonly(const char *network, const struct net_range *range, struct netadm_tap *out, GError **error);
bool netadm_hostonly_remove(const char *network, GError **error); /* fine if there is nothing to remove */
unsigned netadm_hostonly_ports(const char *network);              /* how many cards are plugged in */
