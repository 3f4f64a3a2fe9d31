// SPDX-License-Identifier: GPL-2.0-or-later
/* replay.h - native replay: data-processing instructions that have no meaning in C here.  The decoder offers every
 * such instruction to replay_bind(); it prepares a stub with the same opcode and returns the cold handler that runs it,
 * or NULL if the CPU has no such instruction (then it is #UD).
 *
 * The handler finds its stub in in->imm (free for replay to use; the instruction's own immediate is in its bytes). It
 * - checks CR0.EM/TS, CR4.OSFXSR/OSXSAVE, XCR0 (#UD, #NM) at run time;
 * - gets the memory operand's linear address by mem_linear(c, in, in->mem_bytes, access), reads it with
 *   mem_read_bytes(), writes with mem_write_bytes() (mem_probe() first where the write comes after a change of state);
 * - raises #MF, #XM, #AC, #GP (misaligned SSE operand) itself, with c->rip already at the instruction.
 * FXSAVE FXRSTOR XSAVE* XRSTOR* and all x87 instructions are bound here too. */
#pragma once
#include "patcher/soft.h"

enum replay_encoding { REPLAY_LEGACY, REPLAY_3DNOW, REPLAY_VEX, REPLAY_EVEX, REPLAY_XOP };
struct replay_info {
    uint8_t raw[16];
    uint8_t len;
    enum replay_encoding encoding;
    uint8_t map; /* 0, 1 (0f), 2 (0f38), 3 (0f3a), ...: Zydis' numbering */
    uint8_t opcode;
    uint8_t vector_bytes; /* vector length: 0, 16, 32, 64 */
    bool has_modrm;
    uint8_t modrm_at; /* offset of ModRM in raw */
    uint8_t disp_at, disp_bytes, imm_at, imm_bytes;
    bool memory;        /* ModRM names memory (also filled into struct insn: base, index, scale, disp, seg) */
    bool vsib;          /* gather, scatter: index is a vector register */
    bool hidden_memory; /* memory not named by ModRM: MASKMOVQ and the like */
    bool mem_reads, mem_writes;
    uint16_t mem_bytes;        /* 0: not known (XSAVE) */
    uint8_t broadcast;         /* elements made of the memory operand, if it is an embedded broadcast (EVEX.b) */
    uint8_t mem_element_bytes; /* of the memory operand, as vector instructions see it */
    /* general registers touched, bit n = register n, explicit and hidden; not those that only address memory */
    bool flags;         /* reads or writes arithmetic flags */
    bool whole_operand; /* read as a whole, whatever an opmask says */
    uint64_t reads, writes;
    const char *mnemonic; /* lower case, static */
    const char *isa_set;  /* Zydis' name of the ISA set, e.g. "AVX2", "SSE4", "X87"; static */
};

bool replay_new(struct vcpu *c, GError **error); /* at vcpu_new */
void replay_free(struct vcpu *c);
cold_fn replay_bind(struct vcpu *c, struct insn *in, const struct replay_info *info);

struct stub;
/* The stub of an instruction that does nothing but run it if its whole memory operand is at hand, or NULL. */
const struct stub *replay_plain_stub(const struct insn *in);
bool replay_masked(const struct insn *in); /* its operand may be accessed in part only, under a mask */

/* FPU state: c->xsave must be current before get_state and is taken over after set_state and RESET/INIT. */
void fpu_reset(struct vcpu *c, bool init); /* init: INIT keeps the vector state */
void fpu_sync(struct vcpu *c);             /* guest vector state -> c->xsave */
void fpu_load(struct vcpu *c);             /* c->xsave was replaced */
/* Around code of ours that may use vector registers (anything from libc, GLib, devices), while state is live in the
 * host's registers.  Tier 1 keeps nothing live between instructions: these are for the translator. */
void fpu_leave(struct vcpu *c);
/* Does an unmasked x87 exception wait (WAIT, and before most x87 instructions)? */
bool fpu_error_pending(struct vcpu *c);
bool fpu_xcr0_valid(struct vcpu *c, uint64_t v); /* XSETBV */
uint64_t fpu_xinuse(struct vcpu *c);             /* XGETBV(1), before masking with XCR0 */
/* Stubs live as long as the decoded instructions that point to them. */
bool replay_full(const struct vcpu *c);
void replay_drop_all(struct vcpu *c); /* the cache of decoded instructions was emptied */
