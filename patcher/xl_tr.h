// SPDX-License-Identifier: GPL-2.0-or-later
/* xl_tr.h - a run while it is translated: what xl_run.c, xl_insn.c and xl_place.c share. */
#pragma once
#include "xl.h"
#include <stddef.h>

enum { INSNS = XL_INSNS, SLOW_MAX = 6 * INSNS };

struct slow { /* a jump to the detour of an instruction */
    uint8_t *patch;
    unsigned insn;
    enum xl_detour how;
    const uint8_t *retry; /* XL_DO_FILL: writable address where the lookup begins */
    unsigned wanted;      /* ... XL_WANTED_* */
};
struct tail { /* a conditional jump to another page */
    uint8_t *patch;
    uint64_t offset;
};
struct translation {
    struct vcpu *c;
    struct xl *x;
    struct run *run;
    struct xl_run *xr;
    struct emit e;
    struct xl_op op[INSNS];
    uint8_t live[INSNS]; /* FLAG_* that matter before each instruction */
    struct slow slow[SLOW_MAX];
    unsigned slow_count;
    uint8_t *resume[INSNS]; /* writable address behind each instruction */
    struct tail tail[INSNS];
    unsigned tail_count;
    struct xl_link *links[INSNS];
    unsigned link_count;
    bool code64;
    struct emit cold;                      /* detours and exits, away from what runs */
    struct xl_producer producer;           /* how the flags can be made again right now */
    struct xl_producer producer_at[INSNS]; /* ... and before each instruction that has detours */
    uint32_t vector_checked;               /* classes whose bit in xl_vector has been looked at in this run */
    unsigned now;                          /* index of the instruction being translated */
    struct xl_groups groups;
    int held;                   /* the group whose pointer is in T0, or -1 */
    enum xl_detour how;         /* ... a check that fails now goes on */
    uint8_t *started[INSNS];    /* where the code of each instruction begins */
    uint8_t *no_second_page[2]; /* jumps of a run that lies in two pages */
    const uint8_t *lookup;      /* where the code that looks an operand up begins, from nothing but guest registers */
    bool may_return;            /* tier 1 may come back behind this instruction: T0 is lost then */
};

/* xl_place.c: registers, addresses, flags around inserted code */
struct host_mem xl_tr_gpr_field(unsigned guest);
int xl_tr_reg_in(struct translation *t, unsigned n, int temp);
void xl_tr_reg_out(struct translation *t, unsigned n, int temp);
void xl_tr_slow_jcc(struct translation *t, unsigned cc);
unsigned xl_tr_word(const struct translation *t);
void xl_tr_operand_offset(struct translation *t, const struct insn *in, int to, unsigned size, int by);
void xl_tr_add_segment(struct translation *t, unsigned seg);
void xl_tr_tlb_lookup(struct translation *t, unsigned size, bool write);
void xl_tr_second_page(struct translation *t, uint8_t *no[2]);
void xl_tr_flags_aside(struct translation *t);
void xl_tr_lookup_begins(struct translation *t); /* ... before code that ends with xl_tr_tlb_lookup() */
void xl_tr_flags_back(struct translation *t);
struct host_mem xl_tr_operand_place(struct translation *t, const struct insn *in, unsigned size, bool write);
struct host_mem xl_tr_stack_place(struct translation *t, int reg, int disp, bool write);

/* xl_run.c: jumps and detours */
void xl_tr_jump_indirect(const struct translation *t, struct emit *e);
void xl_tr_load_ip(struct translation *t, struct emit *e, uint64_t offset);
void xl_tr_jump_to(struct translation *t, uint64_t offset);
void xl_tr_jump_if(struct translation *t, unsigned cc, uint64_t offset);
uint64_t xl_tr_target_offset(const struct translation *t, const struct insn *in);
const struct xl_point *xl_tr_point_of(const struct translation *t, unsigned i);

/* xl_insn.c */
bool xl_tr_high_byte_trouble(const struct xl_op *o);
void xl_tr_translate_one(struct translation *t, const struct insn *in, const struct xl_op *o);
