// SPDX-License-Identifier: GPL-2.0-or-later
/* display.h - what the rest of the VM process asks of a display besides watching it (api/display.h).  Loop thread. */
#pragma once
#include "core-vmm/api/display.h"

/* Draws what is on the screen now and tells the watchers.  The surface stays valid until the next refresh.  NULL: there is
 * no picture (no memory for one). */
const struct surface *display_refresh_now(struct display *p);
char *display_text(struct display *p); /* UTF-8 lines, or NULL in a graphics mode; g_free */

/* machine.c: tells the machine of its display, which lives as long as its devices. */
void machine_set_display(struct machine *m, struct display *p);
