// SPDX-License-Identifier: GPL-2.0-or-later
/* fresh.h - folders that are being made or taken away.
 *
 * Whoever works on one holds a lock on a file in it.  The kernel drops that when the process dies, so what a killed one left
 * behind, with all its disk images, is known by it: whoever comes next takes the lock, and removes the folder. */
#pragma once
#include <glib.h>
#include <stdbool.h>

#define FRESH_NEW  ".new-"  /* how names of folders begin that become machines */
#define FRESH_GONE ".gone-" /* that have been machines */

/* A new folder in parent, PREFIXxxxxxx; *lock is held until it is closed.  g_free; NULL: an error. */
char *fresh_folder(const char *parent, const char *prefix, int *lock, GError **error);
/* It is what it was to become: takes the lock's file out of it, wherever it is now, and closes the lock. */
void fresh_done(const char *folder, int lock);
/* Removes those that nobody works on.  Says nothing: there is always a next time. */
void fresh_clean(const char *parent, const char *prefix);
