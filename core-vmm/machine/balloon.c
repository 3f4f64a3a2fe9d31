// SPDX-License-Identifier: GPL-2.0-or-later
/* balloon.c - the machine's balloon, if it has one now: it may come and go.  Loop thread. */
#include "core-vmm/api/balloon.h"
#include "core-vmm/machine/core.h"

const char *balloon_stat_name(unsigned n)
{
    static const char *const names[BALLOON_STATS] = {"swapped-in",     "swapped-out",    "major-faults", "minor-faults",
                                                     "free",           "total",          "available",    "disk-caches",
                                                     "huge-page-uses", "huge-page-fails"};
    return n < BALLOON_STATS ? names[n] : NULL;
}

static struct device *find(struct machine *m)
{
    for (unsigned i = 0; i < m->devices; i++)
        if (m->device[i]->ops->balloon)
            return m->device[i];
    return NULL;
}

bool machine_balloon_look(struct machine *m, bool refresh, struct balloon_state *out)
{
    struct device *d = find(m);
    if (!d)
        return false;
    dev_lock(d);
    if (refresh)
        d->ops->balloon->refresh(d);
    d->ops->balloon->look(d, out);
    dev_unlock(d);
    return true;
}

bool machine_balloon_ask(struct machine *m, uint64_t bytes)
{
    struct device *d = find(m);
    if (!d)
        return false;
    dev_lock(d);
    d->ops->balloon->ask(d, bytes);
    dev_unlock(d);
    return true;
}
