// SPDX-License-Identifier: GPL-2.0-or-later
/* test_interp_modes.c - from real mode to 64-bit mode and back, unreal mode, segment limits. */
#include "tests/patcher/guest.h"

/* Logs one value per mode reached: 0x16, 0x32, 0x64, 0x3232 (compatibility), 0x33 (protected again), 0x17 (real). */
GUEST_CODE(up_and_down, 16,
           "1: cli\n"
           "mov $0x16, %al; out %al, $0xf0\n"
           "mov $0, %ax; mov %ax, %ds\n"
           "lgdtl 0x7000\n"
           "mov %cr0, %eax; or $1, %al; mov %eax, %cr0\n"
           "ljmpl $0x08, $(0x10000 + 2f - 1b)\n"
           ".code32\n"
           "2: mov $0x10, %ax; mov %ax, %ds; mov %ax, %es; mov %ax, %ss\n"
           "mov $0x32, %al; out %al, $0xf0\n"
           "mov %cr4, %eax; or $0x20, %eax; mov %eax, %cr4\n"
           "mov $0x100000, %eax; mov %eax, %cr3\n"
           "mov $0x48, %ax; ltr %ax\n"
           "mov $0xc0000080, %ecx; rdmsr; or $0x100, %eax; wrmsr\n"
           "mov %cr0, %eax; or $0x80000000, %eax; mov %eax, %cr0\n"
           "ljmpl $0x18, $(0x10000 + 3f - 1b)\n"
           ".code64\n"
           "3: mov $0x1122334455667788, %r8\n"
           "shr $32, %r8\n"
           "mov %r8d, %eax; out %eax, $0xf0\n"
           "lea 4f(%rip), %rax\n"
           "push $0x08; push %rax; lretq\n"
           ".code32\n"
           "4: mov $0x3232, %eax; out %eax, $0xf0\n"
           "mov %cr0, %eax; and $0x7fffffff, %eax; mov %eax, %cr0\n"
           "mov $0xc0000080, %ecx; rdmsr; out %eax, $0xf0\n"
           "mov $0x33, %al; out %al, $0xf0\n"
           "ljmpl $0x20, $(5f - 1b)\n"
           ".code16\n"
           "5: mov $0x28, %ax; mov %ax, %ds; mov %ax, %es; mov %ax, %ss\n"
           "mov %cr0, %eax; and $0xfe, %al; mov %eax, %cr0\n"
           "ljmpw $0x1000, $(6f - 1b)\n"
           "6: mov $0x17, %al; out %al, $0xf0\n"
           "hlt\n");

static void test_up_and_down(void)
{
    struct guest *g = guest_new(1);
    guest_start(g, GUEST_LONG); /* makes the tables */
    guest_start(g, GUEST_REAL);
    guest_descriptor(g, SEL_TSS, GUEST_TSS, 0x67, 0x89);
    guest_descriptor(g, SEL_CODE16, 0x10000, 0xffff, 0x9b);
    guest_write(g, 0x7000, 2, 0xfff);
    guest_write(g, 0x7002, 4, GUEST_GDT);
    GUEST_LOAD(g, GUEST_CODE_AT, up_and_down);
    g_assert_cmpint(guest_run(g), ==, CPU_STOP_HLT);
    static const uint64_t expected[] = {0x16, 0x32, 0x11223344, 0x3232, 0x100, 0x33, 0x17};
    g_assert_cmpuint(g->logged, ==, G_N_ELEMENTS(expected));
    for (unsigned i = 0; i < G_N_ELEMENTS(expected); i++)
        g_assert_cmphex(g->log[i], ==, expected[i]);
    g_assert_cmphex(g->s.cr0 & 0x80000001, ==, 0);
    g_assert_cmphex(g->s.efer, ==, 0x100);
    guest_free(g);
}

/* A limit loaded in protected mode stays in real mode. */
GUEST_CODE(unreal, 16,
           "cli\n"
           "mov $0, %ax; mov %ax, %ds\n"
           "lgdtl 0x7000\n"
           "mov %cr0, %eax; or $1, %al; mov %eax, %cr0\n"
           "mov $0x10, %bx; mov %bx, %ds\n"
           "and $0xfe, %al; mov %eax, %cr0\n"
           "mov $0, %ax; mov %ax, %ds\n"
           "mov $0x200000, %ebx\n"
           "movl $0x600df00d, (%ebx)\n"
           "mov %ebx, %es:(%ebx)\n" /* ES has its 64 KiB: #GP */
           "hlt\n");

static void test_unreal(void)
{
    struct guest *g = guest_new(1);
    guest_start(g, GUEST_REAL);
    guest_write(g, 0x7000, 2, 0xfff);
    guest_write(g, 0x7002, 4, GUEST_GDT);
    GUEST_LOAD(g, GUEST_CODE_AT, unreal);
    guest_run(g);
    g_assert_cmphex(guest_read(g, 0x200000, 4), ==, 0x600df00d);
    g_assert_cmpint(guest_vector(g), ==, 13);
    guest_free(g);
}

