// SPDX-License-Identifier: GPL-2.0-or-later
/* system.c - host code for instructions that kernels use on every system call and interrupt: flags on the
 * stack, segment registers, the time stamp.
 *
 * In place is only what leaves the mode as it is; everything else is tier 1's, which finds all as it was. */
#include "patcher/translate/translation.h"

bool trans_goes_on(enum trans_kind kind)
{
    return kind == TRANS_SET_FLAG || kind == TRANS_CLAC || kind == TRANS_POPF || kind == TRANS_MOV_SEG ||
           kind == TRANS_POP_SEG;
}

const struct trans_cold *trans_cold(struct translation *t, const struct insn *in)
{
    struct trans_cold *n = trans_keep(t->x, g_new(struct trans_cold, 1));
    *n = (struct trans_cold){trans_point_of(t, t->now), stats_opcode_of(t->c, in), *in};
    return n;
}

/* Kernels begin with it in case that it is needed.  STAC has something to do: that is tier 1's. */
void trans_clac(struct translation *t, const struct insn *in)
{
    struct emit *e = &t->e;
    trans_flags_aside(t);
    e_mem(e, 1, 0x80, 7, TRANS_FIELD(cpl)); /* cmp byte, 0 */
    e8(e, 0);
    trans_slow_jcc(t, 5);
    e_mem(e, 4, 0xf7, 0, TRANS_FIELD(rflags)); /* test */
    e32(e, RFLAG_AC);
    t->slow[t->slow_count++] =
        (struct slow){.patch = e_jcc_later(e, 5), .insn = t->now, .how = TRANS_DO_COLD_END, .cold = trans_cold(t, in)};
    trans_flags_back(t);
}

/* As guest_tsc().  In lockstep, where it has to be the same twice, it is tier 1's. */
void trans_rdtsc(struct translation *t)
{
    struct emit *e = &t->e;
    trans_flags_aside(t);
    e_mem(e, 1, 0x80, 7, TRANS_FIELD(cpl)); /* cmp byte, 0 */
    e8(e, 0);
    uint8_t *kernel = e_jcc_later(e, 4);
    e_mem(e, 4, 0xf7, 0, TRANS_FIELD(cr4)); /* test */
    e32(e, CR4_TSD);
    trans_slow_jcc(t, 5);
    e_patch_here(e, kernel);
    e_mov(e, 8, T1, H_RAX); /* flags may be made again from registers */
    e_mov(e, 8, T2, H_RDX);
    e_bytes(e, "\x0f\x31", 2);  /* rdtsc */
    e_rr(e, 8, 0xc1, 4, H_RDX); /* shl */
    e8(e, 32);
    e_rr(e, 8, 0x0b, H_RAX, H_RDX); /* or */
    e_imm64(e, T0, (uintptr_t)t->c->vm->cfg->tsc_offset);
    e_mem(e, 8, 0x03, H_RAX, at(T0, 0)); /* add */
    e_mem(e, 8, 0x03, H_RAX, TRANS_FIELD(tsc_adjust));
    e_store(e, 8, TRANS_FIELD(trans_temp), H_RAX);
    e_mov(e, 8, H_RAX, T1);
    e_mov(e, 8, H_RDX, T2);
    trans_flags_back(t);
    e_load(e, 4, H_RAX, TRANS_FIELD(trans_temp));
    e_load(e, 4, H_RDX, trans_field(offsetof(struct vcpu, trans_temp) + 4));
}

/* LAHF, SETO and LEA, to keep the flags: they lie in vcpu.arith as in RFLAGS, but for OF.  RF and VM are 0 in translated
 * code. */
