// SPDX-License-Identifier: GPL-2.0-or-later
/* platform.h - what the chipset (and only the chipset) asks of core.  Like the calls of device.h: inside a callback,
 * never blocking; a reset or stop happens after the callback has returned. */
#pragma once
#include "device.h"

/* Who answers in [gpa, gpa + bytes), inside 0xC0000-0xFFFFF and a multiple of 16 KiB: RAM, or the ROM on the ISA/PCI
 * side.  Reads and writes apart, as the PAM registers of a host bridge do; after reset both go to the ROM side. */
void dev_shadow(struct device *d, uint64_t gpa, uint64_t bytes, bool read_ram, bool write_ram);
/* The A20 gate: shut, address bit 20 of every CPU reads as 0.  The sources (8042, port 92h) are ORed by core. */
void dev_a20(struct device *d, bool open);
void dev_reset_machine(struct device *d); /* hard reset: every CPU and device */
void dev_nmi(struct device *d);           /* the NMI pin of the boot CPU, through LINT1 of its local APIC */
enum dev_stop { DEV_STOP_POWER_OFF, DEV_STOP_DEBUG };
void dev_stop_machine(struct device *d, enum dev_stop how, unsigned code); /* code: of DEV_STOP_DEBUG */
unsigned dev_cpus(struct device *d);                                       /* of the machine; in init too */
/* The guest time (dev_now) at which the time stamp counter of that vCPU reads tsc, and the counter now. */
uint64_t dev_tsc_time(struct device *d, unsigned cpu, uint64_t tsc);
uint64_t dev_tsc_now(struct device *d, unsigned cpu);
