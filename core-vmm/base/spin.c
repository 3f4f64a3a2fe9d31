// SPDX-License-Identifier: GPL-2.0-or-later
/* spin.c - see spin.h. */
#include "core-vmm/base/spin.h"
#include <time.h>

enum { /* ns */
       FIRST = 10000,
       MOST = 200000,          /* a window grows to: KVM's default */
       CROWDED = 400000,       /* so long between two looks: another thread had the CPU */
       CROWDED_FOR = 10000000, /* then no spinning for so long, and twice that if it soon happens again */
       CROWDED_MOST = 1000000000,
};

uint64_t spin_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}

void spin_begin(struct spin *s, uint64_t now)
{
    s->begun = s->last = now;
}

static void crowded(struct spin *s, uint64_t now)
{
    bool again = s->crowded_till && now - s->crowded_till < CROWDED_MOST;
    uint64_t twice = s->crowded_for * 2;
    s->crowded_for = !again ? CROWDED_FOR : twice < CROWDED_MOST ? twice : CROWDED_MOST;
    s->crowded_till = now + s->crowded_for;
}

bool spin_on(struct spin *s, uint64_t now)
{
    if (now - s->last > CROWDED)
        crowded(s, now);
    s->last = now;
    return now - s->begun < s->window && now >= s->crowded_till;
}

void spin_end(struct spin *s, uint64_t now)
{
    uint64_t waited = now - s->begun, twice = s->window * 2;
    if (waited > MOST)
        s->window = 0;
    else if (waited > s->window)
        s->window = !s->window ? FIRST : twice < MOST ? twice : MOST;
}
