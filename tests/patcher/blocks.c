// SPDX-License-Identifier: GPL-2.0-or-later
/* blocks.c - tier 2 against tier 1: straight code of several random instructions, with conditional jumps to the next
 * instruction strewn in, must end in the same state or the same fault in both.
 *
 *   blocks --mode 64|32 [--cases N] [--seed S] [--first I] [--show]
 *
 * What an instruction alone cannot show is tested here: flags that are left wrong because they are dead, or made again,
 * between instructions; registers and vector state across detours; chained runs.  Where a block ends in a fault, its
 * arithmetic flags are not compared (docs/ENGINE.md says why).  On hosts where flags that an instruction leaves undefined
 * depend on its form, tier 1 and tier 2 differ in them: there a comparison follows such an instruction. */
#include "tests/patcher/oracle.h"
#include "patcher/patcher.h"
#include <stdio.h>
#include <string.h>

enum { MOST = 12 };

struct blocks {
    enum oracle_mode mode;
    struct oracle_gen *gen;
    struct oracle_guest *guest[2];
    uint8_t window[ORACLE_WIN_BYTES];
    GRand *random;
    gboolean show;
};

/* Branches would leave the block or never end. */
static bool is_branch(const uint8_t *p, enum oracle_mode mode)
{
    while (*p == 0x66 || *p == 0x67 || *p == 0xf0 || *p == 0xf2 || *p == 0xf3 || *p == 0x2e || *p == 0x36 ||
           *p == 0x3e || *p == 0x26 || *p == 0x64 || *p == 0x65 || (mode == ORACLE_64 && (*p & 0xf0) == 0x40))
        p++;
    if (*p == 0x0f)
        return (p[1] & 0xf0) == 0x80;
    bool near_far = (*p & 0xf0) == 0x70 || (*p >= 0xe0 && *p <= 0xe3) || (*p >= 0xe8 && *p <= 0xeb) || *p == 0x9a;
    bool returns = *p == 0xc2 || *p == 0xc3 || (*p >= 0xca && *p <= 0xcf) || *p == 0xf4;
    return near_far || returns || (*p == 0xff && (p[1] >> 3 & 7) >= 2 && (p[1] >> 3 & 7) <= 5);
}

static unsigned add_instruction(struct blocks *b, uint64_t index, uint8_t *to)
{
    static const uint8_t compare_eax_ebx[] = {0x39, 0xd8};
    struct oracle_case c;
    uint8_t window[ORACLE_WIN_BYTES];
    oracle_gen_case(b->gen, index, &c, window);
    if (!c.len || is_branch(c.bytes, b->mode) || oracle_excluded(b->mode, c.bytes))
        return 0;
    memcpy(to, c.bytes, c.len);
    if (!oracle_host_cpu()->quirks.flags_by_form || !oracle_undefined_flags(b->mode, c.bytes))
        return c.len;
    memcpy(to + c.len, compare_eax_ebx, sizeof compare_eax_ebx);
    return c.len + sizeof compare_eax_ebx;
}

/* What compilers do to objects and stack frames: operands beside each other, at moving bases.  Made by hand, because
 * random instructions rarely have a base in common. */
static unsigned add_object_access(struct blocks *b, uint8_t *to)
{
    static const uint8_t with_operand[] = {0x8b, 0x89, 0x03, 0x01, 0x3b, 0x8a, 0x88, 0x33, 0x39, 0x85, 0x86, 0x2b};
    static const uint8_t bases[] = {X86_RBX, X86_RSI, X86_RBP, X86_RSP};
    bool wide = b->mode == ORACLE_64;
    unsigned n = 0, base = bases[g_rand_int_range(b->random, 0, 4)], reg = g_rand_int_range(b->random, 0, 8);
    switch (g_rand_int_range(b->random, 0, 8)) {
    case 0: to[n++] = 0x50 | reg; break;                        /* PUSH */
    case 1: to[n++] = 0x58 | (reg == X86_RSP ? 0 : reg); break; /* POP */
    case 2:                                                     /* ADD or SUB base, imm8 */
    case 3:                                                     /* LEA base, [base + disp8] */
        if (wide)
            to[n++] = 0x48;
        if (g_rand_boolean(b->random)) {
            to[n++] = 0x83;
            to[n++] = (g_rand_boolean(b->random) ? 0xc0 : 0xe8) | base;
        } else {
            to[n++] = 0x8d;
            to[n++] = 0x40 | base << 3 | base;
            if (base == X86_RSP)
                to[n++] = 0x24;
        }
        to[n++] = g_rand_int_range(b->random, -4, 5) * 8;
        break;
    default:
        if (wide && g_rand_boolean(b->random))
            to[n++] = 0x48 | g_rand_int_range(b->random, 0, 2) << 2;
        to[n++] = with_operand[g_rand_int_range(b->random, 0, sizeof with_operand)];
        to[n++] = 0x40 | reg << 3 | base;
        if (base == X86_RSP)
            to[n++] = 0x24;
        to[n++] = g_rand_int_range(b->random, -128, 128);
    }
    return n;
}

