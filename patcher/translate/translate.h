// SPDX-License-Identifier: GPL-2.0-or-later
/* translate.h - the inside of tier 2, the translator: hot blocks of decoded instructions become host code.
 *
 * Host registers in translated code (docs/ENGINE.md has the reasons):
 *   rax rcx rdx rbx rbp rsi rdi r8 r9 r12 r13   the guest's registers of the same name
 *   r15                                         the guest's RSP
 *   rsp                                         &vcpu + TRANS_BIAS; the guest's r10 r11 r14 r15 stay in vcpu.gpr
 *   r10 r11 r14 (T0 T1 T2)                      scratch
 *   arithmetic flags                            the guest's; DF is 0, the guest's is in vcpu.rflags
 *
 * A translated block is entered only by
 *   - its code address, from a block on the same page (chained), with translator.page right;
 *   - its "indirect" address, with T0 = IP and T1 = 2 * its index in it, by the table jump_cache: it compares key + IP +
 *     context with 0, which says that this IP, under these page tables, privilege and mode, is this block;
 *   - from C, by trans_enter().
 * What has no translation runs by its tier-1 handler (trans_exec_c), from a copy of the instruction that returns behind it. */
#pragma once
#include "patcher/vm.h"
#include "patcher/translate/emit.h"
#include <ucontext.h>

enum { T0 = H_R10, T1 = H_R11, T2 = H_R14, H_GUEST_RSP = H_R15 };
enum { TRANS_FROM_DIRECT = INT32_MIN /* vcpu.trans_from: a direct jump, which faults at its target, as in tier 1 */ };
enum { NEVER_CLUSTER = 2 /* trans_narrow() */ };
enum { TRANS_BIAS = 128, TRANS_PLACES = 4096, TRANS_INSNS = BLOCK_MAX + 2 /* with the one that ends the block */ };
enum { TRANS_NET_PLACES = 1 << 15 };

/* TRANS_DO_FILL, TRANS_DO_FILL_REST: try to get the operand's TLB entry, and the lookup again; else TRANS_DO_EXEC,
 * TRANS_DO_REST. */
enum trans_detour {
    TRANS_DO_EXEC,
    TRANS_DO_REST,
    TRANS_DO_FILL,
    TRANS_DO_FILL_REST,
    TRANS_DO_READY,
    TRANS_DO_NET,
    TRANS_DO_COLD,
    TRANS_DO_COLD_END,
    TRANS_DETOURS
};
enum { TRANS_WANTED_SHIFT = 48, TRANS_WANTED_WRITE = 1 }; /* beside the point's address: access, and size << 1 */

/* Of one vCPU; struct vcpu points to it and vice versa. */
struct translator {
    struct vcpu *c;
    int fd;
    bool bmi2;        /* of the host */
    uint8_t *rw, *rx; /* two mappings of one memfd: never writable and executable through one */
    size_t bytes, hot_bytes, used, trampolines, cold_used; /* blocks below hot_bytes, their detours above */
    struct block *one;                   /* trans_step(): a copy of the instruction, and one behind it that returns */
    size_t notes, most_used, most_notes; /* bytes of what is in `allocated`; before the last drops */
    GPtrArray *blocks;                   /* struct translated_block, also those that were killed since */
    GPtrArray *allocated;                /* until the cache is dropped */
    uint8_t narrow[TRANS_PLACES];        /* how often clusters of operands there turned out too wide */
    uint8_t
        rewritten[TRANS_PLACES]; /* how often translated code was killed there: it must be hotter to be tried again */
    uint8_t
        netted[TRANS_NET_PLACES / 8]; /* bits: instructions there that host exceptions took from it (translate/net.c) */
    uint8_t net_vector;               /* the last host exception's */
    const uint8_t *enter, *link, *request, *search, *miss;
    const uint8_t *to_rip;       /* on to the block at vcpu.rip, by the jump cache */
    const uint8_t *load_segment; /* T2 = number, T1 = selector, T0 = where to go on: with ZF if it was not done */
    const uint8_t *detour[TRANS_DETOURS][2];     /* with guest flags in the host's, or in vcpu.arith */
    uint64_t drops;                              /* how often all was dropped */
    unsigned displaced;                          /* counts: which of its places an indirect jump's target goes to */
    uint64_t target_pages[JUMP_CACHE_SIZE / 64]; /* bits, by page: indirect jumps may lead there (vcpu.jump_cache) */
};

/* What stands before the "indirect" address of a block: what it was made from, and how far its code is from there; code is
 * 0 if it cannot be entered that way: it was killed, lies in two pages, or this is no block. */
