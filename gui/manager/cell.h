// SPDX-License-Identifier: GPL-2.0-or-later
/* cell.h - one machine in the library's list or grid: it knows whose it is, so that what is in it can act. */
#pragma once
#include "gui/manager/item_widget.h"

G_DECLARE_FINAL_TYPE(VmCell, vm_cell, VM, CELL, VmItemWidget)
