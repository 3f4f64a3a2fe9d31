// SPDX-License-Identifier: GPL-2.0-or-later
/* details.h - all about the chosen machine: its header, what went wrong last, and the pages. */
#pragma once
#include "gui/manager/item_widget.h"

G_DECLARE_FINAL_TYPE(VmDetails, vm_details, VM, DETAILS, VmItemWidget) /* property "folded": it has the window alone */

void vm_details_show_page(VmDetails *d, const char *page); /* "overview" ... */
