// SPDX-License-Identifier: GPL-2.0-or-later
/* autostart.c - see autostart.h.  systemd is told, which is waited for in a thread. */
#include "gui/manager/autostart.h"
#include "core-vmm/host/machine_autostart.h"

struct wish {
    char *name;
    bool on;
};

static void wish_free(gpointer wish)
{
    struct wish *w = wish;
    g_free(w->name);
    g_free(w);
}

static void work(GTask *task, gpointer source, gpointer wish, GCancellable *cancel)
{
    const struct wish *w = wish;
    GError *error = NULL;
    bool told;
    if (machine_autostart_set(w->name, w->on, &told, &error))
        g_task_return_boolean(task, TRUE);
    else
        g_task_return_error(task, error);
}

static void on_toggled(GtkSwitch *s, GParamSpec *spec, gpointer item);

/* One that is set while it moves, even to what it is, forgets that somebody has just turned it. */
static void show(GtkSwitch *s, VmItem *m)
{
    bool on = m && machine_autostart_get(vm_item_name(m));
    if (gtk_switch_get_active(s) == on)
        return;
    g_signal_handlers_block_matched(s, G_SIGNAL_MATCH_FUNC, 0, 0, NULL, (gpointer)on_toggled, NULL);
    gtk_switch_set_active(s, on);
    g_signal_handlers_unblock_matched(s, G_SIGNAL_MATCH_FUNC, 0, 0, NULL, (gpointer)on_toggled, NULL);
}

static void on_set(GObject *widget, GAsyncResult *result, gpointer item)
{
    g_autoptr(VmItem) m = item;
    g_autoptr(GError) error = NULL;
    if (g_task_propagate_boolean(G_TASK(result), &error))
        return;
    vm_item_set_problem(m, error->message);
    if (g_object_get_data(widget, "machine") == m)
        show(GTK_SWITCH(widget), m);
}

static void on_toggled(GtkSwitch *s, GParamSpec *spec, gpointer item)
{
    const struct wish w = {g_strdup(vm_item_name(item)), gtk_switch_get_active(s)};
    g_autoptr(GTask) task = g_task_new(s, NULL, on_set, g_object_ref(item));
    g_task_set_task_data(task, g_memdup2(&w, sizeof w), wish_free);
    g_task_run_in_thread(task, work);
}

void autostart_follow(GtkSwitch *s, VmItem *m)
{
    if (g_object_get_data(G_OBJECT(s), "machine") != m) {
        g_signal_handlers_disconnect_matched(s, G_SIGNAL_MATCH_FUNC, 0, 0, NULL, (gpointer)on_toggled, NULL);
        g_object_set_data_full(G_OBJECT(s), "machine", m ? g_object_ref(m) : NULL, g_object_unref);
        if (m)
            g_signal_connect(s, "notify::active", G_CALLBACK(on_toggled), m);
    }
    show(s, m);
}
