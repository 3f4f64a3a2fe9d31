// SPDX-License-Identifier: GPL-2.0-or-later
/* remote_page.h - the window with a machine's VNC server: who looks at its screen from elsewhere. */
#pragma once
#include "gui/manager/window.h"

G_DECLARE_FINAL_TYPE(VmRemote, vm_remote, VM, REMOTE, AdwWindow)

void vm_remote_show(VmWindow *w, VmItem *m);
