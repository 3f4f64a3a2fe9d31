// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_autostart.h - machines that start when their user's session does: a systemd user unit each, which we write and remove. */
#pragma once
#include <glib.h>
#include <stdbool.h>

/* By the whole name.  on: G_IO_ERROR_NOT_SUPPORTED if no systemd runs here that would ever read the unit.  *told: it has been told to
 * read it now; else it does when it starts next. */
bool machine_autostart_set(const char *name, bool on, bool *told, GError **error);
bool machine_autostart_get(const char *name);
char *machine_autostart_unit(const char *name); /* its file; g_free */
