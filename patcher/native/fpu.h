// SPDX-License-Identifier: GPL-2.0-or-later
/* fpu.h - the inside of native replay and of the FPU: what replay*.c and fpu*.c share.
 *
 * While r->live is set, the guest's x87, MMX, SSE and AVX registers and MXCSR are in the host's registers and c->xsave
 * is stale; otherwise c->xsave holds them and the host's registers are the host's.  Nothing in patcher/ touches vector
 * registers (it is compiled with -mgeneral-regs-only); whoever calls out of it calls fpu_leave() first.
 *
 * The x87 instruction and data pointers are never live: the host's name our stubs.  They are kept beside. */
#pragma once
#include "patcher/native/replay.h"
#include "core-vmm/base/host_cpu.h"

enum fpu_class { /* who checks what before an instruction runs: fpu_check() */
                 FPU_NONE,
                 FPU_X87,
                 FPU_FWAIT,
                 FPU_MMX,
                 FPU_SSE,
                 FPU_XSAVE,
                 FPU_VEX_GPR, /* BMI: no vector state, but not in real mode */
                 FPU_AVX,
                 FPU_AVX512,
};

/* What replay knows of one instruction, shared by all its occurrences.  Everything is part of the key. */
struct stub {
    uint8_t bytes[16]; /* the instruction as the host runs it */
    uint8_t len;
    uint8_t check;     /* enum fpu_class */
    uint8_t access;    /* ACCESS_READ | ACCESS_WRITE of the memory operand */
    uint8_t mask_kind; /* the memory operand is accessed by elements... */
    uint8_t mask;      /* ...under the mask in this register */
    uint8_t element_bytes, elements;
    uint8_t data; /* gather, scatter: the vector register */
    uint16_t mem_bytes;
    uint16_t align;   /* the memory operand's alignment or 1 */
    uint16_t x87;     /* STUB_X87 | FOP: sets the x87 pointers */
    uint16_t gpr;     /* general registers to load and store... */
    uint16_t written; /* ... of which these change */
    uint8_t natural;  /* alignment for #AC */
    uint8_t renamed;  /* host register that stands for RSP, 0: none */
    bool fldcw;
    bool saving;            /* uses registers of its caller */
    bool flags;             /* reads or writes arithmetic flags */
    bool vector;            /* needs the guest's vector state */
    bool waits;             /* raises #MF for a pending x87 exception first */
    bool whole;             /* faults as a whole, whatever the mask */
    bool late;              /* the host looks at where it stores to when all else is done */
    bool broadcast, packed; /* one element for all; the active elements lie together */
    const uint8_t *code;
};
enum { MASK_NONE, MASK_OPMASK, MASK_VECTOR };
#define STUB_X87 0x8000

#define XCOMPONENTS 10 /* that this engine knows: 2 AVX, 5-7 AVX-512 */

struct replay {
    /* replay_call()'s assembly knows that these are at 0 and 8 */
    uint64_t host_rsp, resume; /* where a host exception in the stub goes on, with RAX = 1 + vector */
    bool x87_unmasked;         /* FCW may let exceptions through: else none can wait */
    bool live;
    bool ferr;          /* FERR# may be up */
    bool ignore_errors; /* the instruction that has begun goes on in spite of a pending error: IGNNE# */
    const struct host_quirks *quirks;
    bool host_has_xsave; /* and its kernel uses it */
    uint64_t host_xcr0;  /* without XSAVE: x87 and SSE */
    uint32_t mxcsr_mask;
    struct host_xcomponent component[XCOMPONENTS]; /* of the host's XSAVE area */
    uint64_t fip, fdp;
    uint16_t fcs, fds, fop;
    GHashTable *stubs; /* struct stub -> itself */
    int memfd;
    uint8_t *arena, *arena_rx; /* the same pages, writable and executable */
    size_t arena_used;
    uint8_t scratch[1024 + 128] __attribute__((aligned(64)));
};

