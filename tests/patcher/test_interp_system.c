// SPDX-License-Identifier: GPL-2.0-or-later
/* test_interp_system.c - what kernels do on every system call: flags on the stack, segment registers, the time stamp; and
 * that a quick way through them is left where the architecture wants more. */
#include "tests/patcher/guest.h"
#include <stdatomic.h>

enum {
    CF_TO_OF = 0x8d5,
    TF = 0x100,
    IF = 0x200,
    DF = 0x400,
    IOPL = 0x3000,
    NT = 0x4000,
    RF = 0x10000,
    AC = 0x40000,
    ID = 0x200000,
    ALWAYS = 2
};
enum { CR4_TSD = 4, CR4_SMAP = 0x200000 };
enum {
    DATA = 0x93,
    DATA_FRESH = 0x92,
    READ_ONLY = 0x91,
    BIG = X86_ATTR_G | X86_ATTR_DB,
    SEL_A = SEL_FREE,
    SEL_B = SEL_FREE + 8,
    SEL_C = SEL_FREE + 16
};

static struct guest *start(enum guest_mode mode, unsigned ring, const uint8_t *from, const uint8_t *end)
{
    struct guest *g = guest_new(1);
    guest_start(g, mode);
    guest_code(g, GUEST_CODE_AT, from, end);
    if (!ring)
        return g;
    unsigned cs = mode == GUEST_LONG ? SEL_USER64 : SEL_USER32;
    for (unsigned i = 0; i < X86_SEGS; i++)
        g->s.seg[i] = guest_segment(g, i == X86_CS ? cs : SEL_USERDATA);
    return g;
}
#define START(mode, ring, name) start(mode, ring, name, name##_end)

/* The stack and the descriptor tables are in the TLB before what is tested, else tier 1 runs it. */
#define WARM    "push %ebx\n pop %ebx\n mov %ss, %edi\n mov %edi, %fs\n jmp 1f\n 1: "
#define WARM_64 "push %rbx\n pop %rbx\n mov %ss, %edi\n mov %edi, %fs\n jmp 1f\n 1: "

/* ---- POPF and PUSHF ---------------------------------------------------------------------------------------------------- */
/* HLT is not for ring 3: what ends it there is INT3, which any ring may have here. */
GUEST_CODE(flags_32, 32,
           WARM "push %eax\n popf\n pushf\n popl %ebx\n pushf\n popl %ecx\n cld\n push $2\n popf\n int3\n");
GUEST_CODE(flags_64, 64,
           WARM_64 "push %rax\n popf\n pushf\n pop %rbx\n pushf\n pop %rcx\n cld\n push $2\n popf\n int3\n");

static void check_image(enum guest_mode mode, unsigned ring, unsigned iopl, uint32_t image, uint32_t before)
{
    struct guest *g = mode == GUEST_LONG ? START(mode, ring, flags_64) : START(mode, ring, flags_32);
    uint32_t may = CF_TO_OF | DF | NT | AC | ID | (ring ? 0 : IOPL) | (ring <= iopl ? IF : 0);
    guest_gate(g, 3, mode == GUEST_LONG ? SEL_CODE64 : SEL_CODE32, GUEST_HANDLER(3), 0xee);
    g->s.gpr[X86_RAX] = 0xffffffff00000000 * (mode == GUEST_LONG) | image;
    g->s.gpr[X86_RSP] = GUEST_STACK;
    g->s.rflags = before | iopl << 12 | ALWAYS;
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, 3);
    uint32_t expected = (image & may) | ((before | iopl << 12) & ~may) | ALWAYS;
    g_assert_cmphex(g->s.gpr[X86_RBX], ==, expected);
    g_assert_cmphex(g->s.gpr[X86_RCX], ==, expected);
    guest_free(g);
}

static void test_flags(void)
{
    static const uint32_t images[] = {
        0,           ALWAYS, 1,    4,  0x10, 0x40, 0x80, 0x800, CF_TO_OF, CF_TO_OF | ALWAYS | DF,
        IF | ALWAYS, DF,     IOPL, NT, RF,   AC,   ID,   0x28,  0x8000,   0xffc28000};
    for (unsigned i = 0; i < G_N_ELEMENTS(images); i++)
        for (unsigned n = 0; n < 4; n++) {
            uint32_t before = n & 1 ? IF : CF_TO_OF | (n & 2 ? DF : 0);
            check_image(GUEST_PROTECTED, 0, 0, images[i], before);
            check_image(GUEST_PAGED, 3, n & 2 ? 3 : 0, images[i], before);
            check_image(GUEST_LONG, n & 2 ? 0 : 3, 0, images[i], before);
        }
}

