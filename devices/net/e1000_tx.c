// SPDX-License-Identifier: GPL-2.0-or-later
/* e1000_tx.c - descriptors of the driver into frames on the cable (SDM 3.3, 3.4, 3.5).
 *
 * A packet is some data descriptors, the last with EOP.  Their buffers go to the cable as they lie in RAM; what has to be
 * different (a VLAN tag put in, a sum of the IP header) is made in a copy of the packet's beginning.  The sum of TCP and UDP
 * and the cutting up of a long TCP packet are left to whoever gets it.  If the tail comes before EOP, what is there so far
 * is copied, because the driver may have its buffers back then. */
#include "core-vmm/base/bytes.h"
#include "devices/net/e1000.h"
#include "devices/net/ethernet.h"

enum { DESCRIPTOR = 16, TAG_AT = 12, HEAD_MOST = 512, TCTL_WRITABLE = 0x03fffffa };
enum { FEW_DESCRIPTORS = 4, LENGTH_LEGACY = 0xffff, LENGTH_DATA = 0xfffff };

/* A packet that is whole. */
struct outgoing {
    uint8_t head[HEAD_MOST + ETHER_TAG];   /* a copy of its beginning ... */
    struct iovec iov[E1000_FRAGMENTS + 2]; /* ... and all of it */
    int count;
    uint32_t bytes;
    struct net_offload left;
};

/* ---- a packet's pieces ---- */

void e1000_packet_forget(struct e1000_packet *p)
{
    p->begun = p->drop = false;
    p->bytes = p->gathered = 0;
    p->fragments = 0;
}

/* What is in the guest's RAM goes into the buffer. */
static void gather(struct e1000_packet *p)
{
    for (int i = p->gathered ? 1 : 0; i < p->fragments; i++) {
        memcpy(p->buffer + p->gathered, p->iov[i].iov_base, p->iov[i].iov_len);
        p->gathered += p->iov[i].iov_len;
    }
    p->fragments = p->gathered ? 1 : 0;
    p->iov[0] = (struct iovec){p->buffer, p->gathered};
}

static void append(struct device *d, struct e1000_packet *p, uint64_t gpa, uint32_t n)
{
    if (!gpa || !n || p->drop)
        return;
    void *data = n <= NET_FRAME_MOST - p->bytes ? dev_dma(d, gpa, n, false) : NULL;
    if (!data) {
        p->drop = true;
        dev_log(d, "a packet to send is longer than %u bytes, or not in RAM", NET_FRAME_MOST);
        return;
    }
    if (p->fragments == E1000_FRAGMENTS)
        gather(p);
    p->iov[p->fragments++] = (struct iovec){data, n};
    p->bytes += n;
}

/* ---- a packet as it is to go out ---- */

static void trim(struct outgoing *o, uint32_t n)
{
    o->bytes -= n;
    while (n) {
        struct iovec *last = &o->iov[o->count - 1];
        uint32_t cut = MIN(n, last->iov_len);
        last->iov_len -= cut;
        n -= cut;
        o->count -= !last->iov_len;
    }
}

/* The first n bytes become a copy, iov[0].  False: there are not so many. */
static bool pull(struct outgoing *o, uint32_t n)
{
    uint32_t got = 0;
    int used = 0;
    if (n > HEAD_MOST || n > o->bytes)
        return false;
    for (; got < n; used += !o->iov[used].iov_len) {
        uint32_t part = MIN(n - got, o->iov[used].iov_len);
        memcpy(o->head + got, o->iov[used].iov_base, part);
        o->iov[used].iov_base = (uint8_t *)o->iov[used].iov_base + part;
        o->iov[used].iov_len -= part;
        got += part;
    }
    memmove(o->iov + 1, o->iov + used, (o->count - used) * sizeof *o->iov);
    o->iov[0] = (struct iovec){o->head, n};
    o->count += 1 - used;
    return true;
}

/* All of it in the packet's buffer, for what is too odd to be done otherwise. */
static uint8_t *flatten(struct e1000_packet *p, struct outgoing *o)
{
    gather(p);
    if (o->iov[0].iov_base == o->head)
        memcpy(p->buffer, o->head, o->iov[0].iov_len);
    o->iov[0] = (struct iovec){p->buffer, o->bytes};
    o->count = 1;
    return p->buffer;
}

