// SPDX-License-Identifier: GPL-2.0-or-later
/* What kvm-unit-tests' x86 programs expect of a test machine, after QEMU's pc-testdev: a 32-bit latch at E0h and a byte
 * one at E8h that can be read and written in any width, E4h (a page whose mapping the host shall touch), ports 2000h-2017h
 * that set interrupt lines to 0 or 1, and 64 KiB of device memory at FF000000h that is reached only by MMIO.  Our own is
 * port 5660h, which changes the CPU's registers and may be used in every ring: IN answers EAX + 1 and inverts the others; OUT
 * puts what is written into EBX; bytes of strings may come many at once.
 * Lines 0-15: the ISA interrupts. */
#include "core-vmm/api/x86_state.h"
#include "devices/all.h"
#include <string.h>

enum { REGION_LATCH, REGION_FLUSH, REGION_BYTES, REGION_LINES, REGION_MEMORY, REGION_CALL };
enum { ISA_LINES = 16, MEMORY_BYTES = 65536 };

struct testdev {
    uint8_t latch[4], bytes[4];
    uint16_t lines;
    uint8_t memory[MEMORY_BYTES];
};

/* The bytes of a region, or NULL. */
static uint8_t *storage(struct testdev *t, unsigned region)
{
    return region == REGION_LATCH    ? t->latch
           : region == REGION_BYTES  ? t->bytes
           : region == REGION_MEMORY ? t->memory
                                     : NULL;
}

static uint64_t testdev_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    const uint8_t *from = storage(d->state, region);
    uint64_t v = 0;
    if (from && offset + size <= d->ops->regions[region].bytes)
        memcpy(&v, from + offset, size);
    return v;
}

/* Guest memory here never moves, so that "flush", which makes the host drop and map a page again, has only the machine's
 * memory to touch: a read of it. */
static void flush(struct device *d, uint64_t gpa)
{
    volatile uint8_t *page = dev_dma(d, gpa & ~0xfffull, 1, false);
    if (page)
        (void)*page;
}

static void testdev_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t v)
{
    struct testdev *t = d->state;
    uint8_t *to = storage(t, region);
    if (to && offset + size <= d->ops->regions[region].bytes) {
        memcpy(to + offset, &v, size);
    } else if (region == REGION_LINES && offset < ISA_LINES) {
        t->lines = v ? t->lines | 1u << offset : t->lines & ~(1u << offset);
        dev_irq(d, offset, v != 0);
    } else if (region == REGION_FLUSH) {
        flush(d, v);
    }
}

static void call_one(struct port_call *p)
{
    if (!p->in) {
        p->gpr[X86_RBX] = p->value;
        return;
    }
    p->value = p->gpr[X86_RAX] + 1;
    for (unsigned n = 0; n < G_N_ELEMENTS(p->gpr); n++)
        p->gpr[n] = ~p->gpr[n];
}

static void testdev_port_call(struct device *d, struct port_call *p)
{
    if (!p->bytes)
        call_one(p);
    for (uint32_t i = 0; p->bytes && i < p->count; i++) {
        p->value = p->bytes[i];
        call_one(p);
        p->bytes[i] = p->in ? p->value : p->bytes[i];
    }
}

static void testdev_reset(struct device *d)
{
    memset(d->state, 0, sizeof(struct testdev));
}

static bool testdev_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct testdev *t = d->state;
    stream_raw(s, t->latch, sizeof t->latch);
    stream_raw(s, t->bytes, sizeof t->bytes);
    stream_u16(s, &t->lines);
    stream_raw(s, t->memory, sizeof t->memory);
    for (unsigned i = 0; s->loading && i < ISA_LINES; i++)
        dev_irq(d, i, t->lines >> i & 1);
    return stream_ok(s);
}

const struct device_ops testdev_ops = {
    .name = "testdev",
    .state_bytes = sizeof(struct testdev),
    .version = 1,
    .regions = {{BUS_PORT, 0xe0, 4, 1, 4},
                {BUS_PORT, 0xe4, 4, 1, 4},
                {BUS_PORT, 0xe8, 1, 1, 1},
                {BUS_PORT, 0x2000, 24, 1, 4},
                {BUS_MEM, 0xff000000, MEMORY_BYTES, 1, 8},
                {BUS_PORT, 0x5660, 4, 1, 4, .registers = true, .strings = true, .any_ring = true}},
    .reset = testdev_reset,
    .read = testdev_read,
    .write = testdev_write,
    .port_call = testdev_port_call,
    .sync = testdev_sync,
};
