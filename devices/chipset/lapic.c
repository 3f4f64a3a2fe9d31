// SPDX-License-Identifier: GPL-2.0-or-later
/* lapic.c - the local APICs of all CPUs: xAPIC registers and x2APIC MSRs, interrupt acceptance and priorities,
 * interprocessor interrupts.  Spec: Intel SDM Vol. 3, chapter "Advanced Programmable Interrupt Controller (APIC)".
 *
 * Every interrupt ends as a bit in some CPU's IRR.  The highest one whose class is above the processor priority makes the
 * CPU's INTR pin go up; ack() moves it to the ISR; EOI removes the highest ISR bit and, for a level-triggered one, tells
 * the I/O APIC.  Bit sets are four words, searched from the top, so no step depends on how much is pending.
 *
 * What is not here: SMIs (no system management mode), ExtINT as a message (the 8259A reaches a CPU through LINT0 only),
 * level-triggered LINT pins (taken as edges), CMCI.  APIC IDs are the CPU's number and cannot be changed. */
#include "devices/chipset/lapic.h"
#include "core-vmm/api/platform.h"
#include "devices/all.h"

enum { MSR_APIC_BASE = 0x1b, MSR_TSC_DEADLINE = 0x6e0, MSR_X2APIC = 0x800, MSR_X2APIC_LAST = 0x8ff };
enum { VERSION = 0x14 | (LVTS - 1) << 16 };
enum { ESR_SEND_VECTOR = 1 << 5, ESR_RECEIVE_VECTOR = 1 << 6, ESR_REGISTER = 1 << 7 };
enum { MODE_FIXED, MODE_LOWEST, MODE_SMI, MODE_NMI = 4, MODE_INIT, MODE_SIPI, MODE_EXTINT };
enum { SHORTHAND_NONE, SHORTHAND_SELF, SHORTHAND_ALL, SHORTHAND_OTHERS };
static const uint32_t lvt_bits[LVTS] = {0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff};

/* ---- vector sets ---- */
static int highest(const struct vectors *v)
{
    for (int n = 3; n >= 0; n--)
        if (v->bits[n])
            return n * 64 + 63 - __builtin_clzll(v->bits[n]);
    return -1;
}

static void set_vector(struct vectors *v, unsigned vector, bool on)
{
    uint64_t bit = 1ull << (vector & 63);

    v->bits[vector >> 6] = on ? v->bits[vector >> 6] | bit : v->bits[vector >> 6] & ~bit;
}

static bool has_vector(const struct vectors *v, unsigned vector)
{
    return v->bits[vector >> 6] >> (vector & 63) & 1;
}

/* ---- state of one APIC ---- */
/* Both switched on by software (SVR) and not off as a whole: interrupts other than NMI, INIT and SIPI get in. */
static bool is_open(const struct lapic *a)
{
    return (a->base & BASE_ENABLE) && (a->svr & SVR_ENABLE);
}

static uint32_t priority(const struct lapic *a)
{
    int in_service = highest(&a->isr);
    uint32_t served = in_service < 0 ? 0 : in_service & 0xf0;

    return (a->tpr & 0xf0) >= served ? a->tpr : served;
}

static int deliverable(const struct lapic *a)
{
    int vector = highest(&a->irr);

    return vector >= 0 && is_open(a) && (vector & 0xf0u) > (priority(a) & 0xf0) ? vector : -1;
}

void lapic_update(struct device *d, struct lapic *a)
{
    bool intr = deliverable(a) >= 0;

    if (intr == a->intr)
        return;
    a->intr = intr;
    irq_cpu(d, a->id, CPU_SIGNAL_INTR, intr);
}

static void set_error(struct device *d, struct lapic *a, uint32_t error)
{
    bool first = !(a->esr_next & error);

    a->esr_next |= error;
    if (first && (a->lvt[LVT_ERROR] & 0xff) >= 16) /* else the report would be the next error */
        lapic_local(d, a, LVT_ERROR);
}

static bool accept(struct device *d, struct lapic *a, uint8_t vector, bool level)
{
    if (!is_open(a))
        return false;
    if (vector < 16) {
        set_error(d, a, ESR_RECEIVE_VECTOR);
        return false;
    }
    set_vector(&a->irr, vector, true);
    set_vector(&a->tmr, vector, level);
    lapic_update(d, a);
    return true;
}

