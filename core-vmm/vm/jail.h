// SPDX-License-Identifier: GPL-2.0-or-later
/* jail.h - gives up what a running VM does not need, for good: a guest that breaks out of its devices finds a process
 * that can start nothing, reach no network, write nowhere but to its own machine and read little else.
 * A kernel without Landlock or seccomp gets a line in the log, not an error. */
#pragma once
#include <glib.h>
#include <stdbool.h>

struct jail {
    const char *folder;  /* the machine's: disks, logs, saved states */
    const char *runtime; /* its sockets */
    GKeyFile *file;      /* machine.ini: images and serial targets elsewhere */
    const char *path;
};
/* Which files may still be opened (jail_files.c).  While there is one thread; later ones inherit it. */
bool jail_files(const struct jail *j, GError **error);
/* What the machine's images consist of, for jail_files(): lines that begin with one of these. */
enum jail_line {
    JAIL_WRITE = 'w',   /* a file of an image itself: the image, an extent */
    JAIL_READ = 'r',    /* a file that they build upon (or one of those above) */
    JAIL_REFUSED = 'x', /* why the machine may not have an image */
    JAIL_DAMAGED = 'd', /* why it cannot be used */
};
GStrv jail_images(const struct jail *j);
/* For the child that finds them: files may be read, no more.  Nothing at all without Landlock.  False: it failed. */
bool jail_reading_only(void);
/* Which system calls may still be made, by all threads (jail_calls.c). */
bool jail_calls(GError **error);
