// SPDX-License-Identifier: GPL-2.0-or-later
/* cpuid.c - what the guest's CPUID says.  Model host: the host's answer minus what this engine does not carry.  The
 * hypervisor's leaves, the topology and the models x86-64-v1 to -v4 are those of core-vmm/base/cpu_model.c, in which all engines
 * agree. */
#include "patcher/interp/cpuid_table.h"
#include "core-vmm/base/host_cpu.h"
#include "patcher/interp/system.h"
#include <string.h>

/* Which bits of the feature words the engine carries. */
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

uint32_t cpuid_host(uint32_t leaf, uint32_t subleaf, unsigned reg)
{
    uint32_t r[4];
    host_cpuid(leaf, subleaf, r);
    return r[reg];
}

/* What needs a state that is not there: by its vectors of 256 bits, and of 512. */
static const uint32_t avx[FEATURES] = {
    [F_1_ECX] = BIT(12) | BIT(28) | BIT(29), /* FMA AVX F16C */
    [F_7_EBX] = BIT(5),                      /* AVX2 */
    [F_7_ECX] = BIT(9) | BIT(10),            /* VAES VPCLMUL */
    [F_7_1_EAX] = BIT(4),                    /* AVX-VNNI */
};
static const uint32_t avx512[FEATURES] = {
    [F_7_EBX] = BIT(16) | BIT(17) | BIT(21) | BIT(28) | BIT(30) | BIT(31), /* F DQ IFMA CD BW VL */
    [F_7_ECX] = BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14),             /* VBMI VBMI2 VNNI BITALG VPOPCNTDQ */
    [F_7_EDX] = BIT(8),                                                    /* VP2INTERSECT */
    [F_7_1_EAX] = BIT(5),                                                  /* BF16 */
};

void cpuid_mask_states(uint32_t f[FEATURES], uint64_t xcr0)
{
    bool ymm = (xcr0 & 7) == 7, zmm = ymm && (xcr0 & 0xe0) == 0xe0;
    if (!xcr0)
        f[F_1_ECX] &= ~BIT(26); /* XSAVE */
    for (unsigned i = 0; i < FEATURES; i++)
        f[i] &= ~((ymm ? 0 : avx[i]) | (zmm ? 0 : avx512[i]));
}

static void read_features(uint32_t *f, const struct host_cpu *h)
{
    f[F_1_ECX] = cpuid_host(1, 0, ECX) | BIT(21) | BIT(24); /* x2APIC and TSC deadline are the machine's */
    f[F_1_EDX] = cpuid_host(1, 0, EDX);
    f[F_7_EBX] = cpuid_host(7, 0, EBX) | BIT(1) | BIT(7) | BIT(10) | BIT(20) | BIT(0);
    f[F_7_ECX] = cpuid_host(7, 0, ECX) | BIT(2);
    f[F_7_EDX] = cpuid_host(7, 0, EDX);
    f[F_7_1_EAX] = cpuid_host(7, 1, EAX);
    f[F_EXT_ECX] = cpuid_host(0x80000001, 0, ECX);
    f[F_EXT_EDX] = cpuid_host(0x80000001, 0, EDX) | BIT(26);
    f[F_XSAVE] = cpuid_host(0xd, 1, EAX);
    f[F_EXT8_EBX] = cpuid_host(0x80000008, 0, EBX);
    cpuid_mask_states(f, h->xcr0);
}

static struct cpu_model describe(const struct cpu_vm *vm, const struct host_cpu *h)
{
    struct cpu_model c = {
        .gpa_bits = MIN(GPA_BITS, h->gpa_bits),
        .cpus = vm->cpus / MAX(vm->sockets, 1),
        .tsc_khz = vm->tsc_khz,
        .vmware = vm->vmware,
        .hyperv = vm->hyperv,
        .x2apic = true,
        .deadline = true,
    };
    memcpy(c.vendor, h->vendor, sizeof c.vendor);
    for (unsigned i = 2; i < G_N_ELEMENTS(c.xsave); i++) {
        c.xsave[i].size = h->component[i].bytes;
        c.xsave[i].offset = h->component[i].offset;
    }
    return c;
}

