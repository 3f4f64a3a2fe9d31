// SPDX-License-Identifier: GPL-2.0-or-later
/* live_brake.c - holds back a guest that changes memory faster than it is copied.
 *
 * While pages are copied its vCPUs stand, and after each 16 MiB they run for a part of the time that those took: as long, then a third of it, a
 * seventh, ... and in the end only until they have been let go.  Where the host is busy they run for longer than that, until this thread has its turn
 * again; then they stand for longer, too, but no longer than STAND_MOST_US for that.  So what the guest changes in a round becomes less than
 * what is copied in it.  Its time goes on: to the guest, the machine has become slow. */
#include "core-vmm/machine/live.h"

enum { SLICE_PAGES = 4096, RUN_MOST_US = 50000, STAND_MOST_US = 80000 };

static void hold(struct live_brake *b)
{
    int64_t now = g_get_monotonic_time();
    vcpus_ask_hold(b->machine);
    b->holds = true;
    b->ran = b->since ? now - b->since : 0;
    b->since = now;
    b->pages = 0;
}

bool live_brake_harder(struct live_brake *b, struct machine *m)
{
    if (b->level == LIVE_BRAKE_HARDEST)
        return false;
    b->machine = m;
    b->level++;
    return true;
}

void live_brake_copied(struct live_brake *b, uint64_t pages)
{
    int64_t times = (1 << b->level) - 1;
    if (!b->level)
        return;
    if (!b->holds)
        hold(b);
    b->pages += pages;
    int64_t held = g_get_monotonic_time() - b->since;
    if (b->pages < SLICE_PAGES || held < MIN(b->ran * times, STAND_MOST_US))
        return;
    live_brake_release(b);
    if (b->level < LIVE_BRAKE_HARDEST)
        g_usleep(MIN(held / times, RUN_MOST_US));
    hold(b);
}

void live_brake_release(struct live_brake *b)
{
    if (b->holds)
        vcpus_release(b->machine);
    b->holds = false;
    b->since = g_get_monotonic_time();
}
