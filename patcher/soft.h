// SPDX-License-Identifier: GPL-2.0-or-later
/* soft.h - the inside of the software engine: one guest CPU (struct vcpu), one decoded instruction (struct insn), and
 * what the parts of patcher/ call of each other.  docs/ENGINE.md tells how it all works together.
 *
 * Rules that every handler follows:
 *  - Faults are precise.  A handler changes nothing of the guest's state before its last access that can fault.
 *    raise_exception() does not return: it jumps to the run loop, which delivers the exception from c->rip.
 *  - "Hot" handlers (insn_fn) run with c->rip stale; they pass their struct insn to whatever can fault, which calls
 *    sync_ip().  "Cold" handlers (cold_fn) run with c->rip at the instruction and c->next_rip behind it; one that
 *    jumps changes c->next_rip.
 *  - All of a vcpu is touched by its own thread only, except the fields marked "any thread". */
#pragma once
#include "core-vmm/api/cpu.h"
#include <setjmp.h>
#include <stdatomic.h>
#include <stddef.h>

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

struct vcpu;
struct insn;
struct block;
struct soft_vm;
struct translator;
struct translated_block;
struct lockstep;
struct stats;

/* A hot handler runs one instruction and then calls the next one's handler as its last act (the compiler makes a jump
 * of it); the last of a block returns the block to go on with, or NULL: look up c->rip. */
typedef struct block *(*insn_fn)(struct vcpu *c, const struct insn *in);
typedef void (*cold_fn)(struct vcpu *c, const struct insn *in);

enum {
    RFLAG_CF = 1 << 0,
    RFLAG_PF = 1 << 2,
    RFLAG_AF = 1 << 4,
    RFLAG_ZF = 1 << 6,
    RFLAG_SF = 1 << 7,
    RFLAG_TF = 1 << 8,
    RFLAG_IF = 1 << 9,
    RFLAG_DF = 1 << 10,
    RFLAG_OF = 1 << 11,
    RFLAG_IOPL = 3 << 12,
    RFLAG_NT = 1 << 14,
    RFLAG_RF = 1 << 16,
    RFLAG_VM = 1 << 17,
    RFLAG_AC = 1 << 18,
    RFLAG_VIF = 1 << 19,
    RFLAG_VIP = 1 << 20,
    RFLAG_ID = 1 << 21,
    RFLAG_ARITH = RFLAG_CF | RFLAG_PF | RFLAG_AF | RFLAG_ZF | RFLAG_SF | RFLAG_OF,
};
#define CR0_PE         (1u << 0)
#define CR0_MP         (1u << 1)
#define CR0_EM         (1u << 2)
#define CR0_TS         (1u << 3)
#define CR0_ET         (1u << 4)
#define CR0_NE         (1u << 5)
#define CR0_WP         (1u << 16)
#define CR0_AM         (1u << 18)
#define CR0_NW         (1u << 29)
#define CR0_CD         (1u << 30)
#define CR0_PG         (1u << 31)
#define CR4_VME        (1u << 0)
#define CR4_PVI        (1u << 1)
#define CR4_TSD        (1u << 2)
#define CR4_DE         (1u << 3)
#define CR4_PSE        (1u << 4)
#define CR4_PAE        (1u << 5)
#define CR4_MCE        (1u << 6)
#define CR4_PGE        (1u << 7)
#define CR4_PCE        (1u << 8)
#define CR4_OSFXSR     (1u << 9)
#define CR4_OSXMM      (1u << 10)
#define CR4_UMIP       (1u << 11)
#define CR4_FSGS       (1u << 16)
#define CR4_PCIDE      (1u << 17)
#define CR4_OSXSAVE    (1u << 18)
#define CR4_SMEP       (1u << 20)
#define CR4_SMAP       (1u << 21)
#define EFER_SCE       (1u << 0)
#define EFER_LME       (1u << 8)
#define EFER_LMA       (1u << 10)
#define EFER_NXE       (1u << 11)
#define EFER_FFXSR     (1u << 14)
#define EFER_AUTO_IBRS (1u << 21)

