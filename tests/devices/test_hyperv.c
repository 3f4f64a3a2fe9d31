// SPDX-License-Identifier: GPL-2.0-or-later
/* Hyper-V's interface as a guest of two CPUs sees it on the bench: time moves when told, also the TSC (1 GHz), so what is due when is
 * exact. */
#include "core-vmm/base/bytes.h"
#include "core-vmm/machine/machine.h"
#include "devices/hyperv/hyperv.h"
#include "tests/devices/bench.h"
#include <string.h>

enum { OS_ID = 0x40000000, CALL_PAGE, VP_INDEX, TIME = 0x40000020, TSC_PAGE, TSC_HZ, APIC_HZ };
enum { EOI = 0x40000070, ICR, TPR, ASSIST, SCONTROL = 0x40000080, SVERSION, SIEFP, SIMP, EOM, SINT = 0x40000090 };
enum { CONFIG = 0x400000b0, COUNT, CRASH = 0x40000100, CRASH_CONTROL = 0x40000105 };
enum { AT_CALL = 0x10000, AT_TSC = 0x11000, AT_MESSAGES = 0x12000, AT_EVENTS = 0x14000, AT_INPUT = 0x16000 };
enum { MASKED = 1 << 16, AUTO_EOI = 1 << 17, VECTOR = 0x61, SVR = 0xf0, ISR = 0x100 };
enum { ENABLE = 1, PERIODIC = 2, AUTO = 8, DIRECT = 1 << 12, MS = 10000 /* of 100 ns */, MS_NS = 1000000 };

struct hv_bench {
    struct bench *b;
    struct device *hv, *lapic;
};

static void set(struct hv_bench *t, unsigned cpu, uint32_t msr, uint64_t v)
{
    g_assert_true(machine_hyperv_msr(t->hv->machine, cpu, msr, &v, true));
}

static uint64_t get(struct hv_bench *t, unsigned cpu, uint32_t msr)
{
    uint64_t v = 0;
    g_assert_true(machine_hyperv_msr(t->hv->machine, cpu, msr, &v, false));
    return v;
}

static bool refused(struct hv_bench *t, uint32_t msr, bool write)
{
    uint64_t v = 1;
    return !machine_hyperv_msr(t->hv->machine, 0, msr, &v, write);
}

static int taken(struct hv_bench *t, unsigned cpu)
{
    return t->lapic->ops->lapic->ack(t->lapic, cpu);
}

static bool in_service(struct hv_bench *t, unsigned cpu, unsigned vector)
{
    return t->lapic->ops->lapic->read(t->lapic, cpu, ISR + vector / 32 * 16) >> vector % 32 & 1;
}

static struct hv_bench begin(void)
{
    struct hv_bench t = {.b = bench_new()};
    bench_add_chip(t.b, chip_find("hyperv"), NULL);
    bench_reset(t.b);
    t.hv = bench_device(t.b, "hyperv");
    t.lapic = bench_device(t.b, "lapic");
    for (unsigned cpu = 0; cpu < BENCH_CPUS; cpu++) {
        t.lapic->ops->lapic->write(t.lapic, cpu, SVR, 0x1ff);
        set(&t, cpu, SCONTROL, 1);
        set(&t, cpu, SIMP, (AT_MESSAGES + cpu * 0x1000) | 1);
        set(&t, cpu, SIEFP, (AT_EVENTS + cpu * 0x1000) | 1);
        set(&t, cpu, SINT + 2, VECTOR);
    }
    return t;
}

static void reload(struct hv_bench *t)
{
    g_autofree char *why = bench_save_load(t->b);
    g_assert_cmpstr(why, ==, NULL);
    t->hv = bench_device(t->b, "hyperv");
    t->lapic = bench_device(t->b, "lapic");
}

static uint8_t *slot(struct hv_bench *t, unsigned cpu, unsigned sint)
{
    return bench_ram(t->b) + AT_MESSAGES + cpu * 0x1000 + sint * 256;
}

