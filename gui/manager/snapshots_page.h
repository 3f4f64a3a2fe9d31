// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshots_page.h - the points that a machine can go back to, as the tree that they are: taken, restored, renamed, deleted. */
#pragma once
#include "gui/manager/item_widget.h"

G_DECLARE_FINAL_TYPE(VmSnapshots, vm_snapshots, VM, SNAPSHOTS, VmItemWidget)
