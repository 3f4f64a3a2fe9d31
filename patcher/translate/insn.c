// SPDX-License-Identifier: GPL-2.0-or-later
/* insn.c - host code for one instruction.  What is none of the cases here, tier 1 runs (TRANS_EXEC). */
#include "patcher/interp/system.h"
#include "patcher/translate/translation.h"

void trans_adjust_rsp(struct translation *t, int by)
{
    e_lea(&t->e, trans_word(t), H_GUEST_RSP, at(H_GUEST_RSP, by));
}

static unsigned operand_size(const struct trans_op *o, unsigned byte_or_more)
{
    if (byte_or_more == 1)
        return 1;
    return o->rex & 8 ? 8 : o->p66 ? 2 : 4;
}

/* AH CH DH BH cannot stand in an instruction that needs REX on the host.  Memory operands do not (see plain()). */
bool trans_high_byte_trouble(const struct trans_op *o)
{
    int reg = trans_plain_reg(o), rm = trans_plain_rm(o);
    bool high = (reg >= 0 && trans_high_byte(o, reg, o->reg_size)) || (rm >= 0 && trans_high_byte(o, rm, o->rm_size));
    bool rex = o->rex;
    if (reg >= 0 && !trans_high_byte(o, reg, o->reg_size))
        rex |= trans_home(reg) < 0 || trans_home(reg) > 7 || (o->reg_size == 1 && trans_home(reg) > 3);
    if (rm >= 0 && !trans_high_byte(o, rm, o->rm_size))
        rex |= trans_home(rm) < 0 || trans_home(rm) > 7 || (o->rm_size == 1 && trans_home(rm) > 3);
    return high && rex;
}

/* Host register for operand n: itself for AH CH DH BH, else its home, or temp, loaded if it is read. */
static int operand_register(struct translation *t, int n, bool high, bool read, int temp)
{
    if (high)
        return n;
    return trans_home(n) < 0 && !read ? temp : trans_reg_in(t, n, temp);
}

static void plain(struct translation *t, const struct insn *in, const struct trans_op *o, const uint8_t *raw)
{
    int reg_no = trans_plain_reg(o), rm_no = trans_plain_rm(o);
    int reg = o->modrm >> 3 & 7, rm = 0, rm_temp = reg_no == rm_no ? T1 : T2; /* one register, one temporary */
    struct host_mem m = {0};
    if (o->memory) {
        m = trans_operand_place(t, in, in->mem_bytes, !o->reads_only);
        rm = T0;
    } else if (rm_no >= 0) {
        rm = operand_register(t, rm_no, trans_high_byte(o, rm_no, o->rm_size), o->rm_read, rm_temp);
    }
    if (reg_no >= 0)
        reg = operand_register(t, reg_no, trans_high_byte(o, reg_no, o->reg_size), o->reg_read || reg_no == rm_no, T1);
    bool high_with_memory = o->memory && reg_no >= 0 && trans_high_byte(o, reg_no, o->reg_size);
    if (high_with_memory) { /* no REX, so no T0 */
        e_mov(&t->e, 8, T1, H_RSI);
        e_mov(&t->e, 8, H_RSI, T0);
        rm = H_RSI;
        t->tb->point[t->now].lent = t->e.at - t->started[t->now];
    }
    if (o->map == 0x0f && o->opcode == 0xc7 && o->rex & 8) { /* CMPXCHG16B wants it aligned */
        trans_flags_aside(t);
        e_lea(&t->e, 4, T1, m);
        e_rr(&t->e, 4, 0xf7, 0, T1); /* test */
        e32(&t->e, 15);
        trans_slow_jcc(t, 5);
        trans_flags_back(t);
    }
    trans_plain_bytes(&t->e, o, raw, reg, rm, m.disp, t->code64, o->lock && !t->c->vm->lone);
    if (high_with_memory)
        e_mov(&t->e, 8, H_RSI, T1);
    if (reg_no >= 0 && o->reg_written && !trans_high_byte(o, reg_no, o->reg_size))
        trans_reg_out(t, reg_no, T1);
    if (rm_no >= 0 && o->rm_written && !trans_high_byte(o, rm_no, o->rm_size))
        trans_reg_out(t, rm_no, rm_temp);
}

