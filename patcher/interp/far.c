// SPDX-License-Identifier: GPL-2.0-or-later
/* far.c - far JMP, CALL, RET and IRET: through code segments, call gates, tasks, and between privilege levels
 * (SDM Vol. 2 on each instruction; Vol. 3 ch. 5.8). */
#include "patcher/interp/system.h"
#include "patcher/interp/cold.h"
#include "patcher/vm.h"
#include <string.h>

static uint64_t size_mask(unsigned size)
{
    return size == 8 ? ~0ull : size == 4 ? 0xffffffff : 0xffff;
}

/* ---- real and v86 mode ------------------------------------------------------------------------------------------------- */
static bool flat_mode(const struct vcpu *c)
{
    return real_mode(c) || v86_mode(c);
}

static void jump_real(struct vcpu *c, uint16_t selector, uint64_t offset)
{
    if (offset > c->seg[X86_CS].limit)
        raise_error(c, EXC_GP, 0);
    seg_load_real(c, X86_CS, selector);
    c->next_rip = offset;
    update_mode(c);
}

/* ---- JMP ----------------------------------------------------------------------------------------------------------------- */
/* A code segment as the target of JMP or CALL at the present privilege. */
static void check_code_segment(struct vcpu *c, const struct desc *d, uint16_t selector)
{
    unsigned rpl = selector & 3;
    bool wrong = !desc_code(d) || (desc_conforming(d) ? desc_dpl(d) > c->cpl : rpl > c->cpl || desc_dpl(d) != c->cpl);
    if (wrong || (long_mode(c) && desc_long(d) && d->raw >> 54 & 1))
        raise_error(c, EXC_GP, selector & 0xfffc);
    if (!desc_present(d))
        raise_error(c, EXC_NP, selector & 0xfffc);
}

static void enter_code(struct vcpu *c, struct desc *d, uint64_t ip, unsigned cpl)
{
    if (!(long_mode(c) && desc_long(d)))
        ip = (uint32_t)ip;
    cs_check_target(c, d, ip);
    cs_load(c, d, cpl);
    c->next_rip = ip;
}

static void get_code(struct vcpu *c, uint16_t selector, struct desc *d)
{
    if (null_selector(selector))
        raise_error(c, EXC_GP, 0);
    desc_get(c, selector, EXC_GP, d);
}

/* What a gate asks for: its DPL, presence, and the code segment behind it. */
struct gate_target {
    struct desc code;
    uint64_t offset;
    unsigned osize, params;
};

static void check_gate(struct vcpu *c, const struct desc *d)
{
    if (desc_dpl(d) < c->cpl || desc_dpl(d) < (d->selector & 3u))
        raise_error(c, EXC_GP, d->selector & 0xfffc);
    if (!desc_present(d))
        raise_error(c, EXC_NP, d->selector & 0xfffc);
}

static void open_call_gate(struct vcpu *c, struct desc *gate, bool call, struct gate_target *t)
{
    check_gate(c, gate);
    uint16_t selector = gate->raw >> 16;
    t->osize = long_mode(c) ? 8 : desc_type(gate) == SYS_CALL32 ? 4 : 2;
    t->params = long_mode(c) ? 0 : gate->raw >> 32 & 31;
    t->offset = (gate->raw & 0xffff) | (gate->raw >> 32 & 0xffff0000);
    if (t->osize == 2)
        t->offset &= 0xffff;
    if (long_mode(c)) {
        desc_get_high(c, gate);
        if (gate->raw_high >> 40 & 0x1f)
            raise_error(c, EXC_GP, gate->selector & 0xfffc);
        t->offset |= gate->raw_high << 32;
    }
    get_code(c, selector, &t->code);
    const struct desc *d = &t->code;
    bool wrong = !desc_code(d) || desc_dpl(d) > c->cpl || (!call && !desc_conforming(d) && desc_dpl(d) != c->cpl);
    if (wrong || (long_mode(c) && (!desc_long(d) || d->raw >> 54 & 1)))
        raise_error(c, EXC_GP, selector & 0xfffc);
    if (!desc_present(d))
        raise_error(c, EXC_NP, selector & 0xfffc);
}

