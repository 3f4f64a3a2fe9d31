// SPDX-License-Identifier: GPL-2.0-or-later
/* hpet.c - high precision event timers: a counter of 10 ns and three comparators.  Spec: IA-PC HPET, revision 1.0a.
 *
 * Nothing counts: the counter follows from the time.  A comparator that may interrupt has a timer set for its next match.  An
 * edge-triggered interrupt's line stays up until the next match, so that no controller misses it.
 * Lines 0 and 8: ISA IRQ 0 and 8, of comparators 0 and 1 with "legacy replacement", which takes these from the 8254 and the
 * real-time clock; lines 20-23: pins of the I/O APIC that nothing else uses.  There is no delivery by message (FSB).
 *
 * Periodic comparators cost the guest nothing, so the chip has one limit for the host's sake: 50000 interrupts a second, in equal
 * shares for those that may interrupt.  Faster ones match all the same; line 0 hears of all the matches since, the others of one. */
#include "core-vmm/api/irqchip.h"
#include "core-vmm/api/platform.h"
#include "core-vmm/base/bytes.h"
#include "devices/all.h"
#include <string.h>

enum { TIMERS = 3, NS_PER_TICK = 10, FS_PER_TICK = 10000000 };
enum {
    SHORTEST = 2000 /* ticks between two interrupts of periodic comparators */
};
/* Registers, all of 64 bits. */
enum { CAPABILITIES = 0x000, CONFIG = 0x010, STATUS = 0x020, COUNTER = 0x0f0, TIMER_0 = 0x100, TIMER_BYTES = 0x20 };
enum { T_CONFIG = 0, T_COMPARATOR = 8 };
enum { ENABLE = 1, LEGACY = 2 };
enum {
    LEVEL = 1 << 1,
    INTERRUPT = 1 << 2,
    PERIODIC = 1 << 3,
    CAN_PERIODIC = 1 << 4,
    CAN_64 = 1 << 5,
    SET_VALUE = 1 << 6
};
enum { ONLY_32 = 1 << 8, ROUTE_SHIFT = 9, ROUTE = 31 << ROUTE_SHIFT };
enum { WRITABLE = LEVEL | INTERRUPT | PERIODIC | SET_VALUE | ONLY_32 | ROUTE };
#define ROUTES 0x00f00000u /* pins 20 to 23 */

struct hpet {
    uint8_t config, status;
    uint64_t held;   /* the counter while it stands */
    uint64_t origin; /* the tick of guest time at which it was 0, while it runs: modulo 2^64 */
    struct comparator {
        uint32_t config;
        uint64_t value, period;
    } timer[TIMERS];
};

static uint64_t counter(struct device *d)
{
    const struct hpet *s = d->state;
    return s->config & ENABLE ? dev_now(d) / NS_PER_TICK - s->origin : s->held;
}

static uint64_t width(const struct comparator *t)
{
    return t->config & ONLY_32 ? UINT32_MAX : UINT64_MAX;
}

/* ---- interrupts ---- */

/* -1: it has none. */
static int line_of(const struct hpet *s, unsigned n)
{
    unsigned route = (s->timer[n].config & ROUTE) >> ROUTE_SHIFT;
    if (s->config & LEGACY && n < 2)
        return n ? 8 : 0;
    return ROUTES >> route & 1 ? (int)route : -1;
}

static bool may_interrupt(const struct hpet *s, unsigned n)
{
    return s->config & ENABLE && s->timer[n].config & INTERRUPT && line_of(s, n) >= 0;
}

static void update_levels(struct device *d)
{
    const struct hpet *s = d->state;
    for (unsigned line = 0; line < 24; line++) {
        bool edge = false, level = false;
        for (unsigned n = 0; n < TIMERS; n++) {
            if (!may_interrupt(s, n) || line_of(s, n) != (int)line)
                continue;
            edge = edge || !(s->timer[n].config & LEVEL);
            level = level || (s->timer[n].config & LEVEL && s->status >> n & 1);
        }
        if (!edge) /* else it is where its last match has left it */
            dev_irq(d, line, level);
    }
}

