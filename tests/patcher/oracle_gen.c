// SPDX-License-Identifier: GPL-2.0-or-later
/* oracle_gen.c - random instructions and random states in which they do something.
 *
 * Instructions are put together from prefixes, opcode map, opcode, ModRM, SIB, displacement and immediate, each random
 * but biased to what is legal; some are mere bytes.  Registers are mostly pointers into the window, and those that
 * address the instruction's memory operand are set so that it lands there, often at a page's end. */
#include "tests/patcher/oracle.h"
#include <Zydis/Zydis.h>
#include <string.h>

struct oracle_gen {
    enum oracle_mode mode;
    uint64_t seed, window_block, vector_block;
    uint64_t rng; /* state */
    uint8_t xsave[X86_XSAVE_BYTES];
    uint64_t xcr0;
    bool fsgsbase;
    ZydisDecoder decoder;
};

/* ---- random numbers (splitmix64) -------------------------------------------------------------------------------------- */
static uint64_t next(struct oracle_gen *g)
{
    uint64_t z = g->rng += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static void reseed(struct oracle_gen *g, uint64_t stream, uint64_t index)
{
    g->rng = g->seed * 0x2545f4914f6cdd1d + stream;
    g->rng = next(g) ^ index * 0xd1342543de82ef95;
    next(g);
}

static unsigned below(struct oracle_gen *g, unsigned n)
{
    return (unsigned)(next(g) >> 32) % n;
}

static bool percent(struct oracle_gen *g, unsigned p)
{
    return below(g, 100) < p;
}

static uint64_t integer(struct oracle_gen *g)
{
    static const uint64_t odd[] = {0,           1,
                                   2,           0x7f,
                                   0x80,        0xff,
                                   0x7fff,      0x8000,
                                   0xffff,      0x7fffffff,
                                   0x80000000,  0xffffffff,
                                   0x100000000, ~0ull,
                                   1ull << 63,  ~0ull >> 1,
                                   31,          32,
                                   33,          63,
                                   64,          0x8000000000000001};
    if (percent(g, 35))
        return odd[below(g, G_N_ELEMENTS(odd))];
    return next(g) >> (percent(g, 50) ? below(g, 64) : 0);
}

/* ---- vector and x87 state ---------------------------------------------------------------------------------------------- */
static void floats32(struct oracle_gen *g, void *to)
{
    static const uint32_t odd[] = {0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000,
                                   0x7fc00000, 0x7f800001, 0xffc12345, 1,          0x007fffff, 0x00800000,
                                   0x7f7fffff, 0x4f000000, 0xcf000000, 0x5f000000, 0x3f000000, 0x33800000};
    uint32_t v[2];
    for (int i = 0; i < 2; i++)
        v[i] = percent(g, 50) ? odd[below(g, G_N_ELEMENTS(odd))] : (uint32_t)next(g);
    memcpy(to, v, 8);
}

static uint64_t float64(struct oracle_gen *g)
{
    static const uint64_t odd[] = {0,
                                   1ull << 63,
                                   0x3ff0000000000000,
                                   0xbff0000000000000,
                                   0x7ff0000000000000,
                                   0xfff0000000000000,
                                   0x7ff8000000000000,
                                   0x7ff0000000000001,
                                   0xfff8123456789abc,
                                   1,
                                   0x000fffffffffffff,
                                   0x0010000000000000,
                                   0x7fefffffffffffff,
                                   0x41e0000000000000,
                                   0x43e0000000000000,
                                   0x3fe0000000000000,
                                   0x36a0000000000000,
                                   0x47efffffffffffff};
    return percent(g, 70) ? odd[below(g, G_N_ELEMENTS(odd))] : next(g);
}

/* Eight bytes of whatever vectors and memory hold. */
static void datum(struct oracle_gen *g, unsigned kind, void *to)
{
    uint64_t v = 0;
    switch (kind) {
    case 0: floats32(g, to); return;
    case 1: v = float64(g); break;
    case 2: v = integer(g); break;
    case 3: v = next(g); break;
    case 4: v = (uint64_t)below(g, 64) | (uint64_t)below(g, 64) << 32; break; /* small indices for gathers */
    case 5: v = percent(g, 50) ? 0 : ~0ull; break;
    }
    memcpy(to, &v, 8);
}

static void fill(struct oracle_gen *g, uint8_t *to, unsigned bytes)
{
    unsigned kind = 0;
    for (unsigned i = 0; i < bytes; i += 8) {
        if (i % 32 == 0)
            kind = below(g, 6);
        datum(g, kind, to + i);
    }
}

static void x87_register(struct oracle_gen *g, uint8_t *to)
{
    static const uint16_t exponents[] = {0,      1,      0x3fff, 0x7fff, 0xffff, 0x8000, 0xbfff,
                                         0x4000, 0x403e, 0x3ffe, 0x7ffe, 0x401e, 0x3f80};
    static const uint64_t mantissas[] = {0, 1ull << 63, 3ull << 62, ~0ull, 1, 0xa000000000000000, 0x8000000000000001};
    uint16_t e = percent(g, 70) ? exponents[below(g, G_N_ELEMENTS(exponents))] : (uint16_t)next(g);
    uint64_t m =
        percent(g, 60) ? mantissas[below(g, G_N_ELEMENTS(mantissas))] : next(g) | (percent(g, 80) ? 1ull << 63 : 0);
    memcpy(to, &m, 8);
    memcpy(to + 8, &e, 2);
}

static void put16(uint8_t *to, unsigned v)
{
    to[0] = (uint8_t)v;
    to[1] = (uint8_t)(v >> 8);
}

/* Bytes that belong to no component are the host's to clear. */
static void clear_gaps(const struct oracle_gen *g, uint8_t *x)
{
    uint8_t old[ORACLE_XSAVE_BYTES];
    memcpy(old, x, sizeof old);
    memset(x + 576, 0, ORACLE_XSAVE_BYTES - 576);
    for (unsigned i = 2; i < HOST_XCOMPONENTS; i++) {
        const struct host_xcomponent *k = &oracle_host_cpu()->component[i];
        if (g->xcr0 >> i & 1)
            memcpy(x + k->offset, old + k->offset, k->bytes);
    }
}

static void make_xsave(struct oracle_gen *g, uint8_t *x)
{
    uint64_t bv = percent(g, 80) ? g->xcr0 : next(g) & g->xcr0;
    if (!oracle_host_cpu()->xcr0) /* FXRSTOR knows no initial parts */
        bv = g->xcr0;
    fill(g, x, ORACLE_XSAVE_BYTES);
    clear_gaps(g, x);
    memset(x, 0, 32);
    put16(x, percent(g, 60)
                 ? 0x37f
                 : ((unsigned)next(g) & (percent(g, 70) ? 0xf40 : 0x1f7f)) | 0x40 | (percent(g, 80) ? 0x3f : 0));
    put16(x + 2, (unsigned)next(g) & (percent(g, 70) ? 0x7f00 & ~(percent(g, 50) ? 0x3800u : 0) : 0x7f7f));
    x[4] = percent(g, 30) ? 0xff : percent(g, 30) ? 0 : (uint8_t)next(g);
    uint32_t mxcsr = 0x1f80 | (percent(g, 40) ? (uint32_t)next(g) & 0xe07f : 0);
    if (percent(g, 10))
        mxcsr &= ~(uint32_t)next(g) | 0x7f;
    memcpy(x + 24, &mxcsr, 4);
    for (unsigned i = 0; i < 8; i++) {
        memset(x + 32 + 16 * i, 0, 16);
        x87_register(g, x + 32 + 16 * i);
    }
    memset(x + 416, 0, 576 - 416);
    memcpy(x + 512, &bv, 8);
}

/* ---- addresses ------------------------------------------------------------------------------------------------------------ */
/* Offset in the data segments of somewhere in the window. */
static uint64_t window_address(struct oracle_gen *g)
{
    const struct oracle_layout *l = &oracle_layouts[g->mode];
    static const int ends[] = {0, 0x1000, ORACLE_RW_BYTES, ORACLE_WIN_BYTES};
    int64_t at;
    if (percent(g, 60))
        at = 64 + 16 * (int)below(g, 0x1000 / 16) + (percent(g, 50) ? 0 : (int)below(g, 16));
    else if (percent(g, 80))
        at = 0x1000 - (int)below(g, 72);
    else
        at = ends[below(g, 4)] + (int)below(g, 80) - 64;
    return l->win - l->seg[X86_DS].base + (uint64_t)at;
}

static uint64_t width_mask(const struct oracle_gen *g)
{
    return g->mode == ORACLE_64 ? ~0ull : 0xffffffff;
}

static void make_registers(struct oracle_gen *g, struct oracle_cpu *cpu)
{
    const struct oracle_layout *l = &oracle_layouts[g->mode];
    for (int i = 0; i < (g->mode == ORACLE_64 ? 16 : 8); i++)
        cpu->gpr[i] = (percent(g, 45) ? window_address(g) : integer(g)) & width_mask(g);
    if (percent(g, 60))
        cpu->gpr[X86_RCX] = below(g, 40);
    if (percent(g, 90))
        cpu->gpr[X86_RSP] = window_address(g) & (percent(g, 70) ? ~7ull : ~0ull);
    for (int i = X86_RSI; i <= X86_RDI; i++)
        if (percent(g, 60))
            cpu->gpr[i] = window_address(g);
    if (g->mode == ORACLE_16) /* IRETQ does not load the upper half */
        cpu->gpr[X86_RSP] = (cpu->gpr[X86_RSP] & 0xffff) | 0x530000;
    cpu->rflags = 0x202 | (next(g) & 0x8d5) | (percent(g, 15) ? 0x400 : 0);
    if (percent(g, 2))
        cpu->rflags |= 1 << 18; /* AC */
    if (percent(g, 2))
        cpu->rflags |= (next(g) & 1 << 21) | (next(g) & 1 << 14); /* ID, NT */
    cpu->fs_base = percent(g, 80) ? l->win + 8 * below(g, 64) : percent(g, 50) ? 0 : integer(g) >> 17;
    cpu->gs_base = percent(g, 80) ? l->win - 0x1000 + below(g, 64) : percent(g, 50) ? 0 : integer(g) >> 17;
    if (!g->fsgsbase)
        cpu->fs_base = cpu->gs_base = 0;
}

/* ---- instructions ----------------------------------------------------------------------------------------------------------- */
struct builder {
    uint8_t b[40];
    unsigned n;
    uint8_t seg; /* override, or X86_SEGS */
    bool p67;
    uint8_t rex; /* R X B in bits 2 1 0 */
    bool vsib;
};

static void byte(struct builder *b, unsigned v)
{
    b->b[b->n++] = (uint8_t)v;
}

static void make_prefixes(struct oracle_gen *g, struct builder *b, bool vector)
{
    static const uint8_t segs[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
    b->seg = X86_SEGS;
    if (percent(g, 3))
        byte(b, 0xf0);
    if (percent(g, 6)) {
        byte(b, 0x67);
        b->p67 = true;
    }
    if (percent(g, 10)) {
        b->seg = (uint8_t)below(g, 6);
        byte(b, segs[b->seg]);
    }
    if (percent(g, vector ? 1 : 22))
        byte(b, 0x66);
    if (percent(g, vector ? 1 : 18))
        byte(b, percent(g, 50) ? 0xf2 : 0xf3);
    if (percent(g, 2))
        byte(b, 0x66);
}

static void set_register(struct oracle_gen *g, struct oracle_cpu *cpu, unsigned n, uint64_t v)
{
    if (g->mode != ORACLE_64)
        n &= 7;
    if (g->mode == ORACLE_16 && n == X86_RSP)
        return;
    cpu->gpr[n] = v & width_mask(g);
}

static unsigned base_segment(const struct builder *b, bool stack)
{
    return b->seg != X86_SEGS ? b->seg : stack ? X86_SS : X86_DS;
}

/* Linear window address as an offset in the segment that the operand will use. */
static uint64_t operand_target(struct oracle_gen *g, const struct builder *b, const struct oracle_cpu *cpu, bool stack)
{
    const struct oracle_layout *l = &oracle_layouts[g->mode];
    unsigned seg = base_segment(b, stack);
    uint64_t base = l->seg[seg].base;
    if (g->mode == ORACLE_64)
        base = seg == X86_FS ? cpu->fs_base : seg == X86_GS ? cpu->gs_base : 0;
    return window_address(g) + l->seg[X86_DS].base - base;
}

static uint64_t displacement(struct oracle_gen *g, struct builder *b, unsigned bytes)
{
    uint64_t v = percent(g, 60) ? below(g, 64) : next(g);
    for (unsigned i = 0; i < bytes; i++)
        byte(b, (unsigned)(v >> 8 * i));
    return bytes == 1 ? (uint64_t)(int8_t)v : bytes == 2 ? (uint64_t)(int16_t)v : bytes ? (uint64_t)(int32_t)v : 0;
}

static void absolute(struct oracle_gen *g, struct builder *b, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        byte(b, (unsigned)(v >> 8 * i));
}

static void operand16(struct oracle_gen *g, struct builder *b, struct oracle_cpu *cpu, unsigned mod, unsigned rm)
{
    static const uint8_t bases[] = {X86_RBX, X86_RBX, X86_RBP, X86_RBP, X86_RSI, X86_RDI, X86_RBP, X86_RBX};
    bool stack = rm == 2 || rm == 3 || (rm == 6 && mod);
    uint64_t target = operand_target(g, b, cpu, stack);
    if (mod == 0 && rm == 6) {
        absolute(g, b, target, 2);
        return;
    }
    target -= displacement(g, b, mod == 0 ? 0 : mod);
    if (rm < 4)
        target -= cpu->gpr[rm & 1 ? X86_RDI : X86_RSI];
    cpu->gpr[bases[rm]] = (cpu->gpr[bases[rm]] & ~0xffffull) | (target & 0xffff);
}

static void operand_sib(struct oracle_gen *g, struct builder *b, struct oracle_cpu *cpu, unsigned mod)
{
    unsigned sib = (unsigned)next(g) & 0xff, base = (sib & 7) | (b->rex & 1) << 3;
    unsigned index = (sib >> 3 & 7) | (b->rex & 2) << 2, scale = sib >> 6;
    byte(b, sib);
    bool no_base = mod == 0 && (sib & 7) == 5;
    uint64_t target = operand_target(g, b, cpu, !no_base && (base == X86_RSP || base == X86_RBP));
    bool no_index = index == 4 || b->vsib;
    if (no_base && no_index) {
        absolute(g, b, target, 4);
        return;
    }
    uint64_t disp = displacement(g, b, no_base ? 4 : mod == 0 ? 0 : mod == 1 ? 1 : 4);
    if (no_base)
        set_register(g, cpu, index, (target - disp) >> scale);
    else if (no_index)
        set_register(g, cpu, base, target - disp);
    else if (index != base) {
        if (percent(g, 70))
            set_register(g, cpu, index, below(g, 200));
        set_register(g, cpu, base, target - disp - (cpu->gpr[g->mode == ORACLE_64 ? index : index & 7] << scale));
    }
}

static void operand32(struct oracle_gen *g, struct builder *b, struct oracle_cpu *cpu, unsigned mod, unsigned rm)
{
    if (rm == 4) {
        operand_sib(g, b, cpu, mod);
        return;
    }
    if (mod == 0 && rm == 5) {
        uint64_t target = operand_target(g, b, cpu, false);
        if (g->mode == ORACLE_64)
            target -= cpu->rip + b->n + 4; /* immediates make it land a little further */
        absolute(g, b, target, 4);
        return;
    }
    unsigned base = rm | (b->rex & 1) << 3;
    uint64_t target = operand_target(g, b, cpu, base == X86_RSP || base == X86_RBP);
    set_register(g, cpu, base, target - displacement(g, b, mod == 0 ? 0 : mod == 1 ? 1 : 4));
}

static void make_modrm(struct oracle_gen *g, struct builder *b, struct oracle_cpu *cpu)
{
    unsigned mod = percent(g, 35) ? 3 : below(g, 3), rm = below(g, 8);
    if (b->vsib && percent(g, 90)) {
        mod = below(g, 3);
        rm = 4;
    }
    byte(b, mod << 6 | below(g, 8) << 3 | rm);
    if (mod == 3)
        return;
    if ((g->mode == ORACLE_16) != b->p67)
        operand16(g, b, cpu, mod, rm);
    else
        operand32(g, b, cpu, mod, rm);
}

static void make_legacy(struct oracle_gen *g, struct builder *b, struct oracle_cpu *cpu, unsigned map)
{
    make_prefixes(g, b, false);
    if (g->mode == ORACLE_64 && percent(g, 45)) {
        b->rex = (uint8_t)below(g, 16);
        byte(b, 0x40 | b->rex);
    }
    unsigned opcode = below(g, 256);
    if (map)
        byte(b, 0x0f);
    if (map > 1)
        byte(b, map == 2 ? 0x38 : 0x3a);
    byte(b, opcode);
    if (map == 0 && (opcode & 0xfc) == 0xa0 && percent(g, 70)) { /* MOV with an absolute offset */
        absolute(g, b, operand_target(g, b, cpu, false), 8);
        return;
    }
    make_modrm(g, b, cpu);
}

static void make_vex(struct oracle_gen *g, struct builder *b, struct oracle_cpu *cpu)
{
    make_prefixes(g, b, true);
    unsigned inverted = g->mode == ORACLE_64 ? (unsigned)next(g) & 7 : 7, vvvv = percent(g, 45) ? 15 : below(g, 16);
    unsigned opcode = below(g, 256), pp = below(g, 4), l = below(g, 2);
    if (g->mode != ORACLE_64 && percent(g, 90))
        vvvv |= 8;
    if (percent(g, 30)) {
        byte(b, 0xc5);
        b->rex = inverted & 4 ? 0 : 4;
        byte(b, (inverted & 4) << 5 | vvvv << 3 | l << 2 | pp);
    } else {
        unsigned map = percent(g, 95) ? 1 + below(g, 3) : below(g, 32), w = below(g, 2);
        byte(b, 0xc4);
        b->rex = (uint8_t)(~inverted & 7);
        byte(b, inverted << 5 | map);
        byte(b, w << 7 | vvvv << 3 | l << 2 | pp);
        b->vsib = map == 2 && opcode >= 0x90 && opcode <= 0x93;
    }
    byte(b, opcode);
    make_modrm(g, b, cpu);
}

static void make_evex(struct oracle_gen *g, struct builder *b, struct oracle_cpu *cpu)
{
    make_prefixes(g, b, true);
    unsigned inverted = g->mode == ORACLE_64 ? (unsigned)next(g) & 15 : 15, vvvv = percent(g, 45) ? 15 : below(g, 16);
    unsigned opcode = below(g, 256), map = percent(g, 97) ? 1 + below(g, 3) : below(g, 8);
    if (g->mode != ORACLE_64 && percent(g, 90))
        vvvv |= 8;
    byte(b, 0x62);
    b->rex = (uint8_t)(~inverted >> 1 & 7);
    byte(b, inverted << 4 | map);
    byte(b, below(g, 2) << 7 | vvvv << 3 | 4 | below(g, 4));
    unsigned z = percent(g, 25), l = below(g, 3), broadcast = percent(g, 25), v = percent(g, 85);
    byte(b, z << 7 | l << 5 | broadcast << 4 | v << 3 | (percent(g, 40) ? 0 : below(g, 8)));
    b->vsib = map == 2 && ((opcode >= 0x90 && opcode <= 0x93) || (opcode >= 0xa0 && opcode <= 0xa3));
    byte(b, opcode);
    make_modrm(g, b, cpu);
}

static void make_instruction(struct oracle_gen *g, struct builder *b, struct oracle_cpu *cpu)
{
    unsigned kind = below(g, 100);
    bool evex = g->xcr0 >> 5 & 1;
    memset(b, 0, sizeof *b);
    if (kind < 38)
        make_legacy(g, b, cpu, 0);
    else if (kind < 64)
        make_legacy(g, b, cpu, 1);
    else if (kind < 71)
        make_legacy(g, b, cpu, 2);
    else if (kind < 75)
        make_legacy(g, b, cpu, 3);
    else if (kind < 85)
        make_vex(g, b, cpu);
    else if (kind < 95 && evex)
        make_evex(g, b, cpu);
    unsigned soup = b->n ? 8 : 15;
    for (uint64_t v = percent(g, 60) ? next(g) : integer(g); soup--; v = v >> 8 | next(g) << 56)
        byte(b, (unsigned)v & 0xff);
}

/* ---- cases -------------------------------------------------------------------------------------------------------------------- */
struct oracle_gen *oracle_gen_new(enum oracle_mode mode, uint64_t seed)
{
    struct oracle_gen *g = g_new0(struct oracle_gen, 1);
    g->mode = mode;
    g->seed = seed;
    g->window_block = g->vector_block = ~0ull;
    g->xcr0 = oracle_host_states() & 0xe7;
    g->fsgsbase = oracle_host_has_fsgsbase();
    static const ZydisMachineMode modes[] = {ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
                                             ZYDIS_MACHINE_MODE_LONG_COMPAT_16};
    static const ZydisStackWidth widths[] = {ZYDIS_STACK_WIDTH_64, ZYDIS_STACK_WIDTH_32, ZYDIS_STACK_WIDTH_16};
    ZydisDecoderInit(&g->decoder, modes[mode], widths[mode]);
    ZydisDecoderEnableMode(&g->decoder, ZYDIS_DECODER_MODE_AMD_BRANCHES, oracle_host_cpu()->amd);
    return g;
}

void oracle_gen_free(struct oracle_gen *g)
{
    g_free(g);
}

static unsigned code_offset(struct oracle_gen *g)
{
    if (percent(g, 94))
        return 0x400 + 16 * below(g, 32) + (percent(g, 20) ? below(g, 16) : 0);
    return (percent(g, 50) ? 0x1000 : 0x2000) - below(g, 16);
}

static bool decodes(struct oracle_gen *g, const uint8_t *bytes, ZydisDecodedInstruction *in)
{
    return ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&g->decoder, NULL, bytes, 15, in));
}

