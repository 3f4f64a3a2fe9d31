// SPDX-License-Identifier: GPL-2.0-or-later
/* control.c - near branches, and PUSH/POP on flat stacks: the hot part of control flow.  What has segments or odd
 * sizes in it is in stack.c and far.c. */
#include "patcher/interp/hot.h"
#include "patcher/vm.h"

/* Go to ip from the branch in, which remembers the block it led to. */
static inline struct block *jump_to(struct vcpu *c, const struct insn *in, uint64_t ip)
{
    struct block *r = in->aux;
    if (unlikely(ip > c->code_limit)) {
        sync_ip(c, in);
        raise_error(c, EXC_GP, 0);
    }
    c->rip = ip;
    c->insns += in->number + 1;
    if (likely(r && code_is_at(c, r, code_linear(c, ip))))
        return r;
    c->link = in;
    return NULL;
}

static inline struct block *jump_indirect(struct vcpu *c, const struct insn *in, uint64_t ip)
{
    c->rip = ip;
    c->insns += in->number + 1;
    return NULL;
}

static inline void check_target(struct vcpu *c, const struct insn *in, uint64_t ip)
{
    if (unlikely(code64(c) ? !canonical(ip) : ip > c->code_limit)) {
        sync_ip(c, in);
        raise_error(c, EXC_GP, 0);
    }
}

struct block *exec_fallthrough(struct vcpu *c, const struct insn *in)
{
    struct block *r = in->aux;
    c->rip = c->gpr[REG_BLOCK_IP] + in->ip;
    c->insns += in->number;
    if (likely(r && code_is_at(c, r, code_linear(c, c->rip))))
        return r;
    c->link = in;
    return NULL;
}

static inline uint64_t target(struct vcpu *c, const struct insn *in)
{
    return (c->gpr[REG_BLOCK_IP] + in->imm) & in->amask;
}

#define DEFINE_JCC(cc)                                                                                                 \
    static struct block *jcc_##cc(struct vcpu *c, const struct insn *in)                                               \
    {                                                                                                                  \
        return condition(c, cc) ? jump_to(c, in, target(c, in)) : next_insn(c, in);                                    \
    }
DEFINE_JCC(0)
DEFINE_JCC(1)
DEFINE_JCC(2)
DEFINE_JCC(3)
DEFINE_JCC(4)
DEFINE_JCC(5)
DEFINE_JCC(6)
DEFINE_JCC(7)
DEFINE_JCC(8)
DEFINE_JCC(9)
DEFINE_JCC(10)
DEFINE_JCC(11)
DEFINE_JCC(12)
DEFINE_JCC(13)
DEFINE_JCC(14)
DEFINE_JCC(15)

insn_fn jcc_fn(unsigned cc)
{
    static const insn_fn table[16] = {jcc_0, jcc_1, jcc_2,  jcc_3,  jcc_4,  jcc_5,  jcc_6,  jcc_7,
                                      jcc_8, jcc_9, jcc_10, jcc_11, jcc_12, jcc_13, jcc_14, jcc_15};
    return table[cc];
}

static struct block *jmp(struct vcpu *c, const struct insn *in)
{
    return jump_to(c, in, target(c, in));
}

insn_fn jmp_fn(void)
{
    return jmp;
}

/* LOOPNE LOOPE LOOP JCXZ: opcodes e0-e3, the count in CX, ECX or RCX by address size */
static struct block *loop(struct vcpu *c, const struct insn *in)
{
    uint64_t mask = in->asize == 8 ? ~0ull : in->asize == 4 ? 0xffffffff : 0xffff;
    uint64_t n = c->gpr[X86_RCX] & mask;
    bool zf = c->szapc & 0x40, go;
    if (in->opcode == 0xe3)
        return n ? next_insn(c, in) : jump_to(c, in, target(c, in));
    n = (n - 1) & mask;
    go = n && (in->opcode == 0xe2 || zf == (in->opcode == 0xe1));
    if (go)
        check_target(c, in, target(c, in));
    reg_set(c, X86_RCX * 8, in->asize, n);
    return go ? jump_to(c, in, target(c, in)) : next_insn(c, in);
}

insn_fn loop_fn(void)
{
    return loop;
}

