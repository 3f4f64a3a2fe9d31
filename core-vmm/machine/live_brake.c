// SPDX-License-Identifier: GPL-2.0-or-later
/* live_brake.c - holds back a guest that changes memory faster than it is copied.
 *
 * It gets less and less of the time: its vCPUs run for a while and stand for a while, in turns; at each level for twice as long, beside what they ran,
 * and one more (1, 3, 7, ... times).  No turn of standing is longer than STAND_MOST_US, whatever the copying does meanwhile, for that is what people at the
 * guest notice; and none of running is shorter than RUN_LEAST_US, for a thread that is let go and held again at once may not have run at all,
 * and two turns of standing are one then.  So the hardest level is the quotient of those two.  Where the host is busy, turns of running
 * become longer of themselves, as nobody is there to end them; those of standing that follow do too, up to their limit.
 *
 * Turns are a thread's own, so that they do not depend on whoever copies: that may wait for a slow disk.  A guest need not be
 * slow for a copy that does not go on at all: after IDLE_US without a page it runs freely, until there is one.
 *
 * To the guest, whose time goes on, the machine has become slow. */
#include "core-vmm/machine/live.h"

enum { STAND_MOST_US = 40000, RUN_LEAST_US = 2000, RUN_MOST_US = 10000, IDLE_US = 300000 };

/* How many times as long as it ran it stands. */
static int64_t times_of(unsigned level)
{
    return (INT64_C(1) << level) - 1;
}

static int64_t run_us(unsigned level)
{
    return CLAMP(STAND_MOST_US / times_of(level), RUN_LEAST_US, RUN_MOST_US);
}

struct live_turn live_turn_now(const struct live_turns *t, int64_t now)
{
    int64_t idle = t->copied + IDLE_US;
    if (!t->level || now >= idle)
        return (struct live_turn){false, INT64_MAX};
    if (t->stands && now < t->since + t->length)
        return (struct live_turn){true, MIN(t->since + t->length, idle)};
    if (t->stands)
        return (struct live_turn){false, now + run_us(t->level)};
    int64_t ran = now - t->since, run = run_us(t->level);
    if (ran < run)
        return (struct live_turn){false, t->since + run};
    return (struct live_turn){true, MIN(now + MIN(ran * times_of(t->level), STAND_MOST_US), idle)};
}

void live_turn_begins(struct live_turns *t, const struct live_turn *turn, int64_t now)
{
    if (turn->stands == t->stands)
        return;
    t->stands = turn->stands;
    t->since = now;
    t->length = turn->until - now;
}

/* With the lock. */
static void stand(struct live_brake *b, bool on)
{
    if (b->holds == on)
        return;
    b->holds = on;
    if (on)
        vcpus_ask_hold(b->machine);
    else
        vcpus_release(b->machine);
}

static void take_turns(struct live_brake *b)
{
    while (!b->ended) {
        int64_t now = g_get_monotonic_time();
        struct live_turn turn = live_turn_now(&b->turns, now);
        live_turn_begins(&b->turns, &turn, now);
        stand(b, turn.stands);
        if (turn.until == INT64_MAX)
            g_cond_wait(&b->changed, &b->lock);
        else
            g_cond_wait_until(&b->changed, &b->lock, turn.until);
    }
    stand(b, false);
}

void live_brake_work(void *brake, void *unused)
{
    struct live_brake *b = brake;
    const struct thread_hook *h = &b->machine->on_thread;
    bool fenced = !h->begins || h->begins(h->ctx, MACHINE_THREAD_WORKER);
    g_mutex_lock(&b->lock);
    if (fenced)
        take_turns(b);
    b->works = false;
    g_cond_broadcast(&b->changed);
    g_mutex_unlock(&b->lock);
}

void live_brake_init(struct live_brake *b, struct machine *m)
{
    *b = (struct live_brake){.machine = m};
    g_mutex_init(&b->lock);
    g_cond_init(&b->changed);
}

bool live_brake_harder(struct live_brake *b)
{
    g_mutex_lock(&b->lock);
    bool can = b->turns.level < LIVE_BRAKE_HARDEST, first = can && !b->turns.level;
    int64_t now = g_get_monotonic_time();
    if (can)
        b->turns.level++;
    if (first) {
        b->turns.since = b->turns.copied = now;
        b->works = true;
        g_thread_pool_push(b->machine->packers->brake, b, NULL);
    }
    g_cond_broadcast(&b->changed);
    g_mutex_unlock(&b->lock);
    return can;
}

void live_brake_copied(struct live_brake *b)
{
    g_mutex_lock(&b->lock);
    int64_t now = g_get_monotonic_time();
    bool idle = now >= b->turns.copied + IDLE_US;
    b->turns.copied = now;
    if (idle)
        g_cond_broadcast(&b->changed);
    g_mutex_unlock(&b->lock);
}

void live_brake_release(struct live_brake *b)
{
    g_mutex_lock(&b->lock);
    b->ended = true;
    stand(b, false);
    g_cond_broadcast(&b->changed);
    g_mutex_unlock(&b->lock);
}

void live_brake_clear(struct live_brake *b)
{
    live_brake_release(b);
    g_mutex_lock(&b->lock);
    while (b->works)
        g_cond_wait(&b->changed, &b->lock);
    g_mutex_unlock(&b->lock);
    g_cond_clear(&b->changed);
    g_mutex_clear(&b->lock);
}
