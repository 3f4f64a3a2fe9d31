// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_pause.c - vmctl pause. */
#include "core-vmm/vmctl/verbs.h"

static int run(const struct verb *v, int argc, char **argv)
{
    int code;
    if (!verb_options(v, NULL, &argc, &argv, 1, 1, &code))
        return code;
    return machine_command(argv[1], "pause", NULL);
}

const struct verb verb_pause = {"pause", "NAME", "stop a machine's time", "  vmctl pause demo", run};
