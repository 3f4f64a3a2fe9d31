// SPDX-License-Identifier: GPL-2.0-or-later
/* Asks the guest first, as one does; --force cuts the power. */
#include "core-vmm/host/snapshots.h"
#include "core-vmm/vmctl/verbs.h"

#define PATIENCE 60.0

static int force(const char *given)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *why = NULL, *name = NULL;
    int code;
    if (!client_power_cut(given, &why, &error))
        return fail_error(error);
    if (why && (name = machine_resolve(given, &code)))
        note("vmctl: %s was ended by a signal: %s", name, why);
    return EXIT_CODE_OK;
}

/* What goes wrong with it keeps no machine from being stopped. */
static void snapshot_before(const char *given)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *name = machines_find(given, NULL);
    struct snapshot_policy policy;
    struct snapshot_taken taken;
    if (name && snapshots_policy(name, &policy, NULL) && policy.before_stop && !machines_wait_gone(name, 0) &&
        !client_snapshot_automatic(name, &taken, &error))
        note("vmctl: no snapshot before it stops: %s", error->message);
}

static int stop(const struct verb *v, int argc, char **argv)
{
    gboolean cut = FALSE;
    double patience = PATIENCE;
    const GOptionEntry entries[] = {
        {"force", 'f', 0, G_OPTION_ARG_NONE, &cut, "Cut the power; unsaved data in the guest is lost", NULL},
        {"timeout", 't', 0, G_OPTION_ARG_DOUBLE, &patience, "How long the guest may take (60)", "SECONDS"},
        {NULL},
    };
    int code;
    if (!verb_options(v, entries, &argc, &argv, 1, 1, &code))
        return code;
    if (!(patience >= 0 && patience < 1e9))
        return fail(EXIT_CODE_USAGE, "--timeout: seconds from 0");
    if (cut)
        return force(argv[1]);
    g_autoptr(GError) error = NULL;
    snapshot_before(argv[1]);
    return client_power_off(argv[1], patience, &error) ? EXIT_CODE_OK : fail_error(error);
}

const struct verb verb_stop = {"stop", "NAME", "ask the guest to shut down, or cut the power",
                               "  vmctl stop demo\n  vmctl stop demo --force", stop};
