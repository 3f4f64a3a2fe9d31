// SPDX-License-Identifier: GPL-2.0-or-later
/* A hostile driver of the AHCI controller: ports that are started, with lists, tables and descriptors where they belong, and
 * then commands, wrong bytes in memory, registers, media and moments from the input.  At the end, a reset must leave a
 * controller that works. */
#include "core-vmm/base/bytes.h"
#include "tests/fuzz/hostile.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BAR = 0xe0000000, PORTS = 4, LISTS = 0x10000, RECEIVED = 0x12000, TABLES = 0x20000, BUFFERS = 0x100000 };
enum { LIST_BYTES = 0x400, RECEIVED_BYTES = 0x100, TABLE_BYTES = 0x100, DESCRIPTORS = 8, BUFFER_MASK = 0x7fffff };
enum {
    PX_CLB = 0x00,
    PX_FB = 0x08,
    PX_IS = 0x10,
    PX_IE = 0x14,
    PX_CMD = 0x18,
    PX_TFD = 0x20,
    PX_SACT = 0x34,
    PX_CI = 0x38
};
enum {
    FRE = 0x10,
    START = 0x11,
    READ_QUEUED = 0x60,
    WRITE_QUEUED = 0x61,
    PACKET = 0xa0,
    IDENTIFY = 0xec,
    READY = 0x50
};

struct driver {
    struct bench *bench;
    struct bytes in;
};

static uint32_t number(struct driver *r, unsigned n)
{
    return take_number(&r->in, n);
}

static void set(struct driver *r, uint32_t at, uint32_t v)
{
    bench_store(r->bench, BAR + at, 4, v);
}

static void set_port(struct driver *r, unsigned port, uint32_t at, uint32_t v)
{
    set(r, 0x100 + port * 0x80 + at, v);
}

static void switch_on(struct driver *r)
{
    struct device *d = bench_device(r->bench, "sata");
    bench_pci_write(d, 0x24, 4, BAR);
    bench_pci_write(d, 4, 2, 6);
    set(r, 4, 2);
    for (unsigned p = 0; p < PORTS; p++) {
        set_port(r, p, PX_CLB, LISTS + p * LIST_BYTES);
        set_port(r, p, PX_FB, RECEIVED + p * RECEIVED_BYTES);
        set_port(r, p, PX_IE, 0xffffffff);
        set_port(r, p, PX_CMD, FRE);
        set_port(r, p, PX_CMD, START);
    }
}

static uint8_t *table_of(struct driver *r, unsigned port, unsigned slot)
{
    return bench_ram(r->bench) + TABLES + (port * 32 + slot) * TABLE_BYTES;
}

/* Mostly in RAM; how many there are. */
static unsigned descriptors(struct driver *r, uint8_t *table)
{
    unsigned kind = number(r, 1), count = kind % (DESCRIPTORS + 1);
    for (unsigned i = 0; i < count; i++) {
        uint8_t *at = table + 0x80 + i * 16;
        uint32_t length = kind & 0x20 ? number(r, 3) : number(r, 1) << 7 | 0x7f;
        put_le64(at, kind & 0x40 ? number(r, 4) : BUFFERS + (number(r, 3) & BUFFER_MASK & ~1u));
        put_le32(at + 12, length | (kind & 0x80) << 24);
    }
    return kind & 0x10 ? number(r, 2) : count;
}

/* A register FIS: a place that is mostly on the disk. */
static uint8_t frame(struct driver *r, uint8_t *table, unsigned slot)
{
    static const uint8_t known[] = {0x20, 0x24, 0x25, 0x29, 0x2f, 0x30, 0x34, 0x35, 0x39, 0xc8,
                                    0xca, 0x60, 0x61, 0x60, 0x61, 0x06, 0xe7, 0xea, 0xec, 0xa0,
                                    0xa0, 0xa1, 0xb0, 0xc4, 0xc5, 0xc6, 0xef, 0x3d, 0xce, 0x90};
    unsigned which = number(r, 1), kind = number(r, 1);
    uint8_t command = which < G_N_ELEMENTS(known) * 8 ? known[which / 8] : number(r, 1);
    bool queued = command == READ_QUEUED || command == WRITE_QUEUED;
    memset(table, 0, 0x80);
    table[0] = kind & 0x80 && kind & 0x40 ? number(r, 1) : 0x27;
    table[1] = kind & 0x20 && kind & 0x10 ? number(r, 1) : 0x80;
    table[2] = command;
    put_le16(table + 4, number(r, 2) & 0x1fff);
    table[7] = 0xe0 ^ (kind & 0x0f);
    table[12] = queued ? slot << 3 : number(r, 1);
    table[3] = queued || kind & 8 ? number(r, 1) : 1;
    table[11] = kind & 4 ? number(r, 1) : 0;
    table[13] = kind & 2 ? number(r, 1) : 0;
    if (kind & 1)
        put_le32(table + 8, number(r, 4));
    if (command == PACKET)
        hostile_packet(&r->in, table + 0x40);
    return command;
}

