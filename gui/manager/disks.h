// SPDX-License-Identifier: GPL-2.0-or-later
/* disks.h - all disk images that machines have: whose they are, how large, and what can be done with them. */
#pragma once
#include "gui/manager/window.h"

G_DECLARE_FINAL_TYPE(VmDisks, vm_disks, VM, DISKS, AdwWindow)

void vm_disks_show(VmWindow *w);
