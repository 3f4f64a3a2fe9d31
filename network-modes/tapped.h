// SPDX-License-Identifier: GPL-2.0-or-later
/* tapped.h - what the modes share whose cards are plugged into an interface of the host. */
#pragma once
#include "network-modes/mode.h"
#include "network-modes/tap.h"

struct tapped {
    struct net_port *port;
    struct tap *tap;
    void (*frame)(void *ctx, uint8_t *frame, size_t bytes, const struct net_offload *left); /* of the host */
    void *ctx;
};
/* Port, frame and ctx are set; with the descriptor that the starter had made for the card. */
bool tapped_start(struct tapped *t, GError **error);
void tapped_stop(struct tapped *t);
void tapped_describe(const struct tapped *t, JsonObject *into);
