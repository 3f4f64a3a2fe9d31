// SPDX-License-Identifier: GPL-2.0-or-later
/* settings_change.c - see settings_change.h. */
#include "gui/manager/settings_change.h"
#include "core-vmm/control/client_limits.h"
#include "core-vmm/host/machines.h"
#include "core-vmm/host/paths.h"

struct change {
    char *name;
    char **assignments, **removals;
};

static void change_free(gpointer change)
{
    struct change *c = change;
    g_free(c->name);
    g_strfreev(c->assignments);
    g_strfreev(c->removals);
    g_free(c);
}

static bool concern_limits(char **settings)
{
    for (char **s = settings; s && *s; s++)
        if (limits_concern(*s))
            return true;
    return false;
}

/* A machine that runs is told its limits; the rest counts from its next start. */
static bool change(struct change *c, GError **error)
{
    enum settings_count count;
    if (!machines_change(c->name, c->assignments, c->removals, &count, error))
        return false;
    if (!concern_limits(c->assignments) && !concern_limits(c->removals))
        return true;
    g_autofree char *folder = machines_folder(c->name);
    return !machine_lock_holder(folder) || limits_tell(c->name, error);
}

static void work(GTask *task, gpointer item, gpointer data, GCancellable *cancel)
{
    GError *error = NULL;
    if (change(data, &error))
        g_task_return_boolean(task, TRUE);
    else
        g_task_return_error(task, error);
}

static void settings_changed(GObject *item, GAsyncResult *result, gpointer unused)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *problem =
        g_task_propagate_boolean(G_TASK(result), &error) ? NULL : vm_problem_text(error->message);
    if (problem)
        vm_item_set_problem(VM_ITEM(item), problem);
    vm_item_look(VM_ITEM(item));
}

void settings_change_all(VmItem *m, const char *const *assignments, const char *const *removals)
{
    const struct change c = {g_strdup(vm_item_name(m)), g_strdupv((char **)assignments), g_strdupv((char **)removals)};
    g_autoptr(GTask) task = g_task_new(m, NULL, settings_changed, NULL);
    g_task_set_task_data(task, g_memdup2(&c, sizeof c), change_free);
    g_task_run_in_thread(task, work);
}

void settings_change(VmItem *m, const char *section, const char *key, const char *value)
{
    g_autofree char *text =
        value ? g_strdup_printf("%s.%s=%s", section, key, value) : g_strdup_printf("%s.%s", section, key);
    const char *const one[] = {text, NULL};
    settings_change_all(m, value ? one : NULL, value ? NULL : one);
}
