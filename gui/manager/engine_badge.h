// SPDX-License-Identifier: GPL-2.0-or-later
/* engine_badge.h - which engine a running machine has, and behind a click why, and what would give it hardware virtualization. */
#pragma once
#include "gui/manager/item_widget.h"

G_DECLARE_FINAL_TYPE(VmEngineBadge, vm_engine_badge, VM, ENGINE_BADGE, VmItemWidget)
