// SPDX-License-Identifier: GPL-2.0-or-later
/* test_interp_rings.c - into ring 0 and out of it: SYSCALL, SYSRET, SYSENTER and SYSEXIT in every mode as Intel's CPUs and
 * as AMD's have them (the table in patcher/interp/sysinsn.c), and what far returns to an outer ring do with data segments. */
#include "tests/patcher/guest.h"

#define MSR_SYSENTER_ESP 0x175
#define RFLAG_IF         0x200u
#define RFLAG_VM         0x20000u
#define FLAGS            0x8d5u /* all of the arithmetic flags */
#define NOT_CANONICAL    0x0000900000000000ull

enum { AT_LSTAR = 0x5000, AT_CSTAR = 0x5010, AT_STAR = 0x5020, AT_SYSENTER = 0x5030, AT_USER = 0x6000 };
enum { USER_STACK = 0xc000, SYSENTER_STACK = 0xd000, KERNEL_CS = SEL_CODE32, KERNEL_SS = SEL_DATA };
#define SYSRET_BASE (SEL_USER32 & ~3u) /* in STAR without an RPL, to see who sets it */

static const char *const makers[] = {"intel", "amd"};
enum { INTEL, AMD, MAKERS };

/* ---- the table -------------------------------------------------------------------------------------------------------- */
enum mode { REAL, V86, LEGACY, COMPAT, COMPAT_USER, CODE_64, CODE_64_USER, MODES };
static const char *const mode_names[] = {"real", "v86", "legacy", "compat", "compat, ring 3", "64", "64, ring 3"};
enum outcome { UD, GP, LSTAR, CSTAR, STAR, SYSENTER, USER32, USER64, ELSEWHERE };
static const char *const outcome_names[] = {"#UD",          "#GP(0)",         "LSTAR",          "CSTAR",         "STAR",
                                            "SYSENTER_EIP", "ring 3, 32 bit", "ring 3, 64 bit", "something else"};

struct row {
    const char *name;
    uint8_t bytes[3];
    enum outcome expected[MAKERS][MODES];
};
static const struct row rows[] = {
    /*                                       real v86   legacy  compat ring 3 64     ring 3 */
    {"SYSCALL", {0x0f, 0x05}, {{UD, UD, UD, UD, UD, LSTAR, LSTAR}, {UD, STAR, STAR, CSTAR, CSTAR, LSTAR, LSTAR}}},
    {"SYSRET", {0x0f, 0x07}, {{UD, UD, UD, UD, UD, USER32, GP}, {GP, GP, USER32, USER32, GP, USER32, GP}}},
    {"SYSRET, REX.W",
     {0x48, 0x0f, 0x07},
     {{[CODE_64] = USER64, [CODE_64_USER] = GP}, {[CODE_64] = USER64, [CODE_64_USER] = GP}}},
    {"SYSENTER",
     {0x0f, 0x34},
     {{GP, SYSENTER, SYSENTER, SYSENTER, SYSENTER, SYSENTER, SYSENTER}, {GP, SYSENTER, SYSENTER, UD, UD, UD, UD}}},
    {"SYSEXIT", {0x0f, 0x35}, {{GP, GP, USER32, USER32, GP, USER32, GP}, {GP, GP, USER32, UD, UD, UD, UD}}},
    {"SYSEXIT, REX.W",
     {0x48, 0x0f, 0x35},
     {{[CODE_64] = USER64, [CODE_64_USER] = GP}, {[CODE_64] = UD, [CODE_64_USER] = UD}}},
};

