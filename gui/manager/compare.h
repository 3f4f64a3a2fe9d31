// SPDX-License-Identifier: GPL-2.0-or-later
/* compare.h - the window that says in what two snapshots of a machine differ, or one and the present. */
#pragma once
#include "gui/manager/window.h"

G_DECLARE_FINAL_TYPE(VmCompare, vm_compare, VM, COMPARE, AdwWindow)

void vm_compare_show(VmWindow *w, VmItem *m, unsigned snapshot); /* that one and the present, at first */
