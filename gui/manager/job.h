// SPDX-License-Identifier: GPL-2.0-or-later
/* job.h - a change to machines, done by vmctl in a process of its own.
 *
 * The library's calls that look into disk images fork, and start VM processes by forking; a program with a toolkit has threads, after
 * which a fork may meet a held lock.  vmctl has one thread.  So each such change is the command that a user could type (and is shown
 * it), goes on when the manager ends, and one that hangs hangs alone. */
#pragma once
#include <gio/gio.h>
#include <stdbool.h>

G_DECLARE_FINAL_TYPE(VmJob, vm_job, VM, JOB, GObject)

/* Properties: "fraction" (-1: not known), "done": its notification says that the job has ended.  words: after "vmctl", NULL-terminated.
 * It starts at once; whoever wants it keeps a reference, and it holds itself until it has ended. */
VmJob *vm_job_new(const char *title, const char *const *words);
/* The same, with lines for its standard input, the last one without its end: what others must not see in a list of processes. */
VmJob *vm_job_new_secret(const char *title, const char *const *words, const char *lines);
void vm_job_cancel(VmJob *j); /* as by Ctrl-C: what it does leaves all as it was */
bool vm_job_was_cancelled(VmJob *j);
const char *vm_job_title(VmJob *j);
double vm_job_fraction(VmJob *j);     /* 0 to 1; -1: not known */
const char *vm_job_problem(VmJob *j); /* a sentence; NULL: none */
const char *vm_job_output(VmJob *j);  /* what vmctl printed */
const char *vm_job_note(VmJob *j);    /* what it told beside that; NULL: nothing */
/* The sentence, with what to do where that is known and it does not say: of a full disk.  g_free. */
char *vm_problem_text(const char *problem);
/* The words as one would type them in a shell; g_free. */
char *vm_command_text(const char *const *words);
