// SPDX-License-Identifier: GPL-2.0-or-later
/* cpu_model.c - see cpu_model.h.  Leaves by the SDM (Vol. 2, CPUID) and AMD's APM (Vol. 3, appendix E). */
#include "cpu_model.h"
#include <string.h>

#define BIT(n) (1u << (n))
enum { EAX, EBX, ECX, EDX };

/* ---- topology: one package, a core per vCPU, one thread per core ---- */

static unsigned id_bits(unsigned cpus) /* least b with 1 << b >= cpus */
{
    return cpus > 1 ? 32 - __builtin_clz(cpus - 1) : 0;
}

bool cpu_model_is_amd(const struct cpu_model *c)
{
    return !memcmp(c->vendor, "AuthenticAMD", 12) || !memcmp(c->vendor, "HygonGenuine", 12);
}

uint32_t cpu_model_1_ebx(const struct cpu_model *c)
{
    unsigned ids = cpu_model_is_amd(c) ? c->cpus : 1u << id_bits(c->cpus); /* AMD: processors; Intel: IDs set aside */
    return c->index << 24 | (ids & 0xff) << 16 | 64 / 8 << 8;
}

uint32_t cpu_model_cores_ecx(const struct cpu_model *c)
{
    return cpu_model_is_amd(c) ? (c->cpus - 1) | id_bits(c->cpus) << 12 : 0;
}

/* The last level belongs to the package, the others to a core. */
uint32_t cpu_model_cache_eax(const struct cpu_model *c, uint32_t eax)
{
    unsigned level = eax >> 5 & 7, sharing = level >= 3 ? c->cpus - 1 : 0;
    if (!(eax & 31))
        return eax;
    eax = (eax & 0x3fff) | sharing << 14;
    return cpu_model_is_amd(c) ? eax : eax | (BIT(id_bits(c->cpus)) - 1) << 26;
}

static void topology(const struct cpu_model *c, uint32_t subleaf, uint32_t *r)
{
    enum { THREAD = 1 << 8, CORE = 2 << 8 };
    r[ECX] = subleaf & 0xff;
    r[EDX] = c->index;
    if (subleaf == 0) {
        r[EBX] = 1;
        r[ECX] |= THREAD;
    } else if (subleaf == 1) {
        r[EAX] = id_bits(c->cpus);
        r[EBX] = c->cpus;
        r[ECX] |= CORE;
    }
}

/* ---- the hypervisor ---- */

/* The signature is that of KVM's published guest interface, with none of its features (leaf 0x40000001 is zero): systems
 * that know it do not measure whether timer interrupts come in time (on a busy host they may not), do not wait after port
 * I/O for devices that need no wait, spin with the hypervisor in mind, and use x2APIC without interrupt remapping.  Of the
 * features none is offered: the engines could not carry them to each other.  Leaf 0x40000010 has the frequencies, by
 * VMware's convention. */
static void hypervisor(const struct cpu_model *c, uint32_t leaf, uint32_t *r)
{
    if (leaf == 0x40000000) {
        r[EAX] = 0x40000010;
        memcpy(&r[EBX], "KVMKVMKVM\0\0\0", 12);
    } else if (leaf == 0x40000010) {
        r[EAX] = c->tsc_khz;
        r[EBX] = 1000000; /* local APIC timer: kHz */
    }
}

bool cpu_model_common(const struct cpu_model *c, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    memset(out, 0, 16);
    if (leaf == 0xb)
        topology(c, subleaf, out);
    else if (leaf >> 16 == 0x4000)
        hypervisor(c, leaf, out);
    else
        return false;
    return true;
}

/* ---- x86-64-v2 ---- */

enum {
    /* The plainest of each vendor's CPUs at that level: Westmere; Puma, which has neither the errata of earlier families
     * nor modules that share a core, and of which systems believe what is true of every later one until Zen 3 (Retbleed). */
    SIGNATURE_INTEL = 0x000206c0, /* family 6, model 0x2c */
    SIGNATURE_AMD = 0x00730f01,   /* family 0x16, model 0x30 */

    /* sse3 ssse3 cx16 sse4.1 sse4.2 popcnt */
    F_1_ECX = BIT(0) | BIT(9) | BIT(13) | BIT(19) | BIT(20) | BIT(23),
    X2APIC = BIT(21),
    DEADLINE = BIT(24),
    HYPERVISOR = BIT(31),
    /* fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 */
    F_1_EDX = 0x078bfbfd,
    HTT = BIT(28),
    ARAT = BIT(2),
    TSC_ADJUST = BIT(1),
    LAHF = BIT(0),
    CMP_LEGACY = BIT(1),
    /* syscall nx lm */
    F_EXT_EDX = BIT(11) | BIT(20) | BIT(29),
    /* what AMD repeats there of leaf 1: all but sep clflush sse sse2 */
    F_EXT_EDX_AMD = F_1_EDX & ~(BIT(11) | BIT(19) | BIT(25) | BIT(26)),
    INVARIANT_TSC = BIT(8),
    LINEAR_BITS = 48,
    MOST_GPA_BITS = 40,
};

const struct cpu_model_leaf cpu_model_v2_leaves[CPU_MODEL_V2_LEAVES] = {
    {0},          {1},          {2},          {4, 0, true},   {4, 1, true},   {4, 2, true},
    {4, 3, true}, {6},          {7, 0, true}, {0xb, 0, true}, {0xb, 1, true}, {0x40000000},
    {0x40000001}, {0x40000010}, {0x80000000}, {0x80000001},   {0x80000002},   {0x80000003},
    {0x80000004}, {0x80000005}, {0x80000006}, {0x80000007},   {0x80000008},
};