static void set_registers(struct guest *g)
{
    struct x86_state *s = &g->s;
    s->efer |= 1;
    s->star = (uint64_t)SYSRET_BASE << 48 | (uint64_t)KERNEL_CS << 32 | AT_STAR;
    s->lstar = AT_LSTAR;
    s->cstar = AT_CSTAR;
    s->sfmask = RFLAG_IF;
    s->sysenter_cs = KERNEL_CS;
    s->sysenter_esp = SYSENTER_STACK;
    s->sysenter_eip = AT_SYSENTER;
    s->gpr[X86_RCX] = s->gpr[X86_RDX] = AT_USER; /* for SYSEXIT: the stack's, too */
    s->gpr[11] = FLAGS | 2;
    s->rflags |= RFLAG_IF;
    for (unsigned at = AT_LSTAR; at <= AT_SYSENTER; at += 16)
        guest_write(g, at, 1, 0xf4);          /* HLT */
    guest_write(g, AT_USER, 2, 0x0b0f);       /* UD2 */
    guest_write(g, GUEST_CODE_AT, 2, 0x0b0f); /* an instruction that does nothing would be seen */
}

static void set_ring_3(struct guest *g, unsigned cs)
{
    g->s.seg[X86_CS] = guest_segment(g, cs);
    g->s.seg[X86_CS].selector = cs;
    for (unsigned i = 0; i < X86_SEGS; i++)
        if (i != X86_CS)
            g->s.seg[i] = guest_segment(g, SEL_USERDATA);
}

static void set_v86(struct guest *g)
{
    for (unsigned i = 0; i < X86_SEGS; i++)
        g->s.seg[i] = (struct x86_seg){.limit = 0xffff, .attr = 0xf3};
    g->s.seg[X86_CS].selector = GUEST_CODE_AT >> 4;
    g->s.seg[X86_CS].base = GUEST_CODE_AT;
    g->s.rip = 0;
    g->s.rflags |= RFLAG_VM;
}

/* A guest that stands before the instruction, in the mode. */
static struct guest *stand(unsigned maker, enum mode mode, const uint8_t *bytes, unsigned n)
{
    struct guest *g = guest_new_maker(1, makers[maker]);
    guest_start(g, mode == REAL ? GUEST_REAL : mode <= LEGACY ? GUEST_PROTECTED : GUEST_LONG);
    set_registers(g);
    if (mode == V86)
        set_v86(g);
    if (mode == COMPAT)
        g->s.seg[X86_CS] = guest_segment(g, SEL_CODE32);
    if (mode == COMPAT_USER)
        set_ring_3(g, SEL_USER32);
    if (mode == CODE_64_USER)
        set_ring_3(g, SEL_USER64);
    memcpy(g->mem + GUEST_CODE_AT, bytes, n);
    return g;
}

static enum outcome where(const struct guest *g)
{
    int vector = guest_vector(g);
    uint64_t ip = guest_frame(g, 0), cs = guest_frame(g, 1);
    bool real = !(g->s.cr0 & 1);
    if (vector == -1)
        switch (g->s.rip - 1) {
        case AT_LSTAR: return LSTAR;
        case AT_CSTAR: return CSTAR;
        case AT_STAR: return STAR;
        case AT_SYSENTER: return SYSENTER;
        default: return ELSEWHERE;
        }
    if (vector == 6 && ip == AT_USER && (cs & 3) == 3 && !real)
        return cs == (SYSRET_BASE | 3) || cs == KERNEL_CS + 16 + 3 ? USER32 : USER64;
    if (vector == 6 && ip == (cs == GUEST_CODE_AT >> 4 ? 0 : GUEST_CODE_AT))
        return UD;
    return vector == 13 && (real || !ip) ? GP : ELSEWHERE; /* ip is the error code there */
}

static void check_row(const struct row *row, unsigned maker, enum mode mode)
{
    bool rex = row->bytes[0] == 0x48;
    if (rex && mode < CODE_64) /* is DEC EAX there */
        return;
    struct guest *g = stand(maker, mode, row->bytes, rex ? 3 : 2);
    guest_run(g);
    enum outcome got = where(g), expected = row->expected[maker][mode];
    if (got != expected)
        g_error("%s, %s, %s: %s instead of %s (vector %d, rip %" G_GINT64_MODIFIER "x)", row->name, makers[maker],
                mode_names[mode], outcome_names[got], outcome_names[expected], guest_vector(g), g->s.rip);
    guest_free(g);
}

