// SPDX-License-Identifier: GPL-2.0-or-later
/* settings_page.h - all settings of a machine, from the schema: a group for each section, rows for its keys, a search over all. */
#pragma once
#include "gui/manager/item_widget.h"

G_DECLARE_FINAL_TYPE(VmSettings, vm_settings, VM, SETTINGS, VmItemWidget)
