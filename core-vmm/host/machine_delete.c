// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_delete.c - a machine goes, with its disk images or without. */
#include "core-vmm/host/machine_autostart.h"
#include "core-vmm/host/machines.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/disk_look.h"
#include "core-vmm/host/fresh.h"
#include "core-vmm/host/machine_installed.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/host/snapshot_record.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Out of sight in one step: what a kill leaves of it then takes no name, and somebody else removes it. */
static bool remove_all(const char *folder, GError **error)
{
    g_autofree char *machines = paths_machines();
    int lock;
    g_autofree char *fresh = fresh_folder(machines, FRESH_GONE, &lock, NULL);
    g_autofree char *moved = fresh ? g_build_filename(fresh, "machine", NULL) : NULL;
    bool out = moved && !rename(folder, moved);
    if (out) /* nothing in it may go before its name does */
        folder_sync(machines, NULL);
    /* A mount point stays where it is.  Who wants the lock may just have made its file once more. */
    bool good = (out && folder_remove(moved, NULL)) || folder_remove(out ? moved : folder, error);
    if (fresh) {
        folder_remove(fresh, NULL);
        close(lock);
    }
    return good;
}

/* The names by which machine.ini may name what lies in its folder. */
static GHashTable *named_images(GKeyFile *file)
{
    GHashTable *images = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    for (char **s = sections; *s; s++) {
        char *image = g_key_file_get_string(file, *s, "file", NULL);
        if (image)
            g_hash_table_add(images, image);
    }
    g_hash_table_remove(images, INSTALLING_ANSWERS); /* passwords are on it */
    return images;
}

static bool remove_others(const char *folder, GPtrArray *others, GError **error)
{
    g_autofree char *ini = g_build_filename(folder, "machine.ini", NULL);
    bool good = true;
    for (guint i = 0; good && i < others->len; i++)
        good = !strcmp(others->pdata[i], ini) || folder_remove(others->pdata[i], error);
    return good && folder_remove(ini, error);
}

/* Everything but the disk images that machine.ini names in this folder; machine.ini last, so that a kill in between leaves
 * a machine.  *left: something stays. */
static bool remove_but_disks(const char *folder, bool *left, GError **error)
{
    g_autofree char *ini = g_build_filename(folder, "machine.ini", NULL);
    g_autoptr(GKeyFile) file = schema_load(ini, error);
    g_autoptr(GDir) dir = file ? g_dir_open(folder, 0, error) : NULL;
    g_autoptr(GPtrArray) others = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GHashTable) images = dir ? named_images(file) : NULL;
    const char *name;
    if (!dir)
        return false;
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        if (g_hash_table_contains(images, name) || g_hash_table_contains(images, path))
            *left = true;
        else
            g_ptr_array_add(others, g_steal_pointer(&path));
    }
    return *left ? remove_others(folder, others, error) : remove_all(folder, error);
}

/* Sets an error if another machine has a disk image of it. */
static bool is_needed(const char *name, const char *folder, GError **error)
{
    g_autoptr(GPtrArray) users = disk_users(folder, name, error);
    if (users && users->len)
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_IN_USE,
                    "%s needs a disk image of %s; delete it first, or use --keep-disks", (char *)users->pdata[0], name);
    return !users || users->len;
}

static bool has_snapshots(const char *folder)
{
    struct snapshot_record *r = record_load(folder, NULL);
    bool has = !r || r->snapshots->len;
    for (guint i = 0; !has && i < r->images->len; i++)
        has = ((struct snapshot_image *)r->images->pdata[i])->ours;
    record_free(r);
    return has;
}

bool machines_delete(const char *name, bool keep_disks, bool *left, GError **error)
{
    g_autofree char *folder = paths_machine(name);
    bool good = false;
    *left = false;
    if (!vm_name_check(name, error))
        return false;
    machines_sweep();
    int lock = machines_hold(name, error);
    if (lock < 0)
        return false;
    if (keep_disks && has_snapshots(folder))
        g_set_error(
            error, MACHINE_ERROR, MACHINE_ERROR_FAILED,
            "%s has snapshots, so its disks consist of several images: delete those first (vmctl snapshot list %s)",
            name, name);
    else if (keep_disks)
        good = remove_but_disks(folder, left, error);
    else if (!is_needed(name, folder, error))
        good = remove_all(folder, error);
    close(lock);
    if (good && machine_autostart_get(name))
        machine_autostart_set(name, false, &(bool){false}, NULL);
    return good;
}
