// SPDX-License-Identifier: GPL-2.0-or-later
/* test_interp_code.c - code that changes: by itself, by DMA, by another CPU; moved memory; the dirty log; and a state
 * round trip in the middle of work. */
#include "tests/patcher/guest.h"
#include <unistd.h>

/* Changes the immediate of the very next instruction. */
GUEST_CODE(modifies_next, 32,
           "call 1f\n"
           "1: pop %ebx\n"
           "movb $0x55, 2f - 1b + 1(%ebx)\n"
           "2: mov $0x11, %al\n"
           "hlt\n");

static void test_modifies_next(void)
{
    struct guest *g = guest_new(1);
    guest_start(g, GUEST_PROTECTED);
    GUEST_LOAD(g, GUEST_CODE_AT, modifies_next);
    guest_run(g);
    g_assert_cmphex(g->s.gpr[X86_RAX] & 0xff, ==, 0x55);
    guest_free(g);
}

/* A loop whose body is rewritten on each pass through another mapping of its page. */
GUEST_CODE(modifies_alias, 64,
           "mov $0x50000, %ebx; mov $100, %ecx; xor %edx, %edx\n"
           "1: mov %cl, 2f - modifies_alias + 2(%rbx)\n"
           "2: add $0, %dl\n"
           "dec %ecx; jnz 1b; hlt\n");

static void test_modifies_alias(void)
{
    struct guest *g = guest_new(1);
    guest_start(g, GUEST_LONG);
    GUEST_LOAD(g, GUEST_CODE_AT, modifies_alias);
    guest_write(g, GUEST_PTES + 0x50 * 8, 8, GUEST_CODE_AT | 7);
    guest_run(g);
    g_assert_cmpuint(g->s.gpr[X86_RDX], ==, 5050 % 256);
    guest_free(g);
}

/* MOV EAX, imm32; ADD EAX, imm32; RET is a block, and from the ADD on another.  When the first one is killed and its
 * bytes are written to once more, those of both are not forgotten. */
GUEST_CODE(shares_bytes, 64,
           "mov $0x20000, %ebx; mov $0x20005, %esi; mov $40, %ecx; xor %edx, %edx\n"
           "1: call *%rbx; add %eax, %edx; xor %eax, %eax; call *%rsi; add %eax, %edx\n"
           "mov %cl, 0x20001; movb $0, 0x20002; xor %eax, %eax; call *%rsi; add %eax, %edx\n"
           "mov %cl, 0x20006; xor %eax, %eax; call *%rsi; add %eax, %edx\n"
           "dec %ecx; jnz 1b; hlt\n");

static void test_shares_bytes(void)
{
    static const uint8_t code[] = {0xb8, 0, 0, 0, 0, 0x05, 0, 0, 0, 0, 0xc3};
    uint32_t moved = 0, added = 0, sum = 0;
    struct guest *g = guest_new(1);
    guest_start(g, GUEST_LONG);
    GUEST_LOAD(g, GUEST_CODE_AT, shares_bytes);
    guest_code(g, 0x20000, code, code + sizeof code);
    guest_run(g);
    for (uint32_t i = 40; i; i--) {
        sum += moved + added + added + added + i;
        moved = added = i;
    }
    g_assert_cmpuint(g->s.gpr[X86_RDX], ==, sum);
    guest_free(g);
}

/* The same where one is an instruction across a page's end, and the other one begins behind that, in its immediate. */
GUEST_CODE(shares_across, 64,
           "mov $0x20ffe, %ebx; mov $0x21001, %esi; mov $40, %ecx; xor %edx, %edx\n"
           "1: call *%rbx; add %eax, %edx; call *%rsi; movb $0xc3, 0x21004; movb $0x90, 0x21003\n"
           "mov $0xf8, %al; test $1, %cl; jz 2f; mov $0x90, %al\n"
           "2: mov %al, 0x21001; call *%rbx; add %eax, %edx; dec %ecx; jnz 1b; hlt\n");

