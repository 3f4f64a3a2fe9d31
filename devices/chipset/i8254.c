// SPDX-License-Identifier: GPL-2.0-or-later
/* The 8254 programmable interval timer and port 61h, which drives its third gate, the speaker and NMI masks.
 * Source: Intel 8254 data sheet (231164); 82371SB (PIIX3) data sheet, "NMI Status and Control Register".
 *
 * Nothing counts.  A channel remembers at which tick its counting element was loaded and with how much; what a reader
 * sees and how OUT stands follow from the time.  Only channel 0 is wired to an interrupt, so only it has a timer, set for
 * its next change of OUT.  Line 0: OUT 0 = IRQ 0.
 * One tick is 88000/105 ns: the input clock is 105/88 MHz, a twelfth of the 14.31818 MHz crystal. */
#include "core-vmm/api/platform.h"
#include "devices/all.h"
#include "devices/chipset/i8254.h"

enum { REGION_TIMER, REGION_PORT61 };
enum { GATE2 = 1, SPEAKER = 2, PORT61_KEPT = 0x0f, PORT61_REFRESH = 0x10, PORT61_OUT2 = 0x20 };
enum { RW_LATCH, RW_LOW, RW_HIGH, RW_BOTH };
enum { REFRESH_NS = 15085 };
enum { SHORTEST = 24 /* ticks between two interrupts: a guest cannot make the host serve more than 50000 a second */ };

enum phase {
    IDLE,    /* a control word came, no count (or, modes 1 and 5, no trigger) yet */
    RUNNING, /* counts since origin */
    HELD,    /* the gate is closed, `held` ticks had been counted */
};
struct channel {
    uint8_t mode, rw, bcd, gate;
    uint8_t phase;
    bool pending;    /* a written count waits: "null count" */
    bool write_high; /* RW_BOTH: the high byte comes next */
    bool read_high;  /* RW_BOTH: the same for reading */
    uint8_t low;     /* the low byte written */
    uint8_t latched; /* bytes of the latched count not yet read */
    bool status_latched;
    uint8_t status;
    uint16_t latch;
    uint32_t period, next; /* 1 to 65536 (10000 in BCD): in use, and waiting to be loaded */
    uint64_t origin;       /* the tick when `period` was loaded */
    uint64_t load_at;      /* the tick when `next` will be, if pending while RUNNING */
    uint64_t held;
};
struct pit {
    struct channel channel[3];
    uint8_t port61;
    uint64_t due; /* the tick that the timer is set to */
    void (*speaker)(void *ctx, uint64_t now_ns, const struct i8254_wave *wave);
    void *speaker_ctx;
};

/* ---- time ---- */

static uint64_t now_ticks(struct device *d)
{
    return (unsigned __int128)dev_now(d) * 105 / 88000;
}

static uint64_t ticks_to_ns(uint64_t ticks)
{
    unsigned __int128 ns = ((unsigned __int128)ticks * 88000 + 104) / 105;
    return ns >= DEV_NEVER ? DEV_NEVER - 1 : ns;
}

/* ---- one channel ---- */

static uint32_t wrap(const struct channel *c)
{
    return c->bcd ? 10000 : 65536;
}

static bool periodic(const struct channel *c)
{
    return c->mode == 2 || c->mode == 3;
}

/* Mode 3: how long OUT stays high; odd counts give the high half the extra tick. */
static uint32_t high_half(const struct channel *c)
{
    return (c->period + 1) / 2;
}

static void load(struct channel *c, uint64_t at)
{
    c->period = c->next;
    c->origin = at;
    c->pending = false;
    c->phase = RUNNING;
}

/* Brings a periodic channel whose new count was due up to date. */
static void settle(struct channel *c, uint64_t now)
{
    if (c->phase != RUNNING || !c->pending || !periodic(c) || now < c->load_at)
        return;
    bool at_half = c->mode == 3 && (c->load_at - c->origin) % c->period != 0;
    uint64_t at = c->load_at;
    load(c, at);
    if (at_half) /* loaded between the halves: the low one comes now */
        c->origin = at > high_half(c) ? at - high_half(c) : 0;
}

static uint64_t elapsed(const struct channel *c, uint64_t now)
{
    return c->phase == HELD ? c->held : now > c->origin ? now - c->origin : 0;
}

