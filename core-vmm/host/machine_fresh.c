// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_fresh.c - see machine_fresh.h.
 *
 * Why here, and not in a window: an installation that nobody watches is to have it as well.  Why a reset: it is what all installers end
 * with, and then all that they wrote is flushed; asking the guest would need something of ours in it.  The reset is heard of when it has
 * happened, and the machine goes on meanwhile: the snapshot holds what the new system has done of its first start until then.  A reset
 * without a boot loader on the disk (a key pressed in the installer's menu) says nothing, and one more is waited for.  An installer that
 * powers off, or a run that ends at the reset (machine.on-reset = stop), is seen before the next start.
 *
 * Installers that reset in between, as Windows' does, put a boot loader on the disk long before they are done: there only a guest that has
 * switched itself off says so, which is written into the mark.  A run that ended otherwise, by force or with the host, says nothing. */
#include "core-vmm/host/machine_fresh.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/look_program.h"
#include "core-vmm/host/machine_installed.h"
#include "core-vmm/host/machines.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/host/snapshots.h"
#include <string.h>
#include <unistd.h>

#define GROUP "fresh-install"
#define OFF   "powered-off" /* the guest has, in its last run */

static char *mark_path(const char *folder)
{
    return g_build_filename(folder, FRESH_FILE, NULL);
}

static bool is_cdrom(GKeyFile *settings, const char *section)
{
    const struct schema_section *k = schema_find_section(section);
    g_autofree char *media = g_key_file_get_string(settings, section, "media", NULL);
    return k && k->drive && !g_strcmp0(media, "cdrom");
}

char *fresh_disk(GKeyFile *settings)
{
    g_auto(GStrv) sections = g_key_file_get_groups(settings, NULL);
    const char *disk = NULL;
    unsigned disks = 0;
    for (char **s = sections; *s; s++)
        if (schema_is_disk(settings, *s)) {
            disk = *s;
            disks++;
        }
    return disks == 1 ? g_strdup(disk) : NULL;
}

/* ---- the mark ---- */

/* What is in the CD drives now: names as in machine.ini. */
static char **media_of(GKeyFile *settings)
{
    g_auto(GStrv) sections = g_key_file_get_groups(settings, NULL);
    g_autoptr(GStrvBuilder) b = g_strv_builder_new();
    for (char **s = sections; *s; s++) {
        g_autofree char *file = g_key_file_get_string(settings, *s, "file", NULL);
        if (is_cdrom(settings, *s) && file && *file)
            g_strv_builder_add(b, file);
    }
    return g_strv_builder_end(b);
}

static bool mark_write(const char *folder, GKeyFile *mark, GError **error)
{
    g_autofree char *path = mark_path(folder), *text = NULL;
    gsize n;
    text = g_key_file_to_data(mark, &n, error);
    return text && file_replace(path, text, n, error);
}

bool fresh_mark(const char *folder, GKeyFile *settings, const char *disk, bool uefi, bool by_reset, GError **error)
{
    g_autoptr(GKeyFile) mark = g_key_file_new();
    g_auto(GStrv) media = media_of(settings);
    g_key_file_set_string(mark, GROUP, "disk", disk);
    g_key_file_set_boolean(mark, GROUP, "uefi", uefi);
    g_key_file_set_boolean(mark, GROUP, "by-reset", by_reset);
    g_key_file_set_string_list(mark, GROUP, "media", (const char *const *)media, g_strv_length(media));
    return mark_write(folder, mark, error);
}

static GKeyFile *mark_read(const char *folder)
{
    g_autofree char *path = mark_path(folder);
    GKeyFile *mark = g_key_file_new();
    if (g_key_file_load_from_file(mark, path, G_KEY_FILE_NONE, NULL))
        return mark;
    g_key_file_unref(mark);
    return NULL;
}

bool fresh_waits(const char *folder)
{
    g_autofree char *path = mark_path(folder);
    return g_file_test(path, G_FILE_TEST_IS_REGULAR);
}

void fresh_forget(const char *folder)
{
    g_autofree char *path = mark_path(folder);
    unlink(path);
}

/* ---- its end ---- */

static bool has_loader(const char *folder, GKeyFile *mark)
{
    g_autofree char *ini = g_build_filename(folder, "machine.ini", NULL);
    g_autofree char *disk = g_key_file_get_string(mark, GROUP, "disk", NULL);
    g_autoptr(GKeyFile) file = schema_load(ini, NULL);
    struct disk_table t;
    return file && disk && look_at_drive(file, disk, folder, &t, NULL) &&
           (g_key_file_get_boolean(mark, GROUP, "uefi", NULL) ? t.uefi : t.bios);
}

bool fresh_is_installed(const char *folder)
{
    g_autoptr(GKeyFile) mark = mark_read(folder);
    return mark && g_key_file_get_boolean(mark, GROUP, "by-reset", NULL) && has_loader(folder, mark);
}

void fresh_powered_off(const char *folder)
{
    g_autoptr(GKeyFile) mark = mark_read(folder);
    g_autoptr(GError) error = NULL;
    if (!mark)
        return;
    g_key_file_set_boolean(mark, GROUP, OFF, TRUE);
    if (!mark_write(folder, mark, &error))
        g_message("%s", error->message);
}

char **fresh_media(const char *folder)
{
    g_autoptr(GKeyFile) mark = mark_read(folder);
    char **media = mark ? g_key_file_get_string_list(mark, GROUP, "media", NULL, NULL) : NULL;
    for (char **m = media; m && *m; m++) {
        char *full = g_canonicalize_filename(*m, folder);
        g_free(*m);
        *m = full;
    }
    return media ? media : g_new0(char *, 1);
}

bool fresh_take_media_out(const char *folder, GError **error)
{
    g_autofree char *name = g_path_get_basename(folder), *ini = g_build_filename(folder, "machine.ini", NULL);
    g_autoptr(GKeyFile) file = schema_load(ini, error);
    g_auto(GStrv) media = fresh_media(folder), sections = file ? g_key_file_get_groups(file, NULL) : NULL;
    g_autoptr(GStrvBuilder) b = g_strv_builder_new();
    for (char **s = sections; s && *s; s++) {
        g_autofree char *medium = is_cdrom(file, *s) ? g_key_file_get_string(file, *s, "file", NULL) : NULL;
        g_autofree char *full = medium ? g_canonicalize_filename(medium, folder) : NULL;
        g_autofree char *key = g_strconcat(*s, ".file", NULL);
        if (full && g_strv_contains((const char *const *)media, full))
            g_strv_builder_add(b, key);
    }
    g_auto(GStrv) removals = g_strv_builder_end(b);
    enum settings_count count;
    return file && (!*removals || machines_change(name, NULL, removals, &count, error));
}

bool fresh_is_taken(const char *folder)
{
    g_autofree char *name = g_path_get_basename(folder);
    struct snapshot_record *r = snapshots_list(name, NULL);
    bool taken = r && snapshots_find(r, name, FRESH_SNAPSHOT, NULL);
    record_free(r);
    return taken;
}

void fresh_take(const char *folder)
{
    g_autofree char *name = g_path_get_basename(folder);
    g_autoptr(GError) error = NULL;
    unsigned id;
    if (!fresh_waits(folder))
        return;
    if (fresh_take_media_out(folder, &error) &&
        (fresh_is_taken(folder) ||
         snapshots_take(name, FRESH_SNAPSHOT, "the system as its installer left it", &id, &error)))
        fresh_forget(folder);
    else
        g_message("no snapshot of the fresh installation of %s: %s", name, error->message);
}

/* What the run that is over said.  That counts once: what the next one says is another thing. */
static bool says_installed(const char *folder, GKeyFile *mark)
{
    bool off = g_key_file_get_boolean(mark, GROUP, OFF, NULL);
    if (has_loader(folder, mark))
        return off || g_key_file_get_boolean(mark, GROUP, "by-reset", NULL);
    if (off && g_key_file_remove_key(mark, GROUP, OFF, NULL))
        mark_write(folder, mark, NULL);
    return false;
}

/* The settings of an installation without questions are seen to first (machine_installed.h): while those are there, it goes on. */
void fresh_settle(const char *folder)
{
    g_autoptr(GKeyFile) mark = fresh_waits(folder) ? mark_read(folder) : NULL;
    g_autofree char *saved = g_build_filename(folder, PATHS_SAVED, NULL);
    if (mark && !is_installing(folder) && !machine_lock_holder(folder) && !g_file_test(saved, G_FILE_TEST_EXISTS) &&
        says_installed(folder, mark))
        fresh_take(folder);
}
