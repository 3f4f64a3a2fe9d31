// SPDX-License-Identifier: GPL-2.0-or-later
/* hostile_card.c - see hostile_card.h. */
#include "tests/fuzz/hostile_card.h"
#include "core-vmm/base/bytes.h"
#include <string.h>

enum { FRAME_MOST = 9100 };

struct device *hostile_device(struct hostile_card *c)
{
    return bench_device(c->bench, c->name);
}

uint8_t *hostile_ram(struct hostile_card *c, uint32_t gpa)
{
    return bench_ram(c->bench) + gpa;
}

uint32_t hostile_number(struct hostile_card *c, unsigned bytes)
{
    return take_number(&c->in, bytes);
}

uint32_t hostile_address(struct hostile_card *c, bool wild)
{
    return wild ? hostile_number(c, 4) : HOSTILE_BUFFERS + hostile_number(c, 2);
}

void hostile_begin(struct hostile_card *c, unsigned bar)
{
    g_autoptr(GError) error = NULL;
    c->bench = bench_new();
    if (!bench_add_chip(c->bench, chip_find(c->name), &error))
        g_error("%s", error->message);
    bench_pci_write(hostile_device(c), 0x10 + 4 * bar, 4, HOSTILE_BAR);
    bench_pci_write(hostile_device(c), 4, 2, 7);
}

void hostile_end(struct hostile_card *c)
{
    bench_free(c->bench);
}

/* An Ethernet frame with the beginnings of IP, TCP or UDP, right or nearly so. */
static void frame(struct hostile_card *c)
{
    uint8_t f[FRAME_MOST];
    unsigned kind = hostile_number(c, 1), bytes = hostile_number(c, 2) % FRAME_MOST, ip = kind & 1 ? 18 : 14;
    memset(f, kind, sizeof f);
    put_be16(f + 12, kind & 1 ? 0x8100 : kind & 2 ? 0x86dd : 0x0800);
    put_be16(f + 16, kind & 2 ? 0x86dd : 0x0800);
    f[ip] = kind & 2 ? 0x60 : 0x40 | (hostile_number(c, 1) & 15);
    put_be16(f + ip + 2, kind & 4 ? hostile_number(c, 2) : bytes - ip);
    put_be16(f + ip + 4, kind & 4 ? hostile_number(c, 2) : bytes - ip - 40);
    f[ip + 6] = kind & 2 ? 6 : 0x40;
    f[ip + 9] = kind & 8 ? 17 : 6;
    bench_deliver(hostile_device(c), f, bytes);
    c->driver->received(c, kind);
}

static void network(struct hostile_card *c)
{
    unsigned kind = hostile_number(c, 1);
    bench_cable_can(hostile_device(c), kind & 7);
    bench_cable(hostile_device(c), kind & 0xf0);
    for (GBytes *b; (b = bench_frame_sent(hostile_device(c), NULL));)
        g_bytes_unref(b);
}

static void one(struct hostile_card *c)
{
    unsigned what = hostile_number(c, 1);
    if (what < 120)
        c->driver->descriptor(c);
    else if (what < 180)
        c->driver->access(c);
    else if (what < 230)
        frame(c);
    else if (what < 240)
        network(c);
    else if (what < 255)
        bench_step(c->bench, 1ull << hostile_number(c, 1) % 28);
    else if (hostile_number(c, 1) % 16 == 7) /* now and then: it is the costly part */
        hostile_save_load(c->bench);
    hostile_forget_events(c->bench);
}

void hostile_run(struct hostile_card *c)
{
    while (c->in.left)
        one(c);
}
