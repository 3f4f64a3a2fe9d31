// SPDX-License-Identifier: GPL-2.0-or-later
/* bind0.c - handlers of the one-byte opcodes (SDM Vol. 2, appendix A, table A-2), and what both opcode maps
 * share in binding. */
#include "patcher/decode/decode.h"

/* ---- ways to bind --------------------------------------------------------------------------------------------------------- */
enum bound bind_hot(struct parts *p, insn_fn fn)
{
    if (!fn)
        return BOUND_UD;
    p->in->fn = fn;
    return BOUND;
}

enum bound bind_cold(struct parts *p, cold_fn fn)
{
    p->in->fn = exec_cold;
    p->in->aux = (void *)fn;
    return BOUND;
}

enum bound bind_cold_end(struct parts *p, cold_fn fn)
{
    p->in->fn = exec_cold_end;
    p->in->aux = (void *)fn;
    p->in->flags |= INSN_ENDS;
    return BOUND;
}

uint8_t reg_offset(const struct parts *p, unsigned number, unsigned size)
{
    return size == 0 && !p->rex && number >= 4 && number < 8 ? (number - 4) * 8 + 1 : number * 8;
}

void set_operands(struct parts *p, unsigned size)
{
    p->in->reg = reg_offset(p, p->reg, size);
    p->in->rm = reg_offset(p, p->rm, size);
    p->in->osize = 1u << size;
    p->in->mem_bytes = p->in->osize;
}

bool hot_stack(const struct parts *p)
{
    return p->code == CODE64 || ((p->mode & (MODE_FLAT | MODE_STACK32)) == (MODE_FLAT | MODE_STACK32));
}

unsigned stack_osize(const struct parts *p)
{
    return p->code == CODE64 ? (p->has66 && !p->rex_w ? 1 : 3) : p->osize;
}

unsigned branch_osize(const struct parts *p)
{
    return p->code == CODE64 ? (p->has66 && !p->rex_w && p->amd ? 1 : 3) : p->osize;
}

static unsigned stack_mode(const struct parts *p)
{
    return p->code == CODE64 ? CODE64 : CODE32;
}

static uint64_t size_mask(unsigned size)
{
    return size == 3 ? ~0ull : size == 2 ? 0xffffffff : 0xffff;
}

void set_branch(struct parts *p)
{
    unsigned size = branch_osize(p);
    p->in->osize = 1u << size;
    p->in->imm = p->in->ip + p->in->len + p->imm;
    p->in->amask = size_mask(size);
}

/* hot where the stack is flat and there is a handler, else cold */
static enum bound bind_stack(struct parts *p, insn_fn hot, cold_fn cold)
{
    return hot_stack(p) && hot ? bind_hot(p, hot) : bind_cold(p, cold);
}

/* ---- families -------------------------------------------------------------------------------------------------------------- */
/* rm op= reg; reg op= rm (to_reg); rm op= imm (immediate) */
enum bound bind_alu(struct parts *p, unsigned op, unsigned size, bool immediate, bool to_reg)
{
    set_operands(p, size);
    enum form form = immediate ? (p->mem ? FORM_MI : FORM_RI) : !p->mem ? FORM_RR : to_reg ? FORM_RM : FORM_MR;
    if (form == FORM_RR && to_reg) { /* rr is rm op= reg */
        uint8_t reg = p->in->reg;
        p->in->reg = p->in->rm;
        p->in->rm = reg;
    }
    return bind_hot(p, alu_fn(op, form, size, p->lock));
}

static enum bound alu_accumulator(struct parts *p, unsigned op, unsigned size)
{
    p->rm = X86_RAX;
    p->mem = false;
    return bind_alu(p, op, size, true, false);
}

enum bound bind_jcc(struct parts *p)
{
    set_branch(p);
    return bind_hot(p, jcc_fn(p->opcode & 15));
}

enum bound bind_mul2(struct parts *p, bool immediate)
{
    set_operands(p, p->osize);
    return bind_hot(p, imul2_fn(p->osize, immediate));
}

