// SPDX-License-Identifier: GPL-2.0-or-later
/* cpuid_table.h - what the guest's CPUID shows: shared by the files that make it. */
#pragma once
#include "core-vmm/base/cpu_model.h"
#include "patcher/interp/speculation.h"
#include "patcher/interp/system.h"
#include "patcher/vm.h"

#define BIT(n) (1u << (n))
enum { EAX, EBX, ECX, EDX };

/* Feature words. */
enum {
    F_1_ECX,
    F_1_EDX,
    F_7_EBX,
    F_7_ECX,
    F_7_EDX,
    F_7_1_EAX,
    F_7_2_EDX,
    F_EXT_ECX,
    F_EXT_EDX,
    F_XSAVE,
    F_EXT8_EBX,
    F_EXT21_EAX,
    F_EXT21_ECX,
    FEATURES
};

struct cpuid_table {
    uint32_t feature[FEATURES];
    uint32_t signature;
    char brand[48];
    uint64_t xcr0;
    struct speculation speculation;
    struct cpu_model model; /* less the index */
    int level;              /* CPU_MODEL_HOST to CPU_MODEL_V4 */
    bool amd;
    bool foreign; /* it names another maker than the host's CPU */
};

/* Takes away what needs states that a kernel does not let processes use. */
void cpuid_mask_states(uint32_t f[FEATURES], uint64_t xcr0);
uint32_t cpuid_host(uint32_t leaf, uint32_t subleaf, unsigned reg); /* 0: the host has no such leaf */

/* cpuid_maker.c: the guest's CPU has another maker than the host's */
bool cpuid_name_maker(struct cpu_model *c, enum cpu_maker maker); /* true: that changes the name */
void cpuid_change_maker(struct cpuid_table *t);
/* Leaf 4; leaves 0x80000005 and 0x80000006, of any guest. */
void cpuid_caches(const struct cpuid_table *t, const struct cpu_model *m, uint32_t subleaf, uint32_t r[4]);
void cpuid_caches_extended(const struct cpuid_table *t, uint32_t leaf, uint32_t r[4]);
