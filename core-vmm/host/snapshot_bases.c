// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshot_bases.c - a state that says of memory only what differs from older ones (machine/state_base.c) needs their files.  So whoever
 * has such a state has links of its own to all of them, as N.base1 (the oldest), N.base2 ... beside N.state: the snapshots that
 * they were of may go, and the file system counts who needs them. */
#include "core-vmm/host/paths.h"
#include "core-vmm/host/snapshot_inside.h"
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

char **snapshot_bases(const char *folder, const struct snapshot *s, bool with_own)
{
    GPtrArray *paths = g_ptr_array_new();
    for (unsigned n = 1; n <= s->bases; n++)
        g_ptr_array_add(paths, snapshot_base(folder, s->id, n));
    if (with_own)
        g_ptr_array_add(paths, snapshot_path(folder, s->id, "state"));
    g_ptr_array_add(paths, NULL);
    return (char **)g_ptr_array_free(paths, FALSE);
}

char **snapshot_saved_bases(const char *folder)
{
    GPtrArray *paths = g_ptr_array_new();
    for (unsigned n = 1; n <= STATE_BASES_MAX; n++) {
        g_autofree char *path = paths_saved_base(folder, n);
        if (access(path, F_OK))
            break;
        g_ptr_array_add(paths, g_steal_pointer(&path));
    }
    g_ptr_array_add(paths, NULL);
    return (char **)g_ptr_array_free(paths, FALSE);
}

bool snapshot_link_bases(const char *folder, unsigned id, char **bases, GError **error)
{
    for (unsigned n = 1; bases[n - 1]; n++) {
        g_autofree char *path = snapshot_base(folder, id, n);
        if (link(bases[n - 1], path))
            return path_failed(errno == ENOENT ? bases[n - 1] : path, error);
    }
    return true;
}

/* The state that a snapshot of the running machine may build upon: that of the snapshot from which it goes on, if it is whole. */
char **snapshots_live_bases(const char *machine)
{
    g_autofree char *folder = machines_folder(machine);
    struct snapshot_record *r = record_load(folder, NULL);
    const struct snapshot *s = r && r->current ? record_snapshot(r, r->current) : NULL;
    bool may = s && s->state_bytes && s->bases < STATE_BASES_MAX;
    g_autofree char *damage = may ? snapshot_state_damage(folder, s) : NULL;
    char **bases = may && !damage ? snapshot_bases(folder, s, true) : NULL;
    record_free(r);
    return bases;
}
