// SPDX-License-Identifier: GPL-2.0-or-later
/* disk_jobs.h - long work on disk images, which goes on when the window where it was begun is closed, and is found again by another. */
#pragma once
#include "gui/manager/window.h"

/* The work on that image; NULL: none.  Borrowed. */
VmJob *disk_jobs_find(VmLibrary *l, const char *path);
/* Begins it, if there is none.  words: of vmctl.  done: a sentence for when it has ended well.  teller: the row that says so too, and that
 * nobody else needs to as long as it can be seen. */
void disk_jobs_begin(VmWindow *w, const char *path, const char *title, const char *const *words, const char *done,
                     GtkWidget *teller);
