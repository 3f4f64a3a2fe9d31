// SPDX-License-Identifier: GPL-2.0-or-later
/* test_interp_pcid.c - what a translation outlives, with process-context identifiers and global pages (SDM Vol. 3,
 * 4.10), and page-table isolation.
 *
 * Two address spaces: A (PCID 1) and B (PCID 2) map everything alike but the page at 0x50000, which is A's memory at
 * 0x50000 and B's at 0x60000.  Code changes an entry to 0x70000 without saying so and looks what it reads.  The
 * architecture lets a processor forget at any time; that the old value is still read says that this one does not. */
#include "tests/patcher/guest.h"

enum { B_TABLES = 0x180000, IN_A = 0x5050, IN_B = 0x6060, CHANGED = 0x7070, PGE = 1 << 7, PCIDE = 1 << 17 };
#define KEEP   (1ull << 63)
#define GLOBAL 0x100

/* R8, R9: CR3 of A and B, keeping what is cached; R10, R11: without that */
#define READ      "mov 0x50000, %eax; out %eax, $0xf0\n"
#define CHANGE    "movq $0x70007, 0x103000 + 0x50 * 8\n"
#define TO_A_KEPT "mov %r8, %cr3\n"
#define TO_B_KEPT "mov %r9, %cr3\n"
#define TO_A      "mov %r10, %cr3\n"
#define TO_B      "mov %r11, %cr3\n"
#define INVPCID(type, pcid)                                                                                            \
    "movq $" #pcid ", 0x58000; movq $0x50000, 0x58008; mov $" #type ", %edx; invpcid 0x58000, %rdx\n"
#define TOGGLE_PGE "mov %cr4, %rax; btc $7, %eax; mov %rax, %cr4; btc $7, %eax; mov %rax, %cr4\n"

GUEST_CODE(separate, 64, READ TO_B_KEPT READ TO_A_KEPT READ "hlt\n");
GUEST_CODE(kept, 64, READ CHANGE TO_B_KEPT TO_A_KEPT READ "hlt\n");
GUEST_CODE(kept_other_flushed, 64, READ CHANGE TO_B TO_A_KEPT READ "hlt\n");
GUEST_CODE(flushed, 64, READ CHANGE TO_B_KEPT READ TO_A READ "hlt\n");
GUEST_CODE(same_kept, 64, READ CHANGE TO_A_KEPT READ "hlt\n");
GUEST_CODE(same_flushed, 64, READ CHANGE TO_A READ "hlt\n");
GUEST_CODE(page, 64, READ CHANGE "invlpg 0x50000\n" READ "hlt\n");
GUEST_CODE(global_from_b, 64, READ CHANGE TO_B_KEPT "invlpg 0x50000\n" TO_A_KEPT READ "hlt\n");
GUEST_CODE(address, 64, READ CHANGE INVPCID(0, 1) READ "hlt\n");
GUEST_CODE(address_from_b, 64, READ CHANGE TO_B_KEPT INVPCID(0, 1) TO_A_KEPT READ "hlt\n");
GUEST_CODE(context, 64, READ CHANGE INVPCID(1, 1) READ "hlt\n");
GUEST_CODE(context_from_b, 64, READ CHANGE TO_B_KEPT INVPCID(1, 1) TO_A_KEPT READ "hlt\n");
GUEST_CODE(context_other, 64, READ CHANGE INVPCID(1, 2) READ "hlt\n");
GUEST_CODE(everything, 64, READ CHANGE INVPCID(2, 0) READ "hlt\n");
GUEST_CODE(everything_from_b, 64, READ CHANGE TO_B_KEPT INVPCID(2, 0) TO_A_KEPT READ "hlt\n");
GUEST_CODE(contexts, 64, READ CHANGE INVPCID(3, 0) READ "hlt\n");
GUEST_CODE(contexts_from_b, 64, READ CHANGE TO_B_KEPT INVPCID(3, 0) TO_A_KEPT READ "hlt\n");
GUEST_CODE(pge_from_b, 64, READ CHANGE TO_B_KEPT TOGGLE_PGE TO_A_KEPT READ "hlt\n");
GUEST_CODE(pcide_off, 64, READ CHANGE "mov %cr4, %rax; btr $17, %eax; mov %rax, %cr4\n" READ "hlt\n");

