// SPDX-License-Identifier: GPL-2.0-or-later
/* work.h - long work: whoever began it hears of its end, in the window if he looks at it, else from the desktop. */
#pragma once
#include "gui/manager/window.h"

/* done: a sentence for when it has ended well.  machine: whose page the notification leads to; NULL: none.  A failure is told by the
 * desktop only: in the window it stands where the work was begun.  One that the user cancelled is told by nobody. */
void work_follow(VmWindow *w, VmJob *job, const char *done, const char *machine);
/* The same, with a button beside the sentence in the window: an action of the window, and its parameter. */
void work_follow_action(VmWindow *w, VmJob *job, const char *done, const char *machine, const char *button,
                        const char *action, const char *target);
