// SPDX-License-Identifier: GPL-2.0-or-later
/* networks_work.c - see networks_work.h. */
#include "gui/manager/networks_work.h"

/* ---- looking ---- */

static void seen_free(gpointer seen)
{
    struct network_seen *s = seen;
    network_free(s->network);
    g_clear_pointer(&s->leases, g_ptr_array_unref);
    g_free(s);
}

static void look(GTask *task, gpointer source, gpointer data, GCancellable *cancel)
{
    GError *error = NULL;
    GPtrArray *all = networks_list(&error);
    if (!all) {
        g_task_return_error(task, error);
        return;
    }
    GPtrArray *seen = g_ptr_array_new_with_free_func(seen_free);
    g_ptr_array_set_free_func(all, NULL); /* they are the seen ones' now */
    for (guint i = 0; i < all->len; i++) {
        struct network_seen *s = g_new0(struct network_seen, 1);
        s->network = all->pdata[i];
        s->leases = s->network->def.dhcp ? networks_leases(s->network->name, NULL) : NULL;
        g_ptr_array_add(seen, s);
    }
    g_ptr_array_unref(all);
    g_task_return_pointer(task, seen, (GDestroyNotify)g_ptr_array_unref);
}

void networks_look(GObject *source, GAsyncReadyCallback done, gpointer data)
{
    g_autoptr(GTask) task = g_task_new(source, NULL, done, data);
    g_task_run_in_thread(task, look);
}

GPtrArray *networks_looked(GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}

/* ---- changing ---- */

struct change {
    char *name, *kind, *range, *dhcp;
    bool goes;
};

static void change_free(gpointer change)
{
    struct change *c = change;
    g_free(c->name);
    g_free(c->kind);
    g_free(c->range);
    g_free(c->dhcp);
    g_free(c);
}

static void change(GTask *task, gpointer source, gpointer data, GCancellable *cancel)
{
    const struct change *c = data;
    GError *error = NULL;
    bool good =
        c->goes ? networks_delete(c->name, &error) : networks_create(c->name, c->kind, c->range, c->dhcp, &error);
    if (good)
        g_task_return_boolean(task, TRUE);
    else
        g_task_return_error(task, error);
}

void networks_change(GObject *source, const struct network_wish *w, GAsyncReadyCallback done, gpointer data)
{
    const struct change c = {g_strdup(w->name), g_strdup(w->kind), g_strdup(w->range), g_strdup(w->dhcp), w->goes};
    g_autoptr(GTask) task = g_task_new(source, NULL, done, data);
    g_task_set_task_data(task, g_memdup2(&c, sizeof c), change_free);
    g_task_run_in_thread(task, change);
}

bool networks_changed(GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}
