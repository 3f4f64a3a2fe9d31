// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_try.c - vmctl try. */
#include "core-vmm/vmctl/verbs.h"

static int begin(const char *name, bool headless)
{
    g_autoptr(GError) error = NULL;
    struct snapshot_taken taken;
    if (!client_try_begin(name, NULL, &taken, &error))
        return fail_error(error);
    note("%s runs; vmctl try %s --keep keeps what comes of it, vmctl try %s --undo goes back to now", name, name, name);
    if (!headless && !taken.ran)
        window_open(name, true);
    return EXIT_CODE_OK;
}

static int keep(const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *kept = NULL;
    if (!client_try_keep(name, NULL, &kept, &error))
        return fail_error(error);
    note("kept%s%s", kept ? "; " : "", kept ? kept : "");
    return EXIT_CODE_OK;
}

static int undo(const char *name)
{
    g_autoptr(GError) error = NULL;
    struct machine_saved saved;
    bool goes_on;
    if (!client_try_undo(name, NULL, &goes_on, &error))
        return fail_error(error);
    note("%s is as it was before%s", name,
         goes_on                    ? ", and runs on from there"
         : saved_look(name, &saved) ? "; vmctl start goes on from there"
                                    : "");
    return EXIT_CODE_OK;
}

static int try(const struct verb *v, int argc, char **argv)
{
    gboolean headless = FALSE, keeps = FALSE, undoes = FALSE;
    const GOptionEntry entries[] = {
        {"headless", 0, 0, G_OPTION_ARG_NONE, &headless, "Open no window", NULL},
        {"keep", 0, 0, G_OPTION_ARG_NONE, &keeps, "What came of it stays", NULL},
        {"undo", 0, 0, G_OPTION_ARG_NONE, &undoes, "As it was before: a running machine's power is cut", NULL},
        {NULL},
    };
    int code;
    if (!verb_options(v, entries, &argc, &argv, 1, 1, &code))
        return code;
    if (headless + keeps + undoes > 1)
        return fail(EXIT_CODE_USAGE, "one of --headless, --keep and --undo");
    g_autofree char *name = machine_resolve(argv[1], &code);
    if (!name)
        return code;
    return keeps ? keep(name) : undoes ? undo(name) : begin(name, headless);
}

const struct verb verb_try = {"try", "NAME", "try something with a machine, and keep what came of it or undo it",
                              "  vmctl try demo            takes a snapshot, and starts it if it does not run\n"
                              "  vmctl try demo --undo     as if nothing had been\n"
                              "  vmctl try demo --keep",
                              try};
