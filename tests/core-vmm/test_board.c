// SPDX-License-Identifier: GPL-2.0-or-later
/* test_board.c - the real machine, stepped: clock, port and memory accesses, address map, PCI, interrupt routing. */
#include "tests/core-vmm/stepped.h"
#include <linux/input-event-codes.h>
#include <string.h>

enum { MS = 1000000 };
enum { PIC = 0x20, PIC2 = 0xa0, PIT0 = 0x40, PIT_MODE = 0x43, COM1 = 0x3f8 };
enum { BRIDGE = 0, SOUTH = 1, VIDEO = 2 }; /* slots */
#define IOAPIC 0xfec00000u
#define LAPIC  0xfee00000u

/* ---- clock ---- */

struct tick {
    struct clock *clock;
    struct timer *timer;
    GString *log;
    char name;
    uint64_t again; /* sets itself, once */
};

static void on_tick(void *ctx)
{
    struct tick *t = ctx;
    g_string_append_printf(t->log, "%c%u ", t->name, (unsigned)clock_now(t->clock));
    if (t->again)
        clock_timer_set(t->timer, t->again);
    t->again = 0;
}

/* In order of time, whatever the order of setting; also those that are set on the way; none that was stopped. */
static void test_clock_order(void)
{
    g_autoptr(GString) log = g_string_new(NULL);
    struct clock *c = clock_new(true);
    struct tick t[5];
    static const uint64_t at[] = {500, 100, 300, 200, 400};
    for (unsigned i = 0; i < 5; i++) {
        t[i] = (struct tick){.clock = c, .log = log, .name = 'a' + i};
        t[i].timer = clock_timer_new(c, on_tick, &t[i]);
        clock_timer_set(t[i].timer, at[i]);
    }
    t[1].again = 350;
    clock_timer_set(t[4].timer, DEV_NEVER);
    clock_step(c, 99);
    g_assert_cmpstr(log->str, ==, "");
    clock_step(c, 1);
    g_assert_cmpstr(log->str, ==, "b100 ");
    clock_step(c, 900);
    g_assert_cmpstr(log->str, ==, "b100 d200 c300 b350 a500 ");
    g_assert_cmpuint(clock_now(c), ==, 1000);
    for (unsigned i = 0; i < 5; i++)
        clock_timer_free(t[i].timer);
    clock_free(c);
}

/* A standing clock stands: for timers, time and TSC. */
static void test_clock_stands(void)
{
    struct clock *c = clock_new(false);
    g_assert_cmpuint(clock_now(c), ==, 0);
    g_assert_cmpuint(clock_tsc(c), ==, 0);
    clock_go(c);
    g_usleep(2000);
    clock_stand(c);
    uint64_t now = clock_now(c), tsc = clock_tsc(c);
    g_assert_cmpuint(now, >=, 2 * MS);
    g_usleep(2000);
    g_assert_cmpuint(clock_now(c), ==, now);
    g_assert_cmpuint(clock_tsc(c), ==, tsc);
    clock_go(c);
    g_assert_cmpuint(clock_now(c), >=, now);
    g_assert_cmpuint(clock_tsc(c), >=, tsc);
    /* both clocks say the same of what went by, to a thousandth */
    g_usleep(20000);
    clock_stand(c);
    double by_tsc = (double)clock_tsc(c) / clock_tsc_khz(c) * MS, by_time = clock_now(c);
    g_assert_cmpfloat(by_tsc / by_time, >, 0.95);
    g_assert_cmpfloat(by_tsc / by_time, <, 1.05);
    clock_free(c);
}

/* ---- ports ---- */

