// SPDX-License-Identifier: GPL-2.0-or-later
/* A hostile driver of the IDE controller with two disks and a CD: commands with the registers they want, packets, descriptor
 * tables, blocks through the data port, media and moments from the input.  At the end, a reset must leave a drive that works. */
#include "core-vmm/base/bytes.h"
#include "tests/fuzz/hostile.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BUS_MASTER = 0xc000, TABLES = 0x10000, BUFFERS = 0x100000, BUFFER_MASK = 0x7fffff };
enum {
    DATA,
    ERROR,
    COUNT,
    SECTOR,
    LOW,
    HIGH,
    DEVICE,
    STATUS,
    PACKET = 0xa0,
    IDENTIFY = 0xec,
    READY = 0x50,
    DRQ = 0x08
};

struct driver {
    struct bench *bench;
    struct bytes in;
};

static uint32_t number(struct driver *r, unsigned n)
{
    return take_number(&r->in, n);
}

static unsigned command_port(unsigned channel)
{
    return channel ? 0x170 : 0x1f0;
}

static void set(struct driver *r, unsigned channel, unsigned reg, uint8_t v)
{
    bench_out(r->bench, command_port(channel) + reg, 1, v);
}

static void switch_on(struct driver *r)
{
    struct device *d = bench_device(r->bench, "ide");
    bench_pci_write(d, 0x20, 4, BUS_MASTER);
    bench_pci_write(d, 4, 2, 5);
}

/* A descriptor table, mostly of RAM, and the bus master started or stopped. */
static void bus_master(struct driver *r)
{
    unsigned kind = number(r, 1), channel = kind & 1, count = kind >> 1 & 7;
    uint32_t table = TABLES + channel * 0x1000;
    for (unsigned i = 0; i < count; i++) {
        uint8_t *at = bench_ram(r->bench) + table + i * 8;
        put_le32(at, kind & 0x40 ? number(r, 4) : BUFFERS + (number(r, 3) & BUFFER_MASK));
        put_le32(at + 4, (number(r, 1) << 8 | (kind & 0x80 ? number(r, 1) : 0)) |
                             (i == count - 1 && kind & 0x10 ? 1u << 31 : 0));
    }
    bench_out(r->bench, BUS_MASTER + channel * 8 + 4, 4, kind & 0x20 && kind & 0x80 ? number(r, 4) : table);
    bench_out(r->bench, BUS_MASTER + channel * 8 + 2, 1, 6);
    bench_out(r->bench, BUS_MASTER + channel * 8, 1, number(r, 1) & 9);
}

static void packet(struct driver *r, unsigned channel)
{
    uint8_t p[12];
    hostile_packet(&r->in, p);
    for (unsigned i = 0; i < 12; i += 2)
        bench_out(r->bench, command_port(channel), 2, get_le16(p + i));
}

static void command(struct driver *r)
{
    static const uint8_t known[] = {0x20, 0x24, 0x25, 0x29, 0x30, 0x34, 0x35, 0x39, 0xc4, 0xc5,
                                    0xc6, 0xc8, 0xc8, 0xca, 0xca, 0xe7, 0xea, 0xec, 0xa0, 0xa0,
                                    0xa0, 0xa1, 0xb0, 0x91, 0xef, 0x08, 0x90, 0x10, 0xe5, 0xf8};
    unsigned kind = number(r, 1), channel = kind & 1, which = number(r, 1);
    uint8_t code = which < G_N_ELEMENTS(known) * 8 ? known[which / 8] : number(r, 1);
    set(r, channel, DEVICE, 0xa0 | (kind & 2) << 3 | (kind & 4 ? number(r, 1) : 0x40));
    for (unsigned k = 0; k < (kind & 8 ? 2 : 1); k++) { /* twice: for the 48-bit commands */
        set(r, channel, ERROR, number(r, 1));
        set(r, channel, COUNT, number(r, 1));
        set(r, channel, SECTOR, number(r, 1));
        set(r, channel, LOW, kind & 0x10 ? number(r, 1) : 0);
        set(r, channel, HIGH, kind & 0x10 ? number(r, 1) : 0);
    }
    set(r, channel, STATUS, code);
    if (code == PACKET && !(kind & 0x20))
        packet(r, channel);
}

static void data_port(struct driver *r)
{
    unsigned kind = number(r, 1), size = 1u << (kind >> 1) % 3, port = command_port(kind & 1);
    for (unsigned n = kind & 8 ? number(r, 1) * 4 : number(r, 1); n; n--)
        if (kind & 0x10)
            bench_out(r->bench, port, size, n * 0x01010101);
        else
            bench_in(r->bench, port, size);
}

static void access_port(struct driver *r)
{
    static const uint16_t known[] = {0x1f0, 0x170, 0x3f6, 0x376, BUS_MASTER};
    unsigned kind = number(r, 1), port = known[kind % G_N_ELEMENTS(known)], size = 1u << (kind >> 3) % 3;
    port += port == 0x3f6 || port == 0x376 ? 0 : number(r, 1) & 15;
    if (kind & 0x80)
        bench_out(r->bench, port, size, number(r, size));
    else
        bench_in(r->bench, port, size);
}

static void medium(struct driver *r)
{
    static const char *const sections[] = {"ide0", "ide1", "ide2", "ide2"};
    unsigned kind = number(r, 1);
    if (kind & 4)
        bench_drive_fail(r->bench, bench_drive(r->bench, sections[kind & 3]), 5);
    else
        bench_drive_insert(r->bench, "ide2", kind & 0x18 ? kind & 8 ? "pattern:64K" : "zero:3M" : NULL);
}

static void one(struct driver *r)
{
    unsigned what = number(r, 1);
    if (what < 90)
        command(r);
    else if (what < 130)
        data_port(r);
    else if (what < 165)
        bus_master(r);
    else if (what < 185)
        access_port(r);
    else if (what < 192)
        medium(r);
    else if (what < 248)
        bench_step(r->bench, 1ull << number(r, 1) % 28);
    else if (what < 251)
        bench_reset(r->bench);
    else if (what < 254)
        switch_on(r);
    else
        hostile_save_load(r->bench);
    hostile_forget_events(r->bench);
}

/* Whatever came before: after a reset, a disk says what it is. */
static void still_works(struct driver *r)
{
    uint8_t answer[512];
    bench_step(r->bench, 1000);
    bench_reset(r->bench);
    set(r, 0, DEVICE, 0xa0);
    set(r, 0, STATUS, IDENTIFY);
    g_assert_cmphex(bench_in(r->bench, 0x1f7, 1), ==, READY | DRQ);
    for (unsigned i = 0; i < sizeof answer; i += 2)
        put_le16(answer + i, bench_in(r->bench, 0x1f0, 2));
    g_assert_cmphex(bench_in(r->bench, 0x1f7, 1), ==, READY);
    g_assert_cmpuint(get_le32(answer + 120), ==, (4 << 20) / 512);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    struct driver r = {.bench = bench_new(), .in = {data, size}};
    if (!bench_add_chip(r.bench, chip_find("ide"), &error))
        g_error("%s", error->message);
    switch_on(&r);
    while (r.in.left)
        one(&r);
    still_works(&r);
    bench_free(r.bench);
    return 0;
}