static void test_table(gconstpointer data)
{
    const struct row *row = data;
    for (unsigned maker = 0; maker < MAKERS; maker++)
        for (enum mode mode = 0; mode < MODES; mode++)
            check_row(row, maker, mode);
}

/* ---- what they leave -------------------------------------------------------------------------------------------------- */
#define STAND(maker, mode, ...)                                                                                        \
    stand(maker, mode, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void test_syscall_state(void)
{
    struct guest *g = STAND(AMD, LEGACY, 0x0f, 0x05);
    guest_run(g);
    g_assert_cmphex(g->s.gpr[X86_RCX], ==, GUEST_CODE_AT + 2);
    g_assert_cmphex(g->s.gpr[11], ==, FLAGS | 2); /* not saved there */
    g_assert_cmphex(g->s.rflags & RFLAG_IF, ==, 0);
    g_assert_cmphex(g->s.seg[X86_CS].selector, ==, KERNEL_CS);
    g_assert_cmphex(g->s.seg[X86_CS].attr & (X86_ATTR_L | X86_ATTR_DB), ==, X86_ATTR_DB);
    guest_free(g);
    for (unsigned maker = 0; maker < MAKERS; maker++) {
        g = STAND(maker, CODE_64_USER, 0x0f, 0x05);
        guest_run(g);
        g_assert_cmphex(g->s.gpr[X86_RCX], ==, GUEST_CODE_AT + 2);
        g_assert_cmphex(g->s.gpr[11], ==, RFLAG_IF | 2);
        g_assert_cmphex(g->s.rflags, ==, 2);
        g_assert_cmphex(g->s.seg[X86_CS].attr & (X86_ATTR_L | X86_ATTR_DB), ==, X86_ATTR_L);
        g_assert_cmphex(g->s.seg[X86_SS].selector, ==, KERNEL_SS);
        guest_free(g);
    }
}

/* EFER.SCE clear, SYSENTER_CS null: faults with either maker, where the instruction is known at all. */
static void test_switched_off(void)
{
    for (unsigned maker = 0; maker < MAKERS; maker++)
        for (unsigned opcode = 0x05; opcode <= 0x07; opcode += 2) {
            struct guest *g = STAND(maker, CODE_64, 0x0f, opcode);
            g->s.efer &= ~1ull;
            guest_run(g);
            g_assert_cmpint(where(g), ==, UD);
            guest_free(g);
        }
    for (unsigned maker = 0; maker < MAKERS; maker++)
        for (unsigned opcode = 0x34; opcode <= 0x35; opcode++) {
            struct guest *g = STAND(maker, LEGACY, 0x0f, opcode);
            g->s.sysenter_cs = 3;
            guest_run(g);
            g_assert_cmpint(where(g), ==, GP);
            guest_free(g);
        }
}

/* A return address that is not canonical: Intel's faults in ring 0, AMD's in ring 3. */
static void test_not_canonical(void)
{
    for (unsigned maker = 0; maker < MAKERS; maker++) {
        struct guest *g = STAND(maker, CODE_64, 0x48, 0x0f, 0x07);
        g->s.gpr[X86_RCX] = NOT_CANONICAL;
        guest_run(g);
        g_assert_cmpint(guest_vector(g), ==, 13);
        g_assert_cmphex(guest_frame(g, 0), ==, 0);
        g_assert_cmphex(guest_frame(g, 1), ==, maker == AMD ? NOT_CANONICAL : GUEST_CODE_AT);
        g_assert_cmphex(guest_frame(g, 2), ==, maker == AMD ? SEL_USER64 : SEL_CODE64);
        guest_free(g);
    }
    for (unsigned which = X86_RCX; which <= X86_RDX; which++) {
        struct guest *g = STAND(INTEL, CODE_64, 0x48, 0x0f, 0x35);
        g->s.gpr[which] = NOT_CANONICAL;
        guest_run(g);
        g_assert_cmpint(where(g), ==, GP);
        g_assert_cmphex(guest_frame(g, 1), ==, GUEST_CODE_AT);
        guest_free(g);
    }
}

/* SYSRET to 32-bit code from a kernel whose SS is null, as after an interrupt: AMD's leaves it without a stack. */
static void test_sysret_stack(void)
{
    for (unsigned maker = 0; maker < MAKERS; maker++) {
        struct guest *g = STAND(maker, CODE_64, 0x0f, 0x07);
        g->s.seg[X86_SS] = (struct x86_seg){.attr = X86_ATTR_NULL};
        guest_write(g, AT_USER, 4, 0x0b0f5090); /* NOP; PUSH EAX; UD2 */
        guest_run(g);
        g_assert_cmpint(guest_vector(g), ==, maker == AMD ? 12 : 6);
        unsigned frame = maker == AMD; /* behind the error code */
        g_assert_cmphex(guest_frame(g, frame), ==, AT_USER + (maker == AMD ? 1 : 2));
        g_assert_cmphex(guest_frame(g, frame + 1), ==, SEL_USER32);
        g_assert_cmphex(guest_frame(g, frame + 4), ==, maker == AMD ? SYSRET_BASE + 8 : (SYSRET_BASE + 8) | 3);
        guest_free(g);
    }
}

/* Outside 64-bit code SYSRET leaves the flags alone, but for IF. */
static void test_sysret_flags(void)
{
    static const enum mode modes[] = {LEGACY, COMPAT, CODE_64};
    for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
        struct guest *g = STAND(AMD, modes[i], 0x0f, 0x07);
        g->s.rflags &= ~(uint64_t)RFLAG_IF;
        guest_run(g);
        g_assert_cmpint(where(g), ==, USER32);
        uint64_t flags = guest_frame(g, 2) & (FLAGS | RFLAG_IF);
        g_assert_cmphex(flags, ==, modes[i] == CODE_64 ? FLAGS : RFLAG_IF);
        guest_free(g);
    }
}