/* XSAVE, XRSTOR and their like leave alone what the host's system has enabled and the engine never offers. */
static void request_offered(struct oracle_gen *g, const uint8_t *bytes, struct oracle_cpu *cpu)
{
    const uint8_t *b = bytes + oracle_prefixes(g->mode, bytes);
    if (*b == 0x0f && (b[1] == 0xae || b[1] == 0xc7))
        cpu->gpr[X86_RAX] &= g->xcr0 | ~oracle_host_states();
}

static bool is_vsib(const ZydisDecodedInstruction *in)
{
    return in->meta.category == ZYDIS_CATEGORY_AVX2GATHER || in->meta.category == ZYDIS_CATEGORY_GATHER ||
           in->meta.category == ZYDIS_CATEGORY_SCATTER;
}

/* FNSTENV shows the x87 pointers that the instruction before it left. */
static void append_environment(struct oracle_gen *g, struct oracle_case *c)
{
    static const uint8_t to_stack[] = {0xd9, 0x34, 0x24}, to_si[] = {0xd9, 0x34};
    if (g->mode == ORACLE_16)
        memcpy(c->bytes + c->len, to_si, sizeof to_si);
    else
        memcpy(c->bytes + c->len, to_stack, sizeof to_stack);
    c->len += g->mode == ORACLE_16 ? sizeof to_si : sizeof to_stack;
}

