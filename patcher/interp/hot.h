// SPDX-License-Identifier: GPL-2.0-or-later
/* hot.h - how the handler files give their handlers to decode.c.  size: log2 of the operand size, 0 to 3.
 * A NULL handler means that there is none for that form. */
#pragma once
#include "patcher/soft.h"

enum form { FORM_RR /* rm op= reg */, FORM_RM /* reg op= mem */, FORM_MR /* mem op= reg */, FORM_RI, FORM_MI, FORMS };
enum { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP, ALU_TEST, ALU_OPS };

insn_fn alu_fn(unsigned op, enum form form, unsigned size, bool lock);
enum { UNARY_INC, UNARY_DEC, UNARY_NOT, UNARY_NEG, UNARY_OPS };
insn_fn unary_fn(unsigned op, bool mem, unsigned size, bool lock);
enum { SHIFT_ROL, SHIFT_ROR, SHIFT_RCL, SHIFT_RCR, SHIFT_SHL, SHIFT_SHR, SHIFT_SAL, SHIFT_SAR, SHIFT_OPS };
insn_fn shift_fn(unsigned op, bool mem, unsigned size, bool by_cl); /* else by imm */
insn_fn shift_double_fn(bool right, bool mem, unsigned size);       /* by CL if the opcode is odd */
insn_fn imul2_fn(unsigned size, bool immediate);                    /* reg *= rm, reg = rm * imm */
enum { MUL_MUL, MUL_IMUL, MUL_DIV, MUL_IDIV };
insn_fn mul_fn(unsigned op, unsigned size); /* one operand: F6/F7 */
enum { BIT_BT, BIT_BTS, BIT_BTR, BIT_BTC };
insn_fn bit_fn(bool mem, unsigned size);             /* in->aux_op: BIT_*; INSN_BIT_IMM: by immediate */
insn_fn bit_scan_fn(unsigned opcode, unsigned size); /* BSF 0xbc, BSR 0xbd */

insn_fn mov_fn(enum form form, unsigned size);
insn_fn movx_fn(bool sign, bool mem, unsigned from, unsigned to); /* MOVZX MOVSX MOVSXD */
insn_fn lea_fn(unsigned size);
insn_fn xchg_fn(bool mem, unsigned size);
insn_fn xadd_fn(bool mem, unsigned size);
insn_fn cmpxchg_fn(bool mem, unsigned size);
insn_fn cmov_fn(unsigned size); /* condition: the opcode's low bits */
insn_fn setcc_fn(bool mem);
insn_fn bswap_fn(unsigned size);
/* Only for flat and 64-bit stacks (mode: CODE64 or CODE32); NULL: use the cold ones. */
insn_fn push_fn(unsigned mode, unsigned size, bool immediate); /* rm or imm */
insn_fn pop_fn(unsigned mode, unsigned size);                  /* rm */
insn_fn leave_fn(unsigned mode, unsigned size);
insn_fn jcc_fn(unsigned cc);
insn_fn loop_fn(void);
insn_fn jmp_fn(void);                            /* target: imm */
insn_fn jmp_rm_fn(unsigned mode, unsigned size); /* target: rm */
insn_fn call_fn(unsigned mode, unsigned size);
insn_fn call_rm_fn(unsigned mode, unsigned size);
insn_fn ret_fn(unsigned mode, unsigned size); /* pops imm more bytes */
insn_fn nop_fn(void);
insn_fn convert_fn(unsigned opcode, unsigned size); /* CBW.. 0x98, CWD.. 0x99 */

/* Condition cc (0-15, as in Jcc) by the saved flags. */
static inline bool condition(const struct vcpu *c, unsigned cc)
{
    uint8_t f = c->szapc;
    bool r;
    switch (cc >> 1) {
    case 0: r = c->of; break;
    case 1: r = f & 0x01; break;
    case 2: r = f & 0x40; break;
    case 3: r = f & 0x41; break;
    case 4: r = f & 0x80; break;
    case 5: r = f & 0x04; break;
    case 6: r = (f >> 7) ^ c->of; break;
    default: r = (f & 0x40) || (f >> 7) ^ c->of; break;
    }
    return r ^ (cc & 1);
}

static inline void wr8(struct vcpu *c, unsigned at, uint8_t v)
{
    *reg8(c, at) = v;
}
static inline void wr16(struct vcpu *c, unsigned at, uint16_t v)
{
    *reg16(c, at) = v;
}
static inline void wr32(struct vcpu *c, unsigned at, uint32_t v)
{
    *reg64(c, at) = v;
}
static inline void wr64(struct vcpu *c, unsigned at, uint64_t v)
{
    *reg64(c, at) = v;
}
static inline uint8_t rd8(struct vcpu *c, unsigned at)
{
    return *reg8(c, at);
}
static inline uint16_t rd16(struct vcpu *c, unsigned at)
{
    return *reg16(c, at);
}
static inline uint32_t rd32(struct vcpu *c, unsigned at)
{
    return reg32(c, at);
}
static inline uint64_t rd64(struct vcpu *c, unsigned at)
{
    return *reg64(c, at);
}
/* The register or memory operand ModRM.rm. */
#define RM_READ(bits, type)                                                                                            \
    static inline type rm_read##bits(struct vcpu *c, const struct insn *in)                                            \
    {                                                                                                                  \
        return in->flags & INSN_MEM ? mem_read##bits(c, in, mem_linear(c, in, bits / 8, ACCESS_READ))                  \
                                    : rd##bits(c, in->rm);                                                             \
    }
RM_READ(8, uint8_t)
RM_READ(16, uint16_t)
RM_READ(32, uint32_t)
RM_READ(64, uint64_t)
#undef RM_READ
#define EACH_SIZE(X, ...)                                                                                              \
    X(8, uint8_t, int8_t, __VA_ARGS__)                                                                                 \
    X(16, uint16_t, int16_t, __VA_ARGS__)                                                                              \
    X(32, uint32_t, int32_t, __VA_ARGS__)                                                                              \
    X(64, uint64_t, int64_t, __VA_ARGS__)
