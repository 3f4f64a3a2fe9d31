// SPDX-License-Identifier: GPL-2.0-or-later
/* e1000_rx.c - frames from the cable into the guest's buffers (SDM 3.2; data sheet 7.1).
 *
 * A frame that has no room waits outside, in the cable, until the driver moves the ring's tail: that gives more throughput than
 * to drop it, and the guest sees at most a pause.  What the card tells of a frame (its sums, its hash) is e1000_parse.c's. */
#include "core-vmm/base/bytes.h"
#include "devices/net/e1000.h"
#include "devices/net/ethernet.h"

enum { USUAL_MOST = 1522, LONG_MOST = 16384, TAG_AT = 12, DESCRIPTOR = 16 };

struct ring {
    uint8_t *at;
    uint64_t gpa;
    uint32_t count, head, tail;
    uint64_t from, to; /* descriptors that were written to */
};

static bool ring_get(struct device *d, uint32_t queue, struct ring *r)
{
    struct e1000 *e = d->state;
    *r = (struct ring){.gpa = (uint64_t)*e1000_reg(e, RDBAH + queue) << 32 | *e1000_reg(e, RDBAL + queue),
                       .count = *e1000_reg(e, RDLEN + queue) / DESCRIPTOR,
                       .head = *e1000_reg(e, RDH + queue),
                       .tail = *e1000_reg(e, RDT + queue)};
    if (r->head >= r->count || r->tail >= r->count || r->head == r->tail)
        return false;
    r->at = dev_dma(d, r->gpa, (uint64_t)r->count * DESCRIPTOR, true);
    if (!r->at)
        dev_log(d, "the receive ring is not in RAM");
    return r->at;
}

static uint32_t ring_free(const struct ring *r)
{
    return r->tail >= r->head ? r->tail - r->head : r->count - r->head + r->tail;
}

static uint32_t buffer_bytes(struct e1000 *e)
{
    uint32_t rctl = *e1000_reg(e, RCTL), size = 2048 >> (rctl >> RCTL_BSIZE_SHIFT & 3);
    uint32_t flexible = e->model->flexible_buffers ? rctl >> RCTL_FLXBUF_SHIFT & 15 : 0;
    if (flexible)
        return flexible * 1024;
    return rctl & RCTL_BSEX && size < 2048 ? size * 16 : size;
}

/* ---- which frames ---- */

static bool is_exact(struct e1000 *e, const uint8_t *to)
{
    uint32_t low = get_le32(to), high = get_le16(to + 4);
    for (unsigned i = 0; i < RA_ENTRIES; i++) {
        const uint32_t *ra = e1000_reg(e, RA + 8 * i);
        if (ra[0] == low && ra[1] == (RAH_AV | high))
            return true;
    }
    return false;
}

static bool in_multicast_table(struct e1000 *e, const uint8_t *to)
{
    static const uint8_t shifts[] = {4, 3, 2, 0};
    unsigned hash = get_le16(to + 4) >> shifts[*e1000_reg(e, RCTL) >> RCTL_MO_SHIFT & 3] & 0xfff;
    return *e1000_reg(e, MTA + 4 * (hash >> 5)) >> (hash & 31) & 1;
}

static bool for_us(struct e1000 *e, const uint8_t *to)
{
    uint32_t rctl = *e1000_reg(e, RCTL);
    if (ether_is_broadcast(to))
        return rctl & (RCTL_BAM | RCTL_MPE) || is_exact(e, to);
    if (to[0] & 1)
        return rctl & RCTL_MPE || in_multicast_table(e, to) || is_exact(e, to);
    return rctl & RCTL_UPE || is_exact(e, to);
}

static bool is_tagged(struct e1000 *e, const struct e1000_incoming *in)
{
    return in->bytes >= TAG_AT + ETHER_TAG + 2 && get_be16(in->data + TAG_AT) == *e1000_reg(e, VET);
}

static bool in_vlan_table(struct e1000 *e, uint16_t tag)
{
    uint32_t rctl = *e1000_reg(e, RCTL);
    if (rctl & RCTL_CFIEN && !(tag >> 12 & 1) != !(rctl & RCTL_CFI))
        return false;
    return *e1000_reg(e, VFTA + 4 * (tag >> 5 & 0x7f)) >> (tag & 31) & 1;
}

/* May it come in?  What is left out of it stands in *in. */
static bool passes(struct e1000 *e, struct e1000_incoming *in)
{
    uint32_t rctl = *e1000_reg(e, RCTL);
    if (in->bytes + ETHER_CHECK > (rctl & RCTL_LPE ? LONG_MOST : USUAL_MOST)) {
        e1000_count(e, ROC, 1);
        return false;
    }
    if (!for_us(e, in->data))
        return false;
    if (!is_tagged(e, in))
        return true;
    uint16_t tag = get_be16(in->data + TAG_AT + 2);
    if (rctl & RCTL_VFE && !in_vlan_table(e, tag))
        return false;
    if (*e1000_reg(e, CTRL) & CTRL_VME) {
        in->skip = ETHER_TAG;
        in->tag = tag;
        in->status = RX_VP;
    }
    return true;
}

/* ---- into the buffers ---- */

/* Bytes [at, at + n) of the frame as it is to lie there; what is added to it is zeroes. */
static void copy_out(const struct e1000_incoming *in, uint32_t at, uint8_t *to, uint32_t n)
{
    uint32_t before = in->skip && at < TAG_AT ? MIN(n, TAG_AT - at) : 0;
    memcpy(to, in->data + at, before);
    at += before + in->skip;
    to += before;
    n -= before;
    uint32_t real = at < in->bytes ? MIN(n, in->bytes - at) : 0;
    if (real)
        memcpy(to, in->data + at, real);
    memset(to + real, 0, n - real);
}

