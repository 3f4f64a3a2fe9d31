// SPDX-License-Identifier: GPL-2.0-or-later
/* cell.h - one machine in the library's list or grid: a box that knows whose it is, so that what is in it can bind and act. */
#pragma once
#include "gui/manager/item.h"
#include <gtk/gtk.h>

G_DECLARE_FINAL_TYPE(VmCell, vm_cell, VM, CELL, GtkBox) /* property "item" */
