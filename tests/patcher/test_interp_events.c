// SPDX-License-Identifier: GPL-2.0-or-later
/* test_interp_events.c - interrupts, their shadows, exceptions upon exceptions, single steps and breakpoints. */
#include "tests/patcher/guest.h"

#define IF 0x200

static struct guest *start(enum guest_mode mode, const uint8_t *from, const uint8_t *end)
{
    struct guest *g = guest_new(1);
    guest_start(g, mode);
    guest_code(g, GUEST_CODE_AT, from, end);
    return g;
}
#define START(mode, name) start(mode, name, name##_end)

static void raise_line(struct guest *g, int vector)
{
    g->interrupt = vector;
    g->engine->signal(g->vcpu[0], CPU_SIGNAL_INTR, 1);
}

/* The instruction behind STI and MOV SS runs before a pending interrupt. */
GUEST_CODE(sti_shadow, 32, "cli\n sti\n inc %eax\n inc %eax\n hlt\n");
GUEST_CODE(ss_shadow, 32, "mov %ss, %ecx\n mov $1, %edx\n popf\n mov %ecx, %ss\n inc %eax\n inc %eax\n hlt\n");
GUEST_CODE(sti_hlt, 32, "sti\n hlt\n");

static void test_sti_shadow(void)
{
    struct guest *g = START(GUEST_PROTECTED, sti_shadow);
    raise_line(g, 0x20);
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, 0x20);
    g_assert_cmpuint(g->s.gpr[X86_RAX], ==, 1);
    g_assert_cmphex(guest_frame(g, 0), ==, GUEST_CODE_AT + 3);
    g_assert_cmphex(guest_frame(g, 2) & IF, ==, IF);
    g_assert_cmphex(g->s.rflags & IF, ==, 0);
    guest_free(g);
}

static void test_sti_hlt(void)
{
    struct guest *g = START(GUEST_PROTECTED, sti_hlt);
    guest_run(g); /* halts, nothing pending */
    g_assert_cmpint(g->s.run_state, ==, X86_HALTED);
    g_assert_cmphex(g->s.rip, ==, GUEST_CODE_AT + 2);
    raise_line(g, 0x21);
    guest_continue(g);
    g_assert_cmpint(guest_vector(g), ==, 0x21);
    g_assert_cmphex(guest_frame(g, 0), ==, GUEST_CODE_AT + 2);
    guest_free(g);
}

static void test_ss_shadow(void)
{
    struct guest *g = START(GUEST_PROTECTED, ss_shadow);
    guest_write(g, GUEST_STACK, 4, IF | 2);
    g->s.gpr[X86_RSP] = GUEST_STACK;
    g->s.gpr[X86_RAX] = 0;
    raise_line(g, 0x20);
    guest_run(g); /* POPF sets IF: taken right there */
    g_assert_cmpint(guest_vector(g), ==, 0x20);
    g_assert_cmpuint(g->s.gpr[X86_RAX], ==, 0);
    guest_free(g);
}

/* NMI is blocked from its delivery to IRET. */
GUEST_CODE(nmi_twice, 32, "nop\n hlt\n");
static void test_nmi(void)
{
    struct guest *g = START(GUEST_PROTECTED, nmi_twice);
    g->engine->set_state(g->vcpu[0], &g->s);
    g->engine->signal(g->vcpu[0], CPU_SIGNAL_NMI, 0);
    guest_continue(g);
    g_assert_cmpint(guest_vector(g), ==, 2);
    g_assert_true(g->s.nmi_blocked);
    g->engine->signal(g->vcpu[0], CPU_SIGNAL_NMI, 0);
    guest_write(g, GUEST_HANDLER(2) + 1, 1, 0xcf); /* IRET */
    g->s.run_state = X86_RUNNING;
    g->engine->touched(g->evm, GUEST_HANDLER(2), 16);
    g->s.nmi_pending = true;
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, 2); /* the second, after IRET */
    g_assert_cmpuint(g->s.gpr[X86_RSP], ==, GUEST_STACK - 12);
    guest_free(g);
}

/* Faults and traps: which vector, and where the frame points. */
GUEST_CODE(divide, 32, "xor %ecx, %ecx\n div %ecx\n hlt\n");
GUEST_CODE(breakpoint, 32, "nop\n int3\n hlt\n");
GUEST_CODE(overflow, 32, "mov $0x7fffffff, %eax\n inc %eax\n into\n hlt\n");
GUEST_CODE(bound, 32, "mov $5, %eax\n push $4\n push $0\n bound %eax, (%esp)\n hlt\n");
GUEST_CODE(undefined, 32, "nop\n ud2\n hlt\n");
GUEST_CODE(lock_nop, 32, ".byte 0xf0, 0x90\n hlt\n");
GUEST_CODE(too_long, 32,
           ".byte 0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x90\n hlt\n");