GUEST_CODE(popf_waits, 32, WARM "push $0x202\n push $2\n popf\n inc %eax\n popf\n inc %eax\n hlt\n");
static void test_popf_interrupt(void)
{
    struct guest *g = START(GUEST_PROTECTED, 0, popf_waits);
    g->s.gpr[X86_RAX] = 0;
    g->interrupt = 0x20;
    g->engine->signal(g->vcpu[0], CPU_SIGNAL_INTR, 1);
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, 0x20);
    g_assert_cmpuint(g->s.gpr[X86_RAX], ==, 1); /* at once: POPF has no shadow */
    guest_free(g);
}

GUEST_CODE(popf_steps, 32, WARM "push $0x102\n popf\n inc %eax\n inc %eax\n hlt\n");
static void test_popf_step(void)
{
    struct guest *g = START(GUEST_PROTECTED, 0, popf_steps);
    g->s.gpr[X86_RAX] = 0;
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, 1);
    g_assert_cmpuint(g->s.gpr[X86_RAX], ==, 1);
    g_assert_cmphex(guest_frame(g, 2) & TF, ==, TF);
    guest_free(g);
}

/* ---- segment registers ---------------------------------------------------------------------------------------------------- */
/* The descriptor counts, not what the selector meant before. */
GUEST_CODE(changed, 32,
           WARM
           "mov $0x60, %eax\n mov %eax, %fs\n mov %fs:0, %ebx\n movb $6, 0x1064\n mov %eax, %fs\n mov %fs:0, %ecx\n"
           "push %eax\n movb $5, 0x1064\n pop %gs\n mov %gs:0, %edx\n hlt\n");
static void test_changed_descriptor(void)
{
    struct guest *g = START(GUEST_PROTECTED, 0, changed);
    guest_descriptor(g, SEL_A, 0x50000, 0xffffffff, DATA | BIG);
    guest_write(g, 0x50000, 4, 0x11111111);
    guest_write(g, 0x60000, 4, 0x22222222);
    guest_run(g);
    g_assert_cmphex(g->s.gpr[X86_RBX], ==, 0x11111111);
    g_assert_cmphex(g->s.gpr[X86_RCX], ==, 0x22222222);
    g_assert_cmphex(g->s.gpr[X86_RDX], ==, 0x11111111);
    g_assert_cmphex(g->s.seg[X86_FS].base, ==, 0x60000);
    guest_free(g);
}

/* The loop comes to the same instruction with a flat DS, and then with one that ends before the operand. */
GUEST_CODE(two_kinds, 32, WARM "1: mov %ebx, %ds\n mov 0x2000, %eax\n inc %ecx\n mov %edx, %ebx\n jmp 1b\n");
GUEST_CODE(two_kinds_pop, 32,
           WARM "1: push %ebx\n pop %es\n mov %es:0x2000, %eax\n inc %ecx\n mov %edx, %ebx\n jmp 1b\n");

static void check_then(const uint8_t *code, const uint8_t *end, unsigned second, uint32_t limit, unsigned access,
                       int vector, uint32_t error, unsigned passes)
{
    struct guest *g = start(GUEST_PROTECTED, 0, code, end);
    guest_descriptor(g, SEL_A, 0, limit, access);
    g->s.gpr[X86_RBX] = SEL_DATA;
    g->s.gpr[X86_RCX] = 0;
    g->s.gpr[X86_RDX] = second;
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, vector);
    g_assert_cmphex(guest_frame(g, 0), ==, error);
    g_assert_cmpuint(g->s.gpr[X86_RCX], ==, passes);
    guest_free(g);
}

static void check_both(unsigned second, uint32_t limit, unsigned access, int vector, uint32_t error)
{
    check_then(two_kinds, two_kinds_end, second, limit, access, vector, error, 1);
    check_then(two_kinds_pop, two_kinds_pop_end, second, limit, access, vector, error, 1);
}

static void test_other_segment(void)
{
    check_both(SEL_A, 0x1fff, DATA, 13, 0);                       /* short */
    check_both(SEL_A, 0x3fff, 0x97 | X86_ATTR_DB, 13, 0);         /* expand-down: begins behind */
    check_both(SEL_A, 0xffffffff, 0x99 | BIG, 13, SEL_A);         /* code that cannot be read */
    check_both(SEL_A, 0xffffffff, 0x13 | BIG, 11, SEL_A);         /* not present */
    check_both(SEL_A, 0xffffffff, 0x83 | BIG, 13, SEL_A);         /* a system segment */
    check_both(SEL_A | 3, 0xffffffff, DATA | BIG, 13, SEL_A);     /* RPL 3, DPL 0 */
    check_both(SEL_A | 4, 0xffffffff, DATA | BIG, 13, SEL_A | 4); /* there is no LDT */
    check_both(0x1000, 0xffffffff, DATA | BIG, 13, 0x1000);       /* beyond the table */
    check_both(0, 0, 0, 13, 0);                                   /* null: the access faults */
    check_both(3, 0, 0, 13, 0);
}

