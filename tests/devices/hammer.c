// SPDX-License-Identifier: GPL-2.0-or-later
/* hammer.c - a device under bytes from a fuzzer: accesses, PCI configuration, time. */
#include "tests/devices/hammer.h"
#include "core-vmm/api/input.h"
#include "core-vmm/machine/display.h"
#include <string.h>

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

/* Mostly small or round numbers: they are what registers are made of. */
static uint64_t take_value(struct bytes *in, unsigned size)
{
    uint64_t v = take(in, 1);
    return v & 0x80 ? take(in, size) : (v & 0x40 ? ~0ull << (v & 63) : v);
}

static void access_region(struct bench *b, struct device *d, struct bytes *in, bool write)
{
    uint8_t pick = take(in, 1);
    unsigned size = 1u << (pick >> 6), region = (pick & 63) % DEV_REGIONS;
    const struct region *r = &d->ops->regions[region];
    uint64_t base, offset = r->bytes > 256 ? take(in, 4) : take(in, 1);
    if (!r->bytes || !bench_region(d, region, &base))
        return;
    base += offset % r->bytes;
    if (r->bus == BUS_PORT)
        size = MIN(size, 4);
    if (write)
        (r->bus == BUS_PORT ? bench_out : bench_store)(b, base, size, take_value(in, size));
    else
        (r->bus == BUS_PORT ? bench_in : bench_load)(b, base, size);
}

static void pci_access(struct device *d, struct bytes *in)
{
    unsigned offset = take(in, 1), size = 1u << (take(in, 1) % 3);
    if (d->ops->pci)
        bench_pci_write(d, offset, size, take_value(in, size));
}

/* Puts descriptors, tables and packets where DMA may find them. */
static void fill_memory(struct bench *b, struct bytes *in)
{
    uint32_t at = take(in, 3) & (BENCH_RAM - 1), wanted = take(in, 1) & 31, n = MIN(wanted, BENCH_RAM - at);
    for (uint32_t i = 0; i < n; i++)
        bench_ram(b)[at + i] = take(in, 1);
}

static void look(struct bench *b)
{
    display_refresh_now(bench_display(b));
    g_free(display_text(bench_display(b)));
}

/* A frame, mostly for everybody, and now and then a cable that is pulled. */
static void network(struct device *d, const uint8_t *bytes, struct bytes *in)
{
    uint8_t frame[2048] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    for (unsigned i = bytes[0] & 1 ? 0 : 6; i < 64; i++)
        frame[i] = take(in, 1);
    bench_deliver(d, frame, (bytes[1] | bytes[2] << 8) % sizeof frame);
    bench_cable(d, bytes[3] < 240);
    bench_cable_can(d, bytes[3] & (NET_CHECKSUM | NET_TSO4 | NET_TSO6));
    for (GBytes *b; (b = bench_frame_sent(d, NULL));)
        g_bytes_unref(b);
}

static void outside(struct bench *b, struct device *d, struct bytes *in)
{
    uint8_t bytes[4] = {take(in, 1), take(in, 1), take(in, 1), take(in, 1)};
    bench_char_send(d, bytes, sizeof bytes);
    network(d, bytes, in);
    static const char *const sections[] = {"floppy0", "floppy1", "ide0",  "ide2", "sata0",
                                           "sata2",   "scsi0",   "scsi2", "scsi5"};
    const char *section = sections[bytes[0] % G_N_ELEMENTS(sections)];
    struct drive *v = bench_drive(b, section);
    if (v && bytes[1] < 8)
        bench_drive_fail(b, v, 5);
    else if (v && bytes[1] < 24)
        bench_drive_insert(b, section, bytes[2] & 1 ? "pattern:1440K" : bytes[2] & 2 ? "pattern:360K" : NULL);
    if (bench_display(b))
        look(b);
}

char *hammer(struct bench *b, struct device *d, const uint8_t *data, size_t n)
{
    struct bytes in = {data, n};
    uint64_t budget = 100000000000; /* ns of guest time */
    while (in.left) {
        uint8_t what = take(&in, 1);
        uint64_t ns = what < 230 ? 0 : take(&in, 1) << (take(&in, 1) % 24);
        if (what < 110)
            access_region(b, d, &in, true);
        else if (what < 210)
            access_region(b, d, &in, false);
        else if (what < 222)
            pci_access(d, &in);
        else if (what < 226)
            fill_memory(b, &in);
        else if (what < 230)
            outside(b, d, &in);
        else if (what < 250)
            bench_step(b, MIN(ns, budget)), budget -= MIN(ns, budget);
        else if (what == 250)
            bench_reset(b);
        else if (what == 251) {
            const char *name = d->name;
            char *why = bench_save_load(b);
            if (why)
                return why;
            d = bench_device(b, name);
        }
        for (char *e; (e = bench_event(b));)
            g_free(e);
    }
    return NULL;
}
