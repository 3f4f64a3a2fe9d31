// SPDX-License-Identifier: GPL-2.0-or-later
/* lapic.h - inside of the local APICs: lapic.c and lapic_timer.c. */
#pragma once
#include "core-vmm/api/irqchip.h"

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
    bool lint[2]; /* levels of the pins */
    bool intr;    /* what the CPU was told */
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

/* The CPU's own sources: puts an LVT entry's interrupt on its way. */
void lapic_local(struct device *d, struct lapic *a, unsigned entry);

uint32_t lapic_timer_count(struct device *d, const struct lapic *a);
void lapic_timer_load(struct device *d, struct lapic *a, uint32_t initial);
void lapic_timer_deadline(struct device *d, struct lapic *a, uint64_t tsc);
void lapic_timer_divide(struct device *d, struct lapic *a, uint32_t divide);
void lapic_timer_lvt(struct device *d, struct lapic *a, uint32_t before); /* the LVT entry was written */
void lapic_timer_stop(struct device *d, struct lapic *a);
void lapic_timers_arm(struct device *d); /* after a load */
