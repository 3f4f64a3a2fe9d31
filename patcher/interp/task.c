// SPDX-License-Identifier: GPL-2.0-or-later
/* task.c - hardware task switches with 16- and 32-bit TSS (SDM Vol. 3 ch. 7). */
#include "patcher/interp/system.h"
#include "patcher/vm.h"
#include "patcher/interp/breakpoints.h"
#include <string.h>

/* The saved state in the TSS: selectors and registers in the order of their slots. */
struct tss_layout {
    unsigned size;               /* of a slot of IP, flags, registers */
    unsigned limit;              /* least limit */
    unsigned cr3, ip, segs, ldt; /* offsets; cr3 0: none */
    unsigned seg_slot, seg_count, trap;
};

static const struct tss_layout tss32 = {4, 0x67, 0x1c, 0x20, 0x48, 0x60, 4, 6, 0x64};
static const struct tss_layout tss16 = {2, 0x2b, 0, 0x0e, 0x22, 0x2a, 2, 4, 0};

static const struct tss_layout *layout(unsigned type)
{
    return type & 8 ? &tss32 : &tss16;
}

struct task_state {
    uint32_t cr3, ip, flags, reg[8];
    uint16_t seg[X86_SEGS], ldt;
    bool trap;
};

static void save_old(struct vcpu *c, uint64_t return_ip, uint32_t flags)
{
    const struct tss_layout *l = layout(c->tr.attr);
    uint64_t base = c->tr.base;
    sys_write(c, base + l->ip, l->size, return_ip);
    sys_write(c, base + l->ip + l->size, l->size, flags);
    for (unsigned i = 0; i < 8; i++)
        sys_write(c, base + l->ip + (2 + i) * l->size, l->size, c->gpr[i]);
    for (unsigned i = 0; i < l->seg_count; i++)
        sys_write(c, base + l->segs + i * l->seg_slot, 2, c->seg[i].selector);
}

static void load_new(struct vcpu *c, const struct tss_layout *l, uint64_t base, struct task_state *t)
{
    memset(t, 0, sizeof *t);
    t->cr3 = l->cr3 ? sys_read(c, base + l->cr3, 4) : 0;
    t->ip = sys_read(c, base + l->ip, l->size);
    t->flags = sys_read(c, base + l->ip + l->size, l->size);
    for (unsigned i = 0; i < 8; i++)
        t->reg[i] = sys_read(c, base + l->ip + (2 + i) * l->size, l->size) | (l->size == 2 ? 0xffff0000 : 0);
    for (unsigned i = 0; i < l->seg_count; i++)
        t->seg[i] = sys_read(c, base + l->segs + i * l->seg_slot, 2);
    t->ldt = sys_read(c, base + l->ldt, 2);
    t->trap = l->trap && sys_read(c, base + l->trap, 2) & 1;
}

static void set_busy(struct vcpu *c, uint16_t selector, bool busy)
{
    struct desc d;
    if (!desc_read(c, selector, &d))
        return;
    uint8_t type = d.raw >> 40;
    sys_write(c, d.lin + 5, 1, busy ? type | 2 : type & ~2);
}

/* Code and stack segments of the new task; its faults are #TS there. */
static void load_code(struct vcpu *c, uint16_t selector)
{
    struct desc d;
    if (null_selector(selector))
        raise_error(c, EXC_TS, 0);
    desc_get(c, selector, EXC_TS, &d);
    unsigned rpl = selector & 3;
    if (!desc_code(&d) || (desc_conforming(&d) ? desc_dpl(&d) > rpl : desc_dpl(&d) != rpl))
        raise_error(c, EXC_TS, selector & 0xfffc);
    if (!desc_present(&d))
        raise_error(c, EXC_NP, selector & 0xfffc);
    cs_load(c, &d, rpl);
}

static void load_stack(struct vcpu *c, uint16_t selector)
{
    struct desc d;
    if (null_selector(selector))
        raise_error(c, EXC_TS, 0);
    desc_get(c, selector, EXC_TS, &d);
    if (!desc_s(&d) || desc_code(&d) || !desc_writable(&d) || desc_dpl(&d) != c->cpl || (selector & 3) != c->cpl)
        raise_error(c, EXC_TS, selector & 0xfffc);
    if (!desc_present(&d))
        raise_error(c, EXC_SS, selector & 0xfffc);
    desc_set_accessed(c, &d);
    desc_cache(&d, &c->seg[X86_SS]);
    seg_cache(c, &c->seg[X86_SS]);
}

