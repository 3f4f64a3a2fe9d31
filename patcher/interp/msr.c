// SPDX-License-Identifier: GPL-2.0-or-later
/* msr.c - model-specific registers (SDM Vol. 4; APM Vol. 2 appendix A).  Unknown ones are #GP(0). */
#include "core-vmm/api/hyperv.h"
#include "patcher/interp/speculation.h"
#include "patcher/interp/system.h"
#include "patcher/vm.h"

enum {
    MSR_TSC = 0x10,
    MSR_PLATFORM_ID = 0x17,
    MSR_APIC_BASE = 0x1b,
    MSR_FEATURE_CONTROL = 0x3a,
    MSR_TSC_ADJUST = 0x3b,
    MSR_UCODE_WRITE = 0x79,
    MSR_UCODE_REV = 0x8b,
    MSR_PLATFORM_INFO = 0xce,
    MSR_MTRR_CAP = 0xfe,
    MSR_SYSENTER_CS = 0x174,
    MSR_SYSENTER_ESP,
    MSR_SYSENTER_EIP,
    MSR_MCG_CAP = 0x179,
    MSR_MCG_STATUS,
    MSR_PERF_STATUS = 0x198,
    MSR_THERM_STATUS = 0x19c,
    MSR_MISC_ENABLE = 0x1a0,
    MSR_DEBUGCTL = 0x1d9,
    MSR_MTRR_BASE0 = 0x200,
    MSR_MTRR_FIX64K = 0x250,
    MSR_MTRR_FIX16K_80 = 0x258,
    MSR_MTRR_FIX16K_A0,
    MSR_MTRR_FIX4K = 0x268,
    MSR_PAT = 0x277,
    MSR_MTRR_DEF = 0x2ff,
    MSR_MC0_CTL = 0x400, /* banks of machine checks, four registers each */
    MSR_TSC_DEADLINE = 0x6e0,
    MSR_X2APIC = 0x800,
    MSR_XSS = 0xda0,
};
/* MCG_CAP says that there are none.  A guest that came up under KVM has been told of as many, and asks them every few minutes. */
#define MC_BANKS            32
#define MSR_EFER            0xc0000080u
#define MSR_STAR            0xc0000081u
#define MSR_LSTAR           0xc0000082u
#define MSR_CSTAR           0xc0000083u
#define MSR_SFMASK          0xc0000084u
#define MSR_FS_BASE         0xc0000100u
#define MSR_GS_BASE         0xc0000101u
#define MSR_KERNEL_GS_BASE  0xc0000102u
#define MSR_TSC_AUX         0xc0000103u
#define MSR_AMD_EVNTSEL0    0xc0010000u
#define MSR_AMD_SYSCFG      0xc0010010u
#define MSR_AMD_HWCR        0xc0010015u
#define MSR_AMD_PATCH       0xc0010020u
#define MSR_AMD_NB_CFG      0xc001001fu
#define MSR_AMD_INT_PENDING 0xc0010055u
#define MSR_AMD_VM_CR       0xc0010114u
#define MSR_AMD_LS_CFG      0xc0011020u
#define MSR_AMD_DE_CFG      0xc0011029u

/* MSRs that are plain storage: a pointer to it, or NULL. */
static uint64_t *plain(struct vcpu *c, uint32_t index)
{
    switch (index) {
    case MSR_SYSENTER_CS: return &c->sysenter_cs;
    case MSR_SYSENTER_ESP: return &c->sysenter_esp;
    case MSR_SYSENTER_EIP: return &c->sysenter_eip;
    case MSR_MISC_ENABLE: return &c->misc_enable;
    case MSR_MTRR_DEF: return &c->mtrr_def_type;
    case MSR_MTRR_FIX64K: return &c->mtrr_fixed[0];
    case MSR_MTRR_FIX16K_80: return &c->mtrr_fixed[1];
    case MSR_MTRR_FIX16K_A0: return &c->mtrr_fixed[2];
    case MSR_STAR: return &c->star;
    case MSR_LSTAR: return &c->lstar;
    case MSR_CSTAR: return &c->cstar;
    case MSR_SFMASK: return &c->sfmask;
    case MSR_FS_BASE: return &c->seg[X86_FS].base;
    case MSR_GS_BASE: return &c->seg[X86_GS].base;
    case MSR_KERNEL_GS_BASE: return &c->kernel_gs_base;
    case MSR_TSC_AUX: return &c->tsc_aux;
    case MSR_PAT: return &c->pat;
    }
    if (index >= MSR_MTRR_FIX4K && index < MSR_MTRR_FIX4K + 8)
        return &c->mtrr_fixed[3 + index - MSR_MTRR_FIX4K];
    if (index >= MSR_MTRR_BASE0 && index < MSR_MTRR_BASE0 + 2 * X86_MTRR_VARIABLE) {
        unsigned n = (index - MSR_MTRR_BASE0) / 2;
        return index & 1 ? &c->mtrr_mask[n] : &c->mtrr_base[n];
    }
    return NULL;
}

static bool in_apic(uint32_t index)
{
    return index == MSR_APIC_BASE || index == MSR_TSC_DEADLINE || (index >= MSR_X2APIC && index < MSR_X2APIC + 0x100);
}

