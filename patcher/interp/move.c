// SPDX-License-Identifier: GPL-2.0-or-later
/* move.c - data movement: MOV MOVZX MOVSX LEA XCHG XADD CMPXCHG CMOVcc SETcc BSWAP, sign extension, and bit tests. */
#include "patcher/interp/hot.h"

static struct block *nop(struct vcpu *c, const struct insn *in)
{
    return next_insn(c, in);
}

insn_fn nop_fn(void)
{
    return nop;
}

#define SIZES(n, suffix)                                                                                               \
    {                                                                                                                  \
        n##8_##suffix, n##16_##suffix, n##32_##suffix, n##64_##suffix                                                  \
    }
#define SIZES_16(n, suffix)                                                                                            \
    {                                                                                                                  \
        NULL, n##16_##suffix, n##32_##suffix, n##64_##suffix                                                           \
    }
#define EACH_WIDE(X, ...)                                                                                              \
    X(16, uint16_t, int16_t, __VA_ARGS__)                                                                              \
    X(32, uint32_t, int32_t, __VA_ARGS__)                                                                              \
    X(64, uint64_t, int64_t, __VA_ARGS__)

#define DEFINE_MOV(bits, type, stype, ...)                                                                             \
    static struct block *mov##bits##_rr(struct vcpu *c, const struct insn *in)                                         \
    {                                                                                                                  \
        wr##bits(c, in->rm, rd##bits(c, in->reg));                                                                     \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *mov##bits##_rm(struct vcpu *c, const struct insn *in)                                         \
    {                                                                                                                  \
        wr##bits(c, in->reg, mem_read##bits(c, in, mem_linear(c, in, bits / 8, ACCESS_READ)));                         \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *mov##bits##_mr(struct vcpu *c, const struct insn *in)                                         \
    {                                                                                                                  \
        mem_write##bits(c, in, mem_linear(c, in, bits / 8, ACCESS_WRITE), rd##bits(c, in->reg));                       \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *mov##bits##_ri(struct vcpu *c, const struct insn *in)                                         \
    {                                                                                                                  \
        wr##bits(c, in->rm, in->imm);                                                                                  \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *mov##bits##_mi(struct vcpu *c, const struct insn *in)                                         \
    {                                                                                                                  \
        mem_write##bits(c, in, mem_linear(c, in, bits / 8, ACCESS_WRITE), in->imm);                                    \
        return next_insn(c, in);                                                                                       \
    }
EACH_SIZE(DEFINE_MOV)

insn_fn mov_fn(enum form form, unsigned size)
{
    static const insn_fn table[FORMS][4] = {SIZES(mov, rr), SIZES(mov, rm), SIZES(mov, mr), SIZES(mov, ri),
                                            SIZES(mov, mi)};
    return table[form][size];
}

/* ---- MOVZX MOVSX ----------------------------------------------------------------------------------------------------- */
#define DEFINE_MOVX(to, type, stype, from, ftype, sftype)                                                              \
    static struct block *movz##from##_##to##_r(struct vcpu *c, const struct insn *in)                                  \
    {                                                                                                                  \
        wr##to(c, in->reg, rd##from(c, in->rm));                                                                       \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *movz##from##_##to##_m(struct vcpu *c, const struct insn *in)                                  \
    {                                                                                                                  \
        wr##to(c, in->reg, mem_read##from(c, in, mem_linear(c, in, from / 8, ACCESS_READ)));                           \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *movs##from##_##to##_r(struct vcpu *c, const struct insn *in)                                  \
    {                                                                                                                  \
        wr##to(c, in->reg, (stype)(sftype)rd##from(c, in->rm));                                                        \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *movs##from##_##to##_m(struct vcpu *c, const struct insn *in)                                  \
    {                                                                                                                  \
        wr##to(c, in->reg, (stype)(sftype)mem_read##from(c, in, mem_linear(c, in, from / 8, ACCESS_READ)));            \
        return next_insn(c, in);                                                                                       \
    }
EACH_WIDE(DEFINE_MOVX, 8, uint8_t, int8_t)
EACH_WIDE(DEFINE_MOVX, 16, uint16_t, int16_t)
EACH_WIDE(DEFINE_MOVX, 32, uint32_t, int32_t)

insn_fn movx_fn(bool sign, bool mem, unsigned from, unsigned to)
{
#define MOVX(s, f, form)                                                                                               \
    {                                                                                                                  \
        NULL, mov##s##f##_16_##form, mov##s##f##_32_##form, mov##s##f##_64_##form                                      \
    }
    static const insn_fn table[2][2][3][4] = {
        {{MOVX(z, 8, r), MOVX(z, 16, r), MOVX(z, 32, r)}, {MOVX(z, 8, m), MOVX(z, 16, m), MOVX(z, 32, m)}},
        {{MOVX(s, 8, r), MOVX(s, 16, r), MOVX(s, 32, r)}, {MOVX(s, 8, m), MOVX(s, 16, m), MOVX(s, 32, m)}},
    };
#undef MOVX
    return table[sign][mem][from][to];
}

/* ---- LEA, BSWAP, sign extension of the accumulator -------------------------------------------------------------------- */
#define DEFINE_LEA(bits, type, stype, ...)                                                                             \
    static struct block *lea##bits##_m(struct vcpu *c, const struct insn *in)                                          \
    {                                                                                                                  \
        wr##bits(c, in->reg, mem_offset(c, in));                                                                       \
        return next_insn(c, in);                                                                                       \
    }
EACH_WIDE(DEFINE_LEA)

insn_fn lea_fn(unsigned size)
{
    static const insn_fn table[4] = SIZES_16(lea, m);
    return table[size];
}

static struct block *bswap16_r(struct vcpu *c, const struct insn *in)
{
    wr16(c, in->rm, 0); /* undefined by the manuals; this is what the hardware does */
    return next_insn(c, in);
}
static struct block *bswap32_r(struct vcpu *c, const struct insn *in)
{
    wr32(c, in->rm, __builtin_bswap32(rd32(c, in->rm)));
    return next_insn(c, in);
}
static struct block *bswap64_r(struct vcpu *c, const struct insn *in)
{
    wr64(c, in->rm, __builtin_bswap64(rd64(c, in->rm)));
    return next_insn(c, in);
}
insn_fn bswap_fn(unsigned size)
{
    static const insn_fn table[4] = SIZES_16(bswap, r);
    return table[size];
}

#define DEFINE_EXTEND(bits, type, stype, half)                                                                         \
    static struct block *cbw##bits##_a(struct vcpu *c, const struct insn *in)                                          \
    {                                                                                                                  \
        wr##bits(c, X86_RAX * 8, (stype)(half)c->gpr[X86_RAX]);                                                        \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *cwd##bits##_a(struct vcpu *c, const struct insn *in)                                          \
    {                                                                                                                  \
        wr##bits(c, X86_RDX * 8, (stype)c->gpr[X86_RAX] < 0 ? -1 : 0);                                                 \
        return next_insn(c, in);                                                                                       \
    }
DEFINE_EXTEND(16, uint16_t, int16_t, int8_t)
DEFINE_EXTEND(32, uint32_t, int32_t, int16_t)
DEFINE_EXTEND(64, uint64_t, int64_t, int32_t)

insn_fn convert_fn(unsigned opcode, unsigned size)
{
    static const insn_fn table[2][4] = {SIZES_16(cbw, a), SIZES_16(cwd, a)};
    return table[opcode & 1][size];
}

/* ---- XCHG, XADD, CMPXCHG ------------------------------------------------------------------------------------------------ */
#define DEFINE_EXCHANGE(bits, type, stype, ...)                                                                        \
    static struct block *xchg##bits##_r(struct vcpu *c, const struct insn *in)                                         \
    {                                                                                                                  \
        type v = rd##bits(c, in->rm), w = rd##bits(c, in->reg);                                                        \
        wr##bits(c, in->reg, v);                                                                                       \
        wr##bits(c, in->rm, w);                                                                                        \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *xchg##bits##_m(struct vcpu *c, const struct insn *in)                                         \
    {                                                                                                                  \
        type v = __atomic_exchange_n((type *)rmw_ptr(c, in, bits / 8), rd##bits(c, in->reg), __ATOMIC_SEQ_CST);        \
        rmw_done(c);                                                                                                   \
        wr##bits(c, in->reg, v);                                                                                       \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static inline type xadd##bits(struct vcpu *c, type *p, type w, bool lock)                                          \
    {                                                                                                                  \
        uint32_t f;                                                                                                    \
        if (lock)                                                                                                      \
            __asm__ volatile("lock xadd %2, %1\n\tlahf\n\tseto %%al"                                                   \
                             : "=&a"(f), "+m"(*p), "+r"(w)                                                             \
                             :                                                                                         \
                             : "cc", "memory");                                                                        \
        else                                                                                                           \
            __asm__ volatile("xadd %2, %1\n\tlahf\n\tseto %%al" : "=&a"(f), "+m"(*p), "+r"(w) : : "cc");               \
        c->arith = f;                                                                                                  \
        return w;                                                                                                      \
    }                                                                                                                  \
    static struct block *xadd##bits##_r(struct vcpu *c, const struct insn *in)                                         \
    {                                                                                                                  \
        type sum = rd##bits(c, in->rm), v = xadd##bits(c, &sum, rd##bits(c, in->reg), false);                          \
        wr##bits(c, in->reg, v);                                                                                       \
        wr##bits(c, in->rm, sum);                                                                                      \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *xadd##bits##_m(struct vcpu *c, const struct insn *in)                                         \
    {                                                                                                                  \
        type v = xadd##bits(c, rmw_ptr(c, in, bits / 8), rd##bits(c, in->reg), in->flags & INSN_LOCK);                 \
        rmw_done(c);                                                                                                   \
        wr##bits(c, in->reg, v);                                                                                       \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static inline uint64_t cmpxchg##bits(struct vcpu *c, type *p, type w, bool lock)                                   \
    {                                                                                                                  \
        uint64_t a = c->gpr[X86_RAX], out;                                                                             \
        if (lock)                                                                                                      \
            __asm__ volatile("lock cmpxchg %3, %2\n\tmov %%rax, %1\n\tlahf\n\tseto %%al"                               \
                             : "+&a"(a), "=&r"(out), "+m"(*p)                                                          \
                             : "r"(w)                                                                                  \
                             : "cc", "memory");                                                                        \
        else                                                                                                           \
            __asm__ volatile("cmpxchg %3, %2\n\tmov %%rax, %1\n\tlahf\n\tseto %%al"                                    \
                             : "+&a"(a), "=&r"(out), "+m"(*p)                                                          \
                             : "r"(w)                                                                                  \
                             : "cc");                                                                                  \
        c->arith = a;                                                                                                  \
        return out;                                                                                                    \
    }                                                                                                                  \
    static struct block *cmpxchg##bits##_r(struct vcpu *c, const struct insn *in)                                      \
    {                                                                                                                  \
        uint64_t v = *reg64(c, in->rm & ~7) /* whole, for what the host does to its upper half */,                     \
                 a = c->gpr[X86_RAX];                                                                                  \
        uint64_t *whole = reg64(c, in->rm & ~7);                                                                       \
        type w = rd##bits(c, in->reg);                                                                                 \
        if (in->rm & 7) { /* AH.. */                                                                                   \
            type part = rd##bits(c, in->rm);                                                                           \
            uint64_t out = cmpxchg##bits(c, &part, w, false);                                                          \
            c->gpr[X86_RAX] = out;                                                                                     \
            if (c->szapc & 0x40)                                                                                       \
                wr##bits(c, in->rm, part);                                                                             \
            return next_insn(c, in);                                                                                   \
        }                                                                                                              \
        uint64_t out;                                                                                                  \
        if (whole == &c->gpr[X86_RAX]) { /* always equal */                                                            \
            type part = (type)a;                                                                                       \
            cmpxchg##bits(c, &part, w, false);                                                                         \
            wr##bits(c, in->rm, w);                                                                                    \
            return next_insn(c, in);                                                                                   \
        }                                                                                                              \
        __asm__("cmpxchg %" REG_MODIFIER_##bits "3, %" REG_MODIFIER_##bits "2\n\tmov %%rax, %1\n\tlahf\n\tseto %%al"   \
                : "+&a"(a), "=&r"(out), "+&r"(v)                                                                       \
                : "r"((uint64_t)w)                                                                                     \
                : "cc");                                                                                               \
        c->arith = a;                                                                                                  \
        c->gpr[X86_RAX] = out;                                                                                         \
        *whole = v;                                                                                                    \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *cmpxchg##bits##_m(struct vcpu *c, const struct insn *in)                                      \
    {                                                                                                                  \
        uint64_t out = cmpxchg##bits(c, rmw_ptr(c, in, bits / 8), rd##bits(c, in->reg), in->flags & INSN_LOCK);        \
        rmw_done(c);                                                                                                   \
        c->gpr[X86_RAX] = out;                                                                                         \
        return next_insn(c, in);                                                                                       \
    }
#define REG_MODIFIER_8  "b"
#define REG_MODIFIER_16 "w"
#define REG_MODIFIER_32 "k"
#define REG_MODIFIER_64 "q"
EACH_SIZE(DEFINE_EXCHANGE)

insn_fn xchg_fn(bool mem, unsigned size)
{
    static const insn_fn table[2][4] = {SIZES(xchg, r), SIZES(xchg, m)};
    return table[mem][size];
}
insn_fn xadd_fn(bool mem, unsigned size)
{
    static const insn_fn table[2][4] = {SIZES(xadd, r), SIZES(xadd, m)};
    return table[mem][size];
}
insn_fn cmpxchg_fn(bool mem, unsigned size)
{
    static const insn_fn table[2][4] = {SIZES(cmpxchg, r), SIZES(cmpxchg, m)};
    return table[mem][size];
}

/* ---- CMOVcc SETcc ------------------------------------------------------------------------------------------------------ */
/* The condition is in the opcode's low bits; the operand is read in any case, and a 32-bit destination is
 * zero-extended in any case. */
#define DEFINE_CMOV(bits, type, stype, ...)                                                                            \
    static struct block *cmov##bits##_rm(struct vcpu *c, const struct insn *in)                                        \
    {                                                                                                                  \
        type v = rm_read##bits(c, in);                                                                                 \
        wr##bits(c, in->reg, condition(c, in->opcode & 15) ? v : rd##bits(c, in->reg));                                \
        return next_insn(c, in);                                                                                       \
    }
EACH_WIDE(DEFINE_CMOV)

insn_fn cmov_fn(unsigned size)
{
    static const insn_fn table[4] = SIZES_16(cmov, rm);
    return table[size];
}

static struct block *setcc_r(struct vcpu *c, const struct insn *in)
{
    wr8(c, in->rm, condition(c, in->opcode & 15));
    return next_insn(c, in);
}
static struct block *setcc_m(struct vcpu *c, const struct insn *in)
{
    mem_write8(c, in, mem_linear(c, in, 1, ACCESS_WRITE), condition(c, in->opcode & 15));
    return next_insn(c, in);
}
insn_fn setcc_fn(bool mem)
{
    return mem ? setcc_m : setcc_r;
}

/* ---- BT BTS BTR BTC ------------------------------------------------------------------------------------------------------ */
/* Only CF is defined to change; what the silicon does with the others (nothing) is kept by loading them first. */
#define DEFINE_BIT_OP(bits, type, stype, name, mnemonic)                                                               \
    static inline type name##bits(struct vcpu *c, type v, type n)                                                      \
    {                                                                                                                  \
        uint32_t f = c->arith;                                                                                         \
        __asm__("addb $0x7f, %%al\n\tsahf\n\t" mnemonic " %2, %1\n\tlahf\n\tseto %%al"                                 \
                : "+&a"(f), "+r"(v)                                                                                    \
                : "r"(n)                                                                                               \
                : "cc");                                                                                               \
        c->arith = f;                                                                                                  \
        return v;                                                                                                      \
    }
#define DEFINE_BIT(bits, type, stype, ...)                                                                             \
    DEFINE_BIT_OP(bits, type, stype, bt, "bt")                                                                         \
    DEFINE_BIT_OP(bits, type, stype, bts, "bts")                                                                       \
    DEFINE_BIT_OP(bits, type, stype, btr, "btr")                                                                       \
    DEFINE_BIT_OP(bits, type, stype, btc, "btc")                                                                       \
    static inline type bit##bits(struct vcpu *c, unsigned op, type v, type n)                                          \
    {                                                                                                                  \
        switch (op) {                                                                                                  \
        case BIT_BT: return bt##bits(c, v, n);                                                                         \
        case BIT_BTS: return bts##bits(c, v, n);                                                                       \
        case BIT_BTR: return btr##bits(c, v, n);                                                                       \
        default: return btc##bits(c, v, n);                                                                            \
        }                                                                                                              \
    }                                                                                                                  \
    static inline type bit_count##bits(struct vcpu *c, const struct insn *in)                                          \
    {                                                                                                                  \
        return in->flags & INSN_BIT_IMM ? (type)in->imm : rd##bits(c, in->reg);                                        \
    }                                                                                                                  \
    static struct block *bit##bits##_r(struct vcpu *c, const struct insn *in)                                          \
    {                                                                                                                  \
        type v = bit##bits(c, in->aux_op, rd##bits(c, in->rm), bit_count##bits(c, in));                                \
        if (in->aux_op != BIT_BT)                                                                                      \
            wr##bits(c, in->rm, v);                                                                                    \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    /* a register bit offset reaches beyond the operand */                                                             \
    static inline uint64_t bit##bits##_linear(struct vcpu *c, const struct insn *in, type n, int access)               \
    {                                                                                                                  \
        uint64_t off = mem_offset(c, in);                                                                              \
        if (!(in->flags & INSN_BIT_IMM))                                                                               \
            off = (off + ((stype)n >> (bits == 16 ? 4 : bits == 32 ? 5 : 6)) * (bits / 8)) & in->amask;                \
        return in->flags & INSN_SEGMENTED ? seg_linear_hot(c, in, off, bits / 8, access) : off;                        \
    }                                                                                                                  \
    static struct block *bit##bits##_m(struct vcpu *c, const struct insn *in)                                          \
    {                                                                                                                  \
        type n = bit_count##bits(c, in);                                                                               \
        if (in->aux_op == BIT_BT) {                                                                                    \
            bt##bits(c, mem_read##bits(c, in, bit##bits##_linear(c, in, n, ACCESS_READ)), n);                          \
            return next_insn(c, in);                                                                                   \
        }                                                                                                              \
        type *p = rmw_ptr_at(c, in, bit##bits##_linear(c, in, n, ACCESS_READ | ACCESS_WRITE), bits / 8);               \
        type old = __atomic_load_n(p, __ATOMIC_RELAXED);                                                               \
        if (in->flags & INSN_LOCK)                                                                                     \
            while (!__atomic_compare_exchange_n(p, &old, bit##bits(c, in->aux_op, old, n), true, __ATOMIC_SEQ_CST,     \
                                                __ATOMIC_RELAXED)) {                                                   \
            }                                                                                                          \
        else                                                                                                           \
            *p = bit##bits(c, in->aux_op, old, n);                                                                     \
        rmw_done(c);                                                                                                   \
        return next_insn(c, in);                                                                                       \
    }
EACH_WIDE(DEFINE_BIT)

insn_fn bit_fn(bool mem, unsigned size)
{
    static const insn_fn table[2][4] = {SIZES_16(bit, r), SIZES_16(bit, m)};
    return table[mem][size];
}

/* ---- BSF BSR ------------------------------------------------------------------------------------------------------------------ */
/* Run on the whole destination register, so that a zero source leaves it as the silicon does. */
#define DEFINE_SCAN(bits, type, stype, name)                                                                           \
    static struct block *name##bits##_rm(struct vcpu *c, const struct insn *in)                                        \
    {                                                                                                                  \
        uint64_t v = rm_read##bits(c, in), to = *reg64(c, in->reg);                                                    \
        uint32_t f = c->arith;                                                                                         \
        __asm__("addb $0x7f, %%al\n\tsahf\n\t" #name " %" REG_MODIFIER_##bits "2, %" REG_MODIFIER_##bits               \
                "1\n\tlahf\n\tseto %%al"                                                                               \
                : "+&a"(f), "+&r"(to)                                                                                  \
                : "r"(v)                                                                                               \
                : "cc");                                                                                               \
        c->arith = f;                                                                                                  \
        *reg64(c, in->reg) = to;                                                                                       \
        return next_insn(c, in);                                                                                       \
    }
EACH_WIDE(DEFINE_SCAN, bsf)
EACH_WIDE(DEFINE_SCAN, bsr)

insn_fn bit_scan_fn(unsigned opcode, unsigned size)
{
    static const insn_fn table[2][4] = {SIZES_16(bsf, rm), SIZES_16(bsr, rm)};
    return table[opcode & 1][size];
}
