// SPDX-License-Identifier: GPL-2.0-or-later
/* client_snapshot.c - a snapshot of a machine, also while it runs: then it is saved to the disk, the snapshot is taken, and it goes on
 * from there in a new VM process.  Whoever is killed in between leaves a machine that runs, or is saved. */
#include "core-vmm/control/client_machine.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/host/snapshots.h"

static bool go_on(const char *name, GError **error)
{
    struct machine_start how = {.seconds = MACHINE_START_SECONDS};
    struct machine_run r;
    bool good = machines_start(name, &how, &r, error);
    if (!good)
        g_prefix_error(error, "%s was saved for the snapshot, and does not go on: ", name);
    return good;
}

bool client_snapshot(const char *given, const char *name, const char *description, struct machine_job *job,
                     struct snapshot_taken *out, GError **error)
{
    g_autofree char *exact = machines_find(given, error), *folder = exact ? machines_folder(exact) : NULL;
    *out = (struct snapshot_taken){0};
    if (!exact)
        return false;
    if (!machine_lock_holder(folder))
        return snapshots_take(exact, name, description, &out->id, error);
    if (!client_suspend(exact, job, NULL, error))
        return false;
    bool taken = snapshots_take(exact, name, description, &out->id, error);
    out->went_on = go_on(exact, taken ? error : NULL);
    return taken && out->went_on;
}
