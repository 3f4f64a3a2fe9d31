// SPDX-License-Identifier: GPL-2.0-or-later
/* live_brake.c - holds back a guest that changes memory faster than it is copied.
 *
 * While pages are copied its vCPUs stand, and after each 16 MiB they run for a part of the time that those took: as long, then a third of it, a
 * seventh, ... and in the end only until they have been let go.  Where the host is busy they run for longer than that, until this thread has its turn
 * again; then they stand for longer, too, but no longer than STAND_MOST_US for that.  So what the guest changes in a round becomes less than
 * what is copied in it.  Its time goes on: to the guest, the machine has become slow.
 *
 * Whoever copies may have to wait for a slow disk; the loop thread lets go of a guest that has stood for STAND_LIMIT_US because of it, which then
 * runs until the copying goes on. */
#include "core-vmm/machine/live.h"

enum { SLICE_PAGES = 4096, RUN_MOST_US = 50000, STAND_MOST_US = 80000 };
enum { STAND_LIMIT_US = 300000, LOOK_MS = 100 };

/* With the lock. */
static void hold(struct live_brake *b)
{
    int64_t now = g_get_monotonic_time();
    vcpus_ask_hold(b->machine);
    b->holds = true;
    b->ran = b->since ? now - b->since : 0;
    b->since = now;
    b->pages = 0;
}

/* With the lock. */
static void let_go(struct live_brake *b)
{
    if (b->holds)
        vcpus_release(b->machine);
    b->holds = false;
    b->since = g_get_monotonic_time();
}

static gboolean look(gpointer brake)
{
    struct live_brake *b = brake;
    g_mutex_lock(&b->lock);
    if (b->holds && g_get_monotonic_time() - b->since > STAND_LIMIT_US)
        let_go(b);
    g_mutex_unlock(&b->lock);
    return G_SOURCE_CONTINUE;
}

void live_brake_init(struct live_brake *b, struct machine *m)
{
    *b = (struct live_brake){.machine = m};
    g_mutex_init(&b->lock);
}

void live_brake_clear(struct live_brake *b)
{
    live_brake_release(b);
    if (b->looks)
        g_source_remove(b->looks);
    g_mutex_clear(&b->lock);
}

bool live_brake_harder(struct live_brake *b)
{
    if (b->level == LIVE_BRAKE_HARDEST)
        return false;
    if (!b->looks)
        b->looks = g_timeout_add_full(G_PRIORITY_HIGH, LOOK_MS, look, b, NULL);
    b->level++;
    return true;
}

/* Is it time for it to run? */
static bool has_stood(struct live_brake *b, uint64_t pages, int64_t times, int64_t *held)
{
    g_mutex_lock(&b->lock);
    if (!b->holds)
        hold(b);
    b->pages += pages;
    *held = g_get_monotonic_time() - b->since;
    bool enough = b->pages >= SLICE_PAGES && *held >= MIN(b->ran * times, STAND_MOST_US);
    if (enough)
        let_go(b);
    g_mutex_unlock(&b->lock);
    return enough;
}

void live_brake_copied(struct live_brake *b, uint64_t pages)
{
    int64_t times = (1 << b->level) - 1, held;
    if (!b->level || !has_stood(b, pages, times, &held))
        return;
    if (b->level < LIVE_BRAKE_HARDEST)
        g_usleep(MIN(held / times, RUN_MOST_US));
    g_mutex_lock(&b->lock);
    hold(b);
    g_mutex_unlock(&b->lock);
}

void live_brake_release(struct live_brake *b)
{
    g_mutex_lock(&b->lock);
    let_go(b);
    g_mutex_unlock(&b->lock);
}