/* ---- flat stacks: 64-bit code, or 32-bit code whose SS spans all addresses ------------------------------------------- */
#define DEFINE_STACK(mode, bits, type, ptype)                                                                          \
    static inline void push##mode##_##bits(struct vcpu *c, const struct insn *in, type v)                              \
    {                                                                                                                  \
        ptype sp = (ptype)c->gpr[X86_RSP] - bits / 8;                                                                  \
        stack_write##bits(c, in, sp, v);                                                                               \
        c->gpr[X86_RSP] = sp;                                                                                          \
    }                                                                                                                  \
    static struct block *push##mode##_##bits##_r(struct vcpu *c, const struct insn *in)                                \
    {                                                                                                                  \
        push##mode##_##bits(c, in, rm_read##bits(c, in));                                                              \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *push##mode##_##bits##_i(struct vcpu *c, const struct insn *in)                                \
    {                                                                                                                  \
        push##mode##_##bits(c, in, in->imm);                                                                           \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *pop##mode##_##bits##_r(struct vcpu *c, const struct insn *in)                                 \
    {                                                                                                                  \
        ptype sp = c->gpr[X86_RSP];                                                                                    \
        type v = stack_read##bits(c, in, sp);                                                                          \
        c->gpr[X86_RSP] = (ptype)(sp + bits / 8);                                                                      \
        wr##bits(c, in->rm, v);                                                                                        \
        return next_insn(c, in);                                                                                       \
    }                                                                                                                  \
    static struct block *leave##mode##_##bits(struct vcpu *c, const struct insn *in)                                   \
    {                                                                                                                  \
        ptype bp = c->gpr[X86_RBP];                                                                                    \
        type v = stack_read##bits(c, in, bp);                                                                          \
        c->gpr[X86_RSP] = (ptype)(bp + bits / 8);                                                                      \
        wr##bits(c, X86_RBP * 8, v);                                                                                   \
        return next_insn(c, in);                                                                                       \
    }

/* The stack's own fault is #SS, whatever segment a memory operand of the same instruction has: the slow path gets a
 * copy of the instruction that says so. */
#define DEFINE_STACK_ACCESS(bits, type)                                                                                \
    static type stack_read##bits##_slow(struct vcpu *c, const struct insn *in, uint64_t lin)                           \
    {                                                                                                                  \
        struct insn on_stack = *in;                                                                                    \
        on_stack.seg = X86_SS;                                                                                         \
        on_stack.flags &= ~INSN_SEGMENTED;                                                                             \
        return mem_read_slow(c, &on_stack, lin, bits / 8);                                                             \
    }                                                                                                                  \
    static void stack_write##bits##_slow(struct vcpu *c, const struct insn *in, uint64_t lin, type v)                  \
    {                                                                                                                  \
        struct insn on_stack = *in;                                                                                    \
        on_stack.seg = X86_SS;                                                                                         \
        on_stack.flags &= ~INSN_SEGMENTED;                                                                             \
        mem_write_slow(c, &on_stack, lin, bits / 8, v);                                                                \
    }                                                                                                                  \
    static inline type stack_read##bits(struct vcpu *c, const struct insn *in, uint64_t lin)                           \
    {                                                                                                                  \
        const struct tlb_entry *e = tlb_slot(c, lin);                                                                  \
        if (likely(tlb_hit(c, e->read, lin, bits / 8)))                                                                \
            return *(const type *)(lin + e->addend);                                                                   \
        return stack_read##bits##_slow(c, in, lin);                                                                    \
    }                                                                                                                  \
    static inline void stack_write##bits(struct vcpu *c, const struct insn *in, uint64_t lin, type v)                  \
    {                                                                                                                  \
        const struct tlb_entry *e = tlb_slot(c, lin);                                                                  \
        if (likely(tlb_hit(c, e->write, lin, bits / 8)))                                                               \
            *(type *)(lin + e->addend) = v;                                                                            \
        else                                                                                                           \
            stack_write##bits##_slow(c, in, lin, v);                                                                   \
    }
DEFINE_STACK_ACCESS(16, uint16_t)
DEFINE_STACK_ACCESS(32, uint32_t)
DEFINE_STACK_ACCESS(64, uint64_t)
DEFINE_STACK(32, 16, uint16_t, uint32_t)
DEFINE_STACK(32, 32, uint32_t, uint32_t)
DEFINE_STACK(64, 16, uint16_t, uint64_t)
DEFINE_STACK(64, 64, uint64_t, uint64_t)

insn_fn push_fn(unsigned mode, unsigned size, bool immediate)
{
    static const insn_fn table[2][2][4] = {
        {{NULL, push32_16_r, push32_32_r}, {NULL, push32_16_i, push32_32_i}},
        {{NULL, push64_16_r, NULL, push64_64_r}, {NULL, push64_16_i, NULL, push64_64_i}},
    };
    return table[mode == CODE64][immediate][size];
}

insn_fn pop_fn(unsigned mode, unsigned size)
{
    static const insn_fn table[2][4] = {{NULL, pop32_16_r, pop32_32_r}, {NULL, pop64_16_r, NULL, pop64_64_r}};
    return table[mode == CODE64][size];
}

insn_fn leave_fn(unsigned mode, unsigned size)
{
    static const insn_fn table[2][4] = {{NULL, leave32_16, leave32_32}, {NULL, leave64_16, NULL, leave64_64}};
    return table[mode == CODE64][size];
}

/* The stack's faults come before the target's. */
static void check_call(struct vcpu *c, const struct insn *in, uint64_t to, uint64_t sp, unsigned bytes)
{
    if (likely(code64(c) ? canonical(to) : to <= c->code_limit))
        return;
    struct insn on_stack = *in;
    on_stack.seg = X86_SS;
    on_stack.flags &= ~INSN_SEGMENTED;
    if (c->vm->host.quirks.call_pushes_first)
        mem_write_slow(c, &on_stack, sp, bytes, c->gpr[REG_BLOCK_IP] + in->ip + in->len);
    else
        mem_probe(c, &on_stack, sp, bytes, ACCESS_WRITE);
    check_target(c, in, to);
}

#define DEFINE_CALLS(mode, bits)                                                                                       \
    static struct block *call##mode(struct vcpu *c, const struct insn *in)                                             \
    {                                                                                                                  \
        uint64_t to = target(c, in);                                                                                   \
        check_call(c, in, to, (uint##mode##_t)(c->gpr[X86_RSP] - bits / 8), bits / 8);                                 \
        push##mode##_##bits(c, in, c->gpr[REG_BLOCK_IP] + in->ip + in->len);                                           \
        return jump_to(c, in, to);                                                                                     \
    }                                                                                                                  \
    static struct block *call##mode##_rm(struct vcpu *c, const struct insn *in)                                        \
    {                                                                                                                  \
        uint64_t to = rm_read##bits(c, in);                                                                            \
        check_call(c, in, to, (uint##mode##_t)(c->gpr[X86_RSP] - bits / 8), bits / 8);                                 \
        push##mode##_##bits(c, in, c->gpr[REG_BLOCK_IP] + in->ip + in->len);                                           \
        return jump_indirect(c, in, to);                                                                               \
    }                                                                                                                  \
    static struct block *jmp##mode##_rm(struct vcpu *c, const struct insn *in)                                         \
    {                                                                                                                  \
        uint64_t to = rm_read##bits(c, in);                                                                            \
        check_target(c, in, to);                                                                                       \
        return jump_indirect(c, in, to);                                                                               \
    }                                                                                                                  \
    static struct block *ret##mode(struct vcpu *c, const struct insn *in)                                              \
    {                                                                                                                  \
        uint##mode##_t sp = c->gpr[X86_RSP];                                                                           \
        uint64_t to = stack_read##bits(c, in, sp);                                                                     \
        check_target(c, in, to);                                                                                       \
        c->gpr[X86_RSP] = (uint##mode##_t)(sp + bits / 8 + in->imm);                                                   \
        return jump_indirect(c, in, to);                                                                               \
    }
DEFINE_CALLS(32, 32)
DEFINE_CALLS(64, 64)

static bool native_size(unsigned mode, unsigned size)
{
    return size == (mode == CODE64 ? 3 : 2);
}

insn_fn call_fn(unsigned mode, unsigned size)
{
    return !native_size(mode, size) ? NULL : mode == CODE64 ? call64 : call32;
}

insn_fn call_rm_fn(unsigned mode, unsigned size)
{
    return !native_size(mode, size) ? NULL : mode == CODE64 ? call64_rm : call32_rm;
}

insn_fn jmp_rm_fn(unsigned mode, unsigned size)
{
    return !native_size(mode, size) ? NULL : mode == CODE64 ? jmp64_rm : jmp32_rm;
}

insn_fn ret_fn(unsigned mode, unsigned size)
{
    return !native_size(mode, size) ? NULL : mode == CODE64 ? ret64 : ret32;
}
