// SPDX-License-Identifier: GPL-2.0-or-later
/* activity_page.h - the window with what all running machines use of this computer. */
#pragma once
#include "gui/manager/window.h"

G_DECLARE_FINAL_TYPE(VmActivity, vm_activity, VM, ACTIVITY, AdwWindow)

void vm_activity_show(VmWindow *w);
