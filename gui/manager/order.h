// SPDX-License-Identifier: GPL-2.0-or-later
/* order.h - in which order the library lists machines. */
#pragma once
#include <gtk/gtk.h>

/* "name", "state" (those that run first) or "used" (the last first); by groups before that, those without one first. */
GtkSorter *order_new(const char *by);
