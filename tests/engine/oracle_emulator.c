// SPDX-License-Identifier: GPL-2.0-or-later
/* oracle_emulator.c - where the host CPU is an emulator's: what that is known to do otherwise than the manuals or silicon.
 *
 * One table.  A row names an emulator, tells by the decoded instruction or the states which cases it means, and either
 * leaves them out or takes one part of the result as the host has it.  Each row says why; the test prints how many cases each
 * row met.  What is not in the table counts as a difference. */
#include "oracle.h"
#include <Zydis/Zydis.h>
#include <stdio.h>
#include <string.h>

#define EFLAGS_AC (1u << 18)
#define EFLAGS_RF (1u << 16)
enum { PAGE_FAULT = 14, GENERAL = 13, STACK = 12, WRITE = 2 };

struct emulated_case {
    enum oracle_mode mode;
    const struct oracle_case *c;
    ZydisDecodedInstruction in; /* zeros if it is none */
    ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
};

/* ---- instructions ------------------------------------------------------------------------------------------------------ */
static bool is_x87_environment(const struct emulated_case *e)
{
    bool appended = e->in.length && e->c->len > e->in.length; /* the generator's FNSTENV */
    return appended || e->in.mnemonic == ZYDIS_MNEMONIC_FNSTENV || e->in.mnemonic == ZYDIS_MNEMONIC_FNSAVE ||
           e->in.mnemonic == ZYDIS_MNEMONIC_FXSAVE || e->in.mnemonic == ZYDIS_MNEMONIC_FXSAVE64;
}

static bool is_branch(const struct emulated_case *e)
{
    return e->in.meta.category == ZYDIS_CATEGORY_COND_BR || e->in.meta.category == ZYDIS_CATEGORY_UNCOND_BR ||
           e->in.meta.category == ZYDIS_CATEGORY_CALL || e->in.meta.category == ZYDIS_CATEGORY_RET;
}

static bool has_prefix(const struct emulated_case *e, uint8_t prefix)
{
    for (unsigned i = 0; i < e->in.raw.prefix_count; i++)
        if (e->in.raw.prefixes[i].value == prefix)
            return true;
    return false;
}

static bool is_short_branch(const struct emulated_case *e)
{
    return e->mode == ORACLE_64 && is_branch(e) && has_prefix(e, 0x66);
}

