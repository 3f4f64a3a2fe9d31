// SPDX-License-Identifier: GPL-2.0-or-later
/* x86_state.c - a processor as RESET leaves it (SDM Vol. 3, table 10-1). */
#include "core-vmm/api/x86_state.h"
#include <string.h>

static struct x86_seg real_mode_segment(uint16_t selector, uint64_t base, uint16_t type)
{
    return (struct x86_seg){.base = base,
                            .limit = 0xffff,
                            .selector = selector,
                            .attr = type | X86_ATTR_P | (type == 3 || type == 0xb ? X86_ATTR_S : 0)};
}

void x86_state_reset(struct x86_state *s, bool bootstrap_processor)
{
    memset(s, 0, sizeof *s);
    s->rip = 0xfff0;
    s->rflags = 2;
    s->gpr[X86_RDX] = 0x600; /* family 6 */
    for (int i = 0; i < X86_SEGS; i++)
        s->seg[i] = real_mode_segment(0, 0, 3);
    s->seg[X86_CS] = real_mode_segment(0xf000, 0xffff0000, 0xb);
    s->ldtr = real_mode_segment(0, 0, 2);
    s->tr = (struct x86_seg){.limit = 0xffff, .attr = X86_ATTR_P | 0xb};
    s->gdtr.limit = s->idtr.limit = 0xffff;
    s->cr0 = 0x60000010;
    s->xcr0 = 1;
    s->dr[6] = 0xffff0ff0;
    s->dr[7] = 0x400;
    s->pat = 0x0007040600070406;
    s->misc_enable = 1;
    s->apic_base = 0xfee00000 | 1 << 11 | (bootstrap_processor ? 1 << 8 : 0);
    s->run_state = bootstrap_processor ? X86_RUNNING : X86_WAIT_SIPI;
    uint16_t fcw = 0x40;
    uint32_t mxcsr = 0x1f80;
    memcpy(s->xsave, &fcw, sizeof fcw);
    s->xsave[4] = 0xff; /* abridged tag: after RESET all registers hold +0.0 */
    memcpy(s->xsave + 24, &mxcsr, sizeof mxcsr);
    uint64_t in_use = 1;
    memcpy(s->xsave + 512, &in_use, sizeof in_use);
}
