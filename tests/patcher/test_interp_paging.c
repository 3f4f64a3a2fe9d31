// SPDX-License-Identifier: GPL-2.0-or-later
/* test_interp_paging.c - page faults, their error codes, accessed and dirty bits, and what must not be written. */
#include "tests/patcher/guest.h"

enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40 };
#define NX (1ull << 63)
enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16 };

/* The page under test lies at 0x50000; each case sets its entry and runs one instruction on it. */
#define PAGE_AT 0x50000
#define PTE_AT  (GUEST_PTES + (PAGE_AT >> 12) * 8)

GUEST_CODE(read_it, 64, "mov $0x50010, %ebx\n mov (%rbx), %eax\n hlt\n");
GUEST_CODE(write_it, 64, "mov $0x50010, %ebx\n movl $0x12345678, (%rbx)\n hlt\n");
GUEST_CODE(add_it, 64, "mov $0x50010, %ebx\n addl $1, (%rbx)\n hlt\n");
GUEST_CODE(jump_it, 64, "mov $0x50010, %ebx\n jmp *%rbx\n hlt\n");
GUEST_CODE(user_read, 64,
           "push $0x3b; push $0x9000; push $2; push $0x43; lea 1f(%rip), %rax; push %rax; iretq\n"
           "1: mov 0x50010, %eax\n hlt\n");
GUEST_CODE(stac_read, 64, "mov $0x50010, %ebx\n stac\n mov (%rbx), %eax\n clac\n mov (%rbx), %eax\n hlt\n");

struct page_case {
    const char *name;
    const uint8_t *code, *end;
    uint64_t pte;            /* without its address */
    uint64_t cr0, cr4, efer; /* bits to add */
    int vector;              /* or -1 */
    uint64_t error, pte_after;
};
#define CASE(code) code, code##_end

static void check_case(gconstpointer data)
{
    const struct page_case *k = data;
    struct guest *g = guest_new(1);
    guest_start(g, GUEST_LONG);
    guest_code(g, GUEST_CODE_AT, k->code, k->end);
    guest_write(g, PTE_AT, 8, k->pte ? PAGE_AT | k->pte : 0);
    guest_write(g, PAGE_AT + 0x10, 4, 0xf4); /* HLT */
    g->s.cr0 |= k->cr0;
    g->s.cr4 |= k->cr4;
    g->s.efer |= k->efer;
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, k->vector);
    if (k->vector == 14) {
        g_assert_cmphex(guest_frame(g, 0), ==, k->error);
        g_assert_cmphex(g->s.cr2, ==, PAGE_AT + 0x10);
    }
    g_assert_cmphex(guest_read(g, PTE_AT, 8) & (A | D), ==, k->pte_after);
    guest_free(g);
}

#define WP   0x10000u
#define SMEP (1u << 20)
#define SMAP (1u << 21)
#define NXE  0x800u
static const struct page_case cases[] = {
    {"read", CASE(read_it), P, 0, 0, 0, -1, 0, A},
    {"write", CASE(write_it), P | W, 0, 0, 0, -1, 0, A | D},
    {"add", CASE(add_it), P | W, 0, 0, 0, -1, 0, A | D},
    {"read-absent", CASE(read_it), 0, 0, 0, 0, 14, 0, 0},
    {"write-absent", CASE(write_it), 0, 0, 0, 0, 14, PF_W, 0},
    {"write-protected", CASE(write_it), P, WP, 0, 0, 14, PF_P | PF_W, 0},
    {"add-protected", CASE(add_it), P, WP, 0, 0, 14, PF_P | PF_W, 0},
    {"jump", CASE(jump_it), P, 0, 0, NXE, -1, 0, A},
    {"jump-nx", CASE(jump_it), P | NX, 0, 0, NXE, 14, PF_P | PF_I, 0},
    {"jump-absent", CASE(jump_it), 0, 0, 0, NXE, 14, PF_I, 0},
    {"jump-absent-without-nx", CASE(jump_it), 0, 0, 0, 0, 14, 0, 0},
    {"nx-is-reserved-without-nxe", CASE(read_it), P | NX, 0, 0, 0, 14, PF_P | PF_RSVD, 0},
    {"reserved-address-bit", CASE(read_it), P | 1ull << 45, 0, 0, 0, 14, PF_P | PF_RSVD, 0},
    {"user-reads-supervisor-page", CASE(user_read), P, 0, 0, 0, 14, PF_P | PF_U, 0},
    {"smep", CASE(jump_it), P | U, 0, SMEP, 0, 14, PF_P | PF_I, 0},
    {"smap", CASE(read_it), P | U, 0, SMAP, 0, 14, PF_P, 0},
    {"smap-off", CASE(read_it), P | U, 0, 0, 0, -1, 0, A},
    {"stac-clac", CASE(stac_read), P | U, 0, SMAP, 0, 14, PF_P, A},
};