static void test_ports(void)
{
    struct stepped *s = stepped_new("[serial1]\n");
    g_assert_cmphex(in(s, 0x1234, 1), ==, 0xff);
    g_assert_cmphex(in(s, 0x1234, 4), ==, 0xffffffff);
    out(s, 0x1234, 4, 0x12345678); /* vanishes */
    g_assert_cmphex(in(s, 0xffff, 4), ==, 0xffffffff);
    out(s, COM1 + 7, 1, 0x5a); /* scratch */
    g_assert_cmphex(in(s, COM1 + 7, 1), ==, 0x5a);
    /* a wide access is bytes, low first, and goes on into what lies behind the chip */
    uint64_t behind = in(s, COM1 + 8, 1), status = in(s, COM1 + 6, 1);
    g_assert_cmphex(in(s, COM1 + 6, 4) & 0xffffff, ==, status | 0x5a << 8 | behind << 16);
    out(s, COM1 + 6, 2, 0x3300);
    g_assert_cmphex(in(s, COM1 + 7, 1), ==, 0x33);
    /* 0xCF8 takes doublewords only; a byte at 0xCF9 is another register's, with the same address */
    out(s, 0xcf8, 4, 0x80000000);
    out(s, 0xcf8, 1, 0xff);
    out(s, 0xcf8, 2, 0xffff);
    g_assert_cmphex(in(s, 0xcf8, 4), ==, 0x80000000);
    stepped_free(s);
}

/* ---- PCI ---- */

static void test_pci_ids(void)
{
    struct stepped *s = stepped_new("");
    g_assert_cmphex(pci_in(s, BRIDGE, 0, 0, 4), ==, 0x12378086);
    g_assert_cmphex(pci_in(s, SOUTH, 0, 0, 4), ==, 0x70008086);
    g_assert_cmphex(pci_in(s, SOUTH, 1, 0, 4), ==, 0x70108086);
    g_assert_cmphex(pci_in(s, SOUTH, 3, 0, 4), ==, 0x71138086);
    g_assert_cmphex(pci_in(s, SOUTH, 2, 0, 4), ==, 0xffffffff);
    g_assert_cmphex(pci_in(s, 31, 7, 0, 4), ==, 0xffffffff);
    pci_out(s, BRIDGE, 0, 0, 4, 0); /* read only */
    g_assert_cmphex(pci_in(s, BRIDGE, 0, 2, 2), ==, 0x1237);
    out(s, 0xcf8, 4, 0); /* not enabled */
    g_assert_cmphex(in(s, 0xcfc, 4), ==, 0xffffffff);
    stepped_free(s);
}

/* The linear frame buffer: sized, placed, moved, switched off, over RAM. */
static void test_pci_bar(void)
{
    struct stepped *s = stepped_new("[video]\ntype = vga\nmemory = 4M\n");
    const uint32_t here = 0xe0000000, there = 0xd0000000;
    pci_out(s, VIDEO, 0, 0x10, 4, 0xffffffff);
    uint32_t size = ~(pci_in(s, VIDEO, 0, 0x10, 4) & ~15u) + 1;
    g_assert_cmphex(size, >=, 4 << 20);
    g_assert_cmphex(size & (size - 1), ==, 0);
    pci_out(s, VIDEO, 0, 0x10, 4, here);
    g_assert_cmphex(load(s, here, 4), ==, 0xffffffff); /* memory decoding is off */
    pci_out(s, VIDEO, 0, 4, 2, 2);
    store(s, here + 0x1000, 4, 0xcafe);
    g_assert_cmphex(load(s, here + 0x1000, 4), ==, 0xcafe);
    uint64_t place = mapped(s, here + 0x1000).offset;
    g_assert_cmphex(place, !=, NO_MEMORY);
    pci_out(s, VIDEO, 0, 0x10, 4, there);
    g_assert_cmphex(load(s, here + 0x1000, 4), ==, 0xffffffff);
    g_assert_cmphex(load(s, there + 0x1000, 4), ==, 0xcafe);
    g_assert_cmphex(mapped(s, here + 0x1000).offset, ==, NO_MEMORY);
    g_assert_cmphex(mapped(s, there + 0x1000).offset, ==, place);
    pci_out(s, VIDEO, 0, 4, 2, 0);
    g_assert_cmphex(mapped(s, there + 0x1000).offset, ==, NO_MEMORY);
    stepped_free(s);
}

/* ---- memory ---- */