static uint64_t call(struct hv_bench *t, uint64_t control, uint64_t input, uint64_t output)
{
    uint64_t gpr[16] = {[X86_RCX] = control, [X86_RDX] = input, [8] = output, [X86_RBX] = 7};
    g_assert_true(machine_hypercall(t->hv->machine, 0, gpr, true));
    g_assert_cmpuint(gpr[X86_RBX], ==, 7);
    uint64_t narrow[16] = {[X86_RAX] = control & 0xffffffff, [X86_RDX] = 0xffff, [X86_RBX] = 1};
    g_assert_true(machine_hypercall(t->hv->machine, 0, narrow, false)); /* reserved bits: it does nothing */
    g_assert_cmphex(narrow[X86_RAX] | narrow[X86_RDX], ==, HV_INVALID_HYPERCALL_INPUT);
    return gpr[X86_RAX];
}

/* ---- identity, hypercall page ---- */

static void test_identity(void)
{
    struct hv_bench t = begin();
    uint64_t gpr[16] = {0};
    const uint8_t *page = bench_ram(t.b) + AT_CALL;
    g_assert_false(machine_hypercall(t.hv->machine, 0, gpr, true));
    set(&t, 0, CALL_PAGE, AT_CALL | 1);
    g_assert_cmphex(get(&t, 0, CALL_PAGE), ==, 0); /* who is it? */
    set(&t, 0, OS_ID, 1);
    set(&t, 1, CALL_PAGE, AT_CALL | 1);
    g_assert_cmphex(get(&t, 0, CALL_PAGE), ==, AT_CALL | 1);
    g_assert_true(page[0] == 0x0f && page[1] == 0x01 && (page[2] == 0xc1 || page[2] == 0xd9) && page[3] == 0xc3);
    g_assert_cmphex(call(&t, 0x1234, 0, 0), ==, HV_INVALID_HYPERCALL_CODE);
    set(&t, 0, OS_ID, 0);
    g_assert_cmphex(get(&t, 0, CALL_PAGE), ==, AT_CALL);
    g_assert_cmphex(get(&t, 1, VP_INDEX), ==, 1);
    g_assert_true(refused(&t, VP_INDEX, true) && refused(&t, TIME, true) && refused(&t, EOI, false));
    g_assert_true(refused(&t, 0x400000f0, false) && refused(&t, 0x40000118, true));
    set(&t, 0, CALL_PAGE, 0xffffffffffffffff); /* no such memory */
    bench_free(t.b);
}

/* ---- time ---- */

static uint64_t by_page(struct hv_bench *t)
{
    const uint8_t *page = bench_ram(t->b) + AT_TSC;
    uint64_t tsc = bench_now(t->b);
    g_assert_cmpuint(get_le32(page), !=, 0);
    return (uint64_t)((unsigned __int128)tsc * get_le64(page + 8) >> 64) + get_le64(page + 16);
}

static void test_time(void)
{
    struct hv_bench t = begin();
    set(&t, 0, TSC_PAGE, AT_TSC | 1);
    g_assert_cmphex(get(&t, 1, TSC_PAGE), ==, AT_TSC | 1);
    for (unsigned i = 0; i < 5; i++) {
        uint64_t before = get(&t, 0, TIME);
        bench_step(t.b, 123456700);
        g_assert_cmpint(get(&t, 1, TIME) - before - 1234567 + 1, <=, 2);
        g_assert_cmpuint(by_page(&t), ==, get(&t, 0, TIME));
        if (i == 2)
            reload(&t);
    }
    g_assert_cmpuint(get(&t, 0, TSC_HZ), ==, 1000000000);
    g_assert_cmpuint(get(&t, 0, APIC_HZ), ==, 1000000000);
    bench_free(t.b);
}

/* ---- timers ---- */

static void timer(struct hv_bench *t, unsigned cpu, unsigned n, uint64_t config, uint64_t count)
{
    set(t, cpu, COUNT + 2 * n, count);
    set(t, cpu, CONFIG + 2 * n, config);
}

