// SPDX-License-Identifier: GPL-2.0-or-later
/* A hostile driver of the 82540EM and the 82574L, and a hostile network: rings that are set up, and then descriptors, registers
 * and frames from the input.  Random accesses alone (fuzz_device) hardly ever get a packet through. */
#include "tests/devices/bench.h"
#include "core-vmm/base/bytes.h"
#include "tests/fuzz/bytes.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    BAR = 0xe0000000,
    TX_RING = 0x10000,
    RX_RING = 0x20000,
    QUEUE1 = 0x100,
    RING = 32,
    BUFFERS = 0x100000,
    BUFFER = 0x1000
};
enum { RDBAL = 0x2800, TDBAL = 0x3800, LEN = 8, TAIL = 0x18, FRAME_MOST = 9100 };

struct driver {
    struct bench *bench;
    const char *name;
    struct bytes in;
    unsigned tail[2];
};

static struct device *device(struct driver *r)
{
    return bench_device(r->bench, r->name);
}

static void set(struct driver *r, uint32_t at, uint32_t v)
{
    bench_store(r->bench, BAR + at, 4, v);
}

static uint32_t number(struct driver *r, unsigned n)
{
    return take_number(&r->in, n);
}

static void begin(struct driver *r)
{
    g_autoptr(GError) error = NULL;
    if (!bench_add_chip(r->bench, chip_find(r->name), &error))
        g_error("%s", error->message);
    bench_pci_write(device(r), 0x10, 4, BAR);
    bench_pci_write(device(r), 0x1c, 4, BAR + 0x100000);
    bench_pci_write(device(r), 4, 2, 7);
    bench_step(r->bench, 100000000);
    for (unsigned q = 0; q < 2; q++) {
        set(r, TDBAL + q * QUEUE1, TX_RING + q * RING * 16);
        set(r, TDBAL + q * QUEUE1 + LEN, RING * 16);
        set(r, RDBAL + q * QUEUE1, RX_RING + q * RING * 16);
        set(r, RDBAL + q * QUEUE1 + LEN, RING * 16);
        for (unsigned i = 0; i < RING; i++)
            put_le64(bench_ram(r->bench) + RX_RING + (q * RING + i) * 16, BUFFERS + (q * RING + i) * BUFFER);
        set(r, RDBAL + q * QUEUE1 + TAIL, RING - 1);
    }
    set(r, 0x400, 0xa);        /* TCTL */
    set(r, 0x100, 0x0400803a); /* RCTL: all frames, long ones too */
    set(r, 0x5000, 0x300);     /* RXCSUM */
}

/* Mostly in RAM, and of a sensible size. */
static void descriptor(struct driver *r)
{
    unsigned kind = number(r, 1), q = kind & 1;
    uint8_t *at = bench_ram(r->bench) + TX_RING + (q * RING + r->tail[q]) * 16;
    put_le32(at, kind & 0x40 ? number(r, 4) : BUFFERS + number(r, 2));
    put_le32(at + 4, kind & 0x40 || kind & 2 ? number(r, 4) : 0);
    uint32_t length = kind & 0x20 ? number(r, 3) : number(r, 1);
    put_le32(at + 8, (length & 0xfffff) | (kind & 4) << 18 | (kind & 8) << 26 | number(r, 1) << 24);
    put_le32(at + 12, number(r, kind & 0x10 ? 4 : 2));
    r->tail[q] = (r->tail[q] + 1) % RING;
    if (kind & 0x80)
        set(r, TDBAL + q * QUEUE1 + TAIL, r->tail[q]);
}

static void access_register(struct driver *r)
{
    static const uint16_t known[] = {0x000,  0x010,  0x014,  0x018,  0x020,  0x038,  0x0c0,  0x0c4,  0x0c8,  0x0d0,
                                     0x0d8,  0x0dc,  0x0e0,  0x0e4,  0x0e8,  0x100,  0x400,  0x1000, 0x2800, 0x2808,
                                     0x2810, 0x2818, 0x2820, 0x282c, 0x2900, 0x2908, 0x2910, 0x2918, 0x2c00, 0x3800,
                                     0x3808, 0x3810, 0x3818, 0x3820, 0x3828, 0x382c, 0x3908, 0x3910, 0x3918, 0x4088,
                                     0x5000, 0x5008, 0x5400, 0x5818, 0x5c00, 0x5c80};
    unsigned which = number(r, 1);
    uint32_t at = which < G_N_ELEMENTS(known) * 4 ? known[which / 4] : number(r, 2) * 4;
    if (which & 1)
        bench_load(r->bench, BAR + at, 4);
    else
        set(r, at, which & 2 ? number(r, 4) : number(r, 1));
}

/* An Ethernet frame with the beginnings of IP, TCP or UDP, right or nearly so. */
static void frame(struct driver *r)
{
    uint8_t f[FRAME_MOST];
    unsigned kind = number(r, 1), bytes = number(r, 2) % FRAME_MOST, ip = kind & 1 ? 18 : 14;
    memset(f, kind, sizeof f);
    put_be16(f + 12, kind & 1 ? 0x8100 : kind & 2 ? 0x86dd : 0x0800);
    put_be16(f + 16, kind & 2 ? 0x86dd : 0x0800);
    f[ip] = kind & 2 ? 0x60 : 0x40 | (number(r, 1) & 15);
    put_be16(f + ip + 2, kind & 4 ? number(r, 2) : bytes - ip);
    put_be16(f + ip + 4, kind & 4 ? number(r, 2) : bytes - ip - 40);
    f[ip + 6] = kind & 2 ? 6 : 0x40;
    f[ip + 9] = kind & 8 ? 17 : 6;
    bench_deliver(device(r), f, bytes);
    if (kind & 0x40)
        set(r, RDBAL + (kind & 0x80 ? QUEUE1 : 0) + TAIL, number(r, 1) % RING);
}

static void network(struct driver *r)
{
    unsigned kind = number(r, 1);
    bench_cable_can(device(r), kind & 7);
    bench_cable(device(r), kind & 0xf0);
    for (GBytes *b; (b = bench_frame_sent(device(r), NULL));)
        g_bytes_unref(b);
}

static void one(struct driver *r)
{
    unsigned what = number(r, 1);
    if (what < 120)
        descriptor(r);
    else if (what < 180)
        access_register(r);
    else if (what < 230)
        frame(r);
    else if (what < 240)
        network(r);
    else if (what < 254)
        bench_step(r->bench, 1ull << number(r, 1) % 28);
    else {
        g_autofree char *why = bench_save_load(r->bench);
        if (why)
            g_error("%s", why);
    }
    for (char *e; (e = bench_event(r->bench));)
        g_free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    struct driver r = {.bench = bench_new(), .name = data[0] & 1 ? "nic5" : "nic1", .in = {data + 1, size - 1}};
    begin(&r);
    while (r.in.left)
        one(&r);
    bench_free(r.bench);
    return 0;
}