enum {
    EXC_DE = 0,
    EXC_DB = 1,
    EXC_NMI = 2,
    EXC_BP = 3,
    EXC_OF = 4,
    EXC_BR = 5,
    EXC_UD = 6,
    EXC_NM = 7,
    EXC_DF = 8,
    EXC_TS = 10,
    EXC_NP = 11,
    EXC_SS = 12,
    EXC_GP = 13,
    EXC_PF = 14,
    EXC_MF = 16,
    EXC_AC = 17,
    EXC_MC = 18,
    EXC_XM = 19,
    EXC_NONE = 255, /* only leaves the instruction */
};

/* ---- software TLB -------------------------------------------------------------------------------------------- */
/* A tag is a page-aligned linear address xor a generation (see tlb.c), or an empty one.  Address xor tag xor the
 * generation in force is the offset in the page if they match, and more than any offset if not: so one compare also
 * catches accesses that cross the page's end.  host = linear + addend. */
#define TLB_BITS  14
#define TLB_SIZE  (1u << TLB_BITS)
#define TLB_MANY  0xffffu
#define TLB_EMPTY 1ull /* bit 0 of a tag: matches nothing */
/* Generations lie where the tag says nothing that its slot does not say: whatever the address, even one that is not
 * canonical, an entry of another generation cannot match.  The highest of these bits stays for empty tags. */
#define TLB_GEN_SHIFT 12
#define TLB_GEN_BITS  (TLB_BITS - 1)
#define PAGE_SIZE     4096ull
#define PAGE_MASK     (~(PAGE_SIZE - 1))

struct tlb_entry {
    uint64_t read, write, exec;
    uint64_t addend;
};
/* The empty tag of a slot names a page that belongs to another slot, whatever the generation. */
static inline uint64_t tlb_empty(unsigned slot)
{
    return (slot ^ 1ull << TLB_GEN_BITS) << 12 | TLB_EMPTY;
}
/* What the slow path remembers of a filled entry: the page walk's result, also of pages that are not plain RAM. */
struct tlb_info {
    uint64_t lin;   /* tag: page xor generation, or TLB_EMPTY */
    uint64_t gpa;   /* page */
    uint64_t page;  /* the memory map's entry: GPA_* bits and offset in the memory file */
    uint8_t access; /* ACCESS_* allowed */
};
/* An access cut at a page end. */
struct pieces {
    struct tlb_info first, second; /* copies: the second lookup may replace the first one's slot */
    unsigned head;                 /* bytes in the first page */
};
/* Views: what a privilege may do is settled when an entry is filled. */
enum {
    VIEW_SUPER_SMAP, /* CPL 0-2, user pages barred by SMAP */
    VIEW_USER,
    VIEW_SUPER,
    VIEW_GATE, /* CPL 0-2 on the page tables of isolated user code (tlb.c): rights of one of the two above */
    VIEWS,
    VIEW_SLOW = VIEWS
};
#define TLB_CONTEXTS   32
#define TLB_LARGE_BITS 4096
enum { TLB_READS = 384, TLB_READS_INDEX = 1024 };
struct tlb_context { /* what is remembered of a process context that is not in force */
    bool used;
    bool more_read; /* than read[] has */
    uint64_t key;   /* PCID, or CR3 where there are none */
    uint64_t own_gen[VIEWS];
    uint64_t code_version[VIEWS]; /* tlb_kernel.version whose pages with code are as listed, 0: none is known */
    /* tlb_reads.c, without PCIDs: what the entries of its generations come from */
    uint64_t pdpte[4];
    unsigned reads;
    struct tlb_read {
        const void *at; /* in our mapping */
        uint64_t value, page;
    } read[TLB_READS];
    uint16_t index[TLB_READS_INDEX]; /* hashed by .at: 1 + number, or 0 */
};
enum { TLB_USER_CR3S = 64, TLB_LIST_PAGES = 512, TLB_LIST_INDEX = 1024 };
struct tlb_list {
    unsigned count;
    struct tlb_listed {
        uint64_t lin, page; /* page: as in struct tlb_info */
    } page[TLB_LIST_PAGES];
    uint16_t at[TLB_LIST_INDEX]; /* hashed: 1 + index of the page, or 0 */
};
struct tlb_kernel {   /* tlb_kernel.c: of one view */
    uint64_t gen;     /* the view's, for which ... */
    uint64_t code;    /* ... this number (shifted) stands in vcpu.trans_context; 0: none */
    uint64_t version; /* of the list of code */
    unsigned rounds, strangers;
    struct tlb_list exec, data;
};
enum { ACCESS_READ = 1, ACCESS_WRITE = 2, ACCESS_EXEC = 4 };

