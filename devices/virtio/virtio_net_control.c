// SPDX-License-Identifier: GPL-2.0-or-later
/* virtio_net_control.c - the control queue of the network card (Virtual I/O Device Version 1.2, chapter 5.1.6.5): which frames
 * come in, the address, VLANs, how many queues.  A command is class, number and data, and gets one byte back. */
#include "core-vmm/base/bytes.h"
#include "devices/virtio/virtio_net.h"

enum { RX, MAC, VLAN, ANNOUNCE, MQ };
enum { RX_COMMANDS = 6, MAC_TABLE_SET = 0, MAC_ADDRESS_SET = 1, VLAN_ADD = 0, VLAN_DELETE = 1, CHAINS_MOST = 64 };
enum { DONE = 0, REFUSED = 1, LINK_UP = 1, LINK_ANNOUNCE = 2, DATA = 2, MAC_BYTES = 6 };
/* Configuration space. */
enum { C_MAC = 0, C_STATUS = 6, C_PAIRS = 8, C_MTU = 10 };

void net_show_config(struct virtio_net *n)
{
    uint8_t *c = n->virtio.config;
    memcpy(c + C_MAC, n->mac, MAC_BYTES);
    put_le16(c + C_STATUS, (net_link(n->cable) ? LINK_UP : 0) | (n->announce ? LINK_ANNOUNCE : 0));
    put_le16(c + C_PAIRS, n->pairs);
    put_le16(c + C_MTU, n->mtu);
}

unsigned net_control_queue(const struct virtio_net *n)
{
    return virtio_has(&n->virtio, NET_F_MQ) ? 2u * n->pairs : 2;
}

static bool set_mode(struct virtio_net *n, unsigned which)
{
    static const uint8_t bits[RX_COMMANDS] = {NET_ALL,          NET_ALL_MULTICAST, NET_ALL_UNICAST,
                                              NET_NO_MULTICAST, NET_NO_UNICAST,    NET_NO_BROADCAST};
    uint8_t on;
    bool extra = which > 1;
    if (which >= RX_COMMANDS || !virtio_has(&n->virtio, extra ? NET_F_CTRL_RX_EXTRA : NET_F_CTRL_RX) ||
        !virtq_read(&n->chain, DATA, &on, 1))
        return false;
    n->filter = on ? n->filter | bits[which] : n->filter & ~bits[which];
    return true;
}

/* A list that is too long lets all in; *at goes on behind it. */
static bool read_list(struct virtio_net *n, uint64_t *at, struct net_list *l, uint8_t overflow)
{
    uint8_t count[4];
    if (virtq_read(&n->chain, *at, count, 4) < 4)
        return false;
    uint64_t entries = get_le32(count), bytes = entries * MAC_BYTES;
    if (n->chain.out_bytes - *at - 4 < bytes)
        return false;
    l->count = entries > NET_FILTER_MOST ? 0 : entries;
    virtq_read(&n->chain, *at + 4, l->mac, l->count * MAC_BYTES);
    n->filter = entries > NET_FILTER_MOST ? n->filter | overflow : n->filter & ~overflow;
    *at += 4 + bytes;
    return true;
}

static bool set_address(struct virtio_net *n, unsigned which)
{
    uint64_t at = DATA;
    if (which == MAC_TABLE_SET && virtio_has(&n->virtio, NET_F_CTRL_RX))
        return read_list(n, &at, &n->unicast, NET_UNICAST_OVERFLOW) &&
               read_list(n, &at, &n->multicast, NET_MULTICAST_OVERFLOW);
    if (which != MAC_ADDRESS_SET || !virtio_has(&n->virtio, NET_F_CTRL_MAC_ADDR) ||
        n->chain.out_bytes != DATA + MAC_BYTES)
        return false;
    virtq_read(&n->chain, DATA, n->mac, MAC_BYTES);
    net_show_config(n);
    return true;
}

static bool set_vlan(struct virtio_net *n, unsigned which)
{
    uint8_t id[2];
    if (which > VLAN_DELETE || !virtio_has(&n->virtio, NET_F_CTRL_VLAN) || virtq_read(&n->chain, DATA, id, 2) < 2 ||
        get_le16(id) >= NET_VLANS)
        return false;
    uint64_t bit = 1ull << get_le16(id) % 64, *word = &n->vlan[get_le16(id) / 64];
    *word = which == VLAN_ADD ? *word | bit : *word & ~bit;
    return true;
}

static bool announced(struct virtio_net *n, unsigned which)
{
    if (which || !virtio_has(&n->virtio, NET_F_GUEST_ANNOUNCE))
        return false;
    n->announce = false;
    net_show_config(n);
    return true;
}

static bool set_pairs(struct virtio_net *n, unsigned which)
{
    uint8_t pairs[2];
    if (which || !virtio_has(&n->virtio, NET_F_MQ) || virtq_read(&n->chain, DATA, pairs, 2) < 2 || !get_le16(pairs) ||
        get_le16(pairs) > n->pairs)
        return false;
    n->pairs_on = get_le16(pairs);
    return true;
}

static bool carry_out(struct virtio_net *n)
{
    uint8_t command[DATA];
    if (virtq_read(&n->chain, 0, command, DATA) < DATA)
        return false;
    switch (command[0]) {
    case RX: return set_mode(n, command[1]);
    case MAC: return set_address(n, command[1]);
    case VLAN: return set_vlan(n, command[1]);
    case ANNOUNCE: return announced(n, command[1]);
    case MQ: return set_pairs(n, command[1]);
    }
    return false;
}

void net_control_kicked(struct virtio_net *n)
{
    unsigned queue = net_control_queue(n);
    struct virtqueue *q = &n->virtio.queue[queue];
    for (unsigned left = CHAINS_MOST; left && virtq_take(q, &n->chain); left--) {
        uint8_t answer = carry_out(n) ? DONE : REFUSED;
        virtq_give(q, &n->chain, virtq_write(&n->chain, 0, &answer, 1));
    }
    virtq_flush(q);
    virtio_wait_for_kick(&n->virtio, queue);
}
