// SPDX-License-Identifier: GPL-2.0-or-later
/* fuzz_switch.c - frames of a guest with all that they may leave to do, on their way through a switch port with a capture and a
 * DHCP server behind it: what the network process does with what the VM process says. */
#include "network-modes/dhcp.h"
#include "core-vmm/base/net_wire.h"
#include "network-modes/frame.h"
#include "network-modes/switch_port.h"
#include <fcntl.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    struct switch_port *port;
    struct dhcp *dhcp;
} rig;

static void to_mode(void *ctx, void *frame, size_t bytes, const struct net_offload *left)
{
    struct dhcp_reply reply;
    dhcp_frame(rig.dhcp, frame, bytes, 1000, &reply);
    if (reply.bytes) {
        g_assert(reply.bytes <= sizeof reply.frame && frame_good(reply.frame, reply.bytes, NULL));
        switch_port_from_mode(rig.port, reply.frame, reply.bytes, NULL);
    }
    g_autofree char *text = dhcp_leases_text(rig.dhcp, 1000);
    dhcp_leases_take(rig.dhcp, text);
}

static void to_card(void *ctx, const void *frame, size_t bytes, const struct net_offload *left)
{
}

static void rig_open(void)
{
    const struct dhcp_settings set = {.server = 0x0a000302,
                                      .mask = 0xffffff00,
                                      .router = 0x0a000302,
                                      .dns = 0x0a000303,
                                      .first = 0x0a000364,
                                      .last = 0x0a000370,
                                      .mac = {0x52, 0x55},
                                      .arp = true};
    rig.dhcp = dhcp_new(&set);
    rig.port = switch_port_new(&(struct port_sides){to_mode, to_card, NULL});
    g_assert(switch_port_capture(rig.port, open("/dev/null", O_WRONLY), "fuzz", NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct net_wire head;
    struct net_offload left;
    if (!rig.port)
        rig_open();
    if (size < sizeof head + NET_FRAME_LEAST || size > sizeof head + NET_FRAME_MOST)
        return 0;
    memcpy(&head, data, sizeof head);
    head.kind = NET_WIRE_FRAME;
    head.checksum &= 1;
    head.segments &= NET_TSO4 | NET_TSO6;
    bool sound = net_wire_left(&head, &left);
    g_autofree uint8_t *frame = g_memdup2(data + sizeof head, size - sizeof head);
    if (sound)
        switch_port_from_card(rig.port, frame, size - sizeof head, &left);
    return 0;
}
