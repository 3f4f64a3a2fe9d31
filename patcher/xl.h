// SPDX-License-Identifier: GPL-2.0-or-later
/* xl.h - the inside of tier 2, the translator: hot runs of decoded instructions become host code.
 *
 * Host registers in translated code (docs/ENGINE.md has the reasons):
 *   rax rcx rdx rbx rbp rsi rdi r8 r9 r12 r13   the guest's registers of the same name
 *   r15                                         the guest's RSP
 *   rsp                                         &vcpu + XL_BIAS; the guest's r10 r11 r14 r15 stay in vcpu.gpr
 *   r10 r11 r14 (T0 T1 T2)                      scratch
 *   arithmetic flags                            the guest's; DF is 0, the guest's is in vcpu.rflags
 *
 * A translated run is entered only by
 *   - its code address, from a run on the same page (chained), with xl.page right;
 *   - its "indirect" address, with T0 = IP and T1 = 2 * its index in it, by the table xl_target: it compares key + IP +
 *     context with 0, which says that this IP, under these page tables, privilege and mode, is this run;
 *   - from C, by xl_enter().
 * What has no translation runs by its tier-1 handler (xl_exec_c), from a copy of the instruction that returns behind it. */
#pragma once
#include "vm.h"
#include "xl_emit.h"
#include <ucontext.h>

enum { T0 = H_R10, T1 = H_R11, T2 = H_R14, H_GUEST_RSP = H_R15 };
enum { XL_FROM_DIRECT = INT32_MIN /* vcpu.xl_from: a direct jump, which faults at its target, as in tier 1 */ };
enum { NEVER_GROUP = 2 /* xl_narrow() */ };
enum { XL_BIAS = 128, XL_PLACES = 4096, XL_INSNS = RUN_MAX + 2 /* with the one that ends the run */ };
enum { XL_NET_PLACES = 1 << 15 };

/* XL_DO_FILL, XL_DO_FILL_REST: try to get the operand's TLB entry, and the lookup again; else XL_DO_EXEC, XL_DO_REST */
enum xl_detour { XL_DO_EXEC, XL_DO_REST, XL_DO_FILL, XL_DO_FILL_REST, XL_DO_READY, XL_DO_NET, XL_DETOURS };
enum { XL_WANTED_SHIFT = 48, XL_WANTED_WRITE = 1 }; /* beside the point's address: access, and size << 1 */

/* Of one vCPU; struct vcpu points to it and vice versa. */
struct xl {
    struct vcpu *c;
    int fd;
    bool bmi2;        /* of the host */
    uint8_t *rw, *rx; /* two mappings of one memfd: never writable and executable through one */
    size_t bytes, hot_bytes, used, stubs, cold_used; /* runs below hot_bytes, their detours above */
    struct run *one;                     /* xl_step(): a copy of the instruction, and one behind it that returns */
    size_t notes, most_used, most_notes; /* bytes of what is in `allocated`; before the last drops */
    GPtrArray *runs;                     /* struct xl_run, also those that were killed since */
    GPtrArray *allocated;                /* until the cache is dropped */
    uint8_t narrow[XL_PLACES];           /* how often groups of operands there turned out too wide */
    uint8_t rewritten[XL_PLACES]; /* how often translated code was killed there: it must be hotter to be tried again */
    uint8_t netted[XL_NET_PLACES / 8]; /* bits: instructions there that host exceptions took from it (xl_net.c) */
    uint8_t net_vector;                /* the last host exception's */
    const uint8_t *enter, *link, *request, *search, *miss;
    const uint8_t *detour[XL_DETOURS][2];   /* with guest flags in the host's, or in vcpu.arith */
    uint64_t drops;                         /* how often all was dropped */
    unsigned displaced;                     /* counts: which of its places an indirect jump's target goes to */
    uint64_t target_pages[XL_TARGETS / 64]; /* bits, by page: indirect jumps may lead there (vcpu.xl_target) */
};

