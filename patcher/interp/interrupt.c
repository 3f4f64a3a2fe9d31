// SPDX-License-Identifier: GPL-2.0-or-later
/* interrupt.c - entering the handler of an interrupt or exception, in every mode (SDM Vol. 3 ch. 6, 20.1-20.3). */
#include "patcher/interp/system.h"
#include "patcher/interp/cold.h"
#include "patcher/vm.h"

/* What is being delivered. */
struct event {
    unsigned vector;
    enum event_kind kind;
    bool has_error;
    uint32_t error, flags; /* flags: the image to push */
    uint64_t rip;
};

static bool software(const struct event *e)
{
    return e->kind == EVENT_SOFT;
}

static uint32_t idt_error(const struct event *e)
{
    return e->vector * 8 + 2;
}

static void enter(struct vcpu *c, uint64_t ip, uint32_t clear)
{
    c->rflags &= ~clear;
    c->rip = c->next_rip = ip;
    c->no_step_trap = true;
    update_mode(c);
}

static void deliver_real(struct vcpu *c, const struct event *e)
{
    struct stack s = stack_current(c);
    if (e->vector * 4 + 3 > c->idtr.limit)
        raise_error(c, EXC_GP, idt_error(e));
    uint32_t far = sys_read(c, (uint32_t)(c->idtr.base + e->vector * 4), 4);
    stack_push(c, &s, 2, e->flags);
    stack_push(c, &s, 2, c->seg[X86_CS].selector);
    stack_push(c, &s, 2, e->rip);
    stack_commit(c, &s);
    seg_load_real(c, X86_CS, far >> 16);
    enter(c, far & 0xffff, RFLAG_IF | RFLAG_TF | RFLAG_AC | RFLAG_RF);
}

/* ---- gates --------------------------------------------------------------------------------------------------------------- */
struct idt_gate {
    struct desc d;
    unsigned type;
    uint64_t offset;
    uint16_t selector;
};

static void read_gate(struct vcpu *c, const struct event *e, struct idt_gate *g)
{
    unsigned bytes = long_mode(c) ? 16 : 8;
    if (e->vector * bytes + bytes - 1 > c->idtr.limit)
        raise_error(c, EXC_GP, idt_error(e));
    uint64_t lin = c->idtr.base + e->vector * bytes;
    g->d = (struct desc){.lin = long_mode(c) ? lin : (uint32_t)lin};
    g->d.raw = sys_read(c, g->d.lin, 8);
    if (long_mode(c))
        g->d.raw_high = sys_read(c, g->d.lin + 8, 8);
    g->type = desc_type(&g->d);
    bool known = long_mode(c) ? g->type >= SYS_INT32
                              : g->type == SYS_TASK || (g->type & ~8u) == SYS_INT16 || (g->type & ~8u) == SYS_TRAP16;
    if (desc_s(&g->d) || !known || (software(e) && desc_dpl(&g->d) < c->cpl))
        raise_error(c, EXC_GP, idt_error(e));
    if (!desc_present(&g->d))
        raise_error(c, EXC_NP, idt_error(e));
    g->selector = g->d.raw >> 16;
    g->offset = (g->d.raw & 0xffff) | (g->d.raw >> 32 & 0xffff0000);
    if (!(g->type & 8))
        g->offset &= 0xffff;
    if (long_mode(c))
        g->offset |= g->d.raw_high << 32;
}

static void handler_code(struct vcpu *c, const struct idt_gate *g, struct desc *code)
{
    if (null_selector(g->selector))
        raise_error(c, EXC_GP, 0);
    desc_get(c, g->selector, EXC_GP, code);
    bool wrong = !desc_code(code) || desc_dpl(code) > c->cpl;
    if (wrong || (long_mode(c) && (!desc_long(code) || code->raw >> 54 & 1)))
        raise_error(c, EXC_GP, g->selector & 0xfffc);
    if (!desc_present(code))
        raise_error(c, EXC_NP, g->selector & 0xfffc);
    if (v86_mode(c) && (desc_conforming(code) || desc_dpl(code)))
        raise_error(c, EXC_GP, g->selector & 0xfffc);
}

