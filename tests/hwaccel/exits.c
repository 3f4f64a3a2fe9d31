// SPDX-License-Identifier: GPL-2.0-or-later
/* exits.c - what makes the guest come back: ports, MMIO, triple faults, what KVM cannot run, kicks. */
#include "tests/hwaccel/hwaccel_tests.h"
#include <sched.h>
#include <string.h>

static const struct access *access_at(GArray *log, unsigned i)
{
    g_assert_cmpuint(i, <, log->len);
    return &g_array_index(log, struct access, i);
}

static void test_ports(const struct cpu_engine *engine)
{
    static const struct access expected[] = {
        {PORT_PATTERN, 0x78, 1, true},    {PORT_PATTERN, 0x5678, 2, true},  {PORT_PATTERN, 0x12345678, 4, true},
        {PORT_PATTERN, 0xd4, 1, false},   {PORT_PATTERN, 0xc3d5, 2, false}, {PORT_PATTERN, 0xa1b2c3d6, 4, false},
        {PORT_PATTERN, 0xc3d7, 2, false}, {PORT_PATTERN, 0xc3d8, 2, false}, {PORT_PATTERN, 0xc3d9, 2, false},
    };
    struct bare_machine *m = bare_new(engine, 1);
    bare_load(m, CODE, g_ports, g_ports_end);
    bare_start16(m, 0, CODE);
    bare_finish(m, 0);
    g_assert_cmpuint(m->ports->len, ==, G_N_ELEMENTS(expected));
    for (unsigned i = 0; i < G_N_ELEMENTS(expected); i++) {
        const struct access *a = access_at(m->ports, i);
        g_assert_cmphex(a->value, ==, expected[i].value);
        g_assert_cmpuint(a->size, ==, expected[i].size);
        g_assert_cmpint(a->write, ==, expected[i].write);
    }
    g_assert_cmpstr(m->text->str, ==, "hello");
    g_assert_cmphex(bare_u32(m, RESULT), ==, 0xd4);
    g_assert_cmphex(bare_u32(m, RESULT + 4), ==, 0xc3d5);
    g_assert_cmphex(bare_u32(m, RESULT + 8), ==, 0xa1b2c3d6);
    g_assert_cmphex(bare_u32(m, RESULT + 16), ==, 0xc3d8c3d7);
    bare_free(m);
}

static void test_registers(const struct cpu_engine *engine)
{
    static const uint32_t expected[] = {0x564d5869, 0xeeeeeeee, 0xdddddddd, 0xfffffcef,
                                        0xbbbbbbbb, 0xaaaaaaaa, 0x99999999};
    struct bare_machine *m = bare_new(engine, 1);
    bare_load(m, CODE, g_registers, g_registers_end);
    bare_start32(m, 0, CODE);
    bare_finish(m, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(expected); i++)
        g_assert_cmphex(bare_u32(m, RESULT + 4 * i), ==, expected[i]);
    g_assert_cmphex(bare_u32(m, RESULT + 28), ==, bare_u32(m, RESULT + 32)); /* ESP is as it was */
    bare_free(m);
}

static void test_mmio(const struct cpu_engine *engine)
{
    struct bare_machine *m = bare_new(engine, 1);
    static const uint8_t bytes[] = {0x11, 0, 0x33, 0x22, 0x77, 0x66, 0x55, 0xcc, 8, 7, 6, 5, 4, 3, 2, 1};
    bare_load(m, CODE, g_mmio, g_mmio_end);
    bare_start32(m, 0, CODE);
    bare_finish(m, 0);
    g_assert_cmpmem(m->mmio_bytes, sizeof bytes, bytes, sizeof bytes);
    g_assert_cmphex(bare_u32(m, RESULT), ==, 0x11);
    g_assert_cmphex(bare_u32(m, RESULT + 4), ==, 0x2233);
    g_assert_cmphex(bare_u32(m, RESULT + 8), ==, 0x44556677);
    g_assert_cmphex(bare_u32(m, RESULT + 12), ==, 0xcafebabe); /* across a page, in odd pieces */
    g_assert_cmpmem(m->mmio_bytes + 0xffd, 4, "\xbe\xba\xfe\xca", 4);
    for (unsigned i = 0; i < m->mmio->len; i++) {
        unsigned size = access_at(m->mmio, i)->size;
        g_assert_cmpuint(size & (size - 1), ==, 0);
    }
    g_assert_cmpuint(access_at(m->mmio, 3)->size, ==, 8);
    bare_free(m);
}

