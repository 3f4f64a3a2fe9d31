// SPDX-License-Identifier: GPL-2.0-or-later
/* display.h - what the rest of the VM process asks of a display besides watching it (api/display.h).  Loop thread. */
#pragma once
#include "core-vmm/api/display.h"

/* Draws what is on the screen now and tells the watchers.  The surface stays valid until the next refresh.  NULL: there is
 * no picture (no memory for one). */
const struct surface *display_refresh_now(struct display *p);
char *display_text(struct display *p); /* UTF-8 lines, or NULL in a graphics mode; g_free */

/* Asks the guest for a size of its picture; false: it cannot be asked, or not for that. */
bool display_ask_size(struct display *p, uint32_t width, uint32_t height);

bool display_is_on(const struct display *p);
/* Since it was last asked for a size, if ever, the guest has given it one, or switched it off. */
bool display_settled(const struct display *p);

/* A place of the picture, 0 to 65535 both ways, becomes the same of the guest's desktop. */
void display_to_desktop(const struct display *p, int64_t *x, int64_t *y);

/* machine.c: tells the machine of a display that is there now, or not any more.  The first is output 0. */
void machine_note_display(struct machine *m, struct display *p, bool there);