GUEST_CODE(software, 32, "int $0x30\n hlt\n");
GUEST_CODE(bad_selector, 32, "mov $0x400, %eax\n mov %eax, %ds\n hlt\n");
GUEST_CODE(aad_zero, 32, "aam $0\n hlt\n");

struct fault_case {
    const char *name;
    const uint8_t *code, *end;
    int vector;
    unsigned ip; /* pushed, from the start */
    int error;   /* or -1: none */
};
#define CASE(code) #code, code, code##_end
static const struct fault_case faults[] = {
    {CASE(divide), 0, 2, -1},   {CASE(breakpoint), 3, 2, -1},  {CASE(overflow), 4, 7, -1},
    {CASE(bound), 5, 9, -1},    {CASE(undefined), 6, 1, -1},   {CASE(lock_nop), 6, 0, -1},
    {CASE(too_long), 13, 0, 0}, {CASE(software), 0x30, 2, -1}, {CASE(bad_selector), 13, 5, 0x400},
    {CASE(aad_zero), 0, 0, -1},
};

static void check_fault(gconstpointer data)
{
    const struct fault_case *k = data;
    struct guest *g = start(GUEST_PROTECTED, k->code, k->end);
    guest_descriptor(g, 0x400, 0, 0, 0);
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, k->vector);
    if (k->error >= 0)
        g_assert_cmphex(guest_frame(g, 0), ==, (unsigned)k->error);
    g_assert_cmphex(guest_frame(g, k->error >= 0), ==, GUEST_CODE_AT + k->ip);
    guest_free(g);
}

/* A fault while a fault is delivered is a double fault; one more ends in shutdown. */
static void test_double_fault(void)
{
    struct guest *g = START(GUEST_PROTECTED, bad_selector);
    guest_gate(g, 13, SEL_CODE32, GUEST_HANDLER(13), 0x0e); /* not present */
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, 8);
    g_assert_cmphex(guest_frame(g, 0), ==, 0);
    guest_free(g);
}

static void test_triple_fault(void)
{
    struct guest *g = START(GUEST_PROTECTED, bad_selector);
    g->s.idtr.limit = 0;
    g_assert_cmpint(guest_run(g), ==, CPU_STOP_RESET);
    guest_free(g);
}

/* Single step: a trap after each instruction, BS in DR6; not after INT. */
GUEST_CODE(step, 32, "pushf\n orl $0x100, (%esp)\n popf\n inc %eax\n inc %eax\n hlt\n");
static void test_single_step(void)
{
    struct guest *g = START(GUEST_PROTECTED, step);
    g->s.gpr[X86_RAX] = 0;
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, 1);
    g_assert_cmpuint(g->s.gpr[X86_RAX], ==, 1);
    g_assert_cmphex(g->s.dr[6] & 0xe00f, ==, 0x4000);
    g_assert_cmphex(guest_frame(g, 0), ==, GUEST_CODE_AT + 10);
    g_assert_cmphex(g->s.rflags & 0x100, ==, 0);
    guest_free(g);
}

GUEST_CODE(watched, 32, "nop\n movb $1, 0x50003\n nop\n nop\n hlt\n");
static void test_breakpoints(void)
{
    struct guest *g = START(GUEST_PROTECTED, watched);
    g->s.dr[0] = 0x50000;
    g->s.dr[7] = 0x400 | 1 | 0xd << 16; /* 4 bytes, written */
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, 1);
    g_assert_cmphex(g->s.dr[6] & 0xe00f, ==, 1);
    g_assert_cmphex(guest_frame(g, 0), ==, GUEST_CODE_AT + 8); /* behind the write */
    guest_start(g, GUEST_PROTECTED);
    g->s.dr[1] = GUEST_CODE_AT + 8;
    g->s.dr[7] = 0x400 | 4; /* executed */
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, 1);
    g_assert_cmphex(g->s.dr[6] & 0xe00f, ==, 2);
    g_assert_cmphex(guest_frame(g, 0), ==, GUEST_CODE_AT + 8); /* before it */
    guest_start(g, GUEST_PROTECTED);
    g->s.dr[1] = GUEST_CODE_AT;
    g->s.dr[7] = 0x400 | 4;
    g->s.rflags |= 0x10000; /* RF: not this time */
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, -1);
    guest_free(g);
}