static void jump_system(struct vcpu *c, struct desc *d)
{
    struct gate_target t;
    unsigned type = desc_type(d);
    if (long_mode(c) && type != SYS_CALL32)
        raise_error(c, EXC_GP, d->selector & 0xfffc);
    switch (type) {
    case SYS_CALL16:
    case SYS_CALL32:
        open_call_gate(c, d, false, &t);
        enter_code(c, &t.code, t.offset, c->cpl);
        break;
    case SYS_TSS16:
    case SYS_TSS32:
        check_gate(c, d);
        task_switch(c, d, TASK_JUMP, c->next_rip, false, 0);
        break;
    case SYS_TASK:
        check_gate(c, d);
        task_gate(c, d, TASK_JUMP, c->next_rip, false, 0);
        break;
    default: raise_error(c, EXC_GP, d->selector & 0xfffc);
    }
}

void far_jump(struct vcpu *c, uint16_t selector, uint64_t offset, unsigned osize)
{
    struct desc d;
    if (flat_mode(c)) {
        jump_real(c, selector, offset);
        return;
    }
    get_code(c, selector, &d);
    if (desc_s(&d)) {
        check_code_segment(c, &d, selector);
        enter_code(c, &d, offset & size_mask(osize), c->cpl);
    } else
        jump_system(c, &d);
    update_mode(c);
}

/* ---- CALL ---------------------------------------------------------------------------------------------------------------- */
/* SS:ESP of a privilege level from the TSS (SDM Vol. 3, 8.7 and 8.2); in long mode RSP only, with a null SS. */
void tss_stack(struct vcpu *c, unsigned dpl, struct stack *s, struct desc *ss)
{
    bool wide = c->tr.attr & 8, lm = long_mode(c); /* 32-bit TSS */
    unsigned at = lm ? 4 + dpl * 8 : wide ? 4 + dpl * 8 : 2 + dpl * 4, bytes = lm ? 8 : wide ? 6 : 4;
    memset(s, 0, sizeof *s);
    memset(ss, 0, sizeof *ss);
    if (at + bytes - 1 > c->tr.limit)
        raise_error(c, EXC_TS, c->tr.selector & 0xfffc);
    if (lm) {
        s->sp = sys_read(c, c->tr.base + at, 8);
        s->mask = ~0ull;
        s->flat64 = true;
        ss->selector = dpl;
        return;
    }
    s->sp = sys_read(c, (uint32_t)(c->tr.base + at), wide ? 4 : 2);
    uint16_t selector = sys_read(c, (uint32_t)(c->tr.base + at + (wide ? 4 : 2)), 2);
    s->error = selector & 0xfffc;
    if (null_selector(selector))
        raise_error(c, EXC_TS, 0);
    desc_get(c, selector, EXC_TS, ss);
    if ((selector & 3) != dpl || desc_dpl(ss) != dpl || !desc_s(ss) || desc_code(ss) || !desc_writable(ss))
        raise_error(c, EXC_TS, selector & 0xfffc);
    if (!desc_present(ss))
        raise_error(c, EXC_SS, selector & 0xfffc);
    desc_cache(ss, &s->ss);
    seg_cache(c, &s->ss);
    s->mask = s->ss.attr & X86_ATTR_DB ? 0xffffffff : 0xffff;
}

/* Commits a stack of tss_stack() after CS and CPL were set. */
static void switch_stack(struct vcpu *c, const struct stack *s, struct desc *ss)
{
    if (s->flat64) {
        seg_set_null(c, X86_SS, ss->selector);
    } else {
        desc_set_accessed(c, ss);
        desc_cache(ss, &c->seg[X86_SS]);
        seg_cache(c, &c->seg[X86_SS]);
    }
    c->gpr[X86_RSP] = s->sp;
}

static void call_inner(struct vcpu *c, struct gate_target *t)
{
    struct stack s, old = stack_current(c);
    struct desc ss;
    uint64_t params[32];
    unsigned cpl = desc_dpl(&t->code);
    tss_stack(c, cpl, &s, &ss);
    for (unsigned i = 0; i < t->params; i++)
        params[i] = stack_pop(c, &old, t->osize);
    stack_push(c, &s, t->osize, c->seg[X86_SS].selector);
    stack_push(c, &s, t->osize, c->gpr[X86_RSP]);
    for (unsigned i = t->params; i--;)
        stack_push(c, &s, t->osize, params[i]);
    stack_push(c, &s, t->osize, c->seg[X86_CS].selector);
    stack_push(c, &s, t->osize, c->next_rip);
    enter_code(c, &t->code, t->offset, cpl);
    switch_stack(c, &s, &ss);
}