/* It matched so many times. */
static void interrupt(struct device *d, unsigned n, uint64_t times)
{
    struct hpet *s = d->state;
    int line = line_of(s, n);
    if (s->timer[n].config & LEVEL)
        s->status |= 1 << n;
    if (s->timer[n].config & LEVEL || !may_interrupt(s, n)) {
        update_levels(d);
        return;
    }
    dev_irq(d, line, false);
    if (line == 0)
        dev_irq_ticks(d, times);
    else
        dev_irq(d, line, true);
}

/* ---- matches ---- */

static void due_0(struct device *d);
static void due_1(struct device *d);
static void due_2(struct device *d);

/* One that runs without interrupting has no timer: its next match is found when somebody wants to know. */
static uint64_t catch_up(struct device *d, struct comparator *t)
{
    uint64_t behind = (counter(d) - t->value) & width(t), times = 0;
    if (t->config & PERIODIC && t->period && behind <= width(t) / 2) {
        times = behind / t->period + 1;
        t->value = (t->value + times * t->period) & width(t);
    }
    return times;
}

static bool is_periodic(const struct hpet *s, unsigned n)
{
    return s->timer[n].config & PERIODIC && may_interrupt(s, n);
}

/* The fewest ticks from one periodic interrupt of a comparator to its next. */
static uint64_t shortest(const struct hpet *s)
{
    uint64_t ticks = 0;
    for (unsigned n = 0; n < TIMERS; n++)
        ticks += is_periodic(s, n) ? SHORTEST : 0;
    return ticks;
}

/* One that is at its value now has just matched. */
static void arm(struct device *d, unsigned n)
{
    static void (*const due[TIMERS])(struct device * d) = {due_0, due_1, due_2};
    struct hpet *s = d->state;
    const struct comparator *t = &s->timer[n];
    uint64_t ticks = ((t->value - counter(d) - 1) & width(t)), at = DEV_NEVER;
    if (is_periodic(s, n))
        ticks = MAX(ticks, shortest(s) - 1);
    if (may_interrupt(s, n) && ticks < UINT64_MAX / NS_PER_TICK / 4)
        at = (dev_now(d) / NS_PER_TICK + ticks + 1) * NS_PER_TICK;
    dev_timer(d, n, at, due[n]);
}

static void arm_all(struct device *d)
{
    for (unsigned n = 0; n < TIMERS; n++)
        arm(d, n);
}

static void matched(struct device *d, unsigned n)
{
    struct hpet *s = d->state;
    struct comparator *t = &s->timer[n];
    uint64_t times = catch_up(d, t);
    interrupt(d, n, times ? times : 1);
    arm(d, n);
}

static void due_0(struct device *d)
{
    matched(d, 0);
}

static void due_1(struct device *d)
{
    matched(d, 1);
}

static void due_2(struct device *d)
{
    matched(d, 2);
}

/* ---- read ---- */

static uint64_t timer_register(const struct comparator *t, unsigned at)
{
    switch (at) {
    case T_CONFIG: return t->config | CAN_PERIODIC | CAN_64 | (uint64_t)ROUTES << 32;
    case T_COMPARATOR: return t->value;
    default: return 0;
    }
}

static uint64_t whole_register(struct device *d, unsigned at)
{
    const struct hpet *s = d->state;
    switch (at) {
    case CAPABILITIES: return HPET_ID | (uint64_t)FS_PER_TICK << 32;
    case CONFIG: return s->config;
    case STATUS: return s->status;
    case COUNTER: return counter(d);
    default: break;
    }
    unsigned n = (at - TIMER_0) / TIMER_BYTES;
    return at >= TIMER_0 && n < TIMERS ? timer_register(&s->timer[n], (at - TIMER_0) % TIMER_BYTES) : 0;
}

static uint64_t hpet_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    return whole_register(d, offset & ~7u) >> (offset & 7) * 8;
}

/* ---- write ---- */

