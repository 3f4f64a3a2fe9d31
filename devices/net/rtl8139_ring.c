// SPDX-License-Identifier: GPL-2.0-or-later
/* rtl8139_ring.c - how every RTL8139 moves frames: received ones follow one another in one buffer, each behind a head of
 * status and length; four registers name what to send, in turn. */
#include "core-vmm/base/bytes.h"
#include "devices/net/rtl8139.h"

enum {
    HEAD = 4,
    READ_BEHIND = 16 /* CAPR is that much less than where the driver reads */,
    RING_LEAST = 8192,
    RING_64K = 65536
};
enum { TX_OWN = 0x2000, TX_OK = 0x8000, TX_CARRIER_LOST = 0x80000000, TX_SIZE = 0x1fff };

unsigned rtl_ring_bytes(const struct rtl8139 *p)
{
    return RING_LEAST << (p->rx_config >> 11 & 3);
}

static unsigned ring_used(const struct rtl8139 *p)
{
    return (p->rx_write - (p->rx_read + READ_BEHIND)) & (rtl_ring_bytes(p) - 1);
}

bool rtl_ring_empty(const struct rtl8139 *p)
{
    return !ring_used(p);
}

static bool put(struct device *d, unsigned at, const void *data, unsigned bytes)
{
    struct rtl8139 *p = d->state;
    uint64_t gpa = (uint64_t)p->rx_buffer + at;
    void *to = rtl_memory(d, gpa, bytes, true);
    if (!to)
        return false;
    memcpy(to, data, bytes);
    dev_dma_done(d, gpa, bytes);
    return true;
}

/* In two pieces where the buffer ends, unless the driver wants frames in one and has room for that behind it. */
static bool put_frame(struct device *d, unsigned at, unsigned bytes)
{
    struct rtl8139 *p = d->state;
    unsigned ring = rtl_ring_bytes(p);
    bool whole = p->rx_config & RCR_NO_WRAP && ring != RING_64K;
    unsigned part = whole ? bytes : MIN(bytes, ring - at);
    return put(d, at, p->rx, part) && (part == bytes || put(d, 0, p->rx + part, bytes - part));
}

/* With an early threshold the driver is told how much came before the end; here that is all of it. */
static void early(struct rtl8139 *p, unsigned bytes)
{
    enum { THRESHOLD = 0x0f000000, OK = 1, GOOD = 8 };
    if (!(p->rx_config & THRESHOLD))
        return;
    p->early_bytes = bytes;
    p->early_status |= OK | GOOD;
}

bool rtl_ring_receive(struct device *d, unsigned bytes, unsigned head)
{
    struct rtl8139 *p = d->state;
    unsigned ring = rtl_ring_bytes(p), at = p->rx_write & (ring - 1), needs = (HEAD + bytes + 3) & ~3u;
    if (needs >= ring - ring_used(p))
        return false;
    uint8_t h[HEAD];
    put_le16(h, head);
    put_le16(h + 2, bytes);
    if (!put_frame(d, (at + HEAD) & (ring - 1), bytes) || !put(d, at, h, sizeof h))
        return true;
    p->rx_write = (at + needs) & (ring - 1);
    early(p, bytes);
    rtl_irq(d, INT_RX);
    return true;
}

static unsigned transmit_one(struct device *d, uint32_t *status)
{
    struct rtl8139 *p = d->state;
    unsigned bytes = *status & TX_SIZE;
    const void *from = bytes ? rtl_memory(d, p->tx_address[p->tx_at], bytes, false) : NULL;
    *status |= TX_OWN;
    if (!from)
        return INT_TX_ERROR;
    memcpy(p->frame, from, bytes);
    if (p->tx_config & TCR_NO_CHECK && bytes > ETHER_CHECK)
        bytes -= ETHER_CHECK; /* the driver made it; nobody looks */
    *status |= TX_OK | (rtl_send(d, p->frame, bytes, NULL) ? 0 : TX_CARRIER_LOST);
    return INT_TX;
}

void rtl_ring_transmit(struct device *d)
{
    struct rtl8139 *p = d->state;
    unsigned events = 0;
    while (p->command & COMMAND_TX && !(p->tx_status[p->tx_at] & TX_OWN)) {
        events |= transmit_one(d, &p->tx_status[p->tx_at]);
        p->tx_at = (p->tx_at + 1) % RTL_TX_BUFFERS;
    }
    rtl_irq(d, events);
}
