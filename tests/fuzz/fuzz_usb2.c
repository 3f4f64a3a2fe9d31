// SPDX-License-Identifier: GPL-2.0-or-later
/* A hostile driver of the UHCI and EHCI controllers (the first byte says which): the schedule is a few places in RAM that lead to each other, and
 * what stands in them, ports, registers, sticks and moments come from the input.  At the end, a reset must leave a controller whose
 * first device answers. */
#include "core-vmm/base/bytes.h"
#include "tests/fuzz/hostile.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    PORTS_AT = 0xc000,
    BAR = 0xe0000000,
    LIST = 0x10000,
    PLACES = 0x20000,
    PLACE = 0x60,
    COUNT = 64,
    BUFFERS = 0x100000
};
enum { EHCI_REGISTERS = 0x20, FRAME_NS = 1000000 };

struct driver {
    struct bench *bench;
    struct bytes in;
    const char *name;
    bool ehci;
};

static uint32_t number(struct driver *r, unsigned n)
{
    return take_number(&r->in, n);
}

static void set(struct driver *r, uint32_t at, uint32_t v)
{
    if (r->ehci)
        bench_store(r->bench, BAR + EHCI_REGISTERS + at, 4, v);
    else
        bench_out(r->bench, PORTS_AT + at, at == 8 ? 4 : 2, v);
}

static uint8_t *place(struct driver *r, unsigned n)
{
    return bench_ram(r->bench) + PLACES + n % COUNT * PLACE;
}

/* To another place, of some kind, or the end. */
static uint32_t onward(struct driver *r)
{
    unsigned kind = number(r, 1);
    return kind & 0x80 && kind & 0x40 ? number(r, 4)
           : kind & 0x20              ? 1
                                      : (PLACES + (kind & 15) * PLACE) | number(r, 1) % 8;
}

static void ports_on(struct driver *r)
{
    for (unsigned n = 0; n < 2; n++) {
        uint32_t at = r->ehci ? 0x44 + n * 4 : 0x10 + n * 2, power = r->ehci ? 0x1000 : 0;
        set(r, at, power | (r->ehci ? 0x100 : 0x200));
        set(r, at, power);
        set(r, at, power | 4);
    }
}

static void switch_on(struct driver *r)
{
    struct device *d = bench_device(r->bench, r->name);
    bench_pci_write(d, 0x10, 4, BAR);
    bench_pci_write(d, 0x20, 4, PORTS_AT | 1);
    bench_pci_write(d, 4, 2, 7);
    set(r, 0, 2);
    for (unsigned n = 0; n < 1024; n++)
        put_le32(bench_ram(r->bench) + LIST + n * 4, PLACES | 2);
    ports_on(r);
    set(r, r->ehci ? 0x14 : 8, LIST);
    if (r->ehci)
        set(r, 0x18, PLACES + 8 * PLACE);
    set(r, r->ehci ? 8 : 4, 0x3f);
    set(r, 0, r->ehci ? 0x31 : 1);
}

/* A transfer descriptor of UHCI, or of EHCI. */
static void describe(struct driver *r)
{
    static const uint8_t pids[] = {0x2d, 0x69, 0xe1, 0x69};
    unsigned kind = number(r, 1), bytes = number(r, 2);
    uint8_t *at = place(r, number(r, 1));
    uint32_t buffer = kind & 0x40 ? number(r, 4) : BUFFERS + number(r, 2);
    put_le32(at, onward(r));
    if (r->ehci) {
        put_le32(at + 4, onward(r));
        put_le32(at + 8, 0x80 | number(r, 1) % 16 << 12 | (kind & 3) << 8 | (kind & 4 ? 8u : bytes & 0x7fff) << 16);
        for (unsigned i = 0; i < 5; i++)
            put_le32(at + 12 + i * 4, buffer + i * 0x1000);
        return;
    }
    put_le32(at + 4, 1 << 23 | 3 << 27 | number(r, 1) << 24);
    put_le32(at + 8, pids[kind & 3] | (number(r, 1) % 4) << 8 | (number(r, 1) % 4) << 15 |
                         ((kind & 4 ? 7u : bytes % 1400) << 21));
    put_le32(at + 12, buffer);
}

