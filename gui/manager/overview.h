// SPDX-License-Identifier: GPL-2.0-or-later
/* overview.h - the first page about a machine: its screen, what can be done now, and what it has. */
#pragma once
#include "gui/manager/item_widget.h"

G_DECLARE_FINAL_TYPE(VmOverview, vm_overview, VM, OVERVIEW, VmItemWidget)
