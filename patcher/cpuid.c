// SPDX-License-Identifier: GPL-2.0-or-later
/* cpuid.c - what the guest's CPUID says: the host's answer minus what this engine does not carry, or the stable
 * baseline model x86-64-v2 (x86-64 psABI's level 2) for VMs that move between hosts. */
#include "system.h"
#include "vm.h"
#include <cpuid.h>
#include <string.h>

/* Feature words and which of their bits the engine carries. */
enum { F_1_ECX, F_1_EDX, F_7_EBX, F_7_ECX, F_7_EDX, F_7_1_EAX, F_EXT_ECX, F_EXT_EDX, F_XSAVE, F_EXT8_EBX, FEATURES };

struct cpuid_table {
    uint32_t feature[FEATURES];
    uint32_t signature;
    char vendor[13], brand[49];
    uint64_t xcr0;
    uint32_t cpus, tsc_khz;
    bool amd;
};

#define BIT(n) (1u << (n))
static const uint32_t carried[FEATURES] = {
    /* SSE3 PCLMUL SSSE3 FMA CX16 PCID SSE4.1 SSE4.2 x2APIC MOVBE POPCNT TSC-deadline AES XSAVE AVX F16C RDRAND */
    [F_1_ECX] = BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | BIT(17) | BIT(19) | BIT(20) | BIT(21) | BIT(22) |
                BIT(23) | BIT(24) | BIT(25) | BIT(26) | BIT(28) | BIT(29) | BIT(30),
    /* all but VME (1), reserved bits, PSN, DS, ACPI, SS, HTT (set by count), TM, PBE */
    [F_1_EDX] = BIT(0) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(9) | BIT(11) | BIT(12) |
                BIT(13) | BIT(14) | BIT(15) | BIT(16) | BIT(17) | BIT(19) | BIT(23) | BIT(24) | BIT(25) | BIT(26),
    /* FSGSBASE TSC_ADJUST BMI1 AVX2 SMEP BMI2 ERMS INVPCID AVX512F DQ RDSEED ADX SMAP IFMA CLFLUSHOPT CLWB CD SHA BW VL */
    [F_7_EBX] = BIT(0) | BIT(1) | BIT(3) | BIT(5) | BIT(7) | BIT(8) | BIT(9) | BIT(10) | BIT(16) | BIT(17) | BIT(18) |
                BIT(19) | BIT(20) | BIT(21) | BIT(23) | BIT(24) | BIT(28) | BIT(29) | BIT(30) | BIT(31),
    /* VBMI UMIP VBMI2 GFNI VAES VPCLMUL VNNI BITALG VPOPCNTDQ RDPID */
    [F_7_ECX] = BIT(1) | BIT(2) | BIT(6) | BIT(8) | BIT(9) | BIT(10) | BIT(11) | BIT(12) | BIT(14) | BIT(22),
    [F_7_EDX] = BIT(4) | BIT(8),   /* FSRM VP2INTERSECT */
    [F_7_1_EAX] = BIT(4) | BIT(5), /* AVX-VNNI AVX512-BF16 */
    /* LAHF64 ABM SSE4A misaligned-SSE prefetchw */
    [F_EXT_ECX] = BIT(0) | BIT(5) | BIT(6) | BIT(7) | BIT(8),
    /* SYSCALL NX MMXEXT FXSR FFXSR 1GB RDTSCP LM and the copies of leaf 1 */
    [F_EXT_EDX] = 0x0183fbfd | BIT(11) | BIT(20) | BIT(22) | BIT(24) | BIT(26) | BIT(27) | BIT(29),
    [F_XSAVE] = BIT(0) | BIT(1) | BIT(2), /* XSAVEOPT XSAVEC XGETBV(1) */
    [F_EXT8_EBX] = BIT(9),                /* WBNOINVD */
};

