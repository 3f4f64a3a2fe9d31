// SPDX-License-Identifier: GPL-2.0-or-later
/* test_interp_fpu.c - x87 and vector state: who may use it when, exceptions, and that it outlives everything that runs
 * between two of its instructions.  What the instructions compute is the oracle's business. */
#include "tests/patcher/guest.h"
#include "core-vmm/base/host_cpu.h"

#define CR0_MP      (1u << 1)
#define CR0_EM      (1u << 2)
#define CR0_TS      (1u << 3)
#define CR0_NE      (1u << 5)
#define CR4_OSFXSR  (1u << 9)
#define CR4_OSXMM   (1u << 10)
#define CR4_OSXSAVE (1u << 18)
enum { DONE = -1, UD = 6, NM = 7, GP = 13, MF = 16, XM = 19 };

static struct guest *start(enum guest_mode mode, const uint8_t *from, const uint8_t *end)
{
    struct guest *g = guest_new(1);
    guest_start(g, mode);
    guest_code(g, GUEST_CODE_AT, from, end);
    return g;
}
#define START(mode, name) start(mode, name, name##_end)

/* ---- who may: SDM Vol. 2, table 2-16 and following; Vol. 3, table 2-2 ---------------------------------------------- */
GUEST_CODE(i_x87, 32, "fld1\n hlt\n");
GUEST_CODE(i_fwait, 32, "fwait\n hlt\n");
GUEST_CODE(i_mmx, 32, "pxor %mm0, %mm0\n hlt\n");
GUEST_CODE(i_sse, 32, "pxor %xmm0, %xmm0\n hlt\n");
GUEST_CODE(i_crc, 32, "crc32l %eax, %ecx\n hlt\n");
GUEST_CODE(i_avx, 32, "vpxor %xmm0, %xmm0, %xmm0\n hlt\n");
GUEST_CODE(i_avx512, 32, "vpxord %xmm0, %xmm0, %xmm0\n hlt\n");
GUEST_CODE(i_bmi, 32, "andn %eax, %eax, %eax\n hlt\n");
GUEST_CODE(i_fxsave, 32, "fxsave 0x20000\n hlt\n");
GUEST_CODE(i_xsave, 32, "xor %eax, %eax\n xor %edx, %edx\n xsave 0x20000\n hlt\n");
GUEST_CODE(r_avx, 16, "vpxor %xmm0, %xmm0, %xmm0\n hlt\n");
GUEST_CODE(r_bmi, 16, "andn %eax, %eax, %eax\n hlt\n");
GUEST_CODE(r_sse, 16, "pxor %xmm0, %xmm0\n hlt\n");

struct right {
    const uint8_t *from, *end;
    enum guest_mode mode;
    uint32_t cr0, cr4; /* more bits */
    uint64_t xcr0;
    int vector;
};
#define CODE(name) name, name##_end
#define P          GUEST_PROTECTED

