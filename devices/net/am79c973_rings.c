// SPDX-License-Identifier: GPL-2.0-or-later
/* am79c973_rings.c - descriptors and frames of the PCnet-FAST III.
 *
 * A ring is an array of descriptors; those with OWN belong to the controller.  A frame lies in the buffers of one or more,
 * the first has STP, the last ENP.  There are three layouts (software styles); `flags` below is the upper half of the
 * second double word of the 32-bit ones, whose upper byte all styles have in common.
 *
 * The controller looks at the transmit ring on demand (TDMD), and by itself every two milliseconds.  Here it looks less
 * often the longer it found nothing, up to 64 times less, so that an idle machine costs nothing, and always as rarely when
 * the driver is known to demand. */
#include "devices/net/am79c973.h"
#include "core-vmm/base/bytes.h"
#include <stdatomic.h>

enum {
    OWN = 0x8000,
    ERROR = 0x4000,
    TX_ADD_CHECK = 0x2000,
    TX_IRQ = 0x1000,
    TX_ONE = 0x0800,
    TX_DEFERRED = 0x0400,
    RX_OVERFLOW = 0x1000,
    RX_BUFFER = 0x0400,
    FIRST = 0x0200,
    LAST = 0x0100,
    RX_PHYSICAL = 0x0040,
    RX_LOGICAL = 0x0020,
    RX_BROADCAST = 0x0010
};
enum { TX_BUFFER = 0x8000, TX_UNDERFLOW = 0x4000, TX_NO_CARRIER = 0x0800 }; /* the upper half of a TX status */
enum { TX_AT_ONCE = 1024 /* descriptors */, TX_LATE_NS = 2000000, POLL_CLOCK_NS = 30, TURN_NS = 50000 };
enum { MASTER = 4 /* in the PCI command register */ };

struct descriptor {
    uint32_t buffer;
    unsigned bytes, flags;
};

/* ---- memory ---- */

bool pcnet_wide(const struct pcnet *p)
{
    return p->bcr[BCR_STYLE] & STYLE_WIDE;
}

static unsigned style(const struct pcnet *p)
{
    return p->bcr[BCR_STYLE] & STYLE_MASK;
}

/* Software of 16 bits has 24 bits of address; the upper 8 are those of the initialization block's. */
static uint32_t address(const struct pcnet *p, uint32_t a)
{
    return pcnet_wide(p) ? a : (a & 0xffffff) | (uint32_t)(p->csr[CSR_INIT_BLOCK + 1] & 0xff00) << 16;
}

static uint32_t csr_pair(const struct pcnet *p, unsigned n)
{
    return p->csr[n] | (uint32_t)p->csr[n + 1] << 16;
}

/* Memory that nobody answers for, or no bus mastership: a system error, and the controller stands still. */
static void *memory(struct device *d, uint32_t a, unsigned bytes, bool write)
{
    struct pcnet *p = d->state;
    void *ram = dev_pci_config(d)[4] & MASTER ? dev_dma(d, a, bytes, write) : NULL;
    if (ram)
        return ram;
    dev_log(d, "its driver points it at 0x%x, where there is no RAM, or has not made it a bus master", a);
    p->csr[CSR_EXTENDED] |= EXTENDED_SYSTEM;
    p->csr[CSR_STATUS] = (p->csr[CSR_STATUS] | STATUS_MEMORY) & ~(STATUS_RX_ON | STATUS_TX_ON);
    return NULL;
}

unsigned pcnet_length(const struct pcnet *p, bool tx)
{
    return 65536 - p->csr[tx ? CSR_TX_LENGTH : CSR_RX_LENGTH];
}

uint32_t pcnet_descriptor(struct pcnet *p, bool tx, unsigned at)
{
    unsigned bytes = pcnet_wide(p) ? 16 : 8;
    uint32_t base = csr_pair(p, tx ? CSR_TX_RING : CSR_RX_RING) & ~(bytes - 1);
    return base + bytes * (at % pcnet_length(p, tx));
}

