// SPDX-License-Identifier: GPL-2.0-or-later
/* work.h - long work: whoever began it hears of its end, in the window if he looks at it, else from the desktop. */
#pragma once
#include "gui/manager/window.h"

struct work_end {
    const char *done;     /* a sentence for when it has ended well */
    const char *machine;  /* whose page the notification leads to then; NULL: none */
    gpointer teller;      /* in which a failure stands as long as it is there: the machine's VmItem, or a dialog */
    bool teller_says_all; /* also that it ended well: then the window does not, as long as the teller can be seen */
    const char *button, *action, *target; /* beside the sentence: an action of the window, and its parameter; or NULL */
};
/* A failure stands where the work was begun; if that cannot be seen, the window tells it.  The desktop tells each end while another window is
 * in front, or none is left: the application ends no sooner.  One that the user cancelled is told by nobody. */
void work_follow(VmWindow *w, VmJob *job, const struct work_end *end);
