// SPDX-License-Identifier: GPL-2.0-or-later
/* alu.c - two-operand arithmetic, and INC DEC NOT NEG.
 *
 * Each handler runs the host's own instruction of the same name and keeps the flags that the silicon made, undefined
 * ones included, in the form in which LAHF and SETO deliver them.  The handlers differ only in operation, operand size
 * and form, so they are generated. */
#include "patcher/interp/hot.h"

#define SAVE_FLAGS "\n\tlahf\n\tseto %%al"
#define LOAD_CF    "bt $8, %%eax\n\t"

/* ---- the operations: v op= w, flags into c->arith ------------------------------------------------------------------ */
#define DEFINE_OP(bits, type, stype, name, mnemonic, carry_in)                                                         \
    static inline type name##bits(struct vcpu *c, type v, type w)                                                      \
    {                                                                                                                  \
        uint32_t f = c->arith;                                                                                         \
        __asm__(carry_in mnemonic " %2, %1" SAVE_FLAGS : "+&a"(f), "+r"(v) : "r"(w) : "cc");                           \
        c->arith = f;                                                                                                  \
        return v;                                                                                                      \
    }                                                                                                                  \
    static inline void lock_##name##bits(struct vcpu *c, type *p, type w)                                              \
    {                                                                                                                  \
        uint32_t f = c->arith;                                                                                         \
        __asm__ volatile(carry_in "lock " mnemonic " %2, %1" SAVE_FLAGS                                                \
                         : "+&a"(f), "+m"(*p)                                                                          \
                         : "r"(w)                                                                                      \
                         : "cc", "memory");                                                                            \
        c->arith = f;                                                                                                  \
    }
#define DEFINE_COMPARE(bits, type, stype, name, mnemonic, ...)                                                         \
    static inline void name##bits(struct vcpu *c, type v, type w)                                                      \
    {                                                                                                                  \
        uint32_t f;                                                                                                    \
        __asm__(mnemonic " %2, %1" SAVE_FLAGS : "=&a"(f) : "r"(v), "r"(w) : "cc");                                     \
        c->arith = f;                                                                                                  \
    }
EACH_SIZE(DEFINE_OP, add, "add", "")
EACH_SIZE(DEFINE_OP, or, "or", "")
EACH_SIZE(DEFINE_OP, adc, "adc", LOAD_CF)
EACH_SIZE(DEFINE_OP, sbb, "sbb", LOAD_CF)
EACH_SIZE(DEFINE_OP, and, "and", "")
EACH_SIZE(DEFINE_OP, sub, "sub", "")
EACH_SIZE(DEFINE_OP, xor, "xor", "")
EACH_SIZE(DEFINE_COMPARE, cmp, "cmp", "")
EACH_SIZE(DEFINE_COMPARE, test, "test", "")