/* Bytes [start, end) to be summed up, and where the sum goes; end 0: to the packet's end. */
struct sum {
    uint32_t start, at, end;
};

static bool sum_fits(const struct outgoing *o, struct sum *s)
{
    if (!s->end || s->end > o->bytes)
        s->end = o->bytes;
    return s->start < s->end && s->at + 2 <= o->bytes;
}

static void sum_now(uint8_t *bytes, const struct sum *s)
{
    uint16_t v = ~offload_fold(offload_sum(bytes + s->start, s->end - s->start, 0));
    memcpy(bytes + s->at, &v, sizeof v);
}

/* The IP header's: in the copy of the packet's beginning, where it nearly always lies. */
static void sum_header(struct e1000_packet *p, struct outgoing *o, struct sum s)
{
    if (!sum_fits(o, &s))
        return;
    bool near = pull(o, MAX(MAX(s.end, s.at + 2), NET_FRAME_LEAST));
    sum_now(near ? o->head : flatten(p, o), &s);
}

static void sum_payload(struct e1000_packet *p, struct outgoing *o, struct sum s)
{
    if (!sum_fits(o, &s))
        return;
    if (s.end == o->bytes && s.at >= s.start)
        o->left = (struct net_offload){.checksum = true, .checksum_start = s.start, .checksum_offset = s.at - s.start};
    else
        sum_now(flatten(p, o), &s);
}

static struct sum sum_of(uint32_t context)
{
    uint32_t end = context >> 16;
    return (struct sum){context & 0xff, context >> 8 & 0xff, end ? end + 1 : 0};
}

/* False: it cannot be sent. */
static bool to_be_cut(struct outgoing *o, const struct e1000_context *c)
{
    o->left = (struct net_offload){.checksum = true,
                                   .segments = c->command & TX_TUCMD_IP ? NET_TSO4 : NET_TSO6,
                                   .segment_bytes = c->header >> 16,
                                   .header_bytes = c->header >> 8 & 0xff};
    return c->command & TX_TUCMD_TCP && o->left.segment_bytes && o->left.header_bytes < o->bytes;
}

/* What the descriptors ask for: the first one's options, the last one's command. */
static bool options(struct e1000_tx *q, struct outgoing *o, uint32_t command, uint32_t upper)
{
    struct e1000_packet *p = &q->packet;
    uint32_t popts = p->upper >> 8;
    if (!(p->lower & TX_DEXT)) {
        if (command & TX_IC)
            sum_payload(p, o, (struct sum){upper >> 8 & 0xff, command >> 16 & 0xff, 0});
        return true;
    }
    if (p->lower & TX_TSE)
        return to_be_cut(o, &q->context[1]);
    if (popts & TX_POPTS_IXSM)
        sum_header(p, o, sum_of(q->context[0].ip));
    if (popts & TX_POPTS_TXSM)
        sum_payload(p, o, sum_of(q->context[0].tcp));
    return true;
}

static void put_tag(struct e1000 *e, struct outgoing *o, uint16_t tag)
{
    if (o->iov[0].iov_base != o->head && !pull(o, TAG_AT))
        return;
    memmove(o->head + TAG_AT + ETHER_TAG, o->head + TAG_AT, o->iov[0].iov_len - TAG_AT);
    put_be16(o->head + TAG_AT, *e1000_reg(e, VET));
    put_be16(o->head + TAG_AT + 2, tag);
    o->iov[0].iov_len += ETHER_TAG;
    o->bytes += ETHER_TAG;
    o->left.checksum_start += o->left.checksum && !o->left.segments ? ETHER_TAG : 0;
    o->left.header_bytes += o->left.segments ? ETHER_TAG : 0;
}

/* ---- onto the cable ---- */

static void count_frames(struct e1000 *e, const uint8_t *frame, uint32_t bytes, uint32_t frames)
{
    e1000_count(e, GPTC, frames);
    e1000_count(e, TPT, frames);
    e1000_count_bytes(e, GOTCL, (uint64_t)bytes * frames);
    e1000_count_bytes(e, TOTL, (uint64_t)bytes * frames);
    e1000_count_size(e, PTC64, bytes, frames);
    if (frame[0] & 1)
        e1000_count(e, ether_is_broadcast(frame) ? BPTC : MPTC, frames);
}