struct pcid_case {
    const char *name;
    const uint8_t *code, *end;
    unsigned pte; /* bits to add to A's entries */
    uint64_t seen[3];
};
#define CASE(code) code, code##_end
static const struct pcid_case cases[] = {
    {"separate", CASE(separate), 0, {IN_A, IN_B, IN_A}},
    {"kept", CASE(kept), 0, {IN_A, IN_A}},
    {"kept-other-flushed", CASE(kept_other_flushed), 0, {IN_A, IN_A}},
    {"flushed", CASE(flushed), 0, {IN_A, IN_B, CHANGED}},
    {"same-kept", CASE(same_kept), 0, {IN_A, IN_A}},
    {"same-flushed", CASE(same_flushed), 0, {IN_A, CHANGED}},
    {"same-flushed-global", CASE(same_flushed), GLOBAL, {IN_A, IN_A}},
    {"invlpg", CASE(page), 0, {IN_A, CHANGED}},
    {"invlpg-global", CASE(page), GLOBAL, {IN_A, CHANGED}},
    {"invlpg-global-from-other", CASE(global_from_b), GLOBAL, {IN_A, CHANGED}},
    {"invpcid-address", CASE(address), 0, {IN_A, CHANGED}},
    {"invpcid-address-from-other", CASE(address_from_b), 0, {IN_A, CHANGED}},
    {"invpcid-context", CASE(context), 0, {IN_A, CHANGED}},
    {"invpcid-context-from-other", CASE(context_from_b), 0, {IN_A, CHANGED}},
    {"invpcid-context-of-other", CASE(context_other), 0, {IN_A, IN_A}},
    {"invpcid-context-global", CASE(context), GLOBAL, {IN_A, IN_A}},
    {"invpcid-everything", CASE(everything), 0, {IN_A, CHANGED}},
    {"invpcid-everything-global", CASE(everything), GLOBAL, {IN_A, CHANGED}},
    {"invpcid-everything-from-other", CASE(everything_from_b), 0, {IN_A, CHANGED}},
    {"invpcid-contexts", CASE(contexts), 0, {IN_A, CHANGED}},
    {"invpcid-contexts-global", CASE(contexts), GLOBAL, {IN_A, IN_A}},
    {"invpcid-contexts-from-other", CASE(contexts_from_b), 0, {IN_A, CHANGED}},
    {"pge-from-other", CASE(pge_from_b), 0, {IN_A, CHANGED}},
    {"pge-global-from-other", CASE(pge_from_b), GLOBAL, {IN_A, CHANGED}},
    {"pcide-off", CASE(pcide_off), 0, {IN_A, CHANGED}},
};

static void map_b(struct guest *g, unsigned long memory)
{
    guest_write(g, B_TABLES + 0x3000 + 0x50 * 8, 8, memory | 7);
}

static struct guest *two_spaces(void)
{
    struct guest *g = guest_new(1);
    guest_start(g, GUEST_LONG);
    guest_copy_tables(g, B_TABLES);
    map_b(g, 0x60000);
    guest_write(g, 0x50000, 4, IN_A);
    guest_write(g, 0x60000, 4, IN_B);
    guest_write(g, 0x70000, 4, CHANGED);
    g->s.cr3 = GUEST_TABLES | 1;
    g->s.cr4 |= PGE | PCIDE;
    g->s.gpr[8] = KEEP | GUEST_TABLES | 1;
    g->s.gpr[9] = KEEP | B_TABLES | 2;
    g->s.gpr[10] = GUEST_TABLES | 1;
    g->s.gpr[11] = B_TABLES | 2;
    return g;
}

