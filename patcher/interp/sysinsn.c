// SPDX-License-Identifier: GPL-2.0-or-later
/* sysinsn.c - system calls, FS/GS bases, time stamps, CPUID, RDMSR/WRMSR and XCR0.
 *
 * The four instructions for system calls are not the same on all CPUs; the guest gets those of the maker that its CPUID
 * names.  AMD stands for AMD and Hygon, Intel for all others: Centaur and Zhaoxin follow it.
 *
 *                     Intel                                AMD
 *   SYSCALL
 *     64-bit code     to LSTAR                             to LSTAR
 *     compatibility   #UD                                  to CSTAR
 *     legacy          #UD                                  to STAR[31:0]; RFLAGS is not saved
 *     real mode       #UD                                  #UD (the APM's pseudo code does not tell it from legacy mode)
 *   SYSRET
 *     64-bit code     #GP(0) if RCX is not canonical,      no check: the fetch at ring 3 faults;
 *                     flat SS, RPL 3                       SS gets a selector only (with STAR's RPL)
 *     compatibility   #UD                                  to 32-bit code, sets IF, takes no flags from R11
 *     legacy          #UD                                  the same
 *     real mode       #UD                                  #GP(0)
 *   SYSENTER, SYSEXIT
 *     64-bit code     yes                                  #UD
 *     compatibility   yes                                  #UD
 *     legacy          yes                                  yes
 *     real mode       #GP(0)                               #GP(0)
 *   SYSENTER_ESP, _EIP  64 bits, canonical or #GP(0)       32 bits, the rest is dropped
 *   CPUID, SYSCALL bit  in 64-bit code only                always
 *
 * In all of them EFER.SCE clear is #UD for SYSCALL and SYSRET, a null SYSENTER_CS #GP(0) for SYSENTER and SYSEXIT, and a
 * return from another ring than 0 #GP(0), in this order.
 * Sources: SDM Vol. 2 (on each instruction, and CPUID), Vol. 3 ch. 5.8.7, 5.8.8, Vol. 4 table 2-2; APM Vol. 3 (on each
 * instruction), Vol. 2 ch. 6.1.
 *
 * SS on AMD: base, limit and attributes stay what ring 0 had, so that after an SS of 0 32-bit code has no stack; DPL is
 * set all the same, because x86_state has CPL there, and nothing looks at it in ring 3. */
#include "core-vmm/api/hyperv.h"
#include "patcher/interp/system.h"
#include "patcher/interp/cold.h"
#include "patcher/interp/breakpoints.h"
#include "patcher/vm.h"
#include "patcher/native/replay.h"

static void need_cpl0(struct vcpu *c)
{
    if (c->cpl || v86_mode(c))
        raise_error(c, EXC_GP, 0);
}

static uint64_t pair(const struct vcpu *c)
{
    return (uint32_t)c->gpr[X86_RAX] | c->gpr[X86_RDX] << 32;
}

static void set_pair(struct vcpu *c, uint64_t v)
{
    c->gpr[X86_RAX] = (uint32_t)v;
    c->gpr[X86_RDX] = v >> 32;
}

/* The flat segments that the system call instructions set without looking at descriptors. */
static void set_flat(struct vcpu *c, unsigned seg, uint16_t selector, unsigned dpl, bool wide)
{
    struct seg *s = &c->seg[seg];
    bool code = seg == X86_CS;
    s->selector = selector;
    s->base = 0;
    s->limit = 0xffffffff;
    s->attr =
        X86_ATTR_P | dpl << 5 | X86_ATTR_S | X86_ATTR_G | (code ? 0xb : 3) | (code && wide ? X86_ATTR_L : X86_ATTR_DB);
    seg_cache(c, s);
}

static void enter_ring(struct vcpu *c, unsigned cpl, uint16_t cs, uint16_t ss, bool wide)
{
    c->cpl = cpl;
    set_flat(c, X86_CS, cs, cpl, wide);
    set_flat(c, X86_SS, ss, cpl, wide);
}

/* System calls and returns trap if TF is set behind them, not before. */
static void trap_by_new_flags(struct vcpu *c)
{
    c->no_step_trap = true;
    if (c->rflags & RFLAG_TF)
        c->pending_dr6 |= DR6_BS;
}

/* ---- SYSCALL SYSRET ------------------------------------------------------------------------------------------------------ */
static void need_syscall(struct vcpu *c)
{
    if (!(c->efer & EFER_SCE) || !(code64(c) || cpuid_is_amd(c)))
        raise_exception(c, EXC_UD);
}

