// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_installed.c - the end of an installation; see machine_installed.h.
 *
 * A BIOS tries the disk first and then the installer's kernel (boot = disk,kernel,...): an empty disk is no system, and when the
 * installer restarts the machine the new system comes up, all without anybody who watches.  UEFI starts a kernel that it is given
 * whatever the order is, and so does a BIOS when an installation begins again over a disk that looks bootable: in these two cases the
 * kernel comes first and a reset ends the machine's run, so that the next start sees what is on the disk. */
#include "core-vmm/host/machine_installed.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/look_program.h"
#include "core-vmm/host/machine_fresh.h"
#include "core-vmm/host/machines.h"
#include "core-vmm/host/paths.h"
#include <string.h>
#include <unistd.h>

#define GROUP "installing"
#define AGAIN "again" /* the next start begins it again */

#define DISK_FIRST   "disk,kernel,cdrom"
#define KERNEL_FIRST "kernel,disk,cdrom"

static const char *const kernel_keys[] = {"kernel", "initrd", "cmdline", NULL};
static const char *const order_keys[] = {"boot", "on-reset", NULL};

static char *in_folder(const char *folder, const char *name)
{
    return g_build_filename(folder, name, NULL);
}

bool is_installing(const char *folder)
{
    g_autofree char *path = in_folder(folder, INSTALLING_FILE);
    return g_file_test(path, G_FILE_TEST_IS_REGULAR);
}

/* ---- the mark ---- */

static bool mark_write(const char *folder, GKeyFile *mark, GError **error)
{
    g_autofree char *path = in_folder(folder, INSTALLING_FILE), *text = NULL;
    gsize n;
    text = g_key_file_to_data(mark, &n, error);
    return text && file_replace(path, text, n, error);
}

static GKeyFile *mark_read(const char *folder, GError **error)
{
    g_autofree char *path = in_folder(folder, INSTALLING_FILE);
    GKeyFile *mark = g_key_file_new();
    if (g_key_file_load_from_file(mark, path, G_KEY_FILE_NONE, error))
        return mark;
    g_key_file_unref(mark);
    return NULL;
}

bool installing_mark(const char *folder, const struct installing *i, GError **error)
{
    g_autoptr(GKeyFile) mark = g_key_file_new();
    g_key_file_set_string(mark, GROUP, "disk", i->disk);
    g_key_file_set_boolean(mark, GROUP, "uefi", i->uefi);
    g_key_file_set_boolean(mark, GROUP, "seen", i->seen);
    if (i->cmdline)
        g_key_file_set_string(mark, GROUP, "cmdline", i->cmdline);
    return mark_write(folder, mark, error);
}

/* ---- the installer's kernel ---- */

bool installing_arm(GKeyFile *file, const struct installing *i, bool again, GError **error)
{
    bool first = again || i->uefi;
    g_autofree char *cmdline = g_strconcat("machine.cmdline=", i->cmdline, NULL);
    return settings_assign(file, "setting", "machine.kernel=" INSTALLING_KERNEL, error) &&
           settings_assign(file, "setting", "machine.initrd=" INSTALLING_INITRD, error) &&
           settings_assign(file, "setting", cmdline, error) &&
           settings_assign(file, "setting", first ? "machine.boot=" KERNEL_FIRST : "machine.boot=" DISK_FIRST, error) &&
           (!first || settings_assign(file, "setting", "machine.on-reset=stop", error));
}

static void drop(GKeyFile *file, const char *const *keys)
{
    for (; *keys; keys++)
        g_key_file_remove_key(file, "machine", *keys, NULL);
}

static bool has_kernel(GKeyFile *file)
{
    g_autofree char *kernel = g_key_file_get_string(file, "machine", "kernel", NULL);
    return !g_strcmp0(kernel, INSTALLING_KERNEL);
}

/* Ours without a kernel, which nobody else has a use for. */
static bool has_order(GKeyFile *file)
{
    g_autofree char *boot = g_key_file_get_string(file, "machine", "boot", NULL);
    return !g_key_file_has_key(file, "machine", "kernel", NULL) &&
           (!g_strcmp0(boot, DISK_FIRST) || !g_strcmp0(boot, KERNEL_FIRST));
}

/* True: there was one of ours. */
static bool disarm(GKeyFile *file)
{
    if (!has_kernel(file))
        return false;
    drop(file, kernel_keys);
    drop(file, order_keys);
    return true;
}

/* ---- the end ---- */

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

/* The mark goes last: one that is ended in between is gone on with. */
static bool finish(const char *folder, GKeyFile *file, const char *ini, GError **error)
{
    static const char *const names[] = {INSTALLING_ANSWERS, INSTALLING_KERNEL, INSTALLING_INITRD, INSTALLING_FILE};
    empty_drives(file);
    disarm(file);
    if (!settings_write(file, ini, error))
        return false;
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = in_folder(folder, names[i]);
        unlink(path);
    }
    return true;
}