/* Division that surely does not fault: unsigned, if the high half is below the divisor; signed, if it is but the sign of
 * the low half and the divisor neither 0 nor -1. */
static void divide(struct translation *t, const struct insn *in, const struct trans_op *o, const uint8_t *raw)
{
    struct emit *e = &t->e;
    unsigned size = o->rex & 8 ? 8 : 4;
    int n = trans_plain_rm(o), divisor = n >= 0 ? trans_reg_in(t, n, T0) : T0;
    if (o->memory)
        e_load(e, size, T0, trans_operand_place(t, in, size, false));
    trans_flags_aside(t);
    if ((o->modrm >> 3 & 7) == 6) {
        e_rr(e, size, 0x3b, H_RDX, divisor);
        trans_slow_jcc(t, 3);
    } else {
        e_lea(e, size, T1, at(divisor, 1));
        e_rr(e, size, 0x83, 7, T1);
        e8(e, 1);
        trans_slow_jcc(t, 6);
        e_mov(e, size, T1, H_RAX);
        e_rr(e, size, 0xc1, 7, T1);
        e8(e, size * 8 - 1);
        e_rr(e, size, 0x3b, T1, H_RDX);
        trans_slow_jcc(t, 5);
    }
    trans_flags_back(t);
    struct trans_op as_register = *o;
    as_register.memory = false;
    trans_plain_bytes(e, &as_register, raw, o->modrm >> 3 & 7, divisor, 0, t->code64, false);
}

static void lea(struct translation *t, const struct insn *in, const struct trans_op *o)
{
    int n = (o->modrm >> 3 & 7) | (o->rex & 4) << 1;
    unsigned size = operand_size(o, 4);
    int to = trans_home(n) >= 0 ? trans_home(n) : T0;
    unsigned narrow = size == 8 && in->asize == 8 ? 8 : 4;
    if (in->base / 8 == REG_BLOCK_IP ||
        (in->base / 8 < 16 && trans_home(in->base / 8) < 0)) { /* a temporary is needed */
        trans_operand_offset(t, in, T0, narrow, 0);
        if (to != T0)
            e_mov(&t->e, 8, to, T0);
    } else {
        trans_operand_offset(t, in, to, narrow, 0);
    }
    if (to == T0)
        e_store(&t->e, 8, trans_gpr_field(n), T0);
}

static void push_value_done(struct translation *t)
{
    trans_adjust_rsp(t, -(int)trans_word(t));
}

static void push_reg(struct translation *t, unsigned n)
{
    struct host_mem m = trans_stack_place(t, H_GUEST_RSP, -(int)trans_word(t), true);
    int r = trans_reg_in(t, n, T1);
    e_store(&t->e, trans_word(t), m, r);
    push_value_done(t);
}

/* Intel's processors leave the upper half of a dword on the stack as it is. */
static void push_segment(struct translation *t, const struct insn *in)
{
    struct host_mem m = trans_stack_place(t, H_GUEST_RSP, -(int)trans_word(t), true);
    size_t field = offsetof(struct vcpu, seg) + in->reg_no * sizeof(struct seg);
    e_mem(&t->e, 4, 0x0fb7, T1, trans_field(field + offsetof(struct seg, selector))); /* movzx */
    e_store(&t->e, t->code64 || cpuid_is_amd(t->c) ? trans_word(t) : 2, m, T1);
    push_value_done(t);
}

static void push_imm(struct translation *t, const struct trans_op *o, const uint8_t *raw)
{
    int32_t v = (int8_t)raw[o->imm_at];
    if (o->opcode == 0x68)
        memcpy(&v, raw + o->imm_at, 4);
    e_mem(&t->e, trans_word(t), 0xc7, 0, trans_stack_place(t, H_GUEST_RSP, -(int)trans_word(t), true));
    e32(&t->e, v);
    push_value_done(t);
}

