// SPDX-License-Identifier: GPL-2.0-or-later
/* heading.h - a group's heading in the library's list: a button with an arrow, that folds the group. */
#pragma once
#include <gtk/gtk.h>

/* Properties: "text" (the heading; NULL: it is not to be seen), "folded". */
G_DECLARE_FINAL_TYPE(VmHeading, vm_heading, VM, HEADING, GtkButton)