/* With the folder held. */
static bool settle(const char *folder, GKeyFile *mark, GError **error)
{
    g_autofree char *ini = in_folder(folder, "machine.ini"), *saved = in_folder(folder, PATHS_SAVED);
    g_autofree char *disk = g_key_file_get_string(mark, GROUP, "disk", NULL);
    bool uefi = g_key_file_get_boolean(mark, GROUP, "uefi", NULL);
    g_autoptr(GKeyFile) file = schema_load(ini, NULL); /* one that is damaged is refused elsewhere */
    struct disk_table t;
    if (!file || !disk || g_file_test(saved, G_FILE_TEST_EXISTS))
        return true;
    if (g_key_file_get_boolean(mark, GROUP, AGAIN, NULL)) {
        g_key_file_remove_key(mark, GROUP, AGAIN, NULL);
        return mark_write(folder, mark, error);
    }
    if (!look_at_drive(file, disk, folder, &t, NULL))
        return true;
    if (uefi ? t.uefi : t.bios)
        return finish(folder, file, ini, error);
    return !t.any || !disarm(file) || settings_write(file, ini, error);
}

/* With the folder held. */
static bool forget_held(const char *folder, GKeyFile *file, const char *ini, GError **error)
{
    g_autofree char *saved = in_folder(folder, PATHS_SAVED);
    bool state = g_file_test(saved, G_FILE_TEST_EXISTS), kernel = has_kernel(file);
    if (kernel && !state)
        return finish(folder, file, ini, error);
    if (!kernel && (state || !has_order(file)))
        return true;
    drop(file, kernel ? kernel_keys : order_keys);
    return settings_write(file, ini, error);
}

/* Settings from before the end, which a snapshot has brought back: what they name is gone.  A saved state that came with them goes on in
 * the machine that they describe: the order in which it boots says whether its network card has a ROM, and so stays until the start
 * after that, like what is in its drives. */
static bool forget(const char *folder, GError **error)
{
    g_autofree char *ini = in_folder(folder, "machine.ini"), *kernel = in_folder(folder, INSTALLING_KERNEL);
    g_autoptr(GKeyFile) now = schema_load(ini, NULL);
    bool left = now && (has_kernel(now) ? !g_file_test(kernel, G_FILE_TEST_EXISTS) : has_order(now));
    if (!left || machine_lock_holder(folder))
        return true;
    int held = settings_hold(folder, error);
    g_autoptr(GKeyFile) file = held >= 0 ? schema_load(ini, NULL) : NULL;
    bool good = held >= 0 && (!file || forget_held(folder, file, ini, error));
    if (held >= 0)
        close(held);
    return good;
}

bool installed_settle(const char *folder, GError **error)
{
    g_autoptr(GKeyFile) mark = is_installing(folder) ? mark_read(folder, NULL) : NULL;
    if (!is_installing(folder))
        return forget(folder, error);
    if (!mark || !g_key_file_get_boolean(mark, GROUP, "seen", NULL) || machine_lock_holder(folder))
        return true;
    int held = settings_hold(folder, error);
    bool good = held >= 0 && settle(folder, mark, error);
    if (held >= 0)
        close(held);
    return good;
}

/* ---- because somebody says so ---- */

static bool begin_again(const char *folder, GKeyFile *file, const char *ini, GError **error)
{
    g_autoptr(GKeyFile) mark = mark_read(folder, error);
    g_autofree char *cmdline = mark ? g_key_file_get_string(mark, GROUP, "cmdline", NULL) : NULL;
    const struct installing i = {.uefi = mark && g_key_file_get_boolean(mark, GROUP, "uefi", NULL), .cmdline = cmdline};
    if (mark && !cmdline)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                    "this installation is started by its medium: choose that in the boot menu (machine.boot-menu=on)");
    if (!cmdline || !installing_arm(file, &i, true, error))
        return false;
    g_key_file_set_boolean(mark, GROUP, AGAIN, TRUE);
    return mark_write(folder, mark, error) && settings_write(file, ini, error);
}

static bool held_change(const char *name,
                        bool (*fn)(const char *folder, GKeyFile *file, const char *ini, GError **error), GError **error)
{
    g_autofree char *folder = machines_folder(name), *ini = machines_ini(name);
    if (!is_installing(folder)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "%s has no installation that is under way", name);
        return false;
    }
    int lock = machines_hold(name, error), held = lock >= 0 ? settings_hold(folder, error) : -1;
    g_autoptr(GKeyFile) file = held >= 0 ? schema_load(ini, error) : NULL;
    bool good = file && fn(folder, file, ini, error);
    if (held >= 0)
        close(held);
    if (lock >= 0)
        close(lock);
    return good;
}

/* An installation that somebody watches has nothing but the snapshot that is waited for. */
static bool stands_still(const char *name, GError **error)
{
    int lock = machines_hold(name, error);
    if (lock >= 0)
        close(lock);
    return lock >= 0;
}

bool machines_installed(const char *name, GError **error)
{
    g_autofree char *folder = machines_folder(name);
    bool watched = !is_installing(folder) && fresh_waits(folder);
    if (!(watched ? stands_still(name, error) : held_change(name, finish, error)))
        return false;
    fresh_take(folder);
    return true;
}

bool machines_install_again(const char *name, GError **error)
{
    return held_change(name, begin_again, error);
}