/* ---- segment registers --------------------------------------------------------------------------------------- */
struct seg {
    uint64_t base;
    uint32_t limit;
    uint16_t selector, attr; /* as in struct x86_seg */
    uint32_t lo, hi;         /* valid offsets (expand-down has lo = limit + 1) */
    uint8_t can;             /* ACCESS_READ | ACCESS_WRITE */
    uint8_t whole;           /* 1: all offsets, to read and to write */
};

enum { JUMP_CACHE_SIZE = 1 << 16, JUMP_CACHE_WAYS = 4, CLUSTER_WINDOWS = 50 };

/* ---- the CPU -------------------------------------------------------------------------------------------------- */
enum {
    REG_ZERO = 16 /* reads 0: "no base/index" */,
    REG_BLOCK_IP = 17 /* IP of the current block's first instruction */
};
enum request { /* vcpu.request: reasons to leave the fast loop */
               REQ_KICK = 1,
               REQ_INTR = 2, /* the INTR pin is high: look whether it can be taken */
               REQ_NMI = 4,
               REQ_INIT = 8,
               REQ_SIPI = 16,
               REQ_FLUSH = 32,    /* the memory map changed: empty the TLB */
               REQ_CODE = 64,     /* entries wait in the code-invalidation queue */
               REQ_UNWRITE = 128, /* some vCPU has begun to watch a page or the dirty log was read: drop write tags */
               REQ_STEP = 256,    /* own thread: TF, RF, a shadow or a breakpoint: one instruction at a time */
               REQ_HALT = 512,    /* own thread: in HLT or waiting for SIPI */
};
#define NO_STI 0xdead000000000000ull /* for sti_rip: no canonical address */
enum { SHADOW_STI = 1, SHADOW_MOV_SS = 2 };
enum { CODE16, CODE32, CODE64 };
/* mode: part of a block's key: all that the decoder specialises handlers on */
enum {
    MODE_CODE = 3, /* CODE16.. */
    MODE_STACK32 = 4,
    MODE_FLAT = 8,        /* DS, ES, SS and CS span all addresses from 0 */
    MODE_ONE = 16,        /* blocks of one instruction */
    MODE_TABLE_SHIFT = 5, /* for the translator: which TLB table, three bits */
};

struct code_page;
struct invalidation {
    uint64_t offset, bytes;
};

struct vcpu {
    /* A register is named by its byte offset from here: 8 * number, 8 * (number - 4) + 1 for AH CH DH BH. */
    uint64_t gpr[18];
    union { /* arithmetic flags as LAHF and SETO leave them in AX */
        struct {
            uint8_t of;    /* 0 or 1 */
            uint8_t szapc; /* SF ZF - AF - PF 1 CF */
        };
        uint16_t arith;
    };
    uint8_t cpl, mode;
    uint32_t rflags;          /* the other flags; arithmetic bits are 0 here, bit 1 is set */
    _Atomic uint32_t request; /* any thread */
    uint8_t rmw_kind;
    unsigned pauses; /* PAUSE instructions run */
    uint8_t shadow;  /* SHADOW_*: valid for the instruction about to run */
    uint8_t view;
    struct tlb_entry *tlb; /* of the current view */
    uint64_t tlb_gen;      /* its generation, shifted: tag = page xor this */
    uint64_t rip, next_rip;
    uint64_t sti_rip;    /* behind the last STI that set IF: no interrupt there */
    uint64_t code_limit; /* last valid IP: CS.limit, or all ones in 64-bit mode */
    struct seg seg[X86_SEGS];
    struct soft_vm *vm;
    unsigned index;