static unsigned put_operand(struct blocks *b, uint8_t *to, unsigned reg, unsigned base, int disp)
{
    unsigned n = 0;
    to[n++] = 0x40 | reg << 3 | base;
    if (base == X86_RSP)
        to[n++] = 0x24;
    to[n++] = disp;
    return n;
}

/* MXCSR or FCW, perhaps with some exceptions unmasked, by way of memory. */
static unsigned add_control_word(struct blocks *b, uint8_t *to, unsigned base, int disp)
{
    bool sse = g_rand_boolean(b->random);
    uint32_t masks = g_rand_boolean(b->random) ? 0x3f : g_rand_int_range(b->random, 0, 0x40);
    uint32_t v = sse ? masks << 7 | g_rand_int_range(b->random, 0, 4) << 13 : 0x300 | masks;
    unsigned n = 0;
    to[n++] = 0xc7;
    n += put_operand(b, to + n, 0, base, disp);
    memcpy(to + n, &v, 4);
    n += 4;
    if (sse)
        to[n++] = 0x0f;
    to[n++] = sse ? 0xae : 0xd9;
    return n + put_operand(b, to + n, sse ? 2 : 5, base, disp);
}

/* What faults, or may: misaligned operands of 16 bytes, division, unmasked exceptions, breakpoints. */
static unsigned add_likely_fault(struct blocks *b, uint8_t *to)
{
    static const struct {
        uint8_t len, bytes[4], imm;
    } aligned[] = {{2, "\x0f\x58"},     {2, "\x0f\x28"},         {2, "\x0f\x29"},           {2, "\x0f\x5e"},
                   {3, "\x66\x0f\x6f"}, {3, "\x66\x0f\x7f"},     {3, "\x66\x0f\xfe"},       {3, "\x66\x0f\xe7"},
                   {2, "\x0f\x2b"},     {4, "\x66\x0f\x38\xdc"}, {4, "\x66\x0f\x38"},       {3, "\x0f\x38\xc8"},
                   {3, "\x0f\x38\xc9"}, {3, "\x0f\x38\xca"},     {3, "\x0f\x38\xcb"},       {3, "\x0f\x38\xcc"},
                   {3, "\x0f\x38\xcd"}, {3, "\x0f\x3a\xcc", 1},  {4, "\x66\x0f\x3a\x44", 1}};
    static const uint8_t bases[] = {X86_RBX, X86_RSI, X86_RBP, X86_RSP}, traps[] = {0xcc, 0xf1, 0xce};
    unsigned n = 0, base = bases[g_rand_int_range(b->random, 0, 4)], reg = g_rand_int_range(b->random, 0, 8);
    int disp = g_rand_int_range(b->random, -128, 128) & (g_rand_boolean(b->random) ? ~0 : ~7);
    switch (g_rand_int_range(b->random, 0, 8)) {
    case 0: to[n++] = traps[g_rand_int_range(b->random, 0, b->mode == ORACLE_64 ? 2 : 3)]; break;
    case 1: return add_control_word(b, to, base, disp);
    case 2:
    case 3: /* DIV, IDIV */
        if (b->mode == ORACLE_64 && g_rand_boolean(b->random))
            to[n++] = 0x48;
        to[n++] = 0xf6 | g_rand_boolean(b->random);
        if (g_rand_boolean(b->random))
            n += put_operand(b, to + n, 6 | (reg & 1), base, disp);
        else
            to[n++] = 0xf0 | (reg & 1) << 3 | g_rand_int_range(b->random, 0, 8);
        break;
    default: {
        unsigned i = g_rand_int_range(b->random, 0, G_N_ELEMENTS(aligned));
        memcpy(to, aligned[i].bytes, aligned[i].len);
        n = aligned[i].len + put_operand(b, to + aligned[i].len, reg, base, disp);
        if (aligned[i].imm)
            to[n++] = reg;
    }
    }
    return n;
}

