// SPDX-License-Identifier: GPL-2.0-or-later
/* times.c - the time stamp counter. */
#include "tests/hwaccel/hwaccel_tests.h"
#include <string.h>
#include <x86intrin.h>

static struct bare_machine *start(const struct cpu_engine *engine, unsigned cpus, const uint8_t *code,
                                  const uint8_t *end)
{
    struct bare_machine *m = bare_new(engine, cpus);
    bare_load(m, CODE, code, end);
    for (unsigned i = 0; i < cpus; i++)
        bare_start64(m, i, CODE);
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
static void check_tsc(struct bare_machine *m, unsigned cpu, uint64_t own)
{
    int64_t slack = tolerance();
    uint64_t offset = *m->vm->tsc_offset + own, before = __rdtsc() + offset, guest;
    bare_finish(m, cpu);
    uint64_t after = __rdtsc() + offset;
    memcpy(&guest, m->memory + RESULT, 8);
    g_assert_cmpint((int64_t)(guest - before), >=, -slack);
    g_assert_cmpint((int64_t)(after - guest), >=, -slack);
}

static void test_tsc(const struct cpu_engine *engine)
{
    struct bare_machine *m = start(engine, 2, g_tsc, g_tsc_end);
    for (unsigned i = 0; i < 5; i++) {
        check_tsc(m, 0, 0);
        check_tsc(m, 1, 0);
        bare_stood(m, 123456789ull << (8 + 4 * i));
    }
    bare_free(m);
}

static void test_tsc_written(const struct cpu_engine *engine)
{
    struct bare_machine *m = start(engine, 1, g_wrtsc, g_wrtsc_end);
    g_autofree struct x86_state *s = g_new(struct x86_state, 1);
    bare_finish(m, 0);
    engine->get_state(m->vcpu[0], s);
    /* the guest read, added and wrote: less the time between */
    g_assert_cmpint((int64_t)(s->tsc_adjust - (1ull << 40)), <=, tolerance());
    g_assert_cmpint((int64_t)(s->tsc_adjust - (1ull << 40)), >, -(int64_t)1000000000 - tolerance());
    check_tsc(m, 0, s->tsc_adjust);
    bare_stood(m, 1ull << 38);
    check_tsc(m, 0, s->tsc_adjust);
    g_usleep(1000);
    engine->set_state(m->vcpu[0], s);
    check_tsc(m, 0, s->tsc_adjust);
    bare_free(m);
}

void add_time_tests(void)
{
    add_test("tsc/offset", test_tsc);
    add_test("tsc/written", test_tsc_written);
}