/* What stands before the "indirect" address of a run: what it was made from, and how far its code is from there; code is
 * 0 if it cannot be entered that way: it was killed, lies in two pages, or this is no run. */
struct xl_label {
    uint64_t host : 48, mode : 8, code : 8;
};

/* A direct jump within its page whose target may not be translated yet. */
struct xl_link {
    struct xl_run *from;
    uint8_t *patch;  /* its rel32, writable mapping */
    uint16_t offset; /* of the target in its page */
};

struct xl_run {
    struct run *run;
    uint64_t host;             /* where the guest's code lies */
    uint8_t *code, *indirect;  /* executable addresses */
    const uint8_t *dead;       /* what an invalidated run's entries jump to; its indirect one goes to xl.miss */
    uint16_t offset;           /* in its page */
    uint32_t bytes;            /* of its code, without detours */
    uint32_t samples;          /* how often a request was met at its entry */
    uint32_t nets;             /* host exceptions in it */
    uint32_t rests;            /* how often its rest was left to tier 1 since... */
    uint64_t rests_since;      /* ... this TSC, and */
    uint64_t rest_cycles;      /* how long that took */
    struct xl_point {          /* what C needs to know of an instruction when translated code calls it there */
        uint32_t host;         /* where its code begins, from .code */
        uint16_t checked;      /* classes of vector code that the code behind it takes for granted */
        uint8_t number;        /* in the run */
        uint8_t ip;            /* where it is in the run */
        uint8_t live;          /* FLAG_*: those that are right before it */
        bool untranslated : 1; /* always by tier 1 */
        bool vector_use : 1;   /* it may change what vector code may run in place */
        bool lent_rsp : 1;     /* .lent: it is the guest's RSP, in vcpu.gpr */
        uint8_t lent; /* where, from .host, its own instruction is, if the guest's RSI is in T1 there; 0: it is not */
    } point[];        /* one for each instruction of the run */
};
static inline struct xl_run *xl_run_of(const struct xl_point *p)
{
    return (struct xl_run *)((char *)(p - p->number) - offsetof(struct xl_run, point));
}

/* Detours from translated code to C: where to go on, or NULL: leave with c->xl_next. */
const uint8_t *xl_exec_c(struct vcpu *c, void *point);  /* by tier 1; c->xl_resume */
const uint8_t *xl_ready_c(struct vcpu *c, void *point); /* make vector state live and come back, or as xl_rest_c */
/* The operand at vcpu.xl_lin: lookup again at c->xl_resume, or as xl_exec_c, xl_rest_c.  wanted: the point, XL_WANTED_* */
const uint8_t *xl_fill_c(struct vcpu *c, void *wanted);
const uint8_t *xl_fill_rest_c(struct vcpu *c, void *wanted);
const uint8_t *xl_rest_c(struct vcpu *c, void *point); /* it and the rest of the run by tier 1 */
const uint8_t *xl_net_c(struct vcpu *c, void *point);  /* as xl_rest_c, after a host exception */
const uint8_t *xl_link_c(struct vcpu *c, void *link);
const uint8_t *xl_leave_c(struct vcpu *c, void *xl_run); /* at its entry */
const uint8_t *xl_miss_c(struct vcpu *c, void *ip);
unsigned xl_target_index(const struct xl *x, uint64_t ip);
/* Tier 1 runs instruction `number`, and nothing behind it: c itself, or what the handler returns when it ends the run. */
struct run *xl_step(struct vcpu *c, const struct xl_run *xr, unsigned number);
/* A detour has come to C: registers are the guest's, as before the instruction. */
void xl_at_point(struct vcpu *c, const struct xl_point *p);
const uint8_t *xl_rest(struct vcpu *c, const struct xl_point *p); /* then: xl_rest_c without the counting */
void xl_abandon(struct vcpu *c, struct run *r);                   /* its translation: it will be made anew */
unsigned xl_narrow(struct xl *x, uint64_t host); /* how much narrower groups of operands should be there */