/* Return address on the present stack, then into the code segment. */
static void call_same(struct vcpu *c, struct desc *d, uint64_t offset, unsigned osize)
{
    struct stack s = stack_current(c);
    uint64_t from = c->next_rip;
    stack_push(c, &s, osize, c->seg[X86_CS].selector);
    stack_push(c, &s, osize, from);
    uint64_t sp_before = c->gpr[X86_RSP];
    enter_code(c, d, offset, c->cpl);
    c->gpr[X86_RSP] = sp_before;
    stack_commit(c, &s);
}

static void call_system(struct vcpu *c, struct desc *d)
{
    struct gate_target t;
    unsigned type = desc_type(d);
    if (long_mode(c) && type != SYS_CALL32)
        raise_error(c, EXC_GP, d->selector & 0xfffc);
    switch (type) {
    case SYS_CALL16:
    case SYS_CALL32:
        open_call_gate(c, d, true, &t);
        if (!desc_conforming(&t.code) && desc_dpl(&t.code) < c->cpl)
            call_inner(c, &t);
        else
            call_same(c, &t.code, t.offset, t.osize);
        break;
    case SYS_TSS16:
    case SYS_TSS32:
        check_gate(c, d);
        task_switch(c, d, TASK_CALL, c->next_rip, false, 0);
        break;
    case SYS_TASK:
        check_gate(c, d);
        task_gate(c, d, TASK_CALL, c->next_rip, false, 0);
        break;
    default: raise_error(c, EXC_GP, d->selector & 0xfffc);
    }
}

void far_call(struct vcpu *c, uint16_t selector, uint64_t offset, unsigned osize)
{
    struct desc d;
    if (flat_mode(c)) {
        struct stack s = stack_current(c);
        if (offset > c->seg[X86_CS].limit)
            raise_error(c, EXC_GP, 0);
        stack_push(c, &s, osize, c->seg[X86_CS].selector);
        stack_push(c, &s, osize, c->next_rip);
        stack_commit(c, &s);
        jump_real(c, selector, offset);
        return;
    }
    get_code(c, selector, &d);
    if (desc_s(&d)) {
        check_code_segment(c, &d, selector);
        call_same(c, &d, offset & size_mask(osize), osize);
    } else
        call_system(c, &d);
    update_mode(c);
}

/* ---- RET and IRET to protected mode ----------------------------------------------------------------------------------------- */
/* The code segment of a return: never to a more privileged one. */
static void return_code(struct vcpu *c, uint16_t selector, struct desc *d)
{
    unsigned rpl = selector & 3;
    get_code(c, selector, d);
    bool wrong = !desc_code(d) || rpl < c->cpl || (desc_conforming(d) ? desc_dpl(d) > rpl : desc_dpl(d) != rpl);
    if (wrong || (long_mode(c) && desc_long(d) && d->raw >> 54 & 1))
        raise_error(c, EXC_GP, selector & 0xfffc);
    if (!desc_present(d))
        raise_error(c, EXC_NP, selector & 0xfffc);
}

/* The stack segment of a return to rpl; false: a null one, which 64-bit code below ring 3 may have. */
static bool return_stack(struct vcpu *c, uint16_t selector, unsigned rpl, bool to64, struct desc *d)
{
    if (null_selector(selector)) {
        if (to64 && rpl != 3 && (selector & 3) == rpl)
            return false;
        raise_error(c, EXC_GP, 0);
    }
    desc_get(c, selector, EXC_GP, d);
    if ((selector & 3) != rpl || desc_dpl(d) != rpl || !desc_s(d) || desc_code(d) || !desc_writable(d))
        raise_error(c, EXC_GP, selector & 0xfffc);
    if (!desc_present(d))
        raise_error(c, EXC_SS, selector & 0xfffc);
    return true;
}

/* Data segments too privileged for the outer level become null, and null selectors 1 to 3 become 0 (SDM Vol. 2, IRET: "if
 * the selector is null or DPL < CPL and data or non-conforming code"; the APM has the second half only, but AMD's CPUs do
 * the same). */
static void drop_segments(struct vcpu *c)
{
    static const uint8_t data[] = {X86_ES, X86_DS, X86_FS, X86_GS};
    for (unsigned i = 0; i < sizeof data; i++) {
        const struct seg *s = &c->seg[data[i]];
        bool conforming = (s->attr & 0xc) == 0xc && s->attr & X86_ATTR_S;
        bool kept = s->attr & X86_ATTR_NULL ? !s->selector : conforming || (s->attr >> 5 & 3u) >= c->cpl;
        if (kept)
            continue;
        uint64_t base = s->base; /* stays, which 64-bit code sees in FS and GS */
        seg_set_null(c, data[i], 0);
        c->seg[data[i]].base = base;
    }
}

