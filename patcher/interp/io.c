// SPDX-License-Identifier: GPL-2.0-or-later
/* io.c - IN and OUT, and who may use them (SDM Vol. 1 ch. 19.5). */
#include "patcher/interp/system.h"
#include "patcher/interp/cold.h"
#include "patcher/interp/breakpoints.h"
#include "patcher/vm.h"

void io_check(struct vcpu *c, uint16_t port, unsigned size)
{
    if (real_mode(c) || (!v86_mode(c) && c->cpl <= iopl(c)))
        return;
    /* only 32-bit and 64-bit TSS have a bitmap */
    if (c->tr.attr & X86_ATTR_NULL || !(c->tr.attr & 8) || c->tr.limit < 0x67)
        raise_error(c, EXC_GP, 0);
    unsigned map = sys_read(c, c->tr.base + 0x66, 2), at = map + port / 8;
    if (at + 1 > c->tr.limit)
        raise_error(c, EXC_GP, 0);
    uint16_t bits = sys_read(c, c->tr.base + at, 2);
    if (bits >> (port & 7) & ((1u << size) - 1))
        raise_error(c, EXC_GP, 0);
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
