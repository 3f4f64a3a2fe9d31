// SPDX-License-Identifier: GPL-2.0-or-later
/* A hostile driver of VMware's SVGA II: the FIFO is set up, then commands, their halves, the FIFO's own registers, those of the card, pages of RAM and
 * moments come from the input; pictures are drawn in between.  At the end, a reset must leave a card that works. */
#include "core-vmm/machine/display.h"
#include "core-vmm/machine/machine.h"
#include "tests/fuzz/hostile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PORTS = 0xc000, VALUE = PORTS + 1, IRQ = PORTS + 8, VRAM = 0xe0000000, FIFO = 0xf0000000 };
enum { MIN_AT = 4096, MAX_AT = 16384, NEXT = 8, STOP = 12, FENCE = 24, CURSOR = 36 };
enum { ENABLE = 1, CONFIG_DONE = 20, SYNC, BUSY };
enum { CMD_FENCE = 30 };

struct driver {
    struct bench *bench;
    struct bytes in;
};

static void set(struct driver *r, uint32_t reg, uint32_t v)
{
    bench_out(r->bench, PORTS, 4, reg);
    bench_out(r->bench, VALUE, 4, v);
}

static uint32_t get(struct driver *r, uint32_t reg)
{
    bench_out(r->bench, PORTS, 4, reg);
    return bench_in(r->bench, VALUE, 4);
}

static void fifo(struct driver *r, uint32_t at, uint32_t v)
{
    bench_store(r->bench, FIFO + at, 4, v);
}

static void set_up_ring(struct driver *r)
{
    const uint32_t words[] = {MIN_AT, MAX_AT, MIN_AT, MIN_AT};
    for (unsigned i = 0; i < 4; i++)
        fifo(r, i * 4, words[i]);
}

static void switch_on(struct driver *r)
{
    struct device *d = bench_device(r->bench, "svga");
    bench_pci_write(d, 0x10, 4, PORTS);
    bench_pci_write(d, 0x14, 4, VRAM);
    bench_pci_write(d, 0x18, 4, FIFO);
    bench_pci_write(d, 4, 2, 7);
    set_up_ring(r);
    set(r, ENABLE, 1);
    set(r, CONFIG_DONE, 1);
}

static void push(struct driver *r, uint32_t word)
{
    uint32_t next = bench_load(r->bench, FIFO + NEXT, 4);
    if (next < MIN_AT || next >= MAX_AT || next % 4)
        set_up_ring(r);
    next = bench_load(r->bench, FIFO + NEXT, 4);
    fifo(r, next, word);
    fifo(r, NEXT, next + 4 < MAX_AT ? next + 4 : MIN_AT);
}

/* What registers and commands are made of: mostly small. */
static uint32_t value(struct driver *r)
{
    static const uint32_t special[] = {0xffffffff, 0xfffffffe, 0x80000000, 0x7fffffff, 0x100000, 8192, 0x1820, 0x1010};
    uint8_t how = take(&r->in);
    if (how < 0xa0)
        return how & 15;
    if (how < 0xc0)
        return (how & 31) * 64;
    if (how < 0xe0)
        return special[how % G_N_ELEMENTS(special)];
    return how < 0xf8 ? take_number(&r->in, 4) : -(uint32_t)take(&r->in);
}

static void command(struct driver *r)
{
    /* number, words that follow at least */
    static const uint8_t kinds[][2] = {{1, 4},  {3, 6},  {14, 7}, {19, 7}, {22, 5}, {25, 5}, {30, 1}, {33, 2}, {35, 1},
                                       {36, 4}, {37, 7}, {38, 7}, {41, 2}, {42, 4}, {45, 0}, {34, 0}, {34, 0}, {37, 7}};
    unsigned pick = take(&r->in);
    const uint8_t *kind = kinds[pick % G_N_ELEMENTS(kinds)];
    push(r, kind[0]);
    if (kind[0] == 34) { /* mostly a good screen */
        const uint32_t words[] = {44, take(&r->in) % 3, 1, value(r), value(r), 0, 0, 0xfffffffe, value(r) * 4, 256, 0};
        for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
            push(r, take(&r->in) < 240 ? words[i] : value(r));
    }
    for (unsigned i = 0, n = kind[1] + (pick & 0x80 ? take(&r->in) & 31 : 0); i < n; i++)
        push(r, value(r));
}

static void look(struct driver *r)
{
    struct machine *m = bench_device(r->bench, "svga")->machine;
    struct display *p;
    for (unsigned i = 0; (p = machine_display(m, i)); i++)
        display_refresh_now(p);
    g_free(display_text(bench_display(r->bench)));
}

static void step(struct driver *r)
{
    unsigned what = take(&r->in), at;
    switch (what & 15) {
    case 8: set(r, take(&r->in) % 64, value(r)); break;
    case 9: get(r, take(&r->in) % 64); break;
    case 10: fifo(r, (what & 0x80 ? CURSOR : 0) + (take(&r->in) & 7) * 4, value(r)); break;
    case 11:
        at = take_number(&r->in, 3) & (BENCH_RAM - 1) & ~3u;
        memset(bench_ram(r->bench) + at, take(&r->in), MIN(16, BENCH_RAM - at));
        break;
    case 12: bench_step(r->bench, (uint64_t)take(&r->in) << 12); break;
    case 13: look(r); break;
    case 14:
        if (what == 0xfe)
            hostile_save_load(r->bench);
        else
            set(r, ENABLE, take(&r->in) & 3);
        break;
    case 15: bench_out(r->bench, IRQ, 4, take(&r->in)); break;
    default: command(r); break;
    }
    if (what & 0x40)
        set(r, SYNC, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct driver r = {bench_new(), {data, size}};
    g_autoptr(GError) error = NULL;
    bench_config(r.bench, "video", "screens", "3");
    if (!bench_add_chip(r.bench, chip_find("svga"), &error))
        g_error("%s", error->message);
    switch_on(&r);
    while (r.in.left) {
        step(&r);
        hostile_forget_events(r.bench);
    }
    get(&r, BUSY);
    look(&r);
    bench_reset(r.bench);
    switch_on(&r);
    push(&r, CMD_FENCE);
    push(&r, 0x12345678);
    if (get(&r, BUSY) || bench_load(r.bench, FIFO + FENCE, 4) != 0x12345678)
        g_error("after a reset the card passes no fence");
    look(&r);
    bench_free(r.bench);
    return 0;
}
