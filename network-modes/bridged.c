// SPDX-License-Identifier: GPL-2.0-or-later
/* bridged.c - the mode bridged: the card is a station of the host's own network, by a TAP in a bridge of the host or a macvtap on
 * one of its interfaces, which terrarium-netadm has made. */
#include "network-modes/modes.h"
#include "network-modes/tapped.h"

static void on_frame(void *ctx, uint8_t *frame, size_t bytes, const struct net_offload *left)
{
    port_deliver(ctx, frame, bytes, left);
}

static void *start(struct net_port *p, const struct config *c, GError **error)
{
    struct tapped *t = g_new0(struct tapped, 1);
    *t = (struct tapped){.port = p, .frame = on_frame, .ctx = p};
    if (tapped_start(t, error))
        return t;
    g_free(t);
    return NULL;
}

static void frame(void *state, uint8_t *frame, size_t bytes, const struct net_offload *left)
{
    tap_send(((struct tapped *)state)->tap, frame, bytes, left);
}

static void describe(void *state, JsonObject *into)
{
    tapped_describe(state, into);
}

static void stop(void *state)
{
    tapped_stop(state);
    g_free(state);
}

const struct net_mode bridged_mode = {
    .name = "bridged",
    .help = "a station of the network that an interface or a bridge of the host is in",
    .can = NET_CHECKSUM | NET_TSO4 | NET_TSO6,
    .start = start,
    .frame = frame,
    .describe = describe,
    .stop = stop,
};
