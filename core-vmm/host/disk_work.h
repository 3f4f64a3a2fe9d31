// SPDX-License-Identifier: GPL-2.0-or-later
/* disk_work.h - long work on files that may come from anybody, in a fenced child that may be ended in the middle.  What the child
 * says: lines "DONE TOTAL" as it goes on; then its answer, a line of text, or "!", an enum disk_error in two digits and a
 * sentence. */
#pragma once
#include "core-vmm/fence/fence.h"
#include "core-vmm/host/machines.h"

/* Takes files.  said: what it answered, without control characters, g_free; may be NULL.  When job->cancel is set, the child is
 * killed: what it makes must count for nothing before this returns true.  Forks. */
bool disk_work(int (*fn)(void *ctx, int answer), void *ctx, struct fence_files *files, struct machine_job *job,
               char **said, GError **error);
/* In the child: */
int disk_refuse(int to, const GError *error); /* returns 0, to end with */
void disk_tell_progress(int to, uint64_t done, uint64_t total);
struct disk_steps {       /* several disks, one after the other */
    int answer;           /* where to tell it */
    uint64_t done, total; /* bytes; done: of those that are through */
};
void disk_tell_step(void *steps, uint64_t done, uint64_t total); /* progress of a disk_job for each */
