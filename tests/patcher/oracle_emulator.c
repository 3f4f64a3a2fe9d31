// SPDX-License-Identifier: GPL-2.0-or-later
/* oracle_emulator.c - where the host CPU is an emulator's: what that is known to do otherwise than the manuals or silicon.
 *
 * One table.  A row names an emulator and either takes one part of the result as the host has it, or tells by the decoded
 * instruction and both results whether a difference is of its kind.  Every case runs; a row is met only where the results
 * differ, and asks as much of them as is known, so that it does not cover for the engine.  Each row says why; the test prints
 * how often each was met, and by what.  What is not in the table counts. */
#include "tests/patcher/oracle.h"
#include <Zydis/Zydis.h>
#include <stdio.h>
#include <string.h>

#define EFLAGS_AC (1u << 18)
#define EFLAGS_RF (1u << 16)
enum { UNDEFINED = 6, STACK = 12, GENERAL = 13, PAGE_FAULT = 14, X87_ERROR = 16, ALIGNMENT = 17 };
enum { WRITE = 2 }; /* in a page fault's error code */

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
    return e->c->bytes + oracle_prefixes(e->mode, e->c->bytes);
}

/* It does x87 or MMX work. */
static bool is_x87(const struct emulated_case *e)
{
    const uint8_t *b = opcode_of(e);
    if ((*b & 0xf8) == 0xd8)
        return true;
    for (unsigned i = 0; i < e->in.operand_count; i++)
        if (e->operand[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
            ZydisRegisterGetClass(e->operand[i].reg.value) == ZYDIS_REGCLASS_MMX)
            return true;
    return false;
}

/* ---- memory operands --------------------------------------------------------------------------------------------------- */
static bool in_memory(const ZydisDecodedOperand *o)
{
    return o->type == ZYDIS_OPERAND_TYPE_MEMORY && o->mem.type != ZYDIS_MEMOP_TYPE_AGEN;
}

static bool is_read_and_written(const struct emulated_case *e)
{
    for (unsigned i = 0; i < e->in.operand_count; i++)
        if (in_memory(&e->operand[i]) && e->operand[i].actions & ZYDIS_OPERAND_ACTION_MASK_READ &&
            e->operand[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
            return true;
    return false;
}

/* Its offset in the segment; false: it depends on more than base, index and displacement. */
static bool offset_of(const struct emulated_case *e, const ZydisDecodedOperand *o, uint64_t *to)
{
    ZydisRegisterContext r;
    memset(&r, 0, sizeof r);
    for (unsigned i = 0; i < 16; i++) {
        r.values[ZYDIS_REGISTER_RAX + i] = e->c->cpu.gpr[i];
        r.values[ZYDIS_REGISTER_EAX + i] = (uint32_t)e->c->cpu.gpr[i];
        r.values[ZYDIS_REGISTER_AX + i] = (uint16_t)e->c->cpu.gpr[i];
    }
    r.values[ZYDIS_REGISTER_AL] = (uint8_t)e->c->cpu.gpr[X86_RAX];
    bool bits = e->in.meta.category == ZYDIS_CATEGORY_BITBYTE && e->operand[1].type == ZYDIS_OPERAND_TYPE_REGISTER;
    return !bits && o->mem.type == ZYDIS_MEMOP_TYPE_MEM &&
           ZYAN_SUCCESS(ZydisCalcAbsoluteAddressEx(&e->in, o, e->c->cpu.rip, &r, to));
}

static uint64_t base_of(const struct emulated_case *e, ZydisRegister segment)
{
    bool fs = segment == ZYDIS_REGISTER_FS, gs = segment == ZYDIS_REGISTER_GS;
    if (e->mode == ORACLE_64)
        return fs ? e->c->cpu.fs_base : gs ? e->c->cpu.gs_base : 0;
    return oracle_layouts[e->mode].seg[X86_ES + (segment - ZYDIS_REGISTER_ES)].base;
}

/* Has it an operand that SSE wants aligned, and is that not aligned? */
static bool is_misaligned(const struct emulated_case *e)
{
    uint64_t at;
    for (unsigned i = 0; i < e->in.operand_count; i++)
        if (in_memory(&e->operand[i]) && e->operand[i].size == 128 &&
            e->in.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY)
            return offset_of(e, &e->operand[i], &at) && (at + base_of(e, e->operand[i].mem.segment)) & 15;
    return false;
}

static bool may_be_misaligned(const struct emulated_case *e)
{
    static const ZydisMnemonic may[] = {ZYDIS_MNEMONIC_MOVUPS,    ZYDIS_MNEMONIC_MOVUPD,    ZYDIS_MNEMONIC_MOVDQU,
                                        ZYDIS_MNEMONIC_LDDQU,     ZYDIS_MNEMONIC_PCMPESTRI, ZYDIS_MNEMONIC_PCMPESTRM,
                                        ZYDIS_MNEMONIC_PCMPISTRI, ZYDIS_MNEMONIC_PCMPISTRM};
    for (unsigned i = 0; i < G_N_ELEMENTS(may); i++)
        if (e->in.mnemonic == may[i])
            return true;
    return false;
}

/* Does the segment refuse this operand?  Also true where that cannot be told: the stack's, gathered, bit strings. */
static bool refused_by_segment(const struct emulated_case *e, const ZydisDecodedOperand *o)
{
    const struct x86_seg *s = &oracle_layouts[e->mode].seg[X86_ES + (o->mem.segment - ZYDIS_REGISTER_ES)];
    bool code = s->attr & 8, down = !code && s->attr & 4, writes = o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
    uint64_t at, top = down ? (s->attr & 0x4000 ? 0xffffffff : 0xffff) : s->limit;
    if (o->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN || !offset_of(e, o, &at))
        return true;
    return at + MAX(o->size / 8, 1) - 1 > top || (down && at <= s->limit) || (writes && (code || !(s->attr & 2)));
}

/* ---- states ------------------------------------------------------------------------------------------------------------ */
static bool x87_error_pending(const struct emulated_case *e)
{
    const uint8_t *x = e->c->cpu.xsave;
    return x[512] & 1 && x[2] & ~x[0] & 0x3f;
}

static bool raised(const struct emulated_case *e, const struct oracle_cpu *c, int vector)
{
    return c->vector == vector && c->rip == e->c->cpu.rip;
}

/* The engine refuses it, the emulator does not. */
static bool only_engine_raised(const struct emulated_case *e, const struct oracle_cpu *host,
                               const struct oracle_cpu *engine, int vector)
{
    return raised(e, engine, vector) && !raised(e, host, vector);
}

/* ---- differences ------------------------------------------------------------------------------------------------------- */
/* The x87 state, which is MMX's too, is the only difference. */
static bool x87_apart(const struct emulated_case *e, const struct oracle_cpu *host, const struct oracle_cpu *engine)
{
    struct oracle_cpu same = *engine;
    memcpy(same.xsave, host->xsave, 160);
    memcpy(same.xsave + 24, engine->xsave + 24, 8);
    return oracle_same(e->mode, host, &same);
}

static bool alignment_unchecked(const struct emulated_case *e, const struct oracle_cpu *host,
                                const struct oracle_cpu *engine)
{
    return e->c->cpu.rflags & EFLAGS_AC && only_engine_raised(e, host, engine, ALIGNMENT);
}

static bool x87_error_forgotten(const struct emulated_case *e, const struct oracle_cpu *host,
                                const struct oracle_cpu *engine)
{
    return x87_error_pending(e) && only_engine_raised(e, host, engine, X87_ERROR);
}

/* What is in memory differs, nothing else. */
static bool x87_environment(const struct emulated_case *e, const struct oracle_cpu *host,
                            const struct oracle_cpu *engine)
{
    return is_x87_environment(e) && oracle_same(e->mode, host, engine);
}

/* Branches whose displacement 66h shortens by two bytes for those that heed it: where the others go on anything can follow. */
static bool is_shortened_branch(const struct emulated_case *e)
{
    const uint8_t *b = opcode_of(e);
    return is_short_branch(e) && (b[0] == 0xe8 || b[0] == 0xe9 || (b[0] == 0x0f && (b[1] & 0xf0) == 0x80));
}

static bool branch_by_16_bits(const struct emulated_case *e, const struct oracle_cpu *host,
                              const struct oracle_cpu *engine)
{
    return is_shortened_branch(e) || (is_short_branch(e) && (host->rip <= 0xffff) != (engine->rip <= 0xffff));
}

static bool branch_by_all_bits(const struct emulated_case *e, const struct oracle_cpu *host,
                               const struct oracle_cpu *engine)
{
    return oracle_host_cpu()->amd && branch_by_16_bits(e, host, engine);
}

static bool group_by_modrm(const struct emulated_case *e, const struct oracle_cpu *host,
                           const struct oracle_cpu *engine)
{
    const uint8_t *b = opcode_of(e);
    unsigned reg = b[1] >> 3 & 7;
    bool other = (((b[0] & 0xfe) == 0xc6 || b[0] == 0x8f) && reg) || (b[0] == 0xff && reg == 7);
    return (other && only_engine_raised(e, host, engine, UNDEFINED)) ||
           ((b[0] & 0xfe) == 0xf6 && reg == 1 && only_engine_raised(e, engine, host, UNDEFINED));
}

static bool short_swap(const struct emulated_case *e, const struct oracle_cpu *host, const struct oracle_cpu *engine)
{
    return e->in.mnemonic == ZYDIS_MNEMONIC_BSWAP && e->in.operand_width == 16;
}

/* Its immediate byte is left out of the instruction's length. */
static bool double_shift_by_rip(const struct emulated_case *e, const struct oracle_cpu *host,
                                const struct oracle_cpu *engine)
{
    return (e->in.mnemonic == ZYDIS_MNEMONIC_SHLD || e->in.mnemonic == ZYDIS_MNEMONIC_SHRD) &&
           e->operand[0].type == ZYDIS_OPERAND_TYPE_MEMORY && e->operand[0].mem.base == ZYDIS_REGISTER_RIP &&
           e->in.raw.imm[0].size;
}

/* Of registers mm8 to mm15, which there are not, it has other contents each time. */
static bool high_mmx_register(const struct emulated_case *e, const struct oracle_cpu *host,
                              const struct oracle_cpu *engine)
{
    return e->mode == ORACLE_64 && (e->in.raw.rex.R || e->in.raw.rex.B) && is_x87(e) && opcode_of(e)[0] == 0x0f;
}

static bool vector_of_256_bits(const struct emulated_case *e, const struct oracle_cpu *host,
                               const struct oracle_cpu *engine)
{
    struct oracle_cpu same = *engine;
    memcpy(same.xsave + 160, host->xsave + 160, ORACLE_XSAVE_BYTES - 160);
    return (e->in.mnemonic == ZYDIS_MNEMONIC_VPHSUBSW || e->in.mnemonic == ZYDIS_MNEMONIC_VSHUFPD) &&
           e->in.avx.vector_length == 256 && oracle_same(e->mode, host, &same);
}

static bool prefetch_register(const struct emulated_case *e, const struct oracle_cpu *host,
                              const struct oracle_cpu *engine)
{
    const uint8_t *b = opcode_of(e);
    return b[0] == 0x0f && (b[1] == 0x0d || b[1] == 0x18) && b[2] >= 0xc0 &&
           only_engine_raised(e, engine, host, UNDEFINED);
}

/* A REX prefix that another prefix follows. */
static bool early_rex(const struct emulated_case *e, const struct oracle_cpu *host, const struct oracle_cpu *engine)
{
    const uint8_t *end = opcode_of(e) - 1;
    bool found = false;
    for (const uint8_t *b = e->c->bytes; b < end; b++)
        found |= (*b & 0xf0) == 0x40;
    return e->mode == ORACLE_64 && found;
}

static bool scalar_of_256_bits(const struct emulated_case *e, const struct oracle_cpu *host,
                               const struct oracle_cpu *engine)
{
    const char *name = ZydisMnemonicGetString(e->in.mnemonic);
    return e->in.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX && e->in.raw.vex.L &&
           (g_str_has_suffix(name, "ss") || g_str_has_suffix(name, "sd")) &&
           only_engine_raised(e, engine, host, UNDEFINED);
}

/* VEX.B, inverted: the base is one of registers 8 to 15. */
static bool high_vex_base(const struct emulated_case *e, const struct oracle_cpu *host, const struct oracle_cpu *engine)
{
    const uint8_t *b = opcode_of(e);
    return e->mode != ORACLE_64 && *b == 0xc4 && b[1] >= 0xc0 && !(b[1] & 0x20);
}

static bool push_all(const struct emulated_case *e, const struct oracle_cpu *host, const struct oracle_cpu *engine)
{
    struct oracle_cpu same = *engine;
    same.cr2 = host->cr2;
    return (e->in.mnemonic == ZYDIS_MNEMONIC_PUSHAD || e->in.mnemonic == ZYDIS_MNEMONIC_PUSHA) &&
           engine->vector == PAGE_FAULT && host->cr2 - engine->cr2 + 32 < 64 && oracle_same(e->mode, host, &same);
}

static bool sysret_of_intel(const struct emulated_case *e, const struct oracle_cpu *host,
                            const struct oracle_cpu *engine)
{
    return e->in.mnemonic == ZYDIS_MNEMONIC_SYSRET && e->mode != ORACLE_64 && !oracle_host_cpu()->amd &&
           raised(e, host, GENERAL) && raised(e, engine, UNDEFINED);
}

static bool return_far_down(const struct emulated_case *e, const struct oracle_cpu *host,
                            const struct oracle_cpu *engine)
{
    return e->in.mnemonic == ZYDIS_MNEMONIC_RET && e->in.raw.imm[0].value.u & 0x8000;
}

static bool enter_to_nowhere(const struct emulated_case *e, const struct oracle_cpu *host,
                             const struct oracle_cpu *engine)
{
    return e->in.mnemonic == ZYDIS_MNEMONIC_ENTER && (engine->vector == PAGE_FAULT || engine->vector == STACK);
}

static bool is_locked(const struct emulated_case *e)
{
    return memchr(e->c->bytes, 0xf0, (size_t)(opcode_of(e) - e->c->bytes));
}

/* Bytes that are no instruction because of a prefix, or of a control register that there is not. */
static bool reserved_form(const struct emulated_case *e, const struct oracle_cpu *host, const struct oracle_cpu *engine)
{
    static const uint8_t second[] = {0x20, 0x22 /* MOV CR */, 0x77 /* EMMS */, 0xae, 0xc3 /* MOVNTI */};
    const uint8_t *b = opcode_of(e);
    bool plain = *b == 0x0f && memchr(second, b[1], sizeof second);
    bool vex = (*b == 0xc5 && !(b[1] & 3)) || (*b == 0xc4 && (b[1] & 0x1f) == 1 && !(b[2] & 3));
    return !e->in.length && !is_locked(e) && (plain || vex) && raised(e, engine, UNDEFINED) &&
           (!raised(e, host, UNDEFINED) || x87_apart(e, host, engine));
}

static bool locked_nothing(const struct emulated_case *e, const struct oracle_cpu *host,
                           const struct oracle_cpu *engine)
{
    return !e->in.length && is_locked(e) &&
           (only_engine_raised(e, host, engine, UNDEFINED) || x87_apart(e, host, engine));
}

static bool segment_push(const struct emulated_case *e, const struct oracle_cpu *host, const struct oracle_cpu *engine)
{
    return e->in.mnemonic == ZYDIS_MNEMONIC_PUSH && e->operand[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
           ZydisRegisterGetClass(e->operand[0].reg.value) == ZYDIS_REGCLASS_SEGMENT &&
           (host->vector == PAGE_FAULT || oracle_same(e->mode, host, engine));
}

static bool segment_push_of_amd(const struct emulated_case *e, const struct oracle_cpu *host,
                                const struct oracle_cpu *engine)
{
    return oracle_host_cpu()->amd && segment_push(e, host, engine);
}

static bool fault_of_read(const struct emulated_case *e, const struct oracle_cpu *host, const struct oracle_cpu *engine)
{
    return is_read_and_written(e) && host->vector == PAGE_FAULT && engine->vector == PAGE_FAULT &&
           host->cr2 == engine->cr2 && (engine->error | 1) == (host->error | 1 | WRITE);
}

static bool stack_as_general(const struct emulated_case *e, const struct oracle_cpu *host,
                             const struct oracle_cpu *engine)
{
    struct oracle_cpu same = *engine;
    same.vector = GENERAL;
    return e->mode == ORACLE_64 && engine->vector == STACK && oracle_same(e->mode, host, &same);
}

static bool misaligned_vector(const struct emulated_case *e, const struct oracle_cpu *host,
                              const struct oracle_cpu *engine)
{
    return is_misaligned(e) && !may_be_misaligned(e) && !engine->error && only_engine_raised(e, host, engine, GENERAL);
}

static bool branch_to_nowhere(const struct emulated_case *e, const struct oracle_cpu *host,
                              const struct oracle_cpu *engine)
{
    return e->mode == ORACLE_64 && is_branch(e) && host->vector == GENERAL && raised(e, engine, GENERAL) &&
           host->rip != engine->rip;
}

static bool error_of_int(const struct emulated_case *e, const struct oracle_cpu *host, const struct oracle_cpu *engine)
{
    struct oracle_cpu same = *engine;
    same.error = host->error;
    return e->in.mnemonic == ZYDIS_MNEMONIC_INT && engine->vector == GENERAL && oracle_same(e->mode, host, &same);
}

static bool x87_before_fault(const struct emulated_case *e, const struct oracle_cpu *host,
                             const struct oracle_cpu *engine)
{
    bool faults = raised(e, engine, PAGE_FAULT) || raised(e, engine, GENERAL) || raised(e, engine, STACK);
    return is_x87(e) && faults && x87_apart(e, host, engine);
}

/* Does MASKMOVQ or MASKMOVDQU store nothing? */
static bool is_mask_empty(const struct emulated_case *e)
{
    bool mmx = e->in.mnemonic == ZYDIS_MNEMONIC_MASKMOVQ;
    unsigned at = (mmx ? 32 : 160) + 16 * (unsigned)ZydisRegisterGetId(e->operand[1].reg.value);
    for (unsigned i = 0; i < (mmx ? 8 : 16); i++)
        if (e->c->cpu.xsave[at + i] & 0x80 && e->c->cpu.xsave[512] & (mmx ? 1 : 2))
            return false;
    return true;
}

static bool inside_masked_store(const struct emulated_case *e, const struct oracle_cpu *host,
                                const struct oracle_cpu *engine)
{
    struct oracle_cpu same = *engine;
    same.cr2 = host->cr2;
    return (e->in.mnemonic == ZYDIS_MNEMONIC_MASKMOVQ || e->in.mnemonic == ZYDIS_MNEMONIC_MASKMOVDQU) &&
           engine->vector == PAGE_FAULT &&
           (is_mask_empty(e) || ((host->cr2 ^ engine->cr2) < 64 && oracle_same(e->mode, host, &same)));
}

static bool is_masked_load(const struct emulated_case *e)
{
    static const ZydisMnemonic masked[] = {ZYDIS_MNEMONIC_VMASKMOVPS, ZYDIS_MNEMONIC_VMASKMOVPD,
                                           ZYDIS_MNEMONIC_VPMASKMOVD, ZYDIS_MNEMONIC_VPMASKMOVQ};
    for (unsigned i = 0; i < G_N_ELEMENTS(masked); i++)
        if (e->in.mnemonic == masked[i])
            return true;
    return e->in.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX && e->in.avx.mask.reg != ZYDIS_REGISTER_K0;
}

static bool masked_load(const struct emulated_case *e, const struct oracle_cpu *host, const struct oracle_cpu *engine)
{
    struct oracle_cpu same = *engine;
    same.cr2 = host->cr2;
    return is_masked_load(e) && engine->vector == PAGE_FAULT && host->cr2 - engine->cr2 + 64 < 128 &&
           oracle_same(e->mode, host, &same);
}

static bool error_of_arpl(const struct emulated_case *e, const struct oracle_cpu *host, const struct oracle_cpu *engine)
{
    struct oracle_cpu same = *engine;
    same.error = host->error;
    return e->in.mnemonic == ZYDIS_MNEMONIC_ARPL && engine->vector == PAGE_FAULT && oracle_same(e->mode, host, &same);
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
    uint64_t open = oracle_undefined_flags(e->mode, e->c->bytes);
    struct oracle_cpu same = *engine;
    same.rflags = (engine->rflags & ~open) | (host->rflags & open);
    for (unsigned i = 0; i < G_N_ELEMENTS(decimal); i++)
        if (e->in.mnemonic == decimal[i])
            return oracle_same(e->mode, host, &same);
    return false;
}

static bool segment_unchecked(const struct emulated_case *e, const struct oracle_cpu *host,
                              const struct oracle_cpu *engine)
{
    int vector = engine->vector;
    if (e->mode == ORACLE_64 || (vector != GENERAL && vector != STACK) || engine->error ||
        !only_engine_raised(e, host, engine, vector))
        return false;
    for (unsigned i = 0; i < e->in.operand_count; i++)
        if (in_memory(&e->operand[i]) && refused_by_segment(e, &e->operand[i]))
            return true;
    return is_branch(e);
}

static bool short_frame(const struct emulated_case *e, const struct oracle_cpu *host, const struct oracle_cpu *engine)
{
    return e->mode == ORACLE_64 && has_prefix(e, 0x66) &&
           (e->in.mnemonic == ZYDIS_MNEMONIC_ENTER || e->in.mnemonic == ZYDIS_MNEMONIC_LEAVE);
}

static bool odd_segment_register(const struct emulated_case *e, const struct oracle_cpu *host,
                                 const struct oracle_cpu *engine)
{
    return opcode_of(e)[0] == 0x8c && e->in.raw.rex.R;
}

/* Bit 3 of VEX.vvvv, inverted in the last byte but the opcode's: registers 8 to 15. */
static bool high_vex_register(const struct emulated_case *e, const struct oracle_cpu *host,
                              const struct oracle_cpu *engine)
{
    const uint8_t *b = opcode_of(e);
    bool two = *b == 0xc5, three = *b == 0xc4;
    return e->mode != ORACLE_64 && (two || three) && b[1] >= 0xc0 && !(b[two ? 1 : 2] & 0x40);
}

static bool wide_vex(const struct emulated_case *e, const struct oracle_cpu *host, const struct oracle_cpu *engine)
{
    const uint8_t *b = opcode_of(e);
    return e->mode != ORACLE_64 && *b == 0xc4 && b[1] >= 0xc0 && b[2] & 0x80 &&
           only_engine_raised(e, engine, host, UNDEFINED);
}

/* ---- parts of the result ----------------------------------------------------------------------------------------------- */
static void resume_flag(const struct oracle_cpu *host, struct oracle_cpu *engine)
{
    if (!(host->rflags & EFLAGS_RF))
        engine->rflags &= ~(uint64_t)EFLAGS_RF;
}

static void x87_pointers(const struct oracle_cpu *host, struct oracle_cpu *engine)
{
    memcpy(engine->xsave + 6, host->xsave + 6, 18);
}

/* Loaded flags of exceptions that are not masked set them, ES and B. */
static void x87_summary(const struct oracle_cpu *host, struct oracle_cpu *engine)
{
    if ((host->xsave[2] & 0x80) == 0 && (host->xsave[3] & 0x80) == 0) {
        engine->xsave[2] &= 0x7f;
        engine->xsave[3] &= 0x7f;
    }
}

typedef bool (*difference_fn)(const struct emulated_case *e, const struct oracle_cpu *host,
                              const struct oracle_cpu *engine);
struct row {
    const char *emulator, *why;
    void (*forgive)(const struct oracle_cpu *host, struct oracle_cpu *engine); /* this part is taken from the host */
    difference_fn difference; /* a difference of this kind does not count */
};
#define PART(name, why_, fn)                                                                                           \
    {                                                                                                                  \
        .emulator = name, .why = why_, .forgive = fn                                                                   \
    }
#define UNLIKE(name, why_, fn)                                                                                         \
    {                                                                                                                  \
        .emulator = name, .why = why_, .difference = fn                                                                \
    }

static const struct row rows[] = {
    PART("qemu", "x87 pointers are not kept", x87_pointers),
    PART("qemu", "the summary bits of loaded x87 exceptions stay clear", x87_summary),
    PART("qemu", "RF is never set in a fault's frame", resume_flag),
    UNLIKE("qemu", "there are no alignment checks: RFLAGS.AC does nothing", alignment_unchecked),
    UNLIKE("qemu", "a pending x87 exception that XRSTOR brings is not pending", x87_error_forgotten),
    UNLIKE("qemu", "x87 pointers and the environment's reserved halves are others", x87_environment),
    UNLIKE("qemu", "66h before near branches of 64-bit code: displacement or RIP have 16 bits", branch_by_16_bits),
    UNLIKE("qemu", "C6, C7 (MOV) and 8F (POP) ignore ModRM.reg; FF /7 reads; TEST by F6 /1, F7 /1 is #UD",
           group_by_modrm),
    UNLIKE("qemu", "BSWAP of 16 bits, which is undefined, swaps 32", short_swap),
    UNLIKE("qemu", "SHLD, SHRD with a count and a RIP-relative operand: that lies one byte lower", double_shift_by_rip),
    UNLIKE("qemu", "0F 0D, 0F 18 with a register are #UD", prefetch_register),
    UNLIKE("qemu", "REX before another prefix counts", early_rex),
    UNLIKE("qemu", "REX.R and REX.B count in numbers of MMX registers", high_mmx_register),
    UNLIKE("qemu", "VPHSUBSW and VSHUFPD of 256 bits, whose results depend on the registers", vector_of_256_bits),
    UNLIKE("qemu", "scalar AVX instructions with VEX.L are #UD", scalar_of_256_bits),
    UNLIKE("qemu", "VEX.B counts outside 64-bit code", high_vex_base),
    UNLIKE("qemu", "PUSHA, PUSHAD push in the other order", push_all),
    UNLIKE("qemu", "SYSRET outside 64-bit code is #GP on Intel models, too", sysret_of_intel),
    UNLIKE("qemu", "RET's operand has a sign", return_far_down),
    UNLIKE("qemu", "ENTER does not look at the new top of the stack", enter_to_nowhere),
    UNLIKE("qemu", "prefixes that EMMS, MOVNTI, group 15 reserve; CR7; VEX that lacks 66h: not #UD", reserved_form),
    UNLIKE("qemu", "LOCK before what cannot have it is not always #UD", locked_nothing),
    UNLIKE("qemu", "PUSH of a segment register writes all of its slot", segment_push),
    UNLIKE("qemu", "the fault of a read-modify-write is its read's", fault_of_read),
    UNLIKE("qemu", "#SS for an address that is not canonical is #GP", stack_as_general),
    UNLIKE("qemu", "operands of SSE need no alignment", misaligned_vector),
    UNLIKE("qemu", "a branch to an address that is not canonical faults there", branch_to_nowhere),
    UNLIKE("qemu", "INT's error code has the wrong vector in long mode", error_of_int),
    UNLIKE("qemu", "x87 and MMX instructions change state before they fault", x87_before_fault),
    UNLIKE("qemu", "MASKMOVQ, MASKMOVDQU fault at the first byte that is stored, if any", inside_masked_store),
    UNLIKE("qemu", "undefined flags of decimal arithmetic", decimal_flags),
    UNLIKE("qemu", "limits and types of segments are not checked", segment_unchecked),
    UNLIKE("bochs", "66h before near branches of 64-bit code has no effect on AMD models", branch_by_all_bits),
    UNLIKE("bochs", "PUSH of a segment register writes 16 bits of its slot on AMD models, too", segment_push_of_amd),
    UNLIKE("bochs", "ENTER, LEAVE with 66h in 64-bit code", short_frame),
    UNLIKE("bochs", "REX.R counts in MOV from segment registers", odd_segment_register),
    UNLIKE("bochs", "bit 3 of VEX.vvvv counts outside 64-bit code", high_vex_register),
    UNLIKE("bochs", "VEX.W outside 64-bit code is #UD", wide_vex),
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
    GHashTable *met[G_N_ELEMENTS(rows)]; /* what: how often */
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
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        m->met[i] = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    ZydisDecoderInit(&m->decoder, modes[mode], widths[mode]);
    return m;
}

void oracle_emulator_free(struct oracle_emulator *m)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        g_hash_table_unref(m->met[i]);
    g_free(m->name);
    g_free(m);
}

void oracle_emulator_case(struct oracle_emulator *m, const struct oracle_case *c)
{
    struct emulated_case *e = &m->e;
    e->c = c;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&m->decoder, c->bytes, 15, &e->in, e->operand))) {
        memset(&e->in, 0, sizeof e->in);
        memset(e->operand, 0, sizeof e->operand);
    }
}

