// SPDX-License-Identifier: GPL-2.0-or-later
/* test_interp_ports.c - ports that see and change the CPU's registers, and ports that every ring may use. */
#include "tests/patcher/guest.h"

enum { PORT = 0x5660, OTHER = 0x5664, STRINGS = 0x5668, OUT_BASE = 0x6000 };
enum { FROM = 0x20000, TO = 0x30000, LONG = 10000 /* bytes, over pages */ };

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

/* ---- bytes many at once ---- */

struct flow { /* of bytes at the port STRINGS: those that the guest says, and those that it gets */
    uint8_t said[3 * LONG];
    unsigned said_bytes, got_bytes;
    unsigned strings, elements;
};

static uint8_t given(unsigned i)
{
    return i * 7 ^ i >> 8;
}

static void flow(struct flow *f, bool in, uint8_t *data, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (in)
            data[i] = given(f->got_bytes++);
        else
            f->said[f->said_bytes++] = data[i];
}

static void flow_string(struct machine *m, bool in, uint8_t *data, uint32_t count)
{
    struct flow *f = owner(m)->test;
    g_assert_cmpuint(count, >, 0);
    f->strings++;
    flow(f, in, data, count);
}

static uint64_t flow_in(struct machine *m, uint16_t port, unsigned size)
{
    struct flow *f = owner(m)->test;
    uint8_t byte;
    g_assert_cmpuint(size, ==, 1);
    f->elements++;
    flow(f, true, &byte, 1);
    return byte;
}

static void flow_out(struct machine *m, uint16_t port, unsigned size, uint64_t value)
{
    struct flow *f = owner(m)->test;
    uint8_t byte = value;
    f->elements += size;
    flow(f, false, &byte, 1);
}

static struct guest *start_flow(struct flow *f)
{
    struct guest *g = guest_new(1);
    g->machine.in = flow_in;
    g->machine.out = flow_out;
    g->machine.string = flow_string;
    g->machine.strings = STRINGS;
    g->test = f;
    guest_start(g, GUEST_LONG);
    for (unsigned i = 0; i < LONG; i++)
        g->mem[FROM + i] = i ^ i >> 8;
    g->s.gpr[X86_RDX] = STRINGS;
    g->s.gpr[X86_RSI] = FROM + 1; /* pages do not begin where they do */
    g->s.gpr[X86_RDI] = TO + 5;
    return g;
}

GUEST_CODE(flow_code, 64, "mov $9000, %ecx\n rep outsb\n mov $9000, %ecx\n rep insb\n hlt");
static void many_at_once(void)
{
    g_autofree struct flow *f = g_new0(struct flow, 1);
    struct guest *g = start_flow(f);
    GUEST_LOAD(g, GUEST_CODE_AT, flow_code);
    g_assert_cmpint(guest_run(g), ==, CPU_STOP_HLT);
    g_assert_cmpuint(f->said_bytes, ==, 9000);
    g_assert_cmpmem(f->said, 9000, g->mem + FROM + 1, 9000);
    g_assert_cmpuint(f->got_bytes, ==, 9000);
    for (unsigned i = 0; i < 9000; i++)
        g_assert_cmpuint(g->mem[TO + 5 + i], ==, given(i));
    g_assert_cmpuint(g->mem[TO + 4] | g->mem[TO + 5 + 9000], ==, 0);
    g_assert_cmphex(g->s.gpr[X86_RCX], ==, 0);
    g_assert_cmphex(g->s.gpr[X86_RSI], ==, FROM + 1 + 9000);
    g_assert_cmphex(g->s.gpr[X86_RDI], ==, TO + 5 + 9000);
    g_assert_cmpuint(f->strings, >=, 4);
    g_assert_cmpuint(f->strings + f->elements, <=, 24);
    guest_free(g);
}

/* Downward, of words, without REP, and where each is looked at: one by one, as ever. */
GUEST_CODE(down_code, 64, "std\n mov $100, %ecx\n rep outsb\n cld\n hlt");
GUEST_CODE(words_code, 64, "mov $50, %ecx\n rep outsw\n hlt");
GUEST_CODE(single_code, 64, ".rept 100\n outsb\n .endr\n hlt");
GUEST_CODE(watched_code, 64,
           "mov $0x5668, %eax\n mov %rax, %dr0\n mov %cr4, %rax\n or $8, %eax\n mov %rax, %cr4\n"
           "mov $0x20002, %eax\n mov %rax, %dr7\n mov $100, %ecx\n rep outsb\n hlt");