static void test_shares_across(void)
{
    /* its immediate has NOPs, or CLC, and behind it are a NOP and a RET */
    static const uint8_t code[] = {0xb8, 1, 2, 0x90, 0x90, 0x90, 0xc3};
    uint32_t now = 0x90900201, sum = 0;
    struct guest *g = guest_new(1);
    guest_start(g, GUEST_LONG);
    GUEST_LOAD(g, GUEST_CODE_AT, shares_across);
    guest_code(g, 0x20ffe, code, code + sizeof code);
    guest_run(g);
    for (uint32_t i = 40; i; i--) {
        sum += now;
        now = i & 1 ? 0x90900201 : 0x90f80201;
        sum += now;
    }
    g_assert_cmphex(g->s.gpr[X86_RDX], ==, sum);
    guest_free(g);
}

/* Somebody else writes code and says so by touched().  An NMI wakes the guest for its second round. */
GUEST_CODE(two_rounds, 32, "1: mov $1, %eax\n hlt\n jmp 1b\n");

static void test_touched(void)
{
    struct guest *g = guest_new(1);
    guest_start(g, GUEST_PROTECTED);
    GUEST_LOAD(g, GUEST_CODE_AT, two_rounds);
    guest_write(g, GUEST_HANDLER(2), 1, 0xcf); /* IRET */
    guest_run(g);
    g_assert_cmpuint(g->s.gpr[X86_RAX], ==, 1);
    g->mem[GUEST_CODE_AT + 1] = 2;
    g->engine->touched(g->evm, GUEST_CODE_AT + 1, 1);
    g->engine->signal(g->vcpu[0], CPU_SIGNAL_NMI, 0);
    guest_continue(g);
    g_assert_cmpuint(g->s.gpr[X86_RAX], ==, 2);
    guest_free(g);
}

/* CPU 1 loops in a routine that CPU 0 rewrites: it must notice, and return the new value in the end. */
GUEST_CODE(rewriter, 32,
           "mov $50000, %ecx\n"
           "1: mov %ecx, 0x20001\n"
           "pause; loop 1b\n"
           "movl $0x600d, 0x20001\n"
           "mfence\n"
           "movl $1, 0x7000\n"
           "hlt\n");
GUEST_CODE(rewritten, 32, "mov $0, %eax\n ret\n");
GUEST_CODE(caller, 32,
           "1: call 0x10000 + 0x10000\n"
           "cmpl $1, 0x7000; jne 1b\n"
           "cpuid\n"
           "mov $0x20000, %ebx; call *%ebx\n"
           "hlt\n");

static gpointer run_second(gpointer data)
{
    struct guest *g = data;
    while (g->engine->run(g->vcpu[1], NULL) == CPU_STOP_KICKED)
        ;
    return NULL;
}

static void test_two_cpus(void)
{
    struct guest *g = guest_new(2);
    guest_start(g, GUEST_PROTECTED);
    GUEST_LOAD(g, GUEST_CODE_AT, rewriter);
    GUEST_LOAD(g, 0x18000, caller);
    GUEST_LOAD(g, 0x20000, rewritten);
    guest_write(g, 0x18001, 4, 0x20000 - 0x18005);
    guest_write(g, 0x7000, 4, 0);
    struct x86_state second = g->s;
    second.rip = 0x18000;
    second.gpr[X86_RSP] = 0x9000;
    g->engine->set_state(g->vcpu[1], &second);
    GThread *t = g_thread_new("cpu1", run_second, g);
    guest_run(g);
    g_thread_join(t);
    g->engine->get_state(g->vcpu[1], &second);
    g_assert_cmphex(second.gpr[X86_RAX], ==, 0x600d);
    guest_free(g);
}

/* LOCKed increments of two CPUs add up, aligned, across a page, and on a page with code. */
GUEST_CODE(counter, 32, "1: lock incl (%esi)\n loop 1b\n hlt\n");

static void check_locked(gconstpointer data)
{
    uint32_t at = GPOINTER_TO_UINT(data);
    struct guest *g = guest_new(2);
    guest_start(g, GUEST_PROTECTED);
    GUEST_LOAD(g, GUEST_CODE_AT, counter);
    guest_write(g, at, 4, 0);
    g->s.gpr[X86_RCX] = 100000;
    g->s.gpr[X86_RSI] = at;
    g->engine->set_state(g->vcpu[1], &g->s);
    GThread *t = g_thread_new("cpu1", run_second, g);
    guest_run(g);
    g_thread_join(t);
    g_assert_cmpuint(guest_read(g, at, 4), ==, 200000);
    guest_free(g);
}

