// SPDX-License-Identifier: GPL-2.0-or-later
/* stimer.c - four synthetic timers of each CPU, in reference time (TLFS, "Synthetic Timers").
 *
 * A one-shot timer expires when the time reaches its count; a periodic one each time its count has passed.  It then sends a
 * message by a SINT, or, in direct mode, an interrupt of its own vector.  Never early: the machine's clock, by which we wake,
 * and the TSC, by which reference time goes, may differ by a little, so who wakes looks at the reference time.  Periods that were
 * missed are left out; the next one comes when it would have come. */
#include "core-vmm/base/bytes.h"
#include "devices/hyperv/hyperv.h"

enum { MSR_TIMER = 0x400000b0, MESSAGE_BYTES = 24 };
enum { SHORTEST = 1000 /* 100 us: more often nobody needs it, and one that wants 1 gets this */ };
#define MESSAGE_EXPIRED 0x80000010u
#define ENABLE          HV_BIT(0)
#define PERIODIC        HV_BIT(1)
#define LAZY            HV_BIT(2)
#define AUTO_ENABLE     HV_BIT(3)
#define DIRECT          HV_BIT(12)
#define VECTOR(config)  ((config) >> 4 & 0xff)
#define SINT(config)    ((config) >> 16 & 15)
#define CONFIG_BITS     (ENABLE | PERIODIC | LAZY | AUTO_ENABLE | 0xff0 | DIRECT | 0xf0000)

static uint64_t period(uint64_t count)
{
    return MAX(count, SHORTEST);
}

/* A count may be any number: what would be beyond the end of time never comes. */
static uint64_t later(uint64_t at, uint64_t by)
{
    return by < HV_NEVER - at ? at + by : HV_NEVER;
}

/* ---- expiry ---- */

/* false: its message has to wait. */
static bool send(struct device *d, unsigned cpu, unsigned n, uint64_t expired)
{
    struct hyperv *h = d->state;
    uint64_t config = h->reg[cpu].timer[n].config;
    struct hv_message m = {.type = MESSAGE_EXPIRED, .bytes = MESSAGE_BYTES};
    bool placed;
    if (config & DIRECT) {
        hyperv_interrupt(d, cpu, VECTOR(config), -1);
        return true;
    }
    put_le32(m.payload, n);
    put_le64(m.payload + 8, expired);
    put_le64(m.payload + 16, hv_now(d));
    return hv_post(d, cpu, SINT(config), &m, &placed) != HV_SUCCESS || placed;
}

static void expire(struct device *d, unsigned cpu, unsigned n, uint64_t now)
{
    struct hyperv *h = d->state;
    struct hv_timer *t = &h->cpu[cpu].timer[n];
    uint64_t *config = &h->reg[cpu].timer[n].config, every = period(h->reg[cpu].timer[n].count), at = t->due;
    t->due = HV_NEVER;
    if (*config & PERIODIC)
        t->due = later(at, every) > now ? later(at, every) : later(now, every - (now - at) % every);
    t->waits = !send(d, cpu, n, at);
    if (!(*config & PERIODIC) && !t->waits)
        *config &= ~ENABLE;
}

static void run_due(struct device *d)
{
    struct hyperv *h = d->state;
    uint64_t now = hv_now(d);
    for (unsigned i = 0; i < h->cpus * HV_TIMERS; i++)
        if (h->cpu[i / HV_TIMERS].timer[i % HV_TIMERS].due <= now)
            expire(d, i / HV_TIMERS, i % HV_TIMERS, now);
}

/* A message that is new in the queue brings the look at it with it. */
static void look_again(struct device *d)
{
    struct hyperv *h = d->state;
    bool waits = hv_anything_waits(h);
    if (waits && h->retry_due == DEV_NEVER)
        hv_place_waiting(d);
    else
        hv_arm(d);
}

void hv_timers_run(struct device *d)
{
    struct hyperv *h = d->state;
    if (h->page_stale)
        hv_write_tsc_page(d);
    run_due(d);
    if (h->retry_due <= dev_now(d))
        hv_place_waiting(d);
    else
        look_again(d);
}

void hv_timers_place(struct device *d)
{
    struct hyperv *h = d->state;
    for (unsigned i = 0; i < h->cpus * HV_TIMERS; i++) {
        unsigned cpu = i / HV_TIMERS, n = i % HV_TIMERS;
        struct hv_timer *t = &h->cpu[cpu].timer[n];
        if (!t->waits || !send(d, cpu, n, h->reg[cpu].timer[n].count))
            continue;
        t->waits = false;
        if (!(h->reg[cpu].timer[n].config & PERIODIC))
            h->reg[cpu].timer[n].config &= ~ENABLE;
    }
}

uint64_t hv_timers_next(const struct hyperv *h)
{
    uint64_t next = HV_NEVER;
    for (unsigned i = 0; i < h->cpus * HV_TIMERS; i++)
        next = MIN(next, h->cpu[i / HV_TIMERS].timer[i % HV_TIMERS].due);
    return next;
}

/* ---- MSRs ---- */

static void begin(struct device *d, unsigned cpu, unsigned n)
{
    struct hyperv *h = d->state;
    uint64_t config = h->reg[cpu].timer[n].config, count = h->reg[cpu].timer[n].count;
    struct hv_timer *t = &h->cpu[cpu].timer[n];
    t->waits = false;
    t->due = !(config & ENABLE) || !count ? HV_NEVER : config & PERIODIC ? later(hv_now(d), period(count)) : count;
}

static void write_config(struct device *d, unsigned cpu, unsigned n, uint64_t value)
{
    struct hyperv *h = d->state;
    value &= CONFIG_BITS;
    if (!(value & DIRECT) && !SINT(value))
        value &= ~ENABLE;
    h->reg[cpu].timer[n].config = value;
    begin(d, cpu, n);
}

static void write_count(struct device *d, unsigned cpu, unsigned n, uint64_t value)
{
    struct hyperv *h = d->state;
    uint64_t *config = &h->reg[cpu].timer[n].config;
    h->reg[cpu].timer[n].count = value;
    if (!value)
        *config &= ~ENABLE;
    else if (*config & AUTO_ENABLE && (*config & DIRECT || SINT(*config)))
        *config |= ENABLE;
    begin(d, cpu, n);
}

bool hv_timer_msr(struct device *d, unsigned cpu, uint32_t msr, uint64_t *value, bool write)
{
    struct hyperv *h = d->state;
    unsigned n = (msr - MSR_TIMER) / 2;
    bool count = (msr - MSR_TIMER) & 1;
    if (!write) {
        *value = count ? h->reg[cpu].timer[n].count : h->reg[cpu].timer[n].config;
        return true;
    }
    (count ? write_count : write_config)(d, cpu, n, *value);
    run_due(d); /* a count that has passed is due at once */
    look_again(d);
    return true;
}

/* ---- life ---- */

void hv_timers_reset(struct hyperv *h, unsigned cpu)
{
    for (unsigned n = 0; n < HV_TIMERS; n++)
        h->cpu[cpu].timer[n] = (struct hv_timer){.due = HV_NEVER};
}

/* When one was to expire next is not known of a state that KVM made: its period begins anew, as it does there. */
void hv_timers_loaded(struct device *d, unsigned cpu)
{
    struct hyperv *h = d->state;
    for (unsigned n = 0; n < HV_TIMERS; n++)
        if (!h->cpu[cpu].timer[n].due)
            begin(d, cpu, n);
}