static const uint32_t baseline[FEATURES] = {
    [F_1_ECX] = BIT(0) | BIT(9) | BIT(13) | BIT(19) | BIT(20) | BIT(21) | BIT(23) | BIT(24),
    [F_1_EDX] = ~0u,
    [F_7_EBX] = BIT(1),
    [F_EXT_ECX] = BIT(0),
    [F_EXT_EDX] = ~0u & ~BIT(26),
};

static uint32_t host(uint32_t leaf, uint32_t subleaf, unsigned reg)
{
    uint32_t r[4] = {0};
    if (__get_cpuid_max(leaf & 0x80000000, NULL) >= leaf)
        __cpuid_count(leaf, subleaf, r[0], r[1], r[2], r[3]);
    return r[reg];
}

enum { EAX, EBX, ECX, EDX };

static void read_features(uint32_t *f)
{
    f[F_1_ECX] = host(1, 0, ECX) | BIT(21) | BIT(24); /* x2APIC and TSC deadline are the machine's */
    f[F_1_EDX] = host(1, 0, EDX);
    f[F_7_EBX] = host(7, 0, EBX) | BIT(1) | BIT(7) | BIT(10) | BIT(20) | BIT(0);
    f[F_7_ECX] = host(7, 0, ECX) | BIT(2);
    f[F_7_EDX] = host(7, 0, EDX);
    f[F_7_1_EAX] = host(7, 1, EAX);
    f[F_EXT_ECX] = host(0x80000001, 0, ECX);
    f[F_EXT_EDX] = host(0x80000001, 0, EDX) | BIT(26);
    f[F_XSAVE] = host(0xd, 1, EAX);
    f[F_EXT8_EBX] = host(0x80000008, 0, EBX);
}

struct cpuid_table *cpuid_new(const struct cpu_vm *vm)
{
    struct cpuid_table *t = g_new0(struct cpuid_table, 1);
    uint32_t r[4];
    bool stable = vm->model && !strcmp(vm->model, "x86-64-v2");
    read_features(t->feature);
    for (unsigned i = 0; i < FEATURES; i++)
        t->feature[i] &= carried[i] & (stable ? baseline[i] : ~0u);
    t->cpus = vm->cpus;
    t->tsc_khz = vm->tsc_khz;
    t->xcr0 = 0;
    if (t->feature[F_1_ECX] & BIT(26)) {
        uint64_t offered = host(0xd, 0, EAX);
        t->xcr0 = 3 | (t->feature[F_1_ECX] & BIT(28) ? offered & 4 : 0) |
                  (t->feature[F_7_EBX] & BIT(16) ? offered & 0xe0 : 0);
    }
    __cpuid(0, r[0], r[1], r[2], r[3]);
    memcpy(t->vendor, &r[1], 4);
    memcpy(t->vendor + 4, &r[3], 4);
    memcpy(t->vendor + 8, &r[2], 4);
    t->signature = host(1, 0, EAX);
    if (stable) {
        t->signature = 0x000206c0; /* a plain 64-bit family 6 */
        strcpy(t->brand, "Terrarium x86-64-v2 virtual CPU");
    } else
        for (unsigned i = 0; i < 3; i++)
            for (unsigned j = 0; j < 4; j++) {
                uint32_t v = host(0x80000002 + i, 0, j);
                memcpy(t->brand + i * 16 + j * 4, &v, 4);
            }
    t->amd = !strcmp(t->vendor, "AuthenticAMD");
    return t;
}

uint64_t xcr0_supported(struct vcpu *c)
{
    return c->vm->cpuid->xcr0;
}

bool cpuid_is_amd(const struct vcpu *c)
{
    return c->vm->cpuid->amd;
}

bool cpuid_has_random(const struct vcpu *c, bool seed)
{
    return seed ? c->vm->cpuid->feature[F_7_EBX] & BIT(18) : c->vm->cpuid->feature[F_1_ECX] & BIT(30);
}