/* The first byte behind prefixes. */
static const uint8_t *opcode_of(const struct emulated_case *e)
{
    static const uint8_t all[] = {0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
    const uint8_t *b = e->c->bytes;
    while (memchr(all, *b, sizeof all) || (e->mode == ORACLE_64 && (*b & 0xf0) == 0x40))
        b++;
    return b;
}

static bool is_group(const struct emulated_case *e)
{
    const uint8_t *b = opcode_of(e);
    unsigned reg = b[1] >> 3 & 7;
    return ((b[0] & 0xfe) == 0xc6 && reg) || ((b[0] & 0xfe) == 0xf6 && reg == 1);
}

static bool is_short_swap(const struct emulated_case *e)
{
    return e->in.mnemonic == ZYDIS_MNEMONIC_BSWAP && e->in.operand_width == 16;
}

static bool is_short_double_shift(const struct emulated_case *e)
{
    return (e->in.mnemonic == ZYDIS_MNEMONIC_SHLD || e->in.mnemonic == ZYDIS_MNEMONIC_SHRD) &&
           e->in.operand_width == 16;
}

static bool is_return_far_down(const struct emulated_case *e)
{
    return e->in.mnemonic == ZYDIS_MNEMONIC_RET && e->in.raw.imm[0].value.u & 0x8000;
}

static bool is_enter(const struct emulated_case *e)
{
    return e->in.mnemonic == ZYDIS_MNEMONIC_ENTER;
}

static bool is_short_branch_of_amd(const struct emulated_case *e)
{
    return is_short_branch(e) && oracle_host_cpu()->amd;
}

static bool is_short_frame(const struct emulated_case *e)
{
    return e->mode == ORACLE_64 && has_prefix(e, 0x66) &&
           (e->in.mnemonic == ZYDIS_MNEMONIC_ENTER || e->in.mnemonic == ZYDIS_MNEMONIC_LEAVE);
}

static bool is_odd_segment_register(const struct emulated_case *e)
{
    return opcode_of(e)[0] == 0x8c && e->in.raw.rex.R;
}

/* Bit 3 of VEX.vvvv, inverted in the last byte but the opcode's: registers 8 to 15. */
static bool is_high_vex_register(const struct emulated_case *e)
{
    const uint8_t *b = opcode_of(e);
    bool two = *b == 0xc5, three = *b == 0xc4;
    return e->mode != ORACLE_64 && (two || three) && b[1] >= 0xc0 && !(b[two ? 1 : 2] & 0x40);
}

static bool is_wide_vex(const struct emulated_case *e)
{
    const uint8_t *b = opcode_of(e);
    return e->mode != ORACLE_64 && *b == 0xc4 && b[1] >= 0xc0 && b[2] & 0x80;
}

/* Bytes that are no instruction. */
static bool is_reserved_form(const struct emulated_case *e)
{
    const uint8_t *b = opcode_of(e);
    return !e->in.length && (*b == 0xc4 || *b == 0xc5 || *b == 0x62 || *b == 0x0f);
}

static bool is_locked_nothing(const struct emulated_case *e)
{
    return !e->in.length && memchr(e->c->bytes, 0xf0, (size_t)(opcode_of(e) - e->c->bytes));
}

static bool is_segment_push(const struct emulated_case *e)
{
    return e->in.mnemonic == ZYDIS_MNEMONIC_PUSH && e->operand[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
           e->operand[0].reg.value >= ZYDIS_REGISTER_ES && e->operand[0].reg.value <= ZYDIS_REGISTER_GS;
}

/* ---- states ------------------------------------------------------------------------------------------------------------ */
static bool alignment_checked(const struct emulated_case *e)
{
    return e->c->cpu.rflags & EFLAGS_AC;
}

static bool x87_error_pending(const struct emulated_case *e)
{
    const uint8_t *x = e->c->cpu.xsave;
    return x[512] & 1 && x[2] & ~x[0] & 0x3f;
}

/* ---- differences ------------------------------------------------------------------------------------------------------- */
static bool fault_of_read(const struct emulated_case *e, const struct oracle_cpu *host, const struct oracle_cpu *engine)
{
    return host->vector == PAGE_FAULT && engine->vector == PAGE_FAULT && host->cr2 == engine->cr2 &&
           (engine->error | 1) == (host->error | 1 | WRITE);
}

static bool stack_as_general(const struct emulated_case *e, const struct oracle_cpu *host,
                             const struct oracle_cpu *engine)
{
    return host->vector == GENERAL && engine->vector == STACK && host->rip == engine->rip;
}

static bool has_vector_operand(const struct emulated_case *e)
{
    for (unsigned i = 0; i < e->in.operand_count; i++)
        if (e->operand[i].type == ZYDIS_OPERAND_TYPE_MEMORY && e->operand[i].size == 128)
            return e->in.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY;
    return false;
}

static bool misaligned_vector(const struct emulated_case *e, const struct oracle_cpu *host,
                              const struct oracle_cpu *engine)
{
    return engine->vector == GENERAL && engine->rip == e->c->cpu.rip && has_vector_operand(e);
}

static bool branch_to_nowhere(const struct emulated_case *e, const struct oracle_cpu *host,
                              const struct oracle_cpu *engine)
{
    return is_branch(e) && host->vector == GENERAL && engine->vector == GENERAL && host->rip != engine->rip;
}

static bool error_of_int(const struct emulated_case *e, const struct oracle_cpu *host, const struct oracle_cpu *engine)
{
    return e->in.mnemonic == ZYDIS_MNEMONIC_INT && host->vector == GENERAL && engine->vector == GENERAL;
}

/* The x87 state, which is MMX's too, is the only difference. */
static bool x87_before_fault(const struct emulated_case *e, const struct oracle_cpu *host,
                             const struct oracle_cpu *engine)
{
    struct oracle_cpu same = *engine;
    memcpy(same.xsave, host->xsave, 160);
    memcpy(same.xsave + 24, engine->xsave + 24, 8);
    return engine->vector == PAGE_FAULT && oracle_same(e->mode, host, &same);
}

static bool inside_masked_store(const struct emulated_case *e, const struct oracle_cpu *host,
                                const struct oracle_cpu *engine)
{
    return host->vector == PAGE_FAULT && engine->vector == PAGE_FAULT && (host->cr2 ^ engine->cr2) < 64 &&
           e->in.meta.category != ZYDIS_CATEGORY_INVALID &&
           (e->in.mnemonic == ZYDIS_MNEMONIC_MASKMOVQ || e->in.mnemonic == ZYDIS_MNEMONIC_MASKMOVDQU);
}

static bool masked_load(const struct emulated_case *e, const struct oracle_cpu *host, const struct oracle_cpu *engine)
{
    return host->vector == PAGE_FAULT && engine->vector == PAGE_FAULT && host->error == engine->error &&
           (host->cr2 - engine->cr2 + 64) < 128 &&
           (e->in.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX || e->in.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX);
}

static bool error_of_arpl(const struct emulated_case *e, const struct oracle_cpu *host, const struct oracle_cpu *engine)
{
    return e->in.mnemonic == ZYDIS_MNEMONIC_ARPL && host->vector == PAGE_FAULT && engine->vector == PAGE_FAULT;
}

static bool x87_store_that_faults(const struct emulated_case *e, const struct oracle_cpu *host,
                                  const struct oracle_cpu *engine)
{
    return e->in.mnemonic == ZYDIS_MNEMONIC_FSTP && x87_before_fault(e, host, engine);
}

static bool x87_block_that_faults(const struct emulated_case *e, const struct oracle_cpu *host,
                                  const struct oracle_cpu *engine)
{
    return is_x87_environment(e) && engine->vector >= GENERAL;
}

static bool decimal_flags(const struct emulated_case *e, const struct oracle_cpu *host, const struct oracle_cpu *engine)
{
    static const ZydisMnemonic decimal[] = {ZYDIS_MNEMONIC_AAA, ZYDIS_MNEMONIC_AAS, ZYDIS_MNEMONIC_AAD,
                                            ZYDIS_MNEMONIC_AAM, ZYDIS_MNEMONIC_DAA, ZYDIS_MNEMONIC_DAS};
    struct oracle_cpu same = *engine;
    same.rflags = host->rflags;
    for (unsigned i = 0; i < G_N_ELEMENTS(decimal); i++)
        if (e->in.mnemonic == decimal[i])
            return oracle_same(e->mode, host, &same);
    return false;
}

static bool segment_unchecked(const struct emulated_case *e, const struct oracle_cpu *host,
                              const struct oracle_cpu *engine)
{
    return e->mode != ORACLE_64 && (engine->vector == GENERAL || engine->vector == STACK) &&
           (host->vector != engine->vector || host->rip != engine->rip);
}

/* ---- parts of the result ----------------------------------------------------------------------------------------------- */
static void resume_flag(const struct oracle_cpu *host, struct oracle_cpu *engine)
{
    engine->rflags = (engine->rflags & ~(uint64_t)EFLAGS_RF) | (host->rflags & EFLAGS_RF);
}

static void x87_pointers(const struct oracle_cpu *host, struct oracle_cpu *engine)
{
    memcpy(engine->xsave + 6, host->xsave + 6, 18);
}

typedef bool (*difference_fn)(const struct emulated_case *e, const struct oracle_cpu *host,
                              const struct oracle_cpu *engine);
struct row {
    const char *emulator, *why;
    bool (*leave_out)(const struct emulated_case *e);                          /* such cases do not run */
    void (*forgive)(const struct oracle_cpu *host, struct oracle_cpu *engine); /* this part is taken from the host */
    difference_fn difference; /* a difference of this kind does not count */
};
#define OUT(name, why_, fn)                                                                                            \
    {                                                                                                                  \
        .emulator = name, .why = why_, .leave_out = fn                                                                 \
    }
#define PART(name, why_, fn)                                                                                           \
    {                                                                                                                  \
        .emulator = name, .why = why_, .forgive = fn                                                                   \
    }
#define UNLIKE(name, why_, fn)                                                                                         \
    {                                                                                                                  \
        .emulator = name, .why = why_, .difference = fn                                                                \
    }

static const struct row rows[] = {
    OUT("qemu", "there are no alignment checks: RFLAGS.AC does nothing", alignment_checked),
    OUT("qemu", "a pending x87 exception that XRSTOR brings is not pending", x87_error_pending),
    OUT("qemu", "x87 pointers and the environment's reserved halves are others", is_x87_environment),
    OUT("qemu", "66h before near branches of 64-bit code makes RIP 16 bits wide", is_short_branch),
    OUT("qemu", "MOV by C6 and C7 ignores ModRM.reg; TEST by F6 /1 and F7 /1 is #UD", is_group),
    OUT("qemu", "BSWAP of 16 bits, which is undefined, swaps 32", is_short_swap),
    OUT("qemu", "SHLD, SHRD of 16 bits by more, which is undefined, do otherwise", is_short_double_shift),
    OUT("qemu", "RET's operand has a sign", is_return_far_down),
    OUT("qemu", "ENTER does not look at the new top of the stack", is_enter),
    OUT("qemu", "reserved forms of VEX, EVEX and 0F opcodes run", is_reserved_form),
    OUT("qemu", "LOCK before what cannot have it is not always #UD", is_locked_nothing),
    OUT("qemu", "PUSH of a segment register writes all of its slot", is_segment_push),
    PART("qemu", "x87 pointers are not kept", x87_pointers),
    PART("qemu", "RF is never set in a fault's frame", resume_flag),
    UNLIKE("qemu", "the fault of a read-modify-write is its read's", fault_of_read),
    UNLIKE("qemu", "#SS for an address that is not canonical is #GP", stack_as_general),
    UNLIKE("qemu", "operands of SSE need no alignment", misaligned_vector),
    UNLIKE("qemu", "a branch to an address that is not canonical faults there", branch_to_nowhere),
    UNLIKE("qemu", "INT's error code has the wrong vector in long mode", error_of_int),
    UNLIKE("qemu", "x87 and MMX instructions change state before they fault", x87_before_fault),
    UNLIKE("qemu", "MASKMOVQ, MASKMOVDQU fault at the first byte that is stored", inside_masked_store),
    UNLIKE("qemu", "undefined flags of decimal arithmetic", decimal_flags),
    UNLIKE("qemu", "limits and types of segments are not checked", segment_unchecked),
    OUT("bochs", "66h before near branches of 64-bit code has no effect on AMD models", is_short_branch_of_amd),
    OUT("bochs", "ENTER, LEAVE with 66h in 64-bit code", is_short_frame),
    OUT("bochs", "REX.R counts in MOV from segment registers", is_odd_segment_register),
    OUT("bochs", "bit 3 of VEX.vvvv counts outside 64-bit code", is_high_vex_register),
    OUT("bochs", "VEX.W outside 64-bit code is #UD", is_wide_vex),
    UNLIKE("bochs", "undefined flags of decimal arithmetic", decimal_flags),
    UNLIKE("bochs", "the first address to fault of vectors under a mask", masked_load),
    UNLIKE("bochs", "ARPL's fault is that of a read", error_of_arpl),
    UNLIKE("bochs", "FSTP that faults has popped", x87_store_that_faults),
    UNLIKE("bochs", "FNSTENV, FNSAVE, FXSAVE that fault half way, or with AC", x87_block_that_faults),
};

struct oracle_emulator {
    char *name;
    enum oracle_mode mode;
    ZydisDecoder decoder;
    struct emulated_case e;
    uint64_t met[G_N_ELEMENTS(rows)];
};

struct oracle_emulator *oracle_emulator_new(const char *name, enum oracle_mode mode)
{
    static const ZydisMachineMode modes[] = {ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
                                             ZYDIS_MACHINE_MODE_LONG_COMPAT_16};
    static const ZydisStackWidth widths[] = {ZYDIS_STACK_WIDTH_64, ZYDIS_STACK_WIDTH_32, ZYDIS_STACK_WIDTH_16};
    struct oracle_emulator *m = NULL;
    for (unsigned i = 0; i < G_N_ELEMENTS(rows) && !m; i++)
        if (!strcmp(rows[i].emulator, name))
            m = g_new0(struct oracle_emulator, 1);
    if (!m)
        return NULL;
    m->name = g_strdup(name);
    m->e.mode = mode;
    ZydisDecoderInit(&m->decoder, modes[mode], widths[mode]);
    return m;
}

void oracle_emulator_free(struct oracle_emulator *m)
{
    g_free(m->name);
    g_free(m);
}

bool oracle_emulator_leaves_out(struct oracle_emulator *m, const struct oracle_case *c)
{
    struct emulated_case *e = &m->e;
    e->c = c;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&m->decoder, c->bytes, 15, &e->in, e->operand)))
        memset(&e->in, 0, sizeof e->in);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        if (!strcmp(rows[i].emulator, m->name) && rows[i].leave_out && rows[i].leave_out(e)) {
            m->met[i]++;
            return true;
        }
    return false;
}

void oracle_emulator_forgive(struct oracle_emulator *m, const struct oracle_cpu *host, struct oracle_cpu *engine)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        if (!strcmp(rows[i].emulator, m->name) && rows[i].forgive) {
            struct oracle_cpu before = *engine;
            rows[i].forgive(host, engine);
            m->met[i] += !oracle_same(m->e.mode, &before, engine);
        }
}

bool oracle_emulator_excuses(struct oracle_emulator *m, const struct oracle_cpu *host, const struct oracle_cpu *engine)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        if (!strcmp(rows[i].emulator, m->name) && rows[i].difference && rows[i].difference(&m->e, host, engine)) {
            m->met[i]++;
            return true;
        }
    return false;
}

void oracle_emulator_report(const struct oracle_emulator *m)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        if (!strcmp(rows[i].emulator, m->name) && m->met[i])
            printf("# %s, %s %" G_GUINT64_FORMAT " times: %s\n", m->name,
                   rows[i].leave_out ? "left out"
                   : rows[i].forgive ? "not compared"
                                     : "unlike, and not counted,",
                   m->met[i], rows[i].why);
}