static uint32_t level_word(const struct cpuid_table *t, uint32_t leaf, uint32_t subleaf, unsigned reg)
{
    uint32_t r[4];
    cpu_model_level(&t->model, t->level, leaf, subleaf, r);
    return r[reg];
}

static void be_level(struct cpuid_table *t)
{
    memset(t->feature, 0, sizeof t->feature);
    t->feature[F_1_ECX] = level_word(t, 1, 0, ECX);
    t->feature[F_1_EDX] = level_word(t, 1, 0, EDX);
    t->feature[F_7_EBX] = level_word(t, 7, 0, EBX);
    t->feature[F_EXT_ECX] = level_word(t, 0x80000001, 0, ECX);
    t->feature[F_EXT_EDX] = level_word(t, 0x80000001, 0, EDX);
    t->feature[F_XSAVE] = level_word(t, 0xd, 1, EAX);
    t->xcr0 = level_word(t, 0xd, 0, EAX);
}

static bool level_fits(const struct cpuid_table *t, const struct host_cpu *h, GError **error)
{
    const uint32_t words[CPU_WORDS] = {
        [CPU_1_ECX] = t->feature[F_1_ECX],
        [CPU_1_EDX] = t->feature[F_1_EDX],
        [CPU_7_EBX] = t->feature[F_7_EBX],
        [CPU_EXT_ECX] = t->feature[F_EXT_ECX],
        [CPU_EXT_EDX] = t->feature[F_EXT_EDX],
        [CPU_D1_EAX] = t->feature[F_XSAVE],
        [CPU_XCR0] = h->xcr0,
    };
    return cpu_model_fits(t->level, words, error);
}

static void be_host(struct cpuid_table *t, const struct host_cpu *h)
{
    for (unsigned i = 0; i < FEATURES; i++)
        t->feature[i] &= carried[i];
    if (t->feature[F_1_ECX] & BIT(26)) {
        t->xcr0 = 3 | (t->feature[F_1_ECX] & BIT(28) ? 4 : 0) | (t->feature[F_7_EBX] & BIT(16) ? 0xe0 : 0);
    }
    t->signature = h->signature;
    for (unsigned i = 0; i < 12; i++) {
        uint32_t part = cpuid_host(0x80000002 + i / 4, 0, i % 4);
        memcpy(t->brand + 4 * i, &part, 4);
    }
}

/* Hazards of speculation, after cpuid_change_maker(). */
static void add_speculation(struct cpuid_table *t)
{
    struct cpu_risks risks;
    const struct speculation_host host = {cpuid_host(7, 0, EDX), cpuid_host(7, 2, EDX), cpuid_host(0x80000021, 0, EAX)};
    struct speculation *s = &t->speculation;
    cpu_risks_read(&risks, CPU_RISKS_FOLDER);
    speculation_offer(s, &risks, &host, t->amd);
    t->feature[F_7_EDX] |= s->f7_edx;
    t->feature[F_7_2_EDX] |= s->f7_2_edx;
    t->feature[F_EXT8_EBX] |= s->f8_ebx;
    t->feature[F_EXT21_EAX] |= s->f21_eax;
    t->feature[F_EXT21_ECX] |= s->f21_ecx;
}

struct cpuid_table *cpuid_new(const struct cpu_vm *vm, const struct host_cpu *h, enum cpu_maker maker, GError **error)
{
    g_autofree struct cpuid_table *t = g_new0(struct cpuid_table, 1);
    t->level = vm->model ? cpu_model_parse(vm->model, error) : CPU_MODEL_HOST;
    if (t->level < 0)
        return NULL;
    read_features(t->feature, h);
    if (t->level && !level_fits(t, h, error))
        return NULL;
    t->model = describe(vm, h);
    t->foreign = cpuid_name_maker(&t->model, maker);
    t->amd = cpu_model_is_amd(&t->model);
    if (t->level)
        be_level(t);
    else
        be_host(t, h);
    if (t->foreign && !t->level)
        cpuid_change_maker(t);
    if (!t->level)
        add_speculation(t);
    return g_steal_pointer(&t);
}

