// SPDX-License-Identifier: GPL-2.0-or-later
/* translation.h - a block while it is translated: what translate/block.c, translate/insn.c and translate/place.c share. */
#pragma once
#include "patcher/translate/translate.h"
#include <stddef.h>

enum { INSNS = TRANS_INSNS, SLOW_MAX = 6 * INSNS };

struct slow { /* a jump to the detour of an instruction */
    uint8_t *patch;
    unsigned insn;
    enum trans_detour how;
    const uint8_t *retry;          /* TRANS_DO_FILL: writable address where the lookup begins */
    unsigned wanted;               /* ... TRANS_WANTED_* */
    const struct trans_cold *cold; /* TRANS_DO_COLD_END */
};
struct tail { /* a conditional jump to another page */
    uint8_t *patch;
    uint64_t offset;
};
struct translation {
    struct vcpu *c;
    struct translator *x;
    struct block *block;
    struct translated_block *tb;
    struct emit e;
    struct trans_op op[INSNS];
    uint8_t live[INSNS]; /* FLAG_* that matter before each instruction */
    struct slow slow[SLOW_MAX];
    unsigned slow_count;
    uint8_t *resume[INSNS]; /* writable address behind each instruction */
    struct tail tail[INSNS];
    unsigned tail_count;
    struct chain *links[INSNS];
    unsigned link_count;
    bool code64;
    struct emit cold;                         /* detours and exits, away from what runs */
    struct trans_producer producer;           /* how the flags can be made again right now */
    struct trans_producer producer_at[INSNS]; /* ... and before each instruction that has detours */
    uint32_t vector_checked;                  /* classes whose bit in trans_vector has been looked at in this block */
    unsigned now;                             /* index of the instruction being translated */
    struct clusters clusters;
    int held;                   /* the cluster whose pointer is in T0, or -1 */
    enum trans_detour how;      /* ... a check that fails now goes on */
    uint8_t *started[INSNS];    /* where the code of each instruction begins */
    uint8_t *no_second_page[2]; /* jumps of a block that lies in two pages */
    uint8_t *long_enough;       /* the jump out of a stretch that lockstep shall look at, or NULL */
    const uint8_t *lookup;      /* where the code that looks an operand up begins, from nothing but guest registers */
    bool may_return;            /* tier 1 may come back behind this instruction: T0 is lost then */
};

/* translate/place.c: registers, addresses, flags around inserted code */
struct host_mem trans_gpr_field(unsigned guest);
int trans_reg_in(struct translation *t, unsigned n, int temp);
void trans_reg_out(struct translation *t, unsigned n, int temp);
void trans_slow_jcc(struct translation *t, unsigned cc);
unsigned trans_word(const struct translation *t);
void trans_operand_offset(struct translation *t, const struct insn *in, int to, unsigned size, int by);
void trans_add_segment(struct translation *t, unsigned seg);
void trans_tlb_lookup(struct translation *t, unsigned size, bool write);
void trans_second_page(struct translation *t, uint8_t *no[2]);
void trans_flags_aside(struct translation *t);
void trans_lookup_begins(struct translation *t); /* ... before code that ends with trans_tlb_lookup() */
void trans_flags_back(struct translation *t);
struct host_mem trans_operand_place(struct translation *t, const struct insn *in, unsigned size, bool write);
struct host_mem trans_stack_place(struct translation *t, int reg, int disp, bool write);

/* translate/block.c: jumps and detours */
void trans_load_ip(struct translation *t, struct emit *e, uint64_t offset);
void trans_jump_to(struct translation *t, uint64_t offset);
void trans_jump_if(struct translation *t, unsigned cc, uint64_t offset);
uint64_t trans_target_offset(const struct translation *t, const struct insn *in);
const struct trans_point *trans_point_of(const struct translation *t, unsigned i);

/* translate/system.c */
void trans_pushf(struct translation *t);
void trans_popf(struct translation *t);
void trans_clac(struct translation *t, const struct insn *in);
void trans_rdtsc(struct translation *t);
const struct trans_cold *trans_cold(struct translation *t, const struct insn *in);
void trans_mov_segment(struct translation *t, const struct insn *in, const struct trans_op *o);
void trans_pop_segment(struct translation *t, const struct insn *in);
bool trans_goes_on(
    enum trans_kind kind); /* ends its block in tier 1, but behind its code comes the next instruction's */

/* translate/insn.c */
void trans_adjust_rsp(struct translation *t, int by);
bool trans_high_byte_trouble(const struct trans_op *o);
void translate_insn(struct translation *t, const struct insn *in, const struct trans_op *o);