static void test_rights(void)
{
    const uint32_t sse = CR4_OSFXSR, xs = CR4_OSFXSR | CR4_OSXSAVE;
    const struct right table[] = {
        {CODE(i_x87), P, 0, 0, 1, DONE},
        {CODE(i_x87), P, CR0_TS, 0, 1, NM},
        {CODE(i_x87), P, CR0_EM, 0, 1, NM},
        {CODE(i_fwait), P, CR0_TS, 0, 1, DONE},
        {CODE(i_fwait), P, CR0_MP, 0, 1, DONE},
        {CODE(i_fwait), P, CR0_TS | CR0_MP, 0, 1, NM},
        {CODE(i_mmx), P, 0, 0, 1, DONE},
        {CODE(i_mmx), P, CR0_EM, 0, 1, UD},
        {CODE(i_mmx), P, CR0_TS, 0, 1, NM},
        {CODE(i_sse), P, 0, sse, 1, DONE},
        {CODE(i_sse), P, 0, 0, 1, UD},
        {CODE(i_sse), P, CR0_EM, sse, 1, UD},
        {CODE(i_sse), P, CR0_TS, sse, 1, NM},
        {CODE(i_sse), P, CR0_TS | CR0_EM, sse, 1, UD},
        {CODE(i_crc), P, CR0_TS | CR0_EM, 0, 1, DONE},
        {CODE(i_fxsave), P, 0, 0, 1, DONE},
        {CODE(i_fxsave), P, CR0_TS, 0, 1, NM},
        {CODE(i_xsave), P, 0, sse, 1, UD},
        {CODE(i_xsave), P, 0, xs, 1, DONE},
        {CODE(i_xsave), P, CR0_TS, xs, 1, NM},
        {CODE(i_avx), P, 0, xs, 7, DONE},
        {CODE(i_avx), P, 0, xs, 3, UD},
        {CODE(i_avx), P, 0, sse, 7, UD},
        {CODE(i_avx), P, CR0_TS, xs, 7, NM},
        {CODE(i_avx512), P, 0, xs, 0xe7, DONE},
        {CODE(i_avx512), P, 0, xs, 7, UD},
        {CODE(i_bmi), P, CR0_TS | CR0_EM, 0, 1, DONE},
        {CODE(r_avx), GUEST_REAL, 0, xs, 7, UD},
        {CODE(r_bmi), GUEST_REAL, 0, 0, 1, UD},
        {CODE(r_sse), GUEST_REAL, 0, sse, 1, DONE},
    };
    const bool avx = __builtin_cpu_supports("avx"), avx512 = __builtin_cpu_supports("avx512vl");
    const bool bmi = __builtin_cpu_supports("bmi");
    struct host_cpu host;
    host_cpu_learn(&host);
    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        const struct right *r = &table[i];
        if ((r->xcr0 & 4 && !avx) || (r->xcr0 & 0xe0 && !avx512) || (r->cr4 & CR4_OSXSAVE && !host.xcr0) ||
            (r->from == i_bmi && !bmi))
            continue;
        struct guest *g = start(r->mode, r->from, r->end);
        g->s.cr0 |= r->cr0;
        g->s.cr4 |= r->cr4;
        g->s.xcr0 = r->xcr0;
        guest_run(g);
        if (guest_vector(g) != r->vector)
            g_error("line %u of the table: vector %d, not %d", i, guest_vector(g), r->vector);
        guest_free(g);
    }
}

/* ---- exceptions --------------------------------------------------------------------------------------------------------- */
GUEST_CODE(divide_sse, 32, "ldmxcsr 0x20000\n divss %xmm0, %xmm1\n hlt\n");
GUEST_CODE(divide_x87, 32, "fninit\n fldcw 0x20000\n fld1\n fldz\n .byte 0xde, 0xf9\n nop\n fwait\n hlt\n");
GUEST_CODE(bad_mxcsr, 32, "ldmxcsr 0x20000\n hlt\n");
GUEST_CODE(bad_xrstor, 32, "mov $7, %eax\n xor %edx, %edx\n xrstor 0x20000\n hlt\n");

static void test_simd_exception(void)
{
    for (unsigned on = 0; on < 2; on++) {
        struct guest *g = START(P, divide_sse);
        g->s.cr4 |= CR4_OSFXSR | (on ? CR4_OSXMM : 0);
        guest_write(g, 0x20000, 4, 0x1f80 & ~(1u << 7)); /* invalid operation: 0 / 0 */
        memset(g->s.xsave + 160, 0, 32);
        guest_run(g);
        g_assert_cmpint(guest_vector(g), ==, on ? XM : UD);
        g_assert_cmphex(guest_frame(g, 0), ==, GUEST_CODE_AT + 7);
        g_assert_cmphex(guest_read(g, 0x20000, 4) | 1, ==, *(uint32_t *)(g->s.xsave + 24));
        guest_free(g);
    }
}

static void test_x87_exception(void)
{
    struct guest *g = START(P, divide_x87);
    g->s.cr0 |= CR0_NE;
    guest_write(g, 0x20000, 2, 0x37b); /* division by zero is unmasked */
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, MF);
    g_assert_cmphex(guest_frame(g, 0), ==, GUEST_CODE_AT + 8 + 2 + 2 + 2 + 1); /* at the FWAIT */
    g_assert_cmphex(g->s.xsave[2] & 0x84, ==, 0x84);                           /* ES and ZE */
    g_assert_cmphex(*(uint64_t *)(g->s.xsave + 8), ==, GUEST_CODE_AT + 8 + 2 + 2);
    guest_free(g);
}

