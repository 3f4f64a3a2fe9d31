// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_move.c - vmctl move. */
#include "core-vmm/vmctl/verbs.h"

static int move(const struct verb *v, int argc, char **argv)
{
    g_autofree char *name = NULL;
    gboolean quiet = FALSE;
    int code;
    const GOptionEntry entries[] = {
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "No progress bar", NULL},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 2, 2, &code) || !(name = machine_resolve(argv[1], &code)))
        return code;
    g_autoptr(GError) error = NULL;
    struct progress bar;
    struct machine_job job = {progress_show, &bar};
    progress_start(&bar, "Moving", quiet, &job.cancel);
    bool good = machines_move(name, argv[2], &job, &error);
    progress_end(&bar);
    return good ? EXIT_CODE_OK : fail_error(error);
}

const struct verb verb_move = {"move", "NAME FOLDER", "move a machine's disks to another folder",
                               "  vmctl move demo /media/large", move};
