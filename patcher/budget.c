// SPDX-License-Identifier: GPL-2.0-or-later
/* budget.c - how much of the host's memory the engine takes for itself: at most 96 MiB for one vCPU and 1 GiB of guest
 * memory.  About 30 of them are tables whose size the guest's memory and the TLB's size give; the rest is for the caches
 * of code.  With more vCPUs each gets less, but all together more: two have 4/3 of what one has. */
#include "patcher/budget.h"
#include "patcher/check/lockstep.h"
#include "patcher/stats.h"
#include <errno.h>

enum {
    DECODED = 8 << 20,
    DECODED_LEAST = 4 << 20,
    KEPT = 13 << 20,
    KEPT_LEAST = 3 << 20,
    CODE = 27 << 20,
    CODE_LEAST = 9 << 20,
    NOTES = 17 << 20,
    NOTES_LEAST = 4 << 20,
    WATCHED_PAGES = 16384,
};

static size_t share(size_t all, size_t least, unsigned cpus)
{
    return MAX(2 * all / (cpus + 1), least) & PAGE_MASK;
}

struct budget budget_for(unsigned cpus)
{
    return (struct budget){.decoded = share(DECODED, DECODED_LEAST, cpus),
                           .kept = share(KEPT, KEPT_LEAST, cpus),
                           .code = share(CODE, CODE_LEAST, cpus),
                           .notes = share(NOTES, NOTES_LEAST, cpus),
                           .watched_pages = WATCHED_PAGES};
}

void budget_add(struct cpu_memory *m, uint64_t used, uint64_t limit)
{
    m->used += used;
    m->limit += limit;
}

static void add_tables(struct soft_vm *vm, struct cpu_memory *m)
{
    uint64_t tables = 0, by_page = vm->pages * sizeof *vm->code_bits + vm->pages / 8;
    for (unsigned i = 0; i < GPA_L1_SIZE; i++)
        tables += vm->gpa[i] ? sizeof(uint64_t) << GPA_L2_BITS : 0;
    budget_add(m, tables + by_page, tables + by_page);
    budget_add(m, atomic_load(&vm->watched_pages) * sizeof(struct code_bits),
               vm->budget.watched_pages * sizeof(struct code_bits));
}

void budget_report(struct soft_vm *vm, struct cpu_memory *out)
{
    *out = (struct cpu_memory){0};
    add_tables(vm, out);
    for (unsigned i = 0; i < vm->cfg->cpus; i++) {
        const struct vcpu *c = vm->vcpu[i];
        uint64_t own =
            sizeof *c + sizeof *c->stats + vm->pages * sizeof *c->granted + (vm->lockstep ? lockstep_memory() : 0);
        if (!c)
            continue;
        budget_add(out, own, own);
        code_memory(c, out);
        replay_memory(c, out);
        if (c->translator)
            trans_memory(c, out);
    }
}

bool budget_no_memory(const char *what, uint64_t bytes, GError **error)
{
    int reason = errno;
    g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(reason),
                "The software engine gets no memory for %s (%" G_GUINT64_FORMAT
                " KiB): %s; a machine with less memory or "
                "fewer CPUs needs less",
                what, bytes >> 10, g_strerror(reason));
    return false;
}