/* The branch target or value of FF /2 /4 /6, from memory to vcpu.trans_temp. */
static void load_to_temp(struct translation *t, const struct insn *in)
{
    e_load(&t->e, trans_word(t), T0, trans_operand_place(t, in, trans_word(t), false));
    t->held = -1;
    e_store(&t->e, 8, TRANS_FIELD(trans_temp), T0);
}

static void push_rm(struct translation *t, const struct insn *in, const struct trans_op *o)
{
    if (!o->memory) {
        push_reg(t, trans_plain_rm(o));
        return;
    }
    load_to_temp(t, in);
    struct host_mem m = trans_stack_place(t, H_GUEST_RSP, -(int)trans_word(t), true);
    e_load(&t->e, 8, T1, TRANS_FIELD(trans_temp));
    e_store(&t->e, trans_word(t), m, T1);
    push_value_done(t);
}

static void pop_reg(struct translation *t, const struct trans_op *o)
{
    int n = trans_plain_rm(&(struct trans_op){.reg_in_opcode = true, .opcode = o->opcode, .rex = o->rex});
    struct host_mem m = trans_stack_place(t, H_GUEST_RSP, 0, false);
    int to = trans_home(n) >= 0 ? trans_home(n) : T1;
    e_load(&t->e, trans_word(t), to, m);
    if (n != X86_RSP)
        trans_adjust_rsp(t, trans_word(t));
    trans_reg_out(t, n, T1);
}

static void leave(struct translation *t)
{
    struct host_mem m = trans_stack_place(t, H_RBP, 0, false);
    e_lea(&t->e, trans_word(t), T1, at(H_RBP, trans_word(t)));
    e_load(&t->e, trans_word(t), H_RBP, m);
    e_mov(&t->e, 8, H_GUEST_RSP, T1);
}

/* undo: what was there may have to come back (trans_miss_c). */
static void push_return(struct translation *t, const struct insn *in, bool undo)
{
    struct host_mem m = trans_stack_place(t, H_GUEST_RSP, -(int)trans_word(t), true);
    if (undo && t->code64) {
        e_load(&t->e, 8, T1, m);
        e_store(&t->e, 8, TRANS_FIELD(trans_below), T1);
    }
    e_load(&t->e, 8, T1, TRANS_FIELD(trans_page));
    e_lea(&t->e, trans_word(t), T1, at(T1, t->tb->offset + in->ip + in->len));
    e_store(&t->e, trans_word(t), m, T1);
}

static void call(struct translation *t, const struct insn *in)
{
    push_return(t, in, false);
    push_value_done(t);
    trans_jump_to(t, trans_target_offset(t, in));
}

/* In case the target is not canonical: then the jump itself faults (trans_miss_c). */
static void note_jump(struct translation *t, const struct insn *in, int rsp)
{
    if (!t->code64)
        return;
    e_mem(&t->e, 4, 0xc7, 0, TRANS_FIELD(trans_from));
    e32(&t->e, (uint32_t)rsp << 12 | (t->tb->offset + in->ip));
}

static void jump_rm(struct translation *t, const struct insn *in, const struct trans_op *o, bool is_call)
{
    if (o->memory)
        load_to_temp(t, in);
    if (is_call)
        push_return(t, in, true);
    if (o->memory)
        e_load(&t->e, 8, T0, TRANS_FIELD(trans_temp));
    else
        e_mov(&t->e, trans_word(t), T0, trans_reg_in(t, trans_plain_rm(o), T0));
    if (is_call)
        push_value_done(t);
    note_jump(t, in, is_call ? -(int)trans_word(t) : 0);
    trans_jump_indirect(t->x, &t->e);
}

static void ret(struct translation *t, const struct insn *in, const struct trans_op *o, const uint8_t *raw)
{
    uint16_t more = 0;
    if (o->opcode == 0xc2)
        memcpy(&more, raw + o->imm_at, 2);
    e_load(&t->e, trans_word(t), T0, trans_stack_place(t, H_GUEST_RSP, 0, false));
    trans_adjust_rsp(t, trans_word(t) + more);
    note_jump(t, in, trans_word(t) + more);
    trans_jump_indirect(t->x, &t->e);
}