enum bound bind_push_seg(struct parts *p, unsigned seg)
{
    p->in->reg_no = seg;
    p->in->osize = 1u << stack_osize(p);
    return bind_cold(p, cold_push_seg);
}

enum bound bind_pop_seg(struct parts *p, unsigned seg)
{
    p->in->reg_no = seg;
    p->in->osize = 1u << stack_osize(p);
    return bind_cold_end(p, cold_pop_seg);
}

enum bound bind_load_far(struct parts *p, unsigned seg)
{
    if (!p->mem)
        return BOUND_UD;
    set_operands(p, p->osize);
    p->in->aux_op = seg;
    return bind_cold_end(p, cold_load_far);
}

static enum bound bind_unary(struct parts *p, unsigned op, unsigned size)
{
    set_operands(p, size);
    return bind_hot(p, unary_fn(op, p->mem, size, p->lock));
}

static enum bound bind_shift(struct parts *p, unsigned size, bool by_cl)
{
    set_operands(p, size);
    if ((p->opcode & 0xfe) == 0xd0)
        p->in->imm = 1;
    return bind_hot(p, shift_fn(p->reg & 7, p->mem, size, by_cl));
}

static enum bound bind_mov(struct parts *p, bool to_reg, unsigned size)
{
    set_operands(p, size);
    if (p->mem)
        return bind_hot(p, mov_fn(to_reg ? FORM_RM : FORM_MR, size));
    if (to_reg) {
        uint8_t reg = p->in->reg;
        p->in->reg = p->in->rm;
        p->in->rm = reg;
    }
    return bind_hot(p, mov_fn(FORM_RR, size));
}

static enum bound bind_moffs(struct parts *p, unsigned size)
{
    p->reg = X86_RAX;
    p->mem = true;
    p->in->flags |= INSN_MEM;
    return bind_mov(p, !(p->opcode & 2), size);
}

static enum bound bind_mov_imm(struct parts *p, unsigned size)
{
    set_operands(p, size);
    return bind_hot(p, mov_fn(p->mem ? FORM_MI : FORM_RI, size));
}

static enum bound bind_xchg(struct parts *p, unsigned size)
{
    set_operands(p, size);
    if (p->mem)
        p->in->flags |= INSN_LOCK;
    return bind_hot(p, xchg_fn(p->mem, size));
}

/* 90 to 97; 90 without REX.B is NOP or PAUSE, and on some CPUs PAUSE comes before REX.B */
static enum bound bind_xchg_rax(struct parts *p)
{
    bool pause = p->rep && p->c->vm->host.quirks.pause_ignores_rex;
    if (p->opcode == 0x90 && (p->rm == 0 || pause))
        return p->rep ? bind_cold(p, cold_pause) : bind_hot(p, nop_fn());
    p->reg = X86_RAX;
    return bind_xchg(p, p->osize);
}

static enum bound bind_push(struct parts *p, bool immediate)
{
    unsigned size = stack_osize(p);
    set_operands(p, size);
    return bind_stack(p, push_fn(stack_mode(p), size, immediate), immediate ? cold_push_imm : cold_push_rm);
}

static enum bound bind_pop(struct parts *p)
{
    unsigned size = stack_osize(p);
    set_operands(p, size);
    return bind_stack(p, p->mem ? NULL : pop_fn(stack_mode(p), size), cold_pop_rm);
}

static enum bound bind_stack_cold(struct parts *p, cold_fn fn)
{
    p->in->osize = 1u << stack_osize(p);
    return bind_cold(p, fn);
}

static enum bound bind_leave(struct parts *p)
{
    unsigned size = stack_osize(p);
    p->in->osize = 1u << size;
    p->in->seg = X86_SS;
    return bind_stack(p, leave_fn(stack_mode(p), size), cold_leave);
}

static enum bound bind_enter(struct parts *p)
{
    p->in->osize = 1u << stack_osize(p);
    p->in->imm = (p->imm & 0xffff) | (p->imm2 & 31) << 16;
    return bind_cold(p, cold_enter);
}