/* xl.c */
bool xl_new(struct vcpu *c, GError **error);
void xl_free(struct vcpu *c);
void xl_drop_all(struct vcpu *c);
void xl_kill(struct vcpu *c, struct run *r);                       /* the run was invalidated */
void xl_context_update(struct vcpu *c);                            /* mode, view or privilege changed */
void xl_context_flush(struct vcpu *c, uint64_t lin);               /* the page may be mapped elsewhere now */
void xl_context_wipe(struct vcpu *c);                              /* generations begin anew */
struct run *xl_count_entry(struct vcpu *c, const struct insn *in); /* insn[0].fn of runs not translated yet */
struct run *xl_entry(struct vcpu *c, const struct insn *in);       /* ... and of translated ones */

void *xl_keep(struct xl *x, void *p);
struct xl_link *xl_link_new(struct xl *x, struct xl_run *from, uint8_t *patch, uint16_t offset);

/* xl_stubs.c */
void xl_stubs(struct xl *x, struct emit *e);
void xl_save_flags(struct emit *e, int temp);    /* host flags -> vcpu.arith */
void xl_restore_flags(struct emit *e, int temp); /* and back */
void xl_emit_target_index(const struct xl *x, struct emit *e);
struct host_mem xl_target_field(size_t offset); /* of the entry that T1 says */
int xl_home(unsigned guest); /* the host register that holds guest register 0-15, or -1: in vcpu.gpr */
static inline struct host_mem xl_field(size_t offset) /* of struct vcpu */
{
    return (struct host_mem){H_RSP, -1, 0, (int32_t)offset - XL_BIAS};
}
#define XL_FIELD(name) xl_field(offsetof(struct vcpu, name))

/* xl_net.c: host exceptions in translated code */
bool xl_covers(const struct vcpu *c, uint64_t rip); /* does this host address lie in the vCPU's translated code? */
/* From the signal handler: makes g go on in C code; false: not an exception of the guest's code.  code: si_code. */
bool xl_net(struct vcpu *c, int sig, int code, greg_t *g);
bool xl_net_leaves(const struct xl *x, uint64_t host); /* shall tier 1 run the instruction that lies there? */

/* xl_dump.c */
char *xl_dump(struct vcpu *c, unsigned most); /* g_free */

/* xl_run.c */
struct xl_run *xl_translate(struct vcpu *c, struct run *r);

/* xl_op.c: the shape of an instruction's bytes, and what translation needs to know of it */
enum xl_kind {
    XL_EXEC, /* by its tier-1 handler */
    XL_NOP,
    XL_PLAIN, /* registers by ModRM, opcode or hidden; memory by ModRM: copied with operands renamed */
    XL_LEA,
    XL_PUSH_REG,
    XL_PUSH_IMM,
    XL_PUSH_RM,
    XL_PUSH_SEG,
    XL_POP_REG,
    XL_LEAVE,
    XL_JCC,
    XL_JMP,
    XL_CALL,
    XL_RET,
    XL_JMP_RM,
    XL_CALL_RM,
    XL_SET_FLAG, /* CLI STI CLD STD */
    XL_AC,       /* CLAC STAC */
    XL_SWAPGS,
    XL_FROM_CR, /* MOV register, CR2 or CR3 */
    XL_BIT,     /* BT BTS BTR BTC memory, register: the bit may lie anywhere */
    XL_DIV,     /* DIV and IDIV, 32 and 64 bits */
    XL_VECTOR,  /* runs in place on live vector state, or bit manipulation (xl_vector.c) */
};
enum { FLAG_CF = 1, FLAG_REST = 2, FLAG_ALL = 3 };
struct xl_op {
    enum xl_kind kind;
    uint8_t map;                                           /* 0, 0x0f, 0x38, 0x3a */
    uint8_t opcode, modrm, rex, imm_at, imm_bytes, prefix; /* prefix: a mandatory or kept F2/F3, or 0 */
    bool has_modrm, p66, lock, memory;
    bool reg_is_gpr; /* ModRM.reg names a general register (else an opcode extension) */
    bool reg_in_opcode;
    bool reads_only;                  /* the memory operand is not written */
    uint8_t reg_size, rm_size;        /* bytes of the register operands: 1 has the AH problem */
    uint8_t flags_read, flags_killed; /* FLAG_* */
    bool flags_written;
    bool reg_read, reg_written, rm_read, rm_written; /* XL_PLAIN: written means wholly, unless also read */
    const void *stub;                                /* XL_VECTOR */
};
void xl_op_of(struct xl_op *o, const struct insn *in, const uint8_t *raw, unsigned mode);

