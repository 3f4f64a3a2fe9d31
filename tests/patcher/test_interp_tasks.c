// SPDX-License-Identifier: GPL-2.0-or-later
/* test_interp_tasks.c - task switches, call gates, v86 mode, I/O permissions. */
#include "tests/patcher/guest.h"

static struct guest *start(const uint8_t *from, const uint8_t *end)
{
    struct guest *g = guest_new(1);
    guest_start(g, GUEST_PROTECTED);
    guest_code(g, GUEST_CODE_AT, from, end);
    return g;
}
#define START(name) start(name, name##_end)

/* The second task's TSS: code at `ip`, ring 0, its own stack. */
static void make_task(struct guest *g, uint32_t ip)
{
    memset(g->mem + GUEST_TSS2, 0, 0x68);
    guest_write(g, GUEST_TSS2 + 0x20, 4, ip);
    guest_write(g, GUEST_TSS2 + 0x24, 4, 2);
    guest_write(g, GUEST_TSS2 + 0x28, 4, 0xaaaa); /* EAX */
    guest_write(g, GUEST_TSS2 + 0x38, 4, 0x9000); /* ESP */
    guest_write(g, GUEST_TSS2 + 0x4c, 4, SEL_CODE32);
    for (unsigned i = 0; i < 6; i++)
        if (i != 1)
            guest_write(g, GUEST_TSS2 + 0x48 + i * 4, 4, SEL_DATA);
}

static unsigned tss_type(const struct guest *g, unsigned selector)
{
    return guest_read(g, GUEST_GDT + selector + 5, 1) & 15;
}

GUEST_CODE(call_task, 32, "mov $0x1111, %ebx\n lcall $0x58, $0\n mov %ebx, %ecx\n hlt\n");
GUEST_CODE(second_task, 32, "mov %eax, %edx\n mov $0x2222, %ebx\n out %eax, $0xf0\n iret\n hlt\n");

static void test_call_and_iret(void)
{
    struct guest *g = START(call_task);
    make_task(g, 0x20000);
    GUEST_LOAD(g, 0x20000, second_task);
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, -1);
    g_assert_cmphex(g->log[0], ==, 0xaaaa);
    g_assert_cmphex(g->s.gpr[X86_RCX], ==, 0x1111);
    g_assert_cmphex(g->s.tr.selector, ==, SEL_TSS);
    g_assert_cmphex(tss_type(g, SEL_TSS), ==, 11);
    g_assert_cmphex(tss_type(g, SEL_TSS2), ==, 9);
    g_assert_cmphex(guest_read(g, GUEST_TSS2, 2), ==, SEL_TSS); /* back link */
    g_assert_cmphex(guest_read(g, GUEST_TSS2 + 0x34, 4), ==, 0x2222);
    g_assert_cmphex(g->s.cr0 & 8, ==, 8);
    g_assert_cmphex(g->s.rflags & 0x4000, ==, 0);
    guest_free(g);
}

GUEST_CODE(jump_task, 32, "ljmp $0x58, $0\n hlt\n");
GUEST_CODE(just_halt, 32, "hlt\n");

static void test_jump(void)
{
    struct guest *g = START(jump_task);
    make_task(g, 0x20000);
    GUEST_LOAD(g, 0x20000, just_halt);
    guest_run(g);
    g_assert_cmphex(g->s.rip, ==, 0x20001);
    g_assert_cmphex(tss_type(g, SEL_TSS), ==, 9);
    g_assert_cmphex(tss_type(g, SEL_TSS2), ==, 11);
    g_assert_cmphex(guest_read(g, GUEST_TSS + 0x20, 4), ==, GUEST_CODE_AT + 7);
    g_assert_cmphex(g->s.rflags & 0x4000, ==, 0);
    guest_start(g, GUEST_PROTECTED); /* a busy TSS is no target */
    guest_descriptor(g, SEL_TSS2, GUEST_TSS2, 0x67, 0x8b);
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, 13);
    g_assert_cmphex(guest_frame(g, 0), ==, SEL_TSS2);
    guest_free(g);
}

/* An exception through a task gate pushes its error code on the new task's stack. */
GUEST_CODE(fault_to_task, 32, "mov $0x400, %eax\n mov %eax, %ds\n hlt\n");

static void test_task_gate(void)
{
    struct guest *g = START(fault_to_task);
    guest_descriptor(g, 0x400, 0, 0, 0);
    make_task(g, 0x20000);
    GUEST_LOAD(g, 0x20000, just_halt);
    guest_gate(g, 13, SEL_TSS2, 0, 0x85);
    guest_run(g);
    g_assert_cmphex(g->s.rip, ==, 0x20001);
    g_assert_cmphex(g->s.gpr[X86_RSP], ==, 0x8ffc);
    g_assert_cmphex(guest_read(g, 0x8ffc, 4), ==, 0x400);
    g_assert_cmphex(guest_read(g, GUEST_TSS + 0x20, 4), ==, GUEST_CODE_AT + 5);
    g_assert_cmphex(g->s.rflags & 0x4000, ==, 0x4000);
    guest_free(g);
}