static void check_case(gconstpointer data)
{
    const struct pcid_case *k = data;
    struct guest *g = two_spaces();
    guest_code(g, GUEST_CODE_AT, k->code, k->end);
    for (unsigned i = 0; i < 512; i++) /* all: a context that also has others forgets its global ones with them */
        guest_write(g, GUEST_PTES + i * 8, 8, (uint64_t)i << 12 | 7 | k->pte);
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, -1);
    g_test_message("read: %#lx %#lx %#lx", g->log[0], g->log[1], g->log[2]);
    for (unsigned i = 0; i < g->logged; i++)
        g_assert_cmphex(g->log[i], ==, k->seen[i]);
    g_assert_cmpuint(g->logged, ==, k->seen[2] ? 3 : 2);
    guest_free(g);
}

/* ---- what faults ----------------------------------------------------------------------------------------------------- */
GUEST_CODE(type_4, 64, INVPCID(4, 0) "hlt\n");
GUEST_CODE(wide_pcid, 64, INVPCID(0, 0x1000) "hlt\n");
GUEST_CODE(
    bad_address, 64,
    "mov $0x800000000000, %rax; movq $1, 0x58000; mov %rax, 0x58008; xor %edx, %edx; invpcid 0x58000, %rdx; hlt\n");
GUEST_CODE(keep_without_pcid, 64, "mov %cr4, %rax; btr $17, %eax; mov %rax, %cr4; mov %r8, %cr3; hlt\n");
GUEST_CODE(pcide_on, 64, "mov %cr4, %rax; btr $17, %eax; mov %rax, %cr4; bts $17, %eax; mov %rax, %cr4; hlt\n");

static void check_fault(gconstpointer data)
{
    const struct pcid_case *k = data;
    struct guest *g = two_spaces();
    guest_code(g, GUEST_CODE_AT, k->code, k->end);
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, 13);
    guest_free(g);
}

static const struct pcid_case faults[] = {
    {"invpcid-type-4", CASE(type_4)},
    {"invpcid-wide-pcid", CASE(wide_pcid)},
    {"invpcid-not-canonical", CASE(bad_address)},
    {"keep-without-pcide", CASE(keep_without_pcid)},
    {"pcide-on-with-pcid", CASE(pcide_on)},
};

/* ---- code ------------------------------------------------------------------------------------------------------------ */
/* 100 jumps through a pointer in either space and back; after `at` of them B's page changes.  Nothing in between touches
 * memory: so nobody looks the page up if the jump's target is known. */
#define CALL(back)   "lea " back ", %rsi; jmp *%rbx\n"
#define B_IS_FLUSHED INVPCID(1, 2)
GUEST_CODE(calls, 64,
           "mov $0x50000, %ebx; mov $100, %r12d\n"
           "1: mov %r8, %cr3\n" CALL(
               "2f(%rip)") "2: add %eax, %r13d; cmp %ebp, %r12d; jne 3f\n"
                           "movq $0x60007, 0x183000 + 0x50 * 8\n" B_IS_FLUSHED "3: mov %r9, %cr3\n" CALL(
                               "4f(%rip)") "4: add %eax, %r14d; dec %r12d; jnz 1b\n"
                                           "mov %r13d, %eax; out %eax, $0xf0; mov %r14d, %eax; out %eax, $0xf0; hlt\n");
GUEST_CODE(one, 64, "mov $1, %eax; jmp *%rsi\n");
GUEST_CODE(two, 64, "mov $2, %eax; jmp *%rsi\n");

static void check_calls(unsigned long b_maps, unsigned at, unsigned sum_in_b)
{
    struct guest *g = two_spaces();
    GUEST_LOAD(g, GUEST_CODE_AT, calls);
    GUEST_LOAD(g, 0x50000, one);
    GUEST_LOAD(g, 0x60000, two);
    map_b(g, b_maps);
    g->s.gpr[X86_RBP] = at;
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, -1);
    g_assert_cmpuint(g->log[0], ==, 100);
    g_assert_cmpuint(g->log[1], ==, sum_in_b);
    guest_free(g);
}

static void test_code_differs(void)
{
    check_calls(0x60000, 0, 200);
}

static void test_code_same(void)
{
    check_calls(0x50000, 0, 100);
}

static void test_code_changes(void)
{
    check_calls(0x50000, 40, 60 + 2 * 40);
}

