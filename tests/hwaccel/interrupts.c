// SPDX-License-Identifier: GPL-2.0-or-later
/* interrupts.c - pins, messages, EOIs, HLT, INIT and SIPI, the local APIC's registers. */
#include "tests/hwaccel/hwaccel_tests.h"
#include <string.h>

#define HANDLER  0x9000
#define AP_START 0x9000
#define MSI      0xfee00000u
#define LEVEL    0xc000u /* level-triggered, asserted */

static struct bare_machine *start_real(const struct cpu_engine *engine, const uint8_t *code, const uint8_t *end)
{
    struct bare_machine *m = bare_new(engine, 1);
    bare_load(m, CODE, code, end);
    bare_load(m, HANDLER, g_count16, g_count16_end);
    bare_put(m, 0x20 * 4, HANDLER, 4);
    bare_start16(m, 0, CODE);
    return m;
}

static void test_halt(const struct cpu_engine *engine)
{
    struct bare_machine *m = start_real(engine, g_halt16, g_halt16_end);
    pthread_t t = bare_spawn(m, 0);
    for (unsigned i = 1; i <= 50; i++) {
        bare_interrupt(m, 0x20);
        g_assert_true(bare_wait(bare_word(m, RESULT + 4), i)); /* HLT ended */
        g_assert_cmpuint(bare_u32(m, RESULT), ==, i);
    }
    bare_stop(m, 0, t);
    g_assert_cmpuint(m->acks, ==, 50);
    bare_free(m);
}

static void test_window(const struct cpu_engine *engine)
{
    struct bare_machine *m = start_real(engine, g_window16, g_window16_end);
    pthread_t t = bare_spawn(m, 0);
    bare_interrupt(m, 0x20);
    g_usleep(20000);
    g_assert_cmpuint(m->acks, ==, 0); /* interrupts are off: nothing may be acknowledged */
    bare_put(m, RESULT + 8, 1, 4);
    g_assert_true(bare_wait(bare_word(m, RESULT), 1));
    bare_stop(m, 0, t);
    g_assert_cmpuint(m->acks, ==, 1);
    bare_free(m);
}

static void test_request_withdrawn(const struct cpu_engine *engine)
{
    struct bare_machine *m = start_real(engine, g_window16, g_window16_end);
    pthread_t t = bare_spawn(m, 0);
    bare_interrupt(m, 0x20);
    g_usleep(2000);
    g_assert_cmpint(bare_withdraw(m), ==, 0x20);
    bare_put(m, RESULT + 8, 1, 4);
    g_assert_true(bare_wait(bare_word(m, RESULT + 4), 1000));
    bare_stop(m, 0, t);
    g_assert_cmpuint(bare_u32(m, RESULT), ==, 0);
    bare_free(m);
}

/* ---- an acknowledged vector is never lost: interrupt and kick at any moment, and go on in another VM ---- */

struct round {
    struct bare_machine *m;
    unsigned before, between;
};

static void spin(unsigned n)
{
    while (n--)
        __builtin_ia32_pause();
}

static void *interrupt_and_kick(void *arg)
{
    struct round *r = arg;
    spin(r->before);
    bare_interrupt(r->m, 0x20);
    spin(r->between);
    r->m->engine->kick(r->m->vcpu[0]);
    return NULL;
}

static void move(struct bare_machine *from, struct bare_machine *to)
{
    bare_move(from, to);
    int waiting = bare_withdraw(from); /* the machine's interrupt controller moves too */
    if (waiting >= 0)
        bare_interrupt(to, waiting);
}