/* Long mode: IST, alignment of the stack, 64-bit frame. */
GUEST_CODE(long_int, 64, "sub $5, %rsp\n int $0x30\n hlt\n");
static void test_long_frames(void)
{
    struct guest *g = START(GUEST_LONG, long_int);
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, 0x30);
    g_assert_cmphex(g->s.gpr[X86_RSP], ==, ((GUEST_STACK - 5) & ~15) - 40);
    g_assert_cmphex(guest_frame(g, 0), ==, GUEST_CODE_AT + 6);
    g_assert_cmphex(guest_frame(g, 3), ==, GUEST_STACK - 5);
    guest_start(g, GUEST_LONG);
    guest_write(g, GUEST_IDT + 0x30 * 16 + 4, 1, 1);
    guest_run(g);
    g_assert_cmphex(g->s.gpr[X86_RSP], ==, GUEST_IST1 - 40);
    guest_free(g);
}

/* From ring 3 to the stack of the TSS and back. */
GUEST_CODE(ring3, 32,
           "push $0x3b; push $0x9000; push $0x202; push $0x33; call 1f; 1: addl $(2f - 1b), (%esp); iret\n"
           "2: mov %cs, %eax; int $0x31; hlt\n");
static void test_rings(void)
{
    struct guest *g = START(GUEST_PROTECTED, ring3);
    guest_gate(g, 0x31, SEL_CODE32, GUEST_HANDLER(0x31), 0xee);
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, 0x31);
    g_assert_cmphex(g->s.gpr[X86_RAX] & 0xffff, ==, SEL_USER32);
    g_assert_cmphex(g->s.gpr[X86_RSP], ==, GUEST_STACK0 - 20);
    g_assert_cmphex(guest_frame(g, 1), ==, SEL_USER32);
    g_assert_cmphex(guest_frame(g, 3), ==, 0x9000);
    g_assert_cmphex(guest_frame(g, 4), ==, SEL_USERDATA);
    guest_start(g, GUEST_PROTECTED); /* without the gate's DPL: #GP with the vector's error code */
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, 13);
    g_assert_cmphex(guest_frame(g, 0), ==, 0x31 * 8 + 2);
    guest_free(g);
}

/* Signals that no run() has taken yet go with the state to another CPU. */
GUEST_CODE(started, 16, "inc %ax\n hlt\n");
static void test_signals_move(void)
{
    struct guest *from = guest_new(2), *to = guest_new(2);
    GUEST_LOAD(to, 0x12000, started);
    from->engine->signal(from->vcpu[1], CPU_SIGNAL_INIT, 1);
    from->engine->signal(from->vcpu[1], CPU_SIGNAL_SIPI, 0x12);
    from->engine->get_state(from->vcpu[1], &to->s);
    g_assert_true(to->s.init_pending && to->s.sipi_pending);
    g_assert_cmphex(to->s.sipi_vector, ==, 0x12);
    to->s.gpr[X86_RAX] = 5;
    to->engine->set_state(to->vcpu[1], &to->s);
    g_assert_cmpint(to->engine->run(to->vcpu[1], NULL), ==, CPU_STOP_HLT);
    to->engine->get_state(to->vcpu[1], &to->s);
    g_assert_cmphex(to->s.seg[X86_CS].selector, ==, 0x1200);
    g_assert_cmphex(to->s.rip, ==, 2);
    g_assert_cmphex(to->s.gpr[X86_RAX], ==, 1); /* INIT came first */
    g_assert_false(to->s.init_pending || to->s.sipi_pending);
    guest_free(from);
    guest_free(to);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/interp/events/sti-shadow", test_sti_shadow);
    g_test_add_func("/interp/events/sti-hlt", test_sti_hlt);
    g_test_add_func("/interp/events/popf-takes-interrupt", test_ss_shadow);
    g_test_add_func("/interp/events/nmi", test_nmi);
    for (unsigned i = 0; i < G_N_ELEMENTS(faults); i++) {
        g_autofree char *name = g_strconcat("/interp/events/", faults[i].name, NULL);
        g_test_add_data_func(name, &faults[i], check_fault);
    }
    g_test_add_func("/interp/events/double-fault", test_double_fault);
    g_test_add_func("/interp/events/triple-fault", test_triple_fault);
    g_test_add_func("/interp/events/single-step", test_single_step);
    g_test_add_func("/interp/events/breakpoints", test_breakpoints);
    g_test_add_func("/interp/events/long-frames", test_long_frames);
    g_test_add_func("/interp/events/rings", test_rings);
    g_test_add_func("/interp/events/signals-move", test_signals_move);
    return g_test_run();
}