GUEST_CODE(limit_real, 16, "mov $0xffff, %bx\n movb (%bx), %al\n 1: movw (%bx), %ax\n hlt\n");

static void test_limit_real(void)
{
    struct guest *g = guest_new(1);
    guest_start(g, GUEST_REAL);
    GUEST_LOAD(g, GUEST_CODE_AT, limit_real);
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, 13);
    g_assert_cmphex(guest_frame(g, 0), ==, 5); /* IP of the word access */
    g_assert_cmphex(guest_frame(g, 1), ==, GUEST_CODE_AT >> 4);
    guest_free(g);
}

/* Expand-down: valid offsets are above the limit. */
GUEST_CODE(expand_down, 32,
           "mov $0x60, %eax; mov %eax, %ds\n"
           "movb $1, 0x1000\n"
           "movb $2, 0xfff\n"
           "hlt\n");

static void test_expand_down(void)
{
    struct guest *g = guest_new(1);
    guest_start(g, GUEST_PROTECTED);
    guest_descriptor(g, SEL_FREE, 0x20000, 0xfff, 0x97 | X86_ATTR_DB);
    GUEST_LOAD(g, GUEST_CODE_AT, expand_down);
    guest_run(g);
    g_assert_cmpint(guest_read(g, 0x21000, 1), ==, 1);
    g_assert_cmpint(guest_read(g, 0x20fff, 1), ==, 0);
    g_assert_cmpint(guest_vector(g), ==, 13);
    g_assert_cmpuint(guest_frame(g, 0), ==, 0);
    guest_free(g);
}

/* Code that runs into the end of its segment. */
GUEST_CODE(code_limit, 32, "ljmp $0x60, $0x0ffe\n");

static void test_code_limit(void)
{
    struct guest *g = guest_new(1);
    guest_start(g, GUEST_PROTECTED);
    guest_descriptor(g, SEL_FREE, 0x20000, 0xfff, 0x9b | X86_ATTR_DB);
    GUEST_LOAD(g, GUEST_CODE_AT, code_limit);
    guest_write(g, 0x20ffe, 4, 0x9090b090); /* nop; mov $0x90, %al across the limit */
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, 13);
    g_assert_cmphex(guest_frame(g, 1), ==, 0xfff);
    g_assert_cmphex(guest_frame(g, 2), ==, 0x60);
    guest_free(g);
}

/* Instructions that the engine has of its own, so that no host's #UD says whether the guest's CPU has them. */
GUEST_CODE(leaf_7, 64, "mov $7, %eax; xor %ecx, %ecx; cpuid; hlt\n");
GUEST_CODE(flush_optimized, 64, "lea 0x20000, %rax; .byte 0x66, 0x0f, 0xae, 0x38; hlt\n");
GUEST_CODE(write_back, 64, "lea 0x20000, %rax; .byte 0x66, 0x0f, 0xae, 0x30; hlt\n");
GUEST_CODE(read_processor, 64, ".byte 0xf3, 0x0f, 0xc7, 0xf8; hlt\n");

/* Is it #UD exactly if CPUID.7 does not show it? */
static void check_offered(const char *model, const uint8_t *code, const uint8_t *end, unsigned reg, unsigned bit)
{
    struct guest *g = guest_new_model(1, model);
    guest_start(g, GUEST_LONG);
    GUEST_LOAD(g, GUEST_CODE_AT, leaf_7);
    guest_run(g);
    bool offered = g->s.gpr[reg] >> bit & 1;
    guest_free(g);
    g = guest_new_model(1, model);
    guest_start(g, GUEST_LONG);
    guest_code(g, GUEST_CODE_AT, code, end);
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, offered ? -1 : 6);
    if (strcmp(model, "host"))
        g_assert_false(offered);
    guest_free(g);
}

static void test_offered_only(void)
{
    static const char *const models[] = {"host", "x86-64-v2"};
    for (unsigned i = 0; i < G_N_ELEMENTS(models); i++) {
        check_offered(models[i], flush_optimized, flush_optimized_end, X86_RBX, 23);
        check_offered(models[i], write_back, write_back_end, X86_RBX, 24);
        check_offered(models[i], read_processor, read_processor_end, X86_RCX, 22);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/interp/modes/up-and-down", test_up_and_down);
    g_test_add_func("/interp/modes/unreal", test_unreal);
    g_test_add_func("/interp/modes/limit-real", test_limit_real);
    g_test_add_func("/interp/modes/expand-down", test_expand_down);
    g_test_add_func("/interp/modes/code-limit", test_code_limit);
    g_test_add_func("/interp/modes/offered-only", test_offered_only);
    return g_test_run();
}
