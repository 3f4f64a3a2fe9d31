// SPDX-License-Identifier: GPL-2.0-or-later
/* stack.c - the stack in all its widths: PUSH, POP, PUSHA, PUSHF, ENTER and so on where control.c has no quick form. */
#include "patcher/interp/system.h"
#include "patcher/interp/cold.h"
#include "patcher/vm.h"

uint64_t stack_mask(const struct vcpu *c, const struct seg *ss)
{
    return code64(c) ? ~0ull : ss->attr & X86_ATTR_DB ? 0xffffffff : 0xffff;
}

struct stack stack_current(struct vcpu *c)
{
    const struct seg *ss = &c->seg[X86_SS];
    return (struct stack){
        .ss = *ss, .sp = c->gpr[X86_RSP], .mask = stack_mask(c, ss), .user = c->cpl == 3, .flat64 = code64(c)};
}

static uint64_t stack_linear(struct vcpu *c, const struct stack *s, unsigned size, int access)
{
    uint64_t off = s->sp & s->mask;
    if (s->flat64) {
        if (!canonical(off) || !canonical(off + size - 1))
            raise_error(c, EXC_SS, s->error);
        return off;
    }
    if ((s->ss.can & access) != access || off < s->ss.lo || seg_over_end(c, &s->ss, off + size - 1))
        raise_error(c, EXC_SS, s->error);
    return (uint32_t)(s->ss.base + off);
}

static uint64_t merge(uint64_t whole, uint64_t part, uint64_t mask)
{
    return mask == 0xffffffff ? part & mask : (whole & ~mask) | (part & mask);
}

void stack_push(struct vcpu *c, struct stack *s, unsigned size, uint64_t v)
{
    s->sp = merge(s->sp, s->sp - size, s->mask);
    uint64_t lin = stack_linear(c, s, size, ACCESS_WRITE);
    if (s->user && c->cpl == 3)
        mem_write_slow(c, NULL, lin, size, v);
    else
        sys_write(c, lin, size, v);
}

static uint64_t read_stack(struct vcpu *c, uint64_t lin, unsigned size)
{
    switch (size) {
    case 2: return mem_read16(c, NULL, lin);
    case 4: return mem_read32(c, NULL, lin);
    default: return mem_read64(c, NULL, lin);
    }
}

uint64_t stack_pop(struct vcpu *c, struct stack *s, unsigned size)
{
    uint64_t lin = stack_linear(c, s, size, ACCESS_READ);
    uint64_t v = read_stack(c, lin, size);
    s->sp = merge(s->sp, s->sp + size, s->mask);
    return v;
}

void stack_commit(struct vcpu *c, const struct stack *s)
{
    c->gpr[X86_RSP] = merge(c->gpr[X86_RSP], s->sp, s->mask);
}

void push(struct vcpu *c, unsigned size, uint64_t v)
{
    struct stack s = stack_current(c);
    stack_push(c, &s, size, v);
    stack_commit(c, &s);
}

/* ---- PUSH and POP --------------------------------------------------------------------------------------------------- */
void cold_push_rm(struct vcpu *c, const struct insn *in)
{
    push(c, in->osize, cold_rm_read(c, in));
}

void cold_push_imm(struct vcpu *c, const struct insn *in)
{
    push(c, in->osize, in->imm);
}

/* POP computes a memory destination that uses the stack pointer after the pop. */
void cold_pop_rm(struct vcpu *c, const struct insn *in)
{
    struct stack s = stack_current(c);
    uint64_t before = c->gpr[X86_RSP], v = stack_pop(c, &s, in->osize);
    if (!(in->flags & INSN_MEM)) {
        stack_commit(c, &s);
        reg_set(c, in->rm, in->osize, v);
        return;
    }
    stack_commit(c, &s);
    uint64_t after = c->gpr[X86_RSP], off = mem_offset(c, in);
    c->gpr[X86_RSP] = before; /* until nothing can fault any more */
    mem_write_slow(c, NULL, seg_linear(c, in->seg, off, in->osize, ACCESS_WRITE), in->osize, v);
    c->gpr[X86_RSP] = after;
}

/* in->reg_no: the segment register.  A 32-bit push writes 16 bits only (as current processors do). */
void cold_push_seg(struct vcpu *c, const struct insn *in)
{
    struct stack s = stack_current(c);
    if (in->osize == 4 && !cpuid_is_amd(c)) { /* Intel leaves the upper half of the slot as it is */
        s.sp = merge(s.sp, s.sp - 2, s.mask);
        stack_push(c, &s, 2, c->seg[in->reg_no].selector);
    } else
        stack_push(c, &s, in->osize, c->seg[in->reg_no].selector);
    stack_commit(c, &s);
}

void cold_pop_seg(struct vcpu *c, const struct insn *in)
{
    struct stack s = stack_current(c);
    uint16_t selector = stack_pop(c, &s, 2);
    s.sp = merge(s.sp, s.sp + in->osize - 2, s.mask);
    seg_load(c, in->reg_no, selector);
    stack_commit(c, &s);
    if (in->reg_no == X86_SS)
        c->shadow = SHADOW_MOV_SS;
    update_mode(c);
}

void cold_pusha(struct vcpu *c, const struct insn *in)
{
    struct stack s = stack_current(c);
    for (unsigned r = X86_RAX; r <= X86_RDI; r++)
        stack_push(c, &s, in->osize, c->gpr[r]);
    stack_commit(c, &s);
}

