// SPDX-License-Identifier: GPL-2.0-or-later
/* test_interp_hostile.c - guests that reach for what is not theirs: addresses at which this process has something, the
 * page behind the end of RAM, jumps to nowhere.  (Names as in docs/ENGINE.md, "Why guest code cannot leave the guest".) */
#include "tests/patcher/guest.h"
#include <stdlib.h>
#include <sys/mman.h>

enum { GENERAL_PROTECTION = 13, PAGE_FAULT = 14 };
#define TARGET   0x50000 /* the page that the guest may use */
#define PATTERN  0xa5
#define NEW_PAGE (GUEST_TABLES + 0x10000) /* room for page tables */

/* Once at an address that is the guest's, so that its code is translated and its TLB filled, then at RDX.  The registers
 * that the translator takes for itself are among the bases. */
#define TWICE(name, insn)                                                                                              \
    GUEST_CODE(name, 64,                                                                                               \
               "1: " insn "\n"                                                                                         \
               "mov %rdx, %rbx; mov %rdx, %rsi; mov %rdx, %rdi; mov %rdx, %r10; mov %rdx, %r11\n"                      \
               "mov %rdx, %r14; mov %rdx, %r15; dec %r9d; jnz 1b; hlt\n")
TWICE(load, "mov (%rbx), %rax");
TWICE(load_r10, "mov (%r10), %rax");
TWICE(load_r15, "mov (%r15), %eax");
TWICE(load_r14, "movzbl (%r14), %eax");
TWICE(load_vector, "movups (%r11), %xmm1; movq %xmm1, %rax");
TWICE(load_string, "lodsq");
TWICE(load_indexed, "xor %ecx, %ecx; mov (%r15, %rcx, 8), %rax");
TWICE(pop_from, "xchg %rbx, %rsp; pop %rax; xchg %rbx, %rsp");
TWICE(store, "mov %rax, (%rbx)");
TWICE(store_r11, "mov %al, (%r11)");
TWICE(store_r14, "mov %rax, (%r14)");
TWICE(store_vector, "movups %xmm0, (%r15)");
TWICE(store_group, "mov %eax, (%rbx); mov %eax, 8(%rbx); mov %eax, 500(%rbx)");
TWICE(store_string, "mov $16, %ecx; rep stosq");
TWICE(store_locked, "lock incq (%r10)");
TWICE(store_exchange, "xchg %rax, (%rdi)");
TWICE(store_bit, "btsq $5, (%rbx)");
TWICE(store_fxsave, "fxsave (%rbx)");
TWICE(push_to, "lea 8(%rbx), %rsp; push %rax; mov $0x8000, %esp");

struct form {
    const char *name;
    const uint8_t *from, *end;
};
#define FORM(name)                                                                                                     \
    {                                                                                                                  \
#name, name, name##_end                                                                                        \
    }
static const struct form loads[] = {FORM(load),        FORM(load_r10),    FORM(load_r15),     FORM(load_r14),
                                    FORM(load_vector), FORM(load_string), FORM(load_indexed), FORM(pop_from)};
static const struct form stores[] = {FORM(store),       FORM(store_r11),    FORM(store_r14),    FORM(store_vector),
                                     FORM(store_group), FORM(store_string), FORM(store_locked), FORM(store_exchange),
                                     FORM(store_bit),   FORM(store_fxsave), FORM(push_to)};

static void start(struct guest *g, const struct form *f, uint64_t address)
{
    guest_start(g, GUEST_LONG);
    guest_write(g, GUEST_IDT + PAGE_FAULT * 16 + 4, 1, 1); /* IST1: the stack may be what was attacked */
    memset(g->mem + TARGET, 0, 4096);
    memset(g->mem + GUEST_TABLES + 8, 0, 4096 - 8); /* what map_page() made before */
    guest_code(g, GUEST_CODE_AT, f->from, f->end);
    static const unsigned bases[] = {X86_RBX, X86_RSI, X86_RDI, 10, 11, 14, 15};
    for (unsigned i = 0; i < G_N_ELEMENTS(bases); i++)
        g->s.gpr[bases[i]] = TARGET;
    g->s.gpr[X86_RDX] = address;
    g->s.gpr[9] = 2;
    g->s.gpr[X86_RAX] = 0x1122334455667788;
}

static void map_page(struct guest *g, uint64_t lin, uint64_t to)
{
    uint64_t table = GUEST_TABLES, next = NEW_PAGE;
    for (unsigned shift = 39; shift > 12; shift -= 9, next += 0x1000) {
        uint64_t at = table + (lin >> shift & 511) * 8;
        memset(g->mem + next, 0, 4096);
        guest_write(g, at, 8, next | 7);
        table = next;
    }
    guest_write(g, table + (lin >> 12 & 511) * 8, 8, to | 7);
}

static void assert_untouched(const uint8_t *page)
{
    for (unsigned i = 0; i < 4096; i++)
        g_assert_cmphex(page[i], ==, PATTERN);
}

/* Not mapped by the guest: a page fault at that address, and nothing is read or written. */
static void check_unmapped(struct guest *g, const struct form *f, const uint8_t *secret)
{
    uint64_t address = (uintptr_t)secret;
    start(g, f, address);
    guest_run(g);
    if (guest_vector(g) != PAGE_FAULT || g->s.cr2 - address >= 512) /* FXSAVE looks at its last byte first */
        g_error("%s of %#" G_GINT64_MODIFIER "x: vector %d, CR2 %#" G_GINT64_MODIFIER "x", f->name, address,
                guest_vector(g), g->s.cr2);
    g_assert_cmphex(g->s.gpr[X86_RAX] & 0xff, !=, PATTERN);
    assert_untouched(secret);
}