static bool look(struct device *d, bool tx, unsigned at, struct descriptor *e)
{
    struct pcnet *p = d->state;
    bool wide = pcnet_wide(p);
    const uint8_t *m = memory(d, pcnet_descriptor(p, tx, at), wide ? 16 : 8, false);
    if (!m)
        return false;
    e->flags = wide ? get_le16(m + 6) : m[3] << 8;
    atomic_thread_fence(memory_order_acquire); /* the rest was written before OWN */
    e->bytes = 4096 - (get_le16(m + 4) & 0xfff);
    e->buffer = address(p, !wide ? get_le32(m) : style(p) == 3 ? get_le32(m + 8) : get_le32(m));
    return true;
}

/* Gives a descriptor back.  status: of an RX one the bytes of the frame, of a TX one its errors; -1: as it is. */
static void give_back(struct device *d, bool tx, unsigned at, unsigned flags, int status)
{
    struct pcnet *p = d->state;
    bool wide = pcnet_wide(p);
    uint32_t a = pcnet_descriptor(p, tx, at);
    uint8_t *m = memory(d, a, wide ? 16 : 8, true);
    if (!m)
        return;
    if (status >= 0 && wide)
        put_le32(m + (style(p) == 3 ? 0 : 8), tx ? (uint32_t)status << 16 : (uint32_t)status);
    else if (status >= 0)
        put_le16(m + 6, status);
    atomic_thread_fence(memory_order_release); /* OWN comes last */
    if (wide)
        put_le16(m + 6, flags);
    else
        m[3] = flags >> 8;
    dev_dma_done(d, a, wide ? 16 : 8);
}

/* ---- initialization, start ---- */

static void ring_codes(struct pcnet *p, unsigned rx, unsigned tx)
{
    unsigned most = pcnet_wide(p) ? 9 : 7;
    p->csr[CSR_RING_CODES] = tx << 12 | rx << 8;
    p->csr[CSR_RX_LENGTH] = -(1 << MIN(rx, most));
    p->csr[CSR_TX_LENGTH] = -(1 << MIN(tx, most));
}

static void set_pair(struct pcnet *p, unsigned n, uint32_t v)
{
    p->csr[n] = v;
    p->csr[n + 1] = v >> 16;
}

void pcnet_init_block(struct device *d)
{
    struct pcnet *p = d->state;
    bool wide = pcnet_wide(p);
    const uint8_t *m = memory(d, csr_pair(p, CSR_INIT_BLOCK) & ~(wide ? 3u : 1u), wide ? 28 : 24, false);
    if (!m)
        return;
    const uint8_t *rings = m + (wide ? 20 : 16), *own = m + (wide ? 4 : 2), *groups = m + (wide ? 12 : 8);
    p->csr[CSR_MODE] = get_le16(m);
    for (unsigned i = 0; i < 3; i++)
        p->csr[CSR_ADDRESS + i] = get_le16(own + 2 * i);
    for (unsigned i = 0; i < 4; i++)
        p->csr[CSR_GROUPS + i] = get_le16(groups + 2 * i);
    if (wide)
        ring_codes(p, m[2] >> 4, m[3] >> 4);
    else
        ring_codes(p, rings[3] >> 5, rings[7] >> 5);
    set_pair(p, CSR_RX_RING, address(p, get_le32(rings)));
    set_pair(p, CSR_TX_RING, address(p, get_le32(rings + 4)));
    p->rx_at = p->tx_at = 0;
    p->csr[CSR_STATUS] |= STATUS_INIT_DONE;
}

/* Starting always begins at the rings' bases ("Re-Initialization" in the data sheet). */
void pcnet_start(struct device *d)
{
    struct pcnet *p = d->state;
    unsigned mode = p->csr[CSR_MODE];
    p->csr[CSR_STATUS] |= (mode & MODE_NO_RX ? 0 : STATUS_RX_ON) | (mode & MODE_NO_TX ? 0 : STATUS_TX_ON);
    p->rx_at = p->tx_at = 0;
    p->demanded = false;
    p->idle_polls = 0;
    pcnet_transmit(d);
    net_more_room(p->cable);
}

/* ---- receiving ---- */

static unsigned group_accepted(const struct pcnet *p, const uint8_t *to)
{
    unsigned bit = ether_hash(to) >> 26;
    return p->csr[CSR_GROUPS + bit / 16] >> (bit % 16) & 1 ? RX_LOGICAL : 0;
}