/* Indirect jumps know the instruction behind LDS as one with a flat DS. */
GUEST_CODE(by_lds, 32,
           "1: lds %cs:(%esi), %edi\n mov 0x2000, %eax\n inc %ecx\n cmp $4, %ecx\n jne 1b\n mov %edx, %esi\n jmp 1b\n");
static void test_lds(void)
{
    struct guest *g = START(GUEST_PROTECTED, 0, by_lds);
    guest_descriptor(g, SEL_A, 0, 0x1fff, DATA);
    guest_write(g, 0x50004, 2, SEL_DATA);
    guest_write(g, 0x50014, 2, SEL_A);
    g->s.gpr[X86_RSI] = 0x50000;
    g->s.gpr[X86_RDX] = 0x50010;
    g->s.gpr[X86_RCX] = 0;
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, 13);
    g_assert_cmphex(guest_frame(g, 0), ==, 0);
    g_assert_cmpuint(g->s.gpr[X86_RCX], ==, 4);
    guest_free(g);
}

/* A base counts, a read-only segment cannot be written, and loading sets the accessed bit. */
GUEST_CODE(based, 32,
           WARM "mov %ebp, %gs\n mov %ebx, %ds\n mov 0x2000, %eax\n mov %edi, %ds\n jmp 2f\n 2: mov %ebx, %ds\n mov "
                "0x2000, %esi\n mov "
                "%edx, %ds\n mov 0x2000, %ecx\n mov %eax, 0x2000\n hlt\n");
static void test_based_segment(void)
{
    struct guest *g = START(GUEST_PROTECTED, 0, based);
    guest_descriptor(g, SEL_A, 0x50000, 0xffffffff, DATA_FRESH | BIG);
    guest_descriptor(g, SEL_B, 0x60000, 0xffffffff, (READ_ONLY - 1) | BIG);
    guest_write(g, 0x52000, 4, 0x11111111);
    guest_write(g, 0x62000, 4, 0x22222222);
    guest_descriptor(g, SEL_C, 0, 0xffffffff, DATA_FRESH | BIG);
    g->s.gpr[X86_RBX] = SEL_A;
    g->s.gpr[X86_RDX] = SEL_B;
    g->s.gpr[X86_RBP] = SEL_C;
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, 13);
    g_assert_cmphex(g->s.gpr[X86_RAX], ==, 0x11111111);
    g_assert_cmphex(g->s.gpr[X86_RSI], ==, 0x11111111);
    g_assert_cmphex(g->s.gpr[X86_RCX], ==, 0x22222222);
    g_assert_cmphex(guest_read(g, GUEST_GDT + SEL_A + 5, 1), ==, DATA);
    g_assert_cmphex(guest_read(g, GUEST_GDT + SEL_C + 5, 1), ==, DATA);
    g_assert_cmphex(guest_read(g, GUEST_GDT + SEL_B + 5, 1), ==, READ_ONLY);
    guest_free(g);
}

GUEST_CODE(in_64, 64,
           "mov %ebx, %fs\n mov %fs:0, %eax\n push %rbx\n pop %gs\n mov %gs:0, %ecx\n xor %edx, %edx\n mov %edx, %fs\n"
           "mov %edx, %ds\n mov 0x50000, %edx\n hlt\n");
static void test_64(void)
{
    struct guest *g = START(GUEST_LONG, 0, in_64);
    guest_descriptor(g, SEL_A, 0x50000, 0xffffffff, DATA | BIG);
    guest_write(g, 0x50000, 4, 0x11111111);
    g->s.gpr[X86_RBX] = SEL_A;
    guest_run(g);
    g_assert_cmphex(g->s.gpr[X86_RAX], ==, 0x11111111);
    g_assert_cmphex(g->s.gpr[X86_RCX], ==, 0x11111111);
    g_assert_cmphex(g->s.gpr[X86_RDX], ==, 0x11111111);
    g_assert_cmphex(g->s.seg[X86_FS].base, ==, 0);
    g_assert_cmphex(g->s.seg[X86_GS].base, ==, 0x50000);
    g_assert_cmphex(g->s.seg[X86_DS].selector, ==, 0);
    g_assert_cmphex(g->s.gpr[X86_RSP], ==, GUEST_STACK);
    guest_free(g);
}

