// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio_net.h - inside of the network card: virtio_net.c (frames), virtio_net_control.c (what the driver asks of it). */
#pragma once
#include "core-vmm/api/net.h"
#include "devices/virtio/virtio.h"

enum { NET_PAIRS_MOST = 8, NET_FILTER_MOST = 64, NET_VLANS = 4096 };
enum {
    NET_F_CSUM = 0,
    NET_F_GUEST_CSUM = 1,
    NET_F_MTU = 3,
    NET_F_MAC = 5,
    NET_F_GUEST_TSO4 = 7,
    NET_F_GUEST_TSO6 = 8,
    NET_F_HOST_TSO4 = 11,
    NET_F_HOST_TSO6 = 12,
    NET_F_MRG_RXBUF = 15,
    NET_F_STATUS = 16,
    NET_F_CTRL_VQ = 17,
    NET_F_CTRL_RX = 18,
    NET_F_CTRL_VLAN = 19,
    NET_F_CTRL_RX_EXTRA = 20,
    NET_F_GUEST_ANNOUNCE = 21,
    NET_F_MQ = 22,
    NET_F_CTRL_MAC_ADDR = 23
};
/* Which frames come in, beside those to the card's own address. */
enum { NET_ALL = 1, NET_ALL_MULTICAST = 2, NET_ALL_UNICAST = 4, NET_NO_MULTICAST = 8, NET_NO_UNICAST = 16 };
enum { NET_NO_BROADCAST = 32, NET_UNICAST_OVERFLOW = 64, NET_MULTICAST_OVERFLOW = 128 };
struct net_list {
    uint32_t count;
    uint8_t mac[NET_FILTER_MOST][6];
};
struct virtio_net {
    struct virtio virtio;
    struct net_cable *cable;
    uint8_t own_mac[6], mac[6]; /* at reset; now */
    uint16_t mtu;
    uint8_t pairs, pairs_on; /* that there are; in use */
    bool announce;
    uint8_t filter; /* NET_ALL and so on */
    struct net_list unicast, multicast;
    uint64_t vlan[NET_VLANS / 64];
    uint32_t waiting; /* queues of which a frame waits that found no room */
    struct virtq_chain chain;
    struct iovec part[VIRTQ_SIZE_MOST];
};
unsigned net_control_queue(const struct virtio_net *n);
void net_control_kicked(struct virtio_net *n);
void net_show_config(struct virtio_net *n); /* into the configuration space */
