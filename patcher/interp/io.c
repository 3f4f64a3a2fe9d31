// SPDX-License-Identifier: GPL-2.0-or-later
/* io.c - IN and OUT, and who may use them (SDM Vol. 1 ch. 19.5). */
#include "patcher/interp/system.h"
#include "patcher/interp/cold.h"
#include "patcher/interp/breakpoints.h"
#include "patcher/vm.h"
#include <string.h>

/* only 32-bit and 64-bit TSS have a bitmap */
static bool bitmap_allows(struct vcpu *c, uint16_t port, unsigned size)
{
    if (c->tr.attr & X86_ATTR_NULL || !(c->tr.attr & 8) || c->tr.limit < 0x67)
        return false;
    unsigned map = sys_read(c, c->tr.base + 0x66, 2), at = map + port / 8;
    if (at + 1 > c->tr.limit)
        return false;
    uint16_t bits = sys_read(c, c->tr.base + at, 2);
    return !(bits >> (port & 7) & ((1u << size) - 1));
}

void io_check(struct vcpu *c, uint16_t port, unsigned size)
{
    if (real_mode(c) || (!v86_mode(c) && c->cpl <= iopl(c)))
        return;
    if (!bitmap_allows(c, port, size) && !machine_port_any_ring(outside(c), port, size))
        raise_error(c, EXC_GP, 0);
}

/* Registers of 32-bit code keep their upper halves. */
void io_registers(struct vcpu *c, uint64_t gpr[8], bool set)
{
    const uint64_t kept =
        c->string_io ? 1 << X86_RSP | 1 << X86_RCX | 1 << X86_RDX | 1 << X86_RSI | 1 << X86_RDI : 1 << X86_RSP;
    const uint64_t mask = code64(c) ? UINT64_MAX : UINT32_MAX;
    if (!set)
        memcpy(gpr, c->gpr, 8 * sizeof *gpr);
    for (unsigned n = 0; set && n < 8; n++)
        if (!(kept >> n & 1))
            c->gpr[n] = (c->gpr[n] & ~mask) | (gpr[n] & mask);
}

static uint16_t port_of(const struct vcpu *c, const struct insn *in)
{
    return in->opcode & 8 ? c->gpr[X86_RDX] : in->imm & 0xff;
}

void cold_in(struct vcpu *c, const struct insn *in)
{
    uint16_t port = port_of(c, in);
    io_check(c, port, in->osize);
    debug_io_access(c, port, in->osize);
    reg_set(c, X86_RAX * 8, in->osize, machine_in(outside(c), c->index, port, in->osize));
}

void cold_out(struct vcpu *c, const struct insn *in)
{
    uint16_t port = port_of(c, in);
    io_check(c, port, in->osize);
    debug_io_access(c, port, in->osize);
    machine_out(outside(c), c->index, port, in->osize, reg_get(c, X86_RAX * 8, in->osize));
}
