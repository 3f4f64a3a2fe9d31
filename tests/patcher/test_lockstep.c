// SPDX-License-Identifier: GPL-2.0-or-later
/* test_lockstep.c - the check of tier 2 against tier 1: that it finds what it is for, and that a guest gets on meanwhile.
 *
 * Differences are planted in translated code: a constant of a guest's instruction stands in the host's as it is, and an OUT
 * in the guest's loop changes one bit of it. */
#include "tests/patcher/guest.h"
#include "patcher/patcher.h"
#include "patcher/soft.h"
#include "patcher/translate/translate.h"

enum { DATA = 0x20000, PLANTED = 0x5a11c0de, ADDRESS = 0x20650, AT_OUT = 20 };

static struct guest *lockstep_guest(const uint8_t *code, const uint8_t *end)
{
    struct guest *g = guest_new(1);
    guest_start(g, GUEST_LONG);
    guest_code(g, GUEST_CODE_AT, code, end);
    g->s.rip = GUEST_CODE_AT;
    return g;
}

static enum cpu_stop run_guest(struct guest *g, GError **error)
{
    g->engine->set_state(g->vcpu[0], &g->s);
    return g->engine->run(g->vcpu[0], error);
}

/* ---- planted differences ------------------------------------------------------------------------------------------- */
/* in_vector has a loop of its own: for its first round vector state is not where translated code wants it. */
/* clang-format off */
#define LOOP(insns) "fninit; movl $0x1f80, -8(%rsp); ldmxcsr -8(%rsp); mov $0x20000, %edi; mov $40, %ecx; jmp 1f\n" \
                    "1: " insns "; out %al, $0xe0; dec %ecx; jnz 1b; hlt\n"
GUEST_CODE(in_register, 64, LOOP("mov $0x5a11c0de, %ebx"));
GUEST_CODE(in_high_half, 64, LOOP("movabs $0x5a11c0de00000000, %r14"));
GUEST_CODE(in_flags, 64, LOOP("mov $0x5a11c0dd, %ebx; inc %ebx; cmp $0x5a11c0de, %ebx"));
GUEST_CODE(in_memory, 64, LOOP("movl $0x5a11c0de, 0xffc(%rdi)"));
GUEST_CODE(in_stack, 64, LOOP("push $0x5a11c0de; lea 8(%rsp), %rsp"));
GUEST_CODE(in_vector, 64, LOOP("mov $9, %ebp; 2: pxor %xmm3, %xmm3\n"
                               "mov $0x5a11c0de, %edx; movd %edx, %xmm3; xor %edx, %edx; dec %ebp; jnz 2b"));
GUEST_CODE(in_address, 64, LOOP("movb $1, 0x20650"));
/* clang-format on */

struct planted {
    const char *name;
    const uint8_t *code, *end;
    uint32_t constant, bit; /* what is changed in it */
    const char *says;       /* the report */
};
static const struct planted planted[] = {
    {"register", in_register, in_register_end, PLANTED, 1 << 31, "rbx: "},
    {"high-half", in_high_half, in_high_half_end, PLANTED, 1 << 31, "r14: "},
    {"flags", in_flags, in_flags_end, PLANTED, 1, "flags: tier 1 46, tier 2 97"},
    {"memory", in_memory, in_memory_end, PLANTED, 1, "memory at 20ff8 of the file"},
    {"stack", in_stack, in_stack_end, PLANTED, 1 << 30, "memory at 7ff8 of the file"},
    {"vector", in_vector, in_vector_end, PLANTED, 1 << 7, "tier 1 000000005a11c0de, tier 2 000000005a11c05e"},
    {"address", in_address, in_address_end, ADDRESS, 8, "memory at 20658 of the file"},
};

struct plan {
    const struct planted *what;
    unsigned outs;
    bool done;
};

static void plant(struct plan *p, const struct translator *x)
{
    for (uint8_t *at = x->rw + x->trampolines; at + 4 <= x->rw + x->used; at++) {
        uint32_t value;
        memcpy(&value, at, 4);
        if (value != p->what->constant)
            continue;
        value ^= p->what->bit;
        memcpy(at, &value, 4);
        p->done = true;
    }
}

static void on_out(struct machine *m, uint16_t port, unsigned size, uint64_t value)
{
    struct guest *g = (struct guest *)m;
    struct plan *p = g->test;
    if (p && ++p->outs == AT_OUT)
        plant(p, ((struct vcpu *)g->vcpu[0])->translator);
}

