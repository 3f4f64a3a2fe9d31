// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_actions.h - what the window does with machines: "win.start" and so on, whose parameter is the machine's name, or "" for
 * the chosen one. */
#pragma once
#include "gui/manager/window.h"

void machine_actions_add(VmWindow *w);