    uint64_t cr0, cr2, cr3, cr4, xcr0, efer, dr[8];
    struct seg ldtr, tr;
    struct x86_table gdtr, idtr;
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base, tsc_aux;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t pat, misc_enable, spec_ctrl, xss;
    uint64_t mtrr_def_type, mtrr_fixed[11], mtrr_base[X86_MTRR_VARIABLE], mtrr_mask[X86_MTRR_VARIABLE];
    uint64_t tsc_adjust, apic_base, microcode;
    uint64_t pdpte[4]; /* PAE paging: loaded with CR3 */
    enum x86_run_state run_state;
    bool nmi_blocked;
    bool loads_wait; /* this thread's loads do not run ahead of older stores: the guest's SSBD */

    /* pins, any thread */
    _Atomic bool intr_level;
    _Atomic unsigned nmi_pending; /* 0 to 2: one may wait behind the one that is about to be taken */
    _Atomic int sipi_vector;      /* or -1 */

    /* tlb_remote.c, any thread */
    _Atomic bool running; /* in run() */
    _Atomic unsigned flush_asked, flush_done;

    /* exception being raised: filled by raise_exception(), consumed by the run loop */
    jmp_buf trap;
    struct {
        uint8_t vector;
        bool has_error, trap;
        uint32_t error;
        uint64_t cr2;
        uint64_t dr6;
    } exc;
    int delivering;           /* vector of the event in delivery, -1 none: what makes double faults */
    bool delivering_external; /* it is no software interrupt: error codes of faults met get the EXT bit */
    bool string_io;           /* the port access under way is by INS or OUTS */
    bool no_step_trap;        /* the instruction entered a handler: no single-step trap behind it */
    bool failed;              /* run() must return CPU_STOP_FAIL; *error is set */
    struct x86_event event;   /* a delivery begun elsewhere (set_state) */
    uint64_t pending_dr6;     /* data and I/O breakpoints hit by the current instruction */

    /* read-modify-write on anything but plain RAM (rmw_ptr) */
    struct pieces rmw;
    uint64_t rmw_lin;
    unsigned rmw_size;
    uint8_t rmw_buffer[16] __attribute__((aligned(16)));

    /* FPU and vector state.  Owner: replay/fpu.  Standard XSAVE layout; fpu.c says when it is live in the host. */
    uint8_t xsave[X86_XSAVE_BYTES] __attribute__((aligned(64)));
    struct replay *replay; /* the replay part's own data */

    /* tier 2 (translate/translate.h), NULL without */
    struct translator *translator;
    struct lockstep *lockstep; /* NULL without */
    uint64_t lockstep_left;    /* blocks that the stretch may still enter */
    uint64_t trans_host_sp;
    uint8_t trans_x87_seg;  /* 1 + segment of the last x87 memory operand that was accessed in place, 0: none */
    uint64_t trans_x87_dp;  /* its offset */
    uint16_t trans_x87_op;  /* FOP of the last x87 instruction that ran in place, if trans_x87_ip */
    uint64_t trans_x87_ip;  /* ... and its IP; 0: replay's pointers are right */
    uint32_t trans_vector;  /* classes of vector instructions that may run in place now; 0 when the state is not live */
    uint64_t trans_page;    /* IP of the page of the block that executes */
    uint64_t trans_context; /* page tables, privilege and mode, as a number << 48 */
    uint64_t trans_lin;     /* linear address of an operand that is not at hand */
    uint64_t trans_temp, trans_below;         /* trans_below: what the last call through a pointer overwrote */
    uint64_t cluster_window[CLUSTER_WINDOWS]; /* host addresses of groups of operands (translate/cluster.c) */
    /* the last jump to another page: TRANS_FROM_DIRECT, or, through a pointer, its offset in its page and, << 12, what it
     * added to RSP */
    int32_t trans_from;
    const uint8_t *trans_resume; /* where a detour goes on */
    struct block *trans_next;    /* what trans_enter() returns */

