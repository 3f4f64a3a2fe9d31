// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_reset.c - vmctl reset. */
#include "core-vmm/vmctl/verbs.h"

static int run(const struct verb *v, int argc, char **argv)
{
    gboolean ask = FALSE;
    const GOptionEntry entries[] = {
        {"ask", 'a', 0, G_OPTION_ARG_NONE, &ask, "Ask the guest's tools to restart it (open-vm-tools)", NULL},
        {NULL},
    };
    int code;
    if (!verb_options(v, entries, &argc, &argv, 1, 1, &code))
        return code;
    return machine_command(argv[1], ask ? "reboot" : "reset", NULL);
}

const struct verb verb_reset = {"reset", "NAME", "press a machine's reset button",
                                "  vmctl reset demo\n  vmctl reset demo --ask", run};
