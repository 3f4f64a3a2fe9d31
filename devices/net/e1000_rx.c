// SPDX-License-Identifier: GPL-2.0-or-later
/* e1000_rx.c - frames from the cable into the guest's buffers (SDM 3.2).
 *
 * A frame that has no room waits outside, in the cable, until the driver moves the ring's tail: then there is more
 * throughput than by dropping it, and the guest sees at most a pause. */
#include "core-vmm/base/bytes.h"
#include "devices/net/e1000.h"

enum { LEAST = 60, CRC = 4, USUAL_MOST = 1522, LONG_MOST = 16384, TAG = 4, TAG_AT = 12, DESCRIPTOR = 16 };
enum { RCTL_WRITABLE = 0x06dffffe };

/* A frame as it will lie in the buffers. */
struct incoming {
    const uint8_t *data;
    uint32_t bytes;
    uint32_t total; /* with what is added: padding, check sequence */
    uint32_t skip;  /* a VLAN tag of that many bytes is left out at TAG_AT */
    uint16_t tag;
    uint8_t status;
};

struct ring {
    uint64_t base;
    uint32_t count, head, tail;
};

static bool ring_get(struct e1000 *e, struct ring *r)
{
    r->base = (uint64_t)*e1000_reg(e, RDBAH) << 32 | *e1000_reg(e, RDBAL);
    r->count = *e1000_reg(e, RDLEN) / DESCRIPTOR;
    r->head = *e1000_reg(e, RDH);
    r->tail = *e1000_reg(e, RDT);
    return r->head < r->count && r->tail < r->count;
}

static uint32_t ring_free(const struct ring *r)
{
    return r->tail >= r->head ? r->tail - r->head : r->count - r->head + r->tail;
}

static uint32_t buffer_bytes(struct e1000 *e)
{
    uint32_t rctl = *e1000_reg(e, RCTL), size = 2048 >> (rctl >> RCTL_BSIZE_SHIFT & 3);
    return rctl & RCTL_BSEX && size < 2048 ? size * 16 : size;
}

/* ---- which frames ---- */

