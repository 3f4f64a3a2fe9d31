// SPDX-License-Identifier: GPL-2.0-or-later
/* times.c - the time stamp counter, and what CPUID says. */
#include "hwaccel_tests.h"
#include <string.h>
#include <x86intrin.h>

static struct machine *start(const struct cpu_engine *engine, unsigned cpus, const uint8_t *code, const uint8_t *end)
{
    struct machine *m = fake_new(engine, cpus);
    fake_load(m, CODE, code, end);
    for (unsigned i = 0; i < cpus; i++)
        fake_start64(m, i, CODE);
    return m;
}

/* A host whose TSCs do not agree (as under an emulator) makes KVM adjust the guest's by its own lights. */
static int64_t tolerance(void)
{
    g_autofree char *source = NULL;
    g_file_get_contents("/sys/devices/system/clocksource/clocksource0/current_clocksource", &source, NULL, NULL);
    bool stable = source && g_str_has_prefix(source, "tsc");
    return stable ? 0 : 1ll << 33;
}

/* The guest's TSC must lie between the host's before and after, with the offsets added. */
static void check_tsc(struct machine *m, unsigned cpu, uint64_t own)
{
    int64_t slack = tolerance();
    uint64_t offset = m->tsc_offset + own, before = __rdtsc() + offset, guest;
    fake_finish(m, cpu);
    uint64_t after = __rdtsc() + offset;
    memcpy(&guest, m->memory + RESULT, 8);
    g_assert_cmpint((int64_t)(guest - before), >=, -slack);
    g_assert_cmpint((int64_t)(after - guest), >=, -slack);
}

static void test_tsc(const struct cpu_engine *engine)
{
    struct machine *m = start(engine, 2, g_tsc, g_tsc_end);
    for (unsigned i = 0; i < 5; i++) {
        check_tsc(m, 0, 0);
        check_tsc(m, 1, 0);
        m->tsc_offset -= 123456789ll << (8 + 4 * i); /* as after a pause */
    }
    fake_free(m);
}

static void test_tsc_written(const struct cpu_engine *engine)
{
    struct machine *m = start(engine, 1, g_wrtsc, g_wrtsc_end);
    g_autofree struct x86_state *s = g_new(struct x86_state, 1);
    m->tsc_offset = -(int64_t)__rdtsc();
    fake_finish(m, 0);
    engine->get_state(m->vcpu[0], s);
    /* the guest read, added and wrote: less the time between */
    g_assert_cmpint((int64_t)(s->tsc_adjust - (1ull << 40)), <=, tolerance());
    g_assert_cmpint((int64_t)(s->tsc_adjust - (1ull << 40)), >, -(int64_t)1000000000 - tolerance());
    check_tsc(m, 0, s->tsc_adjust);
    m->tsc_offset -= 1ll << 38;
    check_tsc(m, 0, s->tsc_adjust);
    g_usleep(1000);
    engine->set_state(m->vcpu[0], s);
    check_tsc(m, 0, s->tsc_adjust);
    fake_free(m);
}

/* ---- CPUID ---- */

struct cpuid {
    uint32_t eax, ebx, ecx, edx;
};

static struct cpuid cpuid(struct machine *m, unsigned cpu, uint32_t leaf, uint32_t index)
{
    struct cpuid c;
    fake_put(m, RESULT + 32, leaf, 4);
    fake_put(m, RESULT + 36, index, 4);
    fake_finish(m, cpu);
    memcpy(&c, m->memory + RESULT + 16, sizeof c);
    return c;
}

static void test_topology(const struct cpu_engine *engine)
{
    struct machine *m = start(engine, 3, g_tsc, g_tsc_end);
    for (unsigned i = 0; i < 3; i++) {
        struct cpuid one = cpuid(m, i, 1, 0);
        g_assert_cmpuint(one.ebx >> 24, ==, i);
        g_assert_cmpuint(one.ebx >> 16 & 0xff, ==, 3);
        g_assert_cmpuint(one.edx >> 28 & 1, ==, 1);
        g_assert_cmpuint(one.ecx >> 31, ==, 1);                 /* hypervisor */
        g_assert_cmpuint(one.ecx >> 5 & 1, ==, 0);              /* no VMX */
        g_assert_cmpuint(one.ecx >> 21 & 1, ==, !!engine->msi); /* x2APIC */
        struct cpuid core = cpuid(m, i, 0xb, 1);
        g_assert_cmpuint(core.eax, ==, 2);
        g_assert_cmpuint(core.ebx, ==, 3);
        g_assert_cmpuint(core.edx, ==, i);
        g_assert_cmpuint(cpuid(m, i, 0xb, 0).ebx, ==, 1);
        g_assert_cmpuint(cpuid(m, i, 0x80000001, 0).ecx >> 2 & 1, ==, 0); /* no SVM */
    }
    struct cpuid name = cpuid(m, 0, 0x40000000, 0);
    g_assert_cmpmem(&name.ebx, 12, "TerrariumVMM", 12); /* and not KVM's: its paravirtual clock is not offered */
    fake_free(m);
}

static void test_v2_model(const struct cpu_engine *engine)
{
    struct machine *m = fake_new_model(engine, 1, "x86-64-v2");
    fake_load(m, CODE, g_tsc, g_tsc_end);
    fake_start64(m, 0, CODE);
    static const uint32_t v2 = 1u << 0 | 1u << 9 | 1u << 13 | 1u << 19 | 1u << 20 | 1u << 23;
    struct cpuid one = cpuid(m, 0, 1, 0);
    g_assert_cmphex(one.ecx & v2, ==, v2);
    g_assert_cmphex(one.ecx & (1u << 26 | 1u << 28 | 1u << 12), ==, 0); /* xsave avx fma */
    g_assert_cmphex(one.eax, ==, 0x206c0);
    g_assert_cmphex(cpuid(m, 0, 0x80000001, 0).ecx & 1, ==, 1);
    g_assert_cmphex(cpuid(m, 0, 0x80000001, 0).edx >> 29 & 1, ==, 1);
    g_assert_cmphex(cpuid(m, 0, 7, 0).ebx, ==, 2);
    g_assert_cmpuint(cpuid(m, 0, 0x80000002, 0).eax, ==, 0x72726554); /* "Terr" */
    fake_free(m);
}

void add_time_tests(void)
{
    add_test("tsc/offset", test_tsc);
    add_test("tsc/written", test_tsc_written);
    add_test("cpuid/topology", test_topology);
    add_test("cpuid/x86-64-v2", test_v2_model);
}
