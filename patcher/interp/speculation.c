// SPDX-License-Identifier: GPL-2.0-or-later
/* speculation.c - what the guest's CPU says of hazards of speculation, and the controls that it has against them.
 *
 * A guest pays for every hazard that it believes in, so the right answer matters as much as the safe one.  A bit that says
 * "not so here" is given for one of two reasons:
 *
 * - The engine is made so, on every host.  Page tables are walked in software and guest memory has one permission on the
 *   host: no load of the guest runs ahead of a permission of the host's (RDCL), no virtual machine is entered (L1D flush,
 *   PBRSB), changed page sizes are nothing to the host's TLB (PSCHANGE_MC).  There are no transactions (TAA), no device
 *   registers of the host (MMIO stale data), no gathers, for these go element by element (GDS).  A guest's RET becomes a
 *   jump, and its code lies at other addresses than on the host: nothing about predicted returns or the alignment of
 *   branches, and nothing that a guest does to its returns, carries over (BTC, SRSO, ITS).
 * - The host's kernel says that its CPU does not have the hazard.
 *
 * Controls of branches (SPEC_CTRL, IBRS_ALL) are offered where the host has them, and keep what is written and do nothing,
 * for guest user and guest kernel run at one privilege of one process, which no such control of the host's tells apart;
 * docs/ENGINE.md says what remains.  With them comes BHI_DIS_S, whether the host has it or not: it takes the place of a
 * loop on every system call that clears the branch history, which guards only what IBRS has separated.  VERW and
 * SSBD do what they say: they work from user mode, by VERW and by prctl.
 *
 * SDM Vol. 4, IA32_ARCH_CAPABILITIES, IA32_SPEC_CTRL; APM Vol. 3, CPUID 8000_0008 and 8000_0021. */
#include "patcher/interp/speculation.h"
#include "patcher/interp/system.h"
#include "patcher/vm.h"
#include <sys/prctl.h>
#include <linux/prctl.h>

#define BIT(n) (1ull << (n))

enum { MSR_SPEC_CTRL = 0x48, MSR_PRED_CMD = 0x49, MSR_ARCH_CAPABILITIES = 0x10a };

/* IA32_ARCH_CAPABILITIES */
#define RDCL_NO        BIT(0)
#define IBRS_ALL       BIT(1)
#define SKIP_L1DFL     BIT(3)
#define SSB_NO         BIT(4)
#define MDS_NO         BIT(5)
#define PSCHANGE_MC_NO BIT(6)
#define TAA_NO         BIT(8)
#define SBDR_SSDP_NO   BIT(13)
#define FBSDP_NO       BIT(14)
#define PSDP_NO        BIT(15)
#define BHI_NO         BIT(20)
#define PBRSB_NO       BIT(24)
#define GDS_NO         BIT(26)
#define RFDS_NO        BIT(27)
#define RFDS_CLEAR     BIT(28)
#define ITS_NO         BIT(62)
#define BY_ENGINE                                                                                                      \
    (RDCL_NO | SKIP_L1DFL | PSCHANGE_MC_NO | TAA_NO | SBDR_SSDP_NO | FBSDP_NO | PSDP_NO | PBRSB_NO | GDS_NO | ITS_NO)

/* IA32_SPEC_CTRL */
#define SPEC_IBRS      BIT(0)
#define SPEC_STIBP     BIT(1)
#define SPEC_SSBD      BIT(2)
#define SPEC_BHI_DIS_S BIT(10)

/* CPUID */
#define F7_MD_CLEAR    BIT(10)
#define F7_SPEC_CTRL   BIT(26)
#define F7_STIBP       BIT(27)
#define F7_ARCH_CAP    BIT(29)
#define F7_SSBD        BIT(31)
#define F7_2_BHI_CTRL  BIT(4)
#define F7_2_MCDT_NO   BIT(5) /* data do not decide how long instructions of constant time take */
#define F8_SSBD        BIT(24)
#define F8_SSB_NO      BIT(26)
#define F8_BTC_NO      BIT(29)
#define F21_VERW_CLEAR BIT(5)
#define F21_AUTO_IBRS  BIT(8)
#define F21_SRSO_NO    BIT(29)
#define F21_TSA_SQ_NO  BIT(1)
#define F21_TSA_L1_NO  BIT(2)