struct trans_label {
    uint64_t host : 48, mode : 8, code : 8;
};

/* A direct jump within its page whose target may not be translated yet. */
struct chain {
    struct translated_block *from;
    uint8_t *patch;  /* its rel32, writable mapping */
    uint16_t offset; /* of the target in its page */
};

struct translated_block {
    struct block *block;
    uint64_t host;            /* where the guest's code lies */
    uint8_t *code, *indirect; /* executable addresses */
    const uint8_t *dead; /* what an invalidated block's entries jump to; its indirect one goes to translator.miss */
    uint16_t offset;     /* in its page */
    uint32_t bytes;      /* of its code, without detours */
    uint32_t samples;    /* how often a request was met at its entry */
    uint32_t nets;       /* host exceptions in it */
    struct translated_block *apart; /* the same without clusters, or NULL */
    uint32_t rests_met;        /* how often a cluster was not in one page as it should be, before there was .apart */
    uint32_t rests;            /* ... since... */
    uint64_t rests_since;      /* ... this TSC, and */
    uint64_t rest_cycles;      /* how long that took */
    struct trans_point {       /* what C needs to know of an instruction when translated code calls it there */
        uint32_t host;         /* where its code begins, from .code */
        uint16_t checked;      /* classes of vector code that the code behind it takes for granted */
        uint8_t number;        /* in the block */
        uint8_t ip;            /* where it is in the block */
        uint8_t live;          /* FLAG_*: those that are right before it */
        bool untranslated : 1; /* always by tier 1 */
        bool vector_use : 1;   /* it may change what vector code may run in place */
        bool lent_rsp : 1;     /* .lent: it is the guest's RSP, in vcpu.gpr */
        uint8_t lent; /* where, from .host, its own instruction is, if the guest's RSI is in T1 there; 0: it is not */
    } point[];        /* one for each instruction of the block */
};
/* An instruction that a cold handler runs whenever it comes: all that this takes.  Not one that native replay made, whose
 * stub may go. */
struct trans_cold {
    const struct trans_point *point;
    struct opcode_count *count;
    struct insn insn;
};
static inline struct translated_block *translated_block_of(const struct trans_point *p)
{
    return (struct translated_block *)((char *)(p - p->number) - offsetof(struct translated_block, point));
}

/* Detours from translated code to C: where to go on, or NULL: leave with c->trans_next. */
const uint8_t *trans_exec_c(struct vcpu *c, void *point); /* by tier 1; c->trans_resume */
const uint8_t *trans_ready_c(struct vcpu *c,
                             void *point); /* make vector state live and come back, or as trans_rest_c */
/* The operand at vcpu.trans_lin: lookup again at c->trans_resume, or as trans_exec_c, trans_rest_c.  wanted: the point,
 * and TRANS_WANTED_*. */
const uint8_t *trans_fill_c(struct vcpu *c, void *wanted);
const uint8_t *trans_fill_rest_c(struct vcpu *c, void *wanted);
const uint8_t *trans_rest_c(struct vcpu *c,
                            void *point); /* it and the rest of the block without clusters, or by tier 1 */
const uint8_t *trans_net_c(struct vcpu *c, void *point);     /* as trans_rest_c, after a host exception */
const uint8_t *trans_cold_c(struct vcpu *c, void *cold);     /* the same by struct trans_cold: in mid-block ... */
const uint8_t *trans_cold_end_c(struct vcpu *c, void *cold); /* ... and of one that ends the block */
bool trans_load_segment(struct vcpu *c, unsigned seg, uint32_t selector); /* seg_load_quick() */
const uint8_t *trans_chain_c(struct vcpu *c, void *link);
const uint8_t *trans_leave_c(struct vcpu *c, void *translated_block); /* at its entry */
const uint8_t *trans_miss_c(struct vcpu *c, void *ip);
unsigned jump_cache_index(const struct translator *x, uint64_t ip);
/* What a handler returns instead of a block: go on in translated code.  An address that no block has. */
static inline struct block *trans_stay(struct vcpu *c)
{
    return (struct block *)c;
}
/* Tier 1 runs instruction `number`, and nothing behind it: trans_stay(c), or what the handler returns when it ends the block. */
struct block *trans_step(struct vcpu *c, const struct translated_block *tb, unsigned number);
/* A translated block as tier 1 has it, with all instructions; room for them is behind `whole`.  What they point to goes when
 * decoded code goes. */