static void test_memory(void)
{
    struct stepped *s = stepped_new("");
    store(s, 0x5000, 8, 0x1122334455667788);
    g_assert_cmphex(load(s, 0x5001, 2), ==, 0x6677);
    g_assert_cmphex(s->touched, ==, 8);
    store(s, 0xffffff, 4, 0xaabbccdd); /* its first byte is RAM's last, behind it is nothing */
    g_assert_cmphex(load(s, 0xffffff, 4), ==, 0xffffffdd);
    g_assert_cmphex(load(s, 0x80000000, 8), ==, UINT64_MAX);
    g_assert_cmphex(mapped(s, 0x5000).offset, ==, 0x5000);
    g_assert_cmphex(mapped(s, 16 << 20).offset, ==, NO_MEMORY);
    stepped_free(s);
}

/* The ROM is where the processor starts, and below 1 MiB; PAM0 puts RAM there, for reads and writes apart. */
static void test_shadow(void)
{
    struct stepped *s = stepped_new("");
    uint64_t rom = load(s, 0xfffffff0, 8);
    g_assert_cmphex(rom, !=, UINT64_MAX);
    g_assert_cmphex(load(s, 0xffff0, 8), ==, rom);
    store(s, 0xffff0, 8, 0); /* to nowhere */
    g_assert_cmphex(load(s, 0xffff0, 8), ==, rom);
    pci_out(s, BRIDGE, 0, 0x59, 1, 0x20); /* reads from ROM, writes to RAM */
    store(s, 0xffff0, 8, 0x1234);
    g_assert_cmphex(load(s, 0xffff0, 8), ==, rom);
    pci_out(s, BRIDGE, 0, 0x59, 1, 0x10); /* reads from RAM, writes to PCI */
    g_assert_cmphex(load(s, 0xffff0, 8), ==, 0x1234);
    store(s, 0xffff0, 8, 0x5678);
    g_assert_cmphex(load(s, 0xffff0, 8), ==, 0x1234);
    pci_out(s, BRIDGE, 0, 0x59, 1, 0x30);
    store(s, 0xffff0, 8, 0x9abc);
    g_assert_cmphex(load(s, 0xffff0, 8), ==, 0x9abc);
    g_assert_cmphex(mapped(s, 0xff000).offset, ==, 0xff000);
    g_assert_cmphex(load(s, 0xfffffff0, 8), ==, rom);
    stepped_free(s);
}

static void test_a20(void)
{
    struct stepped *s = stepped_new("");
    store(s, 0x500, 4, 1);
    store(s, 0x100500, 4, 2);
    out(s, 0x92, 1, in(s, 0x92, 1) | 2);
    g_assert_cmphex(load(s, 0x100500, 4), ==, 2);
    out(s, 0x92, 1, in(s, 0x92, 1) & ~2u);
    g_assert_cmphex(load(s, 0x100500, 4), ==, 1);
    g_assert_cmphex(mapped(s, 0x100000).offset, ==, 0);
    out(s, 0x92, 1, in(s, 0x92, 1) | 2);
    g_assert_cmphex(load(s, 0x100500, 4), ==, 2);
    g_assert_cmphex(mapped(s, 0x100000).offset, ==, 0x100000);
    stepped_free(s);
}

/* What the engine believes of a page is what the address map says, whatever was switched before. */
static void agrees(struct stepped *s, uint64_t gpa)
{
    struct flat f;
    struct stepped_map engine = mapped(s, gpa);
    bool there = memory_find(s->m, gpa, &f) && f.offset != NO_MEMORY;
    if (!there) {
        g_assert_cmphex(engine.offset, ==, NO_MEMORY);
        return;
    }
    g_assert_cmphex(engine.offset, ==, f.offset + (gpa - f.gpa));
    g_assert_cmpint((engine.how & 0xff) == CPU_MAP_READONLY, ==, f.readonly);
}