/* Ring 3 calls ring 0 through a gate that copies two parameters. */
GUEST_CODE(gate_call, 32,
           "push $0x3b; push $0x9000; push $0x2; push $0x33; push $(0x10000 + 2f - 1f); 1: iret\n"
           "2: push $0x77; push $0x88; lcall $0x63, $0\n hlt\n");
GUEST_CODE(gate_target, 32, "mov 8(%esp), %eax; mov 12(%esp), %ebx; hlt\n");

static void test_call_gate(void)
{
    struct guest *g = START(gate_call);
    unsigned first = 0;
    while (g->mem[GUEST_CODE_AT + first] != 0xcf)
        first++;
    guest_write(g, GUEST_CODE_AT + first - 4, 4, GUEST_CODE_AT + first + 1);
    GUEST_LOAD(g, 0x20000, gate_target);
    guest_write(g, GUEST_GDT + SEL_FREE, 8, 0x0000000000000000ull | SEL_CODE32 << 16 | 0x0002ec0200000000ull);
    guest_run(g);
    g_assert_cmphex(g->s.rip, ==, 0x20000 + 9);
    g_assert_cmphex(g->s.gpr[X86_RAX], ==, 0x88);
    g_assert_cmphex(g->s.gpr[X86_RBX], ==, 0x77);
    g_assert_cmphex(g->s.gpr[X86_RSP], ==, GUEST_STACK0 - 24);
    g_assert_cmphex(guest_frame(g, 1), ==, SEL_USER32);
    g_assert_cmphex(guest_frame(g, 4), ==, 0x9000 - 8);
    guest_free(g);
}

/* Into v86 mode by IRET; out of it by INT, HLT, or an I/O port the bitmap forbids. */
GUEST_CODE(to_v86, 32,
           "push $0; push $0; push $0x4444; push $0x5555; push $0x2000; push $0x100\n"
           "pushl %ebx; push $0x3000; push $0; iret\n");
GUEST_CODE(v86_int, 16, "mov $0x1234, %ax; int $0x30; hlt\n");
GUEST_CODE(v86_out, 16, "mov $0x99, %al; out %al, $0xf0; out %al, $0xf1; hlt\n");

static struct guest *start_v86(const uint8_t *from, const uint8_t *end, unsigned iopl)
{
    struct guest *g = START(to_v86);
    guest_code(g, 0x30000, from, end);
    g->s.gpr[X86_RBX] = 0x20002 | iopl << 12;
    guest_descriptor(g, SEL_TSS, GUEST_TSS, 0x100, 0x8b);
    g->s.tr = guest_segment(g, SEL_TSS);
    memset(g->mem + GUEST_TSS + 0x68, 0, 0x90);
    guest_write(g, GUEST_TSS + 0x68 + 0xf1 / 8, 1, 1 << (0xf1 & 7));
    guest_gate(g, 0x30, SEL_CODE32, GUEST_HANDLER(0x30), 0xee);
    return g;
}

static void test_v86_interrupt(void)
{
    struct guest *g = start_v86(v86_int, v86_int_end, 3);
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, 0x30);
    g_assert_cmphex(guest_frame(g, 0), ==, 5);
    g_assert_cmphex(guest_frame(g, 1), ==, 0x3000);
    g_assert_cmphex(guest_frame(g, 2) & 0x23000, ==, 0x23000);
    g_assert_cmphex(guest_frame(g, 3), ==, 0x100);
    g_assert_cmphex(guest_frame(g, 4), ==, 0x2000);
    g_assert_cmphex(guest_frame(g, 5), ==, 0x5555); /* ES */
    g_assert_cmphex(guest_frame(g, 6), ==, 0x4444); /* DS */
    g_assert_cmphex(g->s.seg[X86_DS].selector, ==, 0);
    g_assert_cmphex(g->s.rflags & 0x20000, ==, 0);
    guest_free(g);
}

static void test_v86_iopl(void)
{
    struct guest *g = start_v86(v86_int, v86_int_end, 0);
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, 13);
    g_assert_cmphex(guest_frame(g, 0), ==, 0);
    g_assert_cmphex(guest_frame(g, 1), ==, 3);
    guest_free(g);
}

static void test_v86_ports(void)
{
    struct guest *g = start_v86(v86_out, v86_out_end, 3);
    guest_run(g);
    g_assert_cmpuint(g->logged, ==, 1);
    g_assert_cmphex(g->log[0], ==, 0x99);
    g_assert_cmpint(guest_vector(g), ==, 13);
    g_assert_cmphex(guest_frame(g, 1), ==, 4);
    guest_free(g);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/interp/tasks/call-and-iret", test_call_and_iret);
    g_test_add_func("/interp/tasks/jump", test_jump);
    g_test_add_func("/interp/tasks/task-gate", test_task_gate);
    g_test_add_func("/interp/tasks/call-gate", test_call_gate);
    g_test_add_func("/interp/tasks/v86-interrupt", test_v86_interrupt);
    g_test_add_func("/interp/tasks/v86-iopl", test_v86_iopl);
    g_test_add_func("/interp/tasks/v86-ports", test_v86_ports);
    return g_test_run();
}
