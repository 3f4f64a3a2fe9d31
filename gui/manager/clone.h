// SPDX-License-Identifier: GPL-2.0-or-later
/* clone.h - the dialog that makes a machine of another one. */
#pragma once
#include "gui/manager/window.h"

/* snapshot: its number; NULL: the present. */
void clone_ask(VmWindow *w, VmItem *m, const char *snapshot);