static void test_no_vector_lost(const struct cpu_engine *engine)
{
    struct bare_machine *m[2] = {start_real(engine, g_busy16, g_busy16_end), bare_new(engine, 1)};
    GRand *rand = g_rand_new_with_seed(7);
    unsigned wanted = 0;
    for (unsigned i = 0; i < 150; i++) {
        struct round r = {m[i & 1], g_rand_int_range(rand, 0, 20000), g_rand_int_range(rand, 0, 3000)};
        pthread_t t;
        wanted += r.m->vector < 0;
        pthread_create(&t, NULL, interrupt_and_kick, &r);
        g_assert_cmpint(bare_run(r.m, 0), ==, CPU_STOP_KICKED);
        pthread_join(t, NULL);
        move(r.m, m[~i & 1]);
    }
    struct bare_machine *last = m[0];
    pthread_t t = bare_spawn(last, 0);
    g_assert_true(bare_wait(bare_word(last, RESULT), m[0]->acks + m[1]->acks));
    g_usleep(20000);
    bare_stop(last, 0, t);
    g_test_message("%u requests, %u acknowledged, %u handled", wanted, m[0]->acks + m[1]->acks, bare_u32(last, RESULT));
    g_assert_cmpuint(bare_u32(last, RESULT), ==, m[0]->acks + m[1]->acks);
    g_assert_cmpuint(bare_u32(last, RESULT), >, 10);
    g_rand_free(rand);
    bare_free(m[0]);
    bare_free(m[1]);
}

/* ---- NMI ---- */

static void test_nmi(const struct cpu_engine *engine)
{
    struct bare_machine *m = bare_new(engine, 1);
    bare_load(m, CODE, g_spin, g_spin_end);
    bare_load(m, HANDLER, g_nmi, g_nmi_end);
    bare_gate32(m, 2, HANDLER);
    bare_start32(m, 0, CODE);
    pthread_t t = bare_spawn(m, 0);
    for (unsigned i = 1; i <= 10; i++) {
        bare_signal(m, 0, CPU_SIGNAL_NMI, 0);
        g_assert_true(bare_wait(bare_word(m, RESULT + 12), i));
    }
    bare_stop(m, 0, t);
    g_assert_cmpuint(bare_u32(m, RESULT + 12), ==, 10);
    bare_free(m);
}

/* ---- messages to the local APIC ---- */

static struct bare_machine *start_apic(const struct cpu_engine *engine, pthread_t *t)
{
    struct bare_machine *m = bare_new(engine, 1);
    bare_load(m, CODE, g_apic, g_apic_end);
    bare_load(m, HANDLER, g_apic_count, g_apic_count_end);
    bare_gate32(m, 0x40, HANDLER);
    bare_gate32(m, 0x41, HANDLER);
    bare_start32(m, 0, CODE);
    *t = bare_spawn(m, 0);
    g_assert_true(bare_wait(bare_word(m, RESULT + 8), 1));
    return m;
}

static void test_msi(const struct cpu_engine *engine)
{
    pthread_t t;
    struct bare_machine *m = start_apic(engine, &t);
    for (unsigned i = 1; i <= 100; i++) {
        engine->msi(m->evm, MSI, 0x40);
        g_assert_true(bare_wait(bare_word(m, RESULT), i));
    }
    engine->msi(m->evm, 0x12345000, 0x40);    /* not an interrupt message */
    engine->msi(m->evm, MSI | 5 << 12, 0x40); /* nobody there */
    g_usleep(5000);
    bare_stop(m, 0, t);
    g_assert_cmpuint(bare_u32(m, RESULT), ==, 100);
    g_assert_cmpuint(m->eois[0x40], ==, 0); /* edge-triggered: nobody else need know */
    bare_free(m);
}

static void test_level(const struct cpu_engine *engine)
{
    pthread_t t;
    struct bare_machine *m = start_apic(engine, &t);
    for (unsigned i = 1; i <= 20; i++) {
        engine->msi(m->evm, MSI, LEVEL | 0x41);
        g_assert_true(bare_wait(bare_word(m, RESULT), i));
        for (unsigned ms = 0; m->eois[0x41] < i && ms < 5000; ms++)
            g_usleep(1000);
        g_assert_cmpuint(m->eois[0x41], ==, i);
    }
    bare_stop(m, 0, t);
    bare_free(m);
}

static uint32_t lapic_word(const struct cpu_lapic *l, unsigned at)
{
    uint32_t v;
    memcpy(&v, l->registers + at, 4);
    return v;
}

