// SPDX-License-Identifier: GPL-2.0-or-later
/* e1000_tx.c - descriptors of the driver into frames on the cable (SDM 3.3). */
#include "core-vmm/base/bytes.h"
#include "devices/net/e1000.h"

enum { DESCRIPTOR = 16, LEAST = 60, CRC = 4, TAG = 4, TAG_AT = 12, TCTL_WRITABLE = 0x03fffffa, LENGTH_LEGACY = 0xffff };
enum { LENGTH_DATA = 0xfffff };

/* Descriptors that were written to, one stretch of the ring. */
struct done {
    uint64_t from, to;
    uint32_t causes;
    bool later; /* TXDW may wait */
};

/* ---- a packet's pieces ---- */

void e1000_packet_forget(struct e1000_packet *p)
{
    *p = (struct e1000_packet){.buffer = p->buffer};
}

/* What is in the guest's RAM goes into the buffer: the driver may have that memory back now. */
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

/* ---- a frame ---- */

static void count(struct e1000 *e, const uint8_t *frame, uint32_t bytes)
{
    static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    e1000_count(e, GPTC);
    e1000_count(e, TPT);
    e1000_count_bytes(e, GOTCL, bytes);
    e1000_count_bytes(e, TOTL, bytes);
    e1000_count_size(e, PTC64, bytes);
    if (frame[0] & 1)
        e1000_count(e, memcmp(frame, broadcast, 6) ? MPTC : BPTC);
}

static void send(struct device *d, struct e1000_packet *p, uint32_t command, uint32_t upper)
{
    struct e1000 *e = d->state;
    gather(p);
    uint32_t n = p->bytes;
    if (!(command & TX_IFCS) && n > CRC) /* the driver's own check sequence */
        n -= CRC;
    if (n < NET_FRAME_LEAST)
        return;
    if (*e1000_reg(e, TCTL) & TCTL_PSP && n < LEAST) {
        memset(p->buffer + n, 0, LEAST - n);
        n = LEAST;
    }
    count(e, p->buffer, n + CRC);
    struct iovec iov = {p->buffer, n};
    if (e1000_loopback(e))
        e1000_frame(d, p->buffer, n, NULL);
    else if (e1000_link_up(e))
        net_send(e->cable, &iov, 1, NULL);
}

/* ---- descriptors ---- */

static void context(struct e1000 *e, const uint8_t *descriptor)
{
    uint32_t command = get_le32(descriptor + 8);
    e->context[command & TX_TSE ? 1 : 0] = (struct e1000_context){.ip = get_le32(descriptor),
                                                                  .tcp = get_le32(descriptor + 4),
                                                                  .command = command,
                                                                  .header = get_le32(descriptor + 12)};
}

static void data(struct device *d, const uint8_t *descriptor, uint32_t lower, uint32_t upper)
{
    struct e1000 *e = d->state;
    struct e1000_packet *p = &e->packet;
    if (!p->begun) {
        p->begun = true;
        p->lower = lower;
        p->upper = upper;
    }
    append(d, p, get_le64(descriptor), lower & (lower & TX_DEXT ? LENGTH_DATA : LENGTH_LEGACY));
    if (!(lower & TX_EOP))
        return;
    if (!p->drop)
        send(d, p, lower, upper);
    e1000_packet_forget(p);
}

static void written(struct device *d, struct done *w, uint64_t gpa)
{
    if (w->to != gpa) {
        if (w->to > w->from)
            dev_dma_done(d, w->from, w->to - w->from);
        w->from = gpa;
    }
    w->to = gpa + DESCRIPTOR;
}

static void one(struct device *d, uint8_t *descriptor, uint64_t gpa, struct done *w)
{
    uint32_t lower = get_le32(descriptor + 8), upper = get_le32(descriptor + 12);
    if (lower & TX_DEXT && (lower >> TX_DTYP_SHIFT & 15) == TX_CONTEXT)
        context(d->state, descriptor);
    else
        data(d, descriptor, lower, upper);
    if (!(lower & TX_RS))
        return;
    __atomic_store_n((uint32_t *)(descriptor + 12), htole32(upper | TX_DD), __ATOMIC_RELEASE);
    written(d, w, gpa);
    if (lower & TX_IDE)
        w->later = true;
    else
        w->causes |= INT_TXDW;
}

static void transmit(struct device *d)
{
    struct e1000 *e = d->state;
    uint64_t base = (uint64_t)*e1000_reg(e, TDBAH) << 32 | *e1000_reg(e, TDBAL);
    uint32_t count = *e1000_reg(e, TDLEN) / DESCRIPTOR, head = *e1000_reg(e, TDH), tail = *e1000_reg(e, TDT);
    struct done w = {0};
    if (!(*e1000_reg(e, TCTL) & TCTL_EN) || head >= count || tail >= count || head == tail)
        return;
    while (head != tail) {
        uint64_t gpa = base + (uint64_t)head * DESCRIPTOR;
        uint8_t *descriptor = dev_dma(d, gpa, DESCRIPTOR, true);
        if (!descriptor) {
            dev_log(d, "the transmit ring is not in RAM");
            break;
        }
        one(d, descriptor, gpa, &w);
        head = head + 1 == count ? 0 : head + 1;
    }
    *e1000_reg(e, TDH) = head;
    gather(&e->packet);
    written(d, &w, 0);
    if (w.later)
        e1000_tx_later(d);
    e1000_cause(d, w.causes | (head == tail ? INT_TXQE : 0));
}

void e1000_tctl_write(struct device *d, uint32_t at, uint32_t v)
{
    *e1000_reg(d->state, TCTL) = v & TCTL_WRITABLE;
    transmit(d);
}

void e1000_tdt_write(struct device *d, uint32_t at, uint32_t v)
{
    *e1000_reg(d->state, at) = v & 0xffff;
    transmit(d);
}
