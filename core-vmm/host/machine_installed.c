// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_installed.c - the end of an installation; see machine_installed.h.
 *
 * A BIOS tries the disk first and then the installer's kernel (boot = disk,kernel,...): an empty disk is no system, and when the
 * installer restarts the machine the new system comes up, all without anybody who watches.  UEFI starts a kernel that it is given
 * whatever the order is, and a disk that an interrupted installation has partitioned looks bootable to a BIOS: in these two
 * cases the kernel comes first and a reset ends the machine's run, so that the next start sees what is on the disk. */
#include "core-vmm/host/machine_installed.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/look_program.h"
#include "core-vmm/host/machines.h"
#include "core-vmm/host/paths.h"
#include <string.h>
#include <unistd.h>

#define GROUP "installing"

static char *in_folder(const char *folder, const char *name)
{
    return g_build_filename(folder, name, NULL);
}

bool is_installing(const char *folder)
{
    g_autofree char *path = in_folder(folder, INSTALLING_FILE);
    return g_file_test(path, G_FILE_TEST_IS_REGULAR);
}

bool installing_mark(const char *folder, const char *disk, bool uefi, bool seen, GError **error)
{
    g_autoptr(GKeyFile) mark = g_key_file_new();
    g_autofree char *path = in_folder(folder, INSTALLING_FILE), *text = NULL;
    gsize n;
    g_key_file_set_string(mark, GROUP, "disk", disk);
    g_key_file_set_boolean(mark, GROUP, "uefi", uefi);
    g_key_file_set_boolean(mark, GROUP, "seen", seen);
    text = g_key_file_to_data(mark, &n, error);
    return text && file_replace(path, text, n, error);
}

/* ---- what goes at the end ---- */

/* CD drives are empty then, whatever was put into them. */
static void empty_drives(GKeyFile *file)
{
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    for (char **s = sections; *s; s++) {
        g_autofree char *media = g_key_file_get_string(file, *s, "media", NULL);
        if (!g_strcmp0(media, "cdrom"))
            g_key_file_remove_key(file, *s, "file", NULL);
    }
}

static void forget_kernel(GKeyFile *file)
{
    static const char *const keys[] = {"kernel", "initrd", "cmdline", "boot", "on-reset"};
    g_autofree char *kernel = g_key_file_get_string(file, "machine", "kernel", NULL);
    for (unsigned i = 0; !g_strcmp0(kernel, INSTALLING_KERNEL) && i < G_N_ELEMENTS(keys); i++)
        g_key_file_remove_key(file, "machine", keys[i], NULL);
}

/* The mark goes last: one that is ended in between is gone on with. */
static bool finish(const char *folder, GKeyFile *file, const char *ini, GError **error)
{
    static const char *const names[] = {INSTALLING_ANSWERS, INSTALLING_KERNEL, INSTALLING_INITRD, INSTALLING_FILE};
    empty_drives(file);
    forget_kernel(file);
    if (!settings_write(file, ini, error))
        return false;
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = in_folder(folder, names[i]);
        unlink(path);
    }
    return true;
}

/* An interrupted installation begins again. */
static bool again(GKeyFile *file, const char *ini, GError **error)
{
    g_autofree char *kernel = g_key_file_get_string(file, "machine", "kernel", NULL);
    if (g_strcmp0(kernel, INSTALLING_KERNEL))
        return true;
    g_key_file_set_string(file, "machine", "boot", "kernel,disk,cdrom");
    g_key_file_set_string(file, "machine", "on-reset", "stop");
    return settings_write(file, ini, error);
}

/* ---- looking ---- */

static bool look(const char *folder, GKeyFile *file, const char *disk, struct disk_table *t)
{
    g_autofree char *name = g_key_file_get_string(file, disk, "file", NULL);
    g_autofree char *format = g_key_file_get_string(file, disk, "format", NULL);
    g_autofree char *path = name ? g_canonicalize_filename(name, folder) : NULL;
    return path && look_at_disk(path, format, t, NULL);
}

/* With the folder held. */
static bool settle(const char *folder, GKeyFile *mark, GError **error)
{
    g_autofree char *ini = in_folder(folder, "machine.ini"), *saved = in_folder(folder, PATHS_SAVED);
    g_autofree char *disk = g_key_file_get_string(mark, GROUP, "disk", NULL);
    bool uefi = g_key_file_get_boolean(mark, GROUP, "uefi", NULL);
    g_autoptr(GKeyFile) file = schema_load(ini, NULL); /* one that is damaged is refused elsewhere */
    struct disk_table t;
    if (!file || !disk || g_file_test(saved, G_FILE_TEST_EXISTS) || !look(folder, file, disk, &t))
        return true;
    if (uefi ? t.uefi : t.bios)
        return finish(folder, file, ini, error);
    return !t.any || again(file, ini, error);
}

bool installed_settle(const char *folder, GError **error)
{
    g_autofree char *path = in_folder(folder, INSTALLING_FILE);
    g_autoptr(GKeyFile) mark = g_key_file_new();
    if (!is_installing(folder) || !g_key_file_load_from_file(mark, path, G_KEY_FILE_NONE, NULL) ||
        !g_key_file_get_boolean(mark, GROUP, "seen", NULL) || machine_lock_holder(folder))
        return true;
    int held = settings_hold(folder, error);
    bool good = held >= 0 && settle(folder, mark, error);
    if (held >= 0)
        close(held);
    return good;
}

bool machines_installed(const char *name, GError **error)
{
    g_autofree char *folder = machines_folder(name), *ini = machines_ini(name);
    if (!is_installing(folder)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "%s has no installation that is under way", name);
        return false;
    }
    int lock = machines_hold(name, error), held = lock >= 0 ? settings_hold(folder, error) : -1;
    g_autoptr(GKeyFile) file = held >= 0 ? schema_load(ini, error) : NULL;
    bool good = file && finish(folder, file, ini, error);
    if (held >= 0)
        close(held);
    if (lock >= 0)
        close(lock);
    return good;
}