    /* code made from guest memory */
    struct code_cache *code;
    GMutex queue_lock; /* queue, queued: any thread */
    unsigned queued;   /* more than fits: QUEUE_MAX + 1: drop everything */
    struct invalidation queue[64];

    const struct insn *link; /* the branch that led here: gets the block as its aux, or NULL */
    uint64_t insns;          /* instructions run, for counters (by whole blocks) */
    struct stats *stats;
    GError **error; /* of run() */
    /* Generations (tlb.c), shifted: in force, of entries of global pages only, of the CR3 in force or 0 */
    uint64_t view_gen[VIEWS], shared_gen[VIEWS], own_gen[VIEWS];
    unsigned generation;
    uint64_t user_cr3, user_cr3s[TLB_USER_CR3S]; /* CR3 when CPL was last 3, and before (hashed) */
    bool left_user_cr3, cr3_loaded;
    uint8_t isolation;
    struct tlb_context tlb_context[TLB_CONTEXTS];
    struct tlb_kernel kernel[VIEWS];
    uint16_t *granted; /* by page of the memory file: 1 + slot whose entries may have its write tag, TLB_MANY, or 0 */
    uint64_t large_2m[TLB_LARGE_BITS / 64], large_1g[2]; /* parts of large pages have been filled in there (hashed) */
    struct tlb_entry views[VIEWS + 1][TLB_SIZE] __attribute__((aligned(64)));
    struct tlb_info info[VIEWS][TLB_SIZE];
    struct jump_target {
        uint64_t key; /* -(IP + context) */
        const uint8_t *code;
    } jump_cache[JUMP_CACHE_SIZE + JUMP_CACHE_WAYS - 1]; /* by the low bits of IP: there or in one of the next */
};

/* ---- decoded instructions ------------------------------------------------------------------------------------- */
enum {
    INSN_LOCK = 1,
    INSN_REP = 2,        /* F3 */
    INSN_REPNE = 4,      /* F2 */
    INSN_MEM = 8,        /* has a memory operand by ModRM (or moffs) */
    INSN_SEGMENTED = 16, /* the operand's address needs seg_linear() */
    INSN_66 = 32,        /* operand-size prefix present */
    INSN_REX = 64,       /* REX/VEX present: byte registers are SPL.. */
    INSN_WRITES = 128,   /* the memory operand is written (INSN_READS: read) */
    INSN_READS = 256,
    INSN_ENDS = 512,     /* ends its block */
    INSN_BIT_IMM = 1024, /* BT..: bit number is the immediate */
    INSN_REPLAY = 2048,  /* bound by replay_bind(): what it points to goes when decoded code goes */
};