uint64_t cpuid_cr4_bits(const struct vcpu *c)
{
    const uint32_t *f = c->vm->cpuid->feature;
    uint64_t always = CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMM;
    return always | (f[F_1_ECX] & BIT(17) ? CR4_PCIDE : 0) | (f[F_1_ECX] & BIT(26) ? CR4_OSXSAVE : 0) |
           (f[F_7_EBX] & BIT(0) ? CR4_FSGS : 0) | (f[F_7_EBX] & BIT(7) ? CR4_SMEP : 0) |
           (f[F_7_EBX] & BIT(20) ? CR4_SMAP : 0) | (f[F_7_ECX] & BIT(2) ? CR4_UMIP : 0);
}

static unsigned bits_for(unsigned n) /* least b with 1 << b >= n */
{
    unsigned b = 0;
    while (1u << b < n)
        b++;
    return b;
}

static void leaf_1(struct vcpu *c, const struct cpuid_table *t, uint32_t *r)
{
    r[EAX] = t->signature;
    r[EBX] = c->index << 24 | (t->cpus > 1 ? 1u << bits_for(t->cpus) << 16 : 0x10000) | 8 << 8; /* CLFLUSH 64 bytes */
    r[ECX] = t->feature[F_1_ECX] | BIT(31) | (c->cr4 & CR4_OSXSAVE ? BIT(27) : 0);
    r[EDX] = t->feature[F_1_EDX] | (t->cpus > 1 ? BIT(28) : 0);
    if (!(c->apic_base & 1 << 11)) /* a disabled local APIC is not there */
        r[EDX] &= ~BIT(9);
}

/* Offset and size of an XSAVE component are the host's: the area in memory is the host's format. */
static void leaf_xsave(struct vcpu *c, const struct cpuid_table *t, uint32_t sub, uint32_t *r)
{
    if (!t->xcr0)
        return;
    if (sub == 0) {
        uint32_t most = 576, now = 576;
        for (unsigned i = 2; i < 32; i++) {
            uint32_t end = host(0xd, i, EAX) + host(0xd, i, EBX);
            if (t->xcr0 >> i & 1 && end > most)
                most = end;
            if (c->xcr0 >> i & 1 && end > now)
                now = end;
        }
        r[EAX] = t->xcr0;
        r[EBX] = now;
        r[ECX] = most;
    } else if (sub == 1) {
        uint32_t size = 576;
        for (unsigned i = 2; i < 32; i++)
            if (c->xcr0 >> i & 1)
                size = (host(0xd, i, ECX) & 2 ? (size + 63) & ~63u : size) + host(0xd, i, EAX);
        r[EAX] = t->feature[F_XSAVE];
        r[EBX] = size;
    } else if (sub < 32 && t->xcr0 >> sub & 1)
        for (unsigned i = 0; i < 3; i++)
            r[i] = host(0xd, sub, i);
}

static void leaf_topology(struct vcpu *c, const struct cpuid_table *t, uint32_t sub, uint32_t *r)
{
    r[ECX] = sub & 0xff;
    r[EDX] = c->index;
    if (sub == 0) { /* threads of a core: one */
        r[EBX] = 1;
        r[ECX] |= 1 << 8;
    } else if (sub == 1) {
        r[EAX] = bits_for(t->cpus);
        r[EBX] = t->cpus;
        r[ECX] |= 2 << 8;
    }
}

static void leaf_cache_intel(const struct cpuid_table *t, uint32_t sub, uint32_t *r)
{
    uint32_t h = host(4, sub, EAX);
    if (!(h & 31))
        return;
    unsigned level = h >> 5 & 7;
    uint32_t sharing = level >= 3 ? t->cpus - 1 : 0;
    r[EAX] = (h & 0x3fff) | sharing << 14 | (t->cpus - 1) << 26;
    for (unsigned i = 1; i < 4; i++)
        r[i] = host(4, sub, i);
}