static uint32_t flags_cleared(const struct idt_gate *g)
{
    return RFLAG_TF | RFLAG_NT | RFLAG_RF | RFLAG_VM | (g->type & 1 ? 0 : RFLAG_IF);
}

static void push_frame(struct vcpu *c, const struct event *e, struct stack *s, unsigned size, bool outer)
{
    if (outer) {
        stack_push(c, s, size, c->seg[X86_SS].selector);
        stack_push(c, s, size, c->gpr[X86_RSP]);
    }
    stack_push(c, s, size, e->flags);
    stack_push(c, s, size, c->seg[X86_CS].selector);
    stack_push(c, s, size, e->rip);
    if (e->has_error)
        stack_push(c, s, size, e->error);
}

/* ---- protected mode ---------------------------------------------------------------------------------------------------------- */
static void push_v86_segments(struct vcpu *c, struct stack *s, unsigned size)
{
    static const uint8_t order[] = {X86_GS, X86_FS, X86_DS, X86_ES};
    for (unsigned i = 0; i < sizeof order; i++)
        stack_push(c, s, size, c->seg[order[i]].selector);
}

static void to_inner(struct vcpu *c, const struct event *e, const struct idt_gate *g, struct desc *code)
{
    struct stack s;
    struct desc ss;
    unsigned size = g->type & 8 ? 4 : 2, cpl = desc_dpl(code);
    bool v86 = v86_mode(c);
    tss_stack(c, cpl, &s, &ss);
    if (v86)
        push_v86_segments(c, &s, size);
    push_frame(c, e, &s, size, true);
    cs_check_target(c, code, g->offset);
    desc_set_accessed(c, &ss);
    c->rflags &= ~(uint32_t)RFLAG_VM;
    cs_load(c, code, cpl);
    desc_cache(&ss, &c->seg[X86_SS]);
    seg_cache(c, &c->seg[X86_SS]);
    c->gpr[X86_RSP] = s.mask == 0xffff ? (c->gpr[X86_RSP] & ~0xffffull) | (s.sp & 0xffff) : s.sp;
    if (v86) {
        seg_set_null(c, X86_ES, 0);
        seg_set_null(c, X86_DS, 0);
        seg_set_null(c, X86_FS, 0);
        seg_set_null(c, X86_GS, 0);
    }
    enter(c, g->offset, flags_cleared(g));
}

static void deliver_protected(struct vcpu *c, const struct event *e)
{
    struct idt_gate g;
    struct desc code;
    if (v86_mode(c) && software(e) && e->vector != EXC_BP && e->vector != EXC_OF && iopl(c) < 3)
        raise_error(c, EXC_GP, 0);
    read_gate(c, e, &g);
    if (g.type == SYS_TASK) {
        task_gate(c, &g.d, TASK_CALL, e->rip, e->has_error, e->error);
        c->rip = c->next_rip;
        c->no_step_trap = true;
        update_mode(c);
        return;
    }
    handler_code(c, &g, &code);
    if (!desc_conforming(&code) && desc_dpl(&code) < c->cpl) {
        to_inner(c, e, &g, &code);
        return;
    }
    struct stack s = stack_current(c);
    push_frame(c, e, &s, g.type & 8 ? 4 : 2, false);
    cs_check_target(c, &code, g.offset);
    cs_load(c, &code, c->cpl);
    stack_commit(c, &s);
    enter(c, g.offset, flags_cleared(&g));
}

/* ---- long mode ------------------------------------------------------------------------------------------------------------------- */
static uint64_t ist_stack(struct vcpu *c, unsigned ist)
{
    unsigned at = 28 + ist * 8;
    if (at + 7u > c->tr.limit)
        raise_error(c, EXC_TS, c->tr.selector & 0xfffc);
    return sys_read(c, c->tr.base + at, 8);
}

