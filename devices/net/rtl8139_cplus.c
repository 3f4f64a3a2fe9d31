// SPDX-License-Identifier: GPL-2.0-or-later
/* rtl8139_cplus.c - descriptors of the RTL8139C+, 16 bytes each: what it is and whose (OWN), a VLAN tag, the buffer's address.
 * The last of a ring has EOR.  There are two transmit rings, of which the one of high priority goes first. */
#include "core-vmm/base/bytes.h"
#include "devices/net/rtl8139.h"
#include <stdatomic.h>

enum { DESCRIPTOR = 16, AT_ONCE = 256, TURN_NS = 50000 };
enum {
    OWN = 1u << 31,
    END = 1u << 30,
    FIRST = 1u << 29,
    LAST = 1u << 28,
    TX_LARGE = 1u << 27,
    TX_ERROR = 1u << 23,
    TX_NO_LINK = 1u << 21,
    TX_IP = 1u << 18,
    TX_UDP = 1u << 17,
    TX_TCP = 1u << 16,
    TX_STATUS = 0x0fff0000,
    RX_GROUP_BIT = 1u << 26,
    RX_PHYSICAL_BIT = 1u << 25,
    RX_BROADCAST_BIT = 1u << 24
};
enum { TX_SIZE = 0xffff, RX_SIZE = 0x1fff, SEGMENT = 0x7ff, TX_TAG = 1 << 17, RX_TAGGED = 1 << 16, TAG_AT = 12 };
enum { POLL_HIGH = 0x80, POLL_NORMAL = 0x40 };

struct descriptor {
    uint32_t what, tag;
    uint64_t buffer;
};

static bool look(struct device *d, uint64_t gpa, struct descriptor *e)
{
    const uint8_t *m = rtl_memory(d, gpa, DESCRIPTOR, false);
    if (!m)
        return false;
    e->what = get_le32(m);
    atomic_thread_fence(memory_order_acquire); /* the rest was written before OWN */
    e->tag = get_le32(m + 4);
    e->buffer = get_le64(m + 8);
    return true;
}

static void give_back(struct device *d, uint64_t gpa, uint32_t what, uint32_t tag)
{
    uint8_t *m = rtl_memory(d, gpa, DESCRIPTOR, true);
    if (!m)
        return;
    put_le32(m + 4, tag);
    atomic_thread_fence(memory_order_release);
    put_le32(m, what);
    dev_dma_done(d, gpa, DESCRIPTOR);
}

static unsigned after(unsigned place, const struct descriptor *e)
{
    return e->what & END || place + 1 >= RTL_RING_MOST ? 0 : place + 1;
}

/* ---- receiving ---- */

static unsigned room(struct device *d, unsigned wanted)
{
    struct rtl8139 *p = d->state;
    struct descriptor e;
    unsigned bytes = 0, place = p->rx_place;
    for (unsigned n = 0; n < RTL_RING_MOST && bytes < wanted; n++) {
        if (!look(d, p->rx_ring + (uint64_t)place * DESCRIPTOR, &e) || !(e.what & OWN))
            break;
        bytes += e.what & RX_SIZE;
        place = after(place, &e);
    }
    return bytes;
}

static uint32_t verdict(const struct rtl8139 *p, unsigned bytes, unsigned head)
{
    return (head & RX_GROUP ? RX_GROUP_BIT : 0) | (head & RX_PHYSICAL ? RX_PHYSICAL_BIT : 0) |
           (head & RX_BROADCAST ? RX_BROADCAST_BIT : 0) |
           (p->cplus_command & CPLUS_RX_SUMS ? rtl_sums(p->rx, bytes - ETHER_CHECK) : 0) | bytes;
}

/* Takes the tag out of the frame, if that is wanted: what the descriptor is to say. */
static uint32_t untag(struct rtl8139 *p, unsigned *bytes)
{
    if (!(p->cplus_command & CPLUS_RX_TAGS) || get_be16(p->rx + TAG_AT) != ETHER_TAG_TYPE)
        return 0;
    uint32_t tag = RX_TAGGED | get_le16(p->rx + TAG_AT + 2); /* in the order of the wire */
    *bytes -= ETHER_TAG;
    memmove(p->rx + TAG_AT, p->rx + TAG_AT + ETHER_TAG, *bytes - TAG_AT);
    return tag;
}

static void fill(struct device *d, unsigned bytes, uint32_t last, uint32_t tag)
{
    struct rtl8139 *p = d->state;
    for (unsigned n = 0, done = 0; n < RTL_RING_MOST && done < bytes; n++) {
        uint64_t gpa = p->rx_ring + (uint64_t)p->rx_place * DESCRIPTOR;
        struct descriptor e;
        if (!look(d, gpa, &e))
            return;
        unsigned part = MIN(e.what & RX_SIZE, bytes - done);
        void *to = part ? rtl_memory(d, e.buffer, part, true) : NULL;
        if (part && !to)
            return;
        if (part) {
            memcpy(to, p->rx + done, part);
            dev_dma_done(d, e.buffer, part);
        }
        uint32_t what = (e.what & END) | (done ? 0 : FIRST) | (done + part == bytes ? LAST | last : part);
        done += part;
        p->rx_place = after(p->rx_place, &e);
        give_back(d, gpa, what, tag);
        if (!(e.what & OWN))
            return; /* the guest took it back under our hands */
    }
}

bool rtl_cplus_receive(struct device *d, unsigned bytes, unsigned head)
{
    struct rtl8139 *p = d->state;
    uint32_t tag = 0, last = verdict(p, bytes, head);
    if (room(d, bytes) < bytes)
        return !(p->command & COMMAND_RX); /* off since, because a descriptor is nowhere */
    unsigned shown = bytes;
    tag = untag(p, &shown);
    fill(d, shown, last - (bytes - shown), tag);
    p->tally.rx++;
    p->tally.rx_broadcast += (head & RX_BROADCAST) != 0;
    p->tally.rx_group += (head & RX_GROUP) != 0;
    rtl_irq(d, INT_RX);
    return true;
}