static void basic(struct vcpu *c, const struct cpuid_table *t, uint32_t leaf, uint32_t sub, uint32_t *r)
{
    switch (leaf) {
    case 0:
        r[EAX] = 0x16;
        memcpy(&r[EBX], t->vendor, 4);
        memcpy(&r[EDX], t->vendor + 4, 4);
        memcpy(&r[ECX], t->vendor + 8, 4);
        break;
    case 1: leaf_1(c, t, r); break;
    case 2: r[EAX] = t->amd ? 0 : 0x00feff01; break;
    case 4:
        if (!t->amd)
            leaf_cache_intel(t, sub, r);
        break;
    case 6: r[EAX] = BIT(2); break; /* the APIC timer always runs */
    case 7:
        if (sub == 0) {
            r[EAX] = 1;
            r[EBX] = t->feature[F_7_EBX];
            r[ECX] = t->feature[F_7_ECX];
            r[EDX] = t->feature[F_7_EDX];
        } else if (sub == 1)
            r[EAX] = t->feature[F_7_1_EAX];
        break;
    case 0xb: leaf_topology(c, t, sub, r); break;
    case 0xd: leaf_xsave(c, t, sub, r); break;
    case 0x15:
        if (!t->amd) { /* TSC = 1 kHz crystal times this: exact */
            r[EAX] = 1;
            r[EBX] = t->tsc_khz;
            r[ECX] = 1000;
        }
        break;
    case 0x16:
        if (!t->amd)
            r[EAX] = r[EBX] = t->tsc_khz / 1000;
        break;
    }
}

static void extended(struct vcpu *c, const struct cpuid_table *t, uint32_t leaf, uint32_t *r)
{
    switch (leaf) {
    case 0x80000000:
        r[EAX] = t->amd ? 0x80000021 : 0x80000008;
        memcpy(&r[EBX], t->vendor, 4);
        memcpy(&r[EDX], t->vendor + 4, 4);
        memcpy(&r[ECX], t->vendor + 8, 4);
        break;
    case 0x80000001:
        r[EAX] = t->signature;
        r[ECX] = t->feature[F_EXT_ECX] | (t->amd && t->cpus > 1 ? BIT(1) : 0);
        r[EDX] = t->feature[F_EXT_EDX];
        break;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004: memcpy(r, t->brand + (leaf - 0x80000002) * 16, 16); break;
    case 0x80000005:
    case 0x80000006:
        for (unsigned i = 0; i < 4; i++)
            r[i] = host(leaf, 0, i);
        break;
    case 0x80000007: r[EDX] = BIT(8); break; /* invariant TSC */
    case 0x80000008:
        r[EAX] = GPA_BITS | 48 << 8;
        r[EBX] = t->feature[F_EXT8_EBX];
        r[ECX] = t->amd ? (t->cpus - 1) | bits_for(t->cpus) << 12 : 0;
        break;
    case 0x80000021: r[EAX] = BIT(2) | BIT(6); break; /* LFENCE serialises; a null selector clears the base */
    }
}

/* Hypervisor leaves.  The signature is that of KVM's published guest interface, with none of its features: systems that
 * know it do not measure whether timer interrupts come in time (on a busy host they may not) and use x2APIC without
 * interrupt remapping.  Leaf 0x40000010 has the frequencies, by VMware's convention. */
static void hypervisor(const struct cpuid_table *t, uint32_t leaf, uint32_t *r)
{
    if (leaf == 0x40000000) {
        r[EAX] = 0x40000010;
        memcpy(&r[EBX], "KVMKVMKVM\0\0\0", 12);
    } else if (leaf == 0x40000010) {
        r[EAX] = t->tsc_khz;
        r[EBX] = 1000000; /* local APIC timer: kHz */
    }
}

void cpuid(struct vcpu *c, uint32_t leaf, uint32_t sub, uint32_t out[4])
{
    const struct cpuid_table *t = c->vm->cpuid;
    memset(out, 0, 16);
    if (leaf >> 16 == 0x4000)
        hypervisor(t, leaf, out);
    else if (leaf >= 0x80000000)
        extended(c, t, leaf, out);
    else
        basic(c, t, leaf, sub, out);
}