static void queue(struct driver *r)
{
    unsigned kind = number(r, 1);
    uint8_t *at = place(r, number(r, 1));
    put_le32(at, onward(r));
    if (!r->ehci) {
        put_le32(at + 4, onward(r));
        return;
    }
    memset(at + 4, 0, 44);
    put_le32(at + 4, (kind & 3) | (kind >> 2 & 3) << 8 | 2 << 12 | 64 << 16);
    put_le32(at + 16, onward(r));
    put_le32(at + 20, 1);
    put_le32(at + 24, kind & 0x80 ? number(r, 4) : 0);
}

/* Setup bytes, or the wrapper of a command, where descriptors find them. */
static void contents(struct driver *r)
{
    uint8_t *at = bench_ram(r->bench) + BUFFERS + number(r, 2);
    unsigned kind = number(r, 1);
    memset(at, 0, 31);
    if (kind & 1) {
        for (unsigned i = 0; i < 8; i++)
            at[i] = number(r, 1);
        return;
    }
    put_le32(at, 0x43425355);
    put_le32(at + 8, number(r, 2));
    at[12] = kind & 2 ? 0x80 : 0;
    at[14] = 16;
    at[15] = number(r, 1);
    at[15 + 8] = number(r, 1);
}

static void one(struct driver *r)
{
    unsigned what = number(r, 1);
    if (what < 90)
        describe(r);
    else if (what < 130)
        queue(r);
    else if (what < 160)
        contents(r);
    else if (what < 175)
        set(r, (number(r, 1) << (r->ehci ? 2 : 1)) & (r->ehci ? 0xfc : 0x1e),
            number(r, 1) & 1 ? number(r, 4) : number(r, 1));
    else if (what < 180)
        put_le32(bench_ram(r->bench) + LIST + number(r, 1) * 4, onward(r));
    else if (what < 190)
        switch_on(r);
    else if (what < 194)
        bench_drive_insert(r->bench, "usb2", number(r, 1) & 1 ? "zero:1M" : NULL);
    else if (what < 248)
        bench_step(r->bench, FRAME_NS * (1 + number(r, 1) % 32));
    else if (what < 250)
        bench_reset(r->bench);
    else
        hostile_save_load(r->bench);
    hostile_forget_events(r->bench);
}

/* Whatever came before: after a reset, the device at address 0 of the first port takes its setup bytes. */
static void still_works(struct driver *r)
{
    static const uint8_t get_descriptor[8] = {0x80, 6, 0, 1, 0, 0, 18, 0};
    uint8_t *q = place(r, 0), *td = place(r, 1);
    bench_step(r->bench, FRAME_NS);
    bench_reset(r->bench);
    memset(bench_ram(r->bench) + PLACES, 0, COUNT * PLACE);
    memcpy(bench_ram(r->bench) + BUFFERS, get_descriptor, sizeof get_descriptor);
    put_le32(q, 1);
    if (r->ehci) {
        put_le32(q + 4, 2 << 12 | 64 << 16);
        put_le32(q + 16, PLACES + PLACE);
        put_le32(q + 20, 1);
        put_le32(td, 1);
        put_le32(td + 4, 1);
        put_le32(td + 8, 0x80 | 2 << 8 | 8 << 16);
        put_le32(td + 12, BUFFERS);
    } else {
        put_le32(q + 4, PLACES + PLACE);
        put_le32(td, 1);
        put_le32(td + 4, 1 << 23 | 3 << 27);
        put_le32(td + 8, 0x2d | 7 << 21);
        put_le32(td + 12, BUFFERS);
    }
    switch_on(r);
    if (r->ehci)
        set(r, 0, 0x11); /* the other schedule leads nowhere */
    bench_step(r->bench, 4 * FRAME_NS);
    g_assert_cmphex(get_le32(td + (r->ehci ? 8 : 4)) & (r->ehci ? 0x7fff00ffu : 0x00ff07ffu), ==, r->ehci ? 0 : 7);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    struct driver r = {.bench = bench_new(), .in = {data, size}};
    r.ehci = number(&r, 1) & 1;
    r.name = r.ehci ? "usb-ehci" : "usb-uhci";
    if (!bench_add_chip(r.bench, chip_find(r.name), &error))
        g_error("%s", error->message);
    switch_on(&r);
    while (r.in.left)
        one(&r);
    still_works(&r);
    bench_free(r.bench);
    return 0;
}