/* Is the frame for this card?  0: no; else what the descriptor is to say, by the first rule that fits. */
static unsigned accepted(const struct pcnet *p, const uint8_t *to)
{
    unsigned mode = p->csr[CSR_MODE], why = 0;
    uint8_t own[ETHER_ADDRESS];
    for (unsigned i = 0; i < 3; i++)
        put_le16(own + 2 * i, p->csr[CSR_ADDRESS + i]);
    if (ether_is_broadcast(to))
        why = mode & MODE_NO_BROADCAST ? 0 : RX_BROADCAST;
    else if (to[0] & 1)
        why = group_accepted(p, to);
    else if (!memcmp(to, own, sizeof own))
        why = mode & MODE_NO_PHYSICAL ? 0 : RX_PHYSICAL;
    return why ? why : mode & MODE_PROMISCUOUS ? FIRST : 0;
}

/* Pads it, adds the check sequence; or takes both off again where automatic stripping is on and its length field says so. */
static unsigned finish_frame(struct pcnet *p, unsigned bytes)
{
    unsigned says = get_be16(p->rx + ETHER_HEAD - 2);
    if (p->csr[CSR_FEATURES] & FEATURE_STRIP && says < ETHER_LEAST - ETHER_HEAD && bytes >= ETHER_HEAD + says)
        return ETHER_HEAD + says;
    if (bytes < ETHER_LEAST)
        memset(p->rx + bytes, 0, ETHER_LEAST - bytes);
    bytes = MAX(bytes, (unsigned)ETHER_LEAST);
    put_le32(p->rx + bytes, ether_check(p->rx, bytes));
    return bytes + ETHER_CHECK;
}

/* How much the driver has made room for, up to `wanted`; *descriptors: in how many. */
static unsigned room(struct device *d, unsigned wanted, unsigned *descriptors)
{
    struct pcnet *p = d->state;
    struct descriptor e;
    unsigned bytes = 0, n = 0, length = pcnet_length(p, false);
    while (bytes < wanted && n < length && look(d, false, p->rx_at + n, &e) && e.flags & OWN) {
        bytes += e.bytes;
        n++;
    }
    *descriptors = n;
    return MIN(bytes, wanted);
}

/* Spreads the frame over n descriptors; `whole`: it fits. */
static void fill(struct device *d, unsigned bytes, unsigned n, unsigned why, bool whole)
{
    struct pcnet *p = d->state;
    unsigned done = 0;
    for (unsigned i = 0; i < n; i++) {
        struct descriptor e;
        if (!look(d, false, p->rx_at, &e))
            return;
        unsigned part = MIN(e.bytes, bytes - done);
        bool last = i == n - 1;
        void *to = memory(d, e.buffer, part, true);
        if (!to)
            return;
        memcpy(to, p->rx + done, part);
        dev_dma_done(d, e.buffer, part);
        done += part;
        unsigned flags = (i ? 0 : FIRST) | (last && whole ? LAST : 0) | (last && !whole ? ERROR | RX_BUFFER : 0);
        if (last && whole)
            flags |= why & (RX_PHYSICAL | RX_LOGICAL | RX_BROADCAST);
        give_back(d, false, p->rx_at, flags, last ? (int)bytes : 0);
        p->rx_at = (p->rx_at + 1) % pcnet_length(p, false);
    }
    p->csr[CSR_STATUS] |= STATUS_RX;
}

static void missed(struct pcnet *p)
{
    p->csr[CSR_STATUS] |= STATUS_MISSED;
    if (!++p->csr[CSR_MISSED])
        p->csr[CSR_FEATURES] |= FEATURE_MISSED_OVERFLOW;
}

/* The frame in p->rx.  False: no buffers; *wait: and it can wait. */
static bool receive(struct device *d, unsigned bytes, unsigned why, bool wait)
{
    struct pcnet *p = d->state;
    unsigned n, total = finish_frame(p, bytes), fits = room(d, total, &n);
    if (!(p->csr[CSR_STATUS] & STATUS_RX_ON))
        return true; /* that was a system error */
    if (fits < total && wait && ether_wait(&p->wait, dev_now(d)))
        return false;
    if (n)
        fill(d, total, n, why, fits == total);
    if (fits < total)
        missed(p);
    else
        ether_wait_end(&p->wait);
    return true;
}