static void count(struct e1000 *e, const struct outgoing *o)
{
    uint8_t to[6];
    const struct net_offload *left = &o->left;
    for (uint32_t i = 0, piece = 0, at = 0; i < sizeof to; i++, at++) {
        for (; at == o->iov[piece].iov_len; at = 0)
            piece++;
        to[i] = ((uint8_t *)o->iov[piece].iov_base)[at];
    }
    if (!left->segments) {
        count_frames(e, to, o->bytes + ETHER_CHECK, 1);
        return;
    }
    uint32_t payload = o->bytes - left->header_bytes, last = payload % left->segment_bytes;
    count_frames(e, to, left->header_bytes + left->segment_bytes + ETHER_CHECK, payload / left->segment_bytes);
    if (last)
        count_frames(e, to, left->header_bytes + last + ETHER_CHECK, 1);
    e1000_count(e, TSCTC, 1);
}

static void receive_segment(void *ctx, uint8_t *frame, size_t bytes)
{
    e1000_frame(ctx, frame, bytes, NULL);
}

static void send_back(struct device *d, struct outgoing *o)
{
    g_autofree uint8_t *flat = g_malloc(o->bytes);
    uint32_t at = 0;
    for (int i = 0; i < o->count; at += o->iov[i++].iov_len)
        memcpy(flat + at, o->iov[i].iov_base, o->iov[i].iov_len);
    if (o->left.segments)
        offload_cut(flat, o->bytes, &o->left, receive_segment, d);
    else if (offload_checksum(flat, o->bytes, &o->left))
        e1000_frame(d, flat, o->bytes, NULL);
}

static void send(struct device *d, struct e1000_tx *q, uint32_t command, uint32_t upper)
{
    static const uint8_t padding[ETHER_LEAST];
    struct e1000 *e = d->state;
    struct outgoing o;
    o.count = q->packet.fragments;
    o.bytes = q->packet.bytes;
    o.left = (struct net_offload){0};
    memcpy(o.iov, q->packet.iov, o.count * sizeof *o.iov);
    if (!(command & TX_IFCS)) /* the driver's own check sequence is at its end */
        trim(&o, MIN(o.bytes, ETHER_CHECK));
    if (o.bytes < NET_FRAME_LEAST || !options(q, &o, command, upper))
        return;
    if (command & TX_VLE && *e1000_reg(e, CTRL) & CTRL_VME)
        put_tag(e, &o, upper >> 16);
    if (*e1000_reg(e, TCTL) & TCTL_PSP && o.bytes < ETHER_LEAST) {
        o.iov[o.count++] = (struct iovec){(void *)padding, ETHER_LEAST - o.bytes};
        o.bytes = ETHER_LEAST;
    }
    count(e, &o);
    if (e1000_loopback(e))
        send_back(d, &o);
    else if (e1000_link_up(e))
        net_send(e->cable, o.iov, o.count, &o.left);
}

/* ---- descriptors ---- */

/* A queue's ring while it is worked on. */
struct ring {
    uint8_t *at; /* all of it */
    uint64_t gpa;
    uint32_t count, head, tail;
    uint64_t from, to;      /* what was written to, and not yet told */
    uint32_t causes, later; /* for the interrupt; those that may wait */
    uint32_t done;          /* what a descriptor's report causes */
};

static void context(struct e1000_tx *q, const uint8_t *descriptor)
{
    uint32_t command = get_le32(descriptor + 8);
    q->context[command & TX_TSE ? 1 : 0] = (struct e1000_context){.ip = get_le32(descriptor),
                                                                  .tcp = get_le32(descriptor + 4),
                                                                  .command = command,
                                                                  .header = get_le32(descriptor + 12)};
}

static void data(struct device *d, struct e1000_tx *q, const uint8_t *descriptor, uint32_t lower, uint32_t upper)
{
    struct e1000_packet *p = &q->packet;
    if (!p->begun) {
        p->begun = true;
        p->lower = lower;
        p->upper = upper;
    }
    append(d, p, get_le64(descriptor), lower & (lower & TX_DEXT ? LENGTH_DATA : LENGTH_LEGACY));
    if (!(lower & TX_EOP))
        return;
    if (!p->drop)
        send(d, q, lower, upper);
    e1000_packet_forget(p);
}