/* Memory that is mapped elsewhere meanwhile, read-only memory, and nothing at all. */
GUEST_CODE(touch_500000, 32, "mov 0x500000, %eax\n movl $0x77, 0x500000\n mov 0x500000, %ebx\n hlt\n");
static uint64_t device_load(struct machine *m, uint64_t gpa, unsigned size)
{
    return gpa == 0x500000 ? 0xde1ce : 0;
}
static void device_store(struct machine *m, uint64_t gpa, unsigned size, uint64_t value)
{
    struct guest *g = (struct guest *)m;
    g->log[g->logged++] = gpa ^ value;
}

static void test_map(void)
{
    struct guest *g = guest_new(1);
    g->machine.load = device_load;
    g->machine.store = device_store;
    guest_start(g, GUEST_PROTECTED);
    GUEST_LOAD(g, GUEST_CODE_AT, touch_500000);
    guest_write(g, 0x600000, 4, 0x6060);
    g_assert_true(g->engine->map(g->evm, 0x500000, 0x1000, 0x600000, CPU_MAP_READONLY, NULL));
    guest_run(g);
    g_assert_cmphex(g->s.gpr[X86_RAX], ==, 0x6060);
    g_assert_cmphex(g->s.gpr[X86_RBX], ==, 0x6060);
    g_assert_cmphex(g->log[0], ==, 0x500000 ^ 0x77);
    g_assert_true(g->engine->map(g->evm, 0x500000, 0x1000, 0, CPU_MAP_NONE, NULL));
    guest_start(g, GUEST_PROTECTED);
    guest_run(g);
    g_assert_cmphex(g->s.gpr[X86_RBX], ==, 0xde1ce);
    g_assert_true(g->engine->map(g->evm, 0x500000, 0x1000, 0x600000, CPU_MAP_RAM | CPU_MAP_LOG, NULL));
    guest_start(g, GUEST_PROTECTED);
    uint64_t bitmap[8] = {0};
    g->engine->set_state(g->vcpu[0], &g->s);
    g->engine->dirty(g->evm, 0x5ff000, 0x3000, bitmap); /* guest_run() has "touched" all */
    bitmap[0] = 0;
    guest_continue(g);
    g_assert_cmphex(g->s.gpr[X86_RBX], ==, 0x77);
    g->engine->dirty(g->evm, 0x5ff000, 0x3000, bitmap);
    g_assert_cmphex(bitmap[0], ==, 2);
    bitmap[0] = 0;
    g->engine->dirty(g->evm, 0x5ff000, 0x3000, bitmap);
    g_assert_cmphex(bitmap[0], ==, 0);
    guest_free(g);
}

/* Whatever is set comes back; and a guest interrupted every so often computes the same. */
static void test_state_round_trip(void)
{
    struct guest *g = guest_new(1);
    guest_start(g, GUEST_LONG);
    g_autoptr(GRand) random = g_rand_new_with_seed(g_test_rand_int());
    struct x86_state *s = &g->s, back;
    for (unsigned i = 0; i < 16; i++)
        s->gpr[i] = (uint64_t)g_rand_int(random) << 32 | g_rand_int(random);
    s->rflags = 0x246;
    s->cr2 = 0x123456789000;
    s->dr[0] = 0x1000;
    s->dr[6] = 0xffff0ff0;
    s->dr[7] = 0x400;
    s->lstar = 0xffffffff81000000;
    s->star = 0x0023001000000000;
    s->sfmask = 0x47700;
    s->kernel_gs_base = 0xffff888000000000;
    s->tsc_aux = 7;
    s->pat = 0x0407050600070106;
    s->mtrr_fixed[3] = 0x0606060606060606;
    s->mtrr_mask[2] = 0xff00000800;
    s->nmi_blocked = true;
    s->seg[X86_FS].base = 0x7f0012345000;
    for (unsigned i = 160; i < 160 + 256; i++)
        s->xsave[i] = g_rand_int(random);
    s->xsave[512] = 3;
    g->engine->set_state(g->vcpu[0], s);
    g->engine->get_state(g->vcpu[0], &back);
    back.tsc = s->tsc;
    s->apic_base = back.apic_base;
    g_assert_cmpmem(s, offsetof(struct x86_state, xsave), &back, offsetof(struct x86_state, xsave));
    g_assert_cmpmem(s->xsave + 160, 256, back.xsave + 160, 256);
    guest_free(g);
}

