// SPDX-License-Identifier: GPL-2.0-or-later
/* cpu_model.h - the part of CPUID that the engines must agree on, so that a saved state can move between them: the
 * hypervisor's leaves and the topology, in every model, and all of the named model x86-64-v2.
 *
 * x86-64-v2 is the psABI's level of that name and what an operating system needs beside it, without XSAVE.  It is the same
 * on every host of one vendor; the vendor stays the host's, for SYSCALL and SYSENTER differ between them in ways that no
 * engine can hide. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct cpu_model {
    char vendor[12];       /* the host's, as CPUID spells it: EBX, EDX, ECX of leaf 0 */
    unsigned gpa_bits;     /* the most that host and engine can have */
    unsigned cpus, index;  /* APIC ID = index */
    uint32_t tsc_khz;      /* the guest's */
    bool x2apic, deadline; /* what the local APICs have */
};

/* A leaf, and the subleaf that its answer is for; by_index: the others of that leaf answer differently. */
struct cpu_model_leaf {
    uint32_t leaf, subleaf;
    bool by_index;
};
#define CPU_MODEL_V2_LEAVES 23
extern const struct cpu_model_leaf cpu_model_v2_leaves[CPU_MODEL_V2_LEAVES];

/* Whether a model's name is x86-64-v2; an error if it is not "host" either. */
bool cpu_model_parse(const char *name, bool *v2, GError **error);
/* The host's words of features: leaf 1 ECX and EDX, leaf 0x80000001 ECX and EDX.  false: it is below x86-64-v2. */
bool cpu_model_v2_fits(const uint32_t words[4], GError **error);
/* EAX, EBX, ECX, EDX of a leaf of x86-64-v2, as if all that software enables (OSXSAVE, the APIC) were on; zeros for what
 * it does not have. */
void cpu_model_v2(const struct cpu_model *c, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

/* ---- the same in all models ---- */

bool cpu_model_is_amd(const struct cpu_model *c);
/* Leaves 0xb and 0x40000000 to 0x4000ffff; false: another leaf. */
bool cpu_model_common(const struct cpu_model *c, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
uint32_t cpu_model_1_ebx(const struct cpu_model *c);                   /* APIC ID, number of CPUs, size of a CLFLUSH */
uint32_t cpu_model_cores_ecx(const struct cpu_model *c);               /* leaf 0x80000008 */
uint32_t cpu_model_cache_eax(const struct cpu_model *c, uint32_t eax); /* leaf 4 or 0x8000001d: who shares that cache */
