// SPDX-License-Identifier: GPL-2.0-or-later
/* limits.h - the machine's share of its host.  Loop thread only. */
#pragma once
#include "core-vmm/machine/machine.h"

/* So many percent of one CPU, for the VM process with all that it does; 0: no limit.  What is over it, vCPUs stand for. */
void cpu_limit_set(struct machine *m, unsigned percent);
struct cpu_limit_state {
    unsigned percent;
    uint64_t held_ns; /* how long they stood, in all */
};
struct cpu_limit_state cpu_limit_look(struct machine *m);

/* Bytes and requests a second of one drive; 0: no limit. */
struct drive;
void drive_limit_set(struct drive *v, uint64_t bytes, uint64_t operations);
