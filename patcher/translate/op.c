// SPDX-License-Identifier: GPL-2.0-or-later
/* op.c - what the translator knows of an instruction: the shape of its bytes, how it is translated, and which
 * arithmetic flags it reads and surely overwrites.
 *
 * Flags are two units: CF, and the rest.  An instruction that leaves some of a unit's flags as they were, or undefined,
 * does not count as overwriting it: undefined flags are what the silicon makes of them, from the ones before. */
#include "patcher/translate/translate.h"

/* ---- shape ------------------------------------------------------------------------------------------------------- */
static const uint8_t *prefixes(struct trans_op *o, const uint8_t *p, bool code64)
{
    for (;; p++) {
        switch (*p) {
        case 0x66: o->p66 = true; continue;
        case 0xf0: o->lock = true; continue;
        case 0xf2:
        case 0xf3: o->prefix = *p; continue;
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
        case 0x64:
        case 0x65:
        case 0x67: continue;
        }
        break;
    }
    if (code64 && (*p & 0xf0) == 0x40)
        o->rex = *p++;
    return p;
}

static const uint8_t *opcode(struct trans_op *o, const uint8_t *p)
{
    o->opcode = *p++;
    if (o->opcode != 0x0f)
        return p;
    o->map = 0x0f;
    o->opcode = *p++;
    if (o->opcode == 0x38 || o->opcode == 0x3a) {
        o->map = o->opcode;
        o->opcode = *p++;
    }
    return p;
}

static const uint8_t *skip_modrm(struct trans_op *o, const uint8_t *p)
{
    o->has_modrm = true;
    o->modrm = *p++;
    unsigned mod = o->modrm >> 6, rm = o->modrm & 7;
    o->memory = mod != 3;
    if (mod == 3)
        return p;
    unsigned base = rm;
    if (rm == 4)
        base = *p++ & 7;
    return p + (mod == 1 ? 1 : mod == 2 || (mod == 0 && base == 5) ? 4 : 0);
}

static unsigned ext(const struct trans_op *o) /* the opcode extension */
{
    return o->modrm >> 3 & 7;
}

/* ---- the one-byte map -------------------------------------------------------------------------------------------------- */
static bool has_modrm_0(unsigned op)
{
    if (op < 0x40)
        return (op & 7) < 4;
    return op == 0x63 || op == 0x69 || op == 0x6b || (op >= 0x80 && op <= 0x8f) || op == 0xc0 || op == 0xc1 ||
           op == 0xc6 || op == 0xc7 || (op >= 0xd0 && op <= 0xd3) || op == 0xf6 || op == 0xf7 || op == 0xfe ||
           op == 0xff;
}

static void alu_flags(struct trans_op *o, unsigned op) /* op: 0 ADD ... 7 CMP */
{
    o->flags_written = true;
    o->flags_killed = FLAG_ALL;
    if (op == 2 || op == 3)
        o->flags_read = FLAG_CF;
}

static void alu_rm_reg(struct trans_op *o)
{
    o->kind = TRANS_PLAIN;
    alu_flags(o, o->opcode >> 3);
    o->reg_is_gpr = (o->opcode & 7) < 4;
    o->reads_only = (o->opcode & 2) || (o->opcode >> 3) == 7;
}

/* Shift group: count from an immediate, 1, or CL. */
static void shift(struct trans_op *o, const uint8_t *imm)
{
    unsigned op = ext(o);
    bool cl = o->opcode >= 0xd2, by_one = o->opcode == 0xd0 || o->opcode == 0xd1;
    unsigned count = by_one ? 1 : cl ? 0 : *imm & 31;
    o->kind = TRANS_PLAIN;
    o->flags_written = true;
    if (op == 2 || op == 3)
        o->flags_read = FLAG_CF;
    if (!cl && count && op >= 4)
        o->flags_killed = FLAG_ALL;
    if (cl || !count)
        o->flags_read = FLAG_ALL; /* they may stay as they were */
}

static void group3(struct trans_op *o) /* F6, F7 */
{
    unsigned op = ext(o);
    o->reads_only = op < 2 || op >= 4;
    if (op >= 6) { /* its flags are undefined: they are what the silicon makes of those before */
        if (o->opcode == 0xf7 && !o->p66 && !o->lock)
            o->kind = TRANS_DIV;
        o->flags_read = FLAG_ALL;
        o->flags_written = true;
        return;
    }
    o->kind = TRANS_PLAIN;
    o->flags_written = op != 2;
    o->flags_killed = op == 3 || op < 2 ? FLAG_ALL : op >= 4 ? FLAG_CF : 0;
}