static bool is_exact(struct e1000 *e, const uint8_t *to)
{
    uint32_t low = get_le32(to), high = get_le16(to + 4);
    for (unsigned i = 0; i < RA_ENTRIES; i++) {
        const uint32_t *ra = e1000_reg(e, RA + 8 * i);
        if (ra[0] == low && (ra[1] & (RAH_AV | 0x3ffff)) == (RAH_AV | high))
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
    static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    uint32_t rctl = *e1000_reg(e, RCTL);
    if (!memcmp(to, broadcast, 6))
        return rctl & (RCTL_BAM | RCTL_MPE) || is_exact(e, to);
    if (to[0] & 1)
        return rctl & RCTL_MPE || in_multicast_table(e, to) || is_exact(e, to);
    return rctl & RCTL_UPE || is_exact(e, to);
}

static bool is_tagged(struct e1000 *e, const uint8_t *frame, size_t bytes)
{
    return bytes >= TAG_AT + TAG + 2 && get_be16(frame + TAG_AT) == *e1000_reg(e, VET);
}

static bool in_vlan_table(struct e1000 *e, uint16_t tag)
{
    uint32_t rctl = *e1000_reg(e, RCTL);
    if (rctl & RCTL_CFIEN && !(tag >> 12 & 1) != !(rctl & RCTL_CFI))
        return false;
    return *e1000_reg(e, VFTA + 4 * (tag >> 5 & 0x7f)) >> (tag & 31) & 1;
}

/* ---- into the buffers ---- */

/* Bytes [at, at + n) of the frame as it is to lie there. */
static void copy_out(const struct incoming *in, uint32_t at, uint8_t *to, uint32_t n)
{
    uint32_t before = in->skip && at < TAG_AT ? MIN(n, TAG_AT - at) : 0;
    memcpy(to, in->data + at, before);
    at += before + in->skip, to += before, n -= before;
    uint32_t real = at < in->bytes ? MIN(n, in->bytes - at) : 0;
    memcpy(to, in->data + at, real);
    memset(to + real, 0, n - real);
}

static void fill(struct device *d, uint64_t gpa, const struct incoming *in, uint32_t at, uint32_t n)
{
    uint8_t *to = gpa ? dev_dma(d, gpa, n, true) : NULL;
    if (to) {
        copy_out(in, at, to, n);
        dev_dma_done(d, gpa, n);
    } else if (gpa) {
        dev_log(d, "a receive buffer at %" G_GINT64_MODIFIER "x is not in RAM", gpa);
    }
}

/* The second half last, for that is where the driver sees that the buffer is its own. */
static void descriptor_done(uint8_t *at, const struct incoming *in, uint32_t n, bool last)
{
    uint64_t status = RX_DD | (last ? RX_EOP : 0) | in->status;
    __atomic_store_n((uint64_t *)(at + 8), htole64(n | status << 32 | (uint64_t)in->tag << 48), __ATOMIC_RELEASE);
}

static void scatter(struct device *d, struct ring *r, const struct incoming *in)
{
    struct e1000 *e = d->state;
    uint32_t size = buffer_bytes(e);
    for (uint32_t at = 0; at < in->total;) {
        uint64_t gpa = r->base + (uint64_t)r->head * DESCRIPTOR;
        uint8_t *descriptor = dev_dma(d, gpa, DESCRIPTOR, true);
        uint32_t n = MIN(size, in->total - at);
        if (!descriptor) {
            dev_log(d, "the receive ring is not in RAM");
            return;
        }
        fill(d, get_le64(descriptor), in, at, n);
        at += n;
        descriptor_done(descriptor, in, n, at == in->total);
        dev_dma_done(d, gpa, DESCRIPTOR);
        r->head = r->head + 1 == r->count ? 0 : r->head + 1;
    }
    *e1000_reg(e, RDH) = r->head;
}

static void count(struct e1000 *e, const uint8_t *frame, uint32_t bytes)
{
    static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    e1000_count(e, GPRC);
    e1000_count_bytes(e, GORCL, bytes);
    e1000_count_size(e, PRC64, bytes);
    if (frame[0] & 1)
        e1000_count(e, memcmp(frame, broadcast, 6) ? MPRC : BPRC);
}

static bool receive(struct device *d, struct incoming *in)
{
    struct e1000 *e = d->state;
    struct ring r;
    uint32_t crc = *e1000_reg(e, RCTL) & RCTL_SECRC ? 0 : CRC;
    in->total = MAX(in->bytes - in->skip, LEAST) + crc;
    if (!ring_get(e, &r) || ring_free(&r) < (in->total + buffer_bytes(e) - 1) / buffer_bytes(e)) {
        if (!e->rx_full)
            e1000_count(e, RNBC);
        e->rx_full = true;
        return false;
    }
    count(e, in->data, MAX(in->bytes, LEAST) + CRC);
    scatter(d, &r, in);
    if (ring_free(&r) <= r.count >> (1 + (*e1000_reg(e, RCTL) >> RCTL_RDMTS_SHIFT & 3)))
        *e1000_reg(e, ICR) |= INT_RXDMT0;
    e1000_rx_later(d);
    return true;
}

/* May it come in?  What is left out of it stands in *in. */
static bool passes(struct e1000 *e, struct incoming *in)
{
    uint32_t rctl = *e1000_reg(e, RCTL);
    if (in->bytes + CRC > (rctl & RCTL_LPE ? LONG_MOST : USUAL_MOST)) {
        e1000_count(e, ROC);
        return false;
    }
    if (!for_us(e, in->data))
        return false;
    if (!is_tagged(e, in->data, in->bytes))
        return true;
    uint16_t tag = get_be16(in->data + TAG_AT + 2);
    if (rctl & RCTL_VFE && !in_vlan_table(e, tag))
        return false;
    if (*e1000_reg(e, CTRL) & CTRL_VME) {
        in->skip = TAG;
        in->tag = tag;
        in->status = RX_VP;
    }
    return true;
}

bool e1000_frame(struct device *d, const void *frame, size_t bytes, const struct net_offload *left)
{
    struct e1000 *e = d->state;
    struct incoming in = {.data = frame, .bytes = bytes};
    if (!(*e1000_reg(e, RCTL) & RCTL_EN) || (!e1000_link_up(e) && !e1000_loopback(e)))
        return true;
    if (passes(e, &in) && !receive(d, &in))
        return false;
    e1000_count(e, TPR);
    e1000_count_bytes(e, TORL, MAX(bytes, LEAST) + CRC);
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
    *e1000_reg(d->state, RCTL) = v & RCTL_WRITABLE;
    room(d);
}

void e1000_rdt_write(struct device *d, uint32_t at, uint32_t v)
{
    *e1000_reg(d->state, at) = v & 0xffff;
    room(d);
}
