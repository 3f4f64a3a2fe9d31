// SPDX-License-Identifier: GPL-2.0-or-later
/* lapic_state.c - a local APIC from and to struct cpu_lapic, the form that it is saved in whatever the engine.  In a
 * machine's saved state each CPU's is a part of its own, behind that of its CPU. */
#include "core-vmm/api/platform.h"
#include "devices/chipset/lapic.h"
#include <string.h>

static void put(struct cpu_lapic *l, unsigned at, uint32_t value)
{
    value = GUINT32_TO_LE(value);
    memcpy(l->registers + at, &value, sizeof value);
}

static uint32_t get(const struct cpu_lapic *l, unsigned at)
{
    uint32_t value;
    memcpy(&value, l->registers + at, sizeof value);
    return GUINT32_FROM_LE(value);
}

void lapic_save(struct device *d, unsigned cpu, struct cpu_lapic *out)
{
    struct lapics *s = d->state;
    struct lapic *a = &s->cpu[cpu];

    memset(out, 0, sizeof *out);
    for (unsigned at = R_ID; at <= R_DIVIDE; at += 0x10)
        put(out, at, lapic_register(d, a, at));
    put(out, R_ID, a->id << 24);
    out->base = a->base;
    out->tsc_deadline = a->deadline;
    out->errors = a->esr_next;
    out->ran_out = lapic_timer_ran_out(d, a);
}

/* Vectors below 16 are no interrupts. */
static struct vectors vectors_from(const struct cpu_lapic *in, unsigned at)
{
    struct vectors v = {0};

    for (unsigned n = 0; n < 8; n++)
        v.bits[n / 2] |= (uint64_t)get(in, at + n * 0x10) << n % 2 * 32;
    v.bits[0] &= ~0xffffull;
    return v;
}

static bool is_base(uint64_t base, unsigned cpu)
{
    return !(base & ~(BASE_ADDRESS | BASE_BSP | BASE_X2APIC | BASE_ENABLE)) && !(base & BASE_BSP) == (cpu != 0) &&
           (base & (BASE_X2APIC | BASE_ENABLE)) != BASE_X2APIC;
}

/* What a register cannot hold is left out: KVM keeps bits that are not here (an entry's delivery status). */
bool lapic_load(struct device *d, unsigned cpu, bool pic, const struct cpu_lapic *in)
{
    struct lapics *s = d->state;
    struct lapic *a = &s->cpu[cpu];

    if (!is_base(in->base, cpu))
        return false;
    a->base = in->base;
    a->tpr = get(in, R_TPR) & 0xff;
    a->ldr = is_x2apic(a) ? 0 : get(in, R_LDR) & 0xff000000;
    a->dfr = get(in, R_DFR) | 0x0fffffff;
    a->svr = get(in, R_SVR) & SVR_BITS;
    a->esr = get(in, R_ESR) & 0xff;
    a->esr_next = in->errors & 0xff;
    a->icr_low = get(in, R_ICR_LOW) & ICR_BITS;
    a->icr_high = get(in, R_ICR_HIGH) & (is_x2apic(a) ? UINT32_MAX : 0xff000000);
    for (unsigned n = 0; n < LVTS; n++)
        a->lvt[n] = get(in, R_LVT + n * 0x10) & lapic_lvt_bits(n);
    a->isr = vectors_from(in, R_ISR);
    a->tmr = vectors_from(in, R_TMR);
    a->irr = vectors_from(in, R_IRR);
    a->lint[0] = pic;
    a->divide = get(in, R_DIVIDE) & 0xb;
    a->initial = get(in, R_INITIAL_COUNT);
    a->deadline = in->tsc_deadline;
    lapic_timer_resume(d, a, get(in, R_CURRENT_COUNT), in->ran_out);
    lapic_update(d, a);
    return true;
}
