// SPDX-License-Identifier: GPL-2.0-or-later
/* sysinsn.c - system calls, FS/GS bases, time stamps, CPUID, RDMSR/WRMSR and XCR0. */
#include "system.h"
#include "cold.h"
#include "debug.h"
#include "vm.h"
#include "replay.h"

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

/* ---- SYSCALL SYSRET (APM Vol. 2, 6.1.1; in legacy mode, too, as AMD's processors have it) ------------------------------ */
void cold_syscall(struct vcpu *c, const struct insn *in)
{
    uint16_t cs = c->star >> 32 & 0xfffc;
    if (!(c->efer & EFER_SCE) || real_mode(c))
        raise_exception(c, EXC_UD);
    if (long_mode(c)) {
        bool from64 = code64(c);
        c->gpr[X86_RCX] = c->next_rip;
        c->gpr[11] = flags_get(c) & ~(uint32_t)RFLAG_RF;
        flags_set(c, flags_get(c) & ~(uint32_t)c->sfmask & ~(uint32_t)RFLAG_RF);
        enter_ring(c, 0, cs, cs + 8, true);
        c->next_rip = from64 ? c->lstar : c->cstar;
    } else {
        c->gpr[X86_RCX] = (uint32_t)c->next_rip;
        c->rflags &= ~(uint32_t)(RFLAG_IF | RFLAG_VM | RFLAG_RF);
        enter_ring(c, 0, cs, cs + 8, false);
        c->next_rip = (uint32_t)c->star;
    }
    trap_by_new_flags(c);
    update_mode(c);
}

void cold_sysret(struct vcpu *c, const struct insn *in)
{
    uint16_t base = c->star >> 48;
    if (!(c->efer & EFER_SCE) || real_mode(c))
        raise_exception(c, EXC_UD);
    need_cpl0(c);
    bool wide = in->osize == 8;
    uint64_t ip = wide ? c->gpr[X86_RCX] : (uint32_t)c->gpr[X86_RCX];
    if (wide && !canonical(ip))
        raise_error(c, EXC_GP, 0);
    if (long_mode(c))
        flags_set(c, (c->gpr[11] & 0x3c7fd7) | 2);
    else
        c->rflags |= RFLAG_IF;
    enter_ring(c, 3, ((base + (wide ? 16 : 0)) | 3) & 0xffff, (base + 8) | 3, wide);
    c->next_rip = ip;
    trap_by_new_flags(c);
    update_mode(c);
}

/* ---- SYSENTER SYSEXIT (SDM Vol. 3, 5.8.7) --------------------------------------------------------------------------------- */
void cold_sysenter(struct vcpu *c, const struct insn *in)
{
    uint16_t cs = c->sysenter_cs & 0xfffc;
    if (real_mode(c) || !cs)
        raise_error(c, EXC_GP, 0);
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
    if (real_mode(c) || !cs)
        raise_error(c, EXC_GP, 0);
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

void cold_rdtscp(struct vcpu *c, const struct insn *in)
{
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
    if (index > 1)
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