/* ---- MSRs, CPUID ------------------------------------------------------------------------------------------------------- */
GUEST_CODE(write_and_read, 64, "wrmsr\n xor %eax, %eax\n xor %edx, %edx\n rdmsr\n hlt\n");

static void check_one_msr(unsigned maker, uint32_t msr, uint64_t written, int vector, uint64_t expected)
{
    struct guest *g = stand(maker, CODE_64, write_and_read, write_and_read_end - write_and_read);
    g->s.gpr[X86_RCX] = msr;
    g->s.gpr[X86_RAX] = (uint32_t)written;
    g->s.gpr[X86_RDX] = written >> 32;
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, vector);
    if (vector < 0)
        g_assert_cmphex(g->s.gpr[X86_RAX] | g->s.gpr[X86_RDX] << 32, ==, expected);
    guest_free(g);
}

static void check_msr(unsigned maker, uint64_t written, int vector, uint64_t expected)
{
    for (unsigned msr = MSR_SYSENTER_ESP; msr <= MSR_SYSENTER_ESP + 1; msr++)
        check_one_msr(maker, msr, written, vector, expected);
}

/* Of machine checks: banks that a guest may have been told of by KVM, which never have anything to say. */
static void test_quiet_banks(void)
{
    for (unsigned msr = 0x400; msr <= 0x480; msr++)
        check_one_msr(AMD, msr, UINT64_MAX, msr == 0x480 ? 13 : -1, 0);
}

static void test_msr_width(void)
{
    check_msr(INTEL, 0xffff800012345678, -1, 0xffff800012345678);
    check_msr(INTEL, NOT_CANONICAL | 0x1234, 13, 0);
    check_msr(AMD, 0xffff800012345678, -1, 0x12345678);
    check_msr(AMD, NOT_CANONICAL | 0x1234, -1, 0x1234);
}

