// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_delete.c - vmctl delete. */
#include "core-vmm/vmctl/verbs.h"

static int delete (const struct verb *v, int argc, char **argv)
{
    gboolean keep = FALSE;
    const GOptionEntry entries[] = {
        {"keep-disks", 0, 0, G_OPTION_ARG_NONE, &keep, "Leave the disk images in the machine's folder", NULL},
        {NULL},
    };
    g_autoptr(GError) error = NULL;
    bool left;
    int code;
    if (!verb_options(v, entries, &argc, &argv, 1, 1, &code))
        return code;
    bool good = machines_delete(argv[1], keep, &left, &error);
    g_autofree char *folder = machines_folder(argv[1]);
    if (good && left)
        note("the disk images stay in %s; until they are gone (vmctl delete %s) the name is taken", folder, argv[1]);
    if (g_error_matches(error, MACHINE_ERROR, MACHINE_ERROR_NOT_FOUND)) /* no prefixes here: what is gone is gone */
        return fail(EXIT_CODE_NOT_FOUND, "%s (delete wants the whole name)", error->message);
    return good ? EXIT_CODE_OK : fail_error(error);
}

const struct verb verb_delete = {"delete", "NAME", "remove a machine with all its files",
                                 "  vmctl delete demo\n  vmctl delete demo --keep-disks", delete};
