// SPDX-License-Identifier: GPL-2.0-or-later
/* unknown_msr.c - MSRs that the guest asked for and the machine has not: a line in the log for each, once. */
#include "core-vmm/machine/core.h"

void machine_msr_unknown(struct machine *m, uint32_t msr, bool write)
{
    struct unknown_msrs *u = &m->unknown_msrs;
    bool fresh = true;
    pthread_mutex_lock(&m->pending_lock);
    for (unsigned i = 0; i < u->count && fresh; i++)
        fresh = u->seen[i] != msr;
    fresh = fresh && u->count < G_N_ELEMENTS(u->seen);
    if (fresh)
        u->seen[u->count++] = msr;
    pthread_mutex_unlock(&m->pending_lock);
    if (fresh)
        g_message("the guest %s MSR 0x%x, which there is not: it gets #GP", write ? "writes" : "reads", msr);
}