/* ---- views, the time stamp, UD2 ------------------------------------------------------------------------------------------ */
GUEST_CODE(smap, 32, "1: stac\n mov (%esi), %eax\n clac\n dec %ecx\n jnz 1b\n clac\n mov (%esi), %eax\n hlt\n");
static void test_smap(void)
{
    struct guest *g = START(GUEST_PAGED, 0, smap);
    for (unsigned page = 0; page < 0x40; page++) /* the kernel's; only the operand is a user's */
        guest_write(g, GUEST_PTES + page * 4, 4, page << 12 | 3);
    g->s.cr4 |= CR4_SMAP;
    g->s.gpr[X86_RSI] = 0x50000;
    g->s.gpr[X86_RCX] = 100;
    guest_write(g, 0x50000, 4, 0x12345678);
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, 14);
    g_assert_cmphex(g->s.gpr[X86_RAX], ==, 0x12345678);
    g_assert_cmpuint(g->s.gpr[X86_RCX], ==, 0);
    g_assert_cmphex(g->s.cr2, ==, 0x50000);
    guest_free(g);
}

GUEST_CODE(stamp, 64,
           "rdtsc\n mov %rax, %r8\n mov %rdx, %r9\n mov $5, %eax\n mov $6, %edx\n cmp %edx, %eax\n rdtsc\n"
           "setb %bl\n sub %r8d, %eax\n sbb %r9d, %edx\n int3\n");
static void test_stamp(void)
{
    struct guest *g = START(GUEST_LONG, 3, stamp);
    guest_gate(g, 3, SEL_CODE64, GUEST_HANDLER(3), 0xee);
    atomic_store(&g->tsc_offset, 0x123456789abc);
    uint64_t before = __builtin_ia32_rdtsc() + 0x123456789abc;
    guest_run(g);
    uint64_t after = __builtin_ia32_rdtsc() + 0x123456789abc, first = g->s.gpr[8] | g->s.gpr[9] << 32;
    g_assert_cmpint(guest_vector(g), ==, 3);
    g_assert_cmpuint(first, >=, before);
    g_assert_cmpuint(first, <=, after);
    g_assert_cmphex(g->s.gpr[X86_RBX] & 0xff, ==, 1); /* flags stay */
    g_assert_cmpuint(g->s.gpr[X86_RDX], ==, 0);
    g->s.cr4 |= CR4_TSD;
    g->s.run_state = X86_RUNNING;
    g->s.rip = GUEST_CODE_AT;
    g->s.seg[X86_CS] = guest_segment(g, SEL_USER64);
    g->s.seg[X86_SS] = guest_segment(g, SEL_USERDATA);
    g->s.gpr[X86_RSP] = GUEST_STACK;
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, 13);
    guest_free(g);
}

/* Both bytes of UD2 are code: the handler makes CPUID of it, by its second byte. */
GUEST_CODE(no_more_ud2, 32, "xor %eax, %eax\n inc %esi\n jmp 1f\n 1: ud2\n inc %esi\n hlt\n");
static void test_ud2(void)
{
    static const uint8_t handler[] = {
        0xc6,
        0x05,
        (GUEST_CODE_AT + 6) & 0xff,
        GUEST_CODE_AT >> 8 & 0xff,
        GUEST_CODE_AT >> 16,
        0,
        0xa2, /* movb $0xa2, ... */
        0x81,
        0x64,
        0x24,
        0x08,
        0xff,
        0xff,
        0xfe,
        0xff, /* andl $~RF, 8(%esp): else it would be a run of its own */
        0xcf, /* iret */
    };
    struct guest *g = START(GUEST_PROTECTED, 0, no_more_ud2);
    memcpy(g->mem + GUEST_HANDLER(6), handler, sizeof handler);
    g->s.gpr[X86_RSI] = 0;
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, -1);
    g_assert_cmpuint(g->s.gpr[X86_RSI], ==, 2);
    g_assert_cmpuint((uint32_t)g->s.gpr[X86_RAX], >, 0); /* CPUID's highest leaf */
    guest_free(g);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/interp/system/flags", test_flags);
    g_test_add_func("/interp/system/popf-interrupt", test_popf_interrupt);
    g_test_add_func("/interp/system/popf-step", test_popf_step);
    g_test_add_func("/interp/system/changed-descriptor", test_changed_descriptor);
    g_test_add_func("/interp/system/other-segment", test_other_segment);
    g_test_add_func("/interp/system/lds", test_lds);
    g_test_add_func("/interp/system/based-segment", test_based_segment);
    g_test_add_func("/interp/system/64", test_64);
    g_test_add_func("/interp/system/smap", test_smap);
    g_test_add_func("/interp/system/stamp", test_stamp);
    g_test_add_func("/interp/system/ud2", test_ud2);
    return g_test_run();
}
