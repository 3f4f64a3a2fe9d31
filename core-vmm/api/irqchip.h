// SPDX-License-Identifier: GPL-2.0-or-later
/* irqchip.h - the plug of interrupt controllers, and what core/irq.c offers them.
 *
 * All interrupt controllers share one lock, the leaf of the lock order (bus, device, irq), so they may call each other
 * through irq.c.  With split interrupt chips (an engine that brings the local APICs) there is no lapic device. */
#pragma once
#include "core-vmm/api/cpu.h"
#include "core-vmm/api/device.h"

enum {
    EDGE_NOWHERE = -1, /* masked, or no fixed interrupt */
    EDGE_WAITS = -2,
    EDGE_TAKEN = -3, /* none waits: the next one counts */
};
enum irqchip_kind { IRQCHIP_PIC /* 8259A pair */, IRQCHIP_IOAPIC, IRQCHIP_PCI_ROUTER, IRQCHIP_KINDS };
struct irqchip_ops { /* a machine has at most one of each kind */
    enum irqchip_kind kind;
    void (*input)(struct device *d, unsigned pin, bool level);
    int (*ack)(struct device *d);                  /* 8259A: INTA, the vector; never fails (spurious IRQ 7) */
    void (*eoi)(struct device *d, uint8_t vector); /* I/O APIC: a level-triggered vector was finished */
    int (*edge)(struct device *d, unsigned pin);   /* what became of an edge: 8259A, as above; I/O APIC, its vector */
};

struct apic_message { /* what travels on the APIC bus (SDM Vol. 3, interrupt command register) */
    uint32_t destination;
    bool logical, level_assert, level_triggered;
    uint8_t mode; /* delivery: 0 fixed, 1 lowest priority, 2 SMI, 4 NMI, 5 INIT, 6 SIPI, 7 ExtINT */
    uint8_t vector;
};

struct lapic_ops { /* one device holds the local APICs of all vCPUs */
    uint32_t (*read)(struct device *d, unsigned cpu, unsigned offset);
    void (*write)(struct device *d, unsigned cpu, unsigned offset, uint32_t value);
    bool (*msr)(struct device *d, unsigned cpu, uint32_t msr, uint64_t *value, bool write); /* see machine_apic_msr() */
    int (*ack)(struct device *d, unsigned cpu); /* highest vector above the priority, now in service; -1 none */
    bool (*accepts_pic)(struct device *d, unsigned cpu); /* LINT0 is ExtINT and open, or the APIC is off (BSP) */
    void (*lint)(struct device *d, unsigned cpu, unsigned pin, bool level);
    bool (*requested)(struct device *d, uint8_t vector);                         /* some CPU has still to take it */
    bool (*message)(struct device *d, const struct apic_message *msg);           /* true if somebody took it */
    void (*init_cpu)(struct device *d, unsigned cpu);                            /* the CPU got INIT or was reset */
    void (*auto_eoi)(struct device *d, unsigned cpu, const uint64_t vectors[4]); /* these end as they are taken */
    uint64_t (*base)(struct device *d, unsigned cpu); /* guest-physical address of its page, 0 if it has none now */
    void (*save)(struct device *d, unsigned cpu, struct cpu_lapic *out);
    /* pic: level of the 8259A's output.  False: no APIC's base can be so. */
    bool (*load)(struct device *d, unsigned cpu, bool pic, const struct cpu_lapic *in);
};

void irq_pic_output(struct device *d, bool level);                                  /* the 8259A's INT pin */
bool irq_message(struct device *d, const struct apic_message *msg);                 /* from I/O APIC and MSI writes */
void irq_cpu(struct device *d, unsigned cpu, enum cpu_signal what, unsigned value); /* from the local APIC to its CPU */
/* The HPET's "legacy replacement": ISA IRQs 0 and 8 are this device's, and whoever else has them is not heard. */
void irq_legacy(struct device *d, bool on);
void irq_eoi(struct device *d, uint8_t vector); /* from the local APIC to all I/O APICs */
