// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_delete.c - vmctl delete. */
#include "core-vmm/vmctl/disk/disk.h"
#include "core-vmm/vmctl/verbs.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/fresh.h"
#include "core-vmm/host/paths.h"
#include <errno.h>
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
    bool good = folder_remove(out ? moved : folder, error); /* a mount point stays where it is */
    if (fresh) {
        folder_remove(fresh, NULL);
        close(lock);
    }
    return good;
}

/* Everything but the disk images that machine.ini names in this folder; machine.ini last, so that a kill in between leaves
 * a machine.  *left: something stays. */
static bool remove_but_disks(const char *folder, bool *left, GError **error)
{
    g_autofree char *ini = g_build_filename(folder, "machine.ini", NULL);
    g_autoptr(GKeyFile) file = schema_load(ini, error);
    g_autoptr(GDir) dir = file ? g_dir_open(folder, 0, error) : NULL;
    g_autoptr(GHashTable) disks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    if (!dir)
        return false;
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    for (char **s = sections; *s; s++) {
        char *image = g_key_file_get_string(file, *s, "file", NULL);
        if (image)
            g_hash_table_add(disks, image);
    }
    const char *name;
    bool good = true;
    while (good && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        if (g_hash_table_contains(disks, name) || g_hash_table_contains(disks, path))
            continue;
        if (strcmp(name, "machine.ini"))
            good = folder_remove(path, error);
    }
    good = good && folder_remove(ini, error);
    *left = good && rmdir(folder) && errno == ENOTEMPTY;
    return good;
}

static int remove_machine(const char *name, bool keep_disks)
{
    g_autofree char *folder = machine_folder_of(name);
    g_autoptr(GError) error = NULL;
    pid_t holder;
    int lock = machine_lock(folder, &holder, &error);
    if (lock < 0 && holder)
        return fail(EXIT_CODE_WRONG_STATE, "%s is running; vmctl stop %s stops it", name, name);
    if (lock < 0)
        return fail_error(error);
    g_autofree char *user = NULL;
    if (!keep_disks && !disk_user_of(folder, name, &user, &error)) {
        close(lock);
        return fail_error(error);
    }
    if (user) {
        close(lock);
        return fail(EXIT_CODE_BUSY, "%s needs a disk image of %s; delete it first, or use --keep-disks", user, name);
    }
    bool left = false, good = keep_disks ? remove_but_disks(folder, &left, &error) : remove_all(folder, &error);
    close(lock);
    if (good && left)
        note("the disk images stay in %s; until they are gone (vmctl delete %s) the name is taken", folder, name);
    return good ? EXIT_CODE_OK : fail_error(error);
}

static int delete (const struct verb *v, int argc, char **argv)
{
    gboolean keep = FALSE;
    const GOptionEntry entries[] = {
        {"keep-disks", 0, 0, G_OPTION_ARG_NONE, &keep, "Leave the disk images in the machine's folder", NULL},
        {NULL},
    };
    int code;
    if (!verb_options(v, entries, &argc, &argv, 1, 1, &code))
        return code;
    g_autoptr(GError) error = NULL;
    g_autofree char *folder = paths_machine(argv[1]);
    if (!vm_name_check(argv[1], &error))
        return fail_error(error);
    g_autofree char *machines = paths_machines();
    fresh_clean(machines, FRESH_NEW);
    fresh_clean(machines, FRESH_GONE);
    if (g_file_test(folder, G_FILE_TEST_EXISTS) && !g_file_test(folder, G_FILE_TEST_IS_DIR))
        return fail(EXIT_CODE_FAILED, "%s is a file, and no machine; it is left alone", folder);
    if (!g_file_test(folder, G_FILE_TEST_IS_DIR)) /* no prefixes here: what is gone is gone */
        return fail(EXIT_CODE_NOT_FOUND, "there is no machine %s (delete wants the whole name)", argv[1]);
    return remove_machine(argv[1], keep);
}

const struct verb verb_delete = {"delete", "NAME", "remove a machine with all its files",
                                 "  vmctl delete demo\n  vmctl delete demo --keep-disks", delete};
