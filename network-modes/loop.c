// SPDX-License-Identifier: GPL-2.0-or-later
/* loop.c - the network process' main loop: GLib's, but that it looks for a while before it sleeps (base/spin.h).  The guest's
 * next frame and the world's next answer often come soon; whoever has just been sent something gets the CPU first. */
#include "core-vmm/base/spin.h"
#include "network-modes/process.h"
#include <sched.h>

static void wait_for(GPollFD *fds, unsigned count, int timeout_ms, struct spin *s)
{
    int ready = 0;
    spin_begin(s, spin_now());
    while (timeout_ms && !ready && spin_on(s, spin_now())) { /* a millisecond is more than it spins */
        sched_yield();
        ready = g_poll(fds, count, 0);
    }
    if (!ready)
        g_poll(fds, count, timeout_ms);
    spin_end(s, spin_now());
}

/* How many descriptors there are to wait for, and which. */
static unsigned query(GMainContext *c, int priority, int *timeout_ms, GArray *fds)
{
    for (;;) {
        unsigned n = g_main_context_query(c, priority, timeout_ms, (GPollFD *)(void *)fds->data, fds->len);
        if (n <= fds->len)
            return n;
        g_array_set_size(fds, n);
    }
}

void process_loop(struct net_process *p)
{
    GMainContext *c = g_main_context_default();
    g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(GPollFD));
    struct spin spin = {0};
    g_main_context_acquire(c);
    while (!p->ended) {
        int priority, timeout_ms;
        g_main_context_prepare(c, &priority);
        unsigned n = query(c, priority, &timeout_ms, fds);
        wait_for((GPollFD *)(void *)fds->data, n, timeout_ms, &spin);
        if (g_main_context_check(c, priority, (GPollFD *)(void *)fds->data, n))
            g_main_context_dispatch(c);
    }
    g_main_context_release(c);
}
