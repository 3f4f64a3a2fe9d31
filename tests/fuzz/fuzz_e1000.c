// SPDX-License-Identifier: GPL-2.0-or-later
/* A hostile driver of the 82540EM and the 82574L, and a hostile network: rings that are set up, and then descriptors, registers
 * and frames from the input.  Random accesses alone (fuzz_device) hardly ever get a packet through. */
#include "core-vmm/base/bytes.h"
#include "tests/fuzz/hostile_card.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TX_RING = 0x10000, RX_RING = 0x20000, QUEUE1 = 0x100, RING = 32 };
enum { RDBAL = 0x2800, TDBAL = 0x3800, LEN = 8, TAIL = 0x18 };

static void set(struct hostile_card *c, uint32_t at, uint32_t v)
{
    bench_store(c->bench, HOSTILE_BAR + at, 4, v);
}

static void set_up(struct hostile_card *c)
{
    hostile_begin(c, 0);
    bench_pci_write(hostile_device(c), 0x1c, 4, HOSTILE_BAR + 0x100000);
    bench_step(c->bench, 100000000);
    for (unsigned q = 0; q < 2; q++) {
        set(c, TDBAL + q * QUEUE1, TX_RING + q * RING * 16);
        set(c, TDBAL + q * QUEUE1 + LEN, RING * 16);
        set(c, RDBAL + q * QUEUE1, RX_RING + q * RING * 16);
        set(c, RDBAL + q * QUEUE1 + LEN, RING * 16);
        for (unsigned i = 0; i < RING; i++)
            put_le64(hostile_ram(c, RX_RING + (q * RING + i) * 16), HOSTILE_BUFFERS + (q * RING + i) * HOSTILE_BUFFER);
        set(c, RDBAL + q * QUEUE1 + TAIL, RING - 1);
    }
    set(c, 0x400, 0xa);        /* TCTL */
    set(c, 0x100, 0x0400803a); /* RCTL: all frames, long ones too */
    set(c, 0x5000, 0x300);     /* RXCSUM */
}

/* Mostly in RAM, and of a sensible size. */
static void descriptor(struct hostile_card *c)
{
    unsigned *tail = c->own, kind = hostile_number(c, 1), q = kind & 1;
    uint8_t *at = hostile_ram(c, TX_RING + (q * RING + tail[q]) * 16);
    put_le32(at, hostile_address(c, kind & 0x40));
    put_le32(at + 4, kind & 0x40 || kind & 2 ? hostile_number(c, 4) : 0);
    uint32_t length = hostile_number(c, kind & 0x20 ? 3 : 1);
    put_le32(at + 8, (length & 0xfffff) | (kind & 4) << 18 | (kind & 8) << 26 | hostile_number(c, 1) << 24);
    put_le32(at + 12, hostile_number(c, kind & 0x10 ? 4 : 2));
    tail[q] = (tail[q] + 1) % RING;
    if (kind & 0x80)
        set(c, TDBAL + q * QUEUE1 + TAIL, tail[q]);
}

static void access_register(struct hostile_card *c)
{
    static const uint16_t known[] = {0x000,  0x010,  0x014,  0x018,  0x020,  0x038,  0x0c0,  0x0c4,  0x0c8,  0x0d0,
                                     0x0d8,  0x0dc,  0x0e0,  0x0e4,  0x0e8,  0x100,  0x400,  0x1000, 0x2800, 0x2808,
                                     0x2810, 0x2818, 0x2820, 0x282c, 0x2900, 0x2908, 0x2910, 0x2918, 0x2c00, 0x3800,
                                     0x3808, 0x3810, 0x3818, 0x3820, 0x3828, 0x382c, 0x3908, 0x3910, 0x3918, 0x4088,
                                     0x5000, 0x5008, 0x5400, 0x5818, 0x5c00, 0x5c80};
    unsigned which = hostile_number(c, 1);
    uint32_t at = which < G_N_ELEMENTS(known) * 4 ? known[which / 4] : hostile_number(c, 2) * 4;
    if (which & 1)
        bench_load(c->bench, HOSTILE_BAR + at, 4);
    else
        set(c, at, hostile_number(c, which & 2 ? 4 : 1));
}

static void received(struct hostile_card *c, unsigned kind)
{
    if (kind & 0x40)
        set(c, RDBAL + (kind & 0x80 ? QUEUE1 : 0) + TAIL, hostile_number(c, 1) % RING);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct hostile_driver driver = {descriptor, access_register, received};
    unsigned tail[2] = {0};
    if (!size)
        return 0;
    struct hostile_card c = {
        .name = data[0] & 1 ? "nic5" : "nic1", .driver = &driver, .in = {data + 1, size - 1}, .own = tail};
    set_up(&c);
    hostile_run(&c);
    hostile_end(&c);
    return 0;
}