/* Counted by mnemonic, or by the first bytes of what is no instruction. */
static void meet(struct oracle_emulator *m, unsigned row)
{
    const struct emulated_case *e = &m->e;
    const uint8_t *b = opcode_of(e);
    char *what = e->in.length ? g_strdup(ZydisMnemonicGetString(e->in.mnemonic))
                              : g_strdup_printf("%02x_%02x_%02x_%02x", b[0], b[1], b[2], b[3]);
    int n = GPOINTER_TO_INT(g_hash_table_lookup(m->met[row], what));
    g_hash_table_replace(m->met[row], what, GINT_TO_POINTER(n + 1));
}

void oracle_emulator_forgive(struct oracle_emulator *m, const struct oracle_cpu *host, struct oracle_cpu *engine)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        if (!strcmp(rows[i].emulator, m->name) && rows[i].forgive) {
            struct oracle_cpu before = *engine;
            rows[i].forgive(host, engine);
            if (!oracle_same(m->e.mode, &before, engine))
                meet(m, i);
        }
}

bool oracle_emulator_excuses(struct oracle_emulator *m, const struct oracle_cpu *host, const struct oracle_cpu *engine)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        if (!strcmp(rows[i].emulator, m->name) && rows[i].difference && rows[i].difference(&m->e, host, engine)) {
            meet(m, i);
            return true;
        }
    return false;
}

void oracle_emulator_report(const struct oracle_emulator *m)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        GHashTableIter all;
        gpointer what, times;
        unsigned sum = 0;
        g_autoptr(GString) list = g_string_new(NULL);
        g_hash_table_iter_init(&all, m->met[i]);
        while (g_hash_table_iter_next(&all, &what, &times)) {
            sum += GPOINTER_TO_UINT(times);
            g_string_append_printf(list, " %s", (const char *)what);
            if (GPOINTER_TO_UINT(times) > 1)
                g_string_append_printf(list, "*%u", GPOINTER_TO_UINT(times));
        }
        if (sum)
            printf("# %s, %s %u times: %s:%s\n", m->name, rows[i].forgive ? "not compared" : "unlike, and not counted,",
                   sum, rows[i].why, list->str);
    }
}
