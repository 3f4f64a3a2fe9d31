// SPDX-License-Identifier: GPL-2.0-or-later
/* idle.c - guests that wait by looking: DOS and its kin do not halt at their prompt, they ask for a key again and again.
 *
 * Engines and devices say when the guest looked for input and there was none.  From that alone it does not follow that the
 * guest has nothing to do: it may count how often it looks, or look between two pieces of work.  So a vCPU naps only when
 * for LONG it has done little else: time that it spends between two looks counts as work if it is longer than a loop around
 * a look takes, and work must be less than a quarter.  Time is CPU time of the vCPU's thread, so that a busy host changes
 * nothing.  What programs count to before they give up on a device, usually 65536, is over sooner than LONG; and a nap is no
 * longer than it takes for a few percent of a CPU, so that a longer count takes SLOWER times as long, not for ever.
 *
 * A nap ends with any interrupt or other signal to the vCPU, and soon anyway: for what the guest sees change in memory or
 * time without one. */
#include "core-vmm/machine/core.h"
#include <time.h>

#define LOOP_NS     100000u       /* one look, and the way to the next */
#define LONG_NS     1500000000ull /* then it is waiting */
#define WORK_MOST   4             /* a part in this many */
#define SLOWER      40
#define NAP_MOST_NS 4000000

static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}

/* Has the guest done little but look, for long?  At the latest looks only, so that new work is noticed soon. */
static bool waits(struct idle *i, uint64_t now)
{
    uint64_t gap = now - i->looked_ns;
    i->looked_ns = now;
    i->all_ns += gap;
    i->work_ns += gap > LOOP_NS ? gap : 0;
    if (i->all_ns > 2 * LONG_NS) {
        i->all_ns /= 2;
        i->work_ns /= 2;
    }
    if (i->work_ns > i->all_ns / WORK_MOST && i->all_ns > LONG_NS / 8)
        i->all_ns = i->work_ns = 0;
    i->gap_ns = gap;
    return i->all_ns >= LONG_NS;
}

/* Between two looks at a port a delay is made of accesses to others (80h), and a command is one, too: then the guest waits for
 * the chip, and counts. */
void idle_looked_at_port(struct machine *m, unsigned cpu)
{
    struct idle *i = &m->vcpu[cpu].idle;
    if (i->other_port)
        i->all_ns = i->work_ns = 0;
    i->other_port = false;
    machine_looked(m, cpu);
}

void machine_looked(struct machine *m, unsigned cpu)
{
    struct vcpu_thread *v = &m->vcpu[cpu];
    if (waits(&v->idle, cpu_ns()))
        vcpu_nap(v, MIN(v->idle.gap_ns * SLOWER, NAP_MOST_NS));
}
