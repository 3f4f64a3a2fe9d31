// SPDX-License-Identifier: GPL-2.0-or-later
/* addresses.h - which IP addresses a guest has, as its own frames show: what it says of itself by ARP, and where its IPv6
 * frames come from.  It may say what it likes: this is for people, and for nothing that decides. */
#pragma once
#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ADDRESSES_MOST = 8 };
struct addresses { /* the last seen first */
    unsigned v4_count, v6_count;
    uint8_t v4[ADDRESSES_MOST][4], v6[ADDRESSES_MOST][16];
};
bool addresses_learn(struct addresses *a, const uint8_t *frame, size_t bytes); /* true: a new one */
/* A frame to the guest: is it a lease of DHCP for that card? */
bool addresses_learn_lease(struct addresses *a, const uint8_t *frame, size_t bytes, const uint8_t mac[6]);
/* As text, IPv4 first, those of a link alone last. */
JsonArray *addresses_describe(const struct addresses *a);
