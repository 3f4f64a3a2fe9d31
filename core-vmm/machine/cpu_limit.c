// SPDX-License-Identifier: GPL-2.0-or-later
/* cpu_limit.c - holds the vCPUs while the VM process has used more than its share of the host's CPUs.
 *
 * The kernel counts what all threads of the process have used.  50 times a second that is compared with what they might: the share
 * grows with time, at most to a few ticks' worth, so that a guest which did nothing may not make up for it at length; what is over it is
 * a debt.  While there is a debt the vCPUs stand, and guest time goes on: to the guest it is a slow machine, not a stopped one.  Work that
 * is not the guest's own (disks, the picture) counts too, and is not held up: the vCPUs pay for it. */
#include "core-vmm/machine/core.h"
#include "core-vmm/machine/limits.h"
#include <time.h>

enum { TICK_MS = 20, SAVED_TICKS = 2 };
#define DEBT_MOST (INT64_C(500) * 1000 * 1000) /* ns: it does not stand longer for what is behind it */

static int64_t now_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void hold(struct cpu_limit *l, struct machine *m, bool on)
{
    if (l->holds == on)
        return;
    l->holds = on;
    if (on)
        vcpus_ask_hold(m);
    else
        vcpus_release(m);
}

static gboolean tick(gpointer data)
{
    struct machine *m = data;
    struct cpu_limit *l = &m->cpu_limit;
    int64_t wall = now_of(CLOCK_MONOTONIC), cpu = now_of(CLOCK_PROCESS_CPUTIME_ID), passed = wall - l->wall;
    int64_t most = (int64_t)TICK_MS * SAVED_TICKS * 1000000 / 100 * l->percent;
    l->held_ns += l->holds ? passed : 0;
    l->credit = CLAMP(l->credit + passed / 100 * l->percent - (cpu - l->cpu), -DEBT_MOST, most);
    l->wall = wall;
    l->cpu = cpu;
    hold(l, m, l->credit < 0);
    return G_SOURCE_CONTINUE;
}

void cpu_limit_set(struct machine *m, unsigned percent)
{
    struct cpu_limit *l = &m->cpu_limit;
    if (l->timer)
        g_source_remove(l->timer);
    hold(l, m, false);
    *l = (struct cpu_limit){.percent = percent, .held_ns = l->held_ns};
    l->wall = now_of(CLOCK_MONOTONIC);
    l->cpu = now_of(CLOCK_PROCESS_CPUTIME_ID);
    l->timer = percent ? g_timeout_add_full(G_PRIORITY_HIGH, TICK_MS, tick, m, NULL) : 0;
}

struct cpu_limit_state cpu_limit_look(struct machine *m)
{
    return (struct cpu_limit_state){m->cpu_limit.percent, m->cpu_limit.held_ns};
}
