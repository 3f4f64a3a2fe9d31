// SPDX-License-Identifier: GPL-2.0-or-later
/* bind0f.c - handlers of the two-byte opcodes 0F xx (SDM Vol. 2, appendix A, table A-3) and of 0F 38 xx. */
#include "patcher/decode/decode.h"

static bool mandatory_prefix(const struct parts *p)
{
    return p->has66 || p->rep || p->repne;
}

/* ---- groups ------------------------------------------------------------------------------------------------------------------- */
static enum bound group6(struct parts *p)
{
    set_operands(p, p->osize);
    unsigned op = p->reg & 7;
    bool changes = op == 2 || op == 3; /* LLDT LTR */
    return op > 5 ? BOUND_UD : changes ? bind_cold_end(p, cold_group6) : bind_cold(p, cold_group6);
}

/* 0F 01 with a register form of its own for each ModRM byte */
static enum bound group7_register(struct parts *p)
{
    switch (0xc0 | (p->reg & 7) << 3 | (p->rm & 7)) {
    case 0xc1: /* VMCALL */
    case 0xd9: /* VMMCALL */ return bind_cold_end(p, cold_vmcall);
    case 0xca:
    case 0xcb: p->in->aux_op = p->rm & 1; return bind_cold_end(p, cold_clac);
    case 0xd0: return bind_cold(p, cold_xgetbv);
    case 0xd1: return bind_cold_end(p, cold_xsetbv);
    case 0xf8: return p->code == CODE64 ? bind_cold(p, cold_swapgs) : BOUND_UD;
    case 0xf9: return bind_cold(p, cold_rdtscp);
    }
    unsigned op = p->reg & 7;
    return op == 4 || op == 6 ? bind_cold_end(p, cold_group7) : BOUND_UD;
}

static enum bound group7(struct parts *p)
{
    set_operands(p, p->osize);
    if (!p->mem)
        return group7_register(p);
    return (p->reg & 7) == 5 ? BOUND_UD : bind_cold_end(p, cold_group7);
}

static enum bound group15(struct parts *p)
{
    unsigned op = p->reg & 7;
    if (!p->mem) {
        if (p->rep && op < 4) {
            set_operands(p, p->rex_w ? 3 : 2);
            return bind_cold(p, cold_fsgsbase);
        }
        return op >= 5 && !mandatory_prefix(p) ? bind_cold(p, cold_fence) : BOUND_UD;
    }
    if (op == 7 || (op == 6 && p->has66)) /* CLFLUSH CLFLUSHOPT CLWB */
        return p->rep || p->repne || (p->has66 && !cpuid_has_line(p->c, op == 6)) ? BOUND_UD
                                                                                  : bind_cold(p, cold_clflush);
    return BOUND_REPLAY;
}

static enum bound group9(struct parts *p)
{
    unsigned op = p->reg & 7;
    set_operands(p, p->osize);
    if (p->mem && op == 1) {
        p->in->mem_bytes = p->osize == 3 ? 16 : 8;
        return bind_cold(p, cold_cmpxchg8b);
    }
    if (p->mem)
        return BOUND_REPLAY; /* XSAVEC and its kin */
    if (op == 7 && p->rep)
        return cpuid_has_rdpid(p->c) ? bind_cold(p, cold_rdpid) : BOUND_UD;
    p->in->aux_op = op == 7;
    return op >= 6 && cpuid_has_random(p->c, op == 7) ? bind_cold(p, cold_rdrand) : BOUND_UD;
}

/* ---- families ------------------------------------------------------------------------------------------------------------------ */
static enum bound bind_bit(struct parts *p, unsigned op, bool immediate)
{
    set_operands(p, p->osize);
    p->in->aux_op = op;
    if (immediate)
        p->in->flags |= INSN_BIT_IMM;
    return bind_hot(p, bit_fn(p->mem, p->osize));
}

static enum bound bind_scan(struct parts *p)
{
    if (p->rep)
        return BOUND_REPLAY; /* TZCNT LZCNT */
    set_operands(p, p->osize);
    return bind_hot(p, bit_scan_fn(p->opcode, p->osize));
}

static enum bound bind_movx(struct parts *p, bool sign)
{
    unsigned from = p->opcode & 1;
    set_operands(p, p->osize);
    p->in->rm = reg_offset(p, p->rm, from);
    p->in->mem_bytes = 1u << from;
    if (from >= p->osize) { /* 16 to 16 bits: a plain move */
        if (p->mem)
            return bind_hot(p, mov_fn(FORM_RM, 1));
        uint8_t reg = p->in->reg;
        p->in->reg = p->in->rm;
        p->in->rm = reg;
        return bind_hot(p, mov_fn(FORM_RR, 1));
    }
    return bind_hot(p, movx_fn(sign, p->mem, from, p->osize));
}

static enum bound bind_control(struct parts *p, cold_fn fn)
{
    p->in->rm = p->rm * 8;
    return bind_cold_end(p, fn);
}

static enum bound bind_sized(struct parts *p, insn_fn (*pick)(bool mem, unsigned size))
{
    unsigned size = p->opcode & 1 ? p->osize : 0;
    set_operands(p, size);
    return bind_hot(p, pick(p->mem, size));
}

static enum bound bind_double_shift(struct parts *p)
{
    set_operands(p, p->osize);
    return bind_hot(p, shift_double_fn(p->opcode & 8, p->mem, p->osize));
}

static enum bound bind_selector_query(struct parts *p, cold_fn fn)
{
    set_operands(p, p->osize);
    return bind_cold(p, fn);
}