static void tell_written(struct device *d, struct ring *r)
{
    if (r->to > r->from)
        dev_dma_done(d, r->from, r->to - r->from);
    r->from = r->to = 0;
}

static void write_back(struct device *d, struct ring *r, uint8_t *descriptor, uint32_t lower, uint32_t upper)
{
    uint64_t gpa = r->gpa + (uint64_t)r->head * DESCRIPTOR;
    __atomic_store_n((uint32_t *)(descriptor + 12), htole32(upper | TX_DD), __ATOMIC_RELEASE);
    if (r->to > gpa || !r->to) {
        tell_written(d, r);
        r->from = gpa;
    }
    r->to = gpa + DESCRIPTOR;
    if (lower & TX_IDE)
        r->later |= r->done;
    else
        r->causes |= r->done;
}

static void one(struct device *d, struct e1000_tx *q, struct ring *r)
{
    uint8_t *descriptor = r->at + (size_t)r->head * DESCRIPTOR;
    uint32_t lower = get_le32(descriptor + 8), upper = get_le32(descriptor + 12);
    if (lower & TX_DEXT && (lower >> TX_DTYP_SHIFT & 15) == TX_CONTEXT)
        context(q, descriptor);
    else
        data(d, q, descriptor, lower, upper);
    if (lower & TX_RS)
        write_back(d, r, descriptor, lower, upper);
    r->head = r->head + 1 == r->count ? 0 : r->head + 1;
}

static bool ring_get(struct device *d, uint32_t queue, struct ring *r)
{
    struct e1000 *e = d->state;
    *r = (struct ring){.gpa = (uint64_t)*e1000_reg(e, TDBAH + queue) << 32 | *e1000_reg(e, TDBAL + queue),
                       .count = *e1000_reg(e, TDLEN + queue) / DESCRIPTOR,
                       .head = *e1000_reg(e, TDH + queue),
                       .tail = *e1000_reg(e, TDT + queue),
                       .done = INT_TXDW | e->model->tx_cause << queue / QUEUE_STEP};
    if (!(*e1000_reg(e, TCTL) & TCTL_EN) || r->head == r->tail || r->head >= r->count || r->tail >= r->count)
        return false;
    r->at = dev_dma(d, r->gpa, (uint64_t)r->count * DESCRIPTOR, true);
    if (!r->at)
        dev_log(d, "the transmit ring is not in RAM");
    return r->at;
}

/* Is the number of descriptors that are left now at the driver's mark, and was above? */
static bool runs_low(uint32_t txdctl, uint32_t before)
{
    uint32_t mark = (txdctl >> TXDCTL_LWTHRESH_SHIFT) * 8;
    return mark && before > mark;
}

static void transmit(struct device *d, uint32_t queue)
{
    struct e1000 *e = d->state;
    struct e1000_tx *q = &e->tx[queue / QUEUE_STEP];
    struct ring r;
    if (!ring_get(d, queue, &r))
        return;
    uint32_t before = (r.tail > r.head ? 0 : r.count) + r.tail - r.head;
    while (r.head != r.tail && (q->packet.begun || net_room(e->cable)))
        one(d, q, &r);
    *e1000_reg(e, TDH + queue) = r.head;
    gather(&q->packet);
    tell_written(d, &r);
    if (runs_low(*e1000_reg(e, TXDCTL + queue), before))
        r.causes |= INT_TXD_LOW;
    if (r.later)
        e1000_tx_later(d, r.later, before <= FEW_DESCRIPTORS);
    e1000_cause(d, r.causes | (r.head == r.tail ? INT_TXQE : 0));
}

void e1000_tx_room(struct device *d)
{
    const struct e1000 *e = d->state;
    transmit(d, 0);
    if (e->row[(TDT + QUEUE_STEP) / 4]) /* there is a second queue */
        transmit(d, QUEUE_STEP);
}

void e1000_tctl_write(struct device *d, uint32_t at, uint32_t v)
{
    *e1000_reg(d->state, TCTL) = v & TCTL_WRITABLE;
    transmit(d, 0);
}

void e1000_tdt_write(struct device *d, uint32_t at, uint32_t v)
{
    *e1000_reg(d->state, at) = v & 0xffff;
    transmit(d, at - TDT);
}