static void load_data(struct vcpu *c, unsigned seg, uint16_t selector)
{
    struct desc d;
    if (null_selector(selector)) {
        seg_set_null(c, seg, selector);
        return;
    }
    desc_get(c, selector, EXC_TS, &d);
    unsigned rpl = selector & 3, need = rpl > c->cpl ? rpl : c->cpl;
    bool readable = desc_s(&d) && (!desc_code(&d) || d.raw >> 41 & 1);
    if (!readable || (!(desc_code(&d) && desc_conforming(&d)) && desc_dpl(&d) < need))
        raise_error(c, EXC_TS, selector & 0xfffc);
    if (!desc_present(&d))
        raise_error(c, EXC_NP, selector & 0xfffc);
    desc_set_accessed(c, &d);
    desc_cache(&d, &c->seg[seg]);
    seg_cache(c, &c->seg[seg]);
}

static void load_segments(struct vcpu *c, const struct task_state *t)
{
    /* the selectors are there even if loading one of them faults */
    for (unsigned i = 0; i < X86_SEGS; i++) {
        seg_set_null(c, i, t->seg[i]);
        c->seg[i].selector = t->seg[i];
    }
    if (v86_mode(c)) {
        c->cpl = 3;
        for (unsigned i = 0; i < X86_SEGS; i++)
            seg_load_real(c, i, t->seg[i]);
        return;
    }
    c->cpl = t->seg[X86_CS] & 3;
    load_code(c, t->seg[X86_CS]);
    load_stack(c, t->seg[X86_SS]);
    load_data(c, X86_ES, t->seg[X86_ES]);
    load_data(c, X86_DS, t->seg[X86_DS]);
    load_data(c, X86_FS, t->seg[X86_FS]);
    load_data(c, X86_GS, t->seg[X86_GS]);
}

/* The commit point is passed: from here faults happen in the new task. */
static void become(struct vcpu *c, const struct tss_layout *l, const struct task_state *t, struct desc *tss)
{
    desc_cache(tss, &c->tr);
    c->tr.attr |= 2;
    c->cr0 |= CR0_TS;
    if (l->cr3 && c->cr0 & CR0_PG) {
        c->cr3 = t->cr3;
        if (c->cr4 & CR4_PAE)
            mmu_load_pdptes(c, t->cr3);
        tlb_flush(c);
    }
    flags_set(c, (t->flags & 0x277fd7) | 2);
    for (unsigned i = 0; i < 8; i++)
        c->gpr[i] = t->reg[i];
    c->rip = c->next_rip = t->ip;
    c->dr[7] &= ~0x155ull; /* local breakpoints */
    c->ldtr = (struct seg){.selector = t->ldt, .attr = X86_ATTR_NULL};
    if (!null_selector(t->ldt))
        ldt_load(c, t->ldt, EXC_TS);
    load_segments(c, t);
    update_mode(c);
}

void task_switch(struct vcpu *c, struct desc *tss, enum task_how how, uint64_t return_ip, bool push_error,
                 uint32_t error)
{
    struct seg target;
    struct task_state t;
    unsigned type = desc_type(tss);
    const struct tss_layout *l = layout(type);
    uint16_t old = c->tr.selector;
    desc_cache(tss, &target);
    if (!desc_present(tss))
        raise_error(c, EXC_NP, tss->selector & 0xfffc);
    if (target.limit < l->limit)
        raise_error(c, EXC_TS, tss->selector & 0xfffc);
    sys_probe(c, target.base, l->limit + 1, ACCESS_READ | ACCESS_WRITE);
    sys_probe(c, c->tr.base, layout(c->tr.attr)->limit + 1, ACCESS_READ | ACCESS_WRITE);
    load_new(c, l, target.base, &t);
    uint32_t flags = flags_get(c);
    if (how == TASK_IRET)
        flags &= ~(uint32_t)RFLAG_NT;
    if (how != TASK_CALL)
        set_busy(c, old, false);
    save_old(c, return_ip, flags);
    if (how == TASK_CALL) {
        sys_write(c, target.base, 2, old);
        t.flags |= RFLAG_NT;
    }
    if (how != TASK_IRET)
        set_busy(c, tss->selector, true);
    become(c, l, &t, tss);
    if (push_error)
        push(c, type & 8 ? 4 : 2, error);
    if (c->next_rip > c->seg[X86_CS].limit)
        raise_error(c, EXC_GP, 0);
    if (t.trap)
        c->pending_dr6 |= DR6_BT;
}

void task_gate(struct vcpu *c, const struct desc *gate, enum task_how how, uint64_t return_ip, bool push_error,
               uint32_t error)
{
    struct desc d;
    uint16_t selector = gate->raw >> 16;
    if (selector & 4)
        raise_error(c, EXC_GP, selector & 0xfffc);
    desc_get(c, selector, EXC_GP, &d);
    if (desc_s(&d) || (desc_type(&d) != SYS_TSS16 && desc_type(&d) != SYS_TSS32))
        raise_error(c, EXC_GP, selector & 0xfffc);
    task_switch(c, &d, how, return_ip, push_error, error);
}