static void test_lapic_registers(const struct cpu_engine *engine)
{
    pthread_t t;
    struct bare_machine *m = start_apic(engine, &t);
    struct cpu_lapic on, reset, again;
    bare_stop(m, 0, t);
    engine->get_lapic(m->vcpu[0], &on);
    g_assert_cmphex(lapic_word(&on, 0xf0), ==, 0x1ff);
    engine->set_lapic(m->vcpu[0], NULL);
    engine->get_lapic(m->vcpu[0], &reset);
    g_assert_cmphex(lapic_word(&reset, 0xf0), ==, 0xff);
    g_assert_cmphex(lapic_word(&reset, 0x320), ==, 0x10000);
    g_assert_cmphex(lapic_word(&reset, 0x350), ==, 0x700); /* the 8259A gets through */
    uint32_t deadline_mode = 0x40050, tpr = 0x30;
    memcpy(on.registers + 0x320, &deadline_mode, 4);
    memcpy(on.registers + 0x80, &tpr, 4);
    on.tsc_deadline = 1ull << 62;
    engine->set_lapic(m->vcpu[0], &on);
    engine->get_lapic(m->vcpu[0], &again);
    g_assert_cmphex(again.tsc_deadline, ==, on.tsc_deadline);
    memset(on.registers + 0xa0, 0, 4); /* the processor priority follows from the others */
    memset(again.registers + 0xa0, 0, 4);
    g_assert_cmpmem(on.registers, sizeof on.registers, again.registers, sizeof again.registers);
    bare_free(m);
}

static void lapic_put(struct cpu_lapic *l, unsigned at, uint32_t value)
{
    memcpy(l->registers + at, &value, sizeof value);
}

/* A level-triggered interrupt that came in with a state: the EOI is told here, too. */
static void test_level_under_way(const struct cpu_engine *engine)
{
    enum { VECTOR = 0x41, WORD = VECTOR / 32 * 0x10, TMR = 0x180, IRR = 0x200 };
    pthread_t t;
    struct bare_machine *m = start_apic(engine, &t);
    struct cpu_lapic l;
    bare_stop(m, 0, t);
    engine->get_lapic(m->vcpu[0], &l);
    lapic_put(&l, TMR + WORD, 1u << VECTOR % 32);
    lapic_put(&l, IRR + WORD, 1u << VECTOR % 32);
    engine->set_lapic(m->vcpu[0], &l);
    t = bare_spawn(m, 0);
    g_assert_true(bare_wait(bare_word(m, RESULT), 1));
    for (unsigned ms = 0; !m->eois[VECTOR] && ms < 5000; ms++)
        g_usleep(1000);
    bare_stop(m, 0, t);
    g_assert_cmpuint(m->eois[VECTOR], ==, 1);
    bare_free(m);
}

/* A one-shot count that stands at 0: where its interrupt was given there is none more, else it comes. */
static void test_count_ran_out(const struct cpu_engine *engine)
{
    enum { VECTOR = 0x40, TIMER = 0x320, INITIAL = 0x380, CURRENT = 0x390 };
    pthread_t t;
    struct bare_machine *m = start_apic(engine, &t);
    struct cpu_lapic l;
    for (unsigned given = 2; given-- > 0;) {
        bare_stop(m, 0, t);
        engine->get_lapic(m->vcpu[0], &l);
        lapic_put(&l, TIMER, VECTOR);
        lapic_put(&l, INITIAL, 100000);
        lapic_put(&l, CURRENT, 0);
        l.ran_out = given;
        engine->set_lapic(m->vcpu[0], &l);
        t = bare_spawn(m, 0);
        if (given)
            g_usleep(50000);
        else
            g_assert_true(bare_wait(bare_word(m, RESULT), 1));
        g_assert_cmpuint(bare_u32(m, RESULT), ==, !given);
    }
    bare_stop(m, 0, t);
    bare_free(m);
}