static void config_write(struct device *d, uint8_t value)
{
    struct hpet *s = d->state;
    uint64_t now = counter(d);
    bool ran = s->config & ENABLE;
    s->config = value & (ENABLE | LEGACY);
    if (!ran && s->config & ENABLE)
        s->origin = dev_now(d) / NS_PER_TICK - s->held;
    else if (ran && !(s->config & ENABLE))
        s->held = now;
    irq_legacy(d, s->config & LEGACY);
    for (unsigned n = 0; n < TIMERS; n++)
        if (s->config & ENABLE)
            catch_up(d, &s->timer[n]);
    update_levels(d);
    arm_all(d);
}

static void comparator_write(struct comparator *t, uint64_t value)
{
    value &= width(t);
    if (!(t->config & PERIODIC) || t->config & SET_VALUE)
        t->value = value;
    if (t->config & PERIODIC)
        t->period = value;
    t->config &= ~SET_VALUE;
}

static void timer_write(struct device *d, unsigned n, unsigned at, uint64_t value)
{
    struct hpet *s = d->state;
    struct comparator *t = &s->timer[n];
    if (at == T_CONFIG) {
        t->config = value & WRITABLE;
        t->value &= width(t);
        t->period &= width(t);
        if (!(t->config & LEVEL))
            s->status &= ~(1 << n);
        catch_up(d, t);
        update_levels(d);
    } else if (at == T_COMPARATOR) {
        comparator_write(t, value);
    }
    arm(d, n);
}

/* What a write leaves of the register as it was. */
static uint64_t merged(uint64_t old, unsigned shift, unsigned size, uint64_t value)
{
    uint64_t mask = size >= 8 ? UINT64_MAX : UINT32_MAX;
    return (old & ~(mask << shift)) | (value & mask) << shift;
}

static void hpet_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    struct hpet *s = d->state;
    unsigned at = offset & ~7u, shift = (offset & 7) * 8, n = (at - TIMER_0) / TIMER_BYTES;
    if (at == CONFIG && !shift) {
        config_write(d, value);
    } else if (at == STATUS && !shift) {
        s->status &= ~value;
        update_levels(d);
    } else if (at == COUNTER && !(s->config & ENABLE)) {
        s->held = merged(s->held, shift, size, value);
    } else if (at >= TIMER_0 && n < TIMERS) {
        unsigned r = (at - TIMER_0) % TIMER_BYTES;
        const struct comparator *t = &s->timer[n];
        uint64_t old =
            r == T_COMPARATOR && t->config & PERIODIC && !(t->config & SET_VALUE) ? t->period : timer_register(t, r);
        timer_write(d, n, r, merged(old, shift, size, value));
    }
}

/* ---- reset, sync ---- */

static void hpet_reset(struct device *d)
{
    struct hpet *s = d->state;
    memset(s, 0, sizeof *s);
    for (unsigned n = 0; n < TIMERS; n++)
        s->timer[n].value = UINT64_MAX;
    irq_legacy(d, false);
}

static bool hpet_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct hpet *h = d->state;
    stream_u8(s, &h->config);
    stream_u8(s, &h->status);
    stream_u64(s, &h->held);
    stream_u64(s, &h->origin);
    for (unsigned n = 0; n < TIMERS; n++) {
        stream_u32(s, &h->timer[n].config);
        stream_u64(s, &h->timer[n].value);
        stream_u64(s, &h->timer[n].period);
    }
    if (!s->loading || !stream_ok(s))
        return stream_ok(s);
    bool good = !(h->config & ~(ENABLE | LEGACY)) && !(h->status >> TIMERS);
    for (unsigned n = 0; n < TIMERS; n++)
        good = good && !(h->timer[n].config & ~WRITABLE);
    if (!good) {
        memset(h, 0, sizeof *h);
        return false;
    }
    irq_legacy(d, h->config & LEGACY);
    arm_all(d);
    return true;
}

const struct device_ops hpet_ops = {
    .name = "hpet",
    .state_bytes = sizeof(struct hpet),
    .version = 1,
    .regions = {{BUS_MEM, .base = HPET_BASE, .bytes = 0x400, .min_size = 4, .max_size = 8}},
    .reset = hpet_reset,
    .read = hpet_read,
    .write = hpet_write,
    .sync = hpet_sync,
};