static void deliver_long(struct vcpu *c, const struct event *e)
{
    struct idt_gate g;
    struct desc code, ss = {0};
    struct stack s = {.sp = c->gpr[X86_RSP], .mask = ~0ull, .flat64 = true};
    read_gate(c, e, &g);
    handler_code(c, &g, &code);
    unsigned ist = g.d.raw >> 32 & 7, cpl = desc_conforming(&code) ? c->cpl : desc_dpl(&code);
    bool inner = cpl < c->cpl;
    if (ist)
        s.sp = ist_stack(c, ist);
    else if (inner)
        tss_stack(c, cpl, &s, &ss);
    if (!canonical(s.sp))
        raise_error(c, EXC_SS, 0);
    s.sp &= ~15ull;
    s.user = cpl == 3;
    push_frame(c, e, &s, 8, true);
    cs_check_target(c, &code, g.offset);
    cs_load(c, &code, cpl);
    if (inner)
        seg_set_null(c, X86_SS, cpl);
    c->gpr[X86_RSP] = s.sp;
    enter(c, g.offset, flags_cleared(&g));
}

void event_deliver(struct vcpu *c, unsigned vector, enum event_kind kind, bool has_error, uint32_t error, uint64_t rip)
{
    struct event e = {vector, kind, has_error, error, flags_get(c), rip};
    if (kind == EVENT_FAULT && vector != EXC_DB)
        e.flags |= RFLAG_RF;
    if (real_mode(c))
        deliver_real(c, &e);
    else if (long_mode(c))
        deliver_long(c, &e);
    else
        deliver_protected(c, &e);
}

/* ---- the instructions ------------------------------------------------------------------------------------------------------------- */
/* BIOS and DOS calls by which programs wait for a key, INT 16h AH=1 and 11h with none in the BIOS's buffer, and by which they
 * say that they wait, INT 28h.  The BIOS's data is at its place but for memory managers that move it, which costs a wrong guess at most. */
static void note_wait(struct vcpu *c, unsigned vector)
{
    enum {
        KEYBOARD = 0x16,
        DOS_IDLE = 0x28,
        BUFFER_HEAD = 0x41a,
        BUFFER_TAIL = 0x41c,
        LOOK = 0x01,
        LOOK_ENHANCED = 0x11
    };
    unsigned what = c->gpr[X86_RAX] >> 8 & 0xff;
    if (vector == KEYBOARD && (what == LOOK || what == LOOK_ENHANCED)) {
        const uint8_t *memory = c->vm->memory;
        if (*(const uint16_t *)(memory + BUFFER_HEAD) != *(const uint16_t *)(memory + BUFFER_TAIL))
            return;
    } else if (vector != DOS_IDLE) {
        return;
    }
    machine_looked(outside(c), c->index);
}

void cold_int(struct vcpu *c, const struct insn *in)
{
    if (real_mode(c) || v86_mode(c))
        note_wait(c, in->imm & 0xff);
    event_deliver(c, in->imm & 0xff, EVENT_SOFT, false, 0, c->next_rip);
}

void cold_int3(struct vcpu *c, const struct insn *in)
{
    event_deliver(c, EXC_BP, EVENT_SOFT, false, 0, c->next_rip);
}

void cold_into(struct vcpu *c, const struct insn *in)
{
    if (c->of)
        event_deliver(c, EXC_OF, EVENT_SOFT, false, 0, c->next_rip);
}

void cold_icebp(struct vcpu *c, const struct insn *in)
{
    c->dr[6] |= c->pending_dr6; /* what MOV SS held off comes with it */
    c->pending_dr6 = 0;
    event_deliver(c, EXC_DB, EVENT_SOFT_ICEBP, false, 0, c->next_rip);
}

void cold_fault(struct vcpu *c, const struct insn *in)
{
    if (in->aux_op == EXC_UD)
        raise_exception(c, EXC_UD);
    raise_error(c, in->aux_op, 0);
}
