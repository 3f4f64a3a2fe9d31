// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_clone.c - vmctl clone. */
#include "core-vmm/vmctl/verbs.h"

static int clone_machine(const struct verb *v, int argc, char **argv)
{
    struct machine_clone how = {0};
    g_autofree char *snapshot = NULL, *name = NULL;
    gboolean linked = FALSE, keep_macs = FALSE, keep_uuid = FALSE, quiet = FALSE;
    int code;
    const GOptionEntry entries[] = {
        {"linked", 0, 0, G_OPTION_ARG_NONE, &linked, "Only what will differ; NAME's images stay below it", NULL},
        {"snapshot", 0, 0, G_OPTION_ARG_STRING, &snapshot, "Not the present but this snapshot", "SNAPSHOT"},
        {"keep-macs", 0, 0, G_OPTION_ARG_NONE, &keep_macs, "Its network cards have the same addresses", NULL},
        {"keep-uuid", 0, 0, G_OPTION_ARG_NONE, &keep_uuid, "SMBIOS calls it by the same UUID", NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "No progress bar", NULL},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 2, 2, &code) || !(name = machine_resolve(argv[1], &code)))
        return code;
    how = (struct machine_clone){linked, snapshot, keep_macs, keep_uuid};
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) remarks = g_ptr_array_new_with_free_func(g_free);
    struct progress bar;
    struct machine_job job = {progress_show, &bar};
    progress_start(&bar, "Copying", quiet, &job.cancel);
    bool good = machines_clone(name, argv[2], &how, &job, remarks, &error);
    progress_end(&bar);
    for (guint i = 0; i < remarks->len; i++)
        note("%s", (char *)remarks->pdata[i]);
    return good ? EXIT_CODE_OK : fail_error(error);
}

const struct verb verb_clone = {"clone", "NAME NEW", "make a machine with what another one has on its disks",
                                "  vmctl clone demo copy\n"
                                "  vmctl clone demo try --linked                 takes no room until it is written to\n"
                                "  vmctl clone demo old --snapshot before-update",
                                clone_machine};