/* ---- sending ---- */

struct gathered {
    unsigned descriptors;
    size_t bytes;
    uint32_t what, tag; /* the first descriptor's, and the last one's */
    bool whole, wrong;  /* wrong: too long, or not in RAM */
};

static void append(struct device *d, struct gathered *g, const struct descriptor *e)
{
    struct rtl8139 *p = d->state;
    size_t bytes = e->what & TX_SIZE;
    const void *from =
        bytes && bytes <= NET_FRAME_MOST - ETHER_TAG - g->bytes ? rtl_memory(d, e->buffer, bytes, false) : NULL;
    g->wrong |= bytes && !from;
    if (g->wrong)
        return;
    if (bytes)
        memcpy(p->frame + g->bytes, from, bytes);
    g->bytes += bytes;
}

static void gather(struct device *d, uint64_t ring, unsigned place, struct gathered *g)
{
    struct descriptor e;
    while (g->descriptors < RTL_RING_MOST && !g->whole) {
        if (!look(d, ring + (uint64_t)place * DESCRIPTOR, &e) || !(e.what & OWN))
            return;
        if (!g->descriptors++)
            g->what = e.what;
        append(d, g, &e);
        g->tag |= e.tag;
        g->whole = e.what & LAST;
        place = after(place, &e);
    }
    g->wrong |= !g->whole; /* a ring without an end */
    g->whole = true;
}

static bool send(struct device *d, struct gathered *g)
{
    struct rtl8139 *p = d->state;
    size_t bytes = g->bytes;
    struct rtl_offload o = {.ip = g->what & (TX_IP | TX_LARGE), .tcp = g->what & TX_TCP, .udp = g->what & TX_UDP};
    if (g->what & TX_LARGE)
        o = (struct rtl_offload){.ip = true, .tcp = true, .segment_bytes = g->what >> 16 & SEGMENT};
    if (g->tag & TX_TAG && bytes >= ETHER_HEAD) {
        memmove(p->frame + TAG_AT + ETHER_TAG, p->frame + TAG_AT, bytes - TAG_AT);
        put_be16(p->frame + TAG_AT, ETHER_TAG_TYPE);
        put_le16(p->frame + TAG_AT + 2, g->tag);
        bytes += ETHER_TAG;
    }
    if (bytes < ETHER_LEAST) {
        memset(p->frame + bytes, 0, ETHER_LEAST - bytes);
        bytes = ETHER_LEAST;
    }
    return rtl_offload_send(d, p->frame, bytes, &o);
}

/* One frame; returns its events, 0 if there is none. */
static unsigned transmit_one(struct device *d, uint64_t ring, uint32_t *place)
{
    struct rtl8139 *p = d->state;
    struct gathered g = {0};
    gather(d, ring, *place, &g);
    if (!g.whole || !g.descriptors)
        return 0;
    bool sent = !g.wrong && send(d, &g);
    uint32_t errors = sent ? 0 : TX_ERROR | (g.wrong ? 0 : TX_NO_LINK);
    for (unsigned i = 0; i < g.descriptors; i++) {
        uint64_t gpa = ring + (uint64_t)*place * DESCRIPTOR;
        struct descriptor e;
        if (!look(d, gpa, &e))
            break;
        give_back(d, gpa, (e.what & ~(OWN | TX_STATUS)) | (e.what & LAST ? LAST | errors : 0), e.tag);
        *place = after(*place, &e);
    }
    p->tally.tx += sent;
    p->tally.tx_errors += !sent;
    return sent ? INT_TX : INT_TX_ERROR;
}

/* As much as one turn is for; then the rest a moment later. */
void rtl_cplus_transmit(struct device *d)
{
    struct rtl8139 *p = d->state;
    bool on = p->command & COMMAND_TX && p->cplus_command & CPLUS_TX;
    unsigned events = 0, n = 0;
    p->turn_at = DEV_NEVER;
    while (on && p->tx_poll && n++ < AT_ONCE) {
        bool high = p->tx_poll & POLL_HIGH;
        unsigned now = transmit_one(d, high ? p->tx_ring_high : p->tx_ring, high ? &p->tx_place_high : &p->tx_place);
        if (!now)
            p->tx_poll &= high ? ~POLL_HIGH : ~POLL_NORMAL;
        events |= now ? now : INT_TX_NONE;
    }
    if (on && p->tx_poll)
        p->turn_at = dev_now(d) + TURN_NS;
    rtl_irq(d, events);
    rtl_timers(d);
}

/* ---- counters ---- */

void rtl_tally_dump(struct device *d)
{
    enum { BYTES = 64 };
    struct rtl8139 *p = d->state;
    uint64_t gpa = p->tally_address & ~(uint64_t)(BYTES - 1);
    uint8_t *m = rtl_memory(d, gpa, BYTES, true);
    if (!m)
        return;
    memset(m, 0, BYTES);
    put_le64(m, p->tally.tx);
    put_le64(m + 8, p->tally.rx);
    put_le64(m + 16, p->tally.tx_errors);
    put_le32(m + 24, p->tally.rx_errors);
    put_le16(m + 28, p->tally.rx_missed);
    put_le64(m + 40, p->tally.rx - p->tally.rx_broadcast - p->tally.rx_group);
    put_le64(m + 48, p->tally.rx_broadcast);
    put_le32(m + 56, p->tally.rx_group);
    dev_dma_done(d, gpa, BYTES);
}