/* ---- handlers: operation x form --------------------------------------------------------------------------------------- */
#define DEFINE_FORMS(bits, type, stype, name, ...)                                                                     \
    static struct block *name##bits##_rr(struct vcpu *c, const struct insn *in)                                        \
    {                                                                                                                  \
        wr##bits(c, in->rm, name##bits(c, rd##bits(c, in->rm), rd##bits(c, in->reg)));                                 \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *name##bits##_ri(struct vcpu *c, const struct insn *in)                                        \
    {                                                                                                                  \
        wr##bits(c, in->rm, name##bits(c, rd##bits(c, in->rm), (type)in->imm));                                        \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *name##bits##_rm(struct vcpu *c, const struct insn *in)                                        \
    {                                                                                                                  \
        type v = mem_read##bits(c, in, mem_linear(c, in, bits / 8, ACCESS_READ));                                      \
        wr##bits(c, in->reg, name##bits(c, rd##bits(c, in->reg), v));                                                  \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *name##bits##_mr(struct vcpu *c, const struct insn *in)                                        \
    {                                                                                                                  \
        type *p = rmw_ptr(c, in, bits / 8);                                                                            \
        *p = name##bits(c, *p, rd##bits(c, in->reg));                                                                  \
        rmw_done(c);                                                                                                   \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *name##bits##_mi(struct vcpu *c, const struct insn *in)                                        \
    {                                                                                                                  \
        type *p = rmw_ptr(c, in, bits / 8);                                                                            \
        *p = name##bits(c, *p, (type)in->imm);                                                                         \
        rmw_done(c);                                                                                                   \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *lock_##name##bits##_mr(struct vcpu *c, const struct insn *in)                                 \
    {                                                                                                                  \
        lock_##name##bits(c, rmw_ptr(c, in, bits / 8), rd##bits(c, in->reg));                                          \
        rmw_done(c);                                                                                                   \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *lock_##name##bits##_mi(struct vcpu *c, const struct insn *in)                                 \
    {                                                                                                                  \
        lock_##name##bits(c, rmw_ptr(c, in, bits / 8), (type)in->imm);                                                 \
        rmw_done(c);                                                                                                   \
        return next_insn(c, in);                                                                                       \
    }
#define DEFINE_COMPARE_FORMS(bits, type, stype, name, ...)                                                             \
    static struct block *name##bits##_rr(struct vcpu *c, const struct insn *in)                                        \
    {                                                                                                                  \
        name##bits(c, rd##bits(c, in->rm), rd##bits(c, in->reg));                                                      \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *name##bits##_ri(struct vcpu *c, const struct insn *in)                                        \
    {                                                                                                                  \
        name##bits(c, rd##bits(c, in->rm), (type)in->imm);                                                             \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *name##bits##_rm(struct vcpu *c, const struct insn *in)                                        \
    {                                                                                                                  \
        type v = mem_read##bits(c, in, mem_linear(c, in, bits / 8, ACCESS_READ));                                      \
        name##bits(c, rd##bits(c, in->reg), v);                                                                        \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *name##bits##_mr(struct vcpu *c, const struct insn *in)                                        \
    {                                                                                                                  \
        name##bits(c, mem_read##bits(c, in, mem_linear(c, in, bits / 8, ACCESS_READ)), rd##bits(c, in->reg));          \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *name##bits##_mi(struct vcpu *c, const struct insn *in)                                        \
    {                                                                                                                  \
        name##bits(c, mem_read##bits(c, in, mem_linear(c, in, bits / 8, ACCESS_READ)), (type)in->imm);                 \
        return next_insn(c, in);                                                                                       \
    }
EACH_SIZE(DEFINE_FORMS, add)
EACH_SIZE(DEFINE_FORMS, or)
EACH_SIZE(DEFINE_FORMS, adc)
EACH_SIZE(DEFINE_FORMS, sbb)
EACH_SIZE(DEFINE_FORMS, and)
EACH_SIZE(DEFINE_FORMS, sub)
EACH_SIZE(DEFINE_FORMS, xor)
EACH_SIZE(DEFINE_COMPARE_FORMS, cmp)
EACH_SIZE(DEFINE_COMPARE_FORMS, test)

#define ALL_FORMS(n)                                                                                                   \
    {                                                                                                                  \
        {n##8_rr, n##16_rr, n##32_rr, n##64_rr}, {n##8_rm, n##16_rm, n##32_rm, n##64_rm},                              \
            {n##8_mr, n##16_mr, n##32_mr, n##64_mr}, {n##8_ri, n##16_ri, n##32_ri, n##64_ri},                          \
            {n##8_mi, n##16_mi, n##32_mi, n##64_mi},                                                                   \
    }
#define LOCK_FORMS(n)                                                                                                  \
    {                                                                                                                  \
        [FORM_MR] = {lock_##n##8_mr, lock_##n##16_mr, lock_##n##32_mr, lock_##n##64_mr},                               \
        [FORM_MI] = {lock_##n##8_mi, lock_##n##16_mi, lock_##n##32_mi, lock_##n##64_mi},                               \
    }

insn_fn alu_fn(unsigned op, enum form form, unsigned size, bool lock)
{
    static const insn_fn plain[ALU_OPS][FORMS][4] = {
        ALL_FORMS(add), ALL_FORMS(or),  ALL_FORMS(adc), ALL_FORMS(sbb),  ALL_FORMS(and),
        ALL_FORMS(sub), ALL_FORMS(xor), ALL_FORMS(cmp), ALL_FORMS(test),
    };
    static const insn_fn locked[ALU_OPS][FORMS][4] = {
        LOCK_FORMS(add), LOCK_FORMS(or),  LOCK_FORMS(adc), LOCK_FORMS(sbb),
        LOCK_FORMS(and), LOCK_FORMS(sub), LOCK_FORMS(xor),
    };
    return lock ? locked[op][form][size] : plain[op][form][size];
}

/* ---- INC DEC NOT NEG --------------------------------------------------------------------------------------------------- */
#define SUFFIX8  "b"
#define SUFFIX16 "w"
#define SUFFIX32 "l"
#define SUFFIX64 "q"
#define DEFINE_UNARY(bits, type, stype, name, mnemonic, ...)                                                           \
    static struct block *name##bits##_r(struct vcpu *c, const struct insn *in)                                         \
    {                                                                                                                  \
        uint32_t f = c->arith;                                                                                         \
        type v = rd##bits(c, in->rm);                                                                                  \
        __asm__(LOAD_CF mnemonic " %1" SAVE_FLAGS : "+&a"(f), "+r"(v) : : "cc");                                       \
        c->arith = f;                                                                                                  \
        wr##bits(c, in->rm, v);                                                                                        \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *name##bits##_m(struct vcpu *c, const struct insn *in)                                         \
    {                                                                                                                  \
        type *p = rmw_ptr(c, in, bits / 8), v = *p;                                                                    \
        uint32_t f = c->arith;                                                                                         \
        __asm__(LOAD_CF mnemonic " %1" SAVE_FLAGS : "+&a"(f), "+r"(v) : : "cc");                                       \
        c->arith = f;                                                                                                  \
        *p = v;                                                                                                        \
        rmw_done(c);                                                                                                   \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *lock_##name##bits##_m(struct vcpu *c, const struct insn *in)                                  \
    {                                                                                                                  \
        type *p = rmw_ptr(c, in, bits / 8);                                                                            \
        uint32_t f = c->arith;                                                                                         \
        __asm__ volatile(LOAD_CF "lock " mnemonic SUFFIX##bits " %1" SAVE_FLAGS                                        \
                         : "+&a"(f), "+m"(*p)                                                                          \
                         :                                                                                             \
                         : "cc", "memory");                                                                            \
        c->arith = f;                                                                                                  \
        rmw_done(c);                                                                                                   \
        return next_insn(c, in);                                                                                       \
    }
EACH_SIZE(DEFINE_UNARY, inc, "inc")
EACH_SIZE(DEFINE_UNARY, dec, "dec")
EACH_SIZE(DEFINE_UNARY, neg, "neg")

#define DEFINE_NOT(bits, type, stype, ...)                                                                             \
    static struct block * not ##bits##_r(struct vcpu * c, const struct insn *in)                                       \
    {                                                                                                                  \
        wr##bits(c, in->rm, ~rd##bits(c, in->rm));                                                                     \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block * not ##bits##_m(struct vcpu * c, const struct insn *in)                                       \
    {                                                                                                                  \
        type *p = rmw_ptr(c, in, bits / 8);                                                                            \
        *p = ~*p;                                                                                                      \
        rmw_done(c);                                                                                                   \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *lock_not##bits##_m(struct vcpu *c, const struct insn *in)                                     \
    {                                                                                                                  \
        type *p = rmw_ptr(c, in, bits / 8);                                                                            \
        __atomic_fetch_xor(p, (type)-1, __ATOMIC_SEQ_CST);                                                             \
        rmw_done(c);                                                                                                   \
        return next_insn(c, in);                                                                                       \
    }
EACH_SIZE(DEFINE_NOT)

#define UNARY_SIZES(n, suffix)                                                                                         \
    {                                                                                                                  \
        n##8_##suffix, n##16_##suffix, n##32_##suffix, n##64_##suffix                                                  \
    }
#define UNARY_FORMS(n)                                                                                                 \
    {                                                                                                                  \
        UNARY_SIZES(n, r), UNARY_SIZES(n, m), UNARY_SIZES(lock_##n, m)                                                 \
    }

insn_fn unary_fn(unsigned op, bool mem, unsigned size, bool lock)
{
    static const insn_fn table[UNARY_OPS][3][4] = {UNARY_FORMS(inc), UNARY_FORMS(dec), UNARY_FORMS(not ),
                                                   UNARY_FORMS(neg)};
    return table[op][lock ? 2 : mem][size];
}
