// SPDX-License-Identifier: GPL-2.0-or-later
/* shift.c - shifts and rotates, multiplication and division.  As in alu.c, the host's instruction does the work and
 * makes the flags; all flags are loaded first, for a count of zero leaves them alone. */
#include "patcher/interp/hot.h"

#define LOAD_FLAGS "addb $0x7f, %%al\n\tsahf\n\t" /* AL (0 or 1) + 127 sets OF from AL */
#define SAVE_FLAGS "\n\tlahf\n\tseto %%al"

#define DEFINE_SHIFT(bits, type, stype, name, mnemonic, ...)                                                           \
    static inline type name##bits(struct vcpu *c, type v, uint8_t n)                                                   \
    {                                                                                                                  \
        uint32_t f = c->arith;                                                                                         \
        __asm__(LOAD_FLAGS mnemonic " %%cl, %1" SAVE_FLAGS : "+&a"(f), "+r"(v) : "c"(n) : "cc");                       \
        c->arith = f;                                                                                                  \
        return v;                                                                                                      \
    }                                                                                                                  \
    static struct block *name##bits##_ri(struct vcpu *c, const struct insn *in)                                        \
    {                                                                                                                  \
        wr##bits(c, in->rm, name##bits(c, rd##bits(c, in->rm), in->imm));                                              \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *name##bits##_rc(struct vcpu *c, const struct insn *in)                                        \
    {                                                                                                                  \
        wr##bits(c, in->rm, name##bits(c, rd##bits(c, in->rm), c->gpr[X86_RCX]));                                      \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *name##bits##_mi(struct vcpu *c, const struct insn *in)                                        \
    {                                                                                                                  \
        type *p = rmw_ptr(c, in, bits / 8);                                                                            \
        *p = name##bits(c, *p, in->imm);                                                                               \
        rmw_done(c);                                                                                                   \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *name##bits##_mc(struct vcpu *c, const struct insn *in)                                        \
    {                                                                                                                  \
        type *p = rmw_ptr(c, in, bits / 8);                                                                            \
        *p = name##bits(c, *p, c->gpr[X86_RCX]);                                                                       \
        rmw_done(c);                                                                                                   \
        return next_insn(c, in);                                                                                       \
    }
EACH_SIZE(DEFINE_SHIFT, rol, "rol")
EACH_SIZE(DEFINE_SHIFT, ror, "ror")
EACH_SIZE(DEFINE_SHIFT, rcl, "rcl")
EACH_SIZE(DEFINE_SHIFT, rcr, "rcr")
EACH_SIZE(DEFINE_SHIFT, shl, "shl")
EACH_SIZE(DEFINE_SHIFT, shr, "shr")
EACH_SIZE(DEFINE_SHIFT, sar, "sar")

#define SIZES(n, suffix)                                                                                               \
    {                                                                                                                  \
        n##8_##suffix, n##16_##suffix, n##32_##suffix, n##64_##suffix                                                  \
    }
#define SHIFT_FORMS(n)                                                                                                 \
    {                                                                                                                  \
        SIZES(n, ri), SIZES(n, rc), SIZES(n, mi), SIZES(n, mc)                                                         \
    }

insn_fn shift_fn(unsigned op, bool mem, unsigned size, bool by_cl)
{
    static const insn_fn table[SHIFT_OPS][4][4] = {
        SHIFT_FORMS(rol), SHIFT_FORMS(ror), SHIFT_FORMS(rcl), SHIFT_FORMS(rcr),
        SHIFT_FORMS(shl), SHIFT_FORMS(shr), SHIFT_FORMS(shl), SHIFT_FORMS(sar),
    };
    return table[op][mem * 2 + by_cl][size];
}

/* ---- SHLD SHRD ----------------------------------------------------------------------------------------------------- */
#define DEFINE_DOUBLE(bits, type, stype, name, mnemonic, ...)                                                          \
    static inline type name##bits(struct vcpu *c, type v, type from, uint8_t n)                                        \
    {                                                                                                                  \
        uint32_t f = c->arith;                                                                                         \
        __asm__(LOAD_FLAGS mnemonic " %%cl, %2, %1" SAVE_FLAGS : "+&a"(f), "+r"(v) : "r"(from), "c"(n) : "cc");        \
        c->arith = f;                                                                                                  \
        return v;                                                                                                      \
    }                                                                                                                  \
    static inline uint8_t name##bits##_count(struct vcpu *c, const struct insn *in)                                    \
    {                                                                                                                  \
        return (in->opcode & 1) ? c->gpr[X86_RCX] : in->imm;                                                           \
    }                                                                                                                  \
    static struct block *name##bits##_r(struct vcpu *c, const struct insn *in)                                         \
    {                                                                                                                  \
        wr##bits(c, in->rm, name##bits(c, rd##bits(c, in->rm), rd##bits(c, in->reg), name##bits##_count(c, in)));      \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *name##bits##_m(struct vcpu *c, const struct insn *in)                                         \
    {                                                                                                                  \
        type *p = rmw_ptr(c, in, bits / 8);                                                                            \
        *p = name##bits(c, *p, rd##bits(c, in->reg), name##bits##_count(c, in));                                       \
        rmw_done(c);                                                                                                   \
        return next_insn(c, in);                                                                                       \
    }
#define DEFINE_DOUBLES(name, mnemonic)                                                                                 \
    DEFINE_DOUBLE(16, uint16_t, int16_t, name, mnemonic)                                                               \
    DEFINE_DOUBLE(32, uint32_t, int32_t, name, mnemonic)                                                               \
    DEFINE_DOUBLE(64, uint64_t, int64_t, name, mnemonic)
DEFINE_DOUBLES(shld, "shld")
DEFINE_DOUBLES(shrd, "shrd")

insn_fn shift_double_fn(bool right, bool mem, unsigned size)
{
    static const insn_fn table[2][2][4] = {
        {{NULL, shld16_r, shld32_r, shld64_r}, {NULL, shld16_m, shld32_m, shld64_m}},
        {{NULL, shrd16_r, shrd32_r, shrd64_r}, {NULL, shrd16_m, shrd32_m, shrd64_m}},
    };
    return table[right][mem][size];
}

/* ---- IMUL with two and three operands ------------------------------------------------------------------------------ */
#define DEFINE_IMUL2(bits, type, stype)                                                                                \
    static inline type imul##bits(struct vcpu *c, type v, type w)                                                      \
    {                                                                                                                  \
        uint32_t f = c->arith;                                                                                         \
        __asm__(LOAD_FLAGS "imul %2, %1" SAVE_FLAGS : "+&a"(f), "+r"(v) : "r"(w) : "cc");                              \
        c->arith = f;                                                                                                  \
        return v;                                                                                                      \
    }                                                                                                                  \
    static struct block *imul##bits##_rr(struct vcpu *c, const struct insn *in)                                        \
    {                                                                                                                  \
        wr##bits(c, in->reg, imul##bits(c, rd##bits(c, in->reg), rm_read##bits(c, in)));                               \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *imul##bits##_ri(struct vcpu *c, const struct insn *in)                                        \
    {                                                                                                                  \
        wr##bits(c, in->reg, imul##bits(c, rm_read##bits(c, in), in->imm));                                            \
        return next_insn(c, in);                                                                                       \
    }
DEFINE_IMUL2(16, uint16_t, int16_t)
DEFINE_IMUL2(32, uint32_t, int32_t)
DEFINE_IMUL2(64, uint64_t, int64_t)

insn_fn imul2_fn(unsigned size, bool immediate)
{
    static const insn_fn table[2][4] = {{NULL, imul16_rr, imul32_rr, imul64_rr},
                                        {NULL, imul16_ri, imul32_ri, imul64_ri}};
    return table[immediate][size];
}

/* ---- MUL IMUL DIV IDIV by one operand -------------------------------------------------------------------------------- */
/* The host's instruction on the guest's AX/DX; the flags travel in another register, for AX is in use. */
#define LOAD_FLAGS_BX "xchg %%rax, %%rbx\n\t" LOAD_FLAGS "xchg %%rax, %%rbx\n\t"
#define SAVE_FLAGS_BX "\n\txchg %%rax, %%rbx" SAVE_FLAGS "\n\txchg %%rax, %%rbx"
#define DEFINE_WIDE(bits, type, stype, name, mnemonic)                                                                 \
    static inline void name##bits(struct vcpu *c, uint64_t *a, uint64_t *d, type w)                                    \
    {                                                                                                                  \
        uint64_t f = c->arith;                                                                                         \
        __asm__(LOAD_FLAGS_BX mnemonic " %3" SAVE_FLAGS_BX : "+a"(*a), "+d"(*d), "+b"(f) : "r"(w) : "cc");             \
        c->arith = f;                                                                                                  \
    }
#define DEFINE_WIDES(bits, type, stype, ...)                                                                           \
    DEFINE_WIDE(bits, type, stype, mul, "mul")                                                                         \
    DEFINE_WIDE(bits, type, stype, imul1_, "imul")                                                                     \
    DEFINE_WIDE(bits, type, stype, div, "div")                                                                         \
    DEFINE_WIDE(bits, type, stype, idiv, "idiv")
EACH_SIZE(DEFINE_WIDES)

/* Would the quotient not fit?  The guest gets #DE, the host must not. */
static bool div_overflows(uint64_t a, uint64_t d, uint64_t w, unsigned bits)
{
    if (bits == 8)
        return (a >> 8 & 0xff) >= w;
    uint64_t high = bits == 64 ? d : d & ((1ull << bits) - 1);
    return high >= w;
}

static bool idiv_overflows(uint64_t a, uint64_t d, int64_t w, unsigned bits)
{
    __int128 n;
    switch (bits) {
    case 8: n = (int16_t)a; break;
    case 16: n = (int32_t)((uint32_t)d << 16 | (uint16_t)a); break;
    case 32: n = (int64_t)(d << 32 | (uint32_t)a); break;
    default: n = (__int128)((unsigned __int128)d << 64 | a); break;
    }
    if (!w)
        return true;
    /* the quotient of magnitudes, so that nothing here can overflow in turn */
    bool negative = (n < 0) != (w < 0);
    unsigned __int128 un = n < 0 ? -(unsigned __int128)n : (unsigned __int128)n;
    uint64_t uw = w < 0 ? -(uint64_t)w : (uint64_t)w;
    return un / uw > ((unsigned __int128)1 << (bits - 1)) - !negative;
}

#define STORE_WIDE(bits)                                                                                               \
    if (bits == 8)                                                                                                     \
        wr16(c, X86_RAX * 8, a);                                                                                       \
    else {                                                                                                             \
        wr_wide(c, X86_RAX * 8, bits, a);                                                                              \
        wr_wide(c, X86_RDX * 8, bits, d);                                                                              \
    }
static inline void wr_wide(struct vcpu *c, unsigned at, unsigned bits, uint64_t v)
{
    if (bits == 16)
        wr16(c, at, v);
    else
        wr64(c, at, bits == 32 ? (uint32_t)v : v);
}
#define DEFINE_ONE(bits, type, stype, name, check)                                                                     \
    static struct block *name##bits##_rm(struct vcpu *c, const struct insn *in)                                        \
    {                                                                                                                  \
        type w = rm_read##bits(c, in);                                                                                 \
        uint64_t a = c->gpr[X86_RAX], d = c->gpr[X86_RDX];                                                             \
        if (unlikely(check)) {                                                                                         \
            sync_ip(c, in);                                                                                            \
            raise_exception(c, EXC_DE);                                                                                \
        }                                                                                                              \
        name##bits(c, &a, &d, w);                                                                                      \
        STORE_WIDE(bits)                                                                                               \
        return next_insn(c, in);                                                                                       \
    }
#define DEFINE_ONES(bits, type, stype, ...)                                                                            \
    DEFINE_ONE(bits, type, stype, mul, false)                                                                          \
    DEFINE_ONE(bits, type, stype, imul1_, false)                                                                       \
    DEFINE_ONE(bits, type, stype, div, div_overflows(a, d, w, bits))                                                   \
    DEFINE_ONE(bits, type, stype, idiv, idiv_overflows(a, d, (stype)w, bits))
EACH_SIZE(DEFINE_ONES)

insn_fn mul_fn(unsigned op, unsigned size)
{
    static const insn_fn table[4][4] = {SIZES(mul, rm), SIZES(imul1_, rm), SIZES(div, rm), SIZES(idiv, rm)};
    return table[op][size];
}
