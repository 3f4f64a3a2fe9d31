// SPDX-License-Identifier: GPL-2.0-or-later
/* tlb_remote.c - one vCPU has others' TLBs emptied, for a hypercall that must not return before none of them uses an old entry.
 *
 * It counts up flush_asked, requests REQ_FLUSH, and waits until flush_done has come that far, or that vCPU is not in run(): then it
 * looks at its requests before it executes anything.  Meanwhile it does what others ask of it, or two of them would wait for each
 * other. */
#include "patcher/vm.h"
#include <sched.h>

void tlb_flush_asked(struct vcpu *c)
{
    unsigned asked = atomic_load(&c->flush_asked);
    tlb_flush(c);
    atomic_store(&c->flush_done, asked);
}

static bool done(struct vcpu *v, unsigned ticket)
{
    return (int)(atomic_load(&v->flush_done) - ticket) >= 0 || !atomic_load(&v->running);
}

static void wait_for(struct vcpu *c, struct vcpu *v, unsigned ticket)
{
    enum { SPINS = 200 };
    for (unsigned i = 0; !done(v, ticket); i++) {
        if (atomic_load(&c->flush_asked) != atomic_load(&c->flush_done))
            tlb_flush_asked(c);
        if (i < SPINS)
            __builtin_ia32_pause();
        else
            sched_yield();
    }
}

void tlb_flush_many(struct vcpu *c, uint64_t cpus)
{
    unsigned ticket[64];
    unsigned n = MIN(c->vm->cfg->cpus, G_N_ELEMENTS(ticket));
    for (unsigned i = 0; i < n; i++) {
        struct vcpu *v = c->vm->vcpu[i];
        if (!(cpus >> i & 1) || v == c)
            continue;
        ticket[i] = atomic_fetch_add(&v->flush_asked, 1) + 1;
        request(v, REQ_FLUSH);
    }
    if (cpus >> c->index & 1)
        tlb_flush(c);
    for (unsigned i = 0; i < n; i++)
        if (cpus >> i & 1 && c->vm->vcpu[i] != c)
            wait_for(c, c->vm->vcpu[i], ticket[i]);
}
