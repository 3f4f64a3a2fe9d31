// SPDX-License-Identifier: GPL-2.0-or-later
/* test_interp_ports.c - ports that see and change the CPU's registers, and ports that every ring may use. */
#include "tests/patcher/guest.h"

enum { PORT = 0x5660, OTHER = 0x5664, OUT_BASE = 0x6000 };

struct call {
    uint64_t gpr[8];
    unsigned size;
    bool in;
    uint64_t value;
};
struct calls {
    struct call call[128];
    unsigned n;
};

static struct guest *owner(struct machine *m)
{
    return (struct guest *)m; /* its first field */
}

static void note(struct machine *m, bool in, unsigned size, uint64_t value)
{
    struct guest *g = owner(m);
    struct calls *t = g->test;
    struct call *k = &t->call[t->n++ % G_N_ELEMENTS(t->call)];
    *k = (struct call){.size = size, .in = in, .value = value};
    uint64_t gpr[8];
    g->engine->registers(g->vcpu[0], gpr, false);
    memcpy(k->gpr, gpr, sizeof gpr);
    for (unsigned n = 0; n < 8; n++)
        gpr[n] = ~gpr[n];
    g->engine->registers(g->vcpu[0], gpr, true);
}

static uint64_t in(struct machine *m, uint16_t port, unsigned size)
{
    if (port == PORT)
        note(m, true, size, 0);
    return 0x99aabbccddeeff01;
}

static void out(struct machine *m, uint16_t port, unsigned size, uint64_t value)
{
    if (port == PORT)
        note(m, false, size, value);
}

static struct guest *start(enum guest_mode mode, struct calls *t)
{
    struct guest *g = guest_new(1);
    g->machine.in = in;
    g->machine.out = out;
    g->machine.any_ring = PORT;
    g->test = t;
    guest_start(g, mode);
    for (unsigned n = 0; n < 8; n++)
        if (n != X86_RSP)
            g->s.gpr[n] = 0x1111111111111111ull * (n + 1);
    g->s.gpr[X86_RDX] = PORT;
    if (mode != GUEST_LONG)
        for (unsigned n = 0; n < 8; n++)
            g->s.gpr[n] = (uint32_t)g->s.gpr[n];
    return g;
}

/* In every mode and width: all registers are seen, all but RSP change, and the answer comes last. */
static void all_registers(gconstpointer data)
{
    static const uint8_t code[][3] = {{0xec, 0xf4}, {0x66, 0xed, 0xf4}, {0xed, 0xf4}};
    enum guest_mode mode = GPOINTER_TO_UINT(data);
    for (unsigned i = 0; i < 3; i++) {
        struct calls t = {.n = 0};
        struct guest *g = start(mode, &t);
        struct x86_state before = g->s;
        uint64_t all = mode == GUEST_LONG ? UINT64_MAX : UINT32_MAX;
        guest_code(g, GUEST_CODE_AT, code[i], code[i] + 3);
        g_assert_cmpint(guest_run(g), ==, CPU_STOP_HLT);
        g_assert_cmpuint(t.n, ==, 1);
        g_assert_cmpuint(t.call[0].size, ==, 1u << i);
        g_assert_cmpmem(t.call[0].gpr, sizeof t.call[0].gpr, before.gpr, sizeof t.call[0].gpr);
        uint64_t ones = i == 0 ? 0xff : i == 1 ? 0xffff : UINT32_MAX, rax = ~before.gpr[X86_RAX] & all;
        rax = i == 2 ? 0xddeeff01 : (rax & ~ones) | (0xddeeff01 & ones);
        g_assert_cmphex(g->s.gpr[X86_RAX], ==, rax);
        for (unsigned n = X86_RCX; n < 8; n++)
            g_assert_cmphex(g->s.gpr[n], ==, n == X86_RSP ? before.gpr[n] : ~before.gpr[n] & all);
        guest_free(g);
    }
}

GUEST_CODE(out_code, 64, "out %eax, %dx\n hlt");
static void by_out(void)
{
    struct calls t = {.n = 0};
    struct guest *g = start(GUEST_LONG, &t);
    GUEST_LOAD(g, GUEST_CODE_AT, out_code);
    g_assert_cmpint(guest_run(g), ==, CPU_STOP_HLT);
    g_assert_cmphex(t.call[0].value, ==, 0x11111111);
    g_assert_cmphex(g->s.gpr[X86_RAX], ==, ~0x1111111111111111ull);
    g_assert_cmphex(g->s.gpr[X86_RBX], ==, ~0x4444444444444444ull);
    guest_free(g);
}