static void issue(struct driver *r)
{
    unsigned kind = number(r, 1), port = kind & 3, slot = number(r, 1) & 31;
    uint8_t *header = bench_ram(r->bench) + LISTS + port * LIST_BYTES + slot * 32, *table = table_of(r, port, slot);
    uint8_t command = frame(r, table, slot);
    put_le32(header, 5 | (command == PACKET ? 0x20 : 0) | (kind & 4) << 4 | descriptors(r, table) << 16);
    put_le32(header + 4, 0);
    put_le64(header + 8, kind & 0x80 && kind & 0x40 ? number(r, 4) : TABLES + (port * 32 + slot) * TABLE_BYTES);
    if (command == READ_QUEUED || command == WRITE_QUEUED)
        set_port(r, port, PX_SACT, 1u << slot);
    if (!(kind & 0x18))
        return; /* with the next one */
    uint32_t also = kind & 0x20 ? number(r, 4) : 0;
    set_port(r, port, PX_CI, 1u << slot | also);
}

/* What the driver lets lie, or changes behind the controller's back. */
static void spoil_memory(struct driver *r)
{
    uint32_t at = LISTS + (number(r, 2) | (number(r, 1) & 1) << 16);
    for (unsigned n = number(r, 1) & 31; n; n--)
        bench_ram(r->bench)[at++] = number(r, 1);
}

static void access_register(struct driver *r)
{
    unsigned kind = number(r, 1), at = kind & 0x80 ? number(r, 2) & 0xffc : 0x100 + (kind & 3) * 0x80 + (kind & 0x3c);
    unsigned value = number(r, 1);
    if (kind & 0x40)
        bench_load(r->bench, BAR + at, 4);
    else
        set(r, at, value & 1 ? number(r, 4) : value >> 1);
}

/* The usual way out of an error: stop, clear, start. */
static void restart(struct driver *r)
{
    unsigned port = number(r, 1) & 3;
    set_port(r, port, PX_CMD, FRE);
    set_port(r, port, 0x30, 0xffffffff);
    set_port(r, port, PX_IS, 0xffffffff);
    set(r, 8, 0xffffffff);
    set_port(r, port, PX_CMD, START);
}

static void medium(struct driver *r)
{
    static const char *const sections[] = {"sata0", "sata1", "sata2", "sata3"};
    unsigned kind = number(r, 1);
    struct drive *v = bench_drive(r->bench, sections[kind & 3]);
    if (v && kind & 4)
        bench_drive_fail(r->bench, v, 5);
    else
        bench_drive_insert(r->bench, sections[kind & 3], kind & 0x18 ? kind & 8 ? "pattern:64K" : "zero:3M" : NULL);
}

static void one(struct driver *r)
{
    unsigned what = number(r, 1);
    if (what < 130)
        issue(r);
    else if (what < 160)
        access_register(r);
    else if (what < 175)
        spoil_memory(r);
    else if (what < 200)
        restart(r);
    else if (what < 212)
        medium(r);
    else if (what < 248)
        bench_step(r->bench, 1ull << number(r, 1) % 28);
    else if (what < 252)
        switch_on(r);
    else if (what < 254)
        bench_reset(r->bench);
    else
        hostile_save_load(r->bench);
    hostile_forget_events(r->bench);
}

/* Whatever came before: after a reset, a disk says what it is. */
static void still_works(struct driver *r)
{
    uint8_t *header = bench_ram(r->bench) + LISTS, *table = table_of(r, 0, 0);
    bench_drive_insert(r->bench, "sata0", "zero:1M");
    bench_reset(r->bench);
    switch_on(r);
    memset(table, 0, TABLE_BYTES);
    put_le32(header, 5 | 1 << 16);
    put_le32(header + 8, TABLES);
    put_le32(header + 12, 0);
    table[0] = 0x27;
    table[1] = 0x80;
    table[2] = IDENTIFY;
    put_le32(table + 0x80, BUFFERS);
    put_le32(table + 0x8c, 511);
    set_port(r, 0, PX_CI, 1);
    bench_step(r->bench, 1000);
    g_assert_cmphex(bench_load(r->bench, BAR + 0x100 + PX_TFD, 4) & 0xff, ==, READY);
    g_assert_cmphex(bench_load(r->bench, BAR + 0x100 + PX_CI, 4), ==, 0);
    g_assert_cmpuint(get_le16(bench_ram(r->bench) + BUFFERS + 120), ==, (1 << 20) / 512);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    struct driver r = {.bench = bench_new(), .in = {data, size}};
    bench_config(r.bench, "sata3", "media", "disk"); /* an empty bay */
    if (!bench_add_chip(r.bench, chip_find("sata"), &error))
        g_error("%s", error->message);
    switch_on(&r);
    while (r.in.left)
        one(&r);
    still_works(&r);
    bench_free(r.bench);
    return 0;
}
