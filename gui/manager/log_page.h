// SPDX-License-Identifier: GPL-2.0-or-later
/* log_page.h - what a machine's processes have to say, of this run and those before, with a search. */
#pragma once
#include "gui/manager/item_widget.h"

G_DECLARE_FINAL_TYPE(VmLog, vm_log, VM, LOG, VmItemWidget)