/* OUT; settled. */
static bool output(const struct channel *c, uint64_t now)
{
    bool loaded = c->phase != IDLE && (c->phase == HELD || now >= c->origin);
    uint64_t t = elapsed(c, now);
    switch (c->mode) {
    case 0: return loaded && t >= c->period;
    case 1: return !loaded || t >= c->period;
    case 2: return !loaded || c->phase == HELD || t % c->period != c->period - 1 || c->period == 1;
    case 3: return !loaded || c->phase == HELD || t % c->period < high_half(c);
    default: return !loaded || t != c->period;
    }
}

/* The counting element as a binary number, 0 to wrap - 1; settled. */
static uint32_t count(const struct channel *c, uint64_t now)
{
    uint64_t t = elapsed(c, now);
    if (c->mode == 2)
        return (c->period - t % c->period) % wrap(c);
    if (c->mode == 3) {
        uint32_t into = t % c->period, half = high_half(c);
        into = into < half ? into : into - half;
        return ((c->period & ~1u) - 2 * into) % wrap(c);
    }
    return (c->period + wrap(c) - t % wrap(c)) % wrap(c);
}

/* Mode 2 holds OUT low for one tick (0.8 us) only; two timers a period would be a waste, so the interrupt line falls and
 * rises at once, and rests high. */
static bool pulses(const struct channel *c)
{
    return c->mode == 2 || (c->mode == 3 && c->period < SHORTEST);
}

/* Ticks between two interrupts. */
static uint32_t pulse_step(const struct channel *c)
{
    return c->period < SHORTEST ? c->period * (SHORTEST / c->period + 1) : c->period;
}

/* The next tick after now at which OUT may change, or DEV_NEVER; settled. */
static uint64_t next_edge(const struct channel *c, uint64_t now)
{
    if (c->phase != RUNNING)
        return DEV_NEVER;
    uint64_t t = elapsed(c, now), rounds = t / c->period;
    if (pulses(c)) {
        uint64_t edge = c->origin + (t / pulse_step(c) + 1) * pulse_step(c);
        return c->pending ? MIN(edge, c->load_at) : edge;
    }
    if (c->mode == 3) {
        uint64_t half = c->origin + rounds * c->period + high_half(c);
        return now < half ? half : c->origin + (rounds + 1) * c->period;
    }
    if (t < c->period)
        return c->origin + c->period;
    return c->mode >= 4 && t == c->period ? c->origin + c->period + 1 : DEV_NEVER;
}

static uint16_t to_bcd(uint32_t v)
{
    return v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 % 10 << 12;
}

static uint32_t from_written(const struct channel *c, uint16_t v)
{
    uint32_t n = v;
    if (c->bcd)
        n = (v & 15) + (v >> 4 & 15) * 10 + (v >> 8 & 15) * 100 + (v >> 12) * 1000;
    return n ? MIN(n, wrap(c)) : wrap(c);
}

/* ---- the channel-0 interrupt ---- */

static void timer_due(struct device *d);

static void update_irq(struct device *d)
{
    struct pit *p = d->state;
    struct channel *c = &p->channel[0];
    uint64_t now = now_ticks(d);
    settle(c, now);
    dev_irq(d, 0, pulses(c) || output(c, now));
    p->due = next_edge(c, now);
    dev_timer(d, 0, p->due == DEV_NEVER ? DEV_NEVER : ticks_to_ns(p->due), timer_due);
}

/* How often OUT of a periodic channel has risen since the timer was due, that time included. */
static uint64_t rises(const struct channel *c, uint64_t due, uint64_t now)
{
    uint64_t step = pulses(c) ? pulse_step(c) : c->period;
    if (c->phase != RUNNING || !periodic(c) || due <= c->origin || now < due)
        return 0;
    return (now - c->origin) / step - (due - 1 - c->origin) / step;
}

static void timer_due(struct device *d)
{
    struct pit *p = d->state;
    struct channel *c = &p->channel[0];
    uint64_t now = now_ticks(d), n = rises(c, p->due, c->pending ? MIN(now, c->load_at) : now);
    if (n) {
        dev_irq(d, 0, false);
        dev_irq_ticks(d, n);
    }
    update_irq(d);
}

/* ---- the speaker ---- */

void i8254_on_speaker(struct device *pit, void (*changed)(void *ctx, uint64_t now_ns, const struct i8254_wave *wave),
                      void *ctx)
{
    struct pit *p = pit->state;
    p->speaker = changed;
    p->speaker_ctx = ctx;
}

