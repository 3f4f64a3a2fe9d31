// SPDX-License-Identifier: GPL-2.0-or-later
/* interrupts.c - pins, messages, EOIs, HLT, INIT and SIPI, the local APIC's registers. */
#include "tests/hwaccel/hwaccel_tests.h"
#include <string.h>

#define HANDLER  0x9000
#define AP_START 0x9000
#define MSI      0xfee00000u
#define LEVEL    0xc000u /* level-triggered, asserted */

static struct machine *start_real(const struct cpu_engine *engine, const uint8_t *code, const uint8_t *end)
{
    struct machine *m = fake_new(engine, 1);
    fake_load(m, CODE, code, end);
    fake_load(m, HANDLER, g_count16, g_count16_end);
    fake_put(m, 0x20 * 4, HANDLER, 4);
    fake_start16(m, 0, CODE);
    return m;
}

static void test_halt(const struct cpu_engine *engine)
{
    struct machine *m = start_real(engine, g_halt16, g_halt16_end);
    pthread_t t = fake_spawn(m, 0);
    for (unsigned i = 1; i <= 50; i++) {
        fake_interrupt(m, 0, 0x20);
        g_assert_true(fake_wait(m, fake_word(m, RESULT + 4), i)); /* HLT ended */
        g_assert_cmpuint(fake_u32(m, RESULT), ==, i);
    }
    fake_stop(m, 0, t);
    g_assert_cmpuint(m->acks, ==, 50);
    fake_free(m);
}

static void test_window(const struct cpu_engine *engine)
{
    struct machine *m = start_real(engine, g_window16, g_window16_end);
    pthread_t t = fake_spawn(m, 0);
    fake_interrupt(m, 0, 0x20);
    g_usleep(20000);
    g_assert_cmpuint(m->acks, ==, 0); /* interrupts are off: nothing may be acknowledged */
    fake_put(m, RESULT + 8, 1, 4);
    g_assert_true(fake_wait(m, fake_word(m, RESULT), 1));
    fake_stop(m, 0, t);
    g_assert_cmpuint(m->acks, ==, 1);
    fake_free(m);
}

static void test_request_withdrawn(const struct cpu_engine *engine)
{
    struct machine *m = start_real(engine, g_window16, g_window16_end);
    pthread_t t = fake_spawn(m, 0);
    engine->signal(m->vcpu[0], CPU_SIGNAL_INTR, 1);
    g_usleep(2000);
    engine->signal(m->vcpu[0], CPU_SIGNAL_INTR, 0);
    fake_put(m, RESULT + 8, 1, 4);
    g_assert_true(fake_wait(m, fake_word(m, RESULT + 4), 1000));
    fake_stop(m, 0, t);
    g_assert_cmpuint(fake_u32(m, RESULT), ==, 0);
    fake_free(m);
}

/* ---- an acknowledged vector is never lost: interrupt and kick at any moment, and go on in another VM ---- */

struct round {
    struct machine *m;
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
    fake_interrupt(r->m, 0, 0x20);
    spin(r->between);
    r->m->engine->kick(r->m->vcpu[0]);
    return NULL;
}

static void move(struct machine *from, struct machine *to)
{
    g_autofree struct x86_state *s = g_new(struct x86_state, 1);
    from->engine->get_state(from->vcpu[0], s);
    memcpy(to->memory, from->memory, FAKE_MEMORY);
    to->engine->set_state(to->vcpu[0], s);
    int waiting = from->vector; /* the machine's interrupt controller moves too */
    from->vector = -1;
    from->engine->signal(from->vcpu[0], CPU_SIGNAL_INTR, 0);
    if (waiting >= 0)
        fake_interrupt(to, 0, waiting);
}