/* Whenever a vCPU is set, its counter is the machine's, ahead by its IA32_TSC_ADJUST and nothing else. */
static void check_tsc(struct guest *g, unsigned cpu, uint64_t ahead)
{
    g_autofree struct x86_state *s = g_new0(struct x86_state, 1);
    uint64_t before = __builtin_ia32_rdtsc() + g->tsc_offset + ahead;
    g->engine->get_state(g->vcpu[cpu], s);
    uint64_t after = __builtin_ia32_rdtsc() + g->tsc_offset + ahead;
    g_assert_cmpuint(s->tsc, >=, before);
    g_assert_cmpuint(s->tsc, <=, after);
}

static void test_one_tsc(void)
{
    struct guest *g = guest_new(2);
    g_autofree struct x86_state *s = g_new0(struct x86_state, 1);
    g->tsc_offset = 1000000 - (int64_t)__builtin_ia32_rdtsc();
    for (unsigned cpu = 0; cpu < 2; cpu++) {
        x86_state_reset(s, cpu == 0);
        g->engine->set_state(g->vcpu[cpu], s);
        check_tsc(g, cpu, 0);
    }
    s->tsc_adjust = 1ull << 40;
    g->engine->set_state(g->vcpu[1], s);
    check_tsc(g, 0, 0);
    check_tsc(g, 1, 1ull << 40);
    guest_free(g);
}

GUEST_CODE(compute, 64,
           "mov $4000000, %ecx; mov $1, %eax\n"
           "1: imul $0x41c64e6d, %eax, %eax; add $12345, %eax; rol $3, %eax; dec %ecx; jnz 1b; hlt\n");

static gpointer kicker(gpointer data)
{
    struct guest *g = data;
    for (unsigned i = 0; i < 20; i++) {
        g_usleep(500);
        g->engine->kick(g->vcpu[0]);
    }
    return NULL;
}

/* The number of kicks that arrived while it computed. */
static unsigned compute_kicked(struct guest *g, uint64_t expected)
{
    unsigned kicked = 0;
    guest_start(g, GUEST_LONG);
    GThread *t = g_thread_new("kicker", kicker, g);
    guest_run(g);
    while (g->stopped == CPU_STOP_KICKED && g->s.run_state == X86_RUNNING) {
        struct x86_state s = g->s;
        kicked++;
        g->engine->set_state(g->vcpu[0], &s);
        guest_continue(g);
    }
    g_thread_join(t);
    g_assert_cmphex(g->s.gpr[X86_RAX], ==, expected);
    return kicked;
}

static void test_kick(void)
{
    struct guest *g = guest_new(1);
    guest_start(g, GUEST_LONG);
    GUEST_LOAD(g, GUEST_CODE_AT, compute);
    guest_run(g);
    uint64_t expected = g->s.gpr[X86_RAX];
    unsigned kicked = 0;
    for (unsigned i = 0; i < 200 && !kicked; i++) /* a busy host may not let the kicker run in time */
        kicked = compute_kicked(g, expected);
    g_assert_cmpuint(kicked, >, 0);
    guest_free(g);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/interp/code/modifies-next", test_modifies_next);
    g_test_add_func("/interp/code/modifies-alias", test_modifies_alias);
    g_test_add_func("/interp/code/shares-bytes", test_shares_bytes);
    g_test_add_func("/interp/code/shares-across", test_shares_across);
    g_test_add_func("/interp/code/touched", test_touched);
    g_test_add_func("/interp/code/two-cpus", test_two_cpus);
    g_test_add_data_func("/interp/code/lock", GUINT_TO_POINTER(0x50000), check_locked);
    g_test_add_data_func("/interp/code/lock-across-pages", GUINT_TO_POINTER(0x50ffe), check_locked);
    g_test_add_data_func("/interp/code/lock-beside-code", GUINT_TO_POINTER(GUEST_CODE_AT + 0x80), check_locked);
    g_test_add_func("/interp/code/map", test_map);
    g_test_add_func("/interp/code/state-round-trip", test_state_round_trip);
    g_test_add_func("/interp/code/one-tsc", test_one_tsc);
    g_test_add_func("/interp/code/kick", test_kick);
    return g_test_run();
}