/* Mapped by the guest, to memory of its own: that is what it gets. */
static void check_mapped(struct guest *g, const struct form *f, const uint8_t *secret, bool stores)
{
    start(g, f, (uintptr_t)secret);
    map_page(g, (uintptr_t)secret, TARGET + 0x1000);
    memset(g->mem + TARGET + 0x1000, 0x5a, 4096);
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, -1);
    if (!stores)
        g_assert_cmphex(g->s.gpr[X86_RAX] & 0xff, ==, 0x5a);
    else
        g_assert_cmphex(guest_read(g, TARGET + 0x1000, 8), !=, 0x5a5a5a5a5a5a5a5a);
    assert_untouched(secret);
}

static void test_this_process(void)
{
    struct guest *g = guest_new(1);
    uint8_t *secret = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(secret, PATTERN, 4096);
    for (unsigned i = 0; i < G_N_ELEMENTS(loads); i++) {
        check_unmapped(g, &loads[i], secret);
        check_mapped(g, &loads[i], secret, false);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(stores); i++) {
        check_unmapped(g, &stores[i], secret);
        check_mapped(g, &stores[i], secret, true);
    }
    munmap(secret, 4096);
    guest_free(g);
}

/* The engine's own things, and the guest's memory by the name it has here: none of it has an address for the guest. */
static void test_the_engine(void)
{
    struct guest *g = guest_new(1);
    const uint64_t of_ours[] = {(uintptr_t)g->mem,
                                (uintptr_t)g->vcpu[0],
                                (uintptr_t)g->evm,
                                (uintptr_t)g,
                                (uintptr_t)__builtin_frame_address(0),
                                (uintptr_t)test_the_engine};
    for (unsigned a = 0; a < G_N_ELEMENTS(of_ours); a++)
        for (unsigned i = 0; i < G_N_ELEMENTS(stores); i++) {
            uint64_t address = of_ours[a] & ~15ull; /* for FXSAVE */
            start(g, &stores[i], address);
            guest_run(g);
            g_assert_cmpint(guest_vector(g), ==, PAGE_FAULT);
            g_assert_cmphex(g->s.cr2 - address, <, 512);
        }
    guest_free(g);
}

/* RAM ends a page before the file does: what is written across that end goes nowhere. */
static void test_end_of_ram(void)
{
    struct guest *g = guest_new(1);
    uint8_t *behind = g->mem + GUEST_BYTES - 4096;
    memset(behind, PATTERN, 4096);
    for (unsigned i = 0; i < G_N_ELEMENTS(stores); i++)
        for (unsigned back = 0; back <= 16; back++) {
            start(g, &stores[i], GUEST_BYTES - 4096 - back);
            guest_run(g);
            assert_untouched(behind);
        }
    guest_free(g);
}

/* Code of this process is no place to go to. */
GUEST_CODE(jump_to, 64, "jmp *%rdx\n");
GUEST_CODE(call_to, 64, "call *%rdx\n");
GUEST_CODE(return_to, 64, "push %rdx; ret\n");

static void test_jumps(void)
{
    struct guest *g = guest_new(1);
    static const struct form forms[] = {FORM(jump_to), FORM(call_to), FORM(return_to)};
    for (unsigned i = 0; i < G_N_ELEMENTS(forms); i++) {
        start(g, &forms[i], (uintptr_t)abort);
        guest_run(g);
        g_assert_cmpint(guest_vector(g), ==, PAGE_FAULT);
        g_assert_cmphex(g->s.cr2, ==, (uintptr_t)abort);
        g_assert_cmphex(guest_frame(g, 1), ==, (uintptr_t)abort);
    }
    guest_free(g);
}

/* From the end of the lower half to what is not canonical, by direct jumps: #GP where they lead to; and by a call: #GP at
 * the call, which has pushed nothing. */
GUEST_CODE(jump_out, 64, "jmp . + 0x40\n");
GUEST_CODE(call_out, 64, "call . + 0x40\n");
GUEST_CODE(branch_out, 64, "test %eax, %eax; jnz . + 0x40\n");

static void test_not_canonical(void)
{
    const uint64_t page = 0x7ffffffff000, at = page + 0xfe0;
    struct guest *g = guest_new(1);
    static const struct form forms[] = {FORM(jump_out), FORM(call_out), FORM(branch_out)};
    for (unsigned i = 0; i < G_N_ELEMENTS(forms); i++) {
        start(g, &forms[i], 0);
        map_page(g, page, TARGET);
        guest_code(g, TARGET + 0xfe0, forms[i].from, forms[i].end);
        g->s.rip = at;
        guest_run(g);
        g_assert_cmpint(guest_vector(g), ==, GENERAL_PROTECTION);
        bool call = forms[i].from == call_out, branch = forms[i].from == branch_out;
        g_assert_cmphex(guest_frame(g, 1), ==, call ? at : at + 0x40 + (branch ? 2 : 0));
        g_assert_cmphex(guest_frame(g, 4), ==, GUEST_STACK);
    }
    guest_free(g);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/interp/hostile/this-process", test_this_process);
    g_test_add_func("/interp/hostile/the-engine", test_the_engine);
    g_test_add_func("/interp/hostile/end-of-ram", test_end_of_ram);
    g_test_add_func("/interp/hostile/jumps", test_jumps);
    g_test_add_func("/interp/hostile/not-canonical", test_not_canonical);
    return g_test_run();
}
