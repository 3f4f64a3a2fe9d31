// SPDX-License-Identifier: GPL-2.0-or-later
/* memory_page.h - the window with what a running guest keeps of its memory. */
#pragma once
#include "gui/manager/window.h"

G_DECLARE_FINAL_TYPE(VmMemory, vm_memory, VM, MEMORY, AdwWindow)

void vm_memory_show(VmWindow *w, VmItem *m);
