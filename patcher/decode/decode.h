// SPDX-License-Identifier: GPL-2.0-or-later
/* decode.h - between decode.c, which takes an instruction's bytes apart, and decode_bind*.c, which choose its handler. */
#pragma once
#include "patcher/interp/hot.h"
#include "patcher/interp/cold.h"
#include "patcher/vm.h"

/* What an instruction's bytes are, before anybody asks what they mean. */
enum { NO_SEGMENT = 0xff };
struct shape {
    uint8_t opcode, map;     /* map: 0, 0x0f, 0x38, 0x3a */
    uint8_t rex, modrm, sib; /* rex: 0 if there is none */
    uint8_t len, asize;      /* in bytes */
    uint8_t seg;             /* X86_*: the override in force, or NO_SEGMENT */
    bool has_modrm, has66, lock, rep, repne;
    int64_t disp;
    uint64_t imm, imm2; /* sign-extended from their size */
};
/* decode/quick.c: the common instructions.  false: ask Zydis.  bytes: n of them are there. */
bool decode_quick(struct shape *s, const uint8_t *bytes, unsigned n, unsigned code);

/* One instruction's fields as they lie in its bytes. */
struct parts {
    struct vcpu *c;
    struct insn *in;
    unsigned mode, code;  /* MODE_* bits; CODE16.. */
    uint8_t opcode, map;  /* map: 0, 0x0f, 0x38, 0x3a */
    uint8_t mod, reg, rm; /* with REX bits */
    bool has_modrm, mem, rex, rex_w, vex_x, vex_b, has66, lock, rep, repne, amd;
    unsigned osize;     /* log2 of the effective operand size of non-byte forms, 1 to 3 */
    uint64_t imm, imm2; /* sign-extended where the encoding is */
};

/* Results: bound, no such instruction, or one for native replay. */
enum bound { BOUND, BOUND_UD, BOUND_REPLAY };
enum bound bind_map0(struct parts *p);
enum bound bind_map0f(struct parts *p);
enum bound bind_map38(struct parts *p);

/* Ways to bind. */
enum bound bind_hot(struct parts *p, insn_fn fn);
enum bound bind_cold(struct parts *p, cold_fn fn);     /* goes on in the block */
enum bound bind_cold_end(struct parts *p, cold_fn fn); /* ends it */
/* Registers as byte offsets: size is log2. */
uint8_t reg_offset(const struct parts *p, unsigned number, unsigned size);
void set_operands(struct parts *p, unsigned size); /* reg and rm of one size */
void set_branch(struct parts *p);                  /* relative target */
bool hot_stack(const struct parts *p);             /* control.c's stack handlers serve this mode */
unsigned stack_osize(const struct parts *p);       /* of PUSH, POP, near branches */
unsigned branch_osize(const struct parts *p);
enum bound bind_alu(struct parts *p, unsigned op, unsigned size, bool immediate, bool to_reg);
enum bound bind_jcc(struct parts *p);
enum bound bind_mul2(struct parts *p, bool immediate);
enum bound bind_push_seg(struct parts *p, unsigned seg);
enum bound bind_pop_seg(struct parts *p, unsigned seg);
enum bound bind_load_far(struct parts *p, unsigned seg);
