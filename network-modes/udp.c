// SPDX-License-Identifier: GPL-2.0-or-later
/* udp.c - the mode udp: a cable to a card on another host, or in another program (tunnel.h). */
#include "network-modes/modes.h"
#include "network-modes/tunnel.h"

struct udp {
    struct net_port *port;
    struct tunnel *tunnel;
};

static void to_card(void *ctx, const void *frame, size_t bytes)
{
    port_deliver(((struct udp *)ctx)->port, frame, bytes, NULL);
}

static void *start(struct net_port *p, const struct config *c, GError **error)
{
    int64_t local = 0;
    g_autofree char *peer = config_string(c, "peer");
    if (!config_number(c, "local-port", &local, error))
        return NULL;
    struct udp *u = g_new0(struct udp, 1);
    u->port = p;
    u->tunnel = tunnel_open((unsigned)local, peer ? peer : "", to_card, u, error);
    if (u->tunnel)
        return u;
    g_free(u);
    return NULL;
}

static void frame(void *state, uint8_t *frame, size_t bytes, const struct net_offload *left)
{
    tunnel_send(((struct udp *)state)->tunnel, frame, bytes);
}

static void describe(void *state, JsonObject *into)
{
    struct tunnel_counts c;
    tunnel_count(((struct udp *)state)->tunnel, &c);
    json_object_set_int_member(into, "sent", (gint64)c.sent);
    json_object_set_int_member(into, "received", (gint64)c.received);
    json_object_set_int_member(into, "full", (gint64)c.full);
    json_object_set_int_member(into, "broken", (gint64)c.broken);
}

static void stop(void *state)
{
    tunnel_close(((struct udp *)state)->tunnel);
    g_free(state);
}

const struct net_mode udp_mode = {
    .name = "udp",
    .help = "a cable by UDP to a card on another host",
    .can = 0,
    .start = start,
    .frame = frame,
    .describe = describe,
    .stop = stop,
};