/* With SMAP and SMEP the guest's own pages must be the supervisor's. */
static void clear_user_bits(struct guest *g)
{
    for (unsigned i = 0; i < 512; i++)
        g->mem[GUEST_PTES + i * 8] &= ~U;
}

static void check_kernel_case(gconstpointer data)
{
    struct page_case k = *(const struct page_case *)data;
    struct guest *g = guest_new(1);
    guest_start(g, GUEST_LONG);
    clear_user_bits(g);
    guest_code(g, GUEST_CODE_AT, k.code, k.end);
    guest_write(g, PTE_AT, 8, PAGE_AT | k.pte);
    guest_write(g, PAGE_AT + 0x10, 1, 0xf4);
    g->s.cr4 |= k.cr4;
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, k.vector);
    if (k.vector == 14)
        g_assert_cmphex(guest_frame(g, 0), ==, k.error);
    g_assert_cmphex(guest_read(g, PTE_AT, 8) & (A | D), ==, k.pte_after);
    guest_free(g);
}

/* CR0.WP clear: the supervisor writes to read-only pages, and the entry gets dirty. */
static void test_wp_clear(void)
{
    struct guest *g = guest_new(1);
    guest_start(g, GUEST_LONG);
    GUEST_LOAD(g, GUEST_CODE_AT, write_it);
    guest_write(g, PTE_AT, 8, PAGE_AT | P);
    g->s.cr0 &= ~(uint64_t)WP;
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, -1);
    g_assert_cmphex(guest_read(g, PTE_AT, 8) & (A | D), ==, A | D);
    guest_free(g);
}

/* A write across a page end into a page that is not there leaves the first page alone. */
GUEST_CODE(cross, 64, "mov $0x50ffc, %ebx\n mov $-1, %rax\n mov %rax, (%rbx)\n hlt\n");
GUEST_CODE(cross_add, 64, "mov $0x50ffc, %ebx\n mov $-1, %rax\n add %rax, (%rbx)\n hlt\n");
GUEST_CODE(cross_lock, 64, "mov $0x50ffc, %ebx\n mov $3, %rax\n lock xadd %rax, (%rbx)\n hlt\n");

static void check_cross(gconstpointer data)
{
    const struct page_case *k = data;
    struct guest *g = guest_new(1);
    guest_start(g, GUEST_LONG);
    guest_code(g, GUEST_CODE_AT, k->code, k->end);
    guest_write(g, PTE_AT + 8, 8, 0);
    guest_write(g, PAGE_AT + 0xff8, 8, 0x5555555555555555);
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, 14);
    g_assert_cmphex(g->s.cr2, ==, PAGE_AT + 0x1000);
    g_assert_cmphex(guest_read(g, PAGE_AT + 0xff8, 8), ==, 0x5555555555555555);
    guest_write(g, PTE_AT + 8, 8, (PAGE_AT + 0x1000) | P | W);
    guest_write(g, PAGE_AT + 0x1000, 4, 0);
    guest_start(g, GUEST_LONG);
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, -1);
    g_assert_cmphex(guest_read(g, PAGE_AT + 0xff8, 4), ==, 0x55555555);
    g_assert_cmphex(guest_read(g, PAGE_AT + 0xffc, 8), ==, k->error);
    guest_free(g);
}