static enum bound bind_call(struct parts *p)
{
    unsigned size = branch_osize(p);
    set_branch(p);
    insn_fn hot = hot_stack(p) ? call_fn(stack_mode(p), size) : NULL;
    if (!hot)
        return bind_cold_end(p, cold_call);
    p->in->flags |= INSN_ENDS;
    return bind_hot(p, hot);
}

static enum bound bind_jmp(struct parts *p)
{
    set_branch(p);
    p->in->flags |= INSN_ENDS;
    return bind_hot(p, jmp_fn());
}

static enum bound bind_loop(struct parts *p)
{
    set_branch(p); /* the count's width is in asize */
    return bind_hot(p, loop_fn());
}

static enum bound bind_ret(struct parts *p)
{
    unsigned size = branch_osize(p);
    p->in->osize = 1u << size;
    p->in->imm = p->opcode & 1 ? 0 : p->imm & 0xffff;
    insn_fn hot = hot_stack(p) ? ret_fn(stack_mode(p), size) : NULL;
    if (!hot)
        return bind_cold_end(p, cold_ret);
    p->in->flags |= INSN_ENDS;
    return bind_hot(p, hot);
}

static enum bound bind_ret_far(struct parts *p)
{
    p->in->imm = p->opcode & 1 ? 0 : p->imm & 0xffff;
    return bind_cold_end(p, cold_ret_far);
}

/* 9A, EA: offset, then selector */
static enum bound bind_far(struct parts *p, cold_fn fn)
{
    p->in->imm = p->imm & size_mask(p->osize);
    p->in->disp = p->imm2 & 0xffff;
    return bind_cold_end(p, fn);
}

static enum bound bind_string(struct parts *p, unsigned op, unsigned size)
{
    p->in->osize = 1u << size;
    p->in->aux_op = op;
    bool repeats = p->rep || p->repne;
    bool io = op >= 5;
    if (io)
        return bind_cold_end(p, cold_string_io);
    return repeats ? bind_cold_end(p, cold_string) : bind_cold(p, cold_string);
}

static enum bound bind_io(struct parts *p, bool out)
{
    p->in->osize = p->opcode & 1 ? (p->osize == 1 ? 2 : 4) : 1;
    return bind_cold_end(p, out ? cold_out : cold_in);
}

/* ---- groups ------------------------------------------------------------------------------------------------------------------ */
static enum bound group1(struct parts *p, unsigned size)
{
    return bind_alu(p, p->reg & 7, size, true, false);
}

static enum bound group3(struct parts *p, unsigned size)
{
    unsigned op = p->reg & 7;
    set_operands(p, size);
    switch (op) {
    case 0:
    case 1: return bind_alu(p, ALU_TEST, size, true, false);
    case 2: return bind_unary(p, UNARY_NOT, size);
    case 3: return bind_unary(p, UNARY_NEG, size);
    default: return bind_hot(p, mul_fn(op - 4, size));
    }
}

static enum bound bind_indirect(struct parts *p, bool call)
{
    unsigned size = branch_osize(p), mode = stack_mode(p);
    set_operands(p, size);
    insn_fn hot = !hot_stack(p) ? NULL : call ? call_rm_fn(mode, size) : jmp_rm_fn(mode, size);
    if (!hot)
        return bind_cold_end(p, call ? cold_call_rm : cold_jmp_rm);
    p->in->flags |= INSN_ENDS;
    return bind_hot(p, hot);
}

static enum bound group5(struct parts *p)
{
    switch (p->reg & 7) {
    case 0: return bind_unary(p, UNARY_INC, p->osize);
    case 1: return bind_unary(p, UNARY_DEC, p->osize);
    case 2: return bind_indirect(p, true);
    case 3: return p->mem ? bind_cold_end(p, cold_call_far_m) : BOUND_UD;
    case 4: return bind_indirect(p, false);
    case 5: return p->mem ? bind_cold_end(p, cold_jmp_far_m) : BOUND_UD;
    case 6: return bind_push(p, false);
    default: return BOUND_UD;
    }
}