/* What was used in A may be looked up in B ahead of time, but the guest does not see that in B's accessed bits. */
GUEST_CODE(only_in_a, 64,
           "mov $8, %ecx\n 1: mov 0x58000, %eax\n" TO_B_KEPT TO_A_KEPT "dec %ecx; jnz 1b\n" TO_B_KEPT "hlt\n");

static void test_accessed(void)
{
    struct guest *g = two_spaces();
    GUEST_LOAD(g, GUEST_CODE_AT, only_in_a);
    g->s.efer |= 0x800; /* NXE: the page is data */
    guest_write(g, GUEST_PTES + 0x58 * 8, 8, 1ull << 63 | 0x58007);
    guest_write(g, B_TABLES + 0x3000 + 0x58 * 8, 8, 1ull << 63 | 0x58007);
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, -1);
    g_assert_cmphex(guest_read(g, GUEST_PTES + 0x58 * 8, 8) & 0x20, ==, 0x20);
    g_assert_cmphex(guest_read(g, B_TABLES + 0x3000 + 0x58 * 8, 8) & 0x20, ==, 0);
    guest_free(g);
}

/* ---- page-table isolation ---------------------------------------------------------------------------------------------- */
/* User code runs on B's tables, the kernel on A's, and its first and last instructions on B's.  When 10 of the system
 * calls are left, the kernel's page changes. */
GUEST_CODE(isolation, 64,
           "mov $60, %r12d; lea 2f(%rip), %rcx; mov $2, %r11d; mov %r9, %cr3; sysretq\n"
           "2: mov 0x50000, %eax; add %eax, %ebx; syscall; jmp 2b\n"
           ".org isolation + 0x100\n"
           "mov 0x50000, %eax; add %eax, %r13d; mov %r8, %cr3\n"
           "mov 0x50000, %eax; add %eax, %r14d\n"
           "cmp $11, %r12d; jne 3f\n" CHANGE "invlpg 0x50000\n"
           "3: dec %r12d; jz 4f\n"
           "mov %r9, %cr3; mov 0x50000, %eax; add %eax, %r15d; sysretq\n"
           "4: mov %ebx, %eax; out %eax, $0xf0; mov %r13d, %eax; out %eax, $0xf0\n"
           "mov %r14d, %eax; out %eax, $0xf0; mov %r15d, %eax; out %eax, $0xf0; hlt\n");

static void check_isolation(bool pcid)
{
    struct guest *g = two_spaces();
    GUEST_LOAD(g, GUEST_CODE_AT, isolation);
    g->s.efer |= 1;
    g->s.star = 0x33ull << 48 | (uint64_t)SEL_CODE64 << 32;
    g->s.lstar = GUEST_CODE_AT + 0x100;
    if (!pcid) {
        g->s.cr4 &= ~(uint64_t)PCIDE;
        g->s.cr3 = g->s.gpr[8] = GUEST_TABLES;
        g->s.gpr[9] = B_TABLES;
    }
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, -1);
    g_assert_cmpuint(g->log[0], ==, 60 * IN_B);
    g_assert_cmpuint(g->log[1], ==, 60 * IN_B);
    g_assert_cmpuint(g->log[2], ==, 50 * IN_A + 10 * CHANGED);
    g_assert_cmpuint(g->log[3], ==, 59 * IN_B);
    guest_free(g);
}

static void test_isolation(void)
{
    check_isolation(true);
}

static void test_isolation_without_pcid(void)
{
    check_isolation(false);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = g_strconcat("/interp/pcid/", cases[i].name, NULL);
        g_test_add_data_func(name, &cases[i], check_case);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(faults); i++) {
        g_autofree char *name = g_strconcat("/interp/pcid/fault/", faults[i].name, NULL);
        g_test_add_data_func(name, &faults[i], check_fault);
    }
    g_test_add_func("/interp/pcid/code-differs", test_code_differs);
    g_test_add_func("/interp/pcid/code-same", test_code_same);
    g_test_add_func("/interp/pcid/code-changes", test_code_changes);
    g_test_add_func("/interp/pcid/accessed", test_accessed);
    g_test_add_func("/interp/pcid/isolation", test_isolation);
    g_test_add_func("/interp/pcid/isolation-without-pcid", test_isolation_without_pcid);
    return g_test_run();
}