struct x87_env { /* 32-bit protected mode */
    uint32_t fcw, fsw, ftw, fip, fcs_fop, fdp, fds;
};
/* fpu.c */
void fpu_enter(struct vcpu *c);                               /* c->xsave -> host registers */
void fpu_host_load(const struct replay *r, const void *area); /* into the host's registers, and out of them */
void fpu_host_save(const struct replay *r, void *area);
void fpu_masks_changed(struct vcpu *c);
uint16_t fpu_status(struct vcpu *c);              /* FSW */
void fpu_check(struct vcpu *c, enum fpu_class k); /* #UD, #NM */
/* #MF, or with CR0.NE clear FERR#; comes back if the instruction shall ignore the error. */
void fpu_raise_mf(struct vcpu *c);
void fpu_wait(struct vcpu *c); /* what instructions do first that wait for pending errors */
/* The host has no IGNNE#: its flags of errors that are ignored go away for an instruction.  The state is live. */
uint16_t fpu_put_errors_aside(struct vcpu *c);
void fpu_put_errors_back(struct vcpu *c, uint16_t errors);
static inline void fpu_use(struct vcpu *c)
{
    if (unlikely(!c->replay->live))
        fpu_enter(c);
}
/* fpu_x87.c, fpu_xsave.c: handlers of instructions that move state to and from memory, or NULL */
cold_fn fpu_x87_bind(const struct replay_info *info);
cold_fn fpu_xsave_bind(const struct replay_info *info);
/* The guest's XSAVE area, for reading and changing; the state is not live afterwards. */
uint8_t *fpu_area(struct vcpu *c);
void fpu_set_x87_pointers(struct vcpu *c, const struct insn *in, const struct stub *s);

/* native/stub.c */
bool stub_arena_new(struct replay *r, GError **error);
void stub_arena_free(struct replay *r);
bool stub_covers(const struct replay *r, uint64_t rip); /* does this host address lie in a stub? */
bool stub_encode(struct stub *s, const struct replay_info *info, unsigned code_bits);
const struct stub *stub_get(struct vcpu *c, const struct stub *key);
/* Runs it; 0 or 1 + the vector of the host's exception. */
unsigned replay_stub_call(struct vcpu *c, const struct stub *s, void *memory);
unsigned replay_call(const uint8_t *code, struct vcpu *c, void *memory, struct replay *r);

bool fpu_alignment_checked(const struct vcpu *c);

/* native/offered.c */
bool replay_offered(struct vcpu *c, const char *isa_set);

/* native/mask.c: instructions whose memory operand is masked element by element */
cold_fn replay_mask_bind(const struct replay_info *info, struct stub *s, unsigned mode);

/* replay.c */
void replay_run(struct vcpu *c, const struct insn *in, const struct stub *s, void *memory);
/* The operand in the guest's memory itself, or NULL: not plain RAM, two pages, not in the TLB. */
void *replay_direct(struct vcpu *c, const struct stub *s, uint64_t lin);
uint8_t *replay_scratch(struct vcpu *c, uint64_t lin); /* aligned in its page as lin is */

/* offsets in the XSAVE area */
enum {
    XS_FCW = 0,
    XS_FSW = 2,
    XS_FTW = 4,
    XS_FOP = 6,
    XS_FIP = 8,
    XS_FDP = 16,
    XS_MXCSR = 24,
    XS_MXCSR_MASK = 28,
    XS_ST = 32,
    XS_XMM = 160,
    XS_SW = 464,
    XS_BV = 512,
    XS_XCOMP_BV = 520,
    XS_EXTENDED = 576,
};
#define XFEATURE_X87    1ull
#define XFEATURE_SSE    2ull
#define XFEATURE_AVX    4ull
#define XFEATURE_AVX512 0xe0ull
#define XFEATURE_HI16   0x80ull
#define FSW_ES          0x80
#define FSW_TOP         0x3800u
#define FSW_NO_RESULT   0x1fu /* errors but precision: unmasked, they keep an instruction from storing */
