// SPDX-License-Identifier: GPL-2.0-or-later
/* cluster.c - which memory operands of a block lie close together.
 *
 * Most code touches a few objects several times in a row: its stack frame, one structure.  Operands whose addresses
 * differ by a constant that is known here form a cluster.  The first of them to execute looks up the whole stretch, once;
 * the others use the pointer that it leaves, without any check.  A stretch that does not lie within one page, or lacks
 * an access that one of its members needs, sends the rest of the block to tier 1 (trans_rest_c).
 *
 * Addresses are compared as symbols: every register starts as an unknown of its own; copying, adding constants, pushing
 * and popping are followed, everything else makes a new unknown.  Nothing is kept across what tier 1 runs. */
#include "patcher/translate/translate.h"

enum { SYM_IP = 16, SYM_NONE, SYM_FIRST_NEW, OPEN = 8 };

struct value { /* symbol + offset */
    uint16_t symbol;
    int64_t offset;
};
struct key {
    uint16_t base, index;
    uint8_t scale, seg;
};
struct open_cluster {
    struct key key;
    int cluster;
    int64_t lo, hi; /* of the stretch, relative to the key */
};
struct finder {
    struct clusters *gs;
    const struct block *block;
    struct value reg[16];
    uint16_t next_symbol;
    struct open_cluster open[OPEN];
    unsigned opened;
    bool code64;
    unsigned span;
    int64_t delta[TRANS_INSNS][2];
};

static unsigned word(const struct finder *f)
{
    return f->code64 ? 8 : 4;
}

static void make_unknown(struct finder *f, unsigned reg)
{
    f->reg[reg] = (struct value){f->next_symbol++, 0};
}

static struct value value_of(const struct finder *f, unsigned reg)
{
    if (reg < 16)
        return f->reg[reg];
    return (struct value){reg == REG_BLOCK_IP ? SYM_IP : SYM_NONE, 0};
}

static bool same_key(const struct key *a, const struct key *b)
{
    return a->base == b->base && a->index == b->index && a->scale == b->scale && a->seg == b->seg;
}

/* Distances are those of addresses, which wrap around at 4 GiB in 32-bit code. */
static int64_t distance(const struct finder *f, int64_t d)
{
    return f->code64 ? d : (int32_t)d;
}

static void new_cluster(struct finder *f, unsigned insn, unsigned which, const struct key *key, int64_t delta,
                        unsigned size, bool write)
{
    struct clusters *gs = f->gs;
    struct open_cluster *o = &f->open[f->opened++ % OPEN];
    gs->cluster[gs->count] = (struct cluster){.size = size, .write = write, .members = 1};
    *o = (struct open_cluster){*key, gs->count, delta, delta + size};
    gs->of[insn][which] = gs->count++;
    f->delta[insn][which] = delta;
}

static bool joins(struct finder *f, struct open_cluster *o, unsigned insn, unsigned which, int64_t delta, unsigned size,
                  bool write)
{
    int64_t d = o->lo + distance(f, delta - o->lo), lo = MIN(o->lo, d), hi = MAX(o->hi, d + size);
    if (hi - lo > f->span)
        return false;
    struct cluster *g = &f->gs->cluster[o->cluster];
    g->write |= write;
    g->members++;
    g->lo += lo - o->lo;
    g->size = hi - lo;
    o->lo = lo;
    o->hi = hi;
    f->gs->of[insn][which] = o->cluster;
    f->delta[insn][which] = d;
    return true;
}

static void add_access(struct finder *f, unsigned insn, unsigned which, struct key key, int64_t delta, unsigned size,
                       bool write)
{
    unsigned n = MIN(f->opened, OPEN);
    for (unsigned i = 0; i < n; i++)
        if (same_key(&f->open[i].key, &key) && joins(f, &f->open[i], insn, which, delta, size, write))
            return;
    new_cluster(f, insn, which, &key, delta, size, write);
}

static void stack_access(struct finder *f, unsigned insn, unsigned which, unsigned reg, int offset, bool write)
{
    struct value v = f->reg[reg];
    add_access(f, insn, which, (struct key){v.symbol, SYM_NONE, 0, 0}, v.offset + offset, word(f), write);
}

static void operand_access(struct finder *f, unsigned insn, const struct insn *in, unsigned size, bool write)
{
    struct value base = value_of(f, in->base / 8), index = value_of(f, in->index / 8);
    bool far = f->code64 && (in->disp > INT32_MAX / 2 || in->disp < INT32_MIN / 2);
    if (in->asize != word(f) || far || !size)
        return;
    struct key key = {base.symbol, index.symbol, index.symbol == SYM_NONE ? 0 : in->scale,
                      in->flags & INSN_SEGMENTED ? in->seg + 1 : 0};
    add_access(f, insn, 0, key, distance(f, in->disp) + base.offset + (int64_t)((uint64_t)index.offset << in->scale),
               size, write);
}

static void add_to(struct finder *f, unsigned reg, int64_t n)
{
    f->reg[reg].offset = distance(f, f->reg[reg].offset + n);
    if (f->reg[reg].offset != (int32_t)f->reg[reg].offset)
        make_unknown(f, reg);
}

