// SPDX-License-Identifier: GPL-2.0-or-later
/* charts.h - what a running machine uses of CPU, memory, disks and network, as curves; nothing while it does not run. */
#pragma once
#include "gui/manager/item_widget.h"

G_DECLARE_FINAL_TYPE(VmCharts, vm_charts, VM, CHARTS, VmItemWidget)