/* A new count of a wave that runs is heard at once, not when this half of it is over. */
static struct i8254_wave wave_of(const struct pit *p, uint64_t now)
{
    const struct channel *c = &p->channel[2];
    bool level = output(c, now);
    if (!(p->port61 & SPEAKER))
        return (struct i8254_wave){0};
    if (c->mode == 3 && c->phase == RUNNING)
        return (struct i8254_wave){.edge = c->origin, .period = c->next, .high = (c->next + 1) / 2};
    if (c->mode < 2 && c->phase == RUNNING && elapsed(c, now) < c->period)
        return (struct i8254_wave){.level = level, .after = true, .edge = c->origin + c->period};
    return (struct i8254_wave){.level = level, .after = level};
}

static void tell_speaker(struct device *d, uint64_t now)
{
    const struct pit *p = d->state;
    if (!p->speaker)
        return;
    const struct i8254_wave wave = wave_of(p, now);
    p->speaker(p->speaker_ctx, dev_now(d), &wave);
}

/* ---- gates and counts ---- */

static void set_gate(struct channel *c, bool open, uint64_t now)
{
    bool rises = open && !c->gate, falls = !open && c->gate;
    settle(c, now);
    c->gate = open;
    if (falls && c->phase == RUNNING && c->mode != 1 && c->mode != 5) {
        c->held = elapsed(c, now);
        c->phase = HELD;
    } else if (rises && periodic(c) && c->phase == HELD) {
        load(c, now + 1);
    } else if (rises && c->phase == HELD) {
        c->origin = now > c->held ? now - c->held : 0;
        c->phase = RUNNING;
    } else if (rises && (c->mode == 1 || c->mode == 5) && (c->pending || c->phase == RUNNING)) {
        load(c, now + 1); /* the trigger */
    }
}

static void new_count(struct channel *c, uint16_t written, uint64_t now)
{
    settle(c, now);
    c->next = from_written(c, written);
    if (c->mode == 1 || c->mode == 5) {
        c->pending = true; /* until the trigger */
    } else if (periodic(c) && c->phase == RUNNING && now >= c->origin) {
        c->pending = true; /* until this period (mode 3: half) is over */
        uint64_t t = elapsed(c, now) % c->period;
        c->load_at = now - t + (c->mode == 3 && t < high_half(c) ? high_half(c) : c->period);
    } else {
        load(c, now + 1);
        if (!c->gate) {
            c->phase = HELD;
            c->held = 0;
        }
    }
}

static void latch_count(struct channel *c, uint64_t now)
{
    if (c->latched)
        return;
    uint32_t v = count(c, now);
    c->latch = c->bcd ? to_bcd(v) : v;
    c->latched = c->rw == RW_BOTH ? 2 : 1;
}

static void latch_status(struct channel *c, uint64_t now)
{
    if (c->status_latched)
        return;
    bool null = c->pending || c->phase == IDLE || (c->phase == RUNNING && now < c->origin);
    c->status = output(c, now) << 7 | null << 6 | c->rw << 4 | c->mode << 1 | c->bcd;
    c->status_latched = true;
}

/* ---- read ---- */

static uint8_t read_counter(struct channel *c, uint64_t now)
{
    settle(c, now);
    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    bool high = c->rw == RW_HIGH || (c->rw == RW_BOTH && c->read_high);
    if (c->rw == RW_BOTH)
        c->read_high = !c->read_high;
    uint16_t v = c->latch;
    if (c->latched) {
        c->latched--;
    } else {
        uint32_t n = count(c, now);
        v = c->bcd ? to_bcd(n) : n;
    }
    return high ? v >> 8 : v;
}

static uint64_t pit_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    struct pit *p = d->state;
    uint64_t now = now_ticks(d);
    if (region == REGION_TIMER)
        return offset < 3 ? read_counter(&p->channel[offset], now) : 0xff;
    settle(&p->channel[2], now);
    return p->port61 | (dev_now(d) / REFRESH_NS & 1 ? PORT61_REFRESH : 0) |
           (output(&p->channel[2], now) ? PORT61_OUT2 : 0);
}

/* ---- write ---- */

static void read_back(struct pit *p, uint8_t v, uint64_t now)
{
    for (unsigned i = 0; i < 3; i++) {
        if (!(v >> (i + 1) & 1))
            continue;
        settle(&p->channel[i], now);
        if (!(v & 0x20))
            latch_count(&p->channel[i], now);
        if (!(v & 0x10))
            latch_status(&p->channel[i], now);
    }
}