/* Vector and bit instructions on general registers that translated code has elsewhere; half of them with memory too. */
static unsigned add_away_register(struct blocks *b, uint8_t *to)
{
    static const uint8_t away[] = {10, 11, 14, 15};
    unsigned n = 0, reg = away[g_rand_int_range(b->random, 0, 4)], other = away[g_rand_int_range(b->random, 0, 4)];
    int disp = g_rand_int_range(b->random, -128, 128);
    switch (g_rand_int_range(b->random, 0, 4)) {
    case 0: /* MOVBE, both ways */
        memcpy(to, "\x4c\x0f\x38", 3);
        to[3] = 0xf0 | g_rand_boolean(b->random);
        n = 4;
        break;
    case 1: /* ANDN reg, other, operand */
        memcpy(to, "\xc4\x62", 2);
        to[2] = 0x80 | (~other & 15) << 3;
        to[3] = 0xf2;
        n = 4;
        break;
    case 2: /* CVTTSD2SI */ memcpy(to, "\xf2\x4c\x0f\x2c", n = 4); break;
    default: /* CVTSI2SD XMM3, reg */
        memcpy(to, "\xf2\x49\x0f\x2a", 4);
        to[4] = 0xd8 | (reg & 7);
        return 5;
    }
    return n + put_operand(b, to + n, reg & 7, g_rand_boolean(b->random) ? X86_RBX : X86_RSI, disp);
}

/* Up to MOST instructions and HLT, which faults. */
static unsigned make_block(struct blocks *b, uint64_t index, uint8_t *code)
{
    unsigned n = 0, wanted = g_rand_int_range(b->random, 2, MOST + 1);
    bool objects = g_rand_boolean(b->random);
    for (unsigned i = 0; i < wanted; i++) {
        if (!g_rand_int_range(b->random, 0, 24))
            n += add_likely_fault(b, code + n);
        else if (b->mode == ORACLE_64 && !g_rand_int_range(b->random, 0, 16))
            n += add_away_register(b, code + n);
        else if (objects && g_rand_int_range(b->random, 0, 4))
            n += add_object_access(b, code + n);
        else
            n += add_instruction(b, index + i, code + n);
        if (!g_rand_int_range(b->random, 0, 4)) {
            code[n++] = 0x70 | g_rand_int_range(b->random, 0, 16);
            code[n++] = 0;
        }
    }
    code[n++] = 0xf4;
    return n;
}

/* Most registers point into the window, so that most operands are there. */
static void aim_registers(struct blocks *b, struct oracle_cpu *cpu)
{
    for (unsigned r = 0; r < 16; r++)
        if (g_rand_int_range(b->random, 0, 16) == 0) /* near the end of a page */
            cpu->gpr[r] = oracle_layouts[b->mode].win + 0x1000 * g_rand_int_range(b->random, 0, ORACLE_RW_BYTES >> 12) +
                          g_rand_int_range(b->random, -24, 24);
        else if (r == X86_RSP || g_rand_int_range(b->random, 0, 4))
            cpu->gpr[r] = oracle_layouts[b->mode].win + (g_rand_int_range(b->random, 16, ORACLE_RW_BYTES - 64) & ~7);
}

static bool run_both(struct blocks *b, const uint8_t *code, unsigned n, const struct oracle_cpu *start, bool legacy,
                     struct oracle_cpu out[2])
{
    unsigned at = start->rip - oracle_layouts[b->mode].code;
    for (unsigned i = 0; i < 2; i++) {
        memcpy(oracle_guest_code(b->guest[i]) + at, code, n);
        oracle_guest_wrote_code(b->guest[i], at, n);
        memcpy(oracle_guest_window(b->guest[i]), b->window, ORACLE_WIN_BYTES);
        out[i] = *start;
        if (!oracle_guest_run(b->guest[i], &out[i], legacy))
            return false;
        oracle_canonical(out[i].xsave);
    }
    if (out[0].rip != start->rip + n - 1) /* not at the HLT */
        out[1].rflags = (out[1].rflags & ~(uint64_t)ORACLE_ARITHMETIC) | (out[0].rflags & ORACLE_ARITHMETIC);
    return oracle_same(b->mode, &out[0], &out[1]) &&
           !memcmp(oracle_guest_window(b->guest[0]), oracle_guest_window(b->guest[1]), ORACLE_WIN_BYTES);
}