static void test_planted(const void *data)
{
    g_autoptr(GError) error = NULL;
    struct plan plan = {.what = data};
    struct guest *g = lockstep_guest(plan.what->code, plan.what->end);
    g->machine.out = on_out;
    g_assert_cmpint(run_guest(g, &error), ==, CPU_STOP_HLT);
    g_assert_no_error(error);
    g->test = &plan;
    enum cpu_stop stop = run_guest(g, &error);
    g_assert_true(plan.done);
    g_assert_cmpint(stop, ==, CPU_STOP_FAIL);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, "lockstep: tier 1"));
    g_assert_nonnull(strstr(error->message, plan.what->says));
    g_assert_cmpuint(plan.outs, ==, AT_OUT);
    guest_free(g);
}

/* ---- memory that changes behind the engine's back ------------------------------------------------------------------------ */
/* clang-format off */
GUEST_CODE(copies, 64, "mov $0x20000, %edi; mov $100000, %ecx\n"
                       "1: mov (%rdi), %eax; add %eax, 8(%rdi); dec %ecx; jnz 1b; hlt\n");
/* clang-format on */

struct scribbler {
    volatile uint32_t *at;
    _Atomic bool stop;
};

static gpointer scribble(gpointer data)
{
    struct scribbler *s = data;
    while (!s->stop)
        ++*s->at;
    return NULL;
}

static void test_scribbled(void)
{
    g_autoptr(GError) error = NULL;
    struct guest *g = lockstep_guest(copies, copies_end);
    struct scribbler s = {.at = (uint32_t *)(g->mem + DATA)};
    GThread *t = g_thread_new("scribbler", scribble, &s);
    while (!*s.at)
        g_thread_yield();
    enum cpu_stop stop = CPU_STOP_HLT; /* a busy host may not run both threads at once */
    for (gint64 end = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
         stop == CPU_STOP_HLT && g_get_monotonic_time() < end;)
        stop = run_guest(g, &error);
    s.stop = true;
    g_thread_join(t);
    g_assert_cmpint(stop, ==, CPU_STOP_FAIL);
    g_assert_nonnull(strstr(error->message, "lockstep: "));
    g_assert_nonnull(strstr(error->message, "before it was nearest"));
    guest_free(g);
}

/* ---- getting on ------------------------------------------------------------------------------------------------------------- */
/* Two pages in one slot of the TLB, by turns, and neither may be lost for ever. */
GUEST_CODE(one_slot, 64, "mov $40, %ecx\n1: mov %ecx, 0x20000; mov %ecx, 0x4020000; dec %ecx; jnz 1b; hlt\n");

static void test_one_slot(void)
{
    g_autoptr(GError) error = NULL;
    enum { DIRECTORY = GUEST_TABLES + 0x2000, LARGE = 0x87 };
    struct guest *g = lockstep_guest(one_slot, one_slot_end);
    guest_write(g, DIRECTORY + 8 * (0x4000000 >> 21), 8, 0x200000 | LARGE);
    g_assert_cmpint(run_guest(g, &error), ==, CPU_STOP_HLT);
    g_assert_cmpuint(guest_read(g, 0x220000, 4), ==, 1);
    guest_free(g);
}

/* A loop that has no reason to come to C.  What is requested meanwhile waits for tier 1 to do all of a stretch again. */
GUEST_CODE(quiet, 64,
           "mov $1000000, %ecx; mov $0x20000, %edi\n"
           "1: add (%rdi), %eax; cmp $1000, %eax; je 2f; lea 1(%rbx), %ebx\n2: dec %ecx; jnz 1b; hlt\n");

static void test_quiet(void)
{
    g_autoptr(GError) error = NULL;
    struct guest *g = lockstep_guest(quiet, quiet_end);
    g_assert_cmpint(run_guest(g, &error), ==, CPU_STOP_HLT);
    uint64_t stretches = guest_counter(g, "stretches compared"), again = guest_counter(g, "instructions done again");
    g_assert_cmpuint(again, >=, 5900000);
    g_assert_cmpuint(again / stretches, <, 50000);
    guest_free(g);
}

int main(int argc, char **argv)
{
    g_setenv("GUEST_ENGINE", "lockstep", TRUE);
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(planted); i++) {
        g_autofree char *name = g_strdup_printf("/lockstep/planted/%s", planted[i].name);
        g_test_add_data_func(name, &planted[i], test_planted);
    }
    g_test_add_func("/lockstep/scribbled", test_scribbled);
    g_test_add_func("/lockstep/one-slot", test_one_slot);
    g_test_add_func("/lockstep/quiet", test_quiet);
    return g_test_run();
}
