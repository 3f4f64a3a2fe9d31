// SPDX-License-Identifier: GPL-2.0-or-later
/* A hostile driver of the xHCI controller: rings are set up and devices addressed as a driver does it, then commands, transfer descriptors of
 * every kind, doorbells, registers, sticks that come and go, and moments come from the input.  At the end, a reset must leave a controller that works. */
#include "core-vmm/api/input.h"
#include "core-vmm/base/bytes.h"
#include "tests/fuzz/hostile.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    BAR = 0xe0000000,
    VECTORS = 0xe0100000,
    OPERATIONAL = 0x40,
    PORTS = 0x440,
    RUNTIME = 0x1000,
    DOORBELLS = 0x2000
};
enum {
    COMMANDS = 0x10000,
    EVENTS = 0x11000,
    SEGMENTS = 0x12000,
    CONTEXTS = 0x13000,
    INPUT = 0x14000,
    OUTPUT = 0x18000
};
enum { RINGS = 0x20000 /* slot * 32 + endpoint, 1 KiB each */, BUFFERS = 0x100000, TRB = 16, ENTRIES = 64, SLOTS = 8 };
enum { NORMAL = 1, SETUP, DATA, STATUS, LINK = 6, ENABLE_SLOT = 9, ADDRESS = 11, CONFIGURE = 12, NO_OP = 23 };

struct ring {
    unsigned tail;
    bool cycle;
};
struct driver {
    struct bench *bench;
    struct bytes in;
    struct ring commands, ring[SLOTS][32];
};

static uint32_t number(struct driver *r, unsigned n)
{
    return take_number(&r->in, n);
}

static void set(struct driver *r, uint32_t at, uint32_t v)
{
    bench_store(r->bench, BAR + at, 4, v);
}

static uint8_t *ram(struct driver *r, uint32_t at)
{
    return bench_ram(r->bench) + at;
}

/* On a ring of ENTRIES whose last is a link to its begin. */
static void put(struct driver *r, struct ring *ring, uint32_t base, uint64_t parameter, uint32_t status,
                uint32_t control)
{
    uint8_t *at = ram(r, base + ring->tail * TRB);
    put_le64(at, parameter);
    put_le32(at + 8, status);
    put_le32(at + 12, (control & ~1u) | ring->cycle);
    if (++ring->tail < ENTRIES - 1)
        return;
    at = ram(r, base + ring->tail * TRB);
    put_le64(at, base);
    put_le32(at + 12, LINK << 10 | 2 | (control & 16) | ring->cycle);
    ring->tail = 0;
    ring->cycle = !ring->cycle;
}

static void command(struct driver *r, uint64_t parameter, unsigned type, unsigned slot, unsigned endpoint,
                    uint32_t bits)
{
    put(r, &r->commands, COMMANDS, parameter, 0, type << 10 | slot << 24 | endpoint << 16 | bits);
    set(r, DOORBELLS, 0);
}

static uint32_t ring_at(unsigned slot, unsigned endpoint)
{
    return RINGS + (slot * 32 + endpoint) * 0x400;
}

static void describe_endpoint(struct driver *r, unsigned slot, unsigned n, unsigned type, unsigned most)
{
    uint8_t *c = ram(r, INPUT + 32 + n * 32);
    memset(c, 0, 32);
    put_le32(c + 4, 3 << 1 | type << 3 | most << 16);
    put_le64(c + 8, ring_at(slot, n) | 1);
    memset(ram(r, ring_at(slot, n)), 0, ENTRIES * TRB);
    r->ring[slot][n] = (struct ring){0, true};
}

static void address(struct driver *r, unsigned slot, unsigned port, unsigned route)
{
    set(r, PORTS + (port - 1) * 16, 1 << 9 | 1 << 4);
    command(r, 0, ENABLE_SLOT, 0, 0, 0);
    put_le64(ram(r, CONTEXTS + slot * 8), OUTPUT + slot * 0x400);
    memset(ram(r, INPUT), 0, 0x420);
    put_le32(ram(r, INPUT + 4), 3);
    put_le32(ram(r, INPUT + 32), route | 1 << 27);
    put_le32(ram(r, INPUT + 36), port << 16);
    describe_endpoint(r, slot, 1, 4, 64);
    command(r, INPUT, ADDRESS, slot, 0, 0);
}

