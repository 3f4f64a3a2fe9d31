// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_rename.c - vmctl rename. */
#include "core-vmm/vmctl/verbs.h"

static int rename_machine(const struct verb *v, int argc, char **argv)
{
    g_autofree char *name = NULL;
    g_autoptr(GError) error = NULL;
    int code;
    if (!verb_options(v, NULL, &argc, &argv, 2, 2, &code) || !(name = machine_resolve(argv[1], &code)))
        return code;
    return machines_rename(name, argv[2], &error) ? EXIT_CODE_OK : fail_error(error);
}

const struct verb verb_rename = {"rename", "NAME NEW", "give a machine that stands still another name",
                                 "  vmctl rename demo production", rename_machine};
