// SPDX-License-Identifier: GPL-2.0-or-later
/* record_watch.h - hears when the snapshots of a machine are other ones, whoever changed them. */
#pragma once
#include <gio/gio.h>

/* changed is called with data, swapped; record_watch_free.  NULL: the host cannot tell. */
GFileMonitor *record_watch_new(const char *machine, GCallback changed, gpointer data);
void record_watch_free(GFileMonitor **watch, gpointer data);