static void poke(struct stepped *s, GRand *r)
{
    uint32_t bar = g_rand_int(r) & (g_rand_boolean(r) ? 0x01ff0000 : 0xffff0000);
    switch (g_rand_int_range(r, 0, 6)) {
    case 0: pci_out(s, BRIDGE, 0, 0x59 + g_rand_int_range(r, 0, 7), 1, g_rand_int(r)); break;
    case 1: pci_out(s, VIDEO, 0, 0x10, 4, bar); break;
    case 2: pci_out(s, VIDEO, 0, 4, 2, g_rand_int(r) & 3); break;
    case 3: pci_out(s, VIDEO, 0, 0x30, 4, bar | g_rand_boolean(r)); break;
    case 4: out(s, 0x92, 1, g_rand_boolean(r) ? 2 : 0); break;
    case 5: store(s, 0xa0000 + (g_rand_int(r) & 0x5fff0), 4, g_rand_int(r)); break;
    }
}

static void test_map_random(void)
{
    struct stepped *s = stepped_new("[video]\ntype = vga\n");
    GRand *r = g_rand_new_with_seed(1);
    for (unsigned n = 0; n < 400; n++) {
        poke(s, r);
        for (uint64_t gpa = 0; gpa < 0x120000; gpa += 0x4000)
            agrees(s, gpa);
        for (unsigned k = 0; k < 100; k++)
            agrees(s, (uint64_t)(g_rand_int(r) & (k & 1 ? 0xfffff000 : 0x1fff000)));
    }
    g_rand_free(r);
    stepped_free(s);
}

/* ---- interrupts ---- */

static void pic_init(struct stepped *s)
{
    static const uint8_t words[][2] = {{0x20, 0x11}, {0xa0, 0x11}, {0x21, 0x20}, {0xa1, 0x28},
                                       {0x21, 4},    {0xa1, 2},    {0x21, 1},    {0xa1, 1}};
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
        out(s, words[i][0], 1, words[i][1]);
    out(s, 0x21, 1, 0);
    out(s, 0xa1, 1, 0);
}

static void pit_every_ms(struct stepped *s)
{
    out(s, PIT_MODE, 1, 0x34);
    out(s, PIT0, 1, 1193 & 0xff);
    out(s, PIT0, 1, 1193 >> 8);
}

static void test_pic(void)
{
    struct stepped *s = stepped_new("");
    pit_every_ms(s); /* its output is up from here on: no edge of a tick */
    pic_init(s);
    g_assert_false(s->intr[0]);
    stepped_ns(s, 1100000);
    g_assert_cmpint(take(s, 0), ==, 0x20);
    g_assert_false(s->intr[0]); /* in service, until the end of interrupt */
    stepped_ns(s, MS);
    g_assert_false(s->intr[0]);
    out(s, PIC, 1, 0x20);
    g_assert_cmpint(take(s, 0), ==, 0x20);
    out(s, PIC, 1, 0x20);
    out(s, 0x21, 1, 1); /* masked */
    stepped_ns(s, 3 * MS);
    g_assert_false(s->intr[0]);
    out(s, 0x21, 1, 0);
    g_assert_cmpint(take(s, 0), ==, 0x20);
    stepped_free(s);
}

/* The real-time clock is behind the second controller; a higher line interrupts a lower one's handler, not the reverse. */
static void test_cascade(void)
{
    struct stepped *s = stepped_new("");
    pic_init(s);
    out(s, 0x70, 1, 0x0a);
    out(s, 0x71, 1, 0x26); /* 1024 Hz */
    out(s, 0x70, 1, 0x0b);
    out(s, 0x71, 1, in(s, 0x71, 1) | 0x40);
    stepped_ns(s, 2 * MS);
    g_assert_cmpint(take(s, 0), ==, 0x28);
    machine_key(s->m, KEY_A, true);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    stepped_ns(s, 5 * MS);
    g_assert_cmpint(take(s, 0), ==, 0x21);
    g_assert_cmphex(in(s, 0x60, 1), !=, 0);
    out(s, PIC, 1, 0x20);
    out(s, PIC2, 1, 0x20);
    out(s, PIC, 1, 0x20);
    out(s, 0x70, 1, 0x0c);
    g_assert_cmphex(in(s, 0x71, 1) & 0xc0, ==, 0xc0);
    stepped_ns(s, 2 * MS);
    g_assert_cmpint(take(s, 0), ==, 0x28);
    stepped_free(s);
}