void lapic_local(struct device *d, struct lapic *a, unsigned entry)
{
    uint32_t lvt = a->lvt[entry];

    if (lvt & LVT_MASKED)
        return;
    switch (entry == LVT_TIMER || entry == LVT_ERROR ? MODE_FIXED : lvt >> 8 & 7) {
    case MODE_FIXED: accept(d, a, lvt, false); break;
    case MODE_NMI: irq_cpu(d, a->id, CPU_SIGNAL_NMI, 1); break;
    default: break; /* ExtINT: core asks accepts_pic() */
    }
}

static uint32_t x2apic_ldr(const struct lapic *a)
{
    return (a->id >> 4) << 16 | 1u << (a->id & 15);
}

/* As after INIT: everything but the ID and IA32_APIC_BASE.  The boot CPU's LINT0 starts as ExtINT: firmware and systems
 * that know nothing of APICs get their 8259A interrupts through it. */
static void init_state(struct device *d, struct lapic *a)
{
    a->tpr = a->ldr = a->esr = a->esr_next = a->icr_low = a->icr_high = 0;
    a->dfr = 0xffffffff;
    a->svr = 0xff;
    memset(&a->isr, 0, sizeof a->isr);
    memset(&a->tmr, 0, sizeof a->tmr);
    memset(&a->irr, 0, sizeof a->irr);
    for (unsigned n = 0; n < LVTS; n++)
        a->lvt[n] = LVT_MASKED;
    if (a->base & BASE_BSP)
        a->lvt[LVT_LINT0] = MODE_EXTINT << 8;
    lapic_timer_stop(d, a);
    lapic_update(d, a);
}

/* ---- messages ---- */
static bool matches_logical(const struct lapic *a, uint32_t destination)
{
    uint32_t ldr = a->ldr >> 24, to = destination & 0xff;

    if (destination == UINT32_MAX)
        return true;
    if (is_x2apic(a))
        return destination >> 16 == a->id >> 4 && (destination & x2apic_ldr(a) & 0xffff);
    if (a->dfr >> 28 == 0xf)
        return to & ldr;
    return to == 0xff || (to >> 4 == ldr >> 4 && (to & ldr & 15));
}

static bool matches(const struct lapic *a, const struct apic_message *msg)
{
    if (!(a->base & BASE_ENABLE))
        return false;
    if (msg->logical)
        return matches_logical(a, msg->destination);
    return msg->destination == a->id || msg->destination == 0xff || msg->destination == UINT32_MAX;
}

static bool deliver(struct device *d, struct lapic *a, const struct apic_message *msg)
{
    switch (msg->mode) {
    case MODE_FIXED:
    case MODE_LOWEST: return accept(d, a, msg->vector, msg->level_triggered);
    case MODE_NMI: irq_cpu(d, a->id, CPU_SIGNAL_NMI, 1); return true;
    case MODE_INIT:
        init_state(d, a);
        irq_cpu(d, a->id, CPU_SIGNAL_INIT, 1);
        return true;
    case MODE_SIPI: irq_cpu(d, a->id, CPU_SIGNAL_SIPI, msg->vector); return true;
    default: dev_log(d, "delivery mode %u is not supported", msg->mode); return false;
    }
}

/* Of the CPUs in the mask the one with the lowest priority; among equals each has its turn. */
static struct lapic *lowest_priority(struct lapics *s, uint32_t mask)
{
    struct lapic *best = NULL;

    for (unsigned n = 0; n < s->count; n++) {
        struct lapic *a = &s->cpu[(s->turn + n) % s->count];
        if ((mask >> a->id & 1) && is_open(a) && (!best || priority(a) < priority(best)))
            best = a;
    }
    if (best)
        s->turn = best->id + 1;
    return best;
}

static bool deliver_to_all(struct device *d, uint32_t mask, const struct apic_message *msg)
{
    struct lapics *s = d->state;
    bool taken = false;

    if (msg->mode == MODE_LOWEST) {
        struct lapic *a = lowest_priority(s, mask);
        return a && deliver(d, a, msg);
    }
    if (msg->mode == MODE_INIT && msg->level_triggered && !msg->level_assert)
        return true; /* INIT level de-assert: only arbitration IDs, which there are none of */
    for (; mask; mask &= mask - 1)
        taken |= deliver(d, &s->cpu[__builtin_ctz(mask)], msg);
    return taken;
}

static bool lapic_message(struct device *d, const struct apic_message *msg)
{
    struct lapics *s = d->state;
    uint32_t mask = 0;

    for (unsigned n = 0; n < s->count; n++)
        mask |= (uint32_t)matches(&s->cpu[n], msg) << n;
    return deliver_to_all(d, mask, msg);
}