struct return_frame {
    uint64_t ip, sp;
    uint16_t cs, ss;
    bool outer; /* sp and ss are valid */
};

/* Goes where the frame says; s: the present stack, already popped, for a return that keeps it. */
static void return_to(struct vcpu *c, struct return_frame *f, const struct stack *s, unsigned extra)
{
    struct desc code, ss = {0};
    unsigned rpl = f->cs & 3;
    return_code(c, f->cs, &code);
    bool to64 = long_mode(c) && desc_long(&code);
    if (!to64)
        f->ip = (uint32_t)f->ip;
    cs_check_target(c, &code, f->ip);
    if (!f->outer) {
        struct stack kept = *s;
        kept.sp += extra;
        stack_commit(c, &kept);
        cs_load(c, &code, rpl);
        c->next_rip = f->ip;
        return;
    }
    bool has_ss = return_stack(c, f->ss, rpl, to64, &ss);
    bool drop = rpl > c->cpl;
    cs_load(c, &code, rpl);
    if (has_ss) {
        desc_set_accessed(c, &ss);
        desc_cache(&ss, &c->seg[X86_SS]);
        seg_cache(c, &c->seg[X86_SS]);
    } else
        seg_set_null(c, X86_SS, f->ss);
    uint64_t mask = to64 ? ~0ull : c->seg[X86_SS].attr & X86_ATTR_DB ? 0xffffffff : 0xffff;
    f->sp += extra;
    c->gpr[X86_RSP] = mask == 0xffff ? (c->gpr[X86_RSP] & ~mask) | (f->sp & mask) : f->sp & mask;
    c->next_rip = f->ip;
    if (drop)
        drop_segments(c);
}

void far_return(struct vcpu *c, unsigned osize, unsigned pop_bytes)
{
    struct stack s = stack_current(c);
    struct return_frame f = {.ip = stack_pop(c, &s, osize)};
    f.cs = stack_pop(c, &s, osize);
    if (flat_mode(c)) {
        if (f.ip > c->seg[X86_CS].limit)
            raise_error(c, EXC_GP, 0);
        s.sp += pop_bytes;
        stack_commit(c, &s);
        seg_load_real(c, X86_CS, f.cs);
        c->next_rip = f.ip;
        update_mode(c);
        return;
    }
    if ((f.cs & 3u) < c->cpl)
        raise_error(c, EXC_GP, f.cs & 0xfffc);
    if ((f.cs & 3u) > c->cpl) {
        s.sp += pop_bytes;
        f.outer = true;
        f.sp = stack_pop(c, &s, osize);
        f.ss = stack_pop(c, &s, osize);
    }
    return_to(c, &f, &s, pop_bytes);
    update_mode(c);
}

/* ---- IRET ---------------------------------------------------------------------------------------------------------------------- */
/* While NMIs were blocked only one could wait. */
static void unblock_nmi(struct vcpu *c)
{
    unsigned two = 2;
    if (c->nmi_blocked)
        atomic_compare_exchange_strong(&c->nmi_pending, &two, 1);
    c->nmi_blocked = false;
    if (atomic_load(&c->nmi_pending))
        request(c, REQ_NMI);
}

static void iret_flags(struct vcpu *c, uint32_t v, uint32_t may)
{
    flags_set(c, (flags_get(c) & ~may & ~(uint32_t)RFLAG_VM) | (v & may));
    unblock_nmi(c);
}

static void iret_real(struct vcpu *c, unsigned osize)
{
    struct stack s = stack_current(c);
    if (v86_mode(c) && iopl(c) < 3)
        raise_error(c, EXC_GP, 0);
    uint64_t ip = stack_pop(c, &s, osize);
    uint16_t cs = stack_pop(c, &s, osize);
    uint32_t v = stack_pop(c, &s, osize), may = flags_writable(c, osize);
    if (ip > c->seg[X86_CS].limit)
        raise_error(c, EXC_GP, 0);
    bool v86 = v86_mode(c);
    seg_load_real(c, X86_CS, cs);
    stack_commit(c, &s);
    iret_flags(c, v, may);
    if (v86)
        c->rflags |= RFLAG_VM;
    c->next_rip = ip;
}

