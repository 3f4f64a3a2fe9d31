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
    return machines_start(name, &how, &r, error);
}

/* It is saved, and goes on whatever becomes of the snapshot; of two errors none is kept back. */
static bool take_and_go_on(const char *machine, const char *name, const char *description, struct snapshot_taken *out,
                           GError **error)
{
    GError *taking = NULL, *starting = NULL;
    bool taken = snapshots_take(machine, name, description, &out->id, &taking);
    out->went_on = go_on(machine, &starting);
    if (starting && taking)
        g_prefix_error(&starting, "%s; and %s is saved and does not run: ", taking->message, machine);
    else if (starting)
        g_prefix_error(&starting, "snapshot %u was taken, and %s is saved and does not run: ", out->id, machine);
    if (starting)
        g_clear_error(&taking);
    if (starting || taking)
        g_propagate_error(error, starting ? starting : taking);
    return taken && out->went_on;
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
    return snapshots_may_take(exact, name, description, error) && client_suspend(exact, job, NULL, error) &&
           take_and_go_on(exact, name, description, out, error);
}
