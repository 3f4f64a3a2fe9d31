// SPDX-License-Identifier: GPL-2.0-or-later
/* jail.h - what one machine's process keeps: a guest that breaks out of its devices finds a process that can start
 * nothing, reach no network and no other process, write nowhere but to its own images and logs, and read little else.
 * What it takes from the host (sockets, ptys, serial files, a terminal) was opened before. */
#pragma once
#include "core-vmm/fence/fence.h"
#include <sys/stat.h>

struct jail {
    const char *folder; /* the machine's: disks, logs */
    GKeyFile *file;     /* machine.ini: images elsewhere */
    const char *path;
    bool variables; /* UEFI's: their file is written */
};
/* Closes both fences (jail_files.c).  While there is one thread, and before anything that others made is looked at. */
bool jail_close(const struct jail *j, GError **error);
/* What the machine's images consist of, for jail_close(): lines that begin with one of these (jail_images.c). */
enum jail_line {
    JAIL_WRITE = 'w',   /* a file of an image itself: the image, an extent */
    JAIL_READ = 'r',    /* a file that they build upon (or one of those above) */
    JAIL_REFUSED = 'x', /* why the machine may not have an image */
    JAIL_DAMAGED = 'd', /* why it cannot be used */
};
GStrv jail_images(const struct jail *j, GError **error); /* NULL: they could not be looked at */

/* ---- sweeper.c: what only somebody outside of the fence can do ---- */
/* A process that waits for the end of this one, however that comes, and then removes its sockets and links and the
 * (empty) runtime folder.  Until then it keeps the machine's lock too, so that nobody starts the machine in between. */
struct sweeping {
    int lock;
    char **names;
    const char *runtime;
    const char *state; /* the machine's saved state that it goes on from, or NULL */
    struct stat file;  /* which file that is */
    int line;          /* to it; 0: there is no such process */
};
bool sweeper_start(struct sweeping *s, GError **error);
/* The guest is about to run, and its disks to change: the state that it goes on from has no name any more when this returns, nor
 * after a power cut.  False: it still has, and one sentence says why. */
bool sweeper_remove_state(const struct sweeping *s, GError **error);
