// SPDX-License-Identifier: GPL-2.0-or-later
/* fpu.c - where the guest's x87 and vector state is, and who may use it.
 *
 * The state is loaded into the host's registers when the first instruction needs it and stays there until something
 * outside patcher/ is called; see fpu.h. */
#include "patcher/native/fpu.h"
#include "patcher/vm.h"
#include <string.h>

/* A host without XSAVE has no state but that of FXSAVE, which is the first part of the same format. */
void fpu_host_load(const struct replay *r, const void *area)
{
    uint32_t lo = (uint32_t)r->host_xcr0, hi = (uint32_t)(r->host_xcr0 >> 32);
    if (r->host_has_xsave)
        __asm__ volatile("xrstor64 (%0)" ::"r"(area), "a"(lo), "d"(hi) : "memory");
    else
        __asm__ volatile("fxrstor64 (%0)" ::"r"(area) : "memory");
}

void fpu_host_save(const struct replay *r, void *area)
{
    uint32_t lo = (uint32_t)r->host_xcr0, hi = (uint32_t)(r->host_xcr0 >> 32);
    if (r->host_has_xsave) {
        __asm__ volatile("xsave64 (%0)" ::"r"(area), "a"(lo), "d"(hi) : "memory");
    } else {
        __asm__ volatile("fxsave64 (%0)" ::"r"(area) : "memory");
        memset((uint8_t *)area + XS_SW, 0, XS_EXTENDED - XS_SW);
        *(uint64_t *)((uint8_t *)area + XS_BV) = r->host_xcr0;
    }
}

void fpu_enter(struct vcpu *c)
{
    fpu_host_load(c->replay, c->xsave);
    c->replay->live = true;
    fpu_masks_changed(c);
}

void fpu_leave(struct vcpu *c)
{
    static const struct {
        uint8_t bytes[XS_EXTENDED] __attribute__((aligned(64)));
    } init = {{[XS_FCW] = 0x7f, [XS_FCW + 1] = 3, [XS_MXCSR] = 0x80, [XS_MXCSR + 1] = 0x1f}};
    if (!c->replay->live)
        return;
    fpu_host_save(c->replay, c->xsave);
    fpu_host_load(c->replay, init.bytes);
    c->replay->live = false;
    c->trans_vector = 0;
}

uint8_t *fpu_area(struct vcpu *c)
{
    fpu_leave(c);
    return c->xsave;
}

uint16_t fpu_status(struct vcpu *c)
{
    uint16_t fsw;
    if (!c->replay->live)
        return *(uint16_t *)(c->xsave + XS_FSW);
    __asm__ volatile("fnstsw %0" : "=a"(fsw));
    return fsw;
}

/* Whoever loads FCW while the state is live says so here. */
void fpu_masks_changed(struct vcpu *c)
{
    uint16_t fcw;
    __asm__ volatile("fnstcw %0" : "=m"(fcw));
    c->replay->x87_unmasked = (fcw & 0x3f) != 0x3f;
}

bool fpu_error_pending(struct vcpu *c)
{
    if (c->replay->live && !c->replay->x87_unmasked)
        return false;
    return fpu_status(c) & FSW_ES;
}

/* With CR0.NE clear an error goes to the machine by FERR#, and the instruction waits for an interrupt (any) as HLT does,
 * unless the machine holds IGNNE# (SDM Vol. 1, D.2).  As with Intel's processors since the Pentium, FERR# rises when an
 * instruction meets the error, not when it happens. */
void fpu_raise_mf(struct vcpu *c)
{
    if (c->cr0 & CR0_NE)
        raise_exception(c, EXC_MF);
    c->replay->ferr = true;
    if (!machine_fpu_error(outside(c), c->index, true))
        wait_for_interrupt(c);
    c->replay->ignore_errors = true;
}