/* ---- rows ---------------------------------------------------------------------------------------------------------------------- */
static enum bound row_00_3f(struct parts *p)
{
    unsigned op = p->opcode >> 3, low = p->opcode & 7;
    static const uint8_t seg[] = {X86_ES, X86_CS, X86_SS, X86_DS};
    if (low < 4)
        return bind_alu(p, op, low & 1 ? p->osize : 0, false, low & 2);
    if (low < 6)
        return alu_accumulator(p, op, low & 1 ? p->osize : 0);
    if (p->opcode >= 0x20)
        return bind_cold(p, cold_bcd);
    return low == 6 ? bind_push_seg(p, seg[op]) : bind_pop_seg(p, seg[op]);
}

static enum bound row_40_5f(struct parts *p)
{
    p->mem = false;
    if (p->opcode < 0x50)
        return bind_unary(p, p->opcode & 8 ? UNARY_DEC : UNARY_INC, p->osize);
    return p->opcode & 8 ? bind_pop(p) : bind_push(p, false);
}

static enum bound row_60_6f(struct parts *p)
{
    enum { STRING_INS = 5, STRING_OUTS };
    unsigned io_size = p->opcode & 1 ? (p->osize == 1 ? 1 : 2) : 0;
    switch (p->opcode) {
    case 0x60: return bind_stack_cold(p, cold_pusha);
    case 0x61: return bind_stack_cold(p, cold_popa);
    case 0x62: set_operands(p, p->osize); return p->mem ? bind_cold(p, cold_bound) : BOUND_UD;
    case 0x63:
        if (p->code != CODE64) {
            set_operands(p, 1);
            return bind_cold(p, cold_arpl);
        }
        set_operands(p, p->osize);
        if (p->osize == 1)
            return bind_mov(p, true, 1);
        return p->osize == 2 ? bind_mov(p, true, 2) : bind_hot(p, movx_fn(true, p->mem, 2, 3));
    case 0x68:
    case 0x6a: return bind_push(p, true);
    case 0x69:
    case 0x6b: return bind_mul2(p, true);
    default: return bind_string(p, p->opcode & 2 ? STRING_OUTS : STRING_INS, io_size);
    }
}

static enum bound row_80_8f(struct parts *p)
{
    unsigned size = p->opcode & 1 ? p->osize : 0;
    switch (p->opcode) {
    case 0x80:
    case 0x81:
    case 0x82:
    case 0x83: return group1(p, size);
    case 0x84:
    case 0x85: return bind_alu(p, ALU_TEST, size, false, false);
    case 0x86:
    case 0x87: return bind_xchg(p, size);
    case 0x88:
    case 0x89: return bind_mov(p, false, size);
    case 0x8a:
    case 0x8b: return bind_mov(p, true, size);
    case 0x8c:
        set_operands(p, p->osize);
        p->in->reg_no &= 7;
        return bind_cold(p, cold_mov_from_seg);
    case 0x8d:
        if (!p->mem)
            return BOUND_UD;
        set_operands(p, p->osize);
        return bind_hot(p, lea_fn(p->osize));
    case 0x8e:
        set_operands(p, p->osize);
        p->in->reg_no &= 7;
        return bind_cold_end(p, cold_mov_to_seg);
    default: return bind_pop(p);
    }
}

static enum bound row_90_9f(struct parts *p)
{
    switch (p->opcode) {
    case 0x98:
    case 0x99: return bind_hot(p, convert_fn(p->opcode, p->osize));
    case 0x9a: return bind_far(p, cold_call_far);
    case 0x9b: return BOUND_REPLAY;
    case 0x9c: return bind_stack_cold(p, cold_pushf);
    case 0x9d: p->in->osize = 1u << stack_osize(p); return bind_cold_end(p, cold_popf);
    case 0x9e:
    case 0x9f: return bind_cold(p, cold_lahf);
    default: return bind_xchg_rax(p);
    }
}

