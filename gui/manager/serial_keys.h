// SPDX-License-Identifier: GPL-2.0-or-later
/* serial_keys.h - what a terminal sends for a key. */
#pragma once
#include <gtk/gtk.h>

/* What is not a letter, or one with Ctrl or Alt: into text, which has room for 8 bytes.  0: it is none of these; letters come from the input
 * method. */
gsize serial_key(guint keyval, GdkModifierType state, char text[8]);
