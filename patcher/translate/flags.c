// SPDX-License-Identifier: GPL-2.0-or-later
/* flags.c - making flags again.
 *
 * Address translation clobbers the host's flags, which are the guest's.  Saving and restoring them costs about ten
 * instructions, but most flags come from a comparison whose operands are still there, or from an operation whose result
 * gives them away: then one to three instructions make the same flags again.  A producer says how, as long as nobody
 * has written its registers. */
#include "patcher/translate/translate.h"

/* Guest register numbers of an TRANS_PLAIN instruction; -1: none. */
int trans_plain_reg(const struct trans_op *o)
{
    return o->reg_is_gpr ? (o->modrm >> 3 & 7) | (o->rex & 4) << 1 : -1;
}

int trans_plain_rm(const struct trans_op *o)
{
    if (o->reg_in_opcode)
        return (o->opcode & 7) | (o->rex & 1) << 3;
    return o->has_modrm && !o->memory ? (o->modrm & 7) | (o->rex & 1) << 3 : -1;
}

bool trans_high_byte(const struct trans_op *o, int n, unsigned size)
{
    return size == 1 && !o->rex && n >= 4 && n < 8;
}

/* The instruction's bytes with other registers in ModRM; a memory operand is at [rm + disp]. */
void trans_plain_bytes(struct emit *e, const struct trans_op *o, const uint8_t *raw, int reg, int rm, int32_t disp,
                       bool code64, bool lock)
{
    bool force = (o->reg_size == 1 && reg > 3 && reg < 8 && o->rex) || (o->rm_size == 1 && rm > 3 && rm < 8 && o->rex);
    unsigned rex = 0x40 | (o->rex & 8) | (reg > 7) << 2 | (rm > 7);
    uint8_t op = o->opcode;
    if (o->p66)
        e8(e, 0x66);
    if (o->prefix)
        e8(e, o->prefix);
    if (lock)
        e8(e, 0xf0);
    bool inc_dec_32 = !code64 && o->map == 0 && op >= 0x40 && op <= 0x4f;
    if (rex != 0x40 || force)
        e8(e, rex);
    if (o->map)
        e8(e, 0x0f);
    if (o->map == 0x38 || o->map == 0x3a)
        e8(e, o->map);
    if (inc_dec_32) {
        e8(e, 0xff);
        e8(e, 0xc0 | (op & 8) | (rm & 7));
    } else if (o->reg_in_opcode) {
        e8(e, (op & 0xf8) | (rm & 7));
    } else {
        e8(e, op);
        if (o->memory)
            e_modrm_mem(e, reg, &(struct host_mem){rm, -1, 0, disp});
        else if (o->has_modrm)
            e8(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
    }
    e_bytes(e, raw + o->imm_at, o->imm_bytes);
}

/* ---- producers ------------------------------------------------------------------------------------------------------- */
void trans_make_flags(struct emit *e, const struct trans_producer *p)
{
    switch (p->kind) {
    case TRANS_MAKE_NONE: break;
    case TRANS_MAKE_AGAIN: e_bytes(e, p->bytes, p->len); break;
    case TRANS_MAKE_TEST: e_rr(e, p->size, p->size == 1 ? 0x84 : 0x85, p->a, p->a); break;
    case TRANS_MAKE_ADD_IMM: /* (r - imm) + imm, where r already is the sum */
    case TRANS_MAKE_SUB_IMM:
        e_lea(e, p->size, T2, at(p->a, p->kind == TRANS_MAKE_ADD_IMM ? -p->imm : p->imm));
        e_rr(e, p->size, 0x81, p->kind == TRANS_MAKE_ADD_IMM ? 0 : 5, T2);
        e32(e, p->imm);
        break;
    case TRANS_MAKE_ADD:
    case TRANS_MAKE_SUB:
        e_mov(e, p->size, T2, p->a);
        e_rr(e, p->size, p->kind == TRANS_MAKE_ADD ? 0x2b : 0x03, T2, p->b);
        e_rr(e, p->size, p->kind == TRANS_MAKE_ADD ? 0x03 : 0x2b, T2, p->b);
        break;
    }
}

static unsigned size_of(const struct trans_op *o, unsigned named)
{
    return named == 1 ? 1 : o->rex & 8 ? 8 : o->p66 ? 2 : 4;
}

/* Comparison and test of registers: the same again. */
static void again(struct trans_producer *p, const struct trans_op *o, const uint8_t *raw, bool code64)
{
    struct emit e = {.at = p->bytes, .end = p->bytes + sizeof p->bytes};
    int reg = trans_plain_reg(o), rm = trans_plain_rm(o);
    p->reads = o->has_modrm ? 0 : 1 << H_RAX;
    if (reg >= 0)
        p->reads |= 1 << (trans_high_byte(o, reg, o->reg_size) ? reg - 4 : reg);
    if (rm >= 0)
        p->reads |= 1 << (trans_high_byte(o, rm, o->rm_size) ? rm - 4 : rm);
    int h_reg = reg < 0 ? o->modrm >> 3 & 7 : trans_high_byte(o, reg, o->reg_size) ? reg : trans_home(reg);
    int h_rm = rm < 0 ? 0 : trans_high_byte(o, rm, o->rm_size) ? rm : trans_home(rm);
    if (h_reg < 0 || h_rm < 0)
        return;
    trans_plain_bytes(&e, o, raw, h_reg, h_rm, 0, code64, false);
    p->len = e.at - p->bytes;
    p->kind = e.full ? TRANS_MAKE_NONE : TRANS_MAKE_AGAIN;
}

static int32_t immediate(const struct trans_op *o, const uint8_t *raw)
{
    int32_t v = (int8_t)raw[o->imm_at];
    if (o->imm_bytes == 4)
        memcpy(&v, raw + o->imm_at, 4);
    return v;
}

/* ADD, OR, AND, SUB, XOR (op as in the opcodes) with destination d and, unless it is an immediate, source s. */
static void operation(struct trans_producer *p, const struct trans_op *o, unsigned op, int d, int s, const uint8_t *raw)
{
    unsigned size = size_of(o, o->rm_size);
    bool logic = op == 1 || op == 4 || op == 6;
    if (d < 0 || trans_home(d) < 0 || trans_high_byte(o, d, o->rm_size))
        return;
    *p = (struct trans_producer){.size = size, .a = trans_home(d), .reads = 1 << d};
    if (logic) {
        p->kind = size == 1 && p->a > 3 && !o->rex ? TRANS_MAKE_NONE : TRANS_MAKE_TEST;
        return;
    }
    if (size < 4 || (op != 0 && op != 5))
        return;
    if (s < 0) {
        p->imm = immediate(o, raw);
        p->kind = p->imm == INT32_MIN ? TRANS_MAKE_NONE : op == 0 ? TRANS_MAKE_ADD_IMM : TRANS_MAKE_SUB_IMM;
    } else if (s != d && trans_home(s) >= 0) {
        p->b = trans_home(s);
        p->reads |= 1 << s;
        p->kind = op == 0 ? TRANS_MAKE_ADD : TRANS_MAKE_SUB;
    }
}

static void produce(struct trans_producer *p, const struct trans_op *o, const uint8_t *raw, bool code64)
{
    unsigned op = o->opcode, ext = o->modrm >> 3 & 7;
    *p = (struct trans_producer){0};
    if (o->kind != TRANS_PLAIN || o->memory || o->map || o->prefix)
        return;
    if ((op >= 0x38 && op < 0x3e) || op == 0x84 || op == 0x85 || op == 0xa8 || op == 0xa9 ||
        ((op == 0x80 || op == 0x81 || op == 0x83) && ext == 7) || ((op == 0xf6 || op == 0xf7) && ext < 2)) {
        again(p, o, raw, code64);
        return;
    }
    if (op < 0x38 && (op & 7) < 4) {
        int reg = trans_plain_reg(o), rm = trans_plain_rm(o);
        operation(p, o, op >> 3, op & 2 ? reg : rm, op & 2 ? rm : reg, raw);
    } else if (op < 0x38 && (op & 7) < 6) {
        operation(p, o, op >> 3, X86_RAX, -1, raw);
    } else if (op == 0x80 || op == 0x81 || op == 0x83) {
        operation(p, o, ext, trans_plain_rm(o), -1, raw);
    }
}

/* Guest registers that an instruction may write, rather too many than too few. */
unsigned trans_writes(const struct trans_op *o)
{
    int reg = trans_plain_reg(o), rm = trans_plain_rm(o);
    unsigned both = (reg >= 0 ? 1u << reg : 0) | (rm >= 0 ? 1u << rm : 0), op = o->opcode;
    both |= (both & 0xf0) >> 4; /* AH is in RAX */
    switch (o->kind) {
    case TRANS_NOP:
    case TRANS_SET_FLAG:
    case TRANS_CLAC:
    case TRANS_SWAPGS:
    case TRANS_MOV_SEG:
    case TRANS_BIT:
    case TRANS_JCC: return 0;
    case TRANS_LEA: return 1u << ((o->modrm >> 3 & 7) | (o->rex & 4) << 1);
    case TRANS_PUSH_REG:
    case TRANS_PUSH_IMM:
    case TRANS_PUSH_SEG:
    case TRANS_PUSHF:
    case TRANS_POPF:
    case TRANS_POP_SEG:
    case TRANS_PUSH_RM: return 1u << X86_RSP;
    case TRANS_POP_REG: return 1u << X86_RSP | 1u << ((op & 7) | (o->rex & 1) << 3);
    case TRANS_LEAVE: return 1u << X86_RSP | 1u << X86_RBP;
    case TRANS_PLAIN: break;
    case TRANS_RDTSC:
    case TRANS_DIV: return 1u << X86_RAX | 1u << X86_RDX;
    case TRANS_VECTOR: return trans_vector_written(o);
    default: return 0xffff;
    }
    if (o->map == 0 && (op == 0x88 || op == 0x89))
        return rm >= 0 ? 1u << rm | 1u << (rm & 3) : 0;
    if (o->map == 0 && (op == 0x8a || op == 0x8b))
        return 1u << reg | 1u << (reg & 3);
    if (o->map == 0 && (op == 0xc6 || op == 0xc7) && o->memory)
        return 0;
    bool named = o->has_modrm || o->reg_in_opcode;
    bool hidden = !named || (o->map == 0 && (op == 0xf6 || op == 0xf7 || (op >= 0x90 && op <= 0x97))) ||
                  (o->map == 0x0f && (op == 0xb0 || op == 0xb1 || op == 0xc7));
    return both | (hidden ? 1u << X86_RAX | 1u << X86_RDX : 0);
}

void trans_producer_after(struct trans_producer *p, const struct trans_op *o, const uint8_t *raw, bool code64)
{
    if (o->flags_written)
        produce(p, o, raw, code64);
    else if (o->kind == TRANS_EXEC || p->reads & trans_writes(o))
        *p = (struct trans_producer){0};
}