const struct speculation *cpuid_speculation(const struct vcpu *c)
{
    return &c->vm->cpuid->speculation;
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

bool cpuid_has_line(const struct vcpu *c, bool write_back)
{
    return c->vm->cpuid->feature[F_7_EBX] & (write_back ? BIT(24) : BIT(23));
}

bool cpuid_has_movbe(const struct vcpu *c)
{
    return c->vm->cpuid->feature[F_1_ECX] & BIT(22);
}

bool cpuid_has_xgetbv1(const struct vcpu *c)
{
    return c->vm->cpuid->feature[F_XSAVE] & BIT(2);
}

bool cpuid_has_rdpid(const struct vcpu *c)
{
    return c->vm->cpuid->feature[F_7_ECX] & BIT(22);
}

uint64_t cpuid_efer_bits(const struct vcpu *c)
{
    const uint32_t *f = c->vm->cpuid->feature;
    return EFER_SCE | EFER_LME | EFER_NXE | (f[F_EXT_EDX] & BIT(25) ? EFER_FFXSR : 0) |
           (f[F_EXT21_EAX] & BIT(8) ? EFER_AUTO_IBRS : 0);
}

uint64_t cpuid_cr4_bits(const struct vcpu *c)
{
    const uint32_t *f = c->vm->cpuid->feature;
    uint64_t always = CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMM;
    return always | (f[F_1_ECX] & BIT(17) ? CR4_PCIDE : 0) | (f[F_1_ECX] & BIT(26) ? CR4_OSXSAVE : 0) |
           (f[F_7_EBX] & BIT(0) ? CR4_FSGS : 0) | (f[F_7_EBX] & BIT(7) ? CR4_SMEP : 0) |
           (f[F_7_EBX] & BIT(20) ? CR4_SMAP : 0) | (f[F_7_ECX] & BIT(2) ? CR4_UMIP : 0);
}

static void leaf_1(const struct cpuid_table *t, const struct cpu_model *m, uint32_t *r)
{
    r[EAX] = t->signature;
    r[EBX] = cpu_model_1_ebx(m);
    r[ECX] = t->feature[F_1_ECX] | BIT(31) | BIT(27);
    r[EDX] = t->feature[F_1_EDX] | (m->cpus > 1 ? BIT(28) : 0);
}

/* Offset and size of an XSAVE component are the host's: the area in memory is the host's format.  Those that are carried
 * are not aligned in the compacted format. */
static void leaf_xsave(const struct vcpu *c, const struct cpuid_table *t, uint32_t sub, uint32_t *r)
{
    uint32_t most = 576, now = 576, compact = 576;
    if (!t->xcr0)
        return;
    for (unsigned i = 2; i < G_N_ELEMENTS(t->model.xsave); i++) {
        uint32_t size = t->model.xsave[i].size, end = t->model.xsave[i].offset + size;
        most = t->xcr0 >> i & 1 ? MAX(most, end) : most;
        now = c->xcr0 >> i & 1 ? MAX(now, end) : now;
        compact += c->xcr0 >> i & 1 ? size : 0;
    }
    if (sub == 0) {
        r[EAX] = t->xcr0;
        r[EBX] = now;
        r[ECX] = most;
    } else if (sub == 1) {
        r[EAX] = t->feature[F_XSAVE];
        r[EBX] = cpu_model_compact(r[EAX], compact);
    } else if (sub < G_N_ELEMENTS(t->model.xsave) && t->xcr0 >> sub & 1) {
        r[EAX] = t->model.xsave[sub].size;
        r[EBX] = t->model.xsave[sub].offset;
    }
}

static void put_vendor(const struct cpu_model *m, uint32_t *r)
{
    memcpy(&r[EBX], m->vendor, 4);
    memcpy(&r[EDX], m->vendor + 4, 4);
    memcpy(&r[ECX], m->vendor + 8, 4);
}

static void basic(const struct cpuid_table *t, const struct cpu_model *m, uint32_t leaf, uint32_t sub, uint32_t *r)
{
    switch (leaf) {
    case 0:
        r[EAX] = 0x16;
        put_vendor(m, r);
        break;
    case 1: leaf_1(t, m, r); break;
    case 2: r[EAX] = t->amd ? 0 : 0x0000ff01; break;
    case 4: cpuid_caches(t, m, sub, r); break;
    case 6: r[EAX] = BIT(2); break; /* the APIC timer always runs */
    case 7:
        if (sub == 0) {
            r[EAX] = t->feature[F_7_2_EDX] ? 2 : 1;
            r[EBX] = t->feature[F_7_EBX];
            r[ECX] = t->feature[F_7_ECX];
            r[EDX] = t->feature[F_7_EDX];
        } else if (sub == 1)
            r[EAX] = t->feature[F_7_1_EAX];
        else if (sub == 2)
            r[EDX] = t->feature[F_7_2_EDX];
        break;
    case 0x15:
        if (!t->amd) { /* TSC = 1 kHz crystal times this: exact */
            r[EAX] = 1;
            r[EBX] = m->tsc_khz;
            r[ECX] = 1000;
        }
        break;
    case 0x16:
        if (!t->amd)
            r[EAX] = r[EBX] = m->tsc_khz / 1000;
        break;
    }
}

static void extended(const struct cpuid_table *t, const struct cpu_model *m, uint32_t leaf, uint32_t *r)
{
    switch (leaf) {
    case 0x80000000:
        r[EAX] = t->amd ? 0x80000021 : 0x80000008;
        if (t->amd)
            put_vendor(m, r);
        break;
    case 0x80000001:
        r[EAX] = t->signature;
        r[ECX] = t->feature[F_EXT_ECX] | (t->amd && m->cpus > 1 ? BIT(1) : 0);
        r[EDX] = t->feature[F_EXT_EDX];
        break;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004: memcpy(r, t->brand + (leaf - 0x80000002) * 16, 16); break;
    case 0x80000005:
    case 0x80000006: cpuid_caches_extended(t, leaf, r); break;
    case 0x80000007: r[EDX] = BIT(8); break; /* invariant TSC */
    case 0x80000008:
        r[EAX] = GPA_BITS | 48 << 8;
        r[EBX] = t->feature[F_EXT8_EBX];
        r[ECX] = cpu_model_cores_ecx(m);
        break;
    case 0x80000021: /* LFENCE serialises; a null selector clears the base */
        if (t->amd) {
            r[EAX] = t->feature[F_EXT21_EAX] | BIT(2) | BIT(6);
            r[ECX] = t->feature[F_EXT21_ECX];
        }
        break;
    }
}

/* Leaf 1: bits that say what software has enabled. */
static void follow_software(struct vcpu *c, uint32_t *r)
{
    if (!(c->cr4 & CR4_OSXSAVE))
        r[ECX] &= ~BIT(27);
    if (!(c->apic_base & 1 << 11)) /* a disabled local APIC is not there */
        r[EDX] &= ~BIT(9);
}

void cpuid(struct vcpu *c, uint32_t leaf, uint32_t sub, uint32_t out[4])
{
    const struct cpuid_table *t = c->vm->cpuid;
    struct cpu_model m = t->model;
    m.index = c->index;
    memset(out, 0, 16);
    if (leaf == 0xd)
        leaf_xsave(c, t, sub, out);
    else if (t->level)
        cpu_model_level(&m, t->level, leaf, sub, out);
    else if (cpu_model_common(&m, leaf, sub, out))
        return;
    else if (leaf >= 0x80000000)
        extended(t, &m, leaf, out);
    else
        basic(t, &m, leaf, sub, out);
    if (leaf == 1)
        follow_software(c, out);
    if (leaf == 0x80000001 && !t->amd && !code64(c)) /* Intel has SYSCALL in 64-bit code only, and says it only there */
        out[EDX] &= ~BIT(11);
}