/* ---- CR0.NE clear: FERR#, IGNNE# ---- */
GUEST_CODE(ferr_x87, 32,
           "1: fninit\n fldcw 0x20000\n fld1\n fldz\n fdivrp\n mov $1, %esi\n fld1\n mov $2, %esi\n dec %ebx\n jnz 1b\n"
           "hlt\n");
/* IRQ 13's handler: port F0h is logged; then FLDCW, which waits, with the error still there */
GUEST_CODE(ferr_handler, 32,
           "push %eax\n out %al, $0xf0\n fldcw 0x20000\n fwait\n fnstsw %ax\n out %ax, $0xf0\n fnclex\n"
           "mov %esi, %eax\n out %eax, $0xf0\n pop %eax\n iret\n");
enum { IRQ13 = 0x3d };

static bool ferr_pin(struct machine *m, unsigned cpu, bool pending)
{
    struct guest *g = (struct guest *)m;
    bool *ignore = g->test;
    if (!pending)
        *ignore = false;
    else if (!*ignore) {
        g->interrupt = IRQ13;
        g->engine->signal(g->vcpu[0], CPU_SIGNAL_INTR, 1);
        *ignore = true; /* the handler writes to port F0h before anything else */
        return false;
    }
    return *ignore;
}

static void test_ferr(void)
{
    enum { TIMES = 20 };
    bool ignore = false;
    struct guest *g = START(P, ferr_x87);
    GUEST_LOAD(g, 0x30000, ferr_handler);
    guest_gate(g, IRQ13, SEL_CODE32, 0x30000, 0x8e);
    g->machine.fpu_error = ferr_pin;
    g->test = &ignore;
    g->s.rflags |= 1 << 9;
    g->s.cr0 &= ~(uint64_t)CR0_NE;
    g->s.gpr[X86_RBX] = TIMES;
    guest_write(g, 0x20000, 2, 0x37b); /* division by zero is unmasked */
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, DONE);
    g_assert_cmpuint(g->logged, ==, TIMES * 3);
    for (unsigned i = 0; i < g->logged; i += 3) {
        g_assert_cmphex(g->log[i + 1] & 0x84, ==, 0x84); /* ES and ZE are still there for the handler */
        g_assert_cmphex(g->log[i + 2], ==, 1);           /* it came before the waiting FLD1 */
    }
    g_assert_false(ignore); /* FERR# has fallen */
    g_assert_cmphex(g->s.gpr[X86_RSI], ==, 2);
    guest_free(g);
}

/* Interrupts off: it waits for good, and comes out by what wakes a halted CPU. */
static void test_ferr_waits(void)
{
    bool ignore = false;
    struct guest *g = START(P, ferr_x87);
    g->machine.fpu_error = ferr_pin;
    g->test = &ignore;
    g->s.cr0 &= ~(uint64_t)CR0_NE;
    g->s.gpr[X86_RBX] = 1;
    guest_write(g, 0x20000, 2, 0x37b);
    g_assert_cmpint(guest_run(g), ==, CPU_STOP_HLT);
    g_assert_cmphex(g->s.gpr[X86_RSI], ==, 1);
    g->engine->signal(g->vcpu[0], CPU_SIGNAL_NMI, 1);
    guest_continue(g);
    g_assert_cmpint(guest_vector(g), ==, 2);
    guest_free(g);
}

static void test_bad_state(void)
{
    struct guest *g = START(P, bad_mxcsr);
    g->s.cr4 |= CR4_OSFXSR;
    guest_write(g, 0x20000, 4, 0xffffffff);
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, GP);
    guest_free(g);
    g = START(P, bad_xrstor);
    g->s.cr4 |= CR4_OSFXSR | CR4_OSXSAVE;
    g->s.xcr0 = 3;
    guest_write(g, 0x20000 + 512, 8, 4); /* a component that XCR0 does not enable */
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, GP);
    guest_free(g);
}

/* A saved state from anywhere must not bring the engine down. */
static void test_hostile_image(void)
{
    struct guest *g = START(P, i_sse);
    g->s.cr4 |= CR4_OSFXSR;
    memset(g->s.xsave, 0xff, sizeof g->s.xsave);
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, DONE);
    g_assert_cmphex(*(uint64_t *)(g->s.xsave + 160), ==, 0);
    g_assert_cmphex(*(uint64_t *)(g->s.xsave + 176), ==, ~0ull);
    guest_free(g);
}

