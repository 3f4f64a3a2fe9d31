// SPDX-License-Identifier: GPL-2.0-or-later
/* test_interp_contexts.c - without process-context identifiers a load of CR3 makes everything but global pages as the page
 * tables say (SDM Vol. 3, 4.10.4.1), whatever an engine keeps of contexts that come back.
 *
 * Two address spaces map everything alike but the page at 0x50000, which is A's memory at 0x50000 and B's at 0x60000.  Each
 * piece of code goes to B, where something changes in A's tables, and back. */
#include "tests/patcher/guest.h"

enum { B_TABLES = 0x180000, IN_A = 0x5050, IN_B = 0x6060, CHANGED = 0x7070, PAE = 1 << 5, PSE = 1 << 4, PGE = 1 << 7 };
enum { ACCESSED = 0x20, DIRTY = 0x40 };

/* R10, R11: CR3 of A and B */
#define READ       "mov 0x50000, %eax; out %eax, $0xf0\n"
#define WRITE      "movl $0x5050, 0x50000\n"
#define READ_PTE   "mov 0x103280, %eax; out %eax, $0xf0\n"
#define CHANGE     "movq $0x70067, 0x103280\n"
#define CHANGE_TO  "movq $0x60067, 0x103280\n"
#define TO_A       "mov %r10, %cr3\n"
#define TO_B       "mov %r11, %cr3\n"
#define AWAY(what) TO_B what TO_A
/* 480 pages are walked: from 0x2000 on, but for the one in question */
#define MANY                                                                                                           \
    "mov $0x2000, %esi\n 1: cmp $0x50000, %esi\n je 2f\n mov (%rsi), %eax\n 2: add $0x1000, %esi\n cmp $0x1e2000, "    \
    "%esi\n jne 1b\n"

GUEST_CODE(same, 64, READ TO_B READ TO_A READ TO_B READ "hlt\n");
GUEST_CODE(page, 64, READ AWAY(CHANGE) READ AWAY(CHANGE_TO) READ "hlt\n");
GUEST_CODE(page_before, 64, READ CHANGE AWAY("") READ "hlt\n");
GUEST_CODE(page_same_cr3, 64, READ CHANGE TO_A READ "hlt\n");
GUEST_CODE(page_flushed_there, 64, READ AWAY(CHANGE "invlpg 0x50000\n") READ "hlt\n");
GUEST_CODE(table, 64, READ AWAY("movq $0x183067, 0x102000\n") READ "hlt\n");
GUEST_CODE(directory, 64, READ AWAY("movq $0x182067, 0x101000\n") READ "hlt\n");
GUEST_CODE(top, 64, READ AWAY("movq $0x181067, 0x100000\n") READ "hlt\n");
GUEST_CODE(table_and_back, 64,
           READ AWAY("movq $0x183067, 0x102000\n") READ CHANGE AWAY("movq $0x103067, 0x102000\n") READ "hlt\n");
/* What leads to it changes, and a walk for another page has seen that before CR3 is loaded. */
GUEST_CODE(table_seen, 64, READ "movq $0x183067, 0x102000\n mov 0x51000, %eax\n" AWAY("") READ "hlt\n");
GUEST_CODE(directory_seen, 64, READ "movq $0x182067, 0x101000\n mov 0x51000, %eax\n" TO_A READ "hlt\n");
GUEST_CODE(many, 64, READ MANY AWAY(CHANGE) READ "hlt\n");
GUEST_CODE(after_many, 64, MANY READ AWAY(CHANGE) READ "hlt\n");
GUEST_CODE(many_between, 64, READ AWAY(MANY CHANGE) READ "hlt\n");
GUEST_CODE(accessed, 64, READ AWAY("andb $0xdf, 0x103280\n") READ READ_PTE "hlt\n");
GUEST_CODE(dirty, 64, WRITE AWAY("andb $0xbf, 0x103280\n") WRITE READ_PTE "hlt\n");
GUEST_CODE(clean, 64, READ AWAY("andb $0xbf, 0x103280\n") READ_PTE WRITE READ_PTE "hlt\n");
GUEST_CODE(wide_page, 64,
           "mov 0x250000, %eax; out %eax, $0xf0\n" AWAY(
               "movq $0x4000e7, 0x102008\n") "mov 0x250000, %eax; out %eax, $0xf0\n hlt\n");