static void group5(struct trans_op *o, bool code64) /* FE, FF */
{
    unsigned op = ext(o);
    if (op < 2) {
        o->kind = TRANS_PLAIN;
        o->flags_written = true;
        o->flags_killed = FLAG_REST;
        return;
    }
    o->reads_only = true;
    if (o->opcode == 0xfe || o->p66)
        return;
    if (op == 2)
        o->kind = TRANS_CALL_RM;
    else if (op == 4)
        o->kind = TRANS_JMP_RM;
    else if (op == 6)
        o->kind = TRANS_PUSH_RM;
}

/* Long, because it is a table: one case per opcode of the map. */
static void map_0(struct trans_op *o, const struct insn *in, const uint8_t *raw, bool code64)
{
    unsigned op = o->opcode;
    const uint8_t *imm = raw + o->imm_at;
    o->reg_size = o->rm_size =
        op & 1 || (op >= 0x40 && op != 0x80 && op != 0x84 && op != 0x86 && op != 0x88 && op != 0x8a && op != 0xc0 &&
                   op != 0xc6 && op != 0xd0 && op != 0xd2 && op != 0xf6 && op != 0xfe)
            ? 4
            : 1;
    if (op < 0x40) {
        if ((op & 7) < 6)
            alu_rm_reg(o);
        else if ((op & 7) == 6 && op < 0x20 && !code64 && !o->p66)
            o->kind = TRANS_PUSH_SEG;
        else if ((op == 0x07 || op == 0x1f) && !code64 && !o->p66)
            o->kind = TRANS_POP_SEG;
        return;
    }
    switch (op) {
    case 0x40 ... 0x4f: /* 32-bit INC, DEC; a REX prefix before another prefix, which makes it void, is tier 1's */
        if (code64)
            return;
        o->kind = TRANS_PLAIN;
        o->reg_in_opcode = true;
        o->flags_written = true;
        o->flags_killed = FLAG_REST;
        return;
    case 0x50 ... 0x57: o->kind = o->p66 ? TRANS_EXEC : TRANS_PUSH_REG; return;
    case 0x58 ... 0x5f: o->kind = o->p66 ? TRANS_EXEC : TRANS_POP_REG; return;
    case 0x63:
        o->kind = code64 ? TRANS_PLAIN : TRANS_EXEC;
        o->reg_is_gpr = o->reads_only = true;
        return;
    case 0x68:
    case 0x6a: o->kind = o->p66 ? TRANS_EXEC : TRANS_PUSH_IMM; return;
    case 0x69:
    case 0x6b:
        o->kind = TRANS_PLAIN;
        o->reg_is_gpr = o->reads_only = true;
        o->flags_written = true;
        o->flags_killed = FLAG_CF;
        return;
    case 0x70 ... 0x7f: o->kind = o->p66 ? TRANS_EXEC : TRANS_JCC; return;
    case 0x80:
    case 0x81:
    case 0x83:
        o->kind = TRANS_PLAIN;
        alu_flags(o, ext(o));
        o->reads_only = ext(o) == 7;
        return;
    case 0x84:
    case 0x85:
        o->kind = TRANS_PLAIN;
        alu_flags(o, 4);
        o->reg_is_gpr = o->reads_only = true;
        return;
    case 0x86 ... 0x89:
        o->kind = TRANS_PLAIN;
        o->reg_is_gpr = true;
        return;
    case 0x8a:
    case 0x8b:
        o->kind = TRANS_PLAIN;
        o->reg_is_gpr = o->reads_only = true;
        return;
    case 0x8d: o->kind = o->memory ? TRANS_LEA : TRANS_EXEC; return;
    case 0x8e:
        o->kind = ext(o) == X86_ES || (ext(o) >= X86_DS && ext(o) <= X86_GS) ? TRANS_MOV_SEG : TRANS_EXEC;
        return;
    case 0x90:
        if (!o->prefix && !(o->rex & 1)) {
            o->kind = TRANS_NOP;
            return;
        }
        if (o->prefix == 0xf3)
            return; /* PAUSE */
        /* fall through */
    case 0x91 ... 0x97:
        o->kind = TRANS_PLAIN;
        o->reg_in_opcode = true;
        return;
    case 0x98:
    case 0x99: o->kind = TRANS_PLAIN; return;
    case 0x9c:
        o->kind = o->p66 ? TRANS_EXEC : TRANS_PUSHF;
        o->flags_read = FLAG_ALL;
        return;
    case 0x9d:
        o->kind = o->p66 ? TRANS_EXEC : TRANS_POPF;
        o->flags_written = true;
        o->flags_killed = FLAG_ALL;
        return;
    case 0x9e: /* SAHF leaves OF */
        o->kind = TRANS_PLAIN;
        o->flags_written = true;
        o->flags_killed = FLAG_CF;
        return;
    case 0x9f:
        o->kind = TRANS_PLAIN;
        o->flags_read = FLAG_ALL;
        return;
    case 0xa0 ... 0xa3: /* AL or eAX and an absolute address: as MOV with ModRM */
        o->kind = TRANS_PLAIN;
        o->opcode = (op & 2 ? 0x88 : 0x8a) | (op & 1);
        o->modrm = 0;
        o->rex &= 0x48;
        o->has_modrm = o->memory = o->reg_is_gpr = true;
        o->reads_only = !(op & 2);
        o->reg_size = o->rm_size = op & 1 ? 4 : 1;
        o->imm_bytes = 0;
        return;
    case 0xa8:
    case 0xa9:
        o->kind = TRANS_PLAIN;
        alu_flags(o, 4);
        return;
    case 0xb0 ... 0xbf:
        o->kind = TRANS_PLAIN;
        o->reg_in_opcode = true;
        o->reg_size = o->rm_size = op < 0xb8 ? 1 : 4;
        return;
    case 0xc0:
    case 0xc1:
    case 0xd0 ... 0xd3: shift(o, imm); return;
    case 0xc2:
    case 0xc3: o->kind = o->p66 ? TRANS_EXEC : TRANS_RET; return;
    case 0xc6:
    case 0xc7: o->kind = ext(o) ? TRANS_EXEC : TRANS_PLAIN; return;
    case 0xc9: o->kind = o->p66 ? TRANS_EXEC : TRANS_LEAVE; return;
    case 0xe8: o->kind = o->p66 ? TRANS_EXEC : TRANS_CALL; return;
    case 0xe9:
    case 0xeb: o->kind = o->p66 ? TRANS_EXEC : TRANS_JMP; return;
    case 0xf5:
        o->kind = TRANS_PLAIN;
        o->flags_read = FLAG_CF;
        o->flags_written = true;
        return;
    case 0xf8:
    case 0xf9:
        o->kind = TRANS_PLAIN;
        o->flags_written = true;
        o->flags_killed = FLAG_CF;
        return;
    case 0xf6:
    case 0xf7: group3(o); return;
    case 0xfa ... 0xfd: o->kind = TRANS_SET_FLAG; return;
    case 0xfe:
    case 0xff: group5(o, code64); return;
    }
}