void trans_whole_block(struct vcpu *c, const struct translated_block *tb, struct block *whole);
/* A detour has come to C: registers are the guest's, as before the instruction. */
void trans_at_point(struct vcpu *c, const struct trans_point *p);
const uint8_t *trans_rest(struct vcpu *c, const struct trans_point *p); /* then: trans_rest_c without the counting */
void trans_abandon(struct vcpu *c, struct block *r);                    /* its translation: it will be made anew */
unsigned trans_narrow(struct translator *x, uint64_t host); /* how much narrower clusters of operands should be there */

/* translate/translate.c */
bool trans_new(struct vcpu *c, GError **error);
void trans_free(struct vcpu *c);
void trans_drop_all(struct vcpu *c);
void trans_kill(struct vcpu *c, struct block *r);                       /* the block was invalidated */
void trans_context_update(struct vcpu *c);                              /* mode, view or privilege changed */
void trans_context_flush(struct vcpu *c, uint64_t lin);                 /* the page may be mapped elsewhere now */
void trans_context_wipe(struct vcpu *c);                                /* generations begin anew */
struct block *trans_count_entry(struct vcpu *c, const struct insn *in); /* insn[0].fn of blocks not translated yet */
struct block *trans_entry(struct vcpu *c, const struct insn *in);       /* ... and of translated ones */

void *trans_keep(struct translator *x, void *p);
struct chain *chain_new(struct translator *x, struct translated_block *from, uint8_t *patch, uint16_t offset);

/* translate/trampolines.c */
void trans_jump_indirect(const struct translator *x,
                         struct emit *e); /* T0 = IP: go there, wherever it is; flags stay */
void trans_trampolines(struct translator *x, struct emit *e);
void trans_save_flags(struct emit *e, int temp);          /* host flags -> vcpu.arith */
void trans_restore_flags(struct emit *e, int temp);       /* and back */
void trans_set_flags(struct emit *e, int from, int temp); /* from: as vcpu.arith has them */
void trans_emit_target_index(const struct translator *x, struct emit *e);
struct host_mem trans_target_field(size_t offset); /* of the entry that T1 says */
int trans_home(unsigned guest); /* the host register that holds guest register 0-15, or -1: in vcpu.gpr */
static inline struct host_mem trans_field(size_t offset) /* of struct vcpu */
{
    return (struct host_mem){H_RSP, -1, 0, (int32_t)offset - TRANS_BIAS};
}
#define TRANS_FIELD(name) trans_field(offsetof(struct vcpu, name))

/* translate/net.c: host exceptions in translated code */
bool trans_covers(const struct vcpu *c, uint64_t rip); /* does this host address lie in the vCPU's translated code? */
/* From the signal handler: makes g go on in C code; false: not an exception of the guest's code.  code: si_code. */
bool trans_net(struct vcpu *c, int sig, int code, greg_t *g);
bool trans_net_leaves(const struct translator *x,
                      uint64_t host); /* shall tier 1 run the instruction that lies there? */

/* translate/dump.c */
char *trans_dump(struct vcpu *c, unsigned most); /* g_free */

/* translate/block.c */
/* clusters: operands that lie close together are looked up together */
struct translated_block *translate_block(struct vcpu *c, struct block *r, bool clusters);

