// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_resume.c - vmctl resume. */
#include "core-vmm/vmctl/verbs.h"

static int run(const struct verb *v, int argc, char **argv)
{
    int code;
    if (!verb_options(v, NULL, &argc, &argv, 1, 1, &code))
        return code;
    return machine_command(argv[1], "resume", NULL);
}

const struct verb verb_resume = {"resume", "NAME", "let a paused machine run on", "  vmctl resume demo", run};
