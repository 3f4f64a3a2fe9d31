// SPDX-License-Identifier: GPL-2.0-or-later
/* Two cascaded 8259A interrupt controllers as a PC has them, one device; with the PIIX's edge/level control registers.
 * Source: Intel 8259A data sheet (231468); 82371SB (PIIX3) data sheet for ELCR.
 *
 * A chip holds requests (IRR), those in service (ISR) and the mask (IMR).  An edge request is latched when its pin rises
 * and stays until it is acknowledged; a pin set to level in ELCR requests as long as it is up.  (The real chip drops an
 * edge request when the pin falls before the acknowledge and then answers with the spurious IRQ 7; sources here may pulse
 * their pin for less than an instruction, so the latch is kept, as every other virtual PC does.)
 * The slave's INT output is pin 2 of the master. */
#include "core-vmm/api/irqchip.h"
#include "devices/all.h"

enum { REGION_MASTER, REGION_SLAVE, REGION_ELCR };
enum { ICW1_ICW4 = 0x01, ICW1_SINGLE = 0x02, ICW1_INIT = 0x10 };
enum { ICW4_AUTO_EOI = 0x02, ICW4_SPECIAL_NESTED = 0x10 };
enum { OCW3_READ_ISR = 0x01, OCW3_READ = 0x02, OCW3_POLL = 0x04, OCW3 = 0x08, OCW3_SMM = 0x20, OCW3_SET_SMM = 0x40 };
enum { OCW2_EOI = 0x20, OCW2_SPECIFIC = 0x40, OCW2_ROTATE = 0x80 };
enum { CASCADE = 2, SPURIOUS = 7 };

struct chip {
    uint8_t latched; /* edges not yet acknowledged */
    uint8_t pins;    /* levels now */
    uint8_t level;   /* ELCR: pins that are level-triggered */
    uint8_t isr, imr, base;
    uint8_t lowest;   /* the pin of lowest priority */
    uint8_t next_icw; /* 0: initialised; 2, 3, 4: which word comes next */
    bool wants_icw4, single, auto_eoi, rotate_auto_eoi, special_nested, special_mask, read_isr, poll;
};
struct pic {
    struct chip master, slave;
    bool output;
};

/* ---- priorities ---- */

static uint8_t requests(const struct chip *c)
{
    return c->latched | (c->pins & c->level);
}

/* The pin with the highest priority among bits; bits != 0. */
static unsigned first(const struct chip *c, uint8_t bits)
{
    unsigned pin = (c->lowest + 1) & 7;
    while (!(bits >> pin & 1))
        pin = (pin + 1) & 7;
    return pin;
}

/* The pin that makes the chip's INT output high, or -1. */
static int winner(const struct chip *c, bool is_master)
{
    uint8_t waiting = requests(c) & ~c->imr;
    uint8_t blocking = c->special_mask ? c->isr & ~c->imr : c->isr;
    if (c->special_nested && is_master)
        blocking &= ~(1u << CASCADE); /* the slave may interrupt itself */
    if (!waiting)
        return -1;
    unsigned pin = first(c, waiting);
    if (!blocking)
        return pin;
    unsigned serving = first(c, blocking);
    return ((pin - c->lowest - 1) & 7) < ((serving - c->lowest - 1) & 7) ? (int)pin : -1;
}

static void set_pin(struct chip *c, unsigned pin, bool up)
{
    uint8_t bit = 1u << pin;
    if (up && !(c->pins & bit) && !(c->level & bit))
        c->latched |= bit;
    c->pins = up ? c->pins | bit : c->pins & ~bit;
}

static void update(struct device *d)
{
    struct pic *p = d->state;
    bool cascade = winner(&p->slave, false) >= 0;
    /* A slave that still has something after its acknowledge keeps the pin up: it must count as a new request. */
    if (cascade)
        p->master.latched |= 1u << CASCADE;
    else
        p->master.latched &= ~(1u << CASCADE);
    bool output = winner(&p->master, true) >= 0;
    if (output != p->output) {
        p->output = output;
        irq_pic_output(d, output);
    }
}

/* Takes the pin into service, as the second INTA pulse does. */
static void serve(struct chip *c, unsigned pin)
{
    c->latched &= ~(1u << pin);
    if (!c->auto_eoi)
        c->isr |= 1u << pin;
    else if (c->rotate_auto_eoi)
        c->lowest = pin;
}

static int pic_ack(struct device *d)
{
    struct pic *p = d->state;
    int pin = winner(&p->master, true), vector = p->master.base + (pin < 0 ? SPURIOUS : pin);
    if (pin >= 0)
        serve(&p->master, pin);
    if (pin == CASCADE) {
        int slave = winner(&p->slave, false);
        if (slave >= 0)
            serve(&p->slave, slave);
        vector = p->slave.base + (slave < 0 ? SPURIOUS : slave);
    }
    update(d);
    return vector;
}

static void pic_input(struct device *d, unsigned pin, bool level)
{
    struct pic *p = d->state;
    if (pin >= 16 || pin == CASCADE)
        return;
    set_pin(pin < 8 ? &p->master : &p->slave, pin & 7, level);
    update(d);
}

static int pic_edge(struct device *d, unsigned pin)
{
    struct pic *p = d->state;
    const struct chip *c = pin < 8 ? &p->master : &p->slave;
    uint8_t bit = 1u << (pin & 7);
    if (c->next_icw || (c->imr | c->level) & bit)
        return EDGE_NOWHERE;
    return c->latched & bit ? EDGE_WAITS : EDGE_TAKEN;
}