GUEST_CODE(read_only, 64, WRITE AWAY("andb $0xfd, 0x103280\n") WRITE "hlt\n");
/* The walk that sees the table first is a global page's. */
GUEST_CODE(beside_global, 64,
           "orw $0x100, 0x103288; orw $0x100, 0x183288\n mov 0x51000, %eax\n" READ AWAY(TO_A TO_B
                                                                                        "movq $0x183067, 0x102000\n")
               READ "hlt\n");
GUEST_CODE(absent, 64, READ AWAY("movb $0, 0x103280\n") READ "hlt\n");

struct context_case {
    const char *name;
    const uint8_t *code, *end;
    int vector;
    unsigned count;
    uint64_t seen[4];
};
#define CASE(code) #code, code, code##_end
static const struct context_case cases[] = {
    {CASE(same), -1, 4, {IN_A, IN_B, IN_A, IN_B}},
    {CASE(page), -1, 3, {IN_A, CHANGED, IN_B}},
    {CASE(page_before), -1, 2, {IN_A, CHANGED}},
    {CASE(page_same_cr3), -1, 2, {IN_A, CHANGED}},
    {CASE(page_flushed_there), -1, 2, {IN_A, CHANGED}},
    {CASE(table), -1, 2, {IN_A, IN_B}},
    {CASE(directory), -1, 2, {IN_A, IN_B}},
    {CASE(top), -1, 2, {IN_A, IN_B}},
    {CASE(table_and_back), -1, 3, {IN_A, IN_B, CHANGED}},
    {CASE(table_seen), -1, 2, {IN_A, IN_B}},
    {CASE(directory_seen), -1, 2, {IN_A, IN_B}},
    {CASE(many), -1, 2, {IN_A, CHANGED}},
    {CASE(after_many), -1, 2, {IN_A, CHANGED}},
    {CASE(many_between), -1, 2, {IN_A, CHANGED}},
    {CASE(accessed), -1, 3, {IN_A, IN_A, 0x50007 | ACCESSED}},
    {CASE(dirty), -1, 1, {0x50007 | ACCESSED | DIRTY}},
    {CASE(clean), -1, 3, {IN_A, 0x50007 | ACCESSED, 0x50007 | ACCESSED | DIRTY}},
    {CASE(wide_page), -1, 2, {IN_A, IN_B}},
    {CASE(read_only), 14, 0, {0}},
    {CASE(beside_global), -1, 2, {IN_A, IN_B}},
    {CASE(absent), 14, 1, {IN_A}},
};

static struct guest *two_spaces(void)
{
    struct guest *g = guest_new(1);
    guest_start(g, GUEST_LONG);
    guest_copy_tables(g, B_TABLES);
    guest_write(g, B_TABLES + 0x3000 + 0x50 * 8, 8, 0x60007);
    guest_write(g, 0x50000, 4, IN_A);
    guest_write(g, 0x60000, 4, IN_B);
    guest_write(g, 0x70000, 4, CHANGED);
    guest_write(g, 0x250000, 4, IN_A);
    guest_write(g, 0x450000, 4, IN_B);
    g->s.cr4 |= PGE;
    g->s.gpr[10] = GUEST_TABLES;
    g->s.gpr[11] = B_TABLES;
    return g;
}

static void check_log(struct guest *g, int vector, unsigned count, const uint64_t *seen)
{
    g_assert_cmpint(guest_vector(g), ==, vector);
    g_test_message("seen: %#lx %#lx %#lx %#lx", g->log[0], g->log[1], g->log[2], g->log[3]);
    g_assert_cmpuint(g->logged, ==, count);
    for (unsigned i = 0; i < count; i++)
        g_assert_cmphex(g->log[i], ==, seen[i]);
    guest_free(g);
}

static void check_case(gconstpointer data)
{
    const struct context_case *k = data;
    struct guest *g = two_spaces();
    guest_code(g, GUEST_CODE_AT, k->code, k->end);
    guest_run(g);
    check_log(g, k->vector, k->count, k->seen);
}

/* Code: 20 calls in A by a pointer, with B in between; before the tenth A's page with the code changes. */
GUEST_CODE(calls, 64,
           "mov $20, %r12d; mov $0x50000, %ebx\n 1: call *%rbx\n add %eax, %r13d\n " TO_B
           "cmp $11, %r12d\n jne 2f\n" CHANGE "2: call *%rbx\n add %eax, %r14d\n" TO_A "dec %r12d\n jnz 1b\n"
           "mov %r13d, %eax; out %eax, $0xf0; mov %r14d, %eax; out %eax, $0xf0; hlt\n");
GUEST_CODE(one, 64, "mov $1, %eax; ret\n");
GUEST_CODE(hundred, 64, "mov $100, %eax; ret\n");

