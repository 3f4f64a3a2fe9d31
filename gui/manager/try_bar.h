// SPDX-License-Identifier: GPL-2.0-or-later
/* try_bar.h - above the page of a machine that is being tried (vmctl try): keep what came of it, or undo it. */
#pragma once
#include "gui/manager/item_widget.h"

G_DECLARE_FINAL_TYPE(VmTryBar, vm_try_bar, VM, TRY_BAR, VmItemWidget)
