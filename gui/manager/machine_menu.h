// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_menu.h - what can be done with a machine as it is, as a menu. */
#pragma once
#include "gui/manager/item.h"
#include <gtk/gtk.h>

GMenuModel *machine_menu(VmItem *m);
/* At a place of a widget that is the machine's. */
void machine_menu_popup(GtkWidget *w, VmItem *m, double x, double y);
