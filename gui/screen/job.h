// SPDX-License-Identifier: GPL-2.0-or-later
/* job.h - what takes long.  The window has vmctl do it, in a process of its own which goes on when the window closes: what forks, or changes
 * machine.ini.  Other calls that wait have a thread. */
#pragma once
#include <SDL.h>
#include <stdbool.h>

/* output: what vmctl printed; problem: why it failed, a sentence; NULL: it did not. */
typedef void (*job_done)(void *ctx, const char *output, const char *problem);
struct jobs {
    uint32_t event; /* the SDL event that says that one has ended; 0: there was none yet */
};
/* words: after "vmctl", NULL-terminated.  done comes from job_finish(). */
void job_start(struct jobs *j, const char *const *words, job_done done, void *ctx);
/* The same with a call, in a thread: what it gives is the output; both g_free. */
typedef char *(*job_call)(const char *arg, char **problem);
void job_start_call(struct jobs *j, job_call call, const char *arg, job_done done, void *ctx);
bool job_finish(struct jobs *j, const SDL_Event *e); /* false: the event is not of a job */
