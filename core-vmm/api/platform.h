// SPDX-License-Identifier: GPL-2.0-or-later
/* platform.h - wires of the mainboard that only chipset devices use.  Inside a callback, like device.h. */
#pragma once
#include "core-vmm/api/device.h"

/* How the guest ended; the exit code of vmctl run says it too. */
enum machine_end {
    MACHINE_END_NONE,      /* still there */
    MACHINE_END_POWER_OFF, /* the guest switched itself off (ACPI S5) */
    MACHINE_END_STOPPED,   /* the user did */
    MACHINE_END_RESET,     /* reset or triple fault while on-reset = stop */
    MACHINE_END_DEBUG,     /* the debug exit device; code holds what was written */
    MACHINE_END_FAILED,    /* the engine failed; message says why */
};

/* What the machine asks of chips of the mainboard, each of at most one; with the device's lock held. */
struct platform_ops {
    /* FERR# of a CPU; returns IGNNE#: shall it go on in spite of the error? */
    bool (*fpu_error)(struct device *d, unsigned cpu, bool level);
    /* The user pressed the power button.  false: the guest does not listen to it. */
    bool (*power_button)(struct device *d);
};

/* i440FX PAM: what the CPU sees in [gpa, gpa + bytes) below 1 MiB.  Reads come from RAM or from ROM/PCI, writes go to RAM
 * or to PCI.  Multiples of 4 KiB. */
void dev_shadow(struct device *d, uint64_t gpa, uint64_t bytes, bool read_ram, bool write_ram);
/* The A20 gate.  Off: 1 MiB-2 MiB shows the first megabyte (the only wrap that software relies on). */
void dev_a20(struct device *d, bool on);
bool dev_a20_now(struct device *d);
void dev_reset_machine(struct device *d); /* takes place as soon as this instruction is over */
void dev_init_cpus(struct device *d);     /* INIT# of all CPUs: they start anew, nothing else does */
void dev_stop_machine(struct device *d, enum machine_end end, unsigned code);
/* The system timer's output, which is ISA IRQ 0 and low now, has risen n times; all but the last were missed because the
 * host was late.  It stays up.  Systems count time by these, so those that no CPU could take yet follow one by one. */
void dev_irq_ticks(struct device *d, uint64_t n);
/* The guest's read found no input, nor will it soon: perhaps it only waits.  In read() of a port. */
void dev_looked(struct device *d);
void dev_nmi(struct device *d);     /* LINT1 of every local APIC, or the CPU's NMI pin */
uint64_t dev_tsc(struct device *d); /* the machine's time stamp counter, before any vCPU's own adjustment */
uint64_t dev_tsc_khz(struct device *d);
unsigned dev_cpus(struct device *d);
/* Guest RAM as laid out by core: below 4 GiB from 0, the rest from 4 GiB. */
uint64_t dev_ram_below_4g(struct device *d);
uint64_t dev_ram_above_4g(struct device *d);
/* Another chip of this machine by its name on the board ("dma"), NULL if it is not there: for chips whose wires meet.  Its
 * header says what may be called and who takes its lock. */
struct device *dev_find(struct device *d, const char *name);
