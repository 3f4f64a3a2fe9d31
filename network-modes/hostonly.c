// SPDX-License-Identifier: GPL-2.0-or-later
/* hostonly.c - the mode hostonly: the host and the VMs that are in the network of that name, by a bridge of the host that
 * terrarium-netadm has made and a TAP in it.  One of the VMs' network processes gives out addresses. */
#include "network-modes/modes.h"
#include "network-modes/service.h"
#include "network-modes/tapped.h"
#include <unistd.h>

struct hostonly {
    struct tapped tapped;
    struct named named;
    struct service *service; /* NULL: no DHCP */
};

/* The server is a station behind this TAP, beside the card. */
static void from_service(void *ctx, const uint8_t *frame, size_t bytes)
{
    static const struct net_offload none;
    struct hostonly *h = ctx;
    g_autofree uint8_t *copy = g_memdup2(frame, bytes);
    port_deliver(h->tapped.port, frame, bytes, NULL);
    tap_send(h->tapped.tap, copy, bytes, &none);
}

static void on_frame(void *ctx, uint8_t *frame, size_t bytes, const struct net_offload *left)
{
    struct hostonly *h = ctx;
    if (h->service)
        service_frame(h->service, frame, bytes);
    port_deliver(h->tapped.port, frame, bytes, left);
}

static void frame(void *state, uint8_t *frame, size_t bytes, const struct net_offload *left)
{
    struct hostonly *h = state;
    if (h->service)
        service_frame(h->service, frame, bytes);
    tap_send(h->tapped.tap, frame, bytes, left);
}

static void stop(void *state)
{
    struct hostonly *h = state;
    service_free(h->service);
    tapped_stop(&h->tapped);
    named_clear(&h->named);
    g_free(h);
}

static bool start_service(struct hostonly *h, GError **error)
{
    if (!h->named.def.dhcp)
        return true;
    int folder = named_folder(h->tapped.port, &h->named, error);
    if (folder < 0)
        return false;
    h->service = service_new(folder, &h->named, &(struct service_side){from_service, NULL, h}, error);
    close(folder);
    return h->service != NULL;
}

static void *start(struct net_port *p, const struct config *c, GError **error)
{
    struct hostonly *h = g_new0(struct hostonly, 1);
    h->tapped = (struct tapped){.port = p, .frame = on_frame, .ctx = h};
    if (named_read(p, c, NETWORK_HOSTONLY, &h->named, error) && tapped_start(&h->tapped, error) &&
        start_service(h, error))
        return h;
    stop(h);
    return NULL;
}

static void describe(void *state, JsonObject *into)
{
    struct hostonly *h = state;
    json_object_set_string_member(into, "network", h->named.name);
    if (h->service)
        json_object_set_boolean_member(into, "dhcp-server", service_is_ours(h->service));
    tapped_describe(&h->tapped, into);
}

const struct net_mode hostonly_mode = {
    .name = "hostonly",
    .help = "the host and the machines that are in the network of that name",
    .can = NET_CHECKSUM | NET_TSO4 | NET_TSO6,
    .start = start,
    .frame = frame,
    .describe = describe,
    .stop = stop,
};