/* ---- the 0F map ----------------------------------------------------------------------------------------------------------- */
static bool has_modrm_0f(unsigned op)
{
    return op == 0x0d || op == 0xae || op == 0xc7 || (op >= 0x18 && op <= 0x1f) || (op >= 0x40 && op <= 0x4f) ||
           (op >= 0x90 && op <= 0x9f) || op == 0xa3 || op == 0xa4 || op == 0xa5 || op == 0xab || op == 0xac ||
           op == 0xad || op == 0xaf || op == 0xb0 || op == 0xb1 || op == 0xb3 || (op >= 0xb6 && op <= 0xb8) ||
           (op >= 0xba && op <= 0xbf) || op == 0xc0 || op == 0xc1;
}

static void map_0f(struct trans_op *o, const uint8_t *raw, bool code64)
{
    unsigned op = o->opcode;
    bool bit_count = (op == 0xb8 || op == 0xbc || op == 0xbd) && o->prefix == 0xf3;
    if (o->prefix && !bit_count && !(op >= 0x18 && op <= 0x1f))
        return;
    o->reg_size = o->rm_size = 4;
    switch (op) {
    case 0x01:
        if (raw[o->imm_at] == 0xca)
            o->kind = o->p66 ? TRANS_EXEC : TRANS_CLAC;
        else if (raw[o->imm_at] == 0xf8 && code64)
            o->kind = TRANS_SWAPGS;
        return;
    case 0x20:
        if ((raw[o->imm_at] >> 3 & 6) == 2 && !(o->rex & 4))
            o->kind = TRANS_FROM_CR;
        return;
    case 0x0d: /* PREFETCH, PREFETCHW */
    case 0x19 ... 0x1d:
    case 0x1f: o->kind = TRANS_NOP; return;
    case 0x1e: /* ENDBR is a NOP; RDSSP leaves its register */
    case 0x18: o->kind = TRANS_NOP; return;
    case 0x31: o->kind = TRANS_RDTSC; return;
    case 0x40 ... 0x4f:
        o->kind = TRANS_PLAIN;
        o->reg_is_gpr = o->reads_only = true;
        o->flags_read = FLAG_ALL;
        return;
    case 0x80 ... 0x8f: o->kind = o->p66 ? TRANS_EXEC : TRANS_JCC; return;
    case 0x90 ... 0x9f:
        o->kind = TRANS_PLAIN;
        o->rm_size = 1;
        o->flags_read = FLAG_ALL;
        return;
    case 0xa0:
    case 0xa8: o->kind = o->p66 ? TRANS_EXEC : TRANS_PUSH_SEG; return;
    case 0xa1:
    case 0xa9: o->kind = o->p66 ? TRANS_EXEC : TRANS_POP_SEG; return;
    case 0xa3:
    case 0xab:
    case 0xb3:
    case 0xbb: /* bit number in a register: in memory it reaches beyond the operand */
        o->kind = o->memory ? TRANS_BIT : TRANS_PLAIN;
        o->reg_is_gpr = true;
        o->reads_only = op == 0xa3;
        o->flags_written = true;
        o->flags_killed = FLAG_CF;
        return;
    case 0xa4:
    case 0xa5:
    case 0xac:
    case 0xad:
        o->kind = TRANS_PLAIN;
        o->reg_is_gpr = true;
        o->flags_written = true;
        o->flags_read = FLAG_ALL;
        return;
    case 0xae: /* LFENCE, MFENCE, SFENCE */
        o->kind = !o->memory && ext(o) >= 5 && !o->p66 ? TRANS_PLAIN : TRANS_EXEC;
        return;
    case 0xc7: /* CMPXCHG8B, CMPXCHG16B */
        o->kind = o->memory && ext(o) == 1 ? TRANS_PLAIN : TRANS_EXEC;
        o->flags_written = true;
        return;
    case 0xaf:
        o->kind = TRANS_PLAIN;
        o->reg_is_gpr = o->reads_only = true;
        o->flags_written = true;
        o->flags_killed = FLAG_CF;
        return;
    case 0xb0:
    case 0xc0: o->reg_size = o->rm_size = 1; /* fall through */
    case 0xb1:
    case 0xc1:
        o->kind = TRANS_PLAIN;
        o->reg_is_gpr = true;
        o->flags_written = true;
        o->flags_killed = FLAG_ALL;
        return;
    case 0xb6:
    case 0xb7:
    case 0xbe:
    case 0xbf:
        o->kind = TRANS_PLAIN;
        o->rm_size = op & 1 ? 4 : 1;
        o->reg_is_gpr = o->reads_only = true;
        return;
    case 0xb8: o->kind = bit_count ? TRANS_PLAIN : TRANS_EXEC; goto bits;
    case 0xbc:
    case 0xbd:
        o->kind = TRANS_PLAIN;
    bits:
        o->reg_is_gpr = o->reads_only = true;
        o->flags_written = true;
        if (op == 0xb8)
            o->flags_killed = FLAG_ALL;
        return;
    case 0xba:
        o->kind = ext(o) >= 4 ? TRANS_PLAIN : TRANS_EXEC;
        o->reads_only = ext(o) == 4;
        o->flags_written = true;
        o->flags_killed = FLAG_CF;
        return;
    case 0xc8 ... 0xcf:
        o->kind = o->p66 ? TRANS_EXEC : TRANS_PLAIN;
        o->reg_in_opcode = true;
        return;
    }
}

