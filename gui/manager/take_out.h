// SPDX-License-Identifier: GPL-2.0-or-later
/* take_out.h - a file of a snapshot's disk, out to this computer. */
#pragma once
#include "gui/manager/window.h"

/* over: the window that asks, w itself or one above it.  drive ("sata0", or "sata0:2" for a partition) and path are what the dialog begins
 * with; NULL: its first disk, and nothing. */
void take_out_ask(GtkWindow *over, VmWindow *w, VmItem *m, const char *snapshot, const char *drive, const char *path);
