// SPDX-License-Identifier: GPL-2.0-or-later
/* oracle.h - the host CPU as the judge of an engine: one user-level instruction, run natively and by the engine from
 * the same state, must end in the same state or the same fault. */
#pragma once
#include "core-vmm/api/cpu.h"
#include "core-vmm/base/host_cpu.h"

#define ORACLE_XSAVE_BYTES 2688     /* the most that x87 to AVX-512 take on any host */
enum { ORACLE_ARITHMETIC = 0x8d5 }; /* CF PF AF ZF SF OF */
enum oracle_mode { ORACLE_64, ORACLE_32, ORACLE_16 };

/* Where things lie, in both worlds at the same linear addresses.  Nothing else below the kernel half is mapped. */
#define ORACLE_CODE_BYTES 0x2000 /* read-only; what follows is not mapped */
#define ORACLE_RW_BYTES   0x2000 /* the window: two pages to write, then one read-only, then nothing */
#define ORACLE_WIN_BYTES  0x3000
#define ORACLE_SYSTEM     0xfffe0000 /* the legacy guest's tables */
struct oracle_layout {
    uint64_t code, win;           /* linear */
    uint64_t win_alias;           /* the window again, where 32-bit address arithmetic of 64-bit code lands */
    struct x86_seg seg[X86_SEGS]; /* as the host's GDT and the LDT that oracle_host_new() installs have them */
};
extern const struct oracle_layout oracle_layouts[3];

enum { ORACLE_STEPPED = -1 }; /* the instruction retired (single-step trap) */
struct oracle_cpu {
    uint64_t gpr[16], rip, rflags; /* rip: offset in CS */
    uint64_t fs_base, gs_base;     /* 64-bit mode only */
    uint8_t xsave[X86_XSAVE_BYTES] __attribute__((aligned(64)));
    int vector; /* or ORACLE_STEPPED */
    uint32_t error;
    uint64_t cr2;
};

struct oracle_host;
/* NULL: this host cannot run the mode; *why says why.  One at a time in a process. */
struct oracle_host *oracle_host_new(enum oracle_mode mode, const char **why);
void oracle_host_free(struct oracle_host *h);
uint8_t *oracle_host_code(struct oracle_host *h);   /* ORACLE_CODE_BYTES, writable */
uint8_t *oracle_host_window(struct oracle_host *h); /* ORACLE_WIN_BYTES, all writable */
const struct host_cpu *oracle_host_cpu(void);       /* learned once */
uint64_t oracle_host_states(void);                  /* XCR0; without XSAVE, x87 and SSE */
bool oracle_host_has_fsgsbase(void);                /* for user code; else FS and GS have base 0 in 64-bit cases */
/* Run one instruction from *cpu (with RFLAGS.TF set by the caller if it shall stop after one); *cpu becomes the
 * state after it, or at its fault. */
void oracle_host_run(struct oracle_host *h, struct oracle_cpu *cpu);

/* ---- random cases: everything follows from (mode, seed, index) ------------------------------------------------- */
struct oracle_case {
    uint8_t bytes[24]; /* the instruction, and HLT behind it */
    unsigned len;      /* of the instruction as far as is known, 0: not known (then RFLAGS.TF is set) */
    unsigned at;       /* offset of bytes in the code pages */
    struct oracle_cpu cpu;
};
struct oracle_gen;
struct oracle_gen *oracle_gen_new(enum oracle_mode mode, uint64_t seed);
void oracle_gen_free(struct oracle_gen *g);
/* The case, and the window's contents if they changed since the last call (else false). */
bool oracle_gen_case(struct oracle_gen *g, uint64_t index, struct oracle_case *c, uint8_t window[ORACLE_WIN_BYTES]);
unsigned oracle_prefixes(enum oracle_mode mode, const uint8_t *bytes); /* how many, REX included */
/* Must this not run on the host: its result depends on the host's system, or it is a system call? */
bool oracle_excluded(enum oracle_mode mode, const uint8_t *bytes);
/* Does it (or the FNSTENV behind it) move a block of memory, of which any byte may be the first to fault? */
bool oracle_is_block(enum oracle_mode mode, const uint8_t *bytes);

/* ---- what the manuals leave open about an instruction ------------------------------------------------------------ */
uint32_t oracle_undefined_flags(enum oracle_mode mode, const uint8_t *bytes);
/* A VEX or EVEX encoding that is not an instruction. */
bool oracle_reserved_vex(enum oracle_mode mode, const uint8_t *bytes);
/* Whether all of its memory operand is subject to #AC is up to the CPU: elements that are packed. */
bool oracle_packs(enum oracle_mode mode, const uint8_t *bytes);
/* Of an extension that the engine does not offer on any host. */
bool oracle_not_carried(enum oracle_mode mode, const uint8_t *bytes);

/* ---- the engine's side ------------------------------------------------------------------------------------------- */
struct oracle_guest;
struct oracle_guest *oracle_guest_new(const struct cpu_engine *engine, enum oracle_mode mode);
void oracle_guest_free(struct oracle_guest *g);
uint8_t *oracle_guest_code(struct oracle_guest *g);
uint8_t *oracle_guest_window(struct oracle_guest *g);
void oracle_guest_wrote_code(struct oracle_guest *g, unsigned at, unsigned bytes);
/* legacy: with 16- and 32-bit code, a guest outside long mode.  false: the engine failed (said on stderr). */
bool oracle_guest_run(struct oracle_guest *g, struct oracle_cpu *cpu, bool legacy);

/* ---- hosts whose CPU is emulated: oracle_emulator.c ------------------------------------------------------------- */
struct oracle_emulator;
/* NULL: nothing is known about an emulator of that name. */
struct oracle_emulator *oracle_emulator_new(const char *name, enum oracle_mode mode);
void oracle_emulator_free(struct oracle_emulator *m);
/* Before a case runs: what the next calls are about.  *c stays the caller's, and in place. */
void oracle_emulator_case(struct oracle_emulator *m, const struct oracle_case *c);
/* After it: what the emulator does not do becomes the host's in *engine. */
void oracle_emulator_forgive(struct oracle_emulator *m, const struct oracle_cpu *host, struct oracle_cpu *engine);
/* They differ: is it in a way that this emulator is known for? */
bool oracle_emulator_excuses(struct oracle_emulator *m, const struct oracle_cpu *host, const struct oracle_cpu *engine);
void oracle_emulator_report(const struct oracle_emulator *m);

/* ---- comparison ---------------------------------------------------------------------------------------------------- */
void oracle_canonical(uint8_t *xsave); /* of both, before they are compared */
/* Makes equal in *engine what is the host's own choice and of no use to software (docs/ENGINE.md, "The host's choices"). */
void oracle_host_choices(enum oracle_mode mode, const uint8_t *bytes, const struct oracle_cpu *before,
                         const struct oracle_cpu *host, struct oracle_cpu *engine);
bool oracle_same(enum oracle_mode mode, const struct oracle_cpu *a, const struct oracle_cpu *b);
bool oracle_same_vectors(const struct oracle_cpu *a, const struct oracle_cpu *b);
void oracle_print_difference(enum oracle_mode mode, const struct oracle_cpu *before, const struct oracle_cpu *host,
                             const struct oracle_cpu *engine);
void oracle_print_window(const uint8_t *before, const uint8_t *host, const uint8_t *engine);
