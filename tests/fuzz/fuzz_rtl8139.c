// SPDX-License-Identifier: GPL-2.0-or-later
/* A hostile driver of the RTL8139C and the C+, and a hostile network: the receive buffer and the four transmit buffers, or the
 * C+'s three rings, and then descriptors, registers and frames from the input. */
#include "core-vmm/base/bytes.h"
#include "tests/fuzz/hostile_card.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TX_RING = 0x10000, TX_RING_HIGH = 0x18000, RX_RING = 0x20000, RX_BUFFER = 0x40000, RING = 16, TX_BUFFERS = 4 };
enum {
    TSD = 0x10,
    TSAD = 0x20,
    RBSTART = 0x30,
    CR = 0x37,
    CAPR = 0x38,
    IMR = 0x3c,
    ISR = 0x3e,
    RCR = 0x44,
    TX_POLL = 0xd9
};
enum { CPLUS = 0xe0, RX_RING_AT = 0xe4 };

struct rings {
    bool cplus;     /* descriptors are used */
    unsigned at[3]; /* the next of the rings, or of the transmit buffers */
};

static void set(struct hostile_card *c, unsigned at, unsigned size, uint32_t v)
{
    bench_store(c->bench, HOSTILE_BAR + at, size, v);
}

static void set_up_rings(struct hostile_card *c)
{
    set(c, CPLUS, 2, 0x63); /* both ways, with sums and tags */
    set(c, 0x20, 4, TX_RING);
    set(c, 0x24, 4, 0);
    set(c, 0x28, 4, TX_RING_HIGH);
    set(c, 0x2c, 4, 0);
    set(c, RX_RING_AT, 4, RX_RING);
    set(c, RX_RING_AT + 4, 4, 0);
    for (unsigned i = 0; i < RING; i++) {
        uint8_t *at = hostile_ram(c, RX_RING + 16 * i);
        put_le32(at, 0x80000000 | (i == RING - 1 ? 0x40000000 : 0) | (i % 4 ? 1600 : 64));
        put_le64(at + 8, HOSTILE_BUFFERS + i * HOSTILE_BUFFER);
    }
}

static void set_up(struct hostile_card *c)
{
    const struct rings *r = c->own;
    hostile_begin(c, 1);
    if (r->cplus)
        set_up_rings(c);
    set(c, CR, 1, 0x0c); /* both ways */
    set(c, RBSTART, 4, RX_BUFFER);
    set(c, RCR, 4, 0x0f); /* all frames */
    set(c, IMR, 2, 0xffff);
}

/* To one of the four buffers, which sends it. */
static void send_buffer(struct hostile_card *c, unsigned kind)
{
    struct rings *r = c->own;
    unsigned n = r->at[0]++ % TX_BUFFERS;
    set(c, TSAD + 4 * n, 4, hostile_address(c, kind & 0x40));
    set(c, TSD + 4 * n, 4, hostile_number(c, kind & 0x20 ? 4 : kind & 0x10 ? 2 : 1));
}

/* Mostly in RAM, the controller's, and the start or the end of a frame, or both. */
static void descriptor(struct hostile_card *c)
{
    static const uint32_t base[] = {TX_RING, TX_RING_HIGH, RX_RING};
    struct rings *r = c->own;
    unsigned kind = hostile_number(c, 1), ring = (kind & 3) % G_N_ELEMENTS(base), i = r->at[ring];
    if (!r->cplus || (kind & 15) == 15) {
        send_buffer(c, kind);
        return;
    }
    uint8_t *at = hostile_ram(c, base[ring] + 16 * i);
    uint32_t what = 0x80000000 | (kind & 0xc) << 26 | hostile_number(c, 1) << 16 | (i == RING - 1 ? 0x40000000 : 0);
    put_le32(at, kind & 0x10 ? hostile_number(c, 4) : what | hostile_number(c, kind & 0x20 ? 2 : 1));
    put_le32(at + 4, kind & 0x20 ? hostile_number(c, 4) : 0);
    put_le32(at + 8, hostile_address(c, kind & 0x40));
    put_le32(at + 12, (kind & 0x70) == 0x70 ? hostile_number(c, 4) : 0);
    r->at[ring] = (i + 1) % RING;
    if (kind & 0x80)
        set(c, TX_POLL, 1, ring ? 0x80 : 0x40);
}

static void access_register(struct hostile_card *c)
{
    static const uint8_t known[] = {0x00, 0x08, 0x10, 0x14, 0x20, 0x24, 0x28, 0x2c, 0x30, 0x34, 0x36, 0x37,
                                    0x38, 0x3a, 0x3c, 0x3e, 0x40, 0x44, 0x48, 0x4c, 0x50, 0x52, 0x54, 0x58,
                                    0x5c, 0x60, 0x62, 0x64, 0x66, 0x74, 0xd8, 0xd9, 0xe0, 0xe4, 0xe8, 0xec};
    unsigned which = hostile_number(c, 1), size = 1u << (which >> 2) % 3;
    unsigned at = which < 4 * G_N_ELEMENTS(known) ? known[which / 4] : hostile_number(c, 1);
    size = which & 2 ? size : 4;
    if (which & 1)
        bench_load(c->bench, HOSTILE_BAR + at, size);
    else
        set(c, at, size, hostile_number(c, size));
}

/* The driver looks at what came: it acknowledges, and says how far it has read. */
static void received(struct hostile_card *c, unsigned kind)
{
    if (kind & 0x40)
        set(c, ISR, 2, 0xffff);
    if (kind & 0x80)
        set(c, CAPR, 2, hostile_number(c, 2));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct hostile_driver driver = {descriptor, access_register, received};
    if (!size)
        return 0;
    bool cplus = data[0] & 1;
    struct rings rings = {.cplus = cplus && data[0] & 2};
    struct hostile_card c = {
        .name = cplus ? "nic3" : "nic4", .driver = &driver, .in = {data + 1, size - 1}, .own = &rings};
    set_up(&c);
    hostile_run(&c);
    hostile_end(&c);
    return 0;
}
