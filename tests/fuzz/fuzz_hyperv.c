// SPDX-License-Identifier: GPL-2.0-or-later
/* A hostile guest of Hyper-V's interface: MSRs and hypercalls of all kinds with input anywhere, pages that lie on each other, time,
 * connections, and saving at any moment. */
#include "devices/hyperv/hyperv.h"
#include "tests/devices/bench.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
    const uint8_t *at;
    size_t left;
};

static uint64_t take(struct bytes *in, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n && in->left; i++, in->left--)
        v |= (uint64_t)*in->at++ << (8 * i);
    return v;
}

/* Where pages and input may be: a few of RAM, its end, nowhere. */
static uint64_t place(struct bytes *in)
{
    uint8_t how = take(in, 1);
    uint64_t page = how < 200 ? how % 4 : how < 230 ? BENCH_RAM / 4096 - 1 : take(in, 7);
    return page << 12;
}

static uint64_t value(struct bytes *in)
{
    uint8_t how = take(in, 1);
    return how < 100 ? place(in) | (how & 1) : how < 180 ? take(in, 3) : take(in, 8);
}

static void msr(struct device *d, unsigned cpu, bool write, struct bytes *in)
{
    static const uint16_t known[] = {0x00, 0x01, 0x03, 0x10, 0x20, 0x21, 0x70, 0x71, 0x72, 0x73,  0x80,  0x82, 0x83,
                                     0x84, 0x92, 0x93, 0xb0, 0xb1, 0xb2, 0xb3, 0xb6, 0xb7, 0x103, 0x104, 0x105};
    uint8_t which = take(in, 1);
    uint64_t v = value(in);
    uint32_t n = which < 240 ? known[which % G_N_ELEMENTS(known)] : take(in, 2) & 0x1ff;
    machine_hyperv_msr(d->machine, cpu, 0x40000000 + n, &v, write);
}

static void call(struct device *d, unsigned cpu, struct bytes *in)
{
    static const uint8_t codes[] = {2, 3, 8, 0xb, 0x13, 0x14, 0x15, 0x5c, 0x5d};
    uint8_t how = take(in, 1);
    uint64_t control = how < 230 ? codes[how % G_N_ELEMENTS(codes)] : take(in, 2);
    uint64_t gpr[16];
    control |= (uint64_t)take(in, 1) << 16 | (how & 1 ? take(in, 5) << 24 : 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(gpr); i++)
        gpr[i] = i;
    gpr[X86_RCX] = control;
    gpr[X86_RDX] = control >> 16 & 1 ? value(in) : place(in) + 8 * take(in, 1);
    gpr[8] = take(in, 2);
    gpr[X86_RAX] = control;
    machine_hypercall(d->machine, cpu, gpr, how & 2);
}

static void write_ram(struct bench *b, struct bytes *in)
{
    uint8_t *page = bench_ram(b) + take(in, 1) % 4 * 4096 + take(in, 1) * 8;
    for (unsigned n = take(in, 1) % 48; n; n--)
        *page++ = take(in, 1);
}

static void connect(struct device *d, struct bytes *in)
{
    uint32_t id = take(in, 1) % 8;
    if (take(in, 1) & 1)
        hv_connect(d, 1 + id % 2, id, take(in, 1), take(in, 1) % 20);
    else
        hv_disconnect(d, id);
}

static void step(struct bench *b, struct device *d, struct bytes *in)
{
    uint8_t what = take(in, 1);
    unsigned cpu = what & 1;
    if (what < 110)
        msr(d, cpu, what & 6, in);
    else if (what < 170)
        call(d, cpu, in);
    else if (what < 200)
        write_ram(b, in);
    else if (what < 215)
        connect(d, in);
    else if (what < 235)
        bench_step(b, take(in, 3) * 10);
    else if (what < 250)
        hv_raise(d, cpu, take(in, 1));
    else
        bench_device(b, "lapic")->ops->lapic->ack(bench_device(b, "lapic"), cpu);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = {data, size};
    struct bench *b = bench_new();
    if (!bench_add_chip(b, chip_find("hyperv"), NULL))
        g_error("no chip");
    bench_reset(b);
    for (unsigned cpu = 0; cpu < BENCH_CPUS; cpu++)
        bench_device(b, "lapic")->ops->lapic->write(bench_device(b, "lapic"), cpu, 0xf0, 0x1ff);
    while (in.left)
        step(b, bench_device(b, "hyperv"), &in);
    if (size && data[size - 1] % 16 == 7) {
        g_autofree char *why = bench_save_load(b);
        if (why)
            g_error("%s", why);
    }
    while (g_main_context_iteration(NULL, FALSE)) /* crashes to be told of, before their machine goes */
        ;
    bench_free(b);
    return 0;
}