void fpu_wait(struct vcpu *c)
{
    struct replay *r = c->replay;
    r->ignore_errors = false;
    if (unlikely(fpu_error_pending(c)))
        fpu_raise_mf(c);
    else if (unlikely(r->ferr)) {
        r->ferr = false;
        machine_fpu_error(outside(c), c->index, false);
    }
}

uint16_t fpu_put_errors_aside(struct vcpu *c)
{
    fpu_use(c);
    uint16_t fsw = fpu_status(c);
    __asm__ volatile("fnclex");
    return fsw & 0x7f;
}

void fpu_put_errors_back(struct vcpu *c, uint16_t errors)
{
    struct x87_env env;
    __asm__ volatile("fnstenv %0" : "=m"(env));
    env.fsw |= errors;
    __asm__ volatile("fldenv %0" ::"m"(env));
    c->replay->ignore_errors = false;
    fpu_masks_changed(c);
}

static void check_vex(struct vcpu *c, uint64_t features)
{
    bool off = real_mode(c) || v86_mode(c) || !(c->cr4 & CR4_OSXSAVE) || (c->xcr0 & features) != features;
    if (off)
        raise_exception(c, EXC_UD);
    if (c->cr0 & CR0_TS)
        raise_exception(c, EXC_NM);
}

/* The conditions of SDM Vol. 2, 2.4-2.8 and Vol. 3, 2.5, in the order that the processor checks them. */
void fpu_check(struct vcpu *c, enum fpu_class k)
{
    switch (k) {
    case FPU_NONE: break;
    case FPU_X87:
        if (c->cr0 & (CR0_EM | CR0_TS))
            raise_exception(c, EXC_NM);
        break;
    case FPU_FWAIT:
        if ((c->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
            raise_exception(c, EXC_NM);
        break;
    case FPU_SSE:
        if (!(c->cr4 & CR4_OSFXSR))
            raise_exception(c, EXC_UD);
        __attribute__((fallthrough));
    case FPU_MMX:
        if (c->cr0 & CR0_EM)
            raise_exception(c, EXC_UD);
        if (c->cr0 & CR0_TS)
            raise_exception(c, EXC_NM);
        break;
    case FPU_XSAVE:
        if (!(c->cr4 & CR4_OSXSAVE))
            raise_exception(c, EXC_UD);
        if (c->cr0 & CR0_TS)
            raise_exception(c, EXC_NM);
        break;
    case FPU_VEX_GPR:
        if (real_mode(c) || v86_mode(c))
            raise_exception(c, EXC_UD);
        break;
    case FPU_AVX: check_vex(c, XFEATURE_SSE | XFEATURE_AVX); break;
    case FPU_AVX512: check_vex(c, XFEATURE_SSE | XFEATURE_AVX | XFEATURE_AVX512); break;
    }
}

bool fpu_alignment_checked(const struct vcpu *c)
{
    return c->cpl == 3 && c->rflags & RFLAG_AC && c->cr0 & CR0_AM;
}

/* ---- reset, and state from outside ------------------------------------------------------------------------------- */
void fpu_reset(struct vcpu *c, bool init)
{
    struct replay *r = c->replay;
    if (init)
        return; /* SDM Vol. 3, table 10-1: INIT leaves x87 and vector state alone */
    fpu_leave(c);
    r->ferr = r->ignore_errors = false;
    memset(c->xsave, 0, sizeof c->xsave);
    *(uint16_t *)(c->xsave + XS_FCW) = 0x40;
    c->xsave[XS_FTW] = 0xff; /* all registers hold +0 */
    *(uint32_t *)(c->xsave + XS_MXCSR) = 0x1f80;
    *(uint64_t *)(c->xsave + XS_BV) = XFEATURE_X87;
    r->fip = r->fdp = 0;
    r->fcs = r->fds = r->fop = 0;
}

void fpu_sync(struct vcpu *c)
{
    struct replay *r = c->replay;
    uint8_t *area = fpu_area(c);
    *(uint16_t *)(area + XS_FOP) = r->fop;
    *(uint64_t *)(area + XS_FIP) = r->fip;
    *(uint64_t *)(area + XS_FDP) = r->fdp;
    *(uint32_t *)(area + XS_MXCSR_MASK) = r->mxcsr_mask;
}

/* FSW.ES and B follow from the exception flags and masks, as XRSTOR has it. */
static void summarize_errors(uint8_t *area)
{
    bool error = area[XS_FSW] & ~area[XS_FCW] & 0x3f;
    area[XS_FSW] = (uint8_t)((area[XS_FSW] & ~FSW_ES) | (error ? FSW_ES : 0));
    area[XS_FSW + 1] = (uint8_t)((area[XS_FSW + 1] & 0x7f) | (error ? 0x80 : 0));
}

/* Components that the header calls initial become so in the data too, and what XRSTOR would refuse is cleared: the
 * image may come from a file. */
void fpu_load(struct vcpu *c)
{
    struct replay *r = c->replay;
    uint8_t *area = c->xsave;
    uint64_t *bv = (uint64_t *)(area + XS_BV);
    r->live = false;
    r->ferr = true; /* perhaps: then the next instruction that looks tells the machine */
    r->ignore_errors = false;
    c->trans_vector = 0;
    *bv &= r->host_xcr0;
    memset(area + XS_XCOMP_BV, 0, XS_EXTENDED - XS_XCOMP_BV);
    *(uint32_t *)(area + XS_MXCSR) &= r->mxcsr_mask;
    if (!(*bv & XFEATURE_X87)) {
        memset(area, 0, XS_MXCSR);
        *(uint16_t *)(area + XS_FCW) = 0x37f;
        memset(area + XS_ST, 0, XS_XMM - XS_ST);
    }
    if (!(*bv & XFEATURE_SSE))
        memset(area + XS_XMM, 0, 256);
    for (unsigned i = 2; i < XCOMPONENTS; i++)
        if (!(*bv >> i & 1))
            memset(area + r->component[i].offset, 0, r->component[i].bytes);
    summarize_errors(area);
    r->fop = *(uint16_t *)(area + XS_FOP) & 0x7ff;
    r->fip = *(uint64_t *)(area + XS_FIP);
    r->fdp = *(uint64_t *)(area + XS_FDP);
    r->fcs = r->fds = 0;
}

bool fpu_xcr0_valid(struct vcpu *c, uint64_t v)
{
    bool avx512 = v & XFEATURE_AVX512;
    return v & XFEATURE_X87 && !(v & ~c->replay->host_xcr0) && (!(v & XFEATURE_AVX) || v & XFEATURE_SSE) &&
           (!avx512 || ((v & XFEATURE_AVX512) == XFEATURE_AVX512 && v & XFEATURE_AVX));
}

/* ---- of the host's state what this engine carries ------------------------------------------------------------------ */
static void take_host(struct replay *r, const struct host_cpu *h)
{
    r->quirks = &h->quirks;
    r->mxcsr_mask = h->mxcsr_mask;
    r->host_has_xsave = h->xcr0;
    r->host_xcr0 = (h->xcr0 ? h->xcr0 : XFEATURE_X87 | XFEATURE_SSE) &
                   (XFEATURE_X87 | XFEATURE_SSE | XFEATURE_AVX | XFEATURE_AVX512);
    for (unsigned i = 2; i < XCOMPONENTS; i++)
        if (r->host_xcr0 >> i & 1)
            r->component[i] = h->component[i];
}

bool replay_new(struct vcpu *c, GError **error)
{
    struct replay *r = c->replay = g_aligned_alloc0(1, sizeof *r, 64);
    take_host(r, &c->vm->host);
    if (!stub_arena_new(r, error))
        return false;
    fpu_reset(c, false);
    return true;
}

void replay_free(struct vcpu *c)
{
    stub_arena_free(c->replay);
    g_aligned_free(c->replay);
    c->replay = NULL;
}