bool cpu_model_parse(const char *name, bool *v2, GError **error)
{
    *v2 = !strcmp(name, "x86-64-v2");
    if (*v2 || !strcmp(name, "host"))
        return true;
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "There is no CPU model \"%s\"; there are host and x86-64-v2",
                name);
    return false;
}

bool cpu_model_v2_fits(const uint32_t words[4], GError **error)
{
    static const uint32_t needed[4] = {F_1_ECX, F_1_EDX, LAHF, F_EXT_EDX};
    uint32_t missing = 0;
    for (unsigned i = 0; i < 4; i++)
        missing |= needed[i] & ~words[i];
    if (missing)
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSYS,
                    "The CPU model x86-64-v2 has instructions that this host has not; there is cpu-model = host");
    return !missing;
}

static void put_vendor(const struct cpu_model *c, uint32_t *r)
{
    const char *vendor = cpu_model_is_amd(c) ? "AuthenticAMD" : c->vendor; /* Hygon has made nothing of this level */
    memcpy(&r[EBX], vendor, 4);
    memcpy(&r[EDX], vendor + 4, 4);
    memcpy(&r[ECX], vendor + 8, 4);
}

/* Intel: L1 data and code of 32 KiB, L2 of 256 KiB, L3 of 8 MiB. */
static void caches_intel(const struct cpu_model *c, uint32_t subleaf, uint32_t *r)
{
    enum { DATA = 1, CODE = 2, BOTH = 3, LEVEL = 1 << 5, SELF_INIT = 1 << 8 };
    static const struct {
        uint32_t eax, ways, sets, edx;
    } cache[] = {{DATA | 1 * LEVEL | SELF_INIT, 8, 64, 0},
                 {CODE | 1 * LEVEL | SELF_INIT, 4, 128, 0},
                 {BOTH | 2 * LEVEL | SELF_INIT, 8, 512, 0},
                 {BOTH | 3 * LEVEL | SELF_INIT, 16, 8192, BIT(1) /* inclusive */}};
    if (subleaf >= G_N_ELEMENTS(cache))
        return;
    r[EAX] = cpu_model_cache_eax(c, cache[subleaf].eax);
    r[EBX] = (cache[subleaf].ways - 1) << 22 | (64 - 1);
    r[ECX] = cache[subleaf].sets - 1;
    r[EDX] = cache[subleaf].edx;
}

static void basic(const struct cpu_model *c, uint32_t leaf, uint32_t subleaf, uint32_t *r)
{
    bool amd = cpu_model_is_amd(c);
    switch (leaf) {
    case 0:
        r[EAX] = 0xb;
        put_vendor(c, r);
        break;
    case 1:
        r[EAX] = amd ? SIGNATURE_AMD : SIGNATURE_INTEL;
        r[EBX] = cpu_model_1_ebx(c);
        r[ECX] = F_1_ECX | HYPERVISOR | (c->x2apic ? X2APIC : 0) | (c->deadline ? DEADLINE : 0);
        r[EDX] = F_1_EDX | (c->cpus > 1 ? HTT : 0);
        break;
    case 2: r[EAX] = amd ? 0 : 0x0000ff01 /* see leaf 4 */; break;
    case 4:
        if (!amd)
            caches_intel(c, subleaf, r);
        break;
    case 6: r[EAX] = ARAT; break;
    case 7: r[EBX] = subleaf == 0 ? TSC_ADJUST : 0; break;
    }
}

static void extended(const struct cpu_model *c, uint32_t leaf, uint32_t *r)
{
    static const char brand[48] = "Terrarium x86-64-v2 virtual CPU";
    bool amd = cpu_model_is_amd(c);
    switch (leaf) {
    case 0x80000000:
        r[EAX] = 0x80000008;
        if (amd)
            put_vendor(c, r);
        break;
    case 0x80000001:
        r[EAX] = amd ? SIGNATURE_AMD : 0;
        r[ECX] = LAHF | (amd && c->cpus > 1 ? CMP_LEGACY : 0);
        r[EDX] = F_EXT_EDX | (amd ? F_EXT_EDX_AMD : 0);
        break;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004: memcpy(r, brand + (leaf - 0x80000002) * 16, 16); break;
    case 0x80000005: /* L1: 32 KiB each, 8 and 2 ways */
        r[ECX] = amd ? 32 << 24 | 8 << 16 | 1 << 8 | 64 : 0;
        r[EDX] = amd ? 32 << 24 | 2 << 16 | 1 << 8 | 64 : 0;
        break;
    case 0x80000006: /* L2: AMD 512 KiB, Intel 256 KiB; 8 ways, which is code 6 */
        r[ECX] = amd ? 512 << 16 | 6 << 12 | 1 << 8 | 64 : 256 << 16 | 6 << 12 | 64;
        break;
    case 0x80000007: r[EDX] = INVARIANT_TSC; break;
    case 0x80000008:
        r[EAX] = MIN(c->gpa_bits, MOST_GPA_BITS) | LINEAR_BITS << 8;
        r[ECX] = cpu_model_cores_ecx(c);
        break;
    }
}

void cpu_model_v2(const struct cpu_model *c, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    if (cpu_model_common(c, leaf, subleaf, out))
        return;
    if (leaf >= 0x80000000)
        extended(c, leaf, out);
    else
        basic(c, leaf, subleaf, out);
}
