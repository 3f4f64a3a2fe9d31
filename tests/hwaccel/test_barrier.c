// SPDX-License-Identifier: GPL-2.0-or-later
/* test_barrier.c - a guest's LOCK is a barrier towards devices on other threads, though translated code of a lone vCPU has none
 * (machine/barrier.c). */
#include "core-vmm/api/barrier.h"
#include "core-vmm/machine/core.h"
#include "patcher/patcher.h"
#include "tests/hwaccel/bare_machine.h"
#include <sched.h>
#include <string.h>

extern const uint8_t g_barrier[], g_barrier_end[], g_hints[], g_hints_end[];
enum {
    CODE = 0x8000,
    RESULT = 0x600,
    COME = RESULT,
    GO = RESULT + 0x100,
    THEIRS = RESULT + 0x200,
    OURS = RESULT + 0x300
};
enum { SEEN = RESULT + 0x400, ROUNDS = 20000, ROUNDS_LEAST = 1000, SECONDS = 4 };

static void seq_cst(struct device *d)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void set(struct bare_machine *m, uint32_t at, uint32_t value)
{
    __atomic_store_n((uint32_t *)(m->memory + at), value, __ATOMIC_RELEASE);
}

/* The two are to store at the same time, and how long the guest takes to see GO depends on the host. */
static void wait_a_little(unsigned round)
{
    for (volatile unsigned i = 0; i < round * 7 % 64; i++)
        ;
}

static void wait_for(struct bare_machine *m, uint32_t round)
{
    for (unsigned looks = 1; bare_u32(m, COME) < round; looks++)
        if (looks % 4096 == 0)
            sched_yield();
}

/* How often both sides read what the other had before, in so many rounds; fewer, if something else keeps the host busy. */
static unsigned rounds_lost(struct bare_machine *m, void (*barrier)(struct device *d), uint32_t *round)
{
    struct device *d = machine_device(m->machine, "bare");
    int64_t end = g_get_monotonic_time() + SECONDS * G_USEC_PER_SEC;
    unsigned lost = 0;
    uint32_t last = *round + ROUNDS;
    while (*round < last && g_get_monotonic_time() < end) {
        uint32_t now = ++*round;
        wait_for(m, now);
        bare_u32(m, THEIRS); /* which makes its load quicker than its store */
        set(m, GO, now);
        wait_a_little(now);
        set(m, OURS, now);
        barrier(d);
        bool saw = bare_u32(m, THEIRS) == now;
        wait_for(m, now + 1);
        lost += !saw && bare_u32(m, SEEN) != now;
    }
    return lost;
}

/* The second part is no test: with another barrier rounds may be lost, and a host on which none is shows nothing. */
static void test_rounds(void)
{
    struct bare_machine *m = bare_new(&soft_engine, 1);
    uint32_t round = 0, first;
    if (!m->machine->far_barriers) {
        bare_free(m);
        g_test_skip("this host has no membarrier()");
        return;
    }
    bare_load(m, CODE, g_barrier, g_barrier_end);
    bare_start32(m, 0, CODE);
    pthread_t t = bare_spawn(m, 0);
    unsigned lost = rounds_lost(m, dev_barrier, &round);
    first = round;
    unsigned without = rounds_lost(m, seq_cst, &round);
    bare_stop(m, 0, t);
    g_test_message("%u of %u rounds lost; with the host's fence only, %u of %u", lost, first, without, round - first);
    g_assert_cmpuint(lost, ==, 0);
    if (first < ROUNDS_LEAST)
        g_test_skip("two threads did not run at once");
    bare_free(m);
}

static void test_who(void)
{
    static const struct {
        const struct cpu_engine *engine;
        unsigned cpus;
        bool far;
    } cases[] = {{&soft_engine, 1, true}, {&soft_engine, 2, false}, {&interp_engine, 1, false}};
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct bare_machine *m = bare_new(cases[i].engine, cases[i].cpus);
        g_assert_cmpint(m->machine->far_barriers, ==, cases[i].far && barrier_far_offered());
        bare_free(m);
    }
}

/* The host's code stands deeper than the guest's in a dump. */
static void no_hint_left(const char *dump)
{
    g_auto(GStrv) lines = g_strsplit(dump, "\n", -1);
    bool guest = false;
    for (char **l = lines; *l; l++) {
        bool host = g_str_has_prefix(*l, "        ");
        guest |= !host && strstr(*l, "movntps");
        g_assert_false(host && strstr(*l, "movnt"));
    }
    g_assert_true(guest);
}

/* They store what they would with the hint. */
static void test_hints(void)
{
    static const uint8_t bytes[16] = "sixteen of them";
    static const unsigned stored[] = {16, 16, 16, 8, 4};
    struct bare_machine *m = bare_new_model(&soft_engine, 1, "host", "hot=1");
    memcpy(m->memory + RESULT, bytes, sizeof bytes);
    bare_load(m, CODE, g_hints, g_hints_end);
    for (unsigned pass = 0; pass < 4; pass++) { /* by tier 1, then translated */
        memset(m->memory + RESULT + 16, 0, 16 * G_N_ELEMENTS(stored));
        bare_start32(m, 0, CODE);
        bare_finish(m, 0);
        for (unsigned i = 0; i < G_N_ELEMENTS(stored); i++)
            g_assert_cmpmem(m->memory + RESULT + 16 + 16 * i, stored[i], bytes, stored[i]);
    }
    g_autofree char *dump = m->engine->dump(m->vcpu[0], 16, NULL);
    if (m->machine->far_barriers)
        no_hint_left(dump);
    bare_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/barrier/rounds", test_rounds);
    g_test_add_func("/barrier/who", test_who);
    g_test_add_func("/barrier/hints", test_hints);
    return g_test_run();
}