/* The last x87 instruction before anybody can ask leaves its address. */
static void x87_pointer(struct translation *t, const struct insn *in, const struct trans_op *o)
{
    unsigned next = t->now + 1;
    if (!o->memory && next < t->block->count && t->op[next].kind == TRANS_VECTOR && trans_vector_x87(&t->op[next]) &&
        !t->op[next].memory)
        return; /* the next one cannot leave before it has said so itself */
    e_load(&t->e, 8, T0, TRANS_FIELD(trans_page));
    e_lea(&t->e, 8, T0, at(T0, t->tb->offset + in->ip));
    e_store(&t->e, 8, TRANS_FIELD(trans_x87_ip), T0);
    if (o->memory) {
        e_mem(&t->e, 1, 0xc6, 0, TRANS_FIELD(trans_x87_seg));
        e8(&t->e, in->seg + 1);
    }
    e_mem(&t->e, 2, 0xc7, 0, TRANS_FIELD(trans_x87_op));
    e8(&t->e, trans_vector_x87(o) & 0xff);
    e8(&t->e, trans_vector_x87(o) >> 8 & 0xff);
}

/* R10, R11 and R14 are scratch registers here, R15 holds the guest's RSP: the instruction gets them by their numbers. */
static void vector_instruction(struct translation *t, const struct trans_op *o, struct host_mem m)
{
    struct emit *e = &t->e;
    unsigned away = trans_vector_away(o);
    if (o->memory && away >> T0 & 1) {
        m.base = away >> T1 & 1 ? T2 : T1;
        e_mov(e, 8, m.base, T0);
    }
    if (away >> H_GUEST_RSP & 1)
        e_store(e, 8, trans_gpr_field(X86_RSP), H_GUEST_RSP);
    for (unsigned n = 0; n < 16; n++)
        if (away >> n & 1)
            e_load(e, 8, n, trans_gpr_field(n));
    if (away >> H_GUEST_RSP & 1) {
        t->tb->point[t->now].lent = t->e.at - t->started[t->now];
        t->tb->point[t->now].lent_rsp = true;
    }
    trans_vector_emit(e, o, m);
    for (unsigned n = 0; n < 16; n++)
        if (away & trans_vector_written(o) & 1u << n)
            e_store(e, 8, trans_gpr_field(n), n);
    if (away >> H_GUEST_RSP & 1)
        e_load(e, 8, H_GUEST_RSP, trans_gpr_field(X86_RSP));
    if (away >> T0 & 1)
        t->held = -1;
}

static void vector(struct translation *t, const struct insn *in, const struct trans_op *o)
{
    struct emit *e = &t->e;
    unsigned class = trans_vector_class(o);
    struct host_mem m = {0};
    if (class & ~t->vector_checked) {
        trans_flags_aside(t);
        t->how = TRANS_DO_READY;
        e_mem(e, 4, 0xf7, 0, TRANS_FIELD(trans_vector)); /* test */
        e32(e, class);
        trans_slow_jcc(t, 4);
        trans_flags_back(t);
        t->how = TRANS_DO_EXEC;
        t->held = -1; /* whoever comes back from there has lost T0 */
        t->vector_checked |= class;
    }
    if (o->memory)
        m = trans_operand_place(t, in, trans_vector_bytes(o), !o->reads_only);
    if (o->memory && trans_vector_align(o) > 1) {
        trans_flags_aside(t);
        e_lea(e, 4, T1, m);
        e_rr(e, 4, 0xf7, 0, T1); /* test T1, align - 1 */
        e32(e, trans_vector_align(o) - 1);
        trans_slow_jcc(t, 5);
        trans_flags_back(t);
    }
    vector_instruction(t, o, m);
    if (o->memory && trans_vector_x87(o)) { /* only now: on a detour the one before counts */
        trans_operand_offset(t, in, T2, in->asize == 4 ? 4 : trans_word(t), 0);
        e_store(e, 8, TRANS_FIELD(trans_x87_dp), T2);
    }
    if (trans_vector_x87(o))
        x87_pointer(t, in, o);
}