/* Registers that were popped before a fault keep the new values, as in the processors: RSP does not, so that the
 * instruction can start again. */
void cold_popa(struct vcpu *c, const struct insn *in)
{
    struct stack s = stack_current(c);
    for (int r = X86_RDI; r >= X86_RAX; r--) {
        uint64_t v = stack_pop(c, &s, in->osize);
        if (r != X86_RSP)
            reg_set(c, (unsigned)r * 8, in->osize, v);
    }
    stack_commit(c, &s);
}

/* ---- flags ------------------------------------------------------------------------------------------------------------ */
void cold_pushf(struct vcpu *c, const struct insn *in)
{
    if (v86_mode(c) && iopl(c) < 3)
        raise_error(c, EXC_GP, 0);
    push(c, in->osize, flags_get(c) & ~(uint32_t)(RFLAG_RF | RFLAG_VM));
}

/* Which flags POPF and IRET may change at the present privilege. */
uint32_t flags_writable(const struct vcpu *c, unsigned osize)
{
    uint32_t m = RFLAG_ARITH | RFLAG_TF | RFLAG_DF | RFLAG_NT | RFLAG_RF | RFLAG_AC | RFLAG_ID;
    if (real_mode(c) || c->cpl == 0)
        m |= RFLAG_IOPL | RFLAG_IF;
    else if (c->cpl <= iopl(c))
        m |= RFLAG_IF;
    return osize == 2 ? m & 0xffff : m;
}

void cold_popf(struct vcpu *c, const struct insn *in)
{
    if (v86_mode(c) && iopl(c) < 3)
        raise_error(c, EXC_GP, 0);
    struct stack s = stack_current(c);
    uint32_t v = stack_pop(c, &s, in->osize), m = flags_writable(c, in->osize) & ~(uint32_t)RFLAG_RF;
    stack_commit(c, &s);
    flags_set(c, (flags_get(c) & ~m & ~(uint32_t)RFLAG_RF) | (v & m));
    update_mode(c);
}

/* ---- frames ------------------------------------------------------------------------------------------------------------ */
void cold_leave(struct vcpu *c, const struct insn *in)
{
    struct stack s = stack_current(c);
    s.sp = merge(s.sp, c->gpr[X86_RBP], s.mask);
    uint64_t bp = stack_pop(c, &s, in->osize);
    stack_commit(c, &s);
    reg_set(c, X86_RBP * 8, in->osize, bp);
}

/* imm: size in bits 0-15, nesting level in bits 16-20 */
void cold_enter(struct vcpu *c, const struct insn *in)
{
    struct stack s = stack_current(c), frames = s;
    unsigned bytes = in->imm & 0xffff, level = in->imm >> 16 & 31;
    stack_push(c, &s, in->osize, c->gpr[X86_RBP]);
    uint64_t frame = s.sp;
    frames.sp = merge(frames.sp, c->gpr[X86_RBP], s.mask);
    for (unsigned i = 1; i < level; i++) {
        frames.sp = merge(frames.sp, frames.sp - in->osize, s.mask);
        struct stack at = frames;
        stack_push(c, &s, in->osize, stack_pop(c, &at, in->osize));
    }
    if (level)
        stack_push(c, &s, in->osize, frame);
    s.sp = merge(s.sp, s.sp - bytes, s.mask);
    struct stack probe = s; /* the new top must be writable */
    mem_probe(c, NULL, stack_linear(c, &probe, in->osize, ACCESS_WRITE), in->osize, ACCESS_WRITE);
    stack_commit(c, &s);
    reg_set(c, X86_RBP * 8, in->osize, frame);
}

/* ---- near transfers through odd stacks ------------------------------------------------------------------------------- */
static uint64_t ip_mask(const struct insn *in)
{
    return in->osize == 8 ? ~0ull : in->osize == 4 ? 0xffffffff : 0xffff;
}

static void near_jump(struct vcpu *c, uint64_t ip)
{
    if (code64(c) ? !canonical(ip) : ip > c->code_limit)
        raise_error(c, EXC_GP, 0);
    c->next_rip = ip;
}

void cold_jmp_rm(struct vcpu *c, const struct insn *in)
{
    near_jump(c, cold_rm_read(c, in) & ip_mask(in));
}

/* The stack's faults come before the target's. */
static void call(struct vcpu *c, const struct insn *in, uint64_t to)
{
    struct stack s = stack_current(c), top = s;
    uint64_t from = c->next_rip;
    top.sp = merge(s.sp, s.sp - in->osize, s.mask);
    mem_probe(c, NULL, stack_linear(c, &top, in->osize, ACCESS_WRITE), in->osize, ACCESS_WRITE);
    bool push_first = c->vm->host.quirks.call_pushes_first;
    if (push_first)
        stack_push(c, &s, in->osize, from);
    near_jump(c, to);
    if (!push_first)
        stack_push(c, &s, in->osize, from);
    stack_commit(c, &s);
}

void cold_call(struct vcpu *c, const struct insn *in)
{
    call(c, in, (c->gpr[REG_BLOCK_IP] + in->imm) & in->amask);
}

void cold_call_rm(struct vcpu *c, const struct insn *in)
{
    call(c, in, cold_rm_read(c, in) & ip_mask(in));
}

void cold_ret(struct vcpu *c, const struct insn *in)
{
    struct stack s = stack_current(c);
    near_jump(c, stack_pop(c, &s, in->osize) & ip_mask(in));
    s.sp = merge(s.sp, s.sp + in->imm, s.mask);
    stack_commit(c, &s);
}
