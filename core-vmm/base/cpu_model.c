// SPDX-License-Identifier: GPL-2.0-or-later
/* cpu_model.c - see cpu_model.h.  Leaves by the SDM (Vol. 2, CPUID) and AMD's APM (Vol. 3, appendix E). */
#include "core-vmm/base/cpu_model.h"
#include <string.h>

#define BIT(n) (1u << (n))
enum { EAX, EBX, ECX, EDX };

/* ---- topology: packages of equal size, a core per vCPU, one thread per core ---- */

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
 * VMware's convention.  Where the machine has VMware's backdoor, the signature may be VMware's: open-vm-tools will not run under
 * KVM's, and Linux then asks the backdoor for the frequencies and does without measuring, too.  That ECX of leaf 0x40000010 is zero
 * says that the backdoor is reached by its port, not by VMCALL. */
/* Hyper-V's leaves (TLFS, "Feature and Interface Discovery").  What is offered is what devices/hyperv and every KVM since Linux
 * 5.0 have: not input in XMM registers, guest idle, re-enlightenment, nested enlightenments.  Hypercalls and VP index belong
 * together: without them Windows and Linux do not use the rest. */
static void hyperv(uint32_t leaf, uint32_t *r)
{
    enum { BUILD = 0x3839, VERSION = 10 << 16, SPINS = 0x1fff, MOST_CPUS = 64 };
    switch (leaf) {
    case 0x40000000:
        r[EAX] = 0x40000006;
        memcpy(&r[EBX], "Microsoft Hv", 12);
        break;
    case 0x40000001: memcpy(&r[EAX], "Hv#1", 4); break;
    case 0x40000002:
        r[EAX] = BUILD;
        r[EBX] = VERSION;
        break;
    case 0x40000003:
        /* runtime, reference counter, SynIC, timers, APIC MSRs, hypercalls, VP index, reset, TSC page, frequencies */
        r[EAX] = BIT(0) | BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(9) | BIT(11);
        r[EBX] = BIT(4) | BIT(5);            /* may post messages, signal events */
        r[EDX] = BIT(8) | BIT(10) | BIT(19); /* frequencies, crash MSRs, timers with vectors of their own */
        break;
    case 0x40000004:
        /* flush other CPUs' TLBs by hypercall, APIC by MSR, relaxed timing, no automatic EOI, IPIs by hypercall, sparse sets */
        r[EAX] = BIT(2) | BIT(3) | BIT(5) | BIT(9) | BIT(10) | BIT(11);
        r[EBX] = SPINS;
        break;
    case 0x40000005: r[EAX] = MOST_CPUS; break;
    }
}