static void test_one_shot(void)
{
    struct hv_bench t = begin();
    uint64_t due = get(&t, 0, TIME) + 5 * MS;
    timer(&t, 1, 3, ENABLE | 2 << 16, due);
    bench_step(t.b, 5 * MS_NS - 1000);
    g_assert_cmpint(taken(&t, 1), ==, -1);
    reload(&t);
    bench_step(t.b, 2000);
    g_assert_cmpint(taken(&t, 1), ==, VECTOR);
    g_assert_true(in_service(&t, 1, VECTOR));
    const uint8_t *m = slot(&t, 1, 2);
    g_assert_cmphex(get_le32(m), ==, 0x80000010);
    g_assert_cmpuint(m[4], ==, 24);
    g_assert_cmpuint(get_le32(m + 16), ==, 3);
    g_assert_cmpuint(get_le64(m + 24), ==, due);
    g_assert_cmpuint(get_le64(m + 32), >=, due);
    g_assert_cmphex(get(&t, 1, CONFIG + 6), ==, 2 << 16); /* done */
    set(&t, 1, EOI, 0);
    g_assert_false(in_service(&t, 1, VECTOR));
    timer(&t, 0, 0, ENABLE | 2 << 16, 1); /* has passed */
    g_assert_cmpint(taken(&t, 0), ==, VECTOR);
    timer(&t, 0, 1, ENABLE, 1000); /* SINT 0 is not for timers */
    g_assert_cmphex(get(&t, 0, CONFIG + 2), ==, 0);
    set(&t, 0, CONFIG + 2, AUTO | 2 << 16);
    set(&t, 0, COUNT + 2, due + 1000 * MS);
    g_assert_cmphex(get(&t, 0, CONFIG + 2), ==, AUTO | ENABLE | 2 << 16);
    set(&t, 0, COUNT + 2, 0);
    g_assert_cmphex(get(&t, 0, CONFIG + 2), ==, AUTO | 2 << 16);
    bench_free(t.b);
}

static unsigned fires(struct hv_bench *t, unsigned cpu, unsigned ms)
{
    unsigned n = 0;
    for (unsigned i = 0; i < ms * 10; i++) {
        bench_step(t->b, MS_NS / 10);
        for (; taken(t, cpu) >= 0; n++)
            set(t, cpu, EOI, 0);
    }
    return n;
}

static void test_periodic(void)
{
    struct hv_bench t = begin();
    timer(&t, 0, 0, ENABLE | PERIODIC | DIRECT | 0xd1 << 4, 2 * MS);
    g_assert_cmpuint(fires(&t, 0, 51), ==, 25);
    reload(&t);
    g_assert_cmpuint(fires(&t, 0, 50), ==, 25);
    bench_step(t.b, 1001 * MS_NS); /* missed ones do not come one by one */
    g_assert_cmpuint(fires(&t, 0, 20), <=, 11);
    timer(&t, 0, 0, ENABLE | PERIODIC | DIRECT | 0xd1 << 4, 1);
    g_assert_cmpuint(fires(&t, 0, 10), <=, 100);
    set(&t, 0, CONFIG, 0);
    g_assert_cmpuint(fires(&t, 0, 10), ==, 0);
    bench_reset(t.b);
    g_assert_cmphex(get(&t, 0, COUNT), ==, 0);
    bench_free(t.b);
}

