// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_outer.h - the processes around a VM (core-vmm/outer) that its machine.ini asks for. */
#pragma once
#include <glib.h>
#include <stdbool.h>

struct machine_outer {
    int line;      /* for the VM process; -1: it needs none */
    char *names;   /* which processes, as terrarium-vm --outer has it */
    char *network; /* the socket that was made for it */
};
/* Makes them, before the VM process; from a process with one thread.  A machine.ini that is no good asks for none: the VM
 * process says what is wrong with it. */
bool machine_outer_start(const char *folder, struct machine_outer *o, GError **error);
/* Closes our copy of the line; failed: the VM process did not start, and what was made for it goes. */
void machine_outer_end(struct machine_outer *o, bool failed);
