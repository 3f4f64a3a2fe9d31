// SPDX-License-Identifier: GPL-2.0-or-later
/* spin.h - how long to look again and again for something before sleeping for it.
 *
 * To wake a thread that sleeps takes the host longer than many an answer takes to come: its CPU must be brought out of its own
 * sleep first.  So whoever expects an answer soon looks for it for a while, in the manner of KVM's halt_poll_ns: the while
 * grows when an answer came soon after sleep had begun, and is none after a wait that was long.  So who has nothing to do
 * does not spin: its waits are long.
 *
 * Between two looks the caller yields its CPU, so that whoever else has work there gets it.  If another thread keeps it for
 * long then, the host has no CPU to spare, and there is no spinning for a time. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct spin {             /* of one thread; all zeroes: new */
    uint64_t window;      /* ns to look before the next sleep */
    uint64_t begun, last; /* the wait that goes on, and its last look */
    uint64_t crowded_till, crowded_for;
};
uint64_t spin_now(void); /* CLOCK_MONOTONIC, ns: what the others are given */
void spin_begin(struct spin *s, uint64_t now);
bool spin_on(struct spin *s, uint64_t now);  /* true: yield, look, and ask again; false: it is time to sleep */
void spin_end(struct spin *s, uint64_t now); /* what was waited for has come, sleep or not */
