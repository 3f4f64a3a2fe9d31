// SPDX-License-Identifier: GPL-2.0-or-later
/* client_usage.h - what a running machine uses of its host. */
#pragma once
#include "core-vmm/control/client.h"
#include <stdint.h>

/* Counted since the start. */
struct usage {
    double seconds;                /* when, monotonic */
    double cpu;                    /* seconds, of the VM process with all its threads */
    double held;                   /* seconds that its vCPUs stood because of machine.cpu-limit */
    int64_t cpu_limit;             /* percent of one CPU; 0: none */
    uint64_t memory, memory_limit; /* bytes of the guest's that the host has given, and that there are */
    uint64_t read, written, reads, writes,
        disk_held;           /* bytes, requests, requests that waited because of a limit; all drives */
    uint64_t received, sent; /* bytes, by the guest; all cards */
};
/* By the whole name, from a process with one thread for each.  False: it does not run, or does not answer. */
bool usage_look(const char *name, struct usage *out, GError **error);