static void test_long_mode(const struct cpu_engine *engine)
{
    struct bare_machine *m = bare_new(engine, 1);
    bare_load(m, CODE, g_long, g_long_end);
    bare_start64(m, 0, CODE);
    bare_finish(m, 0);
    g_assert_cmphex(bare_u32(m, RESULT), ==, 0x44332211);
    g_assert_cmphex(bare_u32(m, RESULT + 4), ==, 0x88776655);
    g_assert_cmphex(bare_u32(m, RESULT + 8) & 0xff, ==, 1);
    g_assert_cmphex(bare_u32(m, RESULT + 48), ==, 8);
    g_assert_cmphex(bare_u32(m, RESULT + 56), ==, 6);
    bare_free(m);
}

static void test_triple_fault(const struct cpu_engine *engine)
{
    struct bare_machine *m = bare_new(engine, 1);
    bare_load(m, CODE, g_triple, g_triple_end);
    bare_start32(m, 0, CODE);
    g_assert_cmpint(bare_run(m, 0), ==, CPU_STOP_RESET);
    bare_reset(m); /* after which it runs again */
    bare_load(m, CODE, g_long, g_long_end);
    bare_start64(m, 0, CODE);
    bare_finish(m, 0);
    g_assert_cmphex(bare_u32(m, RESULT + 48), ==, 8);
    bare_free(m);
}

static void test_failure_sentence(const struct cpu_engine *engine)
{
    struct bare_machine *m = bare_new(engine, 1);
    g_autoptr(GError) error = NULL;
    bare_load(m, CODE, g_jump_nowhere, g_jump_nowhere_end);
    bare_start32(m, 0, CODE);
    g_assert_cmpint(engine->run(m->vcpu[0], &error), ==, CPU_STOP_FAIL);
    g_assert_nonnull(error);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, "internal error 1"));
    g_assert_nonnull(strstr(error->message, "cs:rip 0008:d0000000, 32-bit code"));
    g_assert_nonnull(strstr(error->message, " rbx=12345 "));
    bare_free(m);
}

static void test_refused_state(const struct cpu_engine *engine)
{
    struct bare_machine *m = bare_new(engine, 1);
    g_autofree struct x86_state *s = g_new(struct x86_state, 1);
    g_autoptr(GError) error = NULL;
    x86_state_reset(s, true);
    s->cr4 = 1ull << 63; /* a damaged snapshot */
    engine->set_state(m->vcpu[0], s);
    g_assert_cmpint(engine->run(m->vcpu[0], &error), ==, CPU_STOP_FAIL);
    g_assert_nonnull(strstr(error->message, "system registers"));
    bare_load(m, CODE, g_long, g_long_end); /* a good state heals it */
    bare_start64(m, 0, CODE);
    bare_finish(m, 0);
    bare_free(m);
}

/* A state of a CPU with features that this one does not have is refused, and they are named. */
static void test_foreign_state(const struct cpu_engine *engine)
{
    struct bare_machine *m = bare_new_model(engine, 1, "x86-64-v1", "");
    g_autofree struct x86_state *s = g_new(struct x86_state, 1);
    g_autoptr(GError) error = NULL, other = NULL;
    bare_load(m, CODE, g_long, g_long_end);
    bare_start64(m, 0, CODE);
    engine->get_state(m->vcpu[0], s);
    s->xcr0 = 7;
    s->cr4 |= 1 << 18 | 1 << 20; /* OSXSAVE, SMEP */
    engine->set_state(m->vcpu[0], s);
    g_assert_cmpint(engine->run(m->vcpu[0], &error), ==, CPU_STOP_FAIL);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, ": XSAVE, SMEP, AVX; "));
    s->cr4 &= ~(1ull << 18 | 1 << 20);
    engine->set_state(m->vcpu[0], s); /* XCR0 alone: KVM would drop it */
    g_assert_cmpint(engine->run(m->vcpu[0], &other), ==, CPU_STOP_FAIL);
    g_assert_nonnull(strstr(other->message, ": AVX; "));
    bare_start64(m, 0, CODE);
    bare_finish(m, 0);
    bare_free(m);
}

static void test_bad_config(const struct cpu_engine *engine)
{
    struct bare_machine *m = bare_new(engine, 1);
    struct cpu_vm vm = *m->vm;
    g_autoptr(GError) error = NULL, other = NULL;
    vm.model = "pentium";
    g_assert_null(engine->vm_new(&vm, &error));
    g_assert_nonnull(strstr(error->message, "pentium"));
    vm.model = "host";
    vm.options = "turbo";
    g_assert_null(engine->vm_new(&vm, &other));
    g_assert_nonnull(strstr(other->message, "turbo"));
    bare_free(m);
}

/* ---- kicks ---- */

struct kicker {
    struct bare_machine *m;
    _Atomic gint64 at; /* when, µs; 0: not yet */
    unsigned delay;
};

static void *kick_later(void *arg)
{
    struct kicker *k = arg;
    g_usleep(k->delay);
    atomic_store(&k->at, g_get_monotonic_time());
    k->m->engine->kick(k->m->vcpu[0]);
    return NULL;
}