/* MSRs that read as a constant and ignore writes: what systems touch without asking CPUID. */
static bool constant(uint32_t index, uint64_t *v)
{
    *v = 0;
    if (index >= MSR_AMD_EVNTSEL0 && index < MSR_AMD_EVNTSEL0 + 8) /* four counters that never count */
        return true;
    if (index >= MSR_MC0_CTL && index < MSR_MC0_CTL + 4 * MC_BANKS)
        return true;
    switch (index) {
    case MSR_PLATFORM_ID:
    case MSR_PLATFORM_INFO:
    case MSR_UCODE_WRITE:
    case MSR_MCG_CAP:
    case MSR_MCG_STATUS:
    case MSR_THERM_STATUS:
    case MSR_DEBUGCTL:
    case MSR_AMD_SYSCFG:
    case MSR_AMD_NB_CFG:
    case MSR_AMD_PATCH:
    case MSR_AMD_INT_PENDING:
    case MSR_AMD_LS_CFG:
    case MSR_AMD_VM_CR: return true;
    case MSR_FEATURE_CONTROL: *v = 1; return true; /* locked, all off */
    case MSR_MTRR_CAP: *v = 0x500 | X86_MTRR_VARIABLE; return true;
    case MSR_PERF_STATUS: *v = 1000ull | 4ull << 40; return true;
    case MSR_AMD_HWCR: *v = 1 << 24; return true; /* TscFreqSel: the TSC runs at a constant rate */
    case MSR_AMD_DE_CFG: *v = 2; return true;     /* LFENCE serialises */
    case MSR_UCODE_REV: *v = 0x01000065ull << 32; return true;
    }
    return false;
}

/* A system that minds gets to know which one it was. */
static _Noreturn void unknown(struct vcpu *c, uint32_t index, bool write)
{
    machine_msr_unknown(outside(c), index, write);
    raise_error(c, EXC_GP, 0);
}

/* The local APIC waits for the machine's TSC, the guest writes its own; 0 is "none" in both. */
static void apic_msr(struct vcpu *c, uint32_t index, uint64_t *v, bool write)
{
    int64_t ahead = index == MSR_TSC_DEADLINE ? c->tsc_adjust : 0;
    if (write && *v)
        *v = *v == (uint64_t)ahead ? 1 : *v - ahead;
    if (!machine_apic_msr(outside(c), c->index, index, v, write))
        raise_error(c, EXC_GP, 0);
    if (!write && *v)
        *v += ahead;
}

static bool in_hyperv(uint32_t index)
{
    return index >> 9 == 0x40000000u >> 9;
}

static void hyperv_msr(struct vcpu *c, uint32_t index, uint64_t *v, bool write)
{
    if (!machine_hyperv_msr(outside(c), c->index, index, v, write))
        unknown(c, index, write);
}

uint64_t msr_read(struct vcpu *c, uint32_t index)
{
    uint64_t v, *p = plain(c, index);
    if (p)
        return *p;
    if (in_apic(index)) {
        apic_msr(c, index, &v, false);
        return v;
    }
    switch (index) {
    case MSR_TSC: return guest_tsc(c);
    case MSR_TSC_ADJUST: return c->tsc_adjust;
    case MSR_EFER: return c->efer;
    }
    if (in_hyperv(index))
        hyperv_msr(c, index, &v, false);
    else if (!speculation_read(c, index, &v) && !constant(index, &v))
        unknown(c, index, false);
    return v;
}

static void write_efer(struct vcpu *c, uint64_t v)
{
    uint64_t known = cpuid_efer_bits(c);
    if (v & ~(known | EFER_LMA) || ((v ^ c->efer) & EFER_LME && c->cr0 & CR0_PG))
        raise_error(c, EXC_GP, 0);
    bool nx = (v ^ c->efer) & EFER_NXE;
    c->efer = (v & known) | (c->efer & EFER_LMA);
    if (nx)
        tlb_flush(c);
}

static bool memory_type(uint64_t v)
{
    return v <= 7 && v != 2 && v != 3;
}

static bool valid_pat(uint64_t v)
{
    for (unsigned i = 0; i < 8; i++)
        if (!memory_type(v >> (8 * i) & 0xff))
            return false;
    return true;
}

/* AMD's CPUs have half of them: SYSENTER is not there in long mode. */
static bool sysenter_pointer(uint32_t index)
{
    return index == MSR_SYSENTER_ESP || index == MSR_SYSENTER_EIP;
}

static bool needs_canonical(const struct vcpu *c, uint32_t index)
{
    return index == MSR_LSTAR || index == MSR_CSTAR || index == MSR_FS_BASE || index == MSR_GS_BASE ||
           index == MSR_KERNEL_GS_BASE || (sysenter_pointer(index) && !cpuid_is_amd(c));
}

/* MSRs of 32 bits: what is written to the upper half is dropped. */
static bool narrow(const struct vcpu *c, uint32_t index)
{
    return index == MSR_SFMASK || index == MSR_SYSENTER_CS || (sysenter_pointer(index) && cpuid_is_amd(c));
}

static void write_plain(struct vcpu *c, uint32_t index, uint64_t *p, uint64_t v)
{
    if ((needs_canonical(c, index) && !canonical(v)) || (index == MSR_PAT && !valid_pat(v)) ||
        (index == MSR_TSC_AUX && v >> 32))
        raise_error(c, EXC_GP, 0);
    *p = narrow(c, index) ? (uint32_t)v : v;
}

void msr_write(struct vcpu *c, uint32_t index, uint64_t v)
{
    uint64_t unused, *p = plain(c, index);
    if (p) {
        write_plain(c, index, p, v);
        return;
    }
    if (in_apic(index)) {
        apic_msr(c, index, &v, true);
        if (index == MSR_APIC_BASE)
            c->apic_base = v;
        return;
    }
    switch (index) {
    case MSR_TSC: c->tsc_adjust += v - guest_tsc(c); return;
    case MSR_TSC_ADJUST: c->tsc_adjust = v; return;
    case MSR_EFER: write_efer(c, v); return;
    }
    if (in_hyperv(index))
        hyperv_msr(c, index, &v, true);
    else if (!speculation_write(c, index, v) && (!constant(index, &unused) || index == MSR_MTRR_CAP))
        unknown(c, index, true);
}
