// SPDX-License-Identifier: GPL-2.0-or-later
/* lapic.h - inside of the local APICs: lapic.c, lapic_timer.c and lapic_state.c. */
#pragma once
#include "core-vmm/api/irqchip.h"

/* Registers, by their offset in the xAPIC page; an x2APIC MSR is 800h + offset / 16. */
enum {
    R_ID = 0x020,
    R_VERSION = 0x030,
    R_TPR = 0x080,
    R_APR = 0x090,
    R_PPR = 0x0a0,
    R_EOI = 0x0b0,
    R_LDR = 0x0d0,
    R_DFR = 0x0e0,
    R_SVR = 0x0f0,
    R_ISR = 0x100,
    R_TMR = 0x180,
    R_IRR = 0x200,
    R_ESR = 0x280,
    R_ICR_LOW = 0x300,
    R_ICR_HIGH = 0x310,
    R_LVT = 0x320,
    R_LVT_LAST = 0x370,
    R_INITIAL_COUNT = 0x380,
    R_CURRENT_COUNT = 0x390,
    R_DIVIDE = 0x3e0,
    R_SELF_IPI = 0x3f0,
};
enum { BASE_BSP = 1 << 8, BASE_X2APIC = 1 << 10, BASE_ENABLE = 1 << 11 };
#define BASE_ADDRESS 0xffffff000ull /* 36 bits: as much as any supported CPUID model has at least */
/* Bit 12, "suppress EOI broadcast", is kept and does nothing, as with KVM's split chips, whose version register offers it. */
enum { SVR_ENABLE = 1 << 8, SVR_BITS = 0x13ff };
enum { ICR_LOGICAL = 1 << 11, ICR_ASSERT = 1 << 14, ICR_LEVEL = 1 << 15, ICR_BITS = 0xccfff };

enum { LVT_TIMER, LVT_THERMAL, LVT_PERFORMANCE, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVTS };
enum { LVT_MASKED = 1 << 16, LVT_TIMER_PERIODIC = 1 << 17, LVT_TIMER_DEADLINE = 1 << 18 };
#define LAPIC_MAX 32

struct vectors { /* one bit per vector; found from the top */
    uint64_t bits[4];
};

struct lapic {
    unsigned id;
    uint64_t base; /* IA32_APIC_BASE */
    uint32_t tpr, ldr, dfr, svr, esr, esr_next;
    uint32_t icr_low, icr_high;
    uint32_t lvt[LVTS];
    struct vectors isr, tmr, irr;
    struct vectors auto_eoi; /* end as they are taken: Hyper-V says which, also after a load */
    bool lint[2];            /* levels of the pins */
    bool intr;               /* what the CPU was told */
    /* Timer. */
    uint32_t divide, initial;
    uint64_t start;    /* guest ns at which the initial count was loaded, or a later period began */
    bool stopped;      /* counted down to 0 once, and stays there whatever the mode becomes */
    uint64_t deadline; /* of IA32_TSC_DEADLINE, 0: none */
    uint64_t due;      /* guest ns of the next interrupt, or DEV_NEVER */
};

struct lapics {
    unsigned count, turn; /* turn: where the search for the lowest priority starts */
    struct lapic cpu[LAPIC_MAX];
};

static inline bool is_x2apic(const struct lapic *a)
{
    return a->base & BASE_X2APIC;
}

uint32_t lapic_register(struct device *d, struct lapic *a, unsigned offset); /* as the guest reads it */
uint32_t lapic_lvt_bits(unsigned entry);                                     /* those that can be written */
void lapic_update(struct device *d, struct lapic *a);                        /* the CPU's INTR pin */

/* lapic_state.c: see struct lapic_ops */
void lapic_save(struct device *d, unsigned cpu, struct cpu_lapic *out);
bool lapic_load(struct device *d, unsigned cpu, bool pic, const struct cpu_lapic *in);

/* The CPU's own sources: puts an LVT entry's interrupt on its way. */
void lapic_local(struct device *d, struct lapic *a, unsigned entry);

uint32_t lapic_timer_count(struct device *d, const struct lapic *a);
void lapic_timer_load(struct device *d, struct lapic *a, uint32_t initial);
void lapic_timer_deadline(struct device *d, struct lapic *a, uint64_t tsc);
void lapic_timer_divide(struct device *d, struct lapic *a, uint32_t divide);
void lapic_timer_lvt(struct device *d, struct lapic *a, uint32_t before); /* the LVT entry was written */
void lapic_timer_stop(struct device *d, struct lapic *a);
bool lapic_timer_ran_out(struct device *d,
                         const struct lapic *a); /* a one-shot count, and its interrupt has been given */
/* As saved: of the count so many are left.  None, and it has not run out: its interrupt is due now. */
void lapic_timer_resume(struct device *d, struct lapic *a, uint32_t left, bool ran_out);