struct insn {
    insn_fn fn;
    uint64_t imm;   /* sign-extended as the instruction wants it; branches: target relative to the block's first IP */
    int64_t disp;   /* of the memory operand; IP-relative: from the block's first instruction */
    uint64_t amask; /* offset mask of the address size */
    void *aux;   /* cold handlers: the cold_fn; branches: the block to go on with (see vcpu_run.c); replay: see below */
    uint16_t ip; /* offset of this instruction from the block's first */
    uint16_t flags;             /* INSN_* */
    uint8_t len, number;        /* bytes; position in the block */
    uint8_t reg, rm;            /* ModRM.reg and ModRM.rm (register form) as byte offsets of a general register ... */
    uint8_t reg_no, rm_no;      /* ... and as plain numbers 0-15 (segment, control, vector... registers) */
    uint8_t base, index, scale; /* memory operand: byte offsets in vcpu (REG_ZERO, REG_BLOCK_IP included), shift */
    uint8_t seg;                /* X86_ES.. that applies to it */
    uint8_t osize, asize;       /* effective operand and address size in bytes: 1 2 4 8 (osize: byte forms have 1) */
    uint8_t opcode, map;        /* map: 0, 0x0f, 0x38 (0f38), 0x3a (0f3a); the rest is replay's */
    uint8_t aux_op;             /* which of a handler's operations */
    uint16_t mem_bytes;         /* size of the memory operand */
};

/* A block: straight code, entered at its first instruction only; conditional jumps not taken go on in it. */
#define BLOCK_MAX       48
#define BLOCK_BYTES_MAX 256
struct block {
    uint8_t *host;       /* its first byte in our mapping of the guest's memory; NULL: invalidated */
    uint8_t *host2;      /* second page of an instruction that crosses, or NULL */
    struct block *next;  /* in the code page's bucket */
    struct block *next2; /* in the second page's list */
    uint16_t bytes, count;
    uint8_t mode;
    bool kept;    /* translated: of its instructions only the first one's fn is there (code_insn()) */
    bool faults;  /* has bytes that are no instruction, and not UD2 */
    uint8_t *raw; /* the bytes it was made from */
    /* tier 2 */
    uint32_t heat;                       /* how often it was entered */
    insn_fn first;                       /* insn[0].fn while that one counts or enters translated code */
    struct translated_block *translated; /* translated, or NULL */
    struct insn insn[];
};

static inline const struct block *insn_block(const struct insn *in)
{
    return (const struct block *)((const char *)(in - in->number) - offsetof(struct block, insn));
}

static inline const uint8_t *insn_raw(const struct insn *in)
{
    return insn_block(in)->raw + in->ip;
}

/* libc's use vector registers, which may hold the guest's state: these are in bytes.c, for the compiler's own calls too. */
void *memcpy(void *restrict to, const void *restrict from, size_t n) __asm__("soft_memcpy");
void *memmove(void *to, const void *from, size_t n) __asm__("soft_memmove");
void *memset(void *to, int value, size_t n) __asm__("soft_memset");
int memcmp(const void *a, const void *b, size_t n) __asm__("soft_memcmp");

/* ---- registers and flags --------------------------------------------------------------------------------------- */
static inline uint8_t *reg8(struct vcpu *c, unsigned at)
{
    return (uint8_t *)c + at;
}
static inline uint16_t *reg16(struct vcpu *c, unsigned at)
{
    return (uint16_t *)((char *)c + at);
}
static inline uint64_t *reg64(struct vcpu *c, unsigned at)
{
    return (uint64_t *)((char *)c + at);
}
static inline uint32_t reg32(struct vcpu *c, unsigned at)
{
    return *(uint32_t *)((char *)c + at);
}
static inline void set_reg32(struct vcpu *c, unsigned at, uint32_t v) /* 32-bit results clear the upper half */
{
    *(uint64_t *)((char *)c + at) = v;
}
uint64_t reg_get(struct vcpu *c, unsigned at, unsigned size);
void reg_set(struct vcpu *c, unsigned at, unsigned size, uint64_t v);