/* A period that reaches beyond the end of time never passes, wherever it comes from; a step that never ends is one that is due for ever. */
static void test_endless(void)
{
    static const uint64_t counts[] = {UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - 5 * MS};
    struct hv_bench t = begin();
    for (unsigned i = 0; i < G_N_ELEMENTS(counts); i++) {
        struct hyperv *h = t.hv->state;
        bench_step(t.b, 10 * MS_NS);
        timer(&t, 0, 0, ENABLE | PERIODIC | DIRECT | 0xd1 << 4, counts[i]);
        g_assert_cmphex(h->cpu[0].timer[0].due, ==, HV_NEVER);
        g_assert_cmpuint(fires(&t, 0, 10), ==, 0);
        h->cpu[0].timer[0].due = 0; /* as of a state that KVM made */
        hv_timers_loaded(t.hv, 0);
        g_assert_cmphex(h->cpu[0].timer[0].due, ==, HV_NEVER);
        h->cpu[0].timer[0].due = 1; /* as no machine saves it */
        hv_arm(t.hv);
        reload(&t);
        g_assert_cmpuint(fires(&t, 0, 10), ==, 1);
        h = t.hv->state;
        g_assert_cmphex(h->cpu[0].timer[0].due, >, HV_NEVER - 6 * MS);
    }
    bench_free(t.b);
}

/* ---- messages ---- */

static void test_busy_slot(void)
{
    struct hv_bench t = begin();
    put_le32(slot(&t, 0, 2), 7); /* somebody's */
    timer(&t, 0, 0, ENABLE | 2 << 16, get(&t, 0, TIME) + MS);
    bench_step(t.b, 2 * MS_NS);
    g_assert_cmpint(taken(&t, 0), ==, -1);
    g_assert_cmphex(get_le32(slot(&t, 0, 2)), ==, 7);
    g_assert_cmpuint(slot(&t, 0, 2)[5] & 1, ==, 1);
    reload(&t);
    put_le32(slot(&t, 0, 2), 0);
    set(&t, 0, EOM, 0);
    g_assert_cmpint(taken(&t, 0), ==, VECTOR);
    g_assert_cmphex(get_le32(slot(&t, 0, 2)), ==, 0x80000010);
    set(&t, 0, EOI, 0);
    timer(&t, 0, 0, ENABLE | 2 << 16, 1);
    put_le32(slot(&t, 0, 2), 0); /* and forgets to say so */
    bench_step(t.b, 3000 * (uint64_t)MS_NS);
    g_assert_cmpint(taken(&t, 0), ==, VECTOR);
    bench_free(t.b);
}

static void test_sints(void)
{
    struct hv_bench t = begin();
    set(&t, 1, SINT + 2, VECTOR | AUTO_EOI);
    hv_raise(t.hv, 1, 2);
    reload(&t);
    g_assert_cmpint(taken(&t, 1), ==, VECTOR);
    g_assert_false(in_service(&t, 1, VECTOR));
    set(&t, 1, SINT + 2, VECTOR | MASKED);
    hv_raise(t.hv, 1, 2);
    g_assert_cmpint(taken(&t, 1), ==, -1);
    uint64_t low = 3;
    g_assert_false(machine_hyperv_msr(t.hv->machine, 1, SINT, &low, true));
    set(&t, 0, SCONTROL, 0);
    hv_raise(t.hv, 0, 2);
    g_assert_cmpint(taken(&t, 0), ==, -1);
    bench_ram(t.b)[AT_MESSAGES] = 1;
    set(&t, 0, SIMP, 0);
    set(&t, 0, SIMP, AT_MESSAGES | 1); /* begins with zeroes */
    g_assert_cmpuint(bench_ram(t.b)[AT_MESSAGES], ==, 0);
    bench_free(t.b);
}

static uint64_t post(struct hv_bench *t, uint32_t id, uint32_t type, uint32_t bytes)
{
    uint8_t *in = bench_ram(t->b) + AT_INPUT;
    put_le32(in, id);
    put_le32(in + 8, type);
    put_le32(in + 12, bytes);
    memcpy(in + 16, "hello", 5);
    return call(t, 0x5c, AT_INPUT, 0);
}