static void test_code(void)
{
    static const uint64_t seen[] = {10 + 10 * 100, 20};
    struct guest *g = two_spaces();
    GUEST_LOAD(g, GUEST_CODE_AT, calls);
    GUEST_LOAD(g, 0x50000, one);
    GUEST_LOAD(g, 0x60000, one);
    GUEST_LOAD(g, 0x70000, hundred);
    g->s.gpr[13] = g->s.gpr[14] = 0;
    guest_run(g);
    check_log(g, -1, 2, seen);
}

/* What B learns of the page that both had is not so in A any more. */
GUEST_CODE(learnt_in_b, 64,
           "mov $8, %r12d; mov $0x50000, %ebx\n 1: call *%rbx\n" TO_B "mov 0x103280, %edx\n call *%rbx\n" TO_A
           "dec %r12d\n jnz 1b\n" AWAY(CHANGE) TO_B "call *%rbx\n out %eax, $0xf0\n" TO_A
                                                    "call *%rbx\n out %eax, $0xf0\n hlt\n");

static void test_code_learnt(void)
{
    static const uint64_t seen[] = {1, 100};
    struct guest *g = two_spaces();
    GUEST_LOAD(g, GUEST_CODE_AT, learnt_in_b);
    GUEST_LOAD(g, 0x50000, one);
    GUEST_LOAD(g, 0x70000, hundred);
    guest_write(g, B_TABLES + 0x3000 + 0x50 * 8, 8, 0x50007);
    guest_run(g);
    check_log(g, -1, 2, seen);
}

/* PAE: the first GiB by the table at B_TABLES + 0x1000, or by the next one, where 4 MiB lies at 6 MiB. */
#define READ_4M     "mov 0x400000, %eax; out %eax, $0xf0\n"
#define FIRST       "movl $0x181001, 0x180000\n"
#define SECOND      "movl $0x182001, 0x180000\n"
#define LOAD_CR3    "mov %cr3, %eax; mov %eax, %cr3\n"
#define RELOAD_BOTH "mov %cr4, %eax; btc $7, %eax; mov %eax, %cr4; btc $7, %eax; mov %eax, %cr4\n"
GUEST_CODE(pdpte, 32, READ_4M SECOND READ_4M LOAD_CR3 READ_4M FIRST LOAD_CR3 READ_4M "hlt\n");
GUEST_CODE(pdpte_cr4, 32, READ_4M SECOND RELOAD_BOTH READ_4M FIRST LOAD_CR3 READ_4M "hlt\n");

static void check_pae(const uint8_t *code, const uint8_t *end, unsigned count, const uint64_t *seen)
{
    struct guest *g = guest_new(1);
    guest_start(g, GUEST_PROTECTED);
    guest_code(g, GUEST_CODE_AT, code, end);
    memset(g->mem + B_TABLES, 0, 0x3000);
    guest_write(g, B_TABLES, 8, (B_TABLES + 0x1000) | 1);
    for (unsigned i = 0; i < 4; i++) {
        guest_write(g, B_TABLES + 0x1000 + i * 8, 8, (uint64_t)i << 21 | 0xe7);
        guest_write(g, B_TABLES + 0x2000 + i * 8, 8, (uint64_t)(i == 2 ? 3 : i) << 21 | 0xe7);
    }
    guest_write(g, 0x400000, 4, IN_A);
    guest_write(g, 0x600000, 4, IN_B);
    g->s.cr0 |= 0x80010000;
    g->s.cr4 |= PAE | PSE | PGE;
    g->s.cr3 = B_TABLES;
    guest_run(g);
    check_log(g, -1, count, seen);
}

static void test_pdpte(void)
{
    static const uint64_t seen[] = {IN_A, IN_A, IN_B, IN_A};
    check_pae(pdpte, pdpte_end, 4, seen);
}

static void test_pdpte_cr4(void)
{
    static const uint64_t seen[] = {IN_A, IN_B, IN_A};
    check_pae(pdpte_cr4, pdpte_cr4_end, 3, seen);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = g_strconcat("/interp/contexts/", cases[i].name, NULL);
        g_test_add_data_func(name, &cases[i], check_case);
    }
    g_test_add_func("/interp/contexts/code", test_code);
    g_test_add_func("/interp/contexts/code-learnt-elsewhere", test_code_learnt);
    g_test_add_func("/interp/contexts/pdpte", test_pdpte);
    g_test_add_func("/interp/contexts/pdpte-cr4", test_pdpte_cr4);
    return g_test_run();
}
