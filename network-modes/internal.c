// SPDX-License-Identifier: GPL-2.0-or-later
/* internal.c - the mode internal: a switch between the VMs of a user that are in the network of that name, and nothing else.
 * One of them gives out addresses if the network is defined so. */
#include "network-modes/mesh.h"
#include "network-modes/modes.h"
#include "network-modes/service.h"
#include <unistd.h>

struct internal {
    struct net_port *port;
    struct named named;
    struct mesh *mesh;
    struct mesh_end card_end, service_end;
    unsigned card, server; /* ports of the mesh */
    struct service *service;
};

static void to_card(void *ctx, const void *frame, size_t bytes, const struct net_offload *left)
{
    port_deliver(((struct internal *)ctx)->port, frame, bytes, left);
}

static void to_service(void *ctx, const void *frame, size_t bytes, const struct net_offload *left)
{
    service_frame(((struct internal *)ctx)->service, frame, bytes);
}

static void from_service(void *ctx, const uint8_t *frame, size_t bytes)
{
    struct internal *n = ctx;
    mesh_send(n->mesh, n->server, frame, bytes, NULL);
}

static void stop(void *state)
{
    struct internal *n = state;
    service_free(n->service);
    mesh_leave(n->mesh);
    named_clear(&n->named);
    g_free(n);
}

static bool join(struct internal *n, int folder, GError **error)
{
    n->mesh = mesh_join(folder, error);
    if (!n->mesh)
        return false;
    n->card_end = (struct mesh_end){to_card, n};
    n->card = mesh_plug(n->mesh, &n->card_end);
    if (!n->named.def.dhcp)
        return true;
    n->service_end = (struct mesh_end){to_service, n};
    n->service = service_new(folder, &n->named, &(struct service_side){from_service, NULL, n}, error);
    n->server = n->service ? mesh_plug(n->mesh, &n->service_end) : 0;
    return n->service != NULL;
}

static void *start(struct net_port *p, const struct config *c, GError **error)
{
    struct internal *n = g_new0(struct internal, 1);
    n->port = p;
    bool good = named_read(p, c, NETWORK_INTERNAL, &n->named, error);
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
    struct internal *n = state;
    mesh_send(n->mesh, n->card, frame, bytes, left);
}

static void describe(void *state, JsonObject *into)
{
    struct internal *n = state;
    json_object_set_string_member(into, "network", n->named.name);
    mesh_describe(n->mesh, into);
    if (n->service)
        json_object_set_boolean_member(into, "dhcp-server", service_is_ours(n->service));
}

const struct net_mode internal_mode = {
    .name = "internal",
    .help = "a switch between the machines that are in the network of that name",
    .can = NET_CHECKSUM | NET_TSO4 | NET_TSO6,
    .start = start,
    .frame = frame,
    .describe = describe,
    .stop = stop,
};
