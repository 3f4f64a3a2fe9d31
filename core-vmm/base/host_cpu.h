// SPDX-License-Identifier: GPL-2.0-or-later
/* host_cpu.h - the CPU that this process runs on: what it calls itself, what it has, and what it does where the manuals
 * leave the choice to it or makers differ.  Nothing else executes CPUID or takes a maker for granted.
 *
 * The lowest host is x86-64-v2 of the psABI, with or without XSAVE and AVX. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* EAX, EBX, ECX, EDX of a leaf; zeros above the highest that there is.  Slow (microseconds) in a virtual machine. */
void host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

#define HOST_XCOMPONENTS 20 /* up to AMX's tile data, 18 */
struct host_xcomponent {
    uint32_t offset, bytes; /* in the standard format of the XSAVE area; 0 bytes: not enabled */
    uint32_t align;         /* in the compacted format: 64 or 1 */
};

/* What makers do differently, found by trying (host_quirks.c). */
struct host_quirks {
    /* x87 pointers */
    bool x87_pointers_on_error;  /* XSAVE and FXSAVE store them only with an exception pending */
    bool x87_data_on_error;      /* FDP is set at exceptions only */
    bool x87_fop_on_error;       /* FOP is set at exceptions only */
    bool x87_no_selectors;       /* FCS is stored as 0 */
    bool x87_no_data_selector;   /* FDS is stored as 0 */
    bool x87_selectors_unloaded; /* FLDENV and FRSTOR load FCS and FDS as 0 */
    unsigned fip_bits, fdp_bits; /* of the pointers as FXRSTOR64 loads them, sign-extended; 64: all */
    /* the order of things in an instruction that faults */
    bool cmps_destination_first;       /* CMPS accesses ES:rDI before its source... */
    bool repe_cmpsb_destination_first; /* ...and REPE CMPSB, which some CPUs do in another way */
    bool call_pushes_first;      /* a near CALL to an address that is not canonical has written its return address */
    bool x87_error_before_store; /* an x87 store that meets an unmasked error does not look at its operand's address */
    bool ps2ph_flags_before_store; /* VCVTPS2PH to memory that faults has set flags in MXCSR */
    bool
        gather_spreads_mask; /* a gather that faults has made each element of its mask all ones or zeros, and 0 above */
    bool mmx_before_store;   /* an MMX store that faults has changed to MMX state: TOP is 0... */
    bool mmx_tags_after_store; /* ...though the registers' tags are what they were */
    bool bound_stops_early;    /* BOUND of an index below the lower bound does not read the upper one */
    /* repeated string instructions */
    bool rep_keeps_flags;      /* REP CMPS and SCAS that a fault or trap interrupts have the flags from before them */
    bool rep_extends_count;    /* with 32-bit addresses in 64-bit code RCX is extended before anything can fault... */
    bool rep_extends_pointers; /* ...and what MOVS and STOS have in RSI and RDI */
    /* others */
    bool vectors_unaligned; /* #AC is not raised for operands of 16 bytes and more, nor by VCVTPS2PH and VCVTPH2PS */
    bool maskmov_halves;    /* MASKMOVDQU stores its upper half first, at an address of its own */
    bool xsave_has_ac;      /* XSAVE and XRSTOR of an operand that is not aligned by 4 are #AC where that is checked */
    bool xsave_address_first; /* they check the address (canonical form, segment) before the operand's alignment */
    bool xrstor_reaches_all;  /* XRSTOR accesses the end of the requested components, in use or not */
    bool xinuse_of_all;       /* outside 64-bit mode registers that do not take part count for XSTATE_BV */
    bool sha_unaligned;       /* SHA's operands need no alignment */
    bool rep_sets_rf;         /* the trap between two iterations of a stepped REP STOS has RF set in its frame */
    bool pause_ignores_rex;   /* F3 41 90 is PAUSE, not XCHG R8D, EAX */
    bool flags_by_form;       /* flags that shifts leave undefined differ between a count in CL and an immediate one */
    bool vex_bits_ignored;    /* encodings that VEX and EVEX reserve run instead of being #UD */
    bool segment_end_pages;   /* an access over the end of 4 GiB from base 0 wraps, and faults by page (Intel) */
};

struct host_cpu {
    char vendor[13];    /* as CPUID spells it */
    bool intel, amd;    /* AMD or Hygon; of the others (Zhaoxin, Centaur) it is taken that they follow Intel */
    uint32_t signature; /* leaf 1, EAX */
    unsigned gpa_bits, linear_bits;
    bool bmi2;
    uint64_t xcr0;        /* 0: no XSAVE, or the kernel does not use it */
    uint32_t xsave_bytes; /* of the standard format with all of xcr0; 512 without XSAVE */
    struct host_xcomponent component[HOST_XCOMPONENTS];
    uint32_t mxcsr_mask;
    struct host_quirks quirks;
};

/* Fills in *out.  It takes some hundred microseconds, and meanwhile faults of other threads have no handlers; x87 and
 * vector state are initial afterwards. */
void host_cpu_learn(struct host_cpu *out);
/* Fills in xcr0, xsave_bytes and component only; any time. */
void host_cpu_learn_xsave(struct host_cpu *out);
/* Is the host at least x86-64-v2?  The error names what is missing. */
bool host_cpu_fits(GError **error);

/* host_quirks.c: of host_cpu_learn(), which has filled in the rest */
void host_quirks_learn(struct host_cpu *h);