static void test_no_vector_lost(const struct cpu_engine *engine)
{
    struct machine *m[2] = {start_real(engine, g_busy16, g_busy16_end), fake_new(engine, 1)};
    GRand *rand = g_rand_new_with_seed(7);
    unsigned wanted = 0;
    for (unsigned i = 0; i < 150; i++) {
        struct round r = {m[i & 1], g_rand_int_range(rand, 0, 20000), g_rand_int_range(rand, 0, 3000)};
        pthread_t t;
        wanted += r.m->vector < 0;
        pthread_create(&t, NULL, interrupt_and_kick, &r);
        g_assert_cmpint(fake_run(r.m, 0), ==, CPU_STOP_KICKED);
        pthread_join(t, NULL);
        move(r.m, m[~i & 1]);
    }
    struct machine *last = m[0];
    pthread_t t = fake_spawn(last, 0);
    g_assert_true(fake_wait(last, fake_word(last, RESULT), m[0]->acks + m[1]->acks));
    g_usleep(20000);
    fake_stop(last, 0, t);
    g_test_message("%u requests, %u acknowledged, %u handled", wanted, m[0]->acks + m[1]->acks, fake_u32(last, RESULT));
    g_assert_cmpuint(fake_u32(last, RESULT), ==, m[0]->acks + m[1]->acks);
    g_assert_cmpuint(fake_u32(last, RESULT), >, 10);
    g_rand_free(rand);
    fake_free(m[0]);
    fake_free(m[1]);
}

/* ---- NMI ---- */

static void test_nmi(const struct cpu_engine *engine)
{
    struct machine *m = fake_new(engine, 1);
    fake_load(m, CODE, g_spin, g_spin_end);
    fake_load(m, HANDLER, g_nmi, g_nmi_end);
    fake_gate32(m, 2, HANDLER);
    fake_start32(m, 0, CODE);
    pthread_t t = fake_spawn(m, 0);
    for (unsigned i = 1; i <= 10; i++) {
        engine->signal(m->vcpu[0], CPU_SIGNAL_NMI, 0);
        g_assert_true(fake_wait(m, fake_word(m, RESULT + 12), i));
    }
    fake_stop(m, 0, t);
    g_assert_cmpuint(fake_u32(m, RESULT + 12), ==, 10);
    fake_free(m);
}

/* ---- messages to the local APIC ---- */

static struct machine *start_apic(const struct cpu_engine *engine, pthread_t *t)
{
    struct machine *m = fake_new(engine, 1);
    fake_load(m, CODE, g_apic, g_apic_end);
    fake_load(m, HANDLER, g_apic_count, g_apic_count_end);
    fake_gate32(m, 0x40, HANDLER);
    fake_gate32(m, 0x41, HANDLER);
    fake_start32(m, 0, CODE);
    *t = fake_spawn(m, 0);
    g_assert_true(fake_wait(m, fake_word(m, RESULT + 8), 1));
    return m;
}

static void test_msi(const struct cpu_engine *engine)
{
    pthread_t t;
    struct machine *m = start_apic(engine, &t);
    for (unsigned i = 1; i <= 100; i++) {
        engine->msi(m->evm, MSI, 0x40);
        g_assert_true(fake_wait(m, fake_word(m, RESULT), i));
    }
    engine->msi(m->evm, 0x12345000, 0x40);    /* not an interrupt message */
    engine->msi(m->evm, MSI | 5 << 12, 0x40); /* nobody there */
    g_usleep(5000);
    fake_stop(m, 0, t);
    g_assert_cmpuint(fake_u32(m, RESULT), ==, 100);
    g_assert_cmpuint(m->eois[0x40], ==, 0); /* edge-triggered: nobody else need know */
    fake_free(m);
}

static unsigned eois(struct machine *m, unsigned vector)
{
    pthread_mutex_lock(&m->lock);
    unsigned n = m->eois[vector];
    pthread_mutex_unlock(&m->lock);
    return n;
}