/* ---- life of the state ------------------------------------------------------------------------------------------------------ */
GUEST_CODE(keeps, 32,
           "movd %eax, %xmm3\n fninit\n fld1\n ldmxcsr 0x20000\n out %al, $0xe0\n in $0xe0, %al\n movd %xmm3, %ebx\n"
           "mov 0x10000000, %ecx\n fld1\n faddp\n fistpl 0x20010\n stmxcsr 0x20014\n hlt\n");

static uint64_t clobber(struct machine *m, uint16_t port, unsigned size)
{
    __asm__ volatile("fninit; pcmpeqb %%xmm3, %%xmm3; pcmpeqb %%xmm0, %%xmm0" ::: "xmm3", "xmm0");
    return 0;
}

static void clobber_out(struct machine *m, uint16_t port, unsigned size, uint64_t v)
{
    clobber(m, port, size);
}

static void test_outside(void)
{
    struct guest *g = START(P, keeps);
    g->s.cr4 |= CR4_OSFXSR;
    g->s.gpr[X86_RAX] = 0x12345678;
    g->machine.in = clobber;
    g->machine.out = clobber_out;
    guest_write(g, 0x20000, 4, 0x3fa0);
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, DONE);
    g_assert_cmphex(g->s.gpr[X86_RBX], ==, 0x12345678);
    g_assert_cmphex(guest_read(g, 0x20010, 4), ==, 2);
    g_assert_cmphex(guest_read(g, 0x20014, 4), ==, 0x3fa0);
    guest_free(g);
}

/* More different instructions than there is room for stubs: SHUFPS and PSHUFD of all registers with all immediates, the
 * last of which undo each other. */
static void test_many_stubs(void)
{
    static const uint8_t opcodes[] = {0xc6, 0x70};
    struct guest *g = guest_new(1);
    uint8_t *at = g->mem + GUEST_CODE_AT;
    guest_start(g, GUEST_LONG);
    g->s.cr4 |= CR4_OSFXSR;
    for (unsigned op = 0; op < 2; op++)
        for (unsigned n = 0; n < 0x10000; n++, at += 6) {
            uint8_t rex = 0x40 | (n >> 7 & 1) << 2 | (n >> 3 & 1), modrm = 0xc0 | (n >> 4 & 7) << 3 | (n & 7);
            memcpy(at, (uint8_t[]){op ? 0x66 : 0x3e, rex, 0x0f, opcodes[op], modrm, n >> 8}, 6);
        }
    static const uint8_t last[] = {0x66, 0x0f, 0x6e, 0xc8,       /* movd xmm1, eax */
                                   0x66, 0x0f, 0x70, 0xd1, 0x15, /* pshufd xmm2, xmm1, 15: to element 3 */
                                   0x66, 0x0f, 0x70, 0xda, 0xff, /* pshufd xmm3, xmm2, ff */
                                   0x66, 0x0f, 0x7e, 0xdb, 0xf4 /* movd ebx, xmm3; hlt */};
    memcpy(at, last, sizeof last);
    g->s.gpr[X86_RAX] = 0x87654321;
    guest_run(g);
    g_assert_cmpint(guest_vector(g), ==, DONE);
    g_assert_cmphex(g->s.gpr[X86_RBX], ==, 0x87654321);
    guest_free(g);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/interp/fpu/rights", test_rights);
    g_test_add_func("/interp/fpu/simd-exception", test_simd_exception);
    g_test_add_func("/interp/fpu/x87-exception", test_x87_exception);
    g_test_add_func("/interp/fpu/ferr", test_ferr);
    g_test_add_func("/interp/fpu/ferr-waits", test_ferr_waits);
    g_test_add_func("/interp/fpu/bad-state", test_bad_state);
    g_test_add_func("/interp/fpu/hostile-image", test_hostile_image);
    g_test_add_func("/interp/fpu/outside", test_outside);
    g_test_add_func("/interp/fpu/many-stubs", test_many_stubs);
    return g_test_run();
}
