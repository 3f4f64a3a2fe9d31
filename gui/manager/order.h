// SPDX-License-Identifier: GPL-2.0-or-later
/* order.h - in which order the library lists machines. */
#pragma once
#include <gtk/gtk.h>

GtkSorter *order_new(const char *by); /* "name", "state" (those that run first) or "used" (the last first) */
