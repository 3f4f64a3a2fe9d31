// SPDX-License-Identifier: GPL-2.0-or-later
/* plug.h - cards that come and go while a machine runs. */
#pragma once
#include "gui/manager/window.h"

/* What stands beside the title of such a section, while the machine runs; NULL: it is none.  Its actions are settings.plug, settings.unplug
 * and settings.pull-out, of the section. */
GtkWidget *plug_button(const char *section);
void plug_in(VmWindow *w, VmItem *m, const char *section);              /* as machine.ini describes it */
void plug_out(VmWindow *w, VmItem *m, const char *section, bool force); /* force: whatever the guest does with it */
