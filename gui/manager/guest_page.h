// SPDX-License-Identifier: GPL-2.0-or-later
/* guest_page.h - the window in which one runs a program in a guest, or copies a file into it or out of it. */
#pragma once
#include "gui/manager/window.h"

G_DECLARE_FINAL_TYPE(VmGuest, vm_guest, VM, GUEST, AdwWindow)

void vm_guest_show(VmWindow *w, VmItem *m);
