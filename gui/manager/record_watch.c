// SPDX-License-Identifier: GPL-2.0-or-later
/* record_watch.c - see record_watch.h. */
#include "gui/manager/record_watch.h"
#include "core-vmm/host/machines.h"
#include "core-vmm/host/snapshots.h"

GFileMonitor *record_watch_new(const char *machine, GCallback changed, gpointer data)
{
    g_autofree char *folder = machines_folder(machine);
    g_autofree char *path = g_build_filename(folder, SNAPSHOTS_FOLDER, "record.json", NULL);
    g_autoptr(GFile) file = g_file_new_for_path(path);
    GFileMonitor *watch = g_file_monitor_file(file, G_FILE_MONITOR_NONE, NULL, NULL);
    if (watch)
        g_signal_connect_swapped(watch, "changed", changed, data);
    return watch;
}

void record_watch_free(GFileMonitor **watch, gpointer data)
{
    if (*watch)
        g_signal_handlers_disconnect_by_data(*watch, data);
    g_clear_object(watch);
}
