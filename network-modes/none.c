// SPDX-License-Identifier: GPL-2.0-or-later
/* none.c - the mode none: nothing is plugged into the card. */
#include "network-modes/modes.h"

static void *start(struct net_port *p, const struct config *c, GError **error)
{
    port_link(p, false);
    return p;
}

static void frame(void *state, uint8_t *frame, size_t bytes, const struct net_offload *left)
{
    port_dropped(state, "the cable is out");
}

static void stop(void *state)
{
}

const struct net_mode none_mode = {
    .name = "none", .help = "nothing is plugged in", .start = start, .frame = frame, .stop = stop};
