// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_reset.c - vmctl reset. */
#include "core-vmm/vmctl/verbs.h"

static int run(const struct verb *v, int argc, char **argv)
{
    int code;
    if (!verb_options(v, NULL, &argc, &argv, 1, 1, &code))
        return code;
    return machine_command(argv[1], "reset", NULL);
}

const struct verb verb_reset = {"reset", "NAME", "press a machine's reset button", "  vmctl reset demo", run};