/* HLT stops after an instruction whose length is known.  The single-step trap is slow (hypervisors intercept it), so it
 * has a small share, and those that HLT cannot stop. */
static void finish(struct oracle_gen *g, struct oracle_case *c)
{
    ZydisDecodedInstruction in;
    bool known = decodes(g, c->bytes, &in);
    bool into_itself = known && in.raw.imm[0].is_relative && in.raw.imm[0].value.s < 1 && in.raw.imm[0].value.s > -16;
    bool vsib = known && in.attributes & ZYDIS_ATTRIB_HAS_SIB && is_vsib(&in); /* stepped through by elements */
    if (known && !into_itself && (vsib || percent(g, 92))) {
        c->len = in.length;
        memset(c->bytes + c->len, 0xf4, sizeof c->bytes - c->len);
        if (in.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (in.opcode & 0xf8) == 0xd8 && percent(g, 30))
            append_environment(g, c);
    } else {
        c->len = 0;
        c->cpu.rflags |= 0x100;
        memset(c->bytes + 15, 0xf4, sizeof c->bytes - 15);
    }
}

/* Most of what is no instruction is tried again.  How much of it is fetched before the CPU knows, at the end of a page or
 * beyond 15 bytes, is anybody's guess. */
static bool acceptable(struct oracle_gen *g, unsigned at, const uint8_t *bytes)
{
    ZydisDecodedInstruction in;
    bool open_end = at > ORACLE_CODE_BYTES - 16 || oracle_prefixes(g->mode, bytes) > 1;
    return !oracle_excluded(g->mode, bytes) && ((!open_end && percent(g, 15)) || decodes(g, bytes, &in));
}

bool oracle_gen_case(struct oracle_gen *g, uint64_t index, struct oracle_case *c, uint8_t window[ORACLE_WIN_BYTES])
{
    const struct oracle_layout *l = &oracle_layouts[g->mode];
    bool fresh = g->window_block != index >> 10;
    if (fresh) {
        g->window_block = index >> 10;
        reseed(g, 1, g->window_block);
        fill(g, window, ORACLE_WIN_BYTES);
    }
    if (g->vector_block != index >> 3) {
        g->vector_block = index >> 3;
        reseed(g, 2, g->vector_block);
        make_xsave(g, g->xsave);
    }
    reseed(g, 3, index);
    memset(&c->cpu, 0, offsetof(struct oracle_cpu, xsave));
    memcpy(c->cpu.xsave, g->xsave, sizeof g->xsave);
    struct builder b;
    do {
        c->at = code_offset(g);
        c->cpu.rip = l->code + c->at - l->seg[X86_CS].base;
        make_registers(g, &c->cpu);
        make_instruction(g, &b, &c->cpu);
    } while (!acceptable(g, c->at, b.b));
    memcpy(c->bytes, b.b, 15);
    request_offered(g, c->bytes, &c->cpu);
    finish(g, c);
    return fresh;
}