static void hypervisor(const struct cpu_model *c, uint32_t leaf, uint32_t *r)
{
    if (c->hyperv)
        hyperv(leaf, r);
    else if (leaf == 0x40000000) {
        r[EAX] = 0x40000010;
        memcpy(&r[EBX], c->vmware ? "VMwareVMware" : "KVMKVMKVM\0\0\0", 12);
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

/* ---- x86-64-v1 to x86-64-v4 ---- */

enum {
    /* The plainest of each vendor's CPUs: Westmere; Puma, which has neither the errata of earlier families nor modules that
     * share a core, and of which systems believe what is true of every later one until Zen 3 (Retbleed).  Levels above
     * theirs have the same signature: what systems know by it of later CPUs are hazards that these have not. */
    SIGNATURE_INTEL = 0x000206c0, /* family 6, model 0x2c */
    SIGNATURE_AMD = 0x00730f01,   /* family 0x16, model 0x30 */

    X2APIC = BIT(21),
    DEADLINE = BIT(24),
    OSXSAVE = BIT(27),
    HYPERVISOR = BIT(31),
    HTT = BIT(28),
    ARAT = BIT(2),
    TSC_ADJUST = BIT(1),
    CMP_LEGACY = BIT(1),
    /* what AMD repeats of leaf 1 at 0x80000001: all but sep clflush sse sse2 */
    REPEATED = 0x0183f3ff,
    INVARIANT_TSC = BIT(8),
    LINEAR_BITS = 48,
    MOST_GPA_BITS = 40,
};

const char *const cpu_model_names[] = {"host", "x86-64-v1", "x86-64-v2", "x86-64-v3", "x86-64-v4", NULL};

/* What each level adds: the psABI's features, and what systems take for granted beside them. */
static const struct feature {
    const char *name;
    uint8_t level, word, bit;
} features[] = {
    {"fpu", 1, CPU_1_EDX, 0},       {"de", 1, CPU_1_EDX, 2},
    {"pse", 1, CPU_1_EDX, 3},       {"tsc", 1, CPU_1_EDX, 4},
    {"msr", 1, CPU_1_EDX, 5},       {"pae", 1, CPU_1_EDX, 6},
    {"mce", 1, CPU_1_EDX, 7},       {"cx8", 1, CPU_1_EDX, 8},
    {"apic", 1, CPU_1_EDX, 9},      {"sep", 1, CPU_1_EDX, 11},
    {"mtrr", 1, CPU_1_EDX, 12},     {"pge", 1, CPU_1_EDX, 13},
    {"mca", 1, CPU_1_EDX, 14},      {"cmov", 1, CPU_1_EDX, 15},
    {"pat", 1, CPU_1_EDX, 16},      {"pse36", 1, CPU_1_EDX, 17},
    {"clflush", 1, CPU_1_EDX, 19},  {"mmx", 1, CPU_1_EDX, 23},
    {"fxsr", 1, CPU_1_EDX, 24},     {"sse", 1, CPU_1_EDX, 25},
    {"sse2", 1, CPU_1_EDX, 26},     {"syscall", 1, CPU_EXT_EDX, 11},
    {"nx", 1, CPU_EXT_EDX, 20},     {"lm", 1, CPU_EXT_EDX, 29},
    {"sse3", 2, CPU_1_ECX, 0},      {"ssse3", 2, CPU_1_ECX, 9},
    {"cx16", 2, CPU_1_ECX, 13},     {"sse4.1", 2, CPU_1_ECX, 19},
    {"sse4.2", 2, CPU_1_ECX, 20},   {"popcnt", 2, CPU_1_ECX, 23},
    {"lahf", 2, CPU_EXT_ECX, 0},    {"fma", 3, CPU_1_ECX, 12},
    {"movbe", 3, CPU_1_ECX, 22},    {"xsave", 3, CPU_1_ECX, 26},
    {"avx", 3, CPU_1_ECX, 28},      {"f16c", 3, CPU_1_ECX, 29},
    {"bmi1", 3, CPU_7_EBX, 3},      {"avx2", 3, CPU_7_EBX, 5},
    {"bmi2", 3, CPU_7_EBX, 8},      {"lzcnt", 3, CPU_EXT_ECX, 5},
    {"xsaveopt", 3, CPU_D1_EAX, 0}, {"x87 state", 3, CPU_XCR0, 0},
    {"SSE state", 3, CPU_XCR0, 1},  {"AVX state", 3, CPU_XCR0, 2},
    {"avx512f", 4, CPU_7_EBX, 16},  {"avx512dq", 4, CPU_7_EBX, 17},
    {"avx512cd", 4, CPU_7_EBX, 28}, {"avx512bw", 4, CPU_7_EBX, 30},
    {"avx512vl", 4, CPU_7_EBX, 31}, {"opmask state", 4, CPU_XCR0, 5},
    {"ZMM state", 4, CPU_XCR0, 6},  {"upper ZMM state", 4, CPU_XCR0, 7},
};

static void words_of(int level, uint32_t words[CPU_WORDS])
{
    memset(words, 0, CPU_WORDS * sizeof *words);
    for (unsigned i = 0; i < G_N_ELEMENTS(features); i++)
        if (features[i].level <= level)
            words[features[i].word] |= BIT(features[i].bit);
}

const struct cpu_model_leaf *cpu_model_leaves(int level, unsigned *n)
{
    static const struct cpu_model_leaf leaves[] = {
        {0},
        {1},
        {2},
        {4, 0, true},
        {4, 1, true},
        {4, 2, true},
        {4, 3, true},
        {6},
        {7, 0, true},
        {0xb, 0, true},
        {0xb, 1, true},
        {0x40000000},
        {0x40000001},
        {0x40000002},
        {0x40000003},
        {0x40000004},
        {0x40000005},
        {0x40000006},
        {0x40000010},
        {0x80000000},
        {0x80000001},
        {0x80000002},
        {0x80000003},
        {0x80000004},
        {0x80000005},
        {0x80000006},
        {0x80000007},
        {0x80000008},
        /* v3 */
        {0xd, 0, true},
        {0xd, 1, true},
        {0xd, 2, true},
        /* v4 */
        {0xd, 5, true},
        {0xd, 6, true},
        {0xd, 7, true},
    };
    *n = level < CPU_MODEL_V3 ? 28 : level == CPU_MODEL_V3 ? 31 : 34;
    return leaves;
}

int cpu_model_parse(const char *name, GError **error)
{
    for (int i = 0; cpu_model_names[i]; i++)
        if (!strcmp(name, cpu_model_names[i]))
            return i;
    g_autofree char *all = g_strjoinv(", ", (char **)cpu_model_names);
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "There is no CPU model \"%s\"; there are: %s", name, all);
    return -1;
}

bool cpu_model_fits(int level, const uint32_t host[CPU_WORDS], GError **error)
{
    g_autoptr(GString) missing = g_string_new(NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(features); i++)
        if (features[i].level <= level && !(host[features[i].word] & BIT(features[i].bit)))
            g_string_append_printf(missing, "%s%s", missing->len ? ", " : "", features[i].name);
    if (missing->len)
        g_set_error(
            error, G_FILE_ERROR, G_FILE_ERROR_NOSYS,
            "This host's CPU is not of the CPU model %s, for it lacks %s; choose a lower level, or cpu-model = host",
            cpu_model_names[level], missing->str);
    return !missing->len;
}

static void put_vendor(const struct cpu_model *c, uint32_t *r)
{
    const char *vendor = cpu_model_is_amd(c) ? "AuthenticAMD" : "GenuineIntel"; /* the signatures are theirs */
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

uint32_t cpu_model_compact(uint32_t d1_eax, uint32_t bytes)
{
    return d1_eax & (BIT(1) | BIT(3)) ? bytes : 0; /* XSAVEC, XSAVES */
}

/* Leaf 0xd: offsets and sizes are the host's, for the host writes the area. */
static void xsave(const struct cpu_model *c, const uint32_t words[CPU_WORDS], uint32_t subleaf, uint32_t *r)
{
    uint32_t all = 576, compact = 576;
    for (unsigned i = 2; i < G_N_ELEMENTS(c->xsave); i++)
        if (words[CPU_XCR0] >> i & 1) {
            all = MAX(all, c->xsave[i].offset + c->xsave[i].size);
            compact += c->xsave[i].size;
        }
    if (subleaf == 0) {
        r[EAX] = words[CPU_XCR0];
        r[EBX] = r[ECX] = words[CPU_XCR0] ? all : 0;
    } else if (subleaf == 1) {
        r[EAX] = words[CPU_D1_EAX];
        r[EBX] = words[CPU_XCR0] ? cpu_model_compact(r[EAX], compact) : 0;
    } else if (subleaf < G_N_ELEMENTS(c->xsave) && words[CPU_XCR0] >> subleaf & 1) {
        r[EAX] = c->xsave[subleaf].size;
        r[EBX] = c->xsave[subleaf].offset;
    }
}

static void basic(const struct cpu_model *c, const uint32_t words[CPU_WORDS], uint32_t leaf, uint32_t subleaf,
                  uint32_t *r)
{
    bool amd = cpu_model_is_amd(c);
    switch (leaf) {
    case 0:
        r[EAX] = words[CPU_XCR0] ? 0xd : 0xb;
        put_vendor(c, r);
        break;
    case 1:
        r[EAX] = amd ? SIGNATURE_AMD : SIGNATURE_INTEL;
        r[EBX] = cpu_model_1_ebx(c);
        r[ECX] = words[CPU_1_ECX] | HYPERVISOR | (c->x2apic ? X2APIC : 0) | (c->deadline ? DEADLINE : 0) |
                 (words[CPU_XCR0] ? OSXSAVE : 0);
        r[EDX] = words[CPU_1_EDX] | (c->cpus > 1 ? HTT : 0);
        break;
    case 2: r[EAX] = amd ? 0 : 0x0000ff01 /* see leaf 4 */; break;
    case 4:
        if (!amd)
            caches_intel(c, subleaf, r);
        break;
    case 6: r[EAX] = ARAT; break;
    case 7: r[EBX] = subleaf == 0 ? words[CPU_7_EBX] | TSC_ADJUST : 0; break;
    case 0xd: xsave(c, words, subleaf, r); break;
    }
}

static void brand(int level, uint32_t part, uint32_t *r)
{
    char text[48] = "Terrarium x86-64-v? virtual CPU";
    *strchr(text, '?') = '0' + level;
    memcpy(r, text + part * 16, 16);
}

static void extended(const struct cpu_model *c, int level, const uint32_t words[CPU_WORDS], uint32_t leaf, uint32_t *r)
{
    bool amd = cpu_model_is_amd(c);
    switch (leaf) {
    case 0x80000000:
        r[EAX] = 0x80000008;
        if (amd)
            put_vendor(c, r);
        break;
    case 0x80000001:
        r[EAX] = amd ? SIGNATURE_AMD : 0;
        r[ECX] = words[CPU_EXT_ECX] | (amd && c->cpus > 1 ? CMP_LEGACY : 0);
        r[EDX] = words[CPU_EXT_EDX] | (amd ? words[CPU_1_EDX] & REPEATED : 0);
        break;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004: brand(level, leaf - 0x80000002, r); break;
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

void cpu_model_level(const struct cpu_model *c, int level, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    uint32_t words[CPU_WORDS];
    if (cpu_model_common(c, leaf, subleaf, out))
        return;
    words_of(level, words);
    if (leaf >= 0x80000000)
        extended(c, level, words, leaf, out);
    else
        basic(c, words, leaf, subleaf, out);
}
