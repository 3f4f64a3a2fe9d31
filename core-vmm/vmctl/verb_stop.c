// SPDX-License-Identifier: GPL-2.0-or-later
/* Asks the guest first, as one does; --force cuts the power. */
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
    return client_power_off(argv[1], patience, &error) ? EXIT_CODE_OK : fail_error(error);
}

const struct verb verb_stop = {"stop", "NAME", "ask the guest to shut down, or cut the power",
                               "  vmctl stop demo\n  vmctl stop demo --force", stop};
