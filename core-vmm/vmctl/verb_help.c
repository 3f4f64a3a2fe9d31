// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_help.c - vmctl help. */
#include "core-vmm/vmctl/verbs.h"
#include <stdio.h>

static int overview(void)
{
    printf("vmctl VERB ... - virtual machines from the command line\n\n");
    for (const struct verb *const *v = verbs_all(); *v; v++)
        printf("  %-13s %s\n", (*v)->name, (*v)->summary);
    printf("\nA machine's NAME may be shortened as long as it is clear which one is meant.\n"
           "vmctl VERB --help explains a verb, with examples.  Data goes to stdout, all else to stderr.\n"
           "\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 no such machine, 4 wrong state, 5 timeout,\n"
           "6 no permission or the host lacks something, 7 name taken, 8 no space, 9 in use.\n"
           "vmctl run: 0 guest switched off, 20 stopped, 21 reset, 22 engine failed, 64+N debug exit N.\n");
    return EXIT_CODE_OK;
}

static int help(const struct verb *v, int argc, char **argv)
{
    int code;
    if (!verb_options(v, NULL, &argc, &argv, 0, 1, &code))
        return code;
    if (argc < 2)
        return overview();
    const struct verb *about = verb_find(argv[1]);
    if (!about)
        return fail(EXIT_CODE_USAGE, "there is no verb %s", argv[1]);
    char *asked[] = {argv[1], "--help", NULL};
    return about->run(about, 2, asked);
}

const struct verb verb_help = {"help", "[VERB]", "what the verbs do", "  vmctl help run", help};
