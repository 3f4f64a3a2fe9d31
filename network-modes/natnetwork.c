// SPDX-License-Identifier: GPL-2.0-or-later
/* natnetwork.c - the mode natnetwork: the VMs of a network reach each other, and all that the host reaches through a router
 * that they share.  Whichever of them holds the network's lock runs it: the mode nat, as one more station of the network, with
 * the service's DHCP before it. */
#include "network-modes/mesh.h"
#include "network-modes/modes.h"
#include "network-modes/process.h"
#include "network-modes/service.h"
#include <string.h>
#include <unistd.h>

struct natnetwork {
    struct net_port *port;
    struct named named;
    struct mesh *mesh;
    struct mesh_end card_end, router_end;
    unsigned card, router; /* ports of the mesh */
    struct service *service;
    struct net_port *inner; /* what the mode nat has for its card; NULL: another member is the router */
    void *nat;
    uint8_t packet[MODE_ROOM + NET_FRAME_MOST];
};

static void to_card(void *ctx, const void *frame, size_t bytes, const struct net_offload *left)
{
    port_deliver(((struct natnetwork *)ctx)->port, frame, bytes, left);
}

static void to_router(void *ctx, const void *frame, size_t bytes, const struct net_offload *left)
{
    struct natnetwork *n = ctx;
    if (service_frame(n->service, frame, bytes) || !n->nat)
        return;
    memcpy(n->packet + MODE_ROOM, frame, bytes);
    nat_mode.frame(n->nat, n->packet + MODE_ROOM, bytes, left);
}

static void from_nat(void *ctx, const uint8_t *frame, size_t bytes, const struct net_offload *left)
{
    struct natnetwork *n = ctx;
    mesh_send(n->mesh, n->router, frame, bytes, left);
}

static void from_service(void *ctx, const uint8_t *frame, size_t bytes)
{
    from_nat(ctx, frame, bytes, NULL);
}

/* We are the router now. */
static void take_over(void *ctx)
{
    struct natnetwork *n = ctx;
    g_autoptr(GError) error = NULL;
    g_autofree char *range = net_range_text(&n->named.def.range);
    n->inner = port_inner_new(n->port, from_nat, n);
    struct config c = port_config(n->inner);
    g_key_file_set_string(c.file, c.section, "net", range);
    n->nat = nat_mode.start(n->inner, &c, &error);
    if (n->nat)
        port_log(n->port, "is the router of the network %s now", n->named.name);
    else
        g_warning("%s: the router of the network %s: %s", port_card(n->port), n->named.name, error->message);
}

static void stop(void *state)
{
    struct natnetwork *n = state;
    if (n->nat)
        nat_mode.stop(n->nat);
    port_inner_free(n->inner);
    service_free(n->service);
    mesh_leave(n->mesh);
    named_clear(&n->named);
    g_free(n);
}

static bool join(struct natnetwork *n, int folder, GError **error)
{
    n->mesh = mesh_join(folder, error);
    if (!n->mesh)
        return false;
    n->card_end = (struct mesh_end){to_card, n};
    n->card = mesh_plug(n->mesh, &n->card_end);
    n->router_end = (struct mesh_end){to_router, n};
    n->router = mesh_plug(n->mesh, &n->router_end);
    n->service = service_new(folder, &n->named, &(struct service_side){from_service, take_over, n}, error);
    return n->service != NULL;
}

static void *start(struct net_port *p, const struct config *c, GError **error)
{
    struct natnetwork *n = g_new0(struct natnetwork, 1);
    n->port = p;
    bool good = named_read(p, c, NETWORK_NAT, &n->named, error);
    int folder = good ? named_folder(p, &n->named, error) : -1;
    good = folder >= 0 && join(n, folder, error);
    if (folder >= 0)
        close(folder);
    if (good)
        return n;
    stop(n);
    return NULL;
}

static void frame(void *state, uint8_t *frame, size_t bytes, const struct net_offload *left)
{
    struct natnetwork *n = state;
    mesh_send(n->mesh, n->card, frame, bytes, left);
}

static void describe(void *state, JsonObject *into)
{
    struct natnetwork *n = state;
    json_object_set_string_member(into, "network", n->named.name);
    mesh_describe(n->mesh, into);
    json_object_set_boolean_member(into, "is-router", n->nat != NULL);
    if (n->nat && nat_mode.describe)
        nat_mode.describe(n->nat, into);
}

const struct net_mode natnetwork_mode = {
    .name = "natnetwork",
    .help = "a network of several machines, with a router to all that the host reaches",
    .can = NET_CHECKSUM | NET_TSO4 | NET_TSO6,
    .start = start,
    .frame = frame,
    .describe = describe,
    .stop = stop,
};