void trans_pushf(struct translation *t)
{
    struct emit *e = &t->e;
    struct host_mem m = trans_stack_place(t, H_GUEST_RSP, -(int)trans_word(t), true);
    trans_save_flags(e, T2);
    e_mem(e, 4, 0x0fb6, T1, TRANS_FIELD(of)); /* movzx */
    for (unsigned shift = 0; shift < 9; shift += 3)
        e_lea(e, 4, T1, (struct host_mem){-1, T1, 3, 0});
    e_mem(e, 4, 0x0fb6, T2, TRANS_FIELD(szapc));
    e_lea(e, 4, T1, (struct host_mem){T2, T1, 2, -2}); /* bit 1 is in rflags, too */
    e_load(e, 4, T2, TRANS_FIELD(rflags));
    e_lea(e, 4, T1, (struct host_mem){T2, T1, 0, 0});
    e_store(e, trans_word(t), m, T1);
    trans_adjust_rsp(t, -(int)trans_word(t));
}

/* T1: an image of flags.  The guest's arithmetic flags become those. */
static void arithmetic_from_image(struct emit *e)
{
    e_mov(e, 4, T2, T1);
    e_rr(e, 4, 0xc1, 5, T2); /* shr */
    e8(e, 11);
    e_rr(e, 4, 0x83, 4, T2); /* and */
    e8(e, 1);
    e_rr(e, 4, 0x81, 4, T1);
    e32(e, RFLAG_ARITH & 0xff);
    e_rr(e, 4, 0xc1, 4, T1); /* shl */
    e8(e, 8);
    e_rr(e, 4, 0x0b, T1, T2); /* or */
    trans_set_flags(e, T1, T2);
}

/* Arithmetic flags, DF, and in ring 0 IF, unless an interrupt waits. */
void trans_popf(struct translation *t)
{
    struct emit *e = &t->e;
    struct host_mem m = trans_stack_place(t, H_GUEST_RSP, 0, false);
    e_load(e, 4, T1, m);
    e_mov(e, 4, T2, T1);
    e_mem(e, 4, 0x33, T2, TRANS_FIELD(rflags)); /* xor: what changes */
    e_rr(e, 4, 0xf7, 0, T2);                    /* test */
    e32(e, ~(uint32_t)(RFLAG_ARITH | RFLAG_DF | RFLAG_IF));
    trans_slow_jcc(t, 5);
    e_rr(e, 4, 0xf7, 0, T2);
    e32(e, RFLAG_IF);
    uint8_t *same = e_jcc_later(e, 4);
    e_mem(e, 1, 0x80, 7, TRANS_FIELD(cpl)); /* cmp byte, 0 */
    e8(e, 0);
    trans_slow_jcc(t, 5);
    e_mem(e, 1, 0x80, 7, TRANS_FIELD(intr_level));
    e8(e, 0);
    trans_slow_jcc(t, 5);
    e_patch_here(e, same);
    e_rr(e, 4, 0x81, 4, T2); /* and */
    e32(e, RFLAG_DF | RFLAG_IF);
    e_mem(e, 4, 0x31, T2, TRANS_FIELD(rflags)); /* xor */
    trans_adjust_rsp(t, trans_word(t));
    arithmetic_from_image(e);
}

/* T1: the selector.  Most loads find what was there before, or another flat segment. */
static void load_segment(struct translation *t, const struct insn *in)
{
    struct emit *e = &t->e;
    trans_flags_aside(t);
    e_imm64(e, T2, in->reg_no);
    e_bytes(e, "\x4c\x8d\x15\x05\x00\x00\x00", 7); /* lea T0, [rip + 5]: behind the jump */
    e_jmp(e, t->x->load_segment);
    trans_slow_jcc(t, 4);
    trans_flags_back(t);
}

void trans_mov_segment(struct translation *t, const struct insn *in, const struct trans_op *o)
{
    if (o->memory)
        e_mem(&t->e, 4, 0x0fb7, T1, trans_operand_place(t, in, 2, false)); /* movzx */
    else
        e_rr(&t->e, 4, 0x0fb7, T1, trans_reg_in(t, trans_plain_rm(o), T1));
    load_segment(t, in);
}

void trans_pop_segment(struct translation *t, const struct insn *in)
{
    e_mem(&t->e, 4, 0x0fb7, T1, trans_stack_place(t, H_GUEST_RSP, 0, false));
    load_segment(t, in);
    trans_adjust_rsp(t, trans_word(t));
}
