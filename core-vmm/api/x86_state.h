// SPDX-License-Identifier: GPL-2.0-or-later
/* The architectural state of one x86 CPU: plain data, the same for every engine, so that what was
 * saved under KVM resumes under the software engine and back.  Names follow the Intel SDM / AMD APM. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { X86_RAX, X86_RCX, X86_RDX, X86_RBX, X86_RSP, X86_RBP, X86_RSI, X86_RDI };
enum { X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS, X86_SEGS };

/* A segment register with its hidden part. */
struct x86_seg {
    uint64_t base;
    uint32_t limit; /* in bytes, after granularity: the last valid offset */
    uint16_t selector;
    uint16_t attr; /* descriptor bits 40-47 in bits 0-7, bits 52-55 in bits 12-15 (the VMX access-rights layout) */
};
#define X86_ATTR_TYPE 0x000f
#define X86_ATTR_S    0x0010
#define X86_ATTR_DPL  0x0060 /* shift 5 */
#define X86_ATTR_P    0x0080
#define X86_ATTR_AVL  0x1000
#define X86_ATTR_L    0x2000
#define X86_ATTR_DB   0x4000
#define X86_ATTR_G    0x8000
#define X86_ATTR_NULL 0x0100 /* the selector was null: the segment is unusable */

struct x86_table {
    uint64_t base;
    uint16_t limit;
};

enum x86_run_state { X86_RUNNING, X86_HALTED, X86_WAIT_SIPI };

/* An event whose delivery was begun and not finished (KVM's "injected"); vector is valid if pending.  NMIs are blocked only
 * when that of one is finished. */
struct x86_event {
    bool pending, has_error, soft /* INT n, INT3, INTO */;
    uint8_t vector;
    uint32_t error;
};

#define X86_XSAVE_BYTES   4096
#define X86_MTRR_VARIABLE 8

struct x86_state {
    uint64_t gpr[16], rip, rflags;
    struct x86_seg seg[X86_SEGS], ldtr, tr;
    struct x86_table gdtr, idtr;
    uint64_t cr0, cr2, cr3, cr4, cr8, xcr0, efer, dr[8]; /* dr[4], dr[5] unused */
    /* model-specific registers, by the names of the SDM */
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base, tsc_aux;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t pat, misc_enable, spec_ctrl, xss;
    uint64_t mtrr_def_type, mtrr_fixed[11], mtrr_base[X86_MTRR_VARIABLE], mtrr_mask[X86_MTRR_VARIABLE];
    uint64_t tsc;        /* the guest's time stamp counter at the moment of get_state; set_state leaves it alone */
    uint64_t tsc_adjust; /* how far it is ahead of the machine's: all vCPUs with the same value show the same counter */
    uint64_t apic_base;
    enum x86_run_state run_state;
    bool sti_shadow, mov_ss_shadow; /* interrupts held off for one instruction */
    bool nmi_pending, nmi_blocked;
    bool init_pending, sipi_pending; /* signals that came and are still to be taken; set_state only adds them */
    uint8_t sipi_vector;
    struct x86_event event;
    uint8_t xsave[X86_XSAVE_BYTES]; /* standard (not compacted) XSAVE layout */
};

/* The state after RESET# (SDM Vol. 3, table "IA-32 and Intel 64 Processor States Following Power-up"). */
void x86_state_reset(struct x86_state *s, bool bootstrap_processor);