static const struct page_case crossings[] = {
    {"mov", CASE(cross), .error = ~0ull},
    {"add", CASE(cross_add), .error = 0x55555554},
    {"lock-xadd", CASE(cross_lock), .error = 0x55555558},
};

/* A changed entry is seen after INVLPG, in 32-bit paging, too. */
GUEST_CODE(remap, 32,
           "mov 0x50000, %eax; out %eax, $0xf0\n"
           "movl $0x60007, 0x103000 + 0x50 * 4\n"
           "invlpg 0x50000\n"
           "mov 0x50000, %eax; out %eax, $0xf0\n"
           "hlt\n");

static void test_remap(void)
{
    struct guest *g = guest_new(1);
    guest_start(g, GUEST_PAGED);
    GUEST_LOAD(g, GUEST_CODE_AT, remap);
    guest_write(g, 0x50000, 4, 0x5050);
    guest_write(g, 0x60000, 4, 0x6060);
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, -1);
    g_assert_cmphex(g->log[0], ==, 0x5050);
    g_assert_cmphex(g->log[1], ==, 0x6060);
    guest_free(g);
}

/* MOV EAX, imm32 across a page end, whose second page is mapped elsewhere after 21 of 40 times, and written to 10 later. */
GUEST_CODE(two_pages, 64,
           "mov $40, %ecx; xor %ebx, %ebx\n"
           "1: mov $0x50ffe, %edx; call *%rdx; add %eax, %ebx\n"
           "cmp $20, %ecx; jne 2f; movq $0x61007, 0x103000 + 0x51 * 8; invlpg 0x51000\n"
           "2: cmp $10, %ecx; jne 3f; movb $9, 0x61002\n"
           "3: dec %ecx; jnz 1b; mov %ebx, %eax; out %eax, $0xf0; hlt\n");

static void test_two_pages(void)
{
    struct guest *g = guest_new(1);
    guest_start(g, GUEST_LONG);
    GUEST_LOAD(g, GUEST_CODE_AT, two_pages);
    guest_write(g, 0x50ffe, 2, 0x01b8);
    guest_write(g, 0x51000, 4, 0xc3000000);
    guest_write(g, 0x61000, 4, 0xc3000002);
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, -1);
    g_assert_cmphex(g->log[0], ==, (uint32_t)(21 + 10 * 0x201 + 9 * 0x09000201u));
    guest_free(g);
}

GUEST_CODE(not_canonical, 64, "mov $0x0000800000000000, %rbx\n mov (%rbx), %eax\n hlt\n");
GUEST_CODE(not_canonical_stack, 64, "mov $0x0000800000000000, %rbp\n mov (%rbp), %eax\n hlt\n");

static void test_not_canonical(void)
{
    struct guest *g = guest_new(1);
    guest_start(g, GUEST_LONG);
    GUEST_LOAD(g, GUEST_CODE_AT, not_canonical);
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, 13);
    guest_start(g, GUEST_LONG);
    GUEST_LOAD(g, GUEST_CODE_AT, not_canonical_stack);
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, 12);
    guest_free(g);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = g_strconcat("/interp/paging/", cases[i].name, NULL);
        bool kernel_pages = cases[i].cr4 & (SMEP | SMAP);
        g_test_add_data_func(name, &cases[i], kernel_pages ? check_kernel_case : check_case);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(crossings); i++) {
        g_autofree char *name = g_strconcat("/interp/paging/cross-", crossings[i].name, NULL);
        g_test_add_data_func(name, &crossings[i], check_cross);
    }
    g_test_add_func("/interp/paging/wp-clear", test_wp_clear);
    g_test_add_func("/interp/paging/two-pages", test_two_pages);
    g_test_add_func("/interp/paging/remap", test_remap);
    g_test_add_func("/interp/paging/not-canonical", test_not_canonical);
    return g_test_run();
}