GUEST_CODE(ask, 32, "mov $0x80000001, %eax\n cpuid\n hlt\n"); /* the same bytes in 64-bit code */

static void test_cpuid(void)
{
    static const enum mode modes[] = {LEGACY, COMPAT, CODE_64};
    for (unsigned maker = 0; maker < MAKERS; maker++)
        for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
            struct guest *g = stand(maker, modes[i], ask, ask_end - ask);
            guest_run(g);
            g_assert_cmpint(g->s.gpr[X86_RDX] >> 11 & 1, ==, maker == AMD || modes[i] == CODE_64);
            g_assert_cmpint(g->s.gpr[X86_RDX] >> 29 & 1, ==, 1);
            guest_free(g);
        }
}

/* ---- data segments on the way to an outer ring -------------------------------------------------------------------------- */
enum { SEL_CONFORMING = SEL_FREE, FS_BASE = 0x123000 };
GUEST_CODE(far_return, 32, "lret\n");
GUEST_CODE(iret_32, 32, "iret\n");
GUEST_CODE(iret_64, 64, "iretq\n");

static void put_frame(struct guest *g, unsigned size, bool flags, unsigned cs, unsigned ss)
{
    uint64_t frame[5] = {AT_USER, cs}, at = g->s.gpr[X86_RSP] = GUEST_STACK - 64;
    unsigned n = 2;
    if (flags)
        frame[n++] = 2;
    frame[n++] = USER_STACK;
    frame[n++] = ss;
    for (unsigned i = 0; i < n; i++)
        guest_write(g, at + i * size, size, frame[i]);
    guest_write(g, AT_USER, 2, 0x0b0f); /* UD2 */
}

static void put_segments(struct guest *g, const unsigned *selectors)
{
    static const uint8_t order[] = {X86_ES, X86_DS, X86_FS, X86_GS};
    guest_descriptor(g, SEL_CONFORMING, 0, 0xffffffff, 0x9f | X86_ATTR_G | X86_ATTR_DB);
    for (unsigned i = 0; i < 4; i++) {
        struct x86_seg *s = &g->s.seg[order[i]];
        if (selectors[i] > 3)
            *s = guest_segment(g, selectors[i]);
        else
            *s = (struct x86_seg){.selector = selectors[i], .attr = X86_ATTR_NULL, .base = i == 2 ? FS_BASE : 0};
    }
}

static void check_segments(const struct guest *g, const unsigned *expected)
{
    g_assert_cmpint(guest_vector(g), ==, 6);
    g_assert_cmphex(guest_frame(g, 0), ==, AT_USER);
    g_assert_cmphex(g->s.seg[X86_ES].selector, ==, expected[0]);
    g_assert_cmphex(g->s.seg[X86_DS].selector, ==, expected[1]);
    g_assert_cmphex(g->s.seg[X86_FS].selector, ==, expected[2]);
    g_assert_cmphex(g->s.seg[X86_GS].selector, ==, expected[3]);
}

struct way {
    enum guest_mode mode;
    const uint8_t *code, *end;
    bool flags;
    unsigned size, outer_cs, same_cs;
};
static const struct way ways[] = {
    {GUEST_PROTECTED, far_return, far_return_end, false, 4, SEL_USER32, SEL_CODE32},
    {GUEST_PROTECTED, iret_32, iret_32_end, true, 4, SEL_USER32, SEL_CODE32},
    {GUEST_LONG, iret_64, iret_64_end, true, 8, SEL_USER64, SEL_CODE64},
    {GUEST_LONG, iret_64, iret_64_end, true, 8, SEL_USER32, SEL_CODE64},
};