static void offer_intel(struct speculation *s, const struct cpu_risks *r, const struct speculation_host *host)
{
    bool ibrs = r->ibrs || host->leaf_7_edx & F7_SPEC_CTRL; /* whatever the kernel shows of it */
    s->arch_capabilities = BY_ENGINE | (r->ibrs_all ? IBRS_ALL : 0) | (r->no_ssb ? SSB_NO : 0) |
                           (r->no_mds ? MDS_NO : 0) | (r->no_bhi ? BHI_NO : 0) |
                           (r->no_rfds      ? RFDS_NO
                            : r->rfds_clear ? RFDS_CLEAR
                                            : 0);
    s->f7_edx = F7_ARCH_CAP | (r->no_mds ? 0 : host->leaf_7_edx & F7_MD_CLEAR) | (ibrs ? F7_SPEC_CTRL | F7_STIBP : 0) |
                (r->ssb_prctl ? F7_SSBD : 0);
    s->f7_2_edx = (host->leaf_7_2_edx & F7_2_MCDT_NO) | (ibrs ? F7_2_BHI_CTRL : 0);
    s->pred_cmd = ibrs;
    s->spec_ctrl = (ibrs ? SPEC_IBRS | SPEC_STIBP : 0) | (s->f7_2_edx & F7_2_BHI_CTRL ? SPEC_BHI_DIS_S : 0);
}

static void offer_amd(struct speculation *s, const struct cpu_risks *r, const struct speculation_host *host)
{
    s->f8_ebx = F8_BTC_NO | (r->no_ssb ? F8_SSB_NO : 0) | (r->ssb_prctl ? F8_SSBD : 0);
    s->f21_eax = F21_SRSO_NO | (r->ibrs_all ? F21_AUTO_IBRS : 0) | (r->no_tsa ? 0 : host->leaf_21_eax & F21_VERW_CLEAR);
    s->f21_ecx = r->no_tsa ? F21_TSA_SQ_NO | F21_TSA_L1_NO : 0;
}

void speculation_offer(struct speculation *s, const struct cpu_risks *r, const struct speculation_host *host, bool amd)
{
    *s = (struct speculation){0};
    s->clears_buffers = (!r->no_mds && host->leaf_7_edx & F7_MD_CLEAR) || (!r->no_rfds && r->rfds_clear) ||
                        (!r->no_tsa && host->leaf_21_eax & F21_VERW_CLEAR);
    if (amd)
        offer_amd(s, r, host);
    else
        offer_intel(s, r, host);
    s->spec_ctrl |= r->ssb_prctl ? SPEC_SSBD : 0;
}

bool speculation_read(struct vcpu *c, uint32_t msr, uint64_t *v)
{
    const struct speculation *s = cpuid_speculation(c);
    if (msr == MSR_SPEC_CTRL && s->spec_ctrl)
        *v = c->spec_ctrl;
    else if (msr == MSR_ARCH_CAPABILITIES && s->arch_capabilities)
        *v = s->arch_capabilities;
    else
        return false;
    return true;
}

bool speculation_write(struct vcpu *c, uint32_t msr, uint64_t v)
{
    const struct speculation *s = cpuid_speculation(c);
    if (msr == MSR_PRED_CMD)
        return s->pred_cmd && v <= 1;
    if (msr != MSR_SPEC_CTRL || !s->spec_ctrl || v & ~s->spec_ctrl)
        return false;
    c->spec_ctrl = v;
    speculation_follow(c);
    return true;
}

/* A thread that may not ask keeps what it has: then the host's kernel has decided. */
void speculation_follow(struct vcpu *c)
{
    bool wait = c->spec_ctrl & cpuid_speculation(c)->spec_ctrl & SPEC_SSBD;
    if (likely(wait == c->loads_wait))
        return;
    prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, wait ? PR_SPEC_DISABLE : PR_SPEC_ENABLE, 0, 0);
    c->loads_wait = wait;
}

/* With a writable segment and an operand in memory: other forms need not clear. */
void speculation_clear(struct vcpu *c)
{
    uint16_t data;
    if (!cpuid_speculation(c)->clears_buffers)
        return;
    __asm__ volatile("mov %%ss, %0\n\tverw %0" : "=m"(data) : : "cc", "memory");
}