bool pcnet_frame(struct device *d, const void *frame, size_t bytes, const struct net_offload *left)
{
    struct pcnet *p = d->state;
    if (p->csr[CSR_STATUS] & STATUS_STOP || !(p->csr[CSR_STATUS] & STATUS_RX_ON) || p->csr[CSR_MODE] & MODE_LOOPBACK)
        return true;
    if (p->csr[CSR_EXTENDED] & EXTENDED_SUSPEND)
        return false;
    unsigned why = accepted(p, frame);
    if (!why || bytes > PCNET_RX_BYTES - ETHER_CHECK)
        return true;
    memcpy(p->rx, frame, bytes);
    bool taken = receive(d, bytes, why, true);
    pcnet_irq(d);
    pcnet_timers(d);
    return taken;
}

/* ---- sending ---- */

/* What was sent comes back to the driver; its check sequence, too, if that is ours to make. */
static void loop_back(struct device *d, const uint8_t *frame, unsigned bytes)
{
    struct pcnet *p = d->state;
    unsigned why = bytes >= ETHER_HEAD && bytes <= PCNET_RX_BYTES - ETHER_CHECK ? accepted(p, frame) : 0;
    if (!why || !(p->csr[CSR_STATUS] & STATUS_RX_ON))
        return;
    memcpy(p->rx, frame, bytes);
    receive(d, bytes, why, false);
}

static bool looped(const struct pcnet *p)
{
    return p->csr[CSR_MODE] & MODE_LOOPBACK || p->phy.control & MII_LOOPBACK;
}

/* Returns what the last descriptor has to say. */
static unsigned send_frame(struct device *d, unsigned bytes, unsigned flags)
{
    struct pcnet *p = d->state;
    bool own_check = p->csr[CSR_MODE] & MODE_NO_CHECK && !(flags & TX_ADD_CHECK);
    if (own_check && bytes >= ETHER_CHECK)
        bytes -= ETHER_CHECK; /* the driver made it; nobody looks */
    if (bytes > ETHER_MOST)
        p->csr[CSR_STATUS] |= STATUS_BABBLE;
    if (bytes > PCNET_TX_BYTES)
        return 0;
    if (p->csr[CSR_FEATURES] & FEATURE_PAD && bytes < ETHER_LEAST) {
        memset(p->tx + bytes, 0, ETHER_LEAST - bytes);
        bytes = ETHER_LEAST;
    }
    p->csr[CSR_FEATURES] |= FEATURE_TX_START;
    if (looped(p)) {
        loop_back(d, p->tx, bytes);
        return 0;
    }
    struct iovec iov = {p->tx, bytes};
    net_send(p->cable, &iov, 1, NULL);
    if (p->phy.link)
        return 0;
    p->csr[CSR_STATUS] |= STATUS_COLLISION;
    return TX_NO_CARRIER;
}

/* Of the frame at tx_at: its buffers' bytes into p->tx, what its first and last descriptor say into *flags.  The number of
 * descriptors; *whole: with the last one. */
static unsigned gather(struct device *d, unsigned *bytes, unsigned *flags, bool *whole)
{
    struct pcnet *p = d->state;
    struct descriptor e;
    unsigned n = 0, length = pcnet_length(p, true);
    *bytes = *flags = 0;
    *whole = false;
    while (!*whole && n < length && look(d, true, p->tx_at + n, &e) && e.flags & OWN) {
        unsigned part = *bytes < PCNET_TX_BYTES ? MIN(e.bytes, PCNET_TX_BYTES - *bytes) : 0;
        const void *from = part ? memory(d, e.buffer, part, false) : NULL;
        if (part && !from)
            return 0;
        if (part)
            memcpy(p->tx + *bytes, from, part);
        *bytes += e.bytes;
        *flags |= n && !(e.flags & LAST) ? 0 : e.flags;
        *whole = e.flags & LAST;
        n++;
    }
    return n;
}

static void done(struct device *d, unsigned n, unsigned status)
{
    struct pcnet *p = d->state;
    for (unsigned i = 0; i < n; i++) {
        struct descriptor e;
        bool last = i == n - 1;
        if (!look(d, true, p->tx_at, &e))
            return;
        e.flags &= ~(OWN | ERROR | TX_ONE | TX_DEFERRED | TX_IRQ);
        give_back(d, true, p->tx_at, e.flags | (last && status ? ERROR : 0), last ? (int)status : 0);
        p->tx_at = (p->tx_at + 1) % pcnet_length(p, true);
    }
}