/* ---- rows ------------------------------------------------------------------------------------------------------------------------ */
static enum bound row_00_0f(struct parts *p)
{
    switch (p->opcode) {
    case 0x00: return group6(p);
    case 0x01: return group7(p);
    case 0x02: return bind_selector_query(p, cold_lar);
    case 0x03: return bind_selector_query(p, cold_lsl);
    case 0x05: return bind_cold_end(p, cold_syscall);
    case 0x06: return bind_cold_end(p, cold_clts);
    case 0x07: return bind_cold_end(p, cold_sysret);
    case 0x08:
    case 0x09: return bind_cold(p, cold_invd);
    case 0x0d: return p->mem || !p->amd ? bind_hot(p, nop_fn()) : BOUND_UD; /* PREFETCHW */
    case 0x0e: return BOUND_REPLAY;                                         /* FEMMS */
    default: return BOUND_UD;
    }
}

static enum bound row_10_3f(struct parts *p)
{
    switch (p->opcode) {
    case 0x20: p->in->rm = p->rm * 8; return bind_cold(p, cold_mov_from_cr);
    case 0x21: return bind_control(p, cold_mov_from_dr);
    case 0x22: return bind_control(p, cold_mov_to_cr);
    case 0x23: return bind_control(p, cold_mov_to_dr);
    case 0x30: return bind_cold_end(p, cold_wrmsr);
    case 0x31: return bind_cold(p, cold_rdtsc);
    case 0x32: return bind_cold(p, cold_rdmsr);
    case 0x33: return bind_cold(p, cold_rdpmc);
    case 0x34: return bind_cold_end(p, cold_sysenter);
    case 0x35: return bind_cold_end(p, cold_sysexit);
    case 0x37: return BOUND_UD; /* GETSEC */
    default: return p->opcode >= 0x18 && p->opcode < 0x20 ? bind_hot(p, nop_fn()) : BOUND_REPLAY;
    }
}

static enum bound row_a0_af(struct parts *p)
{
    switch (p->opcode) {
    case 0xa0: return bind_push_seg(p, X86_FS);
    case 0xa1: return bind_pop_seg(p, X86_FS);
    case 0xa2: return bind_cold(p, cold_cpuid);
    case 0xa3: return bind_bit(p, BIT_BT, false);
    case 0xa4:
    case 0xa5:
    case 0xac:
    case 0xad: return bind_double_shift(p);
    case 0xa8: return bind_push_seg(p, X86_GS);
    case 0xa9: return bind_pop_seg(p, X86_GS);
    case 0xab: return bind_bit(p, BIT_BTS, false);
    case 0xae: return group15(p);
    case 0xaf: return bind_mul2(p, false);
    default: return BOUND_UD;
    }
}

static enum bound row_b0_bf(struct parts *p)
{
    switch (p->opcode) {
    case 0xb0:
    case 0xb1: return bind_sized(p, cmpxchg_fn);
    case 0xb2: return bind_load_far(p, X86_SS);
    case 0xb3: return bind_bit(p, BIT_BTR, false);
    case 0xb4: return bind_load_far(p, X86_FS);
    case 0xb5: return bind_load_far(p, X86_GS);
    case 0xb6:
    case 0xb7: return bind_movx(p, false);
    case 0xb8: return p->rep ? BOUND_REPLAY : BOUND_UD; /* POPCNT */
    case 0xba: return (p->reg & 7) < 4 ? BOUND_UD : bind_bit(p, p->reg & 3, true);
    case 0xbb: return bind_bit(p, BIT_BTC, false);
    case 0xbc:
    case 0xbd: return bind_scan(p);
    case 0xbe:
    case 0xbf: return bind_movx(p, true);
    default: return BOUND_UD;
    }
}

static enum bound row_c0_cf(struct parts *p)
{
    switch (p->opcode) {
    case 0xc0:
    case 0xc1: return bind_sized(p, xadd_fn);
    case 0xc3: /* MOVNTI */
        if (!p->mem || mandatory_prefix(p))
            return BOUND_UD;
        set_operands(p, p->rex_w ? 3 : 2);
        return bind_hot(p, mov_fn(FORM_MR, p->rex_w ? 3 : 2));
    case 0xc7: return group9(p);
    }
    if (p->opcode < 0xc8)
        return BOUND_REPLAY;
    set_operands(p, p->osize);
    return bind_hot(p, bswap_fn(p->osize));
}

enum bound bind_map0f(struct parts *p)
{
    switch (p->opcode >> 4) {
    case 0x0: return row_00_0f(p);
    case 0x1:
    case 0x2:
    case 0x3: return row_10_3f(p);
    case 0x4: set_operands(p, p->osize); return bind_hot(p, cmov_fn(p->osize));
    case 0x8: return bind_jcc(p);
    case 0x9: set_operands(p, 0); return bind_hot(p, setcc_fn(p->mem));
    case 0xa: return row_a0_af(p);
    case 0xb: return row_b0_bf(p);
    case 0xc: return row_c0_cf(p);
    case 0xf: return p->opcode == 0xff ? BOUND_UD : BOUND_REPLAY;
    default: return BOUND_REPLAY;
    }
}

enum bound bind_map38(struct parts *p)
{
    set_operands(p, p->osize);
    if (p->opcode == 0x82 && p->has66 && p->mem)
        return bind_cold_end(p, cold_invpcid);
    if ((p->opcode & 0xfe) == 0xf0 && !p->repne) /* MOVBE */
        return p->mem && cpuid_has_movbe(p->c) ? bind_cold(p, cold_movbe) : BOUND_UD;
    return BOUND_REPLAY;
}