void cold_syscall(struct vcpu *c, const struct insn *in)
{
    uint16_t cs = c->star >> 32 & 0xfffc, ss = (c->star >> 32) + 8;
    need_syscall(c);
    if (real_mode(c))
        raise_exception(c, EXC_UD);
    if (long_mode(c)) {
        bool from64 = code64(c);
        c->gpr[X86_RCX] = c->next_rip;
        c->gpr[11] = flags_get(c) & ~(uint32_t)RFLAG_RF;
        flags_set(c, flags_get(c) & ~(uint32_t)c->sfmask & ~(uint32_t)RFLAG_RF);
        enter_ring(c, 0, cs, ss, true);
        c->next_rip = from64 ? c->lstar : c->cstar;
    } else {
        c->gpr[X86_RCX] = (uint32_t)c->next_rip;
        c->rflags &= ~(uint32_t)(RFLAG_IF | RFLAG_VM | RFLAG_RF);
        enter_ring(c, 0, cs, ss, false);
        c->next_rip = (uint32_t)c->star;
    }
    trap_by_new_flags(c);
    update_mode(c);
}

/* Ring 3 as SYSRET enters it. */
static void sysret_segments(struct vcpu *c, bool wide)
{
    uint16_t base = c->star >> 48, cs = (base + (wide ? 16 : 0)) | 3;
    struct seg ss = c->seg[X86_SS];
    enter_ring(c, 3, cs, (base + 8) | 3, wide);
    if (cpuid_is_amd(c)) {
        ss.selector = base + 8;
        ss.attr |= X86_ATTR_DPL;
        c->seg[X86_SS] = ss;
    }
}

void cold_sysret(struct vcpu *c, const struct insn *in)
{
    need_syscall(c);
    if (real_mode(c))
        raise_error(c, EXC_GP, 0);
    need_cpl0(c);
    bool wide = in->osize == 8, from64 = code64(c);
    uint64_t ip = wide ? c->gpr[X86_RCX] : (uint32_t)c->gpr[X86_RCX];
    if (!canonical(ip) && !cpuid_is_amd(c))
        raise_error(c, EXC_GP, 0);
    if (from64)
        flags_set(c, (c->gpr[11] & 0x3c7fd7) | 2);
    else
        c->rflags |= RFLAG_IF;
    sysret_segments(c, wide);
    c->next_rip = ip;
    trap_by_new_flags(c);
    update_mode(c);
}

/* ---- SYSENTER SYSEXIT ----------------------------------------------------------------------------------------------------- */
static void need_sysenter(struct vcpu *c)
{
    if (long_mode(c) && cpuid_is_amd(c))
        raise_exception(c, EXC_UD);
    if (real_mode(c) || null_selector(c->sysenter_cs))
        raise_error(c, EXC_GP, 0);
}

void cold_sysenter(struct vcpu *c, const struct insn *in)
{
    uint16_t cs = c->sysenter_cs & 0xfffc;
    need_sysenter(c);
    bool wide = long_mode(c);
    c->rflags &= ~(uint32_t)(RFLAG_VM | RFLAG_IF | RFLAG_RF);
    enter_ring(c, 0, cs, cs + 8, wide);
    c->gpr[X86_RSP] = wide ? c->sysenter_esp : (uint32_t)c->sysenter_esp;
    c->next_rip = wide ? c->sysenter_eip : (uint32_t)c->sysenter_eip;
    trap_by_new_flags(c);
    update_mode(c);
}

void cold_sysexit(struct vcpu *c, const struct insn *in)
{
    uint16_t cs = c->sysenter_cs & 0xfffc;
    need_sysenter(c);
    need_cpl0(c);
    bool wide = in->osize == 8;
    uint64_t ip = c->gpr[X86_RDX], sp = c->gpr[X86_RCX];
    if (wide && (!canonical(ip) || !canonical(sp)))
        raise_error(c, EXC_GP, 0);
    cs += wide ? 32 : 16;
    enter_ring(c, 3, cs | 3, (cs + 8) | 3, wide);
    c->next_rip = wide ? ip : (uint32_t)ip;
    c->gpr[X86_RSP] = wide ? sp : (uint32_t)sp;
    update_mode(c);
}