static void send_ipi(struct device *d, struct lapic *a)
{
    struct lapics *s = d->state;
    uint32_t all = s->count == 32 ? UINT32_MAX : (1u << s->count) - 1;
    struct apic_message msg = {
        .destination = is_x2apic(a) ? a->icr_high : a->icr_high >> 24,
        .logical = a->icr_low & ICR_LOGICAL,
        .level_assert = a->icr_low & ICR_ASSERT,
        .mode = a->icr_low >> 8 & 7,
        .vector = a->icr_low,
    };

    msg.level_triggered = msg.mode == MODE_INIT && (a->icr_low & ICR_LEVEL); /* all others are edges */
    if (msg.vector < 16 && msg.mode <= MODE_LOWEST) {
        set_error(d, a, ESR_SEND_VECTOR);
        return;
    }
    switch (a->icr_low >> 18 & 3) {
    case SHORTHAND_NONE: lapic_message(d, &msg); break;
    case SHORTHAND_SELF: deliver_to_all(d, 1u << a->id, &msg); break;
    case SHORTHAND_ALL: deliver_to_all(d, all, &msg); break;
    case SHORTHAND_OTHERS: deliver_to_all(d, all & ~(1u << a->id), &msg); break;
    }
}

static void end_of_interrupt(struct device *d, struct lapic *a)
{
    int vector = highest(&a->isr);

    if (vector < 0)
        return;
    set_vector(&a->isr, vector, false);
    if (has_vector(&a->tmr, vector))
        irq_eoi(d, vector);
    lapic_update(d, a);
}

/* ---- registers ---- */
static uint32_t vectors_word(const struct vectors *v, unsigned word)
{
    return v->bits[word >> 1 & 3] >> (word & 1) * 32;
}

uint32_t lapic_lvt_bits(unsigned entry)
{
    return lvt_bits[entry];
}

static bool is_register(unsigned offset)
{
    return offset == R_ID || offset == R_VERSION || (offset >= R_TPR && offset < R_ESR) || offset == R_ESR ||
           (offset >= R_ICR_LOW && offset <= R_CURRENT_COUNT) || offset == R_DIVIDE;
}

uint32_t lapic_register(struct device *d, struct lapic *a, unsigned offset)
{
    unsigned word = offset >> 4 & 7;

    if (offset >= R_ISR && offset < R_ESR)
        return vectors_word(offset < R_TMR ? &a->isr : offset < R_IRR ? &a->tmr : &a->irr, word);
    if (offset >= R_LVT && offset <= R_LVT_LAST)
        return a->lvt[(offset - R_LVT) >> 4];
    switch (offset) {
    case R_ID: return is_x2apic(a) ? a->id : a->id << 24;
    case R_VERSION: return VERSION;
    case R_TPR: return a->tpr;
    case R_PPR: return priority(a);
    case R_LDR: return is_x2apic(a) ? x2apic_ldr(a) : a->ldr;
    case R_DFR: return a->dfr;
    case R_SVR: return a->svr;
    case R_ESR: return a->esr;
    case R_ICR_LOW: return a->icr_low;
    case R_ICR_HIGH: return a->icr_high;
    case R_INITIAL_COUNT: return a->initial;
    case R_CURRENT_COUNT: return lapic_timer_count(d, a);
    case R_DIVIDE: return a->divide;
    default: return 0;
    }
}

static void write_lvt(struct device *d, struct lapic *a, unsigned entry, uint32_t value)
{
    uint32_t before = a->lvt[entry];

    a->lvt[entry] = (value & lvt_bits[entry]) | (a->svr & SVR_ENABLE ? 0 : LVT_MASKED);
    if (entry == LVT_TIMER)
        lapic_timer_lvt(d, a, before);
}

/* Switched off by software, all LVT entries are masked and stay so. */
static void write_svr(struct device *d, struct lapic *a, uint32_t value)
{
    a->svr = value & SVR_BITS;
    if (!(a->svr & SVR_ENABLE))
        for (unsigned n = 0; n < LVTS; n++)
            write_lvt(d, a, n, a->lvt[n]);
    lapic_update(d, a);
}