static void test_level(const struct cpu_engine *engine)
{
    pthread_t t;
    struct machine *m = start_apic(engine, &t);
    for (unsigned i = 1; i <= 20; i++) {
        engine->msi(m->evm, MSI, LEVEL | 0x41);
        g_assert_true(fake_wait(m, fake_word(m, RESULT), i));
        for (unsigned ms = 0; eois(m, 0x41) < i && ms < 5000; ms++)
            g_usleep(1000);
        g_assert_cmpuint(eois(m, 0x41), ==, i);
    }
    fake_stop(m, 0, t);
    fake_free(m);
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
    struct machine *m = start_apic(engine, &t);
    struct cpu_lapic on, reset, again;
    fake_stop(m, 0, t);
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
    fake_free(m);
}

static void test_cr8(const struct cpu_engine *engine)
{
    struct machine *m = fake_new(engine, 1);
    g_autofree struct x86_state *s = g_new(struct x86_state, 1);
    fake_load(m, CODE, g_cr8, g_cr8_end);
    fake_put(m, RESULT + 32, 5, 4);
    fake_start64(m, 0, CODE);
    fake_finish(m, 0);
    g_assert_cmphex(fake_u32(m, RESULT), ==, 5);
    engine->get_state(m->vcpu[0], s);
    g_assert_cmphex(s->cr8, ==, 5);
    if (!engine->msi)
        g_assert_cmphex(m->tpr[0], ==, 5);
    fake_free(m);
}

/* ---- more CPUs ---- */

static struct machine *two_cpus(const struct cpu_engine *engine)
{
    struct machine *m = fake_new(engine, 2);
    fake_load(m, CODE, g_bsp, g_bsp_end);
    fake_load(m, AP_START, g_ap, g_ap_end);
    return m;
}

static void check_ap(struct machine *m)
{
    g_assert_cmphex(fake_u32(m, RESULT), ==, 0x77);
    g_assert_cmphex(fake_u32(m, RESULT + 4), ==, AP_START >> 4);
    g_assert_cmpstr(m->text->str, ==, "A");
}

static void start_by_apic(const struct cpu_engine *engine, bool after_reset)
{
    struct machine *m = two_cpus(engine);
    if (after_reset) {
        g_autofree struct x86_state *s = g_new(struct x86_state, 1);
        x86_state_reset(s, false);
        engine->set_state(m->vcpu[1], s);
        engine->set_lapic(m->vcpu[1], NULL);
    }
    fake_start32(m, 0, CODE);
    pthread_t ap = fake_spawn(m, 1), bsp = fake_spawn(m, 0);
    pthread_join(bsp, NULL);
    pthread_join(ap, NULL);
    check_ap(m);
    fake_free(m);
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
    struct machine *m = two_cpus(engine);
    g_autofree struct x86_state *s = g_new(struct x86_state, 1);
    for (unsigned i = 0; i < 2; i++) {
        g_string_truncate(m->text, 0);
        fake_put(m, RESULT, 0, 8);
        engine->signal(m->vcpu[1], CPU_SIGNAL_INIT, 0);
        pthread_t t = fake_spawn(m, 1);
        g_usleep(5000);
        g_assert_cmphex(fake_u32(m, RESULT), ==, 0);
        engine->signal(m->vcpu[1], CPU_SIGNAL_SIPI, AP_START >> 12);
        pthread_join(t, NULL);
        check_ap(m);
    }
    engine->signal(m->vcpu[1], CPU_SIGNAL_INIT, 0);
    fake_stop(m, 1, fake_spawn(m, 1));
    engine->get_state(m->vcpu[1], s);
    g_assert_cmpint(s->run_state, ==, X86_WAIT_SIPI);
    g_assert_cmphex(s->rip, ==, 0xfff0);
    fake_free(m);
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
    add_test("lapic/cr8", test_cr8);
    add_split_test("smp/sipi", test_sipi);
    add_split_test("smp/sipi-after-reset", test_sipi_after_reset);
    add_test("smp/init-signal", test_init_signal);
}