/* CLI STI CLD STD.  STI behind which an interrupt waits, and whoever needs IOPL, is tier 1's. */
static void set_flag(struct translation *t, const struct insn *in, const struct trans_op *o)
{
    struct emit *e = &t->e;
    bool direction = o->opcode >= 0xfc, set = o->opcode & 1;
    uint32_t bit = direction ? RFLAG_DF : RFLAG_IF;
    trans_flags_aside(t);
    if (!direction) {
        e_mem(e, 1, 0x80, 7, TRANS_FIELD(cpl)); /* cmp byte, 0 */
        e8(e, 0);
        trans_slow_jcc(t, 5);
    }
    if (set && !direction) {
        e_mem(e, 1, 0x80, 7, TRANS_FIELD(intr_level));
        e8(e, 0);
        trans_slow_jcc(t, 5);
        e_mem(e, 4, 0xf7, 0, TRANS_FIELD(rflags)); /* test */
        e32(e, bit);
        trans_slow_jcc(t, 5);
        e_load(e, 8, T0, TRANS_FIELD(trans_page));
        e_lea(e, trans_word(t), T0, at(T0, t->tb->offset + in->ip + in->len));
        e_store(e, 8, TRANS_FIELD(sti_rip), T0);
    }
    e_mem(e, 4, 0x81, set ? 1 : 4, TRANS_FIELD(rflags)); /* or, and */
    e32(e, set ? bit : ~bit);
    trans_flags_back(t);
}

static void need_cpl0(struct translation *t)
{
    trans_flags_aside(t);
    e_mem(&t->e, 1, 0x80, 7, TRANS_FIELD(cpl)); /* cmp byte, 0 */
    e8(&t->e, 0);
    trans_slow_jcc(t, 5);
    trans_flags_back(t);
}

static void swapgs(struct translation *t)
{
    struct host_mem base =
        trans_field(offsetof(struct vcpu, seg) + X86_GS * sizeof(struct seg) + offsetof(struct seg, base));
    need_cpl0(t);
    e_load(&t->e, 8, T0, base);
    e_load(&t->e, 8, T1, TRANS_FIELD(kernel_gs_base));
    e_store(&t->e, 8, base, T1);
    e_store(&t->e, 8, TRANS_FIELD(kernel_gs_base), T0);
}

static void from_control_register(struct translation *t, const struct insn *in)
{
    unsigned n = in->rm / 8;
    int to = trans_home(n) >= 0 ? trans_home(n) : T1;
    need_cpl0(t);
    e_load(&t->e, trans_word(t), to, in->reg_no == 2 ? TRANS_FIELD(cr2) : TRANS_FIELD(cr3));
    trans_reg_out(t, n, T1);
}

/* The operand is the dword or qword that has the bit. */
static void bit_in_memory(struct translation *t, const struct insn *in, const struct trans_op *o, const uint8_t *raw)
{
    struct emit *e = &t->e;
    unsigned size = o->rex & 8 ? 8 : 4, n = trans_plain_reg(o);
    trans_lookup_begins(t);
    trans_operand_offset(t, in, T0, trans_word(t), 0);
    e_rr(e, 8, size == 8 ? 0x8b : 0x63, T1, trans_reg_in(t, n, T1)); /* mov, movsxd */
    e_rr(e, 8, 0xc1, 7, T1);                                         /* sar */
    e8(e, size == 8 ? 6 : 5);
    e_lea(e, trans_word(t), T0, (struct host_mem){T0, T1, size == 8 ? 3 : 2, 0});
    if (in->flags & INSN_SEGMENTED)
        trans_add_segment(t, in->seg);
    trans_tlb_lookup(t, size, !o->reads_only);
    e_rr(e, 4, 0x8b, T1, trans_reg_in(t, n, T1));
    e_rr(e, 4, 0x83, 4, T1); /* and */
    e8(e, size * 8 - 1);
    trans_flags_back(t);
    trans_plain_bytes(e, o, raw, T1, T0, 0, t->code64, o->lock && !t->c->vm->lone);
}