/* ---- FS and GS bases -------------------------------------------------------------------------------------------------------- */
void cold_swapgs(struct vcpu *c, const struct insn *in)
{
    if (!code64(c))
        raise_exception(c, EXC_UD);
    need_cpl0(c);
    uint64_t v = c->seg[X86_GS].base;
    c->seg[X86_GS].base = c->kernel_gs_base;
    c->kernel_gs_base = v;
}

/* RDFSBASE RDGSBASE WRFSBASE WRGSBASE: ModRM.reg 0 to 3 */
void cold_fsgsbase(struct vcpu *c, const struct insn *in)
{
    if (!code64(c) || !(c->cr4 & CR4_FSGS))
        raise_exception(c, EXC_UD);
    uint64_t *base = &c->seg[in->reg_no & 1 ? X86_GS : X86_FS].base;
    if (!(in->reg_no & 2)) {
        reg_set(c, in->rm, in->osize, *base);
        return;
    }
    uint64_t v = reg_get(c, in->rm, in->osize);
    if (!canonical(v))
        raise_error(c, EXC_GP, 0);
    *base = v;
}

/* ---- time ---------------------------------------------------------------------------------------------------------------------- */
uint64_t guest_tsc(struct vcpu *c)
{
    return __builtin_ia32_rdtsc() + atomic_load_explicit(c->vm->cfg->tsc_offset, memory_order_relaxed) + c->tsc_adjust;
}

static void tsc_check(struct vcpu *c)
{
    if (c->cr4 & CR4_TSD && c->cpl)
        raise_error(c, EXC_GP, 0);
}

void cold_rdtsc(struct vcpu *c, const struct insn *in)
{
    tsc_check(c);
    set_pair(c, guest_tsc(c));
}

/* It waits for all loads before it (SDM Vol. 2): without that two CPUs that pass a reading on to each other see time go
 * backwards by some hundred cycles. */
void cold_rdtscp(struct vcpu *c, const struct insn *in)
{
    __asm__ volatile("lfence" ::: "memory");
    cold_rdtsc(c, in);
    c->gpr[X86_RCX] = (uint32_t)c->tsc_aux;
}

void cold_rdpid(struct vcpu *c, const struct insn *in)
{
    reg_set(c, in->rm, code64(c) ? 8 : 4, c->tsc_aux);
}

void cold_rdpmc(struct vcpu *c, const struct insn *in)
{
    raise_error(c, EXC_GP, 0); /* no counters */
}

/* ---- MSRs, CPUID, XCR0 ------------------------------------------------------------------------------------------------------------- */
void cold_rdmsr(struct vcpu *c, const struct insn *in)
{
    need_cpl0(c);
    set_pair(c, msr_read(c, c->gpr[X86_RCX]));
}

void cold_wrmsr(struct vcpu *c, const struct insn *in)
{
    need_cpl0(c);
    msr_write(c, c->gpr[X86_RCX], pair(c));
}

/* Hyper-V's hypercall, in either maker's way, whatever the guest's CPU: a saved state may come with the other one's page. */
void cold_vmcall(struct vcpu *c, const struct insn *in)
{
    if (c->cpl || real_mode(c) || v86_mode(c) || !machine_hypercall(outside(c), c->index, c->gpr, code64(c)))
        raise_exception(c, EXC_UD);
}

void cold_cpuid(struct vcpu *c, const struct insn *in)
{
    uint32_t r[4];
    cpuid(c, c->gpr[X86_RAX], c->gpr[X86_RCX], r);
    c->gpr[X86_RAX] = r[0];
    c->gpr[X86_RBX] = r[1];
    c->gpr[X86_RCX] = r[2];
    c->gpr[X86_RDX] = r[3];
}

void cold_xgetbv(struct vcpu *c, const struct insn *in)
{
    uint32_t index = c->gpr[X86_RCX];
    if (!(c->cr4 & CR4_OSXSAVE))
        raise_exception(c, EXC_UD);
    if (index > cpuid_has_xgetbv1(c))
        raise_error(c, EXC_GP, 0);
    set_pair(c, index ? c->xcr0 & fpu_xinuse(c) : c->xcr0);
}

void cold_xsetbv(struct vcpu *c, const struct insn *in)
{
    uint64_t v = pair(c);
    if (!(c->cr4 & CR4_OSXSAVE))
        raise_exception(c, EXC_UD);
    need_cpl0(c);
    if ((uint32_t)c->gpr[X86_RCX] || v & ~xcr0_supported(c) || !fpu_xcr0_valid(c, v))
        raise_error(c, EXC_GP, 0);
    c->xcr0 = v;
}