static void test_connections(void)
{
    struct hv_bench t = begin();
    set(&t, 0, OS_ID, 1);
    g_assert_true(hv_connect(t.hv, HV_PORT_MESSAGE, 16, 1, 2));
    g_assert_true(hv_connect(t.hv, HV_PORT_EVENT, 17, 1, 2));
    g_assert_false(hv_connect(t.hv, HV_PORT_EVENT, 17, 1, 2));
    g_assert_false(hv_connect(t.hv, HV_PORT_EVENT, 18, BENCH_CPUS, 2));
    g_assert_cmpuint(post(&t, 15, 1, 5), ==, HV_INVALID_CONNECTION_ID);
    g_assert_cmpuint(post(&t, 17, 1, 5), ==, HV_INVALID_PORT_ID);
    g_assert_cmpuint(post(&t, 16, 0x80000000, 5), ==, HV_INVALID_PARAMETER);
    g_assert_cmpuint(post(&t, 16, 1, 241), ==, HV_INVALID_PARAMETER);
    g_assert_cmpuint(call(&t, 0x5c, AT_INPUT + 4, 0), ==, HV_INVALID_ALIGNMENT);
    g_assert_cmpuint(call(&t, 0x5c, 0xfff8000000000000, 0), ==, HV_INVALID_PARAMETER);
    g_assert_cmpuint(post(&t, 16, 9, 5), ==, HV_SUCCESS);
    g_assert_cmpint(taken(&t, 1), ==, VECTOR);
    set(&t, 1, EOI, 0);
    g_assert_cmpmem(slot(&t, 1, 2) + 16, 6, "hello", 6);
    g_assert_cmpuint(post(&t, 16, 10, 240), ==, HV_SUCCESS); /* waits */
    g_assert_cmpuint(post(&t, 16, 11, 5), ==, HV_INSUFFICIENT_BUFFERS);
    reload(&t);
    put_le32(slot(&t, 1, 2), 0);
    set(&t, 1, EOM, 0);
    g_assert_cmpuint(get_le32(slot(&t, 1, 2)), ==, 10);
    g_assert_cmpint(taken(&t, 1), ==, VECTOR);
    set(&t, 1, EOI, 0);
    enum { FAST = 1 << 16 };
    g_assert_cmpuint(call(&t, 0x5d | FAST, 17, 0), ==, HV_SUCCESS);
    g_assert_cmphex(bench_ram(t.b)[AT_EVENTS + 0x1000 + 2 * 256 + 2], ==, 2);
    g_assert_cmpint(taken(&t, 1), ==, VECTOR);
    set(&t, 1, EOI, 0);
    g_assert_cmpuint(call(&t, 0x5d | FAST, 17, 0), ==, HV_SUCCESS);
    g_assert_cmpint(taken(&t, 1), ==, -1); /* it was set */
    g_assert_cmpuint(call(&t, 0x5d | FAST, 17 | 0xffffull << 32, 0), ==, HV_INVALID_PARAMETER);
    hv_disconnect(t.hv, 17);
    g_assert_cmpuint(call(&t, 0x5d | FAST, 17, 0), ==, HV_INVALID_CONNECTION_ID);
    bench_free(t.b);
}

/* ---- interrupts and TLBs of many ---- */

static uint64_t flushed(struct hv_bench *t, uint64_t control, uint64_t *result)
{
    struct hyperv_call c = {.control = control, .input = AT_INPUT};
    dev_lock(t->hv);
    hv_call(t->hv, &c);
    dev_unlock(t->hv);
    *result = c.result;
    return c.flush;
}

