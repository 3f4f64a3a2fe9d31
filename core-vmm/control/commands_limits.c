// SPDX-License-Identifier: GPL-2.0-or-later
/* commands_limits.c - limits.*: the machine's share of its host, while it runs. */
#include "core-vmm/control/commands.h"
#include "core-vmm/machine/drive_media.h"
#include "core-vmm/machine/limits.h"

enum { CPU_PERCENT_MOST = 6400 };

static void limits_cpu(struct call *c)
{
    cpu_limit_set(call_machine(c), call_number(c, "percent", 0));
    call_reply(c, NULL);
}

static void limits_drive(struct call *c)
{
    struct drive *v = machine_drive(call_machine(c), call_text(c, "drive", ""));
    if (!v) {
        call_fail(c, CONTROL_NOT_FOUND, "the machine has no drive %.32s", call_text(c, "drive", ""));
        return;
    }
    drive_limit_set(v, call_number(c, "bytes", 0), call_number(c, "operations", 0));
    call_reply(c, NULL);
}

const struct command limits_commands[] = {
    {"limits.cpu",
     {{"percent", PARAM_NUMBER, true, 0, CPU_PERCENT_MOST}},
     .summary = "how much CPU the VM process may use, in percent of one; 0: all there is",
     .handler = limits_cpu},
    {"limits.drive",
     {{"drive", PARAM_TEXT, true},
      {"bytes", PARAM_NUMBER, false, 0, G_MAXINT64},
      {"operations", PARAM_NUMBER, false, 0, G_MAXINT64}},
     .summary = "how much a drive may do in a second; 0, or nothing said: no limit",
     .handler = limits_drive},
    {NULL},
};
