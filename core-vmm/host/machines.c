// SPDX-License-Identifier: GPL-2.0-or-later
/* machines.c - which machines there are, and how they are: by name, as a list. */
#include "core-vmm/host/machines.h"
#include "core-vmm/api/config.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/fresh.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/host/suggest.h"
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define POLL_US 20000

/* ---- by name ---- */

static void not_found(const char *given, GPtrArray *names, GError **error)
{
    g_ptr_array_add(names, NULL);
    const char *near = suggest(given, (const char *const *)names->pdata);
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_NOT_FOUND, "there is no machine %s; %s%s%s", given,
                near ? "did you mean " : "vmctl list shows those there are", near ? near : "", near ? "?" : "");
}

static void ambiguous(const char *given, GPtrArray *matches, GError **error)
{
    g_ptr_array_add(matches, NULL);
    g_autofree char *all = g_strjoinv(", ", (char **)matches->pdata);
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_AMBIGUOUS, "%s could be any of %s", given, all);
}

char *machines_find(const char *given, GError **error)
{
    g_autoptr(GPtrArray) names = paths_list(error), matches = g_ptr_array_new();
    if (!names)
        return NULL;
    for (unsigned i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];
        if (!strcmp(name, given))
            return g_strdup(name);
        if (*given && g_str_has_prefix(name, given))
            g_ptr_array_add(matches, (gpointer)name);
    }
    if (matches->len == 1)
        return g_strdup(matches->pdata[0]);
    if (matches->len)
        ambiguous(given, matches, error);
    else
        not_found(given, names, error);
    return NULL;
}

char *machines_folder(const char *name)
{
    char *folder = paths_machine(name);
    g_autofree char *runtime = paths_runtime(NULL);
    if (!runtime || g_file_test(folder, G_FILE_TEST_IS_DIR) || !paths_is_throwaway(name))
        return folder;
    g_free(folder);
    return g_build_filename(runtime, name, NULL);
}

char *machines_ini(const char *name)
{
    g_autofree char *folder = machines_folder(name);
    return g_build_filename(folder, "machine.ini", NULL);
}

/* ---- how they are ---- */

static guint64 mix(guint64 a, guint64 b)
{
    return (a ^ b) * UINT64_C(0x9e3779b97f4a7c15);
}

/* A file that is written anew is another one: see file_replace(). */
static guint64 print_of(const struct stat *st)
{
    guint64 when = mix(st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
    return mix(mix(when, st->st_size), st->st_ino) | 1;
}

static void read_settings(struct machine_entry *e, const char *ini)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GKeyFile) file = schema_load(ini, &error);
    const struct config c = {file, ini, "machine"};
    if (file && config_size(&c, "memory", &e->memory, &error))
        return;
    e->why = g_strdup(error->message);
    if (e->state == ENTRY_STOPPED)
        e->state = ENTRY_DAMAGED;
}

struct machine_entry *machines_glance(const char *name)
{
    struct machine_entry *e = g_new0(struct machine_entry, 1);
    g_autofree char *folder = machines_folder(name), *ini = g_build_filename(folder, "machine.ini", NULL);
    struct stat st;
    e->name = g_strdup(name);
    if (lstat(ini, &st))
        e->state = ENTRY_NO_INI;
    else
        e->settings = print_of(&st);
    e->saved = saved_look(name, &(struct machine_saved){0});
    e->process = machine_lock_holder(folder);
    if (e->process)
        e->state = ENTRY_RUNS;
    return e;
}

struct machine_entry *machines_look(const char *name)
{
    struct machine_entry *e = machines_glance(name);
    g_autofree char *ini = machines_ini(name);
    if (e->settings)
        read_settings(e, ini);
    return e;
}

void machine_entry_free(gpointer entry)
{
    struct machine_entry *e = entry;
    g_free(e->name);
    g_free(e->why);
    g_free(e);
}

void machines_sweep(void)
{
    g_autofree char *machines = paths_machines();
    fresh_clean(machines, FRESH_NEW);
    fresh_clean(machines, FRESH_GONE);
}

GPtrArray *machines_list(GError **error)
{
    machines_sweep();
    g_autoptr(GPtrArray) names = paths_list(error);
    if (!names)
        return NULL;
    GPtrArray *list = g_ptr_array_new_with_free_func(machine_entry_free);
    for (guint i = 0; i < names->len; i++)
        g_ptr_array_add(list, machines_look(names->pdata[i]));
    return list;
}

/* ---- running or not ---- */

bool machines_wait_gone(const char *name, gint64 us)
{
    g_autofree char *folder = machines_folder(name);
    gint64 end = g_get_monotonic_time() + us;
    while (machine_lock_holder(folder)) {
        if (g_get_monotonic_time() > end)
            return false;
        g_usleep(POLL_US);
    }
    return true;
}

/* Whoever had the lock before may have taken the machine away, and another one of that name may be there by now. */
static bool is_lock_of(int lock, const char *folder)
{
    g_autofree char *path = g_build_filename(folder, "lock", NULL);
    struct stat ours, there;
    return !fstat(lock, &ours) && !lstat(path, &there) && ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

int machines_hold(const char *name, GError **error)
{
    g_autofree char *folder = paths_machine(name);
    GError *why = NULL;
    pid_t holder = 0;
    int lock = -1;
    if (!g_file_test(folder, G_FILE_TEST_EXISTS))
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_NOT_FOUND, "there is no machine %s", name);
    else if (!g_file_test(folder, G_FILE_TEST_IS_DIR))
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED, "%s is a file, and no machine; it is left alone",
                    folder);
    else
        lock = machine_lock(folder, &holder, &why);
    if (holder) {
        g_clear_error(&why);
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_RUNNING, "%s is running; vmctl stop %s stops it", name, name);
    } else if (why) {
        g_propagate_error(error, why);
    } else if (lock >= 0 && !is_lock_of(lock, folder)) {
        close(lock);
        lock = -1;
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_NOT_FOUND, "there is no machine %s", name);
    }
    return lock;
}

bool machines_not_running(const char *name, GError **error)
{
    g_autofree char *folder = machines_folder(name), *runtime = paths_runtime(NULL);
    pid_t holder = machine_lock_holder(folder);
    if (holder)
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_NOT_RUNNING,
                    "%s is running as process %d, but not with its control socket in %s", name, (int)holder, runtime);
    else
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_NOT_RUNNING, "%s is not running; vmctl start %s starts it",
                    name, name);
    return false;
}
