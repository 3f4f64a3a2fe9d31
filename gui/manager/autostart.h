// SPDX-License-Identifier: GPL-2.0-or-later
/* autostart.h - whether a machine starts with the user's session: a switch. */
#pragma once
#include "gui/manager/item.h"
#include <gtk/gtk.h>

/* It follows the machine that it was last given (NULL: none), and changes it when the user does. */
void autostart_follow(GtkSwitch *s, VmItem *m);