static void register_write(struct device *d, struct lapic *a, unsigned offset, uint32_t value)
{
    if (offset >= R_LVT && offset <= R_LVT_LAST) {
        write_lvt(d, a, (offset - R_LVT) >> 4, value);
        return;
    }
    switch (offset) {
    case R_TPR:
        a->tpr = value & 0xff;
        lapic_update(d, a);
        break;
    case R_EOI: end_of_interrupt(d, a); break;
    case R_LDR: a->ldr = value & 0xff000000; break;
    case R_DFR: a->dfr = value | 0x0fffffff; break;
    case R_SVR: write_svr(d, a, value); break;
    case R_ESR:
        a->esr = a->esr_next;
        a->esr_next = 0;
        break;
    case R_ICR_LOW:
        a->icr_low = value & ICR_BITS;
        send_ipi(d, a);
        break;
    case R_ICR_HIGH: a->icr_high = value & 0xff000000; break;
    case R_INITIAL_COUNT: lapic_timer_load(d, a, value); break;
    case R_DIVIDE: lapic_timer_divide(d, a, value); break;
    default: break;
    }
}

static struct lapic *apic_of(struct device *d, unsigned cpu)
{
    struct lapics *s = d->state;

    return &s->cpu[cpu < s->count ? cpu : 0];
}

static uint32_t lapic_read(struct device *d, unsigned cpu, unsigned offset)
{
    struct lapic *a = apic_of(d, cpu);

    if (!is_register(offset & 0xff0))
        set_error(d, a, ESR_REGISTER);
    return lapic_register(d, a, offset & 0xff0);
}

static void lapic_write(struct device *d, unsigned cpu, unsigned offset, uint32_t value)
{
    struct lapic *a = apic_of(d, cpu);

    if (!is_register(offset & 0xff0))
        set_error(d, a, ESR_REGISTER);
    register_write(d, a, offset & 0xff0, value);
}

/* ---- MSRs ---- */
static bool write_base(struct device *d, struct lapic *a, uint64_t value)
{
    uint64_t modes = BASE_ENABLE | BASE_X2APIC;
    uint64_t from = a->base & modes, to = value & modes;

    if (value & ~(BASE_ADDRESS | modes | BASE_BSP))
        return false;
    if (to == BASE_X2APIC || (from == modes && to == BASE_ENABLE) || (from == 0 && to == modes))
        return false;
    a->base = (value & ~(uint64_t)BASE_BSP) | (a->base & BASE_BSP);
    if (from != to && to != BASE_ENABLE)
        a->icr_high = 0;
    if (from && !to)
        init_state(d, a);
    lapic_update(d, a);
    return true;
}

static bool x2apic_read(struct device *d, struct lapic *a, unsigned offset, uint64_t *value)
{
    if (!is_register(offset) || offset == R_APR || offset == R_EOI || offset == R_DFR || offset == R_ICR_HIGH ||
        offset == 0x0c0)
        return false;
    *value = lapic_register(d, a, offset);
    if (offset == R_ICR_LOW)
        *value |= (uint64_t)a->icr_high << 32;
    return true;
}

/* Read-only bits may be written, to no effect: the delivery status of each entry and the remote IRR of the pins'. */
static uint32_t lvt_writable(unsigned entry)
{
    return lvt_bits[entry] | 1 << 12 | (entry == LVT_LINT0 || entry == LVT_LINT1 ? 1 << 14 : 0);
}

static bool x2apic_writable(unsigned offset, uint64_t value)
{
    if (offset == R_ICR_LOW)
        return !((uint32_t)value & ~ICR_BITS);
    if (value >> 32)
        return false;
    switch (offset) {
    case R_TPR: return value <= 0xff;
    case R_EOI:
    case R_ESR: return value == 0;
    case R_SVR: return !(value & ~SVR_BITS);
    case R_INITIAL_COUNT: return true;
    case R_DIVIDE: return !(value & ~0xbull);
    case R_SELF_IPI: return value <= 0xff;
    default:
        return offset >= R_LVT && offset <= R_LVT_LAST && !(value & ~(uint64_t)lvt_writable((offset - R_LVT) >> 4));
    }
}

static bool x2apic_write(struct device *d, struct lapic *a, unsigned offset, uint64_t value)
{
    if (!x2apic_writable(offset, value))
        return false;
    if (offset == R_ICR_LOW)
        a->icr_high = value >> 32;
    if (offset == R_SELF_IPI) {
        if (value < 16)
            set_error(d, a, ESR_SEND_VECTOR);
        accept(d, a, value, false);
    } else {
        register_write(d, a, offset, value);
    }
    return true;
}

