// SPDX-License-Identifier: GPL-2.0-or-later
/* A hostile driver of the PCnet-FAST III, and a hostile network: rings in one of the three software styles that an
 * initialization block has set up, and then descriptors, registers and frames from the input. */
#include "core-vmm/base/bytes.h"
#include "tests/fuzz/hostile_card.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INIT_BLOCK = 0x8000, TX_RING = 0x10000, RX_RING = 0x20000, RING = 16, RING_CODE = 4 };
enum { RDP = 0x10, RAP = 0x14, RESET = 0x18, BDP = 0x1c }; /* 32 bits apart */
enum { STATUS_GO = 0x43 /* INIT, STRT, IENA */, STATUS_DEMAND = 0x48, BCR_STYLE = 20 };

struct rings {
    unsigned style, bytes; /* of a descriptor */
    unsigned at[2];        /* the next descriptor of RX and TX */
};

static void set(struct hostile_card *c, unsigned at, uint32_t v)
{
    bench_store(c->bench, HOSTILE_BAR + at, 4, v);
}

static void set_csr(struct hostile_card *c, unsigned n, uint16_t v)
{
    set(c, RAP, n);
    set(c, RDP, v);
}

static void write_descriptor(struct hostile_card *c, bool tx, unsigned i, uint32_t buffer, uint16_t bytes,
                             uint16_t flags)
{
    const struct rings *r = c->own;
    uint8_t *at = hostile_ram(c, (tx ? TX_RING : RX_RING) + i * r->bytes);
    if (!r->style) {
        put_le32(at, (buffer & 0xffffff) | (uint32_t)(flags >> 8) << 24);
        put_le16(at + 4, bytes);
        return;
    }
    put_le32(at + (r->style == 3 ? 8 : 0), buffer);
    put_le32(at + 4, bytes | (uint32_t)flags << 16);
}

static void write_init_block(struct hostile_card *c, uint16_t mode)
{
    const struct rings *r = c->own;
    uint8_t *m = hostile_ram(c, INIT_BLOCK), *rings = m + (r->style ? 20 : 16);
    put_le16(m, mode);
    put_le32(rings, RX_RING);
    put_le32(rings + 4, TX_RING);
    if (r->style)
        put_le16(m + 2, RING_CODE << 4 | RING_CODE << 12);
    else
        rings[3] = rings[7] = RING_CODE << 5;
}

static void set_up(struct hostile_card *c, uint16_t mode)
{
    const struct rings *r = c->own;
    hostile_begin(c, 1);
    set(c, RDP, 0); /* registers are 32 bits apart from here on */
    set(c, RAP, BCR_STYLE);
    set(c, BDP, r->style);
    for (unsigned i = 0; i < RING; i++)
        write_descriptor(c, false, i, HOSTILE_BUFFERS + i * HOSTILE_BUFFER, -(i % 4 ? 1536 : 64), 0x8000);
    write_init_block(c, mode);
    set_csr(c, 1, INIT_BLOCK);
    set_csr(c, 2, 0);
    set_csr(c, 0, STATUS_GO);
}

/* Mostly in RAM, the controller's, and the start or the end of a frame, or both. */
static void descriptor(struct hostile_card *c)
{
    struct rings *r = c->own;
    unsigned kind = hostile_number(c, 1);
    bool tx = kind & 1;
    uint32_t buffer = hostile_address(c, kind & 0x40);
    uint16_t bytes = kind & 0x20 ? hostile_number(c, 2) : -hostile_number(c, 1);
    uint16_t flags = kind & 0x10 ? hostile_number(c, 2) : 0x8000 | (kind & 6) << 7;
    write_descriptor(c, tx, r->at[tx], buffer, bytes, flags);
    r->at[tx] = (r->at[tx] + 1) % RING;
    if (kind & 0x80)
        set_csr(c, 0, STATUS_DEMAND);
}

/* A CSR or BCR by its number, or some bytes of the chip. */
static void access_register(struct hostile_card *c)
{
    static const uint8_t known[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  12, 15, 18, 19, 20,  22,  24,
                                    25, 28, 30, 31, 32, 33, 34, 47, 58, 72, 74, 76, 78, 112, 122, 124};
    unsigned which = hostile_number(c, 1), size = 1u << (which >> 2) % 3;
    if (which >= 4 * G_N_ELEMENTS(known)) {
        uint64_t at = HOSTILE_BAR + hostile_number(c, 1) % 32;
        if (which & 1)
            bench_load(c->bench, at, size);
        else
            bench_store(c->bench, at, size, hostile_number(c, size));
        return;
    }
    set(c, RAP, known[which / 4]);
    if (which & 1)
        bench_load(c->bench, HOSTILE_BAR + (which & 2 ? BDP : RDP), 4);
    else
        set(c, which & 2 ? BDP : RDP, hostile_number(c, 2));
}

/* The driver looks at what came: it acknowledges, or begins anew. */
static void received(struct hostile_card *c, unsigned kind)
{
    if (kind & 0x40)
        set_csr(c, 0, kind & 0x80 ? 0x7f40 : STATUS_GO);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct hostile_driver driver = {descriptor, access_register, received};
    static const uint8_t styles[] = {0, 2, 3, 3};
    if (size < 3)
        return 0;
    struct rings rings = {.style = styles[data[0] & 3]};
    rings.bytes = rings.style ? 16 : 8;
    struct hostile_card c = {.name = "nic2", .driver = &driver, .in = {data + 3, size - 3}, .own = &rings};
    set_up(&c, data[0] & 4 ? data[1] | data[2] << 8 : 0x8000 /* promiscuous */);
    hostile_run(&c);
    hostile_end(&c);
    return 0;
}
