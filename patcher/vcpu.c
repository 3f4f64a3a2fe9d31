// SPDX-License-Identifier: GPL-2.0-or-later
/* vcpu.c - making, resetting, saving and loading a vCPU. */
#include "patcher/interp/system.h"
#include "patcher/vm.h"
#include "patcher/vcpu.h"
#include "patcher/native/replay.h"
#include "patcher/translate/translate.h"
#include <string.h>
#include <sys/mman.h>

static struct seg seg_in(const struct x86_seg *s)
{
    return (struct seg){.base = s->base, .limit = s->limit, .selector = s->selector, .attr = s->attr};
}

static struct x86_seg seg_out(const struct seg *s)
{
    return (struct x86_seg){.base = s->base, .limit = s->limit, .selector = s->selector, .attr = s->attr};
}

/* Fields of the same name and type in both structures. */
#define COPY_FIELDS(to, from)                                                                                          \
    to->cr0 = from->cr0;                                                                                               \
    to->cr2 = from->cr2;                                                                                               \
    to->cr3 = from->cr3;                                                                                               \
    to->cr4 = from->cr4;                                                                                               \
    to->xcr0 = from->xcr0;                                                                                             \
    to->efer = from->efer;                                                                                             \
    to->gdtr = from->gdtr;                                                                                             \
    to->idtr = from->idtr;                                                                                             \
    to->star = from->star;                                                                                             \
    to->lstar = from->lstar;                                                                                           \
    to->cstar = from->cstar;                                                                                           \
    to->sfmask = from->sfmask;                                                                                         \
    to->kernel_gs_base = from->kernel_gs_base;                                                                         \
    to->tsc_aux = from->tsc_aux;                                                                                       \
    to->sysenter_cs = from->sysenter_cs;                                                                               \
    to->sysenter_esp = from->sysenter_esp;                                                                             \
    to->sysenter_eip = from->sysenter_eip;                                                                             \
    to->pat = from->pat;                                                                                               \
    to->misc_enable = from->misc_enable;                                                                               \
    to->spec_ctrl = from->spec_ctrl;                                                                                   \
    to->xss = from->xss;                                                                                               \
    to->mtrr_def_type = from->mtrr_def_type;                                                                           \
    to->tsc_adjust = from->tsc_adjust;                                                                                 \
    to->apic_base = from->apic_base;                                                                                   \
    to->run_state = from->run_state;                                                                                   \
    to->nmi_blocked = from->nmi_blocked;                                                                               \
    to->event = from->event;                                                                                           \
    memcpy(to->gpr, from->gpr, sizeof(uint64_t[16]));                                                                  \
    memcpy(to->dr, from->dr, sizeof to->dr);                                                                           \
    memcpy(to->mtrr_fixed, from->mtrr_fixed, sizeof to->mtrr_fixed);                                                   \
    memcpy(to->mtrr_base, from->mtrr_base, sizeof to->mtrr_base);                                                      \
    memcpy(to->mtrr_mask, from->mtrr_mask, sizeof to->mtrr_mask);                                                      \
    memcpy(to->xsave, from->xsave, sizeof to->xsave)

void vcpu_get_state(struct vcpu *c, struct x86_state *s)
{
    memset(s, 0, sizeof *s);
    fpu_sync(c);
    COPY_FIELDS(s, c);
    for (unsigned i = 0; i < X86_SEGS; i++)
        s->seg[i] = seg_out(&c->seg[i]);
    s->ldtr = seg_out(&c->ldtr);
    s->tr = seg_out(&c->tr);
    s->rip = c->rip;
    s->rflags = flags_get(c);
    s->cr8 = machine_tpr(outside(c), c->index);
    s->tsc = guest_tsc(c);
    s->sti_shadow = c->shadow & SHADOW_STI || (c->rflags & RFLAG_IF && c->rip == c->sti_rip);
    s->mov_ss_shadow = c->shadow & SHADOW_MOV_SS;
    s->nmi_pending = atomic_load(&c->nmi_pending);
    s->init_pending = atomic_load(&c->request) & REQ_INIT;
    int sipi = atomic_load(&c->sipi_vector);
    s->sipi_pending = sipi >= 0;
    s->sipi_vector = sipi >= 0 ? sipi : 0;
}

