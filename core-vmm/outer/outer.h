// SPDX-License-Identifier: GPL-2.0-or-later
/* outer.h - the processes around a VM.  What touches the world for it (network, sound, VNC, TPM, USB) is a process of its
 * own, an *end*, fenced for that one job and connected to the VM process by a socket pair.
 *
 *   vmctl --forks--> keeper --forks, executes--> end, which fences itself
 *      |                | line: "end 0 is up", with its socket     |
 *      +--> VM process <--+                                        |
 *               +<================ socket pair: frames ===========>+
 *
 * Whoever starts the VM process (here vmctl) makes the keeper first: terrarium-vm is fenced from its first instruction on,
 * and what it started would be, too.  Ends have no stdio; what they have to say they say on their socket.
 *
 * - The VM process starts nothing and names nothing: which ends there are is settled before its fence closes.
 * - The keeper never reads a byte from the VM process or from an end; it waits for processes to end, and for the line to
 *   hang up.  An end that dies is started again, after a second, then two, at most thirty.
 * - They die together: with the VM process the line hangs up, the keeper asks the ends to stop and then ends them; with
 *   the keeper the kernel ends the ends.
 * - The VM survives an end: it hears that its socket is of no use any more (cable out, no sound), and then of a new one. */
#pragma once
#include <glib.h>
#include <stdbool.h>

#define OUTER_ENDS_MAX 16
#define OUTER_FDS_MAX  32
#define OUTER_SOCKET   3 /* in an end: its half of the pair; what was opened for it follows, from 4 on */

struct outer_end {           /* what the keeper is to start; borrowed until outer_start() returns */
    const char *name;        /* "net": for the log */
    const char *const *argv; /* an absolute path, arguments, NULL */
    int type;                /* of the pair: SOCK_SEQPACKET for frames, SOCK_STREAM for bytes; 0: there is none */
    const int *fds;          /* opened for it by whoever calls outer_start(), who keeps them */
    unsigned fd_count;
    unsigned again_ms; /* when it is started again the first time; 0: never */
};
/* Makes the keeper; from a process with one thread, before its fence.  The VM process' end of the line, or -1. */
int outer_start(const struct outer_end *ends, unsigned count, GError **error);
/* A keeper of one end without a pair, for a VM that runs already: the end is one of its clients (VNC).  What was opened for it
 * begins at OUTER_SOCKET.  vm: a pidfd of the VM process, which stays the caller's; when that ends, so do they.  An end that
 * ends with exit code 0 was asked to, and the keeper goes too.  From a process with one thread. */
bool outer_start_beside(const struct outer_end *end, int vm, GError **error);

/* ---- in the VM process; loop thread ---- */
struct outer;
struct outer_events {
    void (*up)(void *ctx, int fd); /* takes its new socket, which does not block */
    void (*down)(void *ctx);       /* the last socket is of no use any more */
    void *ctx;
};
struct outer *outer_new(int line, unsigned ends);                                                 /* takes the line */
void outer_listen(struct outer *o, unsigned end, const char *name, const struct outer_events *e); /* once per end */
void outer_free(struct outer *o);                                                                 /* ends all */
