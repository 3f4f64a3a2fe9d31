// SPDX-License-Identifier: GPL-2.0-or-later
/* misc.c - decimal adjustment, XLAT, BOUND, flag instructions, CMPXCHG8B/16B, and other odds and ends. */
#include "patcher/interp/system.h"
#include "patcher/interp/cold.h"
#include "patcher/interp/hot.h"
#include "patcher/vm.h"
#include <sched.h>
#include <string.h>

static uint8_t *al(struct vcpu *c)
{
    return reg8(c, 0);
}

static uint8_t *ah(struct vcpu *c)
{
    return reg8(c, 1);
}

/* ---- decimal adjustment (SDM Vol. 2) --------------------------------------------------------------------------------- */
/* The adjustment is an addition or subtraction whose flags show, also those that the manuals leave undefined; AF and
 * CF are decimal. */
static void set_flags(struct vcpu *c, uint32_t lahf_seto, bool af, bool cf)
{
    uint8_t binary = RFLAG_SF | RFLAG_ZF | RFLAG_PF;
    c->szapc = (uint8_t)((lahf_seto >> 8 & binary) | (af ? RFLAG_AF : 0) | (cf ? RFLAG_CF : 0) | 2);
    c->of = lahf_seto & 1;
}

static uint32_t adjust_8(uint8_t *v, uint8_t by, bool subtract)
{
    uint32_t f;
    if (subtract)
        __asm__("subb %2, %1; lahf; seto %%al" : "=&a"(f), "+q"(*v) : "q"(by) : "cc");
    else
        __asm__("addb %2, %1; lahf; seto %%al" : "=&a"(f), "+q"(*v) : "q"(by) : "cc");
    return f;
}

static uint32_t adjust_16(uint16_t *v, uint16_t by, bool subtract)
{
    uint32_t f;
    if (subtract)
        __asm__("subw %2, %1; lahf; seto %%al" : "=&a"(f), "+r"(*v) : "r"(by) : "cc");
    else
        __asm__("addw %2, %1; lahf; seto %%al" : "=&a"(f), "+r"(*v) : "r"(by) : "cc");
    return f;
}

static void das_daa(struct vcpu *c, bool subtract)
{
    uint8_t old = *al(c);
    bool low = (old & 15) > 9 || c->szapc & RFLAG_AF, high = old > 0x99 || c->szapc & RFLAG_CF;
    uint32_t f = adjust_8(al(c), (low ? 6 : 0) + (high ? 0x60 : 0), subtract);
    set_flags(c, f, low, high || (subtract && low && old < 6));
}

static void aas_aaa(struct vcpu *c, bool subtract)
{
    bool adjust = (*al(c) & 15) > 9 || c->szapc & RFLAG_AF;
    uint32_t f = adjust_16(reg16(c, 0), adjust ? 0x106 : 0, subtract);
    *al(c) &= 15;
    set_flags(c, f, adjust, adjust);
}

void cold_bcd(struct vcpu *c, const struct insn *in)
{
    if (in->opcode & 0x10)
        aas_aaa(c, in->opcode & 8);
    else
        das_daa(c, in->opcode & 8);
}

void cold_aam(struct vcpu *c, const struct insn *in)
{
    uint8_t base = in->imm;
    if (!base)
        raise_exception(c, EXC_DE);
    *ah(c) = *al(c) / base;
    *al(c) = *al(c) % base;
    set_flags(c, adjust_8(al(c), 0, false), false, false);
}

void cold_aad(struct vcpu *c, const struct insn *in)
{
    uint8_t sum = (uint8_t)(*ah(c) * (uint8_t)in->imm), low = *al(c);
    uint32_t f = adjust_8(&sum, low, false);
    *reg16(c, 0) = sum;
    set_flags(c, f, f >> 8 & RFLAG_AF, f >> 8 & RFLAG_CF);
}

void cold_salc(struct vcpu *c, const struct insn *in)
{
    *al(c) = c->szapc & RFLAG_CF ? 0xff : 0;
}

/* ---- XLAT, BOUND ------------------------------------------------------------------------------------------------------------ */
void cold_xlat(struct vcpu *c, const struct insn *in)
{
    uint64_t mask = in->asize == 8 ? ~0ull : in->asize == 4 ? 0xffffffff : 0xffff;
    uint64_t off = (c->gpr[X86_RBX] + *al(c)) & mask;
    *al(c) = mem_read_slow(c, NULL, seg_linear(c, in->seg, off, 1, ACCESS_READ), 1);
}

