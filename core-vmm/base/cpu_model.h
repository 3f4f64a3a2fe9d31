// SPDX-License-Identifier: GPL-2.0-or-later
/* cpu_model.h - the part of CPUID that the engines must agree on, so that a saved state can move between them: the
 * hypervisor's leaves and the topology, in every model, and all of the named models x86-64-v1 to x86-64-v4.
 *
 * Those are the psABI's levels of these names and what an operating system needs beside them.  Each is the same on every host
 * of one kind, and the instructions are the same on all hosts; the kind stays the host's, for SYSCALL and SYSENTER differ
 * between makers in ways that no engine can hide.  There are two kinds: AMD and Hygon, and everybody else, who do as Intel
 * does. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct cpu_model {
    char vendor[12];       /* the host's, as CPUID spells it: EBX, EDX, ECX of leaf 0 */
    unsigned gpa_bits;     /* the most that host and engine can have */
    unsigned cpus, index;  /* in a package, a power of two if there are several; APIC ID = index, in all of them */
    uint32_t tsc_khz;      /* the guest's */
    bool x2apic, deadline; /* what the local APICs have */
    bool vmware, hyperv;   /* the hypervisor's signature is VMware's, or Microsoft's; else KVM's */
    struct {
        uint32_t size, offset;
    } xsave[8]; /* from 2: where the host's XSAVE has AVX (2) and AVX-512 (5 to 7), by its leaf 0xd; levels 3 and 4 */
};

/* A leaf, and the subleaf that its answer is for; by_index: the others of that leaf answer differently. */
struct cpu_model_leaf {
    uint32_t leaf, subleaf;
    bool by_index;
};

enum { CPU_MODEL_HOST, CPU_MODEL_V1, CPU_MODEL_V2, CPU_MODEL_V3, CPU_MODEL_V4 };
extern const char *const cpu_model_names[]; /* by that number; NULL at the end */

/* Words of features: EAX to EDX of a leaf as the name says. */
enum { CPU_1_ECX, CPU_1_EDX, CPU_7_EBX, CPU_EXT_ECX, CPU_EXT_EDX, CPU_D1_EAX, CPU_XCR0, CPU_WORDS };

/* The number of a model by its name; -1 and an error: there is none. */
int cpu_model_parse(const char *name, GError **error);
/* The leaves of a level that have anything to say; *n of them. */
const struct cpu_model_leaf *cpu_model_leaves(int level, unsigned *n);
/* Whether a host with these features is of that level; the error names what it lacks. */
bool cpu_model_fits(int level, const uint32_t host[CPU_WORDS], GError **error);
/* EAX, EBX, ECX, EDX of a leaf of a level, as if all that software enables (OSXSAVE, XCR0, the APIC) were on; zeros for
 * what it does not have. */
void cpu_model_level(const struct cpu_model *c, int level, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

/* ---- the same in all models ---- */

/* APIC IDs are counted through, so a package has a power of two of them. */
static inline bool cpu_packages_fit(unsigned cpus, unsigned packages)
{
    unsigned each = packages ? cpus / packages : 0;
    return each && each * packages == cpus && (packages == 1 || !(each & (each - 1)));
}
#define CPU_PACKAGES_UNFIT "%u CPUs cannot be spread over that many packages, each with the same power of two of them"

bool cpu_model_is_amd(const struct cpu_model *c); /* or Hygon, which does the same */
/* Leaves 0xb and 0x40000000 to 0x4000ffff; false: another leaf. */
bool cpu_model_common(const struct cpu_model *c, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
/* Leaf 0xd, subleaf 1, EBX, of a CPU whose EAX is that, where the compacted format would take so many bytes: zero without an
 * instruction that knows that format (SDM Vol. 2, "CPUID"; KVM and hardware do so). */
uint32_t cpu_model_compact(uint32_t d1_eax, uint32_t bytes);
uint32_t cpu_model_1_ebx(const struct cpu_model *c);                   /* APIC ID, number of CPUs, size of a CLFLUSH */
uint32_t cpu_model_cores_ecx(const struct cpu_model *c);               /* leaf 0x80000008 */
uint32_t cpu_model_cache_eax(const struct cpu_model *c, uint32_t eax); /* leaf 4 or 0x8000001d: who shares that cache */