/* In line: tier 1 runs it, then code goes on behind. */
static void exec(struct translation *t, const struct insn *in)
{
    struct emit *e = &t->e;
    insn_fn fn = in->flags & INSN_REPLAY ? NULL : t->now ? in->fn : t->block->first;
    enum trans_detour how = fn == exec_cold ? TRANS_DO_COLD : fn == exec_cold_end ? TRANS_DO_COLD_END : TRANS_DO_EXEC;
    const void *what = how == TRANS_DO_EXEC ? (const void *)trans_point_of(t, t->now) : trans_cold(t, in);
    e_imm64(e, T2, (uintptr_t)what);
    e_bytes(e, "\x4c\x8d\x1d\x05\x00\x00\x00", 7); /* lea T1, [rip + 5]: behind the jump */
    e_jmp(e, t->x->detour[how][false]);
}

void translate_insn(struct translation *t, const struct insn *in, const struct trans_op *o)
{
    const uint8_t *raw = t->block->raw + in->ip;
    t->may_return = false;
    t->started[t->now] = t->e.at;
    switch (o->kind) {
    case TRANS_NOP: break;
    case TRANS_PLAIN: plain(t, in, o, raw); break;
    case TRANS_LEA: lea(t, in, o); break;
    case TRANS_SET_FLAG: set_flag(t, in, o); break;
    case TRANS_CLAC: trans_clac(t, in); break;
    case TRANS_RDTSC: trans_rdtsc(t); break;
    case TRANS_SWAPGS: swapgs(t); break;
    case TRANS_FROM_CR: from_control_register(t, in); break;
    case TRANS_BIT: bit_in_memory(t, in, o, raw); break;
    case TRANS_DIV: divide(t, in, o, raw); break;
    case TRANS_PUSH_REG: push_reg(t, (o->opcode & 7) | (o->rex & 1) << 3); break;
    case TRANS_PUSH_SEG: push_segment(t, in); break;
    case TRANS_PUSHF: trans_pushf(t); break;
    case TRANS_POPF: trans_popf(t); break;
    case TRANS_PUSH_IMM: push_imm(t, o, raw); break;
    case TRANS_PUSH_RM: push_rm(t, in, o); break;
    case TRANS_MOV_SEG: trans_mov_segment(t, in, o); break;
    case TRANS_POP_SEG: trans_pop_segment(t, in); break;
    case TRANS_POP_REG: pop_reg(t, o); break;
    case TRANS_LEAVE: leave(t); break;
    case TRANS_JCC: trans_jump_if(t, o->opcode & 15, trans_target_offset(t, in)); break;
    case TRANS_JMP: trans_jump_to(t, trans_target_offset(t, in)); break;
    case TRANS_CALL: call(t, in); break;
    case TRANS_RET: ret(t, in, o, raw); break;
    case TRANS_JMP_RM: jump_rm(t, in, o, false); break;
    case TRANS_CALL_RM: jump_rm(t, in, o, true); break;
    case TRANS_VECTOR: vector(t, in, o); break;
    case TRANS_EXEC:
        exec(t, in);
        t->vector_checked = 0;
        break;
    }
    bool keeps_t0 = o->kind == TRANS_NOP || o->kind == TRANS_JCC || o->kind == TRANS_PLAIN ||
                    o->kind == TRANS_PUSH_REG || o->kind == TRANS_PUSH_IMM || o->kind == TRANS_PUSH_SEG ||
                    o->kind == TRANS_PUSHF || o->kind == TRANS_POP_REG ||
                    (o->kind == TRANS_VECTOR && !trans_vector_x87(o));
    if (!keeps_t0 || t->may_return)
        t->held = -1;
}