void vcpu_set_state(struct vcpu *c, const struct x86_state *s)
{
    COPY_FIELDS(c, s);
    for (unsigned i = 0; i < X86_SEGS; i++)
        c->seg[i] = seg_in(&s->seg[i]);
    c->ldtr = seg_in(&s->ldtr);
    c->tr = seg_in(&s->tr);
    c->rip = s->rip;
    flags_set(c, s->rflags);
    if (machine_tpr(outside(c), c->index) != s->cr8) /* the APIC's register has four bits more */
        machine_set_tpr(outside(c), c->index, s->cr8);
    c->shadow = (s->sti_shadow ? SHADOW_STI : 0) | (s->mov_ss_shadow ? SHADOW_MOV_SS : 0);
    c->cpl = s->cr0 & CR0_PE ? s->rflags & RFLAG_VM ? 3 : s->seg[X86_SS].attr >> 5 & 3 : 0;
    atomic_store(&c->nmi_pending, s->nmi_pending);
    c->link = NULL;
    c->pending_dr6 = 0;
    c->sti_rip = NO_STI;
    c->delivering = -1;
    c->delivering_external = c->exc.trap = false;
    fpu_load(c);
    if (c->cr0 & CR0_PG && c->cr4 & CR4_PAE && !long_mode(c))
        mmu_load_pdptes(c, c->cr3);
    tlb_flush(c);
    count(c, COUNT_DROPS_OTHER);
    code_drop_all(c);
    if (s->sipi_pending)
        atomic_store(&c->sipi_vector, s->sipi_vector);
    request(c, REQ_INTR | REQ_NMI | (s->init_pending ? REQ_INIT : 0) | (s->sipi_pending ? REQ_SIPI : 0));
    seg_refresh(c);
}

/* INIT keeps FPU and vector state, MSRs, the TSC and the cache bits of CR0 (SDM Vol. 3, table 9-1). */
void vcpu_reset(struct vcpu *c, bool init)
{
    fpu_leave(c); /* for the C library's sake */
    struct x86_state *s = g_new0(struct x86_state, 1), *old = g_new0(struct x86_state, 1);
    x86_state_reset(s, c->index == 0);
    if (init) {
        vcpu_get_state(c, old);
        uint64_t cache_bits = CR0_CD | CR0_NW;
        old->cr0 = (s->cr0 & ~cache_bits) | (old->cr0 & cache_bits);
        old->cr2 = old->cr3 = old->cr4 = old->cr8 = old->efer = 0;
        memcpy(old->gpr, s->gpr, sizeof s->gpr);
        memcpy(old->dr, s->dr, sizeof s->dr);
        memcpy(old->seg, s->seg, sizeof s->seg);
        old->ldtr = s->ldtr;
        old->tr = s->tr;
        old->gdtr = s->gdtr;
        old->idtr = s->idtr;
        old->rip = s->rip;
        old->rflags = s->rflags;
        old->run_state = X86_RUNNING;
        old->sti_shadow = old->mov_ss_shadow = old->nmi_pending = old->nmi_blocked = false;
        old->event.pending = false;
        vcpu_set_state(c, old);
    } else {
        vcpu_set_state(c, s);
    }
    g_free(old);
    g_free(s);
}

struct vcpu *vcpu_new(struct soft_vm *vm, unsigned index, GError **error)
{
    struct vcpu *c = mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (c == MAP_FAILED) {
        budget_no_memory("a CPU", sizeof *c, error);
        return NULL;
    }
    c->vm = vm;
    c->index = index;
    atomic_store(&c->sipi_vector, -1);
    c->stats = g_new0(struct stats, 1);
    g_mutex_init(&c->queue_lock);
    c->granted = g_try_new0(uint16_t, c->vm->pages);
    if (c->granted ? code_init(c, error) && replay_new(c, error)
                   : budget_no_memory("the TLB", c->vm->pages * sizeof *c->granted, error)) {
        tlb_init(c);
        vcpu_reset(c, false);
        return c;
    }
    vcpu_free(c);
    return NULL;
}

void vcpu_free(struct vcpu *c)
{
    if (!c)
        return;
    trans_free(c);
    if (c->replay)
        replay_free(c);
    if (c->code)
        code_fini(c);
    g_free(c->stats);
    g_mutex_clear(&c->queue_lock);
    g_free(c->granted);
    munmap(c, sizeof *c);
}

static void add_nmi(struct vcpu *c)
{
    unsigned n = atomic_load(&c->nmi_pending);
    while (n < 2 && !atomic_compare_exchange_weak(&c->nmi_pending, &n, n + 1))
        ;
}

void vcpu_signal(struct vcpu *c, enum cpu_signal what, unsigned value)
{
    switch (what) {
    case CPU_SIGNAL_INTR:
        atomic_store(&c->intr_level, value);
        if (value)
            request(c, REQ_INTR);
        break;
    case CPU_SIGNAL_NMI:
        add_nmi(c);
        request(c, REQ_NMI);
        break;
    case CPU_SIGNAL_INIT: request(c, REQ_INIT); break;
    case CPU_SIGNAL_SIPI:
        atomic_store(&c->sipi_vector, value);
        request(c, REQ_SIPI);
        break;
    }
}