/* xl_group.c: operand 0 of an instruction is the one by ModRM, 1 that on the stack */
enum { XL_GROUPS = 2 * XL_INSNS };
struct xl_group {
    int32_t lo; /* its lowest address, from the first member's */
    uint16_t size;
    uint8_t members, slot; /* in vcpu.xl_window, if there are several */
    bool write, known;     /* known: its pointer is there (xl_run.c) */
};
struct xl_groups {
    unsigned count;
    struct xl_group group[XL_GROUPS];
    int8_t of[XL_INSNS][2];  /* group of each operand, -1: none */
    int16_t at[XL_INSNS][2]; /* its place in the group */
};
void xl_groups_find(struct xl_groups *gs, const struct run *r, const struct xl_op *ops, bool code64, unsigned span);

/* xl_flags.c */
enum xl_make { XL_MAKE_NONE, XL_MAKE_AGAIN, XL_MAKE_TEST, XL_MAKE_ADD_IMM, XL_MAKE_SUB_IMM, XL_MAKE_ADD, XL_MAKE_SUB };
struct xl_producer {
    enum xl_make kind;
    uint8_t size, len, bytes[16]; /* XL_MAKE_AGAIN */
    int8_t a, b;                  /* host registers */
    int32_t imm;
    uint16_t reads; /* guest registers that must stay as they are */
};
void xl_make_flags(struct emit *e, const struct xl_producer *p); /* uses T2 */
void xl_producer_after(struct xl_producer *p, const struct xl_op *o, const uint8_t *raw, bool code64);
int xl_plain_reg(const struct xl_op *o);
int xl_plain_rm(const struct xl_op *o);
bool xl_high_byte(const struct xl_op *o, int n, unsigned size);
void xl_plain_bytes(struct emit *e, const struct xl_op *o, const uint8_t *raw, int reg, int rm, int32_t disp,
                    bool code64, bool lock);
unsigned xl_writes(const struct xl_op *o); /* guest registers that it may write, rather too many than too few */

/* xl_vector.c */
bool xl_vector_of(struct xl_op *o, const struct insn *in); /* false: by tier 1 */
void xl_vector_emit(struct emit *e, const struct xl_op *o, struct host_mem m);
unsigned xl_vector_class(const struct xl_op *o); /* the bit of vcpu.xl_vector; 0: needs none */
unsigned xl_vector_align(const struct xl_op *o);
unsigned xl_vector_bytes(const struct xl_op *o);
void xl_vector_update(struct vcpu *c);
bool xl_vector_ready(struct vcpu *c, uint32_t classes);
bool xl_vector_prepare(struct vcpu *c, const struct insn *in); /* may raise what the instruction raises */
unsigned xl_vector_x87(const struct xl_op *o);
unsigned xl_vector_gpr(const struct xl_op *o);     /* general registers it has to do with, ... */
unsigned xl_vector_written(const struct xl_op *o); /* ... and may write */
unsigned xl_vector_away(const struct xl_op *o);    /* ... and expects in host registers that are not their homes */
void xl_x87_pointers(struct vcpu *c);              /* vcpu.xl_x87_* -> replay's pointers */