/* LEA reg, [base + disp]; MOV reg, reg; ADD, SUB, INC, DEC by a constant, in the width of addresses. */
static bool follows(struct finder *f, const struct insn *in, const struct trans_op *o, const uint8_t *raw)
{
    bool full = f->code64 ? o->rex & 8 : !o->p66;
    unsigned op = o->opcode, ext = o->modrm >> 3 & 7;
    if (!full || o->map || o->lock)
        return false;
    if (o->kind == TRANS_LEA) {
        unsigned to = ext | (o->rex & 4) << 1;
        if (in->base / 8 >= 16 || in->index / 8 < 16 || in->asize != word(f) || in->disp != (int32_t)in->disp)
            return false;
        f->reg[to] = f->reg[in->base / 8];
        add_to(f, to, in->disp);
        return true;
    }
    int reg = trans_plain_reg(o), rm = trans_plain_rm(o);
    if (o->kind != TRANS_PLAIN || rm < 0)
        return false;
    if (op == 0x89 || op == 0x8b) {
        f->reg[op == 0x89 ? rm : reg] = f->reg[op == 0x89 ? reg : rm];
        return true;
    }
    if ((op == 0x81 || op == 0x83) && (ext == 0 || ext == 5)) {
        int32_t imm = (int8_t)raw[o->imm_at];
        if (op == 0x81)
            memcpy(&imm, raw + o->imm_at, 4);
        add_to(f, rm, ext ? -(int64_t)imm : imm);
        return true;
    }
    bool inc_dec_32 = !f->code64 && op >= 0x40 && op <= 0x4f;
    if (inc_dec_32 || (op == 0xff && ext < 2)) {
        add_to(f, rm, (inc_dec_32 ? op & 8 : ext) ? -1 : 1);
        return true;
    }
    return false;
}

static void forget_written(struct finder *f, const struct trans_op *o)
{
    unsigned w = trans_writes(o);
    for (unsigned n = 0; n < 16; n++)
        if (w >> n & 1)
            make_unknown(f, n);
}

static void forget_everything(struct finder *f)
{
    for (unsigned n = 0; n < 16; n++)
        make_unknown(f, n);
    f->opened = 0;
}

static void accesses(struct finder *f, unsigned i, const struct insn *in, const struct trans_op *o)
{
    unsigned w = word(f);
    switch (o->kind) {
    case TRANS_PLAIN:
        if (o->memory)
            operand_access(f, i, in, in->mem_bytes, !o->reads_only);
        break;
    case TRANS_VECTOR:
        if (o->memory)
            operand_access(f, i, in, trans_vector_bytes(o), !o->reads_only);
        break;
    case TRANS_DIV:
        if (o->memory)
            operand_access(f, i, in, o->rex & 8 ? 8 : 4, false);
        break;
    case TRANS_PUSH_RM:
    case TRANS_JMP_RM:
    case TRANS_CALL_RM:
        if (o->memory)
            operand_access(f, i, in, w, false);
        if (o->kind != TRANS_JMP_RM)
            stack_access(f, i, 1, X86_RSP, -(int)w, true);
        break;
    case TRANS_PUSH_REG:
    case TRANS_PUSH_IMM:
    case TRANS_PUSH_SEG:
    case TRANS_PUSHF:
    case TRANS_CALL: stack_access(f, i, 1, X86_RSP, -(int)w, true); break;
    case TRANS_POP_REG:
    case TRANS_POPF:
    case TRANS_POP_SEG:
    case TRANS_RET: stack_access(f, i, 1, X86_RSP, 0, false); break;
    case TRANS_LEAVE: stack_access(f, i, 1, X86_RBP, 0, false); break;
    default: break;
    }
}

static void effects(struct finder *f, const struct insn *in, const struct trans_op *o, const uint8_t *raw)
{
    switch (o->kind) {
    case TRANS_SWAPGS:
    case TRANS_EXEC: forget_everything(f); break;
    case TRANS_PUSH_REG:
    case TRANS_PUSH_IMM:
    case TRANS_PUSH_SEG:
    case TRANS_PUSHF:
    case TRANS_PUSH_RM: add_to(f, X86_RSP, -(int)word(f)); break;
    case TRANS_POP_REG:
        add_to(f, X86_RSP, word(f));
        make_unknown(f, (o->opcode & 7) | (o->rex & 1) << 3);
        break;
    case TRANS_LEAVE:
        f->reg[X86_RSP] = f->reg[X86_RBP];
        add_to(f, X86_RSP, word(f));
        make_unknown(f, X86_RBP);
        break;
    default:
        if (!follows(f, in, o, raw))
            forget_written(f, o);
    }
}

void clusters_find(struct clusters *gs, const struct block *r, const struct trans_op *ops, bool code64, unsigned span)
{
    struct finder f = {.gs = gs, .block = r, .next_symbol = SYM_FIRST_NEW, .code64 = code64, .span = span};
    for (unsigned n = 0; n < 16; n++)
        f.reg[n] = (struct value){n, 0};
    gs->count = 0;
    memset(gs->of, -1, sizeof gs->of);
    for (unsigned i = 0; i < r->count && r->insn[i].len; i++) {
        accesses(&f, i, &r->insn[i], &ops[i]);
        effects(&f, &r->insn[i], &ops[i], r->raw + r->insn[i].ip);
    }
    /* From relative to the key to relative to the cluster's lowest address. */
    int64_t first[CLUSTERS];
    bool seen[CLUSTERS] = {false};
    for (unsigned i = 0; i < r->count; i++)
        for (unsigned w = 0; w < 2; w++) {
            int g = gs->of[i][w];
            if (g < 0)
                continue;
            if (!seen[g])
                first[g] = f.delta[i][w];
            seen[g] = true;
            gs->at[i][w] = f.delta[i][w] - first[g] - gs->cluster[g].lo;
        }
    unsigned slots = 0;
    for (unsigned g = 0; g < gs->count; g++)
        if (gs->cluster[g].members > 1)
            gs->cluster[g].slot = slots++;
}