static enum bound row_a0_bf(struct parts *p)
{
    enum { STRING_MOVS, STRING_CMPS, STRING_STOS, STRING_LODS, STRING_SCAS };
    unsigned size = p->opcode & 1 ? p->osize : 0;
    if (p->opcode >= 0xb0) {
        p->mem = false;
        return bind_mov_imm(p, p->opcode & 8 ? p->osize : 0);
    }
    switch (p->opcode >> 1 & 7) {
    case 0:
    case 1: return bind_moffs(p, size);
    case 2: return bind_string(p, STRING_MOVS, size);
    case 3: return bind_string(p, STRING_CMPS, size);
    case 4: return alu_accumulator(p, ALU_TEST, size);
    case 5: return bind_string(p, STRING_STOS, size);
    case 6: return bind_string(p, STRING_LODS, size);
    default: return bind_string(p, STRING_SCAS, size);
    }
}

static enum bound row_c0_cf(struct parts *p)
{
    unsigned size = p->opcode & 1 ? p->osize : 0;
    switch (p->opcode) {
    case 0xc0:
    case 0xc1: return bind_shift(p, size, false);
    case 0xc2:
    case 0xc3: return bind_ret(p);
    case 0xc4: return bind_load_far(p, X86_ES);
    case 0xc5: return bind_load_far(p, X86_DS);
    case 0xc6:
    case 0xc7: return p->reg & 7 ? BOUND_UD : bind_mov_imm(p, size);
    case 0xc8: return bind_enter(p);
    case 0xc9: return bind_leave(p);
    case 0xca:
    case 0xcb: return bind_ret_far(p);
    case 0xcc: return bind_cold_end(p, cold_int3);
    case 0xcd: return bind_cold_end(p, cold_int);
    case 0xce: return bind_cold_end(p, cold_into);
    default: return bind_cold_end(p, cold_iret);
    }
}

static enum bound row_d0_df(struct parts *p)
{
    switch (p->opcode) {
    case 0xd4: return bind_cold(p, cold_aam);
    case 0xd5: return bind_cold(p, cold_aad);
    case 0xd6: return bind_cold(p, cold_salc);
    case 0xd7: return bind_cold(p, cold_xlat);
    default: return p->opcode >= 0xd8 ? BOUND_REPLAY : bind_shift(p, p->opcode & 1 ? p->osize : 0, p->opcode & 2);
    }
}

static enum bound row_e0_ef(struct parts *p)
{
    switch (p->opcode) {
    case 0xe8: return bind_call(p);
    case 0xe9:
    case 0xeb: return bind_jmp(p);
    case 0xea: return bind_far(p, cold_jmp_far);
    default: return p->opcode < 0xe4 ? bind_loop(p) : bind_io(p, p->opcode & 2);
    }
}

static enum bound row_f0_ff(struct parts *p)
{
    switch (p->opcode) {
    case 0xf1: return bind_cold_end(p, cold_icebp);
    case 0xf4: return bind_cold_end(p, cold_hlt);
    case 0xf6: return group3(p, 0);
    case 0xf7: return group3(p, p->osize);
    case 0xfa: return bind_cold(p, cold_cli);
    case 0xfb: return bind_cold_end(p, cold_sti);
    case 0xfe: return p->reg & 6 ? BOUND_UD : bind_unary(p, p->reg & 1 ? UNARY_DEC : UNARY_INC, 0);
    case 0xff: return group5(p);
    default: return bind_cold(p, cold_flag);
    }
}

enum bound bind_map0(struct parts *p)
{
    switch (p->opcode >> 4) {
    case 0x0:
    case 0x1:
    case 0x2:
    case 0x3: return row_00_3f(p);
    case 0x4:
    case 0x5: return row_40_5f(p);
    case 0x6: return row_60_6f(p);
    case 0x7: return bind_jcc(p);
    case 0x8: return row_80_8f(p);
    case 0x9: return row_90_9f(p);
    case 0xa:
    case 0xb: return row_a0_bf(p);
    case 0xc: return row_c0_cf(p);
    case 0xd: return row_d0_df(p);
    case 0xe: return row_e0_ef(p);
    default: return row_f0_ff(p);
    }
}