/* Back to a v86 task: nine words on the ring-0 stack (SDM Vol. 3, 20.2.3). */
static void iret_to_v86(struct vcpu *c, struct stack *s, uint64_t ip, uint16_t cs, uint32_t v)
{
    static const uint8_t order[] = {X86_SS, X86_ES, X86_DS, X86_FS, X86_GS};
    uint16_t selector[sizeof order];
    uint32_t sp = stack_pop(c, s, 4);
    for (unsigned i = 0; i < sizeof order; i++)
        selector[i] = stack_pop(c, s, 4);
    flags_set(c, (v & ~0xffc08028u) | RFLAG_VM);
    c->cpl = 3;
    seg_load_real(c, X86_CS, cs);
    for (unsigned i = 0; i < sizeof order; i++)
        seg_load_real(c, order[i], selector[i]);
    c->gpr[X86_RSP] = sp;
    c->next_rip = ip & 0xffff;
    unblock_nmi(c);
}

static void iret_protected(struct vcpu *c, unsigned osize)
{
    struct stack s = stack_current(c);
    struct desc link;
    if (c->rflags & RFLAG_NT) {
        if (long_mode(c))
            raise_error(c, EXC_GP, 0);
        uint16_t selector = sys_read(c, c->tr.base, 2);
        if (selector & 4)
            raise_error(c, EXC_TS, selector & 0xfffc);
        desc_get(c, selector, EXC_TS, &link);
        if (desc_s(&link) || (desc_type(&link) & 7) != SYS_TSS16_BUSY)
            raise_error(c, EXC_TS, selector & 0xfffc);
        if (!desc_present(&link))
            raise_error(c, EXC_NP, selector & 0xfffc);
        task_switch(c, &link, TASK_IRET, c->next_rip, false, 0);
        unblock_nmi(c);
        return;
    }
    struct return_frame f = {.ip = stack_pop(c, &s, osize)};
    f.cs = stack_pop(c, &s, osize);
    uint32_t v = stack_pop(c, &s, osize);
    if (osize == 4 && v & RFLAG_VM && c->cpl == 0 && !long_mode(c)) {
        iret_to_v86(c, &s, f.ip, f.cs, v);
        return;
    }
    uint32_t may = flags_writable(c, osize);
    if ((f.cs & 3u) < c->cpl)
        raise_error(c, EXC_GP, f.cs & 0xfffc);
    if ((f.cs & 3u) > c->cpl || code64(c)) {
        f.outer = true;
        f.sp = stack_pop(c, &s, osize);
        f.ss = stack_pop(c, &s, osize);
    }
    return_to(c, &f, &s, 0);
    iret_flags(c, v, may);
}

void far_iret(struct vcpu *c, unsigned osize)
{
    if (flat_mode(c))
        iret_real(c, osize);
    else
        iret_protected(c, osize);
    update_mode(c);
}

/* ---- the instructions ------------------------------------------------------------------------------------------------------------ */
/* ptr16:16/32: offset in imm, selector in disp */
void cold_jmp_far(struct vcpu *c, const struct insn *in)
{
    far_jump(c, in->disp, in->imm, in->osize);
}

void cold_call_far(struct vcpu *c, const struct insn *in)
{
    far_call(c, in->disp, in->imm, in->osize);
}

/* m16:16, m16:32, m16:64 */
static uint64_t far_pointer(struct vcpu *c, const struct insn *in, uint16_t *selector)
{
    uint64_t off = mem_offset(c, in);
    uint64_t lin = seg_linear(c, in->seg, off, in->osize + 2, ACCESS_READ);
    uint64_t v = mem_read_slow(c, NULL, lin, in->osize);
    *selector = mem_read_slow(c, NULL, lin + in->osize, 2);
    return v;
}

void cold_jmp_far_m(struct vcpu *c, const struct insn *in)
{
    uint16_t selector;
    uint64_t off = far_pointer(c, in, &selector);
    far_jump(c, selector, off, in->osize);
}

void cold_call_far_m(struct vcpu *c, const struct insn *in)
{
    uint16_t selector;
    uint64_t off = far_pointer(c, in, &selector);
    far_call(c, selector, off, in->osize);
}

void cold_ret_far(struct vcpu *c, const struct insn *in)
{
    far_return(c, in->osize, in->imm);
}

void cold_iret(struct vcpu *c, const struct insn *in)
{
    far_iret(c, in->osize);
}

/* LES LDS LSS LFS LGS; in->aux_op: the segment register */
void cold_load_far(struct vcpu *c, const struct insn *in)
{
    uint16_t selector;
    uint64_t off = far_pointer(c, in, &selector);
    seg_load(c, in->aux_op, selector);
    reg_set(c, in->reg, in->osize, off);
    update_mode(c);
}