static void configure(struct driver *r, unsigned slot, bool stick)
{
    static const uint8_t set_it[8] = {0, 9, 1};
    put_le32(ram(r, INPUT + 4), 1 | 1 << 3 | (stick ? 1 << 4 : 0));
    put_le32(ram(r, INPUT), 0);
    describe_endpoint(r, slot, 3, stick ? 6 : 7, stick ? 512 : 8);
    if (stick)
        describe_endpoint(r, slot, 4, 2, 512);
    command(r, INPUT, CONFIGURE, slot, 0, 0);
    put(r, &r->ring[slot][1], ring_at(slot, 1), get_le64(set_it), 8, SETUP << 10 | 64);
    put(r, &r->ring[slot][1], ring_at(slot, 1), 0, 0, STATUS << 10 | 1 << 16 | 32);
    set(r, DOORBELLS + slot * 4, 1);
}

/* Ports: 4 a stick of SuperSpeed; 9 tablet, 10 keyboard, 13 the hub with a stick on its sixth port. */
static void switch_on(struct driver *r)
{
    struct device *d = bench_device(r->bench, "usb");
    bench_pci_write(d, 0x10, 4, BAR);
    bench_pci_write(d, 0x14, 4, 0);
    bench_pci_write(d, 0x20, 4, VECTORS);
    bench_pci_write(d, 4, 2, 6);
    set(r, OPERATIONAL, 2);
    memset(ram(r, COMMANDS), 0, 0x10000);
    r->commands = (struct ring){0, true};
    put_le64(ram(r, SEGMENTS), EVENTS);
    put_le32(ram(r, SEGMENTS + 8), 256);
    set(r, RUNTIME + 0x28, 1);
    set(r, RUNTIME + 0x38, EVENTS);
    set(r, RUNTIME + 0x30, SEGMENTS);
    set(r, RUNTIME + 0x34, 0);
    set(r, RUNTIME + 0x20, 2);
    set(r, OPERATIONAL + 0x18, COMMANDS | 1);
    set(r, OPERATIONAL + 0x1c, 0);
    set(r, OPERATIONAL + 0x30, CONTEXTS);
    set(r, OPERATIONAL + 0x34, 0);
    set(r, OPERATIONAL + 0x38, SLOTS - 1);
    set(r, OPERATIONAL, 5);
    address(r, 1, 4, 0);
    configure(r, 1, true);
    address(r, 2, 9, 0);
    configure(r, 2, false);
    address(r, 3, 10, 0);
    configure(r, 3, false);
    address(r, 4, 13, 0);
    configure(r, 4, false);
}

static void events_seen(struct driver *r)
{
    unsigned n = number(r, 1);
    set(r, RUNTIME + 0x38, (EVENTS + n * TRB) | 8);
}

/* A command of the bulk-only transport, its data and its status. */
static void stick_command(struct driver *r)
{
    static const uint8_t known[] = {0x00, 0x03, 0x12, 0x1a, 0x25, 0x28, 0x28, 0x2a,
                                    0x2a, 0x35, 0x41, 0x42, 0x5a, 0x93, 0x9e, 0xa0};
    unsigned kind = number(r, 1), which = number(r, 1), length = number(r, 2) << (kind >> 6);
    uint8_t *c = ram(r, BUFFERS + 0x100);
    memset(c, 0, 31);
    put_le32(c, kind & 4 ? 0x43425355 : number(r, 4));
    put_le32(c + 8, length);
    c[12] = kind & 1 ? 0x80 : 0;
    c[13] = kind & 2 && which & 1 ? number(r, 1) : 0;
    c[14] = kind & 0x10 && which & 2 ? number(r, 1) : 16;
    c[15] = which < 240 ? known[which % 16] : number(r, 1);
    for (unsigned i = 2; i < 16; i++)
        c[15 + i] = which & 0x10 ? number(r, 1) : 0;
    c[15 + 8] = which & 0x20 ? 1 : c[15 + 8];
    put(r, &r->ring[1][4], ring_at(1, 4), BUFFERS + 0x100, 31, NORMAL << 10 | 32);
    if (length)
        put(r, &r->ring[1][kind & 1 ? 3 : 4], ring_at(1, kind & 1 ? 3 : 4), BUFFERS + 0x1000, MIN(length, 0x10000),
            NORMAL << 10 | 36);
    put(r, &r->ring[1][3], ring_at(1, 3), BUFFERS + 0x200, 13, NORMAL << 10 | 32);
    if (kind & 8)
        set(r, DOORBELLS + 4, 4);
    set(r, DOORBELLS + 4, 3);
}