/* A millisecond is for a CPU on which an exit for port I/O, with all that we do for it, takes 5 us at most; where it takes
 * longer (an emulated CPU, a debug build) so may a kick. */
static double kick_limit(const struct cpu_engine *engine)
{
    struct bare_machine *m = bare_new(engine, 1);
    struct kicker k = {.m = m, .delay = 200000};
    pthread_t t;
    bare_load(m, CODE, g_busy16, g_busy16_end);
    bare_start16(m, 0, CODE);
    gint64 began = g_get_monotonic_time();
    pthread_create(&t, NULL, kick_later, &k);
    g_assert_cmpint(bare_run(m, 0), ==, CPU_STOP_KICKED);
    double exit_us = (double)(g_get_monotonic_time() - began) / MAX(m->ports->len, 1u);
    pthread_join(t, NULL);
    bare_free(m);
    g_test_message("an exit takes %.1f us", exit_us);
    return 1000 * MAX(exit_us / 5, 1);
}

/* Of 40 kicks the better quarter, for a busy host may delay any of them. */
static void test_kick_latency(const struct cpu_engine *engine)
{
    double limit = kick_limit(engine);
    struct bare_machine *m = bare_new(engine, 1);
    gint64 took[40];
    bare_load(m, CODE, g_spin, g_spin_end);
    bare_start32(m, 0, CODE);
    for (unsigned i = 0; i < G_N_ELEMENTS(took); i++) {
        struct kicker k = {.m = m, .delay = 1000 + 100 * i};
        pthread_t t;
        pthread_create(&t, NULL, kick_later, &k);
        g_assert_cmpint(bare_run(m, 0), ==, CPU_STOP_KICKED);
        took[i] = g_get_monotonic_time() - atomic_load(&k.at);
        pthread_join(t, NULL);
        for (unsigned j = i; j && took[j] < took[j - 1]; j--) {
            gint64 swap = took[j];
            took[j] = took[j - 1];
            took[j - 1] = swap;
        }
    }
    g_test_message("kick to return: best %d us, median %d us, worst %d us", (int)took[0], (int)took[20], (int)took[39]);
    g_test_minimized_result(took[20], "median of kicks, microseconds");
    g_assert_cmpfloat(took[10], <, limit);
    bare_free(m);
}

static void test_kick_sticks(const struct cpu_engine *engine)
{
    struct bare_machine *m = bare_new(engine, 1);
    bare_load(m, CODE, g_spin, g_spin_end);
    bare_start32(m, 0, CODE);
    engine->kick(m->vcpu[0]);
    g_assert_cmpint(bare_run(m, 0), ==, CPU_STOP_KICKED);
    g_assert_cmpuint(bare_u32(m, RESULT), ==, 0); /* it never entered */
    bare_free(m);
}

struct storm {
    struct bare_machine *m;
    _Atomic unsigned returned;
    unsigned kicks;
};

static void *kick_storm(void *arg)
{
    struct storm *s = arg;
    GRand *r = g_rand_new_with_seed(1);
    for (unsigned i = 0; i < s->kicks; i++) {
        unsigned before = atomic_load(&s->returned);
        for (int spin = g_rand_int_range(r, 0, 3000); spin; spin--)
            __builtin_ia32_pause();
        s->m->engine->kick(s->m->vcpu[0]);
        gint64 give_up = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
        while (atomic_load(&s->returned) == before) {
            g_assert_cmpint(g_get_monotonic_time(), <, give_up);
            sched_yield(); /* on a host with one CPU it would return only after our slice */
        }
    }
    g_rand_free(r);
    return NULL;
}

/* No kick is lost, whatever the moment. */
static void test_kick_storm(const struct cpu_engine *engine)
{
    struct bare_machine *m = bare_new(engine, 1);
    struct storm s = {.m = m, .kicks = 2000};
    pthread_t t;
    bare_load(m, CODE, g_busy16, g_busy16_end); /* with port I/O, so that kicks also come between exit and entry */
    bare_start16(m, 0, CODE);
    pthread_create(&t, NULL, kick_storm, &s);
    for (unsigned i = 0; i < s.kicks; i++) {
        g_assert_cmpint(bare_run(m, 0), ==, CPU_STOP_KICKED);
        atomic_fetch_add(&s.returned, 1);
    }
    pthread_join(t, NULL);
    bare_free(m);
}

void add_exit_tests(void)
{
    add_test("ports", test_ports);
    add_test("registers", test_registers);
    add_test("mmio", test_mmio);
    add_test("long-mode", test_long_mode);
    add_test("triple-fault", test_triple_fault);
    add_test("failure-sentence", test_failure_sentence);
    add_test("refused-state", test_refused_state);
    add_test("foreign-state", test_foreign_state);
    add_test("bad-config", test_bad_config);
    add_test("kick/latency", test_kick_latency);
    add_test("kick/sticks", test_kick_sticks);
    add_test("kick/storm", test_kick_storm);
}
