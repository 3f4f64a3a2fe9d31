// SPDX-License-Identifier: GPL-2.0-or-later
/* speculation.h - hazards of speculation: what the guest's CPU says of them, and its controls. */
#pragma once
#include "core-vmm/base/cpu_risks.h"
#include "patcher/soft.h"

/* Of the host's CPUID: the same bits for the guest's, where they are offered. */
struct speculation_host {
    uint32_t leaf_7_edx, leaf_7_2_edx, leaf_21_eax;
};

struct speculation {
    bool clears_buffers;        /* VERW does on the host: the guest's has to */
    uint64_t arch_capabilities; /* MSR 10Ah; Intel */
    uint64_t spec_ctrl;         /* valid bits of MSR 48h; 0: no such register */
    bool pred_cmd;              /* MSR 49h is there */
    uint32_t f7_edx, f7_2_edx;  /* Intel: bits for leaf 7 */
    uint32_t f8_ebx;            /* AMD: for leaves 0x80000008 and 0x80000021 */
    uint32_t f21_eax, f21_ecx;
};

void speculation_offer(struct speculation *s, const struct cpu_risks *r, const struct speculation_host *host, bool amd);
const struct speculation *cpuid_speculation(const struct vcpu *c); /* zeros: a model that says nothing of it */

/* The guest's MSRs: false: there is no such one, or not this value. */
bool speculation_read(struct vcpu *c, uint32_t msr, uint64_t *v);
bool speculation_write(struct vcpu *c, uint32_t msr, uint64_t v);
void speculation_follow(struct vcpu *c); /* on the vCPU's thread, when spec_ctrl may have changed */
void speculation_clear(struct vcpu *c);  /* what VERW does beside what it says */