static void tell_sent(struct pcnet *p, unsigned flags, unsigned status)
{
    unsigned extended = p->csr[CSR_EXTENDED];
    bool quiet = extended & EXTENDED_NO_TX_IRQ || (extended & EXTENDED_LAST_TX_IRQ && !(flags & TX_IRQ));
    if (status || !quiet)
        p->csr[CSR_STATUS] |= STATUS_TX;
}

/* The frame's end is not in the ring yet.  A controller that has begun to send runs dry then; here the driver has a
 * moment, until `late` if one has begun. */
static unsigned cut_short(struct device *d, unsigned n, uint64_t late)
{
    struct pcnet *p = d->state;
    late = late ? late : dev_now(d) + TX_LATE_NS;
    if (dev_now(d) < late && n < pcnet_length(p, true)) {
        p->tx_late = late;
        return 0;
    }
    if (!(p->csr[CSR_MASK] & MASK_UNDERFLOW_GOES_ON))
        p->csr[CSR_STATUS] &= ~STATUS_TX_ON;
    done(d, n, TX_BUFFER | TX_UNDERFLOW);
    tell_sent(p, 0, TX_BUFFER);
    return n;
}

/* One frame, or a descriptor in the middle of nothing.  How many descriptors it was; 0: there is no more. */
static unsigned transmit_one(struct device *d)
{
    struct pcnet *p = d->state;
    struct descriptor e;
    uint64_t late = p->tx_late;
    p->tx_late = 0; /* the driver may have taken the half frame back */
    if (!look(d, true, p->tx_at, &e) || !(e.flags & OWN))
        return 0;
    if (!(e.flags & FIRST)) {
        done(d, 1, 0);
        return 1;
    }
    unsigned bytes, flags;
    bool whole;
    unsigned n = gather(d, &bytes, &flags, &whole);
    if (n && !whole)
        return cut_short(d, n, late);
    if (!n)
        return 0;
    unsigned status = send_frame(d, bytes, flags);
    done(d, n, status);
    tell_sent(p, flags, status);
    return n;
}

static bool sending(const struct pcnet *p)
{
    return p->csr[CSR_STATUS] & STATUS_TX_ON && !(p->csr[CSR_EXTENDED] & EXTENDED_SUSPEND);
}

/* When to look again: soon, if there is more than one turn is for, or half a frame. */
static uint64_t next_poll(struct device *d, bool more)
{
    struct pcnet *p = d->state;
    uint64_t period = (uint64_t)(65536 - p->csr[CSR_POLL]) * POLL_CLOCK_NS;
    if (!sending(p))
        return DEV_NEVER;
    if (more)
        return dev_now(d) + TURN_NS;
    if (p->tx_late)
        return p->tx_late;
    if (p->csr[CSR_FEATURES] & FEATURE_NO_POLL)
        return DEV_NEVER;
    return dev_now(d) + (MAX(period, (uint64_t)ETHER_LOOK_NS) << (p->demanded ? PCNET_IDLE_MOST : p->idle_polls));
}

void pcnet_poll(struct device *d)
{
    struct pcnet *p = d->state;
    p->poll_at = next_poll(d, false);
    pcnet_timers(d);
}

void pcnet_transmit(struct device *d)
{
    struct pcnet *p = d->state;
    unsigned n = 0, part = 1;
    while (n < TX_AT_ONCE && part && sending(p)) {
        part = transmit_one(d);
        n += part;
    }
    p->idle_polls = n ? 0 : MIN(p->idle_polls + 1, (uint32_t)PCNET_IDLE_MOST);
    p->poll_at = next_poll(d, part != 0);
    pcnet_timers(d);
}

/* ---- timers ---- */

static void poll_due(struct device *d)
{
    pcnet_transmit(d);
    pcnet_irq(d);
}

static void wait_due(struct device *d)
{
    struct pcnet *p = d->state;
    p->wait.look = DEV_NEVER;
    net_more_room(p->cable);
}

void pcnet_timers(struct device *d)
{
    struct pcnet *p = d->state;
    dev_timer(d, TIMER_POLL, p->poll_at, poll_due);
    dev_timer(d, TIMER_WAIT, p->wait.look, wait_due);
}
