// SPDX-License-Identifier: GPL-2.0-or-later
/* hwaccel_tests.h - the groups of tests, and the guests they run (guests.S). */
#pragma once
#include "hwaccel/hwaccel.h"
#include "tests/hwaccel/bare_machine.h"

typedef void (*engine_test)(const struct cpu_engine *engine);
/* Both kinds of engine, or only the one with the local APICs in the kernel. */
void add_test(const char *path, engine_test fn);
void add_split_test(const char *path, engine_test fn);
/* Both; needs a software engine as well, and is skipped where that does not run. */
void add_software_test(const char *path, engine_test fn);
void add_exit_tests(void);
void add_memory_tests(void);
void add_interrupt_tests(void);
void add_state_tests(void);
void add_time_tests(void);
void add_cpuid_tests(void);

#define RESULT 0x600
#define CODE   0x8000

#define GUEST(name) extern const uint8_t name[], name##_end[]
GUEST(g_ports);
GUEST(g_registers);
GUEST(g_mmio);
GUEST(g_long);
GUEST(g_spin);
GUEST(g_halt16);
GUEST(g_count16);
GUEST(g_busy16);
GUEST(g_window16);
GUEST(g_apic);
GUEST(g_apic_count);
GUEST(g_nmi);
GUEST(g_cr8);
GUEST(g_bsp);
GUEST(g_ap);
GUEST(g_dirty);
GUEST(g_readonly);
GUEST(g_remap);
GUEST(g_sum);
GUEST(g_triple);
GUEST(g_jump_nowhere);
GUEST(g_work);
GUEST(g_modes);
GUEST(g_tsc);
GUEST(g_read_msr);
GUEST(g_wrtsc);
GUEST(g_pvclock);