static void fill(struct device *d, uint64_t gpa, const struct e1000_incoming *in, uint32_t at, uint32_t n)
{
    uint8_t *to = gpa ? dev_dma(d, gpa, n, true) : NULL;
    if (to) {
        copy_out(in, at, to, n);
        dev_dma_done(d, gpa, n);
    } else if (gpa) {
        dev_log(d, "a receive buffer at %" G_GINT64_MODIFIER "x is not in RAM", gpa);
    }
}

/* The half with the status comes last, for there the driver sees that the buffer is its own. */
static void descriptor_done(struct e1000 *e, uint8_t *at, const struct e1000_incoming *in, uint32_t n, bool last)
{
    uint64_t status = in->status | RX_DD | (last ? RX_EOP : 0), high;
    if (e->model->extended && *e1000_reg(e, RFCTL) & RFCTL_EXSTEN) {
        put_le64(at, in->hash_type | (uint32_t)in->queue << 8 | (uint64_t)in->hash << 32);
        high = status | (uint64_t)in->errors << 24 | (uint64_t)n << 32 | (uint64_t)in->tag << 48;
    } else {
        high =
            n | (uint64_t)in->sum << 16 | (status & 0xff) << 32 | (uint64_t)in->errors << 40 | (uint64_t)in->tag << 48;
    }
    __atomic_store_n((uint64_t *)(at + 8), htole64(high), __ATOMIC_RELEASE);
}

static void tell_written(struct device *d, struct ring *r)
{
    if (r->to > r->from)
        dev_dma_done(d, r->from, r->to - r->from);
}

static void scatter(struct device *d, struct ring *r, const struct e1000_incoming *in, uint32_t total, uint32_t size)
{
    struct e1000 *e = d->state;
    for (uint32_t at = 0; at < total;) {
        uint8_t *descriptor = r->at + (size_t)r->head * DESCRIPTOR;
        uint64_t gpa = r->gpa + (uint64_t)r->head * DESCRIPTOR;
        uint32_t n = MIN(size, total - at);
        fill(d, get_le64(descriptor), in, at, n);
        at += n;
        descriptor_done(e, descriptor, in, n, at == total);
        if (gpa != r->to) {
            tell_written(d, r);
            r->from = gpa;
        }
        r->to = gpa + DESCRIPTOR;
        r->head = r->head + 1 == r->count ? 0 : r->head + 1;
    }
    tell_written(d, r);
}

static void count(struct e1000 *e, const uint8_t *to, uint32_t bytes)
{
    e1000_count(e, GPRC, 1);
    e1000_count_bytes(e, GORCL, bytes);
    e1000_count_size(e, PRC64, bytes, 1);
    if (to[0] & 1)
        e1000_count(e, ether_is_broadcast(to) ? BPRC : MPRC, 1);
}

/* False: there is no room. */
static bool receive(struct device *d, struct e1000_incoming *in)
{
    struct e1000 *e = d->state;
    uint32_t queue = e1000_parse(e, in), size = buffer_bytes(e), rctl = *e1000_reg(e, RCTL);
    uint32_t total = MAX(in->bytes - in->skip, ETHER_LEAST) + (rctl & RCTL_SECRC ? 0 : ETHER_CHECK);
    struct ring r;
    if (!ring_get(d, queue * QUEUE_STEP, &r) || ring_free(&r) < (total + size - 1) / size) {
        if (!e->rx_full)
            e1000_count(e, RNBC, 1);
        e->rx_full = true;
        return false;
    }
    scatter(d, &r, in, total, size);
    *e1000_reg(e, RDH + queue * QUEUE_STEP) = r.head;
    count(e, in->data, MAX(in->bytes, ETHER_LEAST) + ETHER_CHECK);
    uint32_t causes = e->model->rx_cause << queue;
    if (ring_free(&r) <= r.count >> (1 + (rctl >> RCTL_RDMTS_SHIFT & 3)))
        e1000_cause(d, INT_RXDMT0 | causes);
    if (in->bytes <= *e1000_reg(e, RSRPD))
        e1000_cause(d, INT_SRPD);
    e1000_rx_later(d, INT_RXT0 | causes);
    return true;
}

bool e1000_frame(struct device *d, const void *frame, size_t bytes, const struct net_offload *left)
{
    struct e1000 *e = d->state;
    struct e1000_incoming in = {.data = frame, .bytes = bytes};
    if (!(*e1000_reg(e, RCTL) & RCTL_EN) || (!e1000_link_up(e) && !e1000_loopback(e)))
        return true;
    if (passes(e, &in) && !receive(d, &in))
        return false;
    e1000_count(e, TPR, 1);
    e1000_count_bytes(e, TORL, MAX(bytes, ETHER_LEAST) + ETHER_CHECK);
    return true;
}

/* ---- registers ---- */

static void room(struct device *d)
{
    struct e1000 *e = d->state;
    if (!e->rx_full)
        return;
    e->rx_full = false;
    net_more_room(e->cable);
}

void e1000_rctl_write(struct device *d, uint32_t at, uint32_t v)
{
    struct e1000 *e = d->state;
    *e1000_reg(e, RCTL) = v & (e->model->flexible_buffers ? RCTL_WRITABLE | 15 << RCTL_FLXBUF_SHIFT : RCTL_WRITABLE);
    room(d);
}

void e1000_rdt_write(struct device *d, uint32_t at, uint32_t v)
{
    *e1000_reg(d->state, at) = v & 0xffff;
    room(d);
}