static inline uint32_t flags_get(const struct vcpu *c)
{
    return c->rflags | (c->szapc & 0xd5) | (uint32_t)c->of << 11 | 2;
}
static inline void flags_set_arith(struct vcpu *c, uint32_t v)
{
    c->szapc = (v & 0xd5) | 2;
    c->of = v >> 11 & 1;
}
/* All flags at once; whoever changes IF, TF, RF, AC or VM calls update_mode() after it. */
static inline void flags_set(struct vcpu *c, uint32_t v)
{
    flags_set_arith(c, v);
    c->rflags = (v & ~(uint32_t)RFLAG_ARITH) | 2;
}
static inline bool real_mode(const struct vcpu *c)
{
    return !(c->cr0 & CR0_PE);
}
static inline bool v86_mode(const struct vcpu *c)
{
    return c->rflags & RFLAG_VM;
}
static inline bool long_mode(const struct vcpu *c)
{
    return c->efer & EFER_LMA;
}
static inline bool code64(const struct vcpu *c)
{
    return (c->mode & MODE_CODE) == CODE64;
}
static inline unsigned iopl(const struct vcpu *c)
{
    return c->rflags >> 12 & 3;
}

/* ---- vcpu_run.c: the loop, faults ------------------------------------------------------------------------------------ */
static inline void sync_ip(struct vcpu *c, const struct insn *in)
{
    c->rip = c->gpr[REG_BLOCK_IP] + in->ip;
}
static inline struct block *next_insn(struct vcpu *c, const struct insn *in)
{
    return in[1].fn(c, in + 1);
}
/* c->rip must be that of the faulting instruction (sync_ip). */
_Noreturn void raise_exception(struct vcpu *c, unsigned vector); /* without error code */
_Noreturn void raise_error(struct vcpu *c, unsigned vector, uint32_t error);
_Noreturn void raise_page_fault(struct vcpu *c, uint64_t lin, uint32_t error);
/* Leaves the instruction at c->rip undone; it is executed again after an interrupt. */
_Noreturn void wait_for_interrupt(struct vcpu *c);
_Noreturn void raise_debug(struct vcpu *c, uint64_t dr6);           /* a fault-like #DB */
struct block *exec_cold(struct vcpu *c, const struct insn *in);     /* insn.fn of cold handlers in mid-block ... */
struct block *exec_cold_end(struct vcpu *c, const struct insn *in); /* ... and of those that end it */
struct block *exec_invalid(struct vcpu *c, const struct insn *in);  /* every insn of an invalidated block */
enum cpu_stop vcpu_run(struct vcpu *c, GError **error);
/* Recomputes mode, view, code_limit and the step request after a change of CS, SS, DS, ES, CPL, CR0, CR4, EFER, flags
 * or debug registers.  Handlers that call it end their run. */
void update_mode(struct vcpu *c);
void request(struct vcpu *c, uint32_t bits); /* any thread */

/* ---- memory: mem.c, tlb.c, mmu.c ---------------------------------------------------------------------------------- */
/* Linear addresses.  in: the instruction (its seg decides between #SS and #GP), or NULL when c->rip is in sync and
 * the address is known to be canonical.  All privileges are those of c->view. */
uint64_t mem_read_slow(struct vcpu *c, const struct insn *in, uint64_t lin, unsigned size);
void mem_write_slow(struct vcpu *c, const struct insn *in, uint64_t lin, unsigned size, uint64_t v);
/* Any size; all pages are probed before the first byte moves. */
void mem_read_bytes(struct vcpu *c, const struct insn *in, uint64_t lin, void *to, unsigned size);
void mem_write_bytes(struct vcpu *c, const struct insn *in, uint64_t lin, const void *from, unsigned size);
void mem_probe(struct vcpu *c, const struct insn *in, uint64_t lin, unsigned size, int access); /* faults or returns */
/* Implicit supervisor accesses (descriptor tables, TSS): whatever the CPL. */
uint64_t sys_read(struct vcpu *c, uint64_t lin, unsigned size);
void sys_write(struct vcpu *c, uint64_t lin, unsigned size, uint64_t v);
bool sys_peek(struct vcpu *c, uint64_t lin, uint64_t *v); /* 8 bytes, if the TLB has them as plain RAM; else false */
void sys_probe(struct vcpu *c, uint64_t lin, unsigned size, int access);
/* seg:offset -> linear, with limit, type and canonical checks (#SS or #GP). */
bool seg_over_end(const struct vcpu *c, const struct seg *s, uint64_t last); /* not in 64-bit mode */
uint64_t seg_linear(struct vcpu *c, unsigned seg, uint64_t off, unsigned size, int access);
/* The same for the memory operand of a hot handler (c->rip stale). */
uint64_t seg_linear_hot(struct vcpu *c, const struct insn *in, uint64_t off, unsigned size, int access);