/* Hot enough for the translator, with every register live across the call. */
GUEST_CODE(hot_code, 64,
           "mov $100, %r8d\n"
           "1: mov $0x5660, %edx\n in %dx, %eax\n"
           "not %rbx\n not %rcx\n not %rsi\n not %rdi\n not %rbp\n"
           "add $1, %rbx\n add $2, %rcx\n add $3, %rsi\n add $4, %rdi\n add $5, %rbp\n"
           "sub $1, %r8d\n jnz 1b\n hlt");
static void in_a_loop(void)
{
    struct calls t = {.n = 0};
    struct guest *g = start(GUEST_LONG, &t);
    GUEST_LOAD(g, GUEST_CODE_AT, hot_code);
    g_assert_cmpint(guest_run(g), ==, CPU_STOP_HLT);
    g_assert_cmpuint(t.n, ==, 100);
    g_assert_cmphex(g->s.gpr[X86_RBX], ==, 0x4444444444444444 + 100);
    g_assert_cmphex(g->s.gpr[X86_RCX], ==, 0x2222222222222222 + 200);
    g_assert_cmphex(g->s.gpr[X86_RSI], ==, 0x7777777777777777 + 300);
    g_assert_cmphex(g->s.gpr[X86_RDI], ==, 0x8888888888888888 + 400);
    g_assert_cmphex(g->s.gpr[X86_RBP], ==, 0x6666666666666666 + 500);
    g_assert_cmphex(t.call[99].gpr[X86_RBX], ==, 0x4444444444444444 + 99);
    guest_free(g);
}

/* String forms: what they count with is theirs. */
GUEST_CODE(string_code, 64,
           "mov $0x5660, %edx\n mov $3, %ecx\n mov $0x6000, %esi\n rep outsb\n"
           "mov $2, %ecx\n mov $0x6010, %edi\n rep insl\n hlt");
static void by_strings(void)
{
    struct calls t = {.n = 0};
    struct guest *g = start(GUEST_LONG, &t);
    GUEST_LOAD(g, GUEST_CODE_AT, string_code);
    guest_write(g, OUT_BASE, 4, 0x636261);
    g_assert_cmpint(guest_run(g), ==, CPU_STOP_HLT);
    g_assert_cmpuint(t.n, ==, 5);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmphex(t.call[i].value, ==, 'a' + i);
        g_assert_cmphex(t.call[i].gpr[X86_RCX], ==, 3 - i);
        g_assert_cmphex(t.call[i].gpr[X86_RSI], ==, OUT_BASE + i);
    }
    g_assert_cmphex(t.call[4].gpr[X86_RDI], ==, 0x6014);
    g_assert_cmphex(guest_read(g, 0x6010, 8), ==, 0xddeeff01ddeeff01);
    g_assert_cmphex(g->s.gpr[X86_RDX], ==, PORT);
    g_assert_cmphex(g->s.gpr[X86_RCX], ==, 0);
    g_assert_cmphex(g->s.gpr[X86_RBX], ==, ~0x4444444444444444ull); /* five times */
    guest_free(g);
}

static void user_segments(struct guest *g)
{
    g->s.seg[X86_CS] = guest_segment(g, SEL_USER32);
    for (unsigned n = 0; n < X86_SEGS; n++)
        if (n != X86_CS)
            g->s.seg[n] = guest_segment(g, SEL_USERDATA);
}

/* Ring 3 with IOPL 0 and no bitmap: that port, and no other. */
static void any_ring(void)
{
    static const uint8_t code[][3] = {{0xec, 0x0f, 0x0b}, {0xee, 0x0f, 0x0b}, {0x6e, 0x0f, 0x0b}};
    for (unsigned i = 0; i < 6; i++) {
        struct calls t = {.n = 0};
        struct guest *g = start(GUEST_PAGED, &t);
        user_segments(g);
        g->s.gpr[X86_RDX] = i < 3 ? PORT : OTHER;
        g->s.gpr[X86_RSI] = OUT_BASE;
        guest_code(g, GUEST_CODE_AT, code[i % 3], code[i % 3] + 3);
        g_assert_cmpint(guest_run(g), ==, CPU_STOP_HLT);
        g_assert_cmpint(guest_vector(g), ==, i < 3 ? 6 : 13); /* UD2 behind it, or #GP */
        g_assert_cmpuint(t.n, ==, i < 3);
        guest_free(g);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/ports/registers/protected", GUINT_TO_POINTER(GUEST_PROTECTED), all_registers);
    g_test_add_data_func("/ports/registers/paged", GUINT_TO_POINTER(GUEST_PAGED), all_registers);
    g_test_add_data_func("/ports/registers/long", GUINT_TO_POINTER(GUEST_LONG), all_registers);
    g_test_add_func("/ports/registers/out", by_out);
    g_test_add_func("/ports/registers/loop", in_a_loop);
    g_test_add_func("/ports/registers/strings", by_strings);
    g_test_add_func("/ports/any-ring", any_ring);
    return g_test_run();
}
