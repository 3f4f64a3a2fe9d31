// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_create.c - new machines, and new names for old ones; clones and imports are made by its rules, too.
 *
 * A machine is made in a folder beside the others and renamed into place when it is complete. */
#include "core-vmm/host/machine_autostart.h"
#include "core-vmm/host/machine_inside.h"
#include "core-vmm/base/os_defaults.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/disk_look.h"
#include "core-vmm/host/fresh.h"
#include "core-vmm/host/paths.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- making one ---- */

static bool is_taken(const char *name, GError **error)
{
    g_autofree char *folder = paths_machine(name);
    if (!g_file_test(folder, G_FILE_TEST_EXISTS))
        return false;
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_EXISTS, "there is a machine %s already", name);
    return true;
}

/* renameat2 rather than rename: a name that was taken meanwhile stays whole. */
static bool publish(const char *from, const char *name, GError **error)
{
    g_autofree char *to = paths_machine(name);
    if (!renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE))
        return true;
    int e = errno;
    if (e == EEXIST)
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_EXISTS, "there is a machine %s already", name);
    else
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(e), "%s: %s", to, g_strerror(e));
    return false;
}

/* What went wrong with a file is told of the file as it would have been. */
static void tell_final(GError *error, const char *fresh, const char *final)
{
    g_autoptr(GString) text = g_string_new(error->message);
    g_string_replace(text, fresh, final, 0);
    g_free(error->message);
    error->message = g_strdup(text->str);
}

static bool create_in(const char *machines, const char *name, machine_fill fill, void *ctx, GError **error)
{
    g_autofree char *final = paths_machine(name);
    GError *why = NULL;
    int lock;
    machines_sweep();
    g_autofree char *fresh = fresh_folder(machines, FRESH_NEW, &lock, error);
    if (!fresh)
        return false;
    if (fill(ctx, fresh, &why) && publish(fresh, name, &why)) {
        fresh_done(final, lock);
        folder_sync(machines, NULL);
        return true;
    }
    tell_final(why, fresh, final);
    g_propagate_error(error, why);
    folder_remove(fresh, NULL);
    close(lock);
    return false;
}

bool machine_make(const char *name, machine_fill fill, void *ctx, GError **error)
{
    g_autofree char *machines = paths_machines();
    if (!vm_name_check(name, error) || is_taken(name, error))
        return false;
    if (!g_mkdir_with_parents(machines, 0700))
        return create_in(machines, name, fill, ctx, error);
    int e = errno;
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(e), "%s: %s", machines, g_strerror(e));
    return false;
}

/* ---- with new settings ---- */

/* What a new file says although it need not: the schema may think otherwise one day. */
static bool spell_out(GKeyFile *file, const char *section, const char *key, GError **error)
{
    const struct schema_key *k = schema_find(section, key, error);
    if (k)
        g_key_file_set_string(file, section, key, k->otherwise);
    return k != NULL;
}

/* What is chosen by the system; one that nobody knows is complained about where the rest of it is used. */
static const struct os_defaults *defaults_of(const struct settings *s)
{
    const struct os_defaults *os = s->os ? os_defaults_find(s->os) : NULL;
    return os ? os : &os_defaults[0];
}

static bool write_new(struct settings *s, GKeyFile *file, const char *folder, GError **error)
{
    g_autofree char *ini = g_build_filename(folder, "machine.ini", NULL);
    g_key_file_set_string(file, "machine", "board", defaults_of(s)->board); /* which it keeps */
    return spell_out(file, "machine", "memory", error) && spell_out(file, "serial1", "target", error) &&
           settings_apply(s, file, folder, error) && settings_write(file, ini, error);
}

void settings_heading(GKeyFile *file)
{
    g_key_file_set_comment(file, NULL, NULL, " A Terrarium machine; vmctl set changes it, docs/machine.md explains it.",
                           NULL);
}

static bool fill_new(void *ctx, const char *folder, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    struct settings *s = ctx;
    if (!s->nic) /* a new machine is online */
        s->nic = g_strdup(defaults_of(s)->nic);
    settings_heading(file);
    return write_new(ctx, file, folder, error);
}

bool machines_create(const char *name, struct settings *s, GError **error)
{
    return machine_make(name, fill_new, s, error);
}

char *machines_create_throwaway(struct settings *s, int *lock, GError **error)
{
    g_autofree char *runtime = paths_runtime(error);
    if (!runtime)
        return NULL;
    fresh_clean(runtime, PATHS_THROWAWAY); /* whose owner was killed */
    g_autofree char *folder = fresh_folder(runtime, PATHS_THROWAWAY, lock, error);
    if (!folder)
        return NULL;
    g_autoptr(GKeyFile) file = g_key_file_new();
    if (write_new(s, file, folder, error))
        return g_steal_pointer(&folder);
    machines_end_throwaway(folder, *lock);
    return NULL;
}

void machines_end_throwaway(const char *folder, int lock)
{
    folder_remove(folder, NULL);
    close(lock);
}

/* ---- another name ---- */

/* The first that needs an image of the folder by its path: a machine, or the folder's own by a path that says so. */
static bool needs_path(const char *name, const char *folder, GError **error)
{
    g_autofree char *inside = g_strconcat(folder, "/", NULL), *ini = g_build_filename(folder, "machine.ini", NULL),
                    *text = NULL;
    g_autoptr(GPtrArray) users = disk_users(folder, name, error);
    if (!users || !g_file_get_contents(ini, &text, NULL, error))
        return true;
    if (!users->len && !strstr(text, inside))
        return false;
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_IN_USE,
                "%s cannot have another name: %s names a file by its folder, %s", name,
                users->len ? (char *)users->pdata[0] : "its own machine.ini", folder);
    return true;
}

static void move_autostart(const char *from, const char *to)
{
    g_autoptr(GError) error = NULL;
    bool told;
    if (!machine_autostart_set(from, false, &told, &error) || !machine_autostart_set(to, true, &told, &error))
        g_warning("%s does not start by itself any more: %s", to, error->message);
}

bool machines_rename(const char *from, const char *to, GError **error)
{
    g_autofree char *folder = paths_machine(from), *machines = paths_machines();
    if (!vm_name_check(from, error) || !vm_name_check(to, error) || is_taken(to, error))
        return false;
    int lock = machines_hold(from, error);
    if (lock < 0)
        return false;
    bool good = !needs_path(from, folder, error) && publish(folder, to, error);
    close(lock);
    if (good)
        folder_sync(machines, NULL);
    if (good && machine_autostart_get(from))
        move_autostart(from, to);
    return good;
}