/* translate/op.c: the shape of an instruction's bytes, and what translation needs to know of it */
enum trans_kind {
    TRANS_EXEC, /* by its tier-1 handler */
    TRANS_NOP,
    TRANS_PLAIN, /* registers by ModRM, opcode or hidden; memory by ModRM: copied with operands renamed */
    TRANS_LEA,
    TRANS_PUSH_REG,
    TRANS_PUSH_IMM,
    TRANS_PUSH_RM,
    TRANS_PUSH_SEG,
    TRANS_PUSHF,
    TRANS_POPF,
    TRANS_POP_REG,
    TRANS_LEAVE,
    TRANS_JCC,
    TRANS_JMP,
    TRANS_CALL,
    TRANS_RET,
    TRANS_JMP_RM,
    TRANS_CALL_RM,
    TRANS_MOV_SEG, /* MOV and POP of ES, DS, FS and GS */
    TRANS_POP_SEG,
    TRANS_SET_FLAG, /* CLI STI CLD STD */
    TRANS_CLAC,
    TRANS_RDTSC,
    TRANS_SWAPGS,
    TRANS_FROM_CR, /* MOV register, CR2 or CR3 */
    TRANS_BIT,     /* BT BTS BTR BTC memory, register: the bit may lie anywhere */
    TRANS_DIV,     /* DIV and IDIV, 32 and 64 bits */
    TRANS_VECTOR,  /* runs in place on live vector state, or bit manipulation (translate/vector.c) */
};
enum { FLAG_CF = 1, FLAG_REST = 2, FLAG_ALL = 3 };
struct trans_op {
    enum trans_kind kind;
    uint8_t map;                                           /* 0, 0x0f, 0x38, 0x3a */
    uint8_t opcode, modrm, rex, imm_at, imm_bytes, prefix; /* prefix: a mandatory or kept F2/F3, or 0 */
    bool has_modrm, p66, lock, memory;
    bool reg_is_gpr; /* ModRM.reg names a general register (else an opcode extension) */
    bool reg_in_opcode;
    bool reads_only;                  /* the memory operand is not written */
    uint8_t reg_size, rm_size;        /* bytes of the register operands: 1 has the AH problem */
    uint8_t flags_read, flags_killed; /* FLAG_* */
    bool flags_written;
    bool reg_read, reg_written, rm_read, rm_written; /* TRANS_PLAIN: written means wholly, unless also read */
    const void *stub;                                /* TRANS_VECTOR */
};
void trans_op_of(struct trans_op *o, const struct insn *in, const uint8_t *raw, unsigned mode);

/* translate/cluster.c: operand 0 of an instruction is the one by ModRM, 1 that on the stack */
enum { CLUSTERS = 2 * TRANS_INSNS };
struct cluster {
    int32_t lo; /* its lowest address, from the first member's */
    uint16_t size;
    uint8_t members, slot; /* in vcpu.cluster_window, if there are several */
    bool write, known;     /* known: its pointer is there (translate/block.c) */
};
struct clusters {
    unsigned count;
    struct cluster cluster[CLUSTERS];
    int8_t of[TRANS_INSNS][2];  /* cluster of each operand, -1: none */
    int16_t at[TRANS_INSNS][2]; /* its place in the cluster */
};
void clusters_find(struct clusters *gs, const struct block *r, const struct trans_op *ops, bool code64, unsigned span);

/* translate/flags.c */
enum trans_make {
    TRANS_MAKE_NONE,
    TRANS_MAKE_AGAIN,
    TRANS_MAKE_TEST,
    TRANS_MAKE_ADD_IMM,
    TRANS_MAKE_SUB_IMM,
    TRANS_MAKE_ADD,
    TRANS_MAKE_SUB
};
struct trans_producer {
    enum trans_make kind;
    uint8_t size, len, bytes[16]; /* TRANS_MAKE_AGAIN */
    int8_t a, b;                  /* host registers */
    int32_t imm;
    uint16_t reads; /* guest registers that must stay as they are */
};
void trans_make_flags(struct emit *e, const struct trans_producer *p); /* uses T2 */
void trans_producer_after(struct trans_producer *p, const struct trans_op *o, const uint8_t *raw, bool code64);
int trans_plain_reg(const struct trans_op *o);
int trans_plain_rm(const struct trans_op *o);
bool trans_high_byte(const struct trans_op *o, int n, unsigned size);
void trans_plain_bytes(struct emit *e, const struct trans_op *o, const uint8_t *raw, int reg, int rm, int32_t disp,
                       bool code64, bool lock);
unsigned trans_writes(const struct trans_op *o); /* guest registers that it may write, rather too many than too few */

/* translate/vector.c */
bool trans_vector_of(struct trans_op *o, const struct insn *in); /* false: by tier 1 */
void trans_vector_emit(struct emit *e, const struct trans_op *o, struct host_mem m);
unsigned trans_vector_class(const struct trans_op *o); /* the bit of vcpu.trans_vector; 0: needs none */
unsigned trans_vector_align(const struct trans_op *o);
unsigned trans_vector_bytes(const struct trans_op *o);
void trans_vector_update(struct vcpu *c);
bool trans_vector_ready(struct vcpu *c, uint32_t classes);
bool trans_vector_prepare(struct vcpu *c, const struct insn *in); /* may raise what the instruction raises */
unsigned trans_vector_x87(const struct trans_op *o);
unsigned trans_vector_gpr(const struct trans_op *o);     /* general registers it has to do with, ... */
unsigned trans_vector_written(const struct trans_op *o); /* ... and may write */
unsigned trans_vector_away(const struct trans_op *o); /* ... and expects in host registers that are not their homes */
void trans_x87_pointers(struct vcpu *c);              /* vcpu.trans_x87_* -> replay's pointers */
