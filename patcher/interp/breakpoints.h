// SPDX-License-Identifier: GPL-2.0-or-later
/* breakpoints.h - debug registers: breakpoints on data, I/O and instructions (SDM Vol. 3 ch. 17.2). */
#pragma once
#include "patcher/soft.h"

enum { DR6_BD = 1 << 13, DR6_BS = 1 << 14, DR6_BT = 1 << 15, DR6_FIXED = 0xffff0ff0u & ~(7u << 13) };
enum { DR7_GD = 1 << 13, DR7_FIXED = 1 << 10 };

static inline bool debug_any(const struct vcpu *c) /* some breakpoint is enabled */
{
    return c->dr[7] & 0xff;
}
bool debug_data_any(const struct vcpu *c); /* some data breakpoint is */
/* Note hits in c->pending_dr6; the trap comes after the instruction. */
void debug_data_access(struct vcpu *c, uint64_t lin, unsigned size, bool write);
void debug_io_access(struct vcpu *c, uint16_t port, unsigned size);
uint64_t debug_fetch_hits(const struct vcpu *c, uint64_t lin); /* DR6 bits */