/* ---- read ---- */

/* A read after a poll command acknowledges: bit 7 says whether there was a request, bits 0-2 which. */
static uint8_t poll(struct chip *c, bool is_master)
{
    int pin = winner(c, is_master);
    c->poll = false;
    if (pin < 0)
        return 0;
    serve(c, pin);
    return 0x80 | pin;
}

static uint64_t pic_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    struct pic *p = d->state;
    if (region == REGION_ELCR)
        return offset ? p->slave.level : p->master.level;
    struct chip *c = region == REGION_MASTER ? &p->master : &p->slave;
    if (c->poll) {
        uint8_t v = poll(c, region == REGION_MASTER);
        update(d);
        return v;
    }
    return offset ? c->imr : c->read_isr ? c->isr : requests(c);
}

/* ---- write ---- */

static void write_icw1(struct chip *c, uint8_t v)
{
    *c = (struct chip){.pins = c->pins, .level = c->level, .lowest = 7, .base = c->base, .next_icw = 2};
    c->wants_icw4 = v & ICW1_ICW4;
    c->single = v & ICW1_SINGLE;
}

static void write_ocw2(struct chip *c, uint8_t v)
{
    uint8_t serving = c->special_mask ? c->isr & ~c->imr : c->isr;
    unsigned pin = v & OCW2_SPECIFIC ? v & 7u : serving ? first(c, serving) : 8u;
    if (!(v & OCW2_EOI)) {
        if ((v & OCW2_SPECIFIC) && (v & OCW2_ROTATE)) /* set priority; without ROTATE: no operation */
            c->lowest = pin;
        else if (!(v & OCW2_SPECIFIC))
            c->rotate_auto_eoi = v & OCW2_ROTATE;
        return;
    }
    if (pin > 7)
        return;
    c->isr &= ~(1u << pin);
    if (v & OCW2_ROTATE)
        c->lowest = pin;
}

static void write_ocw3(struct chip *c, uint8_t v)
{
    if (v & OCW3_SET_SMM)
        c->special_mask = v & OCW3_SMM;
    if (v & OCW3_POLL)
        c->poll = true;
    else if (v & OCW3_READ)
        c->read_isr = v & OCW3_READ_ISR;
}

static void write_data(struct chip *c, uint8_t v)
{
    switch (c->next_icw) {
    case 0: c->imr = v; break;
    case 2:
        c->base = v & 0xf8;
        c->next_icw = !c->single ? 3 : c->wants_icw4 ? 4 : 0;
        break;
    case 3: c->next_icw = c->wants_icw4 ? 4 : 0; break; /* the cascade's wiring is what it is */
    case 4:
        c->auto_eoi = v & ICW4_AUTO_EOI;
        c->special_nested = v & ICW4_SPECIAL_NESTED;
        c->next_icw = 0;
        break;
    }
}

static void pic_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t v)
{
    struct pic *p = d->state;
    struct chip *c = region == REGION_MASTER ? &p->master : &p->slave;
    if (region == REGION_ELCR && offset)
        p->slave.level = v & 0xde; /* IRQ 8 and 13 are always edge-triggered */
    else if (region == REGION_ELCR)
        p->master.level = v & 0xf8; /* IRQ 0, 1, 2 too */
    else if (offset)
        write_data(c, v);
    else if (v & ICW1_INIT)
        write_icw1(c, v);
    else if (v & OCW3)
        write_ocw3(c, v);
    else
        write_ocw2(c, v);
    update(d);
}

/* ---- reset, sync ---- */

static void pic_reset(struct device *d)
{
    struct pic *p = d->state;
    p->master = (struct chip){.lowest = 7, .pins = p->master.pins, .imr = 0xff};
    p->slave = (struct chip){.lowest = 7, .pins = p->slave.pins, .imr = 0xff};
    update(d);
}

static void chip_sync(struct chip *c, struct stream *s)
{
    stream_u8(s, &c->latched);
    stream_u8(s, &c->pins);
    stream_u8(s, &c->level);
    stream_u8(s, &c->isr);
    stream_u8(s, &c->imr);
    stream_u8(s, &c->base);
    stream_u8(s, &c->lowest);
    stream_u8(s, &c->next_icw);
    bool *flags[] = {&c->wants_icw4,     &c->single,       &c->auto_eoi, &c->rotate_auto_eoi,
                     &c->special_nested, &c->special_mask, &c->read_isr, &c->poll};
    for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++)
        stream_bool(s, flags[i]);
    c->lowest &= 7;
}

static bool pic_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct pic *p = d->state;
    chip_sync(&p->master, s);
    chip_sync(&p->slave, s);
    stream_bool(s, &p->output);
    if (s->loading)
        irq_pic_output(d, p->output);
    return stream_ok(s) && p->master.next_icw <= 4 && p->slave.next_icw <= 4;
}

static const struct irqchip_ops pic_plug = {.kind = IRQCHIP_PIC, .input = pic_input, .ack = pic_ack, .edge = pic_edge};

const struct device_ops i8259_ops = {
    .name = "i8259",
    .state_bytes = sizeof(struct pic),
    .version = 1,
    .regions = {{BUS_PORT, 0x20, 2, 1, 1}, {BUS_PORT, 0xa0, 2, 1, 1}, {BUS_PORT, 0x4d0, 2, 1, 1}},
    .reset = pic_reset,
    .read = pic_read,
    .write = pic_write,
    .sync = pic_sync,
    .irqchip = &pic_plug,
};