static inline struct tlb_entry *tlb_slot(struct vcpu *c, uint64_t lin)
{
    return &c->tlb[lin >> 12 & (TLB_SIZE - 1)];
}
static inline bool tlb_hit(const struct vcpu *c, uint64_t tag, uint64_t lin, unsigned size)
{
    return (lin ^ tag ^ c->tlb_gen) <= PAGE_SIZE - size;
}
static inline uint64_t mem_offset(struct vcpu *c, const struct insn *in)
{
    return (*reg64(c, in->base) + (*reg64(c, in->index) << in->scale) + in->disp) & in->amask;
}
/* Linear address of the memory operand. */
static inline uint64_t mem_linear(struct vcpu *c, const struct insn *in, unsigned size, int access)
{
    uint64_t off = mem_offset(c, in);
    return likely(!(in->flags & INSN_SEGMENTED)) ? off : seg_linear_hot(c, in, off, size, access);
}
#define MEM_ACCESSORS(bits, type)                                                                                      \
    static inline type mem_read##bits(struct vcpu *c, const struct insn *in, uint64_t lin)                             \
    {                                                                                                                  \
        const struct tlb_entry *e = tlb_slot(c, lin);                                                                  \
        if (likely(tlb_hit(c, e->read, lin, bits / 8)))                                                                \
            return __atomic_load_n((const type *)(lin + e->addend), __ATOMIC_RELAXED);                                 \
        return (type)mem_read_slow(c, in, lin, bits / 8);                                                              \
    }                                                                                                                  \
    static inline void mem_write##bits(struct vcpu *c, const struct insn *in, uint64_t lin, type v)                    \
    {                                                                                                                  \
        const struct tlb_entry *e = tlb_slot(c, lin);                                                                  \
        if (likely(tlb_hit(c, e->write, lin, bits / 8)))                                                               \
            __atomic_store_n((type *)(lin + e->addend), v, __ATOMIC_RELAXED);                                          \
        else                                                                                                           \
            mem_write_slow(c, in, lin, bits / 8, v);                                                                   \
    }
MEM_ACCESSORS(8, uint8_t)
MEM_ACCESSORS(16, uint16_t)
MEM_ACCESSORS(32, uint32_t)
MEM_ACCESSORS(64, uint64_t)
#undef MEM_ACCESSORS

/* A pointer through which the operand can be read, changed and (LOCK) changed atomically; rmw_done() afterwards makes
 * it so where the pointer is not the guest's memory itself (MMIO, page crossing, watched code).  size 1 to 16. */
enum { RMW_DIRECT, RMW_BUFFER, RMW_CODE, RMW_LOCKED_BUFFER };
void *rmw_slow(struct vcpu *c, const struct insn *in, uint64_t lin, unsigned size);
void rmw_finish(struct vcpu *c);
static inline void *rmw_ptr_at(struct vcpu *c, const struct insn *in, uint64_t lin, unsigned size)
{
    const struct tlb_entry *e = tlb_slot(c, lin);
    if (likely(tlb_hit(c, e->write, lin, size)))
        return (void *)(lin + e->addend);
    return rmw_slow(c, in, lin, size);
}
static inline void *rmw_ptr(struct vcpu *c, const struct insn *in, unsigned size)
{
    return rmw_ptr_at(c, in, mem_linear(c, in, size, ACCESS_READ | ACCESS_WRITE), size);
}
static inline void rmw_done(struct vcpu *c)
{
    if (unlikely(c->rmw_kind))
        rmw_finish(c);
}