/* ---- which register operands are read, and which surely written whole ------------------------------------------------- */
enum { READ = 1, WRITE = 2 };

static unsigned use_of_rm_0(const struct trans_op *o)
{
    unsigned op = o->opcode;
    if (op < 0x38)
        return op & 2 ? READ : READ | WRITE;
    if (op < 0x40 || op == 0x63 || op == 0x69 || op == 0x6b || op == 0x84 || op == 0x85 || op == 0x8a || op == 0x8b)
        return READ;
    if (op == 0x80 || op == 0x81 || op == 0x83)
        return ext(o) == 7 ? READ : READ | WRITE;
    if (op == 0xf6 || op == 0xf7)
        return ext(o) < 2 || ext(o) >= 4 ? READ : READ | WRITE;
    if (op == 0x88 || op == 0x89 || op == 0xc6 || op == 0xc7 || (op >= 0xb0 && op <= 0xbf))
        return WRITE;
    return READ | WRITE;
}

static unsigned use_of_reg_0(const struct trans_op *o)
{
    unsigned op = o->opcode;
    if (op < 0x38)
        return op & 2 ? READ | WRITE : READ;
    if (op < 0x40 || op == 0x84 || op == 0x85 || op == 0x88 || op == 0x89)
        return READ;
    if (op == 0x63 || op == 0x69 || op == 0x6b || op == 0x8a || op == 0x8b)
        return WRITE;
    return READ | WRITE;
}

