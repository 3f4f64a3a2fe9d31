// SPDX-License-Identifier: GPL-2.0-or-later
/* cold.h - the cold handlers, by the file that has them.  Operands are in struct insn as decode.c puts them there;
 * osize is the operand size in bytes. */
#pragma once
#include "patcher/soft.h"

/* ModRM.rm operand, register or memory, of in->osize bytes; c->rip must be in sync. */
uint64_t cold_rm_read(struct vcpu *c, const struct insn *in);
void cold_rm_write(struct vcpu *c, const struct insn *in, uint64_t v);
uint64_t cold_rm_read_n(struct vcpu *c, const struct insn *in, unsigned size);
void cold_rm_write_n(struct vcpu *c, const struct insn *in, unsigned size, uint64_t v);
uint32_t flags_writable(const struct vcpu *c, unsigned osize);

/* stack.c */
void cold_push_rm(struct vcpu *c, const struct insn *in);
void cold_push_imm(struct vcpu *c, const struct insn *in);
void cold_pop_rm(struct vcpu *c, const struct insn *in);
void cold_push_seg(struct vcpu *c, const struct insn *in);
void cold_pop_seg(struct vcpu *c, const struct insn *in);
void cold_pusha(struct vcpu *c, const struct insn *in);
void cold_popa(struct vcpu *c, const struct insn *in);
void cold_pushf(struct vcpu *c, const struct insn *in);
void cold_popf(struct vcpu *c, const struct insn *in);
void cold_leave(struct vcpu *c, const struct insn *in);
void cold_enter(struct vcpu *c, const struct insn *in);
void cold_jmp_rm(struct vcpu *c, const struct insn *in);
void cold_call(struct vcpu *c, const struct insn *in);
void cold_call_rm(struct vcpu *c, const struct insn *in);
void cold_ret(struct vcpu *c, const struct insn *in);
/* far.c */
void cold_jmp_far(struct vcpu *c, const struct insn *in);
void cold_call_far(struct vcpu *c, const struct insn *in);
void cold_jmp_far_m(struct vcpu *c, const struct insn *in);
void cold_call_far_m(struct vcpu *c, const struct insn *in);
void cold_ret_far(struct vcpu *c, const struct insn *in);
void cold_iret(struct vcpu *c, const struct insn *in);
void cold_load_far(struct vcpu *c, const struct insn *in);
/* interrupt.c */
void cold_int(struct vcpu *c, const struct insn *in);
void cold_int3(struct vcpu *c, const struct insn *in);
void cold_into(struct vcpu *c, const struct insn *in);
void cold_icebp(struct vcpu *c, const struct insn *in);
void cold_fault(struct vcpu *c, const struct insn *in); /* aux_op: the vector */
/* string.c */
void cold_string(struct vcpu *c, const struct insn *in);
void cold_string_io(struct vcpu *c, const struct insn *in);
bool insn_is_string(const struct insn *in); /* one of the two */
/* io.c */
void cold_in(struct vcpu *c, const struct insn *in);
void cold_out(struct vcpu *c, const struct insn *in);
/* sysreg.c */
void cold_mov_from_seg(struct vcpu *c, const struct insn *in);
void cold_mov_to_seg(struct vcpu *c, const struct insn *in);
void cold_mov_from_cr(struct vcpu *c, const struct insn *in);
void cold_mov_to_cr(struct vcpu *c, const struct insn *in);
void cold_mov_from_dr(struct vcpu *c, const struct insn *in);
void cold_mov_to_dr(struct vcpu *c, const struct insn *in);
void cold_group6(struct vcpu *c, const struct insn *in); /* SLDT STR LLDT LTR VERR VERW */
void cold_vmcall(struct vcpu *c, const struct insn *in); /* and VMMCALL */
void cold_group7(struct vcpu *c, const struct insn *in); /* SGDT SIDT LGDT LIDT SMSW LMSW INVLPG */
void cold_lar(struct vcpu *c, const struct insn *in);
void cold_lsl(struct vcpu *c, const struct insn *in);
void cold_arpl(struct vcpu *c, const struct insn *in);
void cold_clts(struct vcpu *c, const struct insn *in);
void cold_invd(struct vcpu *c, const struct insn *in); /* WBINVD, too */
void cold_invpcid(struct vcpu *c, const struct insn *in);
void cold_hlt(struct vcpu *c, const struct insn *in);
void cold_cli(struct vcpu *c, const struct insn *in);
void cold_sti(struct vcpu *c, const struct insn *in);
void cold_clac(struct vcpu *c, const struct insn *in); /* STAC: opcode byte decides */
/* sysinsn.c */
void cold_syscall(struct vcpu *c, const struct insn *in);
void cold_sysret(struct vcpu *c, const struct insn *in);
void cold_sysenter(struct vcpu *c, const struct insn *in);
void cold_sysexit(struct vcpu *c, const struct insn *in);
void cold_swapgs(struct vcpu *c, const struct insn *in);
void cold_fsgsbase(struct vcpu *c, const struct insn *in);
void cold_rdtsc(struct vcpu *c, const struct insn *in);
void cold_rdtscp(struct vcpu *c, const struct insn *in);
void cold_rdpid(struct vcpu *c, const struct insn *in);
void cold_rdpmc(struct vcpu *c, const struct insn *in);
void cold_rdmsr(struct vcpu *c, const struct insn *in);
void cold_wrmsr(struct vcpu *c, const struct insn *in);
void cold_cpuid(struct vcpu *c, const struct insn *in);
void cold_xgetbv(struct vcpu *c, const struct insn *in);
void cold_xsetbv(struct vcpu *c, const struct insn *in);
/* misc.c */
void cold_bcd(struct vcpu *c, const struct insn *in); /* DAA DAS AAA AAS */
void cold_aam(struct vcpu *c, const struct insn *in);
void cold_aad(struct vcpu *c, const struct insn *in);
void cold_salc(struct vcpu *c, const struct insn *in);
void cold_xlat(struct vcpu *c, const struct insn *in);
void cold_bound(struct vcpu *c, const struct insn *in);
void cold_lahf(struct vcpu *c, const struct insn *in); /* SAHF, too */
void cold_flag(struct vcpu *c, const struct insn *in); /* CMC CLC STC CLD STD */
void cold_cmpxchg8b(struct vcpu *c, const struct insn *in);
void cold_clflush(struct vcpu *c, const struct insn *in);
void cold_movbe(struct vcpu *c, const struct insn *in);
void cold_rdrand(struct vcpu *c, const struct insn *in);
void cold_pause(struct vcpu *c, const struct insn *in);
void cold_fence(struct vcpu *c, const struct insn *in);