static void test_many(void)
{
    struct hv_bench t = begin();
    uint64_t *in = (uint64_t *)(bench_ram(t.b) + AT_INPUT), result;
    set(&t, 0, OS_ID, 1);
    g_assert_cmpuint(call(&t, 0xb | 1 << 16, 0x71, 2), ==, HV_SUCCESS);
    g_assert_true(taken(&t, 0) == -1 && taken(&t, 1) == 0x71);
    set(&t, 1, EOI, 0);
    g_assert_cmpuint(call(&t, 0xb | 1 << 16, 15, 2), ==, HV_INVALID_PARAMETER);
    const uint64_t sparse[] = {0x72, 0, 5, 1, ~0ull};
    memcpy(in, sparse, sizeof sparse);
    g_assert_cmpuint(call(&t, 0x15 | 2 << 17, AT_INPUT, 0), ==, HV_SUCCESS);
    g_assert_true(taken(&t, 0) == 0x72 && taken(&t, 1) == -1);
    set(&t, 0, EOI, 0);
    g_assert_cmpuint(call(&t, 0x15 | 1 << 17, AT_INPUT, 0), ==, HV_INVALID_PARAMETER); /* two banks are valid */
    in[1] = 1;                                                                         /* all */
    g_assert_cmpuint(call(&t, 0x15, AT_INPUT, 0), ==, HV_SUCCESS);
    g_assert_true(taken(&t, 0) == 0x72 && taken(&t, 1) == 0x72);
    in[0] = in[1] = 0;
    in[2] = 6; /* CPU 2 there is not */
    g_assert_cmphex(flushed(&t, 2, &result), ==, 2);
    in[1] = 1;
    g_assert_cmphex(flushed(&t, 2, &result), ==, 3);
    g_assert_cmphex(flushed(&t, 3 | 4ull << 32, &result), ==, 3);
    g_assert_cmphex(result, ==, 4ull << 32);
    g_assert_cmphex(flushed(&t, 3, &result), ==, 0); /* no repetitions */
    g_assert_cmphex(result, ==, HV_INVALID_HYPERCALL_INPUT);
    const uint64_t set_of_cpus[] = {0, 0, 0, 1, 2};
    memcpy(in, set_of_cpus, sizeof set_of_cpus);
    g_assert_cmphex(flushed(&t, 0x13 | 1 << 17, &result), ==, 2);
    bench_free(t.b);
}

/* ---- crash ---- */

static void count_crash(void *ctx, const struct machine_crash *c)
{
    *(unsigned *)ctx = c->count;
}

static void test_crash(void)
{
    struct hv_bench t = begin();
    unsigned told = 0;
    struct machine_crash c;
    machine_on_crash(t.hv->machine, count_crash, &told);
    strcpy((char *)bench_ram(t.b) + AT_INPUT, "it\nwas\033[2J so");
    const uint64_t words[] = {0xa, 1, 2, AT_INPUT, 13};
    for (unsigned i = 0; i < 5; i++)
        set(&t, 1, CRASH + i, words[i]);
    set(&t, 1, CRASH_CONTROL, 1ull << 62);
    machine_crash_look(t.hv->machine, &c);
    g_assert_cmpuint(c.count, ==, 0); /* not to be told of */
    set(&t, 1, CRASH_CONTROL, 3ull << 62);
    machine_crash_look(t.hv->machine, &c);
    g_assert_cmpuint(c.count, ==, 1);
    g_assert_cmpmem(c.words, sizeof c.words, words, sizeof words);
    g_assert_cmpstr(c.message, ==, "it was [2J so");
    machine_crash_clear(&c);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    g_assert_cmpuint(told, ==, 1);
    set(&t, 0, CRASH + 4, ~0ull); /* a text that is not there */
    set(&t, 0, CRASH + 3, ~0ull);
    set(&t, 0, CRASH_CONTROL, 3ull << 62);
    machine_crash_look(t.hv->machine, &c);
    g_assert_true(c.count == 2 && !c.message);
    bench_free(t.b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hyperv/identity", test_identity);
    g_test_add_func("/hyperv/time", test_time);
    g_test_add_func("/hyperv/timer/one-shot", test_one_shot);
    g_test_add_func("/hyperv/timer/periodic", test_periodic);
    g_test_add_func("/hyperv/timer/endless", test_endless);
    g_test_add_func("/hyperv/busy-slot", test_busy_slot);
    g_test_add_func("/hyperv/sints", test_sints);
    g_test_add_func("/hyperv/connections", test_connections);
    g_test_add_func("/hyperv/many-cpus", test_many);
    g_test_add_func("/hyperv/crash", test_crash);
    return g_test_run();
}
