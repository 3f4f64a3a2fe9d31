// SPDX-License-Identifier: GPL-2.0-or-later
/* host_room.c - see host_room.h. */
#include "gui/manager/host_room.h"
#include "core-vmm/host/paths.h"
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Of the folder, or of the nearest one above it that is there. */
static uint64_t free_at(const char *path)
{
    struct statvfs s;
    if (!statvfs(path, &s))
        return (uint64_t)s.f_bavail * s.f_frsize;
    g_autofree char *above = g_path_get_dirname(path);
    return strcmp(above, path) ? free_at(above) : 0;
}

struct host_room host_room(void)
{
    g_autofree char *machines = paths_machines();
    struct host_room r = {.cpus = g_get_num_processors()};
    r.memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    r.disk = free_at(machines);
    return r;
}
