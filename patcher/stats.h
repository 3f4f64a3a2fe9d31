// SPDX-License-Identifier: GPL-2.0-or-later
/* stats.h - what the engine counts of itself for `vmctl debug`: on slow paths only, one vCPU's own numbers. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct vcpu;
struct insn;
struct soft_vm;
struct cpu_memory;

enum count {
    COUNT_BLOCKS_DECODED,
    COUNT_DECODED_AGAIN,
    COUNT_BLOCKS_TRANSLATED,
    COUNT_BLOCKS_APART,
    COUNT_BLOCKS_KILLED,
    COUNT_CODE_WRITES,
    COUNT_DROPS_DECODED_FULL,
    COUNT_DROPS_CODE_FULL,
    COUNT_DROPS_OTHER,
    COUNT_TLB_WALKS,
    COUNT_TLB_RETAGS,
    COUNT_TLB_FLUSHES,
    COUNT_TLB_CR3_KEPT,
    COUNT_TLB_CR3_NEW,
    COUNT_PAGE_CROSSINGS,
    COUNT_DEVICE_ACCESSES,
    COUNT_ENTERED,
    COUNT_EXEC_UNTRANSLATED,
    COUNT_EXEC_OPERAND,
    COUNT_RESTS,
    COUNT_FILLED,
    COUNT_LINKS,
    COUNT_TARGET_MISSES,
    COUNT_REQUESTS,
    COUNT_LEFT_CHANGED,
    COUNT_NETTED,
    COUNT_NET_LEFT,
    COUNT_KICKS,
    COUNT_INTERRUPTS,
    COUNT_EXCEPTIONS,
    COUNT_PAGE_FAULTS,
    COUNT_STEPS,
    COUNT_STRETCHES,
    COUNT_STRETCHES_LEFT,
    COUNT_DONE_AGAIN,
    COUNTS,
};

/* Instructions that tier 1 ran for translated code; operand: only because of where their memory operand is. */
struct opcode_count {
    uint64_t untranslated, operand;
    uint8_t bytes[15], mode; /* one of them, for its name */
};
enum { OPCODE_KEYS = 4 * 256 * 8 }; /* by map, opcode and ModRM.reg, which selects among some */
struct stats {
    uint64_t count[COUNTS];
    struct opcode_count opcode[OPCODE_KEYS];
};

void stats_opcode(struct vcpu *c, const struct insn *in, bool operand);
struct opcode_count *stats_opcode_of(struct vcpu *c, const struct insn *in); /* in: of its block */
typedef void (*stats_fn)(void *ctx, const char *group, const char *name, uint64_t value);
void stats_report(struct soft_vm *vm, stats_fn fn, void *ctx); /* any thread: numbers may be a moment apart */
