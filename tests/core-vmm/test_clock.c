// SPDX-License-Identifier: GPL-2.0-or-later
/* test_clock.c - timers whose work takes longer than the pause after which they want to go on, as a guest can have its devices do: a
 * run of what is due ends, and the loop thread gets to its other work. */
#include "core-vmm/machine/core.h"

enum { WORK_NS = 300000, PAUSE_NS = 50000, RUNS_MOST = 2000 /* then a test has failed */ };

struct hard {
    struct clock *clock;
    struct timer *timer;
    unsigned runs;
};

static void work(void *ctx)
{
    struct hard *h = ctx;
    for (uint64_t end = clock_now(h->clock) + WORK_NS; clock_now(h->clock) < end;)
        ;
    if (++h->runs < RUNS_MOST)
        clock_timer_set(h->timer, clock_now(h->clock) + PAUSE_NS);
}

static void begin(struct clock *c, struct hard *h)
{
    for (unsigned i = 0; i < 2; i++) {
        h[i] = (struct hard){.clock = c};
        h[i].timer = clock_timer_new(c, work, &h[i]);
        clock_timer_set(h[i].timer, 0);
    }
    clock_go(c);
}

static void end(struct clock *c, struct hard *h)
{
    for (unsigned i = 0; i < 2; i++)
        clock_timer_free(h[i].timer);
    clock_free(c);
}

static void a_run_ends(void)
{
    struct clock *c = clock_new(false);
    struct hard h[2];
    begin(c, h);
    for (unsigned runs = 1; runs <= 3; runs++) {
        clock_run(c);
        g_assert_cmpuint(h[0].runs, <=, runs);
        g_assert_cmpuint(h[1].runs, <=, runs);
        g_usleep(PAUSE_NS / 1000 + 1);
    }
    g_assert_cmpuint(h[0].runs, ==, 3);
    end(c, h);
}

static gboolean heard(gpointer data)
{
    ++*(unsigned *)data;
    return G_SOURCE_CONTINUE;
}

/* One of the loop's own, like the control socket's, is as often ready. */
static void others_have_their_turn(void)
{
    struct clock *c = clock_new(false);
    struct hard h[2];
    unsigned others = 0, source = g_timeout_add(0, heard, &others);
    begin(c, h);
    while (others < 20 && h[0].runs < RUNS_MOST)
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpuint(others, ==, 20);
    g_assert_cmpuint(h[0].runs, <, RUNS_MOST);
    g_assert_cmpuint(h[0].runs, >, 2); /* and so have the timers */
    g_source_remove(source);
    end(c, h);
}

/* A timer that is late makes up for each of its times at one go. */
static void periodic(void *ctx)
{
    struct hard *h = ctx;
    clock_timer_set(h->timer, ++h->runs * 1000000ull);
}

static void late_ticks(void)
{
    struct clock *c = clock_new(false);
    struct hard h = {.clock = c};
    h.timer = clock_timer_new(c, periodic, &h);
    clock_timer_set(h.timer, 0);
    clock_go(c);
    while (clock_now(c) < 20000000)
        ;
    clock_run(c);
    g_assert_cmpuint(h.runs, >=, 20);
    clock_timer_free(h.timer);
    clock_free(c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/clock/a-run-ends", a_run_ends);
    g_test_add_func("/clock/others-have-their-turn", others_have_their_turn);
    g_test_add_func("/clock/late-ticks", late_ticks);
    return g_test_run();
}