static unsigned use_of_rm_0f(const struct trans_op *o)
{
    unsigned op = o->opcode;
    bool reads = (op >= 0x40 && op <= 0x4f) || op == 0xa3 || op == 0xaf || (op >= 0xb6 && op <= 0xb8) ||
                 (op >= 0xbc && op <= 0xbf) || (op == 0xba && ext(o) == 4);
    return reads ? READ : READ | WRITE;
}

static unsigned use_of_reg_0f(const struct trans_op *o)
{
    unsigned op = o->opcode;
    if (op == 0xa3 || op == 0xa4 || op == 0xa5 || (op >= 0xab && op <= 0xad) || op == 0xb3 || op == 0xbb)
        return READ;
    if (op == 0xb6 || op == 0xb7 || op == 0xbe || op == 0xbf || op == 0xb8)
        return WRITE;
    return READ | WRITE;
}

/* A byte or word that is written leaves the rest of its register: that is read, too. */
static void register_use(struct trans_op *o)
{
    unsigned rm = o->map ? use_of_rm_0f(o) : use_of_rm_0(o), reg = o->map ? use_of_reg_0f(o) : use_of_reg_0(o);
    if (rm & WRITE && (o->rm_size < 4 || o->p66))
        rm |= READ;
    if (reg & WRITE && (o->reg_size < 4 || o->p66))
        reg |= READ;
    o->rm_read = rm & READ;
    o->rm_written = rm & WRITE;
    o->reg_read = reg & READ;
    o->reg_written = reg & WRITE;
}

/* ---- all together --------------------------------------------------------------------------------------------------------- */
static bool lockable(const struct trans_op *o)
{
    return o->memory && !o->reads_only;
}

void trans_op_of(struct trans_op *o, const struct insn *in, const uint8_t *raw, unsigned mode)
{
    bool code64 = (mode & MODE_CODE) == CODE64;
    *o = (struct trans_op){.kind = TRANS_EXEC, .flags_read = 0};
    const uint8_t *p = opcode(o, prefixes(o, raw, code64));
    if (o->map == 0 && o->rex & 8) /* REX.W overrides it: the code that calls __tls_get_addr() is padded so */
        o->p66 = false;
    bool modrm = o->map == 0 ? has_modrm_0(o->opcode) : o->map == 0x0f && has_modrm_0f(o->opcode);
    if (modrm)
        p = skip_modrm(o, p);
    o->imm_at = p - raw;
    o->imm_bytes = raw + in->len - p;
    if (p <= raw + in->len) {
        if (o->map == 0)
            map_0(o, in, raw, code64);
        else if (o->map == 0x0f)
            map_0f(o, raw, code64);
    }
    register_use(o);
    if (o->map == 0 && o->prefix && o->kind != TRANS_NOP && o->kind != TRANS_RET && o->kind != TRANS_JMP &&
        o->kind != TRANS_CALL && o->kind != TRANS_JCC && o->kind != TRANS_JMP_RM && o->kind != TRANS_CALL_RM)
        o->kind = TRANS_EXEC;
    if (o->lock && !((o->kind == TRANS_PLAIN || o->kind == TRANS_BIT) && lockable(o)))
        o->kind = TRANS_EXEC;
    if (o->kind == TRANS_JCC)
        o->flags_read = FLAG_ALL;
    if (o->kind == TRANS_EXEC) {
        o->flags_read = FLAG_ALL;
        o->flags_killed = 0;
        o->flags_written = true;
    }
}