static struct guest *go_back(const struct way *w, unsigned maker, bool outer, const unsigned *before)
{
    struct guest *g = guest_new_maker(1, makers[maker]);
    guest_start(g, w->mode);
    guest_code(g, GUEST_CODE_AT, w->code, w->end);
    put_frame(g, w->size, w->flags, outer ? w->outer_cs : w->same_cs, outer ? SEL_USERDATA : SEL_DATA);
    put_segments(g, before);
    guest_run(g);
    return g;
}

static void test_data_segments(void)
{
    static const unsigned nulls[] = {1, 2, 3, 0}, zeros[4] = {0};
    static const unsigned mixed[] = {SEL_DATA, SEL_USERDATA, SEL_CODE32, SEL_CONFORMING};
    static const unsigned left[] = {0, SEL_USERDATA, 0, SEL_CONFORMING};
    for (unsigned maker = 0; maker < MAKERS; maker++)
        for (unsigned i = 0; i < G_N_ELEMENTS(ways); i++) {
            struct guest *g = go_back(&ways[i], maker, true, nulls);
            check_segments(g, zeros);
            g_assert_cmphex(g->s.seg[X86_FS].base, ==, FS_BASE); /* which 64-bit code sees */
            guest_free(g);
            g = go_back(&ways[i], maker, true, mixed);
            check_segments(g, left);
            guest_free(g);
            g = go_back(&ways[i], maker, false, nulls); /* the same ring: nothing happens to them */
            check_segments(g, nulls);
            guest_free(g);
        }
}

/* ---- MOV SS, then an instruction with a breakpoint ------------------------------------------------------------------------ */
GUEST_CODE(ss_breakpoint, 32, "mov 0x7000, %ss\n nop\n hlt\n");

static void test_ss_breakpoint(void)
{
    for (unsigned maker = 0; maker < MAKERS; maker++) {
        struct guest *g = guest_new_maker(1, makers[maker]);
        guest_start(g, GUEST_PROTECTED);
        GUEST_LOAD(g, GUEST_CODE_AT, ss_breakpoint);
        guest_write(g, 0x7000, 2, SEL_DATA);
        g->s.dr[0] = 0x7000;
        g->s.dr[1] = GUEST_CODE_AT + 6;                           /* the NOP */
        g->s.dr[7] = 0x400 | 1 << 1 | 1 << 3 | 3 << 16 | 1 << 18; /* G0: access of 2 bytes; G1: execution */
        guest_run(g);
        g_assert_cmpint(guest_vector(g), ==, 1);
        g_assert_cmphex(guest_frame(g, 0), ==, GUEST_CODE_AT + (maker == AMD ? 6 : 7));
        g_assert_cmphex(g->s.dr[6] & 0xf, ==, maker == AMD ? 3 : 1);
        g_assert_cmphex(g->s.rip, ==, GUEST_HANDLER(1) + 1); /* and no second one in its handler */
        g_assert_cmphex(g->s.gpr[X86_RSP], ==, GUEST_STACK - 12);
        guest_free(g);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = g_strdup_printf("/interp/rings/table/%s", rows[i].name);
        g_test_add_data_func(path, &rows[i], test_table);
    }
    g_test_add_func("/interp/rings/syscall-state", test_syscall_state);
    g_test_add_func("/interp/rings/switched-off", test_switched_off);
    g_test_add_func("/interp/rings/not-canonical", test_not_canonical);
    g_test_add_func("/interp/rings/sysret-stack", test_sysret_stack);
    g_test_add_func("/interp/rings/sysret-flags", test_sysret_flags);
    g_test_add_func("/interp/rings/msr-width", test_msr_width);
    g_test_add_func("/interp/rings/quiet-banks", test_quiet_banks);
    g_test_add_func("/interp/rings/cpuid", test_cpuid);
    g_test_add_func("/interp/rings/data-segments", test_data_segments);
    g_test_add_func("/interp/rings/ss-breakpoint", test_ss_breakpoint);
    return g_test_run();
}