static void test_cr8(const struct cpu_engine *engine)
{
    struct bare_machine *m = bare_new(engine, 1);
    g_autofree struct x86_state *s = g_new(struct x86_state, 1);
    bare_load(m, CODE, g_cr8, g_cr8_end);
    bare_put(m, RESULT + 32, 5, 4);
    bare_start64(m, 0, CODE);
    bare_finish(m, 0);
    g_assert_cmphex(bare_u32(m, RESULT), ==, 5);
    engine->get_state(m->vcpu[0], s);
    g_assert_cmphex(s->cr8, ==, 5);
    if (!engine->msi)
        g_assert_cmphex(bare_tpr(m, 0), ==, 5);
    bare_free(m);
}

/* ---- more CPUs ---- */

static struct bare_machine *two_cpus(const struct cpu_engine *engine)
{
    struct bare_machine *m = bare_new(engine, 2);
    bare_load(m, CODE, g_bsp, g_bsp_end);
    bare_load(m, AP_START, g_ap, g_ap_end);
    return m;
}

static void check_ap(struct bare_machine *m)
{
    g_assert_cmphex(bare_u32(m, RESULT), ==, 0x77);
    g_assert_cmphex(bare_u32(m, RESULT + 4), ==, AP_START >> 4);
    g_assert_cmpstr(m->text->str, ==, "A");
}

static void start_by_apic(const struct cpu_engine *engine, bool after_reset)
{
    struct bare_machine *m = two_cpus(engine);
    if (after_reset)
        bare_reset(m);
    bare_start32(m, 0, CODE);
    pthread_t ap = bare_spawn(m, 1), bsp = bare_spawn(m, 0);
    pthread_join(bsp, NULL);
    pthread_join(ap, NULL);
    check_ap(m);
    bare_free(m);
}

static void test_sipi(const struct cpu_engine *engine)
{
    start_by_apic(engine, false);
}

static void test_sipi_after_reset(const struct cpu_engine *engine)
{
    start_by_apic(engine, true);
}

/* INIT and SIPI as signals; the second INIT comes while it runs. */
static void test_init_signal(const struct cpu_engine *engine)
{
    struct bare_machine *m = two_cpus(engine);
    g_autofree struct x86_state *s = g_new(struct x86_state, 1);
    for (unsigned i = 0; i < 2; i++) {
        g_string_truncate(m->text, 0);
        bare_put(m, RESULT, 0, 8);
        bare_signal(m, 1, CPU_SIGNAL_INIT, 0);
        pthread_t t = bare_spawn(m, 1);
        g_usleep(5000);
        g_assert_cmphex(bare_u32(m, RESULT), ==, 0);
        bare_signal(m, 1, CPU_SIGNAL_SIPI, AP_START >> 12);
        pthread_join(t, NULL);
        check_ap(m);
    }
    bare_signal(m, 1, CPU_SIGNAL_INIT, 0);
    bare_stop(m, 1, bare_spawn(m, 1));
    engine->get_state(m->vcpu[1], s);
    g_assert_cmpint(s->run_state, ==, X86_WAIT_SIPI);
    g_assert_cmphex(s->rip, ==, 0xfff0);
    bare_free(m);
}

void add_interrupt_tests(void)
{
    add_test("interrupts/halt", test_halt);
    add_test("interrupts/window", test_window);
    add_test("interrupts/withdrawn", test_request_withdrawn);
    add_test("interrupts/no-vector-lost", test_no_vector_lost);
    add_test("interrupts/nmi", test_nmi);
    add_split_test("interrupts/msi", test_msi);
    add_split_test("interrupts/level", test_level);
    add_split_test("lapic/registers", test_lapic_registers);
    add_split_test("lapic/level-under-way", test_level_under_way);
    add_split_test("lapic/count-ran-out", test_count_ran_out);
    add_test("lapic/cr8", test_cr8);
    add_test("smp/sipi", test_sipi);
    add_test("smp/sipi-after-reset", test_sipi_after_reset);
    add_test("smp/init-signal", test_init_signal);
}
