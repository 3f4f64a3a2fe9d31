// SPDX-License-Identifier: GPL-2.0-or-later
/* service.h - what one member of a network does for all: DHCP, and whatever the mode adds.  Who it is decides a lock on a file
 * in the network's folder: the kernel drops it when that process ends, and another takes over.  Leases are in the file
 * `leases` beside it (dhcp.h), from which the next one goes on. */
#pragma once
#include "network-modes/dhcp.h"
#include "network-modes/named.h"

struct service_side {
    void (*send)(void *ctx, const uint8_t *frame, size_t bytes); /* into the network */
    void (*ours)(void *ctx);                                     /* from now on it is us who do it; may be NULL */
    void *ctx;
};
struct service;
struct service *service_new(int folder, const struct named *n, const struct service_side *side, GError **error);
void service_free(struct service *s);
bool service_is_ours(const struct service *s);
/* A frame of the network.  True: it was for us alone. */
bool service_frame(struct service *s, const uint8_t *frame, size_t bytes);