static void ioapic_out(struct stepped *s, unsigned reg, uint32_t value)
{
    store(s, IOAPIC, 4, reg);
    store(s, IOAPIC + 0x10, 4, value);
}

static void lapic_on(struct stepped *s, unsigned cpu)
{
    machine_store(s->m, cpu, LAPIC + 0xf0, 4, 0x1ff);
}

/* The timer by the I/O APIC (its pin 2) and a local APIC, at CPU 1. */
static void test_apic(void)
{
    struct stepped *s = stepped_new("cpus = 2\n");
    pic_init(s);
    out(s, 0x21, 1, 0xff);
    out(s, 0xa1, 1, 0xff);
    lapic_on(s, 0);
    lapic_on(s, 1);
    ioapic_out(s, 0x15, 1u << 24);
    ioapic_out(s, 0x14, 0x31);
    pit_every_ms(s);
    stepped_ns(s, 1100000);
    g_assert_false(s->intr[0]);
    g_assert_cmpint(take(s, 1), ==, 0x31);
    stepped_ns(s, MS);
    g_assert_cmpint(take(s, 1), ==, -1); /* one of that vector is in service */
    machine_store(s->m, 1, LAPIC + 0xb0, 4, 0);
    g_assert_cmpint(take(s, 1), ==, 0x31);
    stepped_free(s);
}

static void test_apic_timer(void)
{
    struct stepped *s = stepped_new("");
    lapic_on(s, 0);
    store(s, LAPIC + 0x3e0, 4, 0xb);     /* divide by 1 */
    store(s, LAPIC + 0x320, 4, 0x20040); /* periodic */
    store(s, LAPIC + 0x380, 4, 1000000);
    uint64_t before = load(s, LAPIC + 0x390, 4);
    stepped_ns(s, 100000);
    g_assert_cmpuint(load(s, LAPIC + 0x390, 4), <, before);
    unsigned taken = 0;
    for (unsigned n = 0; n < 100; n++) {
        stepped_ns(s, MS / 2);
        if (take(s, 0) == 0x40) {
            store(s, LAPIC + 0xb0, 4, 0);
            taken++;
        }
    }
    g_assert_cmpuint(taken, >=, 40); /* 1 ms each, or faster */
    stepped_free(s);
}

/* Start of a second processor: INIT, then SIPI with a page number; an NMI to all but oneself. */
static void test_ipi(void)
{
    struct stepped *s = stepped_new("cpus = 3\n");
    lapic_on(s, 0);
    unsigned inits = s->inits[1], nmis = s->nmis[0];
    store(s, LAPIC + 0x310, 4, 1u << 24);
    store(s, LAPIC + 0x300, 4, 0x4500);
    g_assert_cmpuint(s->inits[1], ==, inits + 1);
    store(s, LAPIC + 0x300, 4, 0x4609);
    g_assert_cmpuint(s->sipis[1], ==, 1);
    g_assert_cmphex(s->sipi_vector[1], ==, 9);
    g_assert_cmpuint(s->sipis[2], ==, 0);
    store(s, LAPIC + 0x300, 4, 0xc4400);
    g_assert_cmpuint(s->nmis[0], ==, nmis);
    g_assert_cmpuint(s->nmis[1], ==, 1);
    g_assert_cmpuint(s->nmis[2], ==, 1);
    stepped_free(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/board/clock-order", test_clock_order);
    g_test_add_func("/board/clock-stands", test_clock_stands);
    g_test_add_func("/board/ports", test_ports);
    g_test_add_func("/board/pci-ids", test_pci_ids);
    g_test_add_func("/board/pci-bar", test_pci_bar);
    g_test_add_func("/board/memory", test_memory);
    g_test_add_func("/board/shadow", test_shadow);
    g_test_add_func("/board/a20", test_a20);
    g_test_add_func("/board/map-random", test_map_random);
    g_test_add_func("/board/pic", test_pic);
    g_test_add_func("/board/cascade", test_cascade);
    g_test_add_func("/board/apic", test_apic);
    g_test_add_func("/board/apic-timer", test_apic_timer);
    g_test_add_func("/board/ipi", test_ipi);
    return g_test_run();
}
