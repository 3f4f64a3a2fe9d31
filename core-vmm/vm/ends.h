// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once
#include <glib.h>

/* Opens the far ends of all serial ports that machine.ini lists, before the process may open none any more: struct
 * char_end by the port's name, for machine_new(). */
GHashTable *ends_open(GKeyFile *file, const char *path, const char *folder, GError **error);
/* The sockets and links that were made for them; free the list, not the names. */
GPtrArray *ends_names(GHashTable *ends);