void cold_bound(struct vcpu *c, const struct insn *in)
{
    unsigned n = in->osize;
    uint64_t off = mem_offset(c, in);
    uint32_t low = mem_read_slow(c, NULL, seg_linear(c, in->seg, off, n, ACCESS_READ), n);
    uint32_t v = reg_get(c, in->reg, n);
    bool below = n == 2 ? (int16_t)v < (int16_t)low : (int32_t)v < (int32_t)low;
    if (below && c->vm->host.quirks.bound_stops_early)
        raise_exception(c, EXC_BR);
    uint32_t high = mem_read_slow(c, NULL, seg_linear(c, in->seg, (off + n) & in->amask, n, ACCESS_READ), n);
    if (below || (n == 2 ? (int16_t)v > (int16_t)high : (int32_t)v > (int32_t)high))
        raise_exception(c, EXC_BR);
}

/* ---- flags ---------------------------------------------------------------------------------------------------------------------- */
void cold_lahf(struct vcpu *c, const struct insn *in)
{
    if (in->opcode & 1)
        *ah(c) = (c->szapc & 0xd5) | 2;
    else
        c->szapc = (*ah(c) & 0xd5) | 2;
}

void cold_flag(struct vcpu *c, const struct insn *in)
{
    switch (in->opcode) {
    case 0xf5: c->szapc ^= RFLAG_CF; break;
    case 0xf8: c->szapc &= ~RFLAG_CF; break;
    case 0xf9: c->szapc |= RFLAG_CF; break;
    case 0xfc: c->rflags &= ~(uint32_t)RFLAG_DF; break;
    case 0xfd: c->rflags |= RFLAG_DF; break;
    }
}

/* ---- CMPXCHG8B CMPXCHG16B --------------------------------------------------------------------------------------------------------- */
static bool exchange8(struct vcpu *c, const struct insn *in)
{
    uint64_t *p = rmw_ptr(c, in, 8);
    uint64_t expect = (uint32_t)c->gpr[X86_RAX] | c->gpr[X86_RDX] << 32;
    uint64_t v = (uint32_t)c->gpr[X86_RBX] | c->gpr[X86_RCX] << 32;
    bool ok = __atomic_compare_exchange_n(p, &expect, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    rmw_done(c);
    if (!ok) {
        c->gpr[X86_RAX] = (uint32_t)expect;
        c->gpr[X86_RDX] = expect >> 32;
    }
    return ok;
}

static bool exchange16(struct vcpu *c, const struct insn *in)
{
    uint64_t lin = mem_linear(c, in, 16, ACCESS_READ | ACCESS_WRITE);
    if (lin & 15)
        raise_error(c, EXC_GP, 0);
    uint64_t *p = rmw_ptr(c, in, 16), a = c->gpr[X86_RAX], d = c->gpr[X86_RDX];
    bool ok;
    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(ok), "+m"(*(unsigned __int128 *)p), "+a"(a), "+d"(d)
                     : "b"(c->gpr[X86_RBX]), "c"(c->gpr[X86_RCX])
                     : "memory");
    rmw_done(c);
    if (!ok) {
        c->gpr[X86_RAX] = a;
        c->gpr[X86_RDX] = d;
    }
    return ok;
}

void cold_cmpxchg8b(struct vcpu *c, const struct insn *in)
{
    bool ok = in->osize == 8 ? exchange16(c, in) : exchange8(c, in);
    c->szapc = (c->szapc & ~RFLAG_ZF) | (ok ? RFLAG_ZF : 0);
}

/* ---- the rest ------------------------------------------------------------------------------------------------------------------------ */
void cold_clflush(struct vcpu *c, const struct insn *in)
{
    mem_probe(c, NULL, seg_linear(c, in->seg, mem_offset(c, in), 1, ACCESS_READ), 1, ACCESS_READ);
}

/* A vCPU that spins for long may wait for one that this host CPU should be running instead. */
void cold_pause(struct vcpu *c, const struct insn *in)
{
    if (++c->pauses % 256 == 0 && c->vm->cfg->cpus > 1)
        sched_yield();
}

void cold_fence(struct vcpu *c, const struct insn *in)
{
    atomic_thread_fence(memory_order_seq_cst);
}

static uint64_t swap(uint64_t v, unsigned size)
{
    return __builtin_bswap64(v) >> (64 - size * 8);
}

/* 0F 38 F0: load, F1: store */
void cold_movbe(struct vcpu *c, const struct insn *in)
{
    if (in->opcode & 1)
        cold_rm_write(c, in, swap(reg_get(c, in->reg, in->osize), in->osize));
    else
        reg_set(c, in->reg, in->osize, swap(cold_rm_read(c, in), in->osize));
}

/* RDRAND (/6) and RDSEED (/7): from the host's own generator. */
void cold_rdrand(struct vcpu *c, const struct insn *in)
{
    uint64_t v = 0;
    uint8_t ok;
    if (in->aux_op)
        __asm__ volatile("rdseed %0\n\tsetc %1" : "=r"(v), "=qm"(ok) : : "cc");
    else
        __asm__ volatile("rdrand %0\n\tsetc %1" : "=r"(v), "=qm"(ok) : : "cc");
    reg_set(c, in->rm, in->osize, v);
    c->szapc = 2 | (ok ? RFLAG_CF : 0);
    c->of = 0;
}