static void one_by_one(void)
{
    const struct {
        const uint8_t *from, *end;
    } codes[] = {{down_code, down_code_end}, {words_code, words_code_end}, {single_code, single_code_end}};
    for (unsigned i = 0; i < G_N_ELEMENTS(codes); i++) {
        g_autofree struct flow *f = g_new0(struct flow, 1);
        struct guest *g = start_flow(f);
        guest_code(g, GUEST_CODE_AT, codes[i].from, codes[i].end);
        g_assert_cmpint(guest_run(g), ==, CPU_STOP_HLT);
        g_assert_cmpuint(f->strings, ==, 0);
        g_assert_cmpuint(f->elements, ==, 100);
        guest_free(g);
    }
}

/* A breakpoint at the port: the trap comes behind the first byte. */
static void watched(void)
{
    g_autofree struct flow *f = g_new0(struct flow, 1);
    struct guest *g = start_flow(f);
    GUEST_LOAD(g, GUEST_CODE_AT, watched_code);
    g_assert_cmpint(guest_run(g), ==, CPU_STOP_HLT);
    g_assert_cmpint(guest_vector(g), ==, 1);
    g_assert_cmpuint(f->strings, ==, 0);
    g_assert_cmpuint(f->said_bytes, ==, 1);
    g_assert_cmphex(g->s.gpr[X86_RCX], ==, 99);
    guest_free(g);
}

/* The first byte that cannot be stored is not taken from the port either. */
static void faults(void)
{
    g_autofree struct flow *f = g_new0(struct flow, 1);
    struct guest *g = start_flow(f);
    uint64_t pte = GUEST_PTES + (TO >> 12) * 8 + 8;
    GUEST_LOAD(g, GUEST_CODE_AT, flow_code);
    guest_write(g, pte, 8, guest_read(g, pte, 8) & ~1ull);
    g_assert_cmpint(guest_run(g), ==, CPU_STOP_HLT);
    g_assert_cmpint(guest_vector(g), ==, 14);
    g_assert_cmphex(g->s.cr2, ==, TO + 0x1000);
    g_assert_cmpuint(f->got_bytes, ==, 0x1000 - 5);
    g_assert_cmphex(g->s.gpr[X86_RDI], ==, TO + 0x1000);
    g_assert_cmphex(g->s.gpr[X86_RCX], ==, 9000 - (0x1000 - 5));
    guest_free(g);
}

/* What it puts over code that has run, hot or not, is what runs next. */
GUEST_CODE(over_code, 64,
           "mov $1000, %r8d\n 1: call 2f\n sub $1, %r8d\n jnz 1b\n"
           "lea 2f(%rip), %rdi\n mov $6, %ecx\n rep insb\n call 2f\n hlt\n"
           ".balign 64\n 2: mov $1, %eax\n ret\n");
static void over_string(struct machine *m, bool in, uint8_t *data, uint32_t count)
{
    static const uint8_t mov[] = {0xb8, 0x34, 0x12, 0, 0, 0xc3};
    struct flow *f = owner(m)->test;
    for (uint32_t i = 0; i < count; i++)
        data[i] = mov[f->got_bytes++ % sizeof mov];
}

static uint64_t over_in(struct machine *m, uint16_t port, unsigned size)
{
    uint8_t byte;
    over_string(m, true, &byte, 1);
    return byte;
}

static void over_itself(void)
{
    g_autofree struct flow *f = g_new0(struct flow, 1);
    struct guest *g = start_flow(f);
    g->machine.in = over_in;
    g->machine.string = over_string;
    GUEST_LOAD(g, GUEST_CODE_AT, over_code);
    g_assert_cmpint(guest_run(g), ==, CPU_STOP_HLT);
    g_assert_cmphex(g->s.gpr[X86_RAX], ==, 0x1234);
    guest_free(g);
}

/* ---- rings ---- */

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
    g_test_add_func("/ports/strings/many-at-once", many_at_once);
    g_test_add_func("/ports/strings/one-by-one", one_by_one);
    g_test_add_func("/ports/strings/watched", watched);
    g_test_add_func("/ports/strings/faults", faults);
    g_test_add_func("/ports/strings/over-itself", over_itself);
    g_test_add_func("/ports/any-ring", any_ring);
    return g_test_run();
}
