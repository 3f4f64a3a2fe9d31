// SPDX-License-Identifier: GPL-2.0-or-later
/* job.h - what the window has vmctl do, in a process of its own: what takes long, forks, or changes machine.ini.  It goes on when the
 * window closes. */
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
bool job_finish(struct jobs *j, const SDL_Event *e); /* false: the event is not of a job */
