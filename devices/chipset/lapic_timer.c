// SPDX-License-Identifier: GPL-2.0-or-later
/* lapic_timer.c - timers of the local APICs: one-shot, periodic, TSC deadline (SDM Vol. 3, chapter "APIC timer").
 *
 * The input clock is 1 GHz, so that a count is a nanosecond times the divider, and the current count follows from the
 * time since the count was loaded: nothing ticks.  One device timer waits for the earliest of all CPUs. */
#include "core-vmm/api/platform.h"
#include "devices/chipset/lapic.h"

/* A guest may ask for a period of a nanosecond; it gets no more interrupts than this allows. */
#define SHORTEST_PERIOD_NS 20000u

static unsigned divider(const struct lapic *a)
{
    unsigned code = (a->divide & 3) | (a->divide >> 1 & 4);

    return 1u << ((code + 1) & 7);
}

/* 0: there is nothing to count. */
static uint64_t whole_count_ns(const struct lapic *a)
{
    return a->stopped ? 0 : (uint64_t)a->initial * divider(a);
}

static bool is_deadline(const struct lapic *a)
{
    return a->lvt[LVT_TIMER] & LVT_TIMER_DEADLINE;
}

static bool is_periodic(const struct lapic *a)
{
    return a->lvt[LVT_TIMER] & LVT_TIMER_PERIODIC;
}

uint32_t lapic_timer_count(struct device *d, const struct lapic *a)
{
    uint64_t whole = whole_count_ns(a), passed = dev_now(d) - a->start;

    if (!whole || is_deadline(a))
        return 0;
    if (passed >= whole) {
        if (!is_periodic(a))
            return 0;
        passed %= whole;
    }
    return a->initial - passed / divider(a);
}

static void timers_due(struct device *d);

static void arm(struct device *d)
{
    struct lapics *s = d->state;
    uint64_t first = DEV_NEVER;

    for (unsigned n = 0; n < s->count; n++)
        first = MIN(first, s->cpu[n].due);
    dev_timer(d, 0, first, timers_due);
}

/* The next interrupt at or after now: never while masked, for a masked timer only counts. */
static uint64_t next_due(struct device *d, const struct lapic *a, uint64_t now)
{
    uint64_t whole = whole_count_ns(a), passed;

    if (a->lvt[LVT_TIMER] & LVT_MASKED)
        return DEV_NEVER;
    if (is_deadline(a)) {
        uint64_t tsc = dev_tsc(d);
        if (!a->deadline)
            return DEV_NEVER;
        return a->deadline <= tsc ? now : now + (unsigned __int128)(a->deadline - tsc) * 1000000u / dev_tsc_khz(d) + 1;
    }
    if (!whole)
        return DEV_NEVER;
    passed = now - a->start;
    if (passed < whole)
        return a->start + whole;
    return is_periodic(a) ? a->start + (passed / whole + 1) * whole : DEV_NEVER;
}

static void fire(struct device *d, struct lapic *a, uint64_t now)
{
    lapic_local(d, a, LVT_TIMER);
    if (is_deadline(a))
        a->deadline = 0;
    a->due = next_due(d, a, now);
    if (a->due != DEV_NEVER)
        a->due = MAX(a->due, now + SHORTEST_PERIOD_NS);
}

static void timers_due(struct device *d)
{
    struct lapics *s = d->state;
    uint64_t now = dev_now(d);

    for (unsigned n = 0; n < s->count; n++)
        if (s->cpu[n].due <= now)
            fire(d, &s->cpu[n], now);
    arm(d);
}

static void schedule(struct device *d, struct lapic *a)
{
    uint64_t now = dev_now(d);

    a->due = next_due(d, a, now);
    if (a->due <= now)
        fire(d, a, now);
    arm(d);
}

void lapic_timer_load(struct device *d, struct lapic *a, uint32_t initial)
{
    if (is_deadline(a))
        return;
    a->initial = initial;
    a->start = dev_now(d);
    a->stopped = false;
    schedule(d, a);
}

/* Ignored in the other modes, says the manual. */
void lapic_timer_deadline(struct device *d, struct lapic *a, uint64_t tsc)
{
    if (!is_deadline(a))
        return;
    a->deadline = tsc;
    schedule(d, a);
}

/* The count goes on from where it is, at the new speed. */
void lapic_timer_divide(struct device *d, struct lapic *a, uint32_t divide)
{
    uint32_t gone = a->initial - lapic_timer_count(d, a);

    a->divide = divide & 0xb;
    a->start = dev_now(d) - MIN(dev_now(d), (uint64_t)gone * divider(a));
    schedule(d, a);
}

/* What the old mode has done with the count until now: begun a new period, or come to its end. */
static void settle(struct device *d, struct lapic *a, uint32_t mode)
{
    uint64_t whole = whole_count_ns(a), passed = dev_now(d) - a->start;

    if (!whole || passed < whole)
        return;
    if (mode & LVT_TIMER_PERIODIC)
        a->start += passed / whole * whole;
    else
        a->stopped = true;
}

/* A change into or out of deadline mode disarms the timer; between the others it counts on. */
void lapic_timer_lvt(struct device *d, struct lapic *a, uint32_t before)
{
    settle(d, a, before);
    if ((before ^ a->lvt[LVT_TIMER]) & LVT_TIMER_DEADLINE) {
        a->initial = 0;
        a->deadline = 0;
    }
    schedule(d, a);
}

bool lapic_timer_ran_out(struct device *d, const struct lapic *a)
{
    return !is_deadline(a) && a->initial &&
           (a->stopped || (!is_periodic(a) && dev_now(d) - a->start >= whole_count_ns(a)));
}

void lapic_timer_resume(struct device *d, struct lapic *a, uint32_t left, bool ran_out)
{
    a->stopped = ran_out;
    if (!left && is_periodic(a))
        left = a->initial;
    a->start = dev_now(d) - (uint64_t)(a->initial - MIN(left, a->initial)) * divider(a);
    a->due = DEV_NEVER;
    if (!left && !ran_out && a->initial && !is_deadline(a))
        fire(d, a, dev_now(d));
    else
        schedule(d, a);
}

void lapic_timer_stop(struct device *d, struct lapic *a)
{
    a->initial = 0;
    a->deadline = 0;
    a->divide = 0;
    a->stopped = false;
    a->due = DEV_NEVER;
    arm(d);
}