static void transfer(struct driver *r)
{
    unsigned kind = number(r, 1), where = number(r, 1), slot = 1 + (where & 7) % (SLOTS - 1), n = 1 + (where >> 3) % 4;
    unsigned type = kind & 0x20 ? number(r, 1) & 63 : n == 1 ? SETUP + kind % 3 : NORMAL;
    uint64_t parameter = kind & 0x40 ? number(r, 4) | (uint64_t)number(r, 4) << 32 : BUFFERS + number(r, 2);
    put(r, &r->ring[slot][n], ring_at(slot, n), parameter, kind & 0x10 ? number(r, 3) : number(r, 1),
        type << 10 | (number(r, 1) & 0x7e) | (kind & 0x80 ? 1 << 16 : 0));
    if (kind & 8)
        set(r, DOORBELLS + slot * 4, n);
}

static void any_command(struct driver *r)
{
    unsigned kind = number(r, 1), where = number(r, 1);
    uint64_t at = kind & 0x80 ? number(r, 4) : kind & 0x40 ? ring_at(where & 7, where >> 3) | 1 : INPUT;
    command(r, at, kind & 0x20 ? number(r, 1) & 63 : ENABLE_SLOT + kind % 9, where & 7, where >> 3,
            kind & 0x10 ? 1 << 9 : 0);
}

static void change_memory(struct driver *r)
{
    unsigned kind = number(r, 1), at = number(r, 2);
    put_le32(ram(r, (kind & 0x80 ? RINGS : INPUT) + (at & 0x7ffc)), number(r, 4));
}

static void access_register(struct driver *r)
{
    unsigned kind = number(r, 1), at = (number(r, 1) << 2) & 0x1fc;
    uint32_t base = kind & 0x40 ? PORTS : kind & 0x20 ? RUNTIME : kind & 0x10 ? DOORBELLS : 0;
    if (kind & 0x80)
        bench_load(r->bench, BAR + base + at, 4);
    else
        set(r, base + at, kind & 1 ? number(r, 4) : number(r, 1) << (kind & 14) * 2);
}

static void stick_moves(struct driver *r)
{
    unsigned kind = number(r, 1);
    bench_drive_insert(r->bench, kind & 1 ? "usb4" : "usb8", kind & 2 ? "zero:1M" : NULL);
}

static void user(struct driver *r)
{
    struct device *d = bench_device(r->bench, "usb");
    unsigned kind = number(r, 1);
    dev_lock(d);
    if (kind & 1)
        d->ops->input->key(d, number(r, 1), kind & 2);
    else if (kind & 4)
        d->ops->input->pointer_absolute(d, number(r, 2), number(r, 2), (int8_t)number(r, 1), kind >> 3);
    else
        d->ops->input->pointer(d, (int16_t)number(r, 2), (int16_t)number(r, 2), (int8_t)number(r, 1), kind >> 3);
    dev_unlock(d);
}

static void one(struct driver *r)
{
    unsigned what = number(r, 1);
    if (what < 70)
        stick_command(r);
    else if (what < 120)
        transfer(r);
    else if (what < 140)
        any_command(r);
    else if (what < 150)
        change_memory(r);
    else if (what < 165)
        access_register(r);
    else if (what < 180)
        user(r);
    else if (what < 195)
        events_seen(r);
    else if (what < 200)
        switch_on(r);
    else if (what < 205)
        stick_moves(r);
    else if (what < 208)
        bench_drive_fail(r->bench, bench_drive(r->bench, "usb4"), 5);
    else if (what < 250)
        bench_step(r->bench, 1ull << number(r, 1) % 28);
    else if (what < 252)
        bench_reset(r->bench);
    else
        hostile_save_load(r->bench);
    hostile_forget_events(r->bench);
}

/* Whatever came before: after a reset, commands are carried out. */
static void still_works(struct driver *r)
{
    bench_step(r->bench, 1000000);
    bench_reset(r->bench);
    switch_on(r);
    command(r, 0, NO_OP, 0, 0, 0);
    bool found = false;
    for (unsigned i = 0; i < 256; i++)
        found |= get_le32(ram(r, EVENTS + i * TRB + 12)) >> 10 == 33 &&
                 get_le32(ram(r, EVENTS + i * TRB + 8)) == 1u << 24 &&
                 get_le64(ram(r, EVENTS + i * TRB)) == COMMANDS + (r->commands.tail - 1) * TRB;
    g_assert_true(found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    struct driver r = {.bench = bench_new(), .in = {data, size}};
    if (!bench_add_chip(r.bench, chip_find("usb"), &error))
        g_error("%s", error->message);
    switch_on(&r);
    while (r.in.left)
        one(&r);
    still_works(&r);
    bench_free(r.bench);
    return 0;
}