static void show(const struct blocks *b, uint64_t index, const uint8_t *code, unsigned n)
{
    printf("# mode %d block %" G_GUINT64_FORMAT ":", b->mode == ORACLE_64 ? 64 : 32, index);
    for (unsigned i = 0; i < n; i++)
        printf(" %02x", code[i]);
    printf("\n");
    fflush(stdout); /* the next thing may be a crash */
}

static void report(struct blocks *b, uint64_t index, const uint8_t *code, unsigned n, const struct oracle_cpu *start,
                   const struct oracle_cpu out[2])
{
    show(b, index, code, n);
    printf("# below, host is tier 1 and engine is tier 2\n");
    oracle_print_difference(b->mode, start, &out[0], &out[1]);
    oracle_print_window(b->window, oracle_guest_window(b->guest[0]), oracle_guest_window(b->guest[1]));
}

static bool run(struct blocks *b, uint64_t seed, uint64_t first, uint64_t cases)
{
    static struct oracle_case c;
    static struct oracle_cpu out[2];
    uint64_t finished = 0;
    for (uint64_t i = first; i < first + cases; i++) {
        uint8_t code[MOST * 20 + 1];
        bool legacy = b->mode != ORACLE_64 && i & 1;
        g_rand_set_seed(b->random, (guint32)(seed * 1000003 + i));
        oracle_gen_case(b->gen, i, &c, b->window);
        unsigned n = make_block(b, i, code);
        aim_registers(b, &c.cpu);
        c.cpu.rip = oracle_layouts[b->mode].code;
        if (g_rand_int_range(b->random, 0, 8))
            c.cpu.rip += g_rand_int_range(b->random, 0, ORACLE_CODE_BYTES / 2);
        else /* an instruction of it across the end of the page */
            c.cpu.rip += ORACLE_CODE_BYTES / 2 - g_rand_int_range(b->random, 1, n + 1);
        c.cpu.rflags &= ~0x100ull;
        if (b->show)
            show(b, i, code, n);
        if (!run_both(b, code, n, &c.cpu, legacy, out)) {
            report(b, i, code, n, &c.cpu, out);
            return false;
        }
        finished += out[0].rip == c.cpu.rip + n - 1;
    }
    printf("# %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " blocks ran to their end\n", finished, cases);
    return true;
}

int main(int argc, char **argv)
{
    static struct blocks b;
    int bits = 64;
    gint64 cases = 100000, seed = 1, first = 0;
    g_autoptr(GError) error = NULL;
    const GOptionEntry entries[] = {{"mode", 0, 0, G_OPTION_ARG_INT, &bits, "32 or 64", "BITS"},
                                    {"cases", 0, 0, G_OPTION_ARG_INT64, &cases, "how many", "N"},
                                    {"seed", 0, 0, G_OPTION_ARG_INT64, &seed, "of the random numbers", "S"},
                                    {"first", 0, 0, G_OPTION_ARG_INT64, &first, "index of the first block", "I"},
                                    {"show", 0, 0, G_OPTION_ARG_NONE, &b.show, "print each block before it runs", NULL},
                                    {NULL}};
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fprintf(stderr, "blocks: %s\n", error->message);
        return 2;
    }
    b.mode = bits == 64 ? ORACLE_64 : ORACLE_32;
    b.gen = oracle_gen_new(b.mode, seed);
    b.random = g_rand_new_with_seed(1);
    b.guest[0] = oracle_guest_new(&interp_engine, b.mode);
    b.guest[1] = oracle_guest_new(&soft_engine, b.mode);
    printf("1..1\n");
    bool good = run(&b, seed, first, cases);
    printf("%sok 1 - tiers 1 and 2 agree on %" G_GINT64_FORMAT " blocks of %d-bit code, seed %" G_GINT64_FORMAT "\n",
           good ? "" : "not ", cases, bits, seed);
    return 0;
}
