// SPDX-License-Identifier: GPL-2.0-or-later
/* ioapic.c - Intel 82093AA I/O APIC with 24 inputs.  Spec: 82093AA datasheet, order number 290566.
 *
 * Input levels are "asserted or not": the polarity bit is kept but changes nothing, for the board's wires are never
 * inverted.  An edge on a masked pin is lost; a level is seen when the pin is unmasked. */
#include "core-vmm/api/irqchip.h"
#include "devices/all.h"

/* Registers. */
enum { SELECT = 0x00, WINDOW = 0x10 };
enum { REG_ID, REG_VERSION, REG_ARBITRATION, REG_TABLE = 0x10 };
enum { PINS = 24, VERSION = 0x11 | (PINS - 1) << 16, ID_BITS = 0x0f000000 };
enum { LOGICAL = 1 << 11, REMOTE_IRR = 1 << 14, LEVEL = 1 << 15, MASKED = 1 << 16 };
enum { LOW_WRITABLE = 0x1afff, MODE_SHIFT = 8 };
#define HIGH_WRITABLE 0xff000000u

struct pin {
    uint32_t low, high; /* redirection entry */
};

struct ioapic {
    uint32_t id;
    uint8_t select;
    uint32_t levels; /* bit per pin */
    struct pin pin[PINS];
};

static bool send(struct device *d, const struct pin *p)
{
    struct apic_message msg = {
        .destination = p->high >> 24,
        .logical = p->low & LOGICAL,
        .level_assert = true,
        .level_triggered = p->low & LEVEL,
        .mode = p->low >> MODE_SHIFT & 7,
        .vector = p->low,
    };

    return irq_message(d, &msg);
}

/* A level is sent once and then waits for the end of interrupt. */
static void serve_level(struct device *d, unsigned n)
{
    struct ioapic *s = d->state;
    struct pin *p = &s->pin[n];

    if (!(s->levels >> n & 1) || !(p->low & LEVEL) || (p->low & (MASKED | REMOTE_IRR)))
        return;
    p->low |= REMOTE_IRR; /* first: the CPU may be quick */
    if (!send(d, p))
        p->low &= ~REMOTE_IRR;
}

static void ioapic_input(struct device *d, unsigned n, bool level)
{
    struct ioapic *s = d->state;
    uint32_t bit = 1u << n;
    bool rises = level && !(s->levels & bit);

    if (n >= PINS)
        return;
    s->levels = level ? s->levels | bit : s->levels & ~bit;
    if (s->pin[n].low & LEVEL)
        serve_level(d, n);
    else if (rises && !(s->pin[n].low & MASKED))
        send(d, &s->pin[n]);
}

static void ioapic_eoi(struct device *d, uint8_t vector)
{
    struct ioapic *s = d->state;

    for (unsigned n = 0; n < PINS; n++) {
        struct pin *p = &s->pin[n];
        if ((p->low & (LEVEL | REMOTE_IRR)) != (LEVEL | REMOTE_IRR) || (p->low & 0xff) != vector)
            continue;
        p->low &= ~REMOTE_IRR;
        serve_level(d, n);
    }
}

static int ioapic_edge(struct device *d, unsigned n)
{
    const struct ioapic *s = d->state;
    uint32_t low = n < PINS ? s->pin[n].low : MASKED;

    return (low & (MASKED | LEVEL)) || (low >> MODE_SHIFT & 7) > 1 ? EDGE_NOWHERE : (int)(low & 0xff);
}

static uint32_t register_read(struct ioapic *s)
{
    unsigned n = (s->select - REG_TABLE) / 2;

    if (s->select >= REG_TABLE && n < PINS)
        return s->select & 1 ? s->pin[n].high : s->pin[n].low;
    switch (s->select) {
    case REG_ID:
    case REG_ARBITRATION: return s->id;
    case REG_VERSION: return VERSION;
    default: return 0;
    }
}

static void entry_write(struct device *d, unsigned n, bool high, uint32_t value)
{
    struct ioapic *s = d->state;
    struct pin *p = &s->pin[n];

    if (high) {
        p->high = value & HIGH_WRITABLE;
        return;
    }
    p->low = (value & LOW_WRITABLE) | (p->low & REMOTE_IRR);
    if (!(p->low & LEVEL))
        p->low &= ~REMOTE_IRR;
    serve_level(d, n);
}

static uint64_t ioapic_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    struct ioapic *s = d->state;

    switch (offset & 0xfc) {
    case SELECT: return s->select;
    case WINDOW: return register_read(s);
    default: return 0;
    }
}

static void ioapic_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    struct ioapic *s = d->state;
    unsigned n = (s->select - REG_TABLE) / 2;

    if ((offset & 0xfc) == SELECT)
        s->select = value;
    else if ((offset & 0xfc) != WINDOW)
        return;
    else if (s->select == REG_ID)
        s->id = value & ID_BITS;
    else if (s->select >= REG_TABLE && n < PINS)
        entry_write(d, n, s->select & 1, value);
}

static void ioapic_reset(struct device *d)
{
    struct ioapic *s = d->state;

    s->id = 0;
    s->select = 0;
    for (unsigned n = 0; n < PINS; n++)
        s->pin[n] = (struct pin){.low = MASKED};
}

static bool ioapic_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct ioapic *p = d->state;

    stream_u32(s, &p->id);
    stream_u8(s, &p->select);
    stream_u32(s, &p->levels);
    for (unsigned n = 0; n < PINS; n++) {
        stream_u32(s, &p->pin[n].low);
        stream_u32(s, &p->pin[n].high);
    }
    return stream_ok(s);
}

static const struct irqchip_ops plug = {
    .kind = IRQCHIP_IOAPIC, .input = ioapic_input, .eoi = ioapic_eoi, .edge = ioapic_edge};

const struct device_ops ioapic_ops = {
    .name = "ioapic",
    .state_bytes = sizeof(struct ioapic),
    .version = 1,
    .regions = {{.bus = BUS_MEM, .base = 0xfec00000, .bytes = 0x1000, .min_size = 4, .max_size = 4}},
    .reset = ioapic_reset,
    .read = ioapic_read,
    .write = ioapic_write,
    .sync = ioapic_sync,
    .irqchip = &plug,
};
