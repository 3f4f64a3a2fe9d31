// SPDX-License-Identifier: GPL-2.0-or-later
/* client_try.c - trying something that may go wrong: a snapshot, the machine runs, and later what it did is kept or undone.  The
 * snapshot's name is all that is known of it, so it lasts as long as that, whatever runs or ends meanwhile. */
#include "core-vmm/control/client_machine.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/host/snapshots.h"

static bool runs(const char *name)
{
    g_autofree char *folder = machines_folder(name);
    return machine_lock_holder(folder);
}

/* 0: none; error is set if that cannot be known. */
static unsigned under_way(const char *name, bool *state, GError **error)
{
    struct snapshot_record *r = snapshots_list(name, error);
    struct snapshot *s = r ? snapshots_find(r, name, SNAPSHOT_TRY, NULL) : NULL;
    unsigned id = s ? s->id : 0;
    *state = s && s->state_bytes;
    record_free(r);
    return id;
}

bool client_try_begin(const char *name, struct machine_job *job, struct snapshot_taken *out, GError **error)
{
    struct machine_start how = {.seconds = MACHINE_START_SECONDS};
    struct machine_run r;
    GError *why = NULL;
    bool state;
    *out = (struct snapshot_taken){0};
    if (under_way(name, &state, &why)) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_EXISTS,
                    "%s is being tried already: vmctl try %s --keep keeps what came of it, --undo goes back", name,
                    name);
        return false;
    }
    if (why) {
        g_propagate_error(error, why);
        return false;
    }
    return client_snapshot(name, SNAPSHOT_TRY, "the moment before vmctl try", false, job, out, error) &&
           (out->ran || machines_start(name, &how, &r, error));
}

static bool is_under_way(const char *name, bool *state, GError **error)
{
    GError *why = NULL;
    if (under_way(name, state, &why))
        return true;
    if (why)
        g_propagate_error(error, why);
    else
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_NOT_FOUND, "%s is not being tried; vmctl try %s begins", name,
                    name);
    return false;
}

bool client_try_keep(const char *name, struct machine_job *job, char **kept, GError **error)
{
    bool state;
    *kept = NULL;
    return is_under_way(name, &state, error) && client_snapshot_delete(name, SNAPSHOT_TRY, job, kept, error);
}

bool client_try_undo(const char *name, struct machine_job *job, bool *goes_on, GError **error)
{
    struct machine_start how = {.seconds = MACHINE_START_SECONDS};
    struct machine_run r;
    g_autofree char *why = NULL, *kept = NULL;
    bool state, ran = runs(name);
    if (!is_under_way(name, &state, error) || (ran && !client_power_cut(name, &why, error)))
        return false;
    *goes_on = ran && state;
    return snapshots_restore(name, SNAPSHOT_TRY, NULL, error) &&
           snapshots_delete(name, SNAPSHOT_TRY, job, NULL, &kept, error) &&
           (!*goes_on || machines_start(name, &how, &r, error));
}
