// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_discard_state.c - vmctl discard-state. */
#include "core-vmm/vmctl/verbs.h"
#include <string.h>

static int discard(const struct verb *v, int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    int code;
    if (!verb_options(v, NULL, &argc, &argv, 1, 1, &code))
        return code;
    if (machines_discard_saved(argv[1], &error))
        return EXIT_CODE_OK;
    g_autofree char *exact = machines_find(argv[1], NULL);
    if (exact && strcmp(exact, argv[1])) /* no prefixes here: what is gone is gone */
        return fail(EXIT_CODE_NOT_FOUND, "%s (discard-state wants the whole name)", error->message);
    return fail_error(error);
}

const struct verb verb_discard_state = {"discard-state", "NAME",
                                        "give up what a machine saved: it starts from the beginning",
                                        "  vmctl discard-state demo", discard};