static bool lapic_msr(struct device *d, unsigned cpu, uint32_t msr, uint64_t *value, bool write)
{
    struct lapic *a = apic_of(d, cpu);

    if (msr == MSR_APIC_BASE) {
        if (write)
            return write_base(d, a, *value);
        *value = a->base;
        return true;
    }
    if (msr == MSR_TSC_DEADLINE) {
        if (write)
            lapic_timer_deadline(d, a, *value);
        else
            *value = a->deadline;
        return true;
    }
    if (msr < MSR_X2APIC || msr > MSR_X2APIC_LAST || !is_x2apic(a))
        return false;
    msr = (msr - MSR_X2APIC) << 4;
    return write ? x2apic_write(d, a, msr, *value) : x2apic_read(d, a, msr, value);
}

/* ---- the rest of the plug ---- */
static int lapic_ack(struct device *d, unsigned cpu)
{
    struct lapic *a = apic_of(d, cpu);
    int vector = deliverable(a);

    if (vector < 0)
        return -1;
    set_vector(&a->irr, vector, false);
    set_vector(&a->isr, vector, !has_vector(&a->auto_eoi, vector));
    lapic_update(d, a);
    return vector;
}

static void lapic_auto_eoi(struct device *d, unsigned cpu, const uint64_t vectors[4])
{
    memcpy(apic_of(d, cpu)->auto_eoi.bits, vectors, sizeof(struct vectors));
}

static bool lapic_requested(struct device *d, uint8_t vector)
{
    const struct lapics *s = d->state;

    for (unsigned n = 0; n < s->count; n++)
        if (has_vector(&s->cpu[n].irr, vector))
            return true;
    return false;
}

static bool lapic_accepts_pic(struct device *d, unsigned cpu)
{
    struct lapic *a = apic_of(d, cpu);

    if (!(a->base & BASE_ENABLE))
        return a->base & BASE_BSP;
    return !(a->lvt[LVT_LINT0] & LVT_MASKED) && (a->lvt[LVT_LINT0] >> 8 & 7) == MODE_EXTINT;
}

static void lapic_lint(struct device *d, unsigned cpu, unsigned pin, bool level)
{
    struct lapic *a = apic_of(d, cpu);
    bool rises = level && !a->lint[pin & 1];

    a->lint[pin & 1] = level;
    if (!rises)
        return;
    if (a->base & BASE_ENABLE)
        lapic_local(d, a, pin & 1 ? LVT_LINT1 : LVT_LINT0);
    else if ((pin & 1) && (a->base & BASE_BSP)) /* off, LINT1 is the CPU's NMI pin */
        irq_cpu(d, a->id, CPU_SIGNAL_NMI, 1);
}

static void lapic_init_cpu(struct device *d, unsigned cpu)
{
    init_state(d, apic_of(d, cpu));
}

static uint64_t lapic_base(struct device *d, unsigned cpu)
{
    const struct lapic *a = apic_of(d, cpu);

    return (a->base & BASE_ENABLE) && !is_x2apic(a) ? a->base & BASE_ADDRESS : 0;
}

/* ---- device ---- */
static bool lapic_init(struct device *d, const struct config *c, GError **error)
{
    struct lapics *s = d->state;

    s->count = dev_cpus(d);
    g_assert(s->count >= 1 && s->count <= LAPIC_MAX);
    return true;
}

static void lapic_reset(struct device *d)
{
    struct lapics *s = d->state;

    s->turn = 0;
    for (unsigned n = 0; n < s->count; n++) {
        struct lapic *a = &s->cpu[n];
        a->id = n;
        a->base = 0xfee00000u | BASE_ENABLE | (n == 0 ? BASE_BSP : 0);
        init_state(d, a);
    }
}

static const struct lapic_ops plug = {
    .read = lapic_read,
    .write = lapic_write,
    .msr = lapic_msr,
    .ack = lapic_ack,
    .accepts_pic = lapic_accepts_pic,
    .lint = lapic_lint,
    .requested = lapic_requested,
    .message = lapic_message,
    .init_cpu = lapic_init_cpu,
    .auto_eoi = lapic_auto_eoi,
    .base = lapic_base,
    .save = lapic_save,
    .load = lapic_load,
};

const struct device_ops lapic_ops = {
    .name = "lapic",
    .state_bytes = sizeof(struct lapics),
    .version = 1,
    .init = lapic_init,
    .reset = lapic_reset,
    .lapic = &plug,
};