static void write_control(struct pit *p, uint8_t v, uint64_t now)
{
    if (v >> 6 == 3) {
        read_back(p, v, now);
        return;
    }
    struct channel *c = &p->channel[v >> 6];
    settle(c, now);
    if ((v >> 4 & 3) == RW_LATCH) {
        latch_count(c, now);
        return;
    }
    unsigned mode = v >> 1 & 7;
    *c = (struct channel){.mode = mode > 5 ? mode - 4 : mode, /* 6 and 7 are 2 and 3 */
                          .rw = v >> 4 & 3,
                          .bcd = v & 1,
                          .gate = c->gate,
                          .phase = IDLE,
                          .period = 65536,
                          .next = 65536};
}

static void write_counter(struct channel *c, uint8_t v, uint64_t now)
{
    settle(c, now);
    if (c->rw == RW_BOTH && !c->write_high) {
        c->low = v;
        c->write_high = true;
        if (c->mode == 0) /* the first byte stops it and OUT goes low */
            c->phase = IDLE;
        return;
    }
    c->write_high = false;
    new_count(c, c->rw == RW_LOW ? v : c->rw == RW_HIGH ? v << 8 : v << 8 | c->low, now);
}

static void pit_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t v)
{
    struct pit *p = d->state;
    uint64_t now = now_ticks(d);
    if (region == REGION_PORT61) {
        p->port61 = v & PORT61_KEPT;
        set_gate(&p->channel[2], v & GATE2, now);
        tell_speaker(d, now);
        return;
    }
    if (offset == 3)
        write_control(p, v, now);
    else
        write_counter(&p->channel[offset], v, now);
    if (offset == 0 || (offset == 3 && v >> 6 == 0))
        update_irq(d);
    if (offset == 2 || (offset == 3 && v >> 6 == 2))
        tell_speaker(d, now);
}

/* ---- reset, sync ---- */

/* The chip itself has no reset; a PC's power-on leaves the state undefined.  OUT 0 rests. */
static void pit_reset(struct device *d)
{
    struct pit *p = d->state;
    *p = (struct pit){.speaker = p->speaker, .speaker_ctx = p->speaker_ctx};
    for (unsigned i = 0; i < 3; i++)
        p->channel[i] = (struct channel){.rw = RW_BOTH, .gate = i != 2, .period = 65536, .next = 65536};
    update_irq(d);
    tell_speaker(d, now_ticks(d));
}

static void channel_sync(struct channel *c, struct stream *s, uint64_t now)
{
    uint8_t *small[] = {&c->mode, &c->rw, &c->bcd, &c->gate, &c->phase, &c->low, &c->latched, &c->status};
    for (unsigned i = 0; i < G_N_ELEMENTS(small); i++)
        stream_u8(s, small[i]);
    bool *flags[] = {&c->pending, &c->write_high, &c->read_high, &c->status_latched};
    for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++)
        stream_bool(s, flags[i]);
    stream_u16(s, &c->latch);
    stream_check_u32(s, &c->period, 65536);
    stream_check_u32(s, &c->next, 65536);
    stream_u64(s, &c->origin);
    stream_u64(s, &c->load_at);
    stream_u64(s, &c->held);
    if (c->mode > 5 || c->rw > 3 || c->bcd > 1 || c->gate > 1 || c->phase > HELD || !c->period || !c->next ||
        c->latched > 2 || c->origin > now + 1)
        s->failed = true;
}

static bool pit_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct pit *p = d->state;
    for (unsigned i = 0; i < 3; i++)
        settle(&p->channel[i], now_ticks(d));
    for (unsigned i = 0; i < 3; i++)
        channel_sync(&p->channel[i], s, now_ticks(d));
    stream_u8(s, &p->port61);
    if (!stream_ok(s))
        return false;
    if (s->loading)
        update_irq(d);
    return true;
}

const struct device_ops i8254_ops = {
    .name = "i8254",
    .state_bytes = sizeof(struct pit),
    .version = 1,
    .regions = {{BUS_PORT, 0x40, 4, 1, 1}, {BUS_PORT, 0x61, 1, 1, 1}},
    .reset = pit_reset,
    .read = pit_read,
    .write = pit_write,
    .sync = pit_sync,
};
