// SPDX-License-Identifier: GPL-2.0-or-later
/* work.c - see work.h. */
#include "gui/manager/work.h"
#include <glib/gi18n.h>

struct work {
    VmWindow *window; /* cleared when it is gone */
    char *done, *machine, *button, *action, *target;
};

static void work_free(gpointer work, GClosure *closure)
{
    struct work *k = work;
    g_clear_weak_pointer(&k->window);
    g_free(k->done);
    g_free(k->machine);
    g_free(k->button);
    g_free(k->action);
    g_free(k->target);
    g_free(k);
}

/* The window, or a dialog of it, has the keyboard. */
static bool is_in_front(VmWindow *w)
{
    GtkWindow *front = w ? gtk_application_get_active_window(gtk_window_get_application(GTK_WINDOW(w))) : NULL;
    if (!front)
        return false;
    bool active = gtk_window_is_active(GTK_WINDOW(w));
    GListModel *all = gtk_window_get_toplevels();
    for (guint i = 0; i < g_list_model_get_n_items(all) && !active; i++) {
        g_autoptr(GtkWindow) t = g_list_model_get_item(all, i);
        active = gtk_window_get_transient_for(t) == GTK_WINDOW(w) && gtk_window_is_active(t);
    }
    return active;
}

static void tell_desktop(const struct work *k, const char *title, const char *body)
{
    GApplication *app = g_application_get_default();
    g_autoptr(GNotification) n = g_notification_new(title);
    if (body)
        g_notification_set_body(n, body);
    g_notification_set_default_action_and_target(n, "app.show", "s", k->machine ? k->machine : "");
    g_application_send_notification(app, NULL, n);
}

static void on_done(VmJob *job, GParamSpec *spec, gpointer work)
{
    struct work *k = work;
    bool front = is_in_front(k->window);
    if (vm_job_was_cancelled(job))
        return;
    if (!vm_job_problem(job) && k->window)
        vm_window_toast_action(k->window, k->done, k->button, k->action, k->target);
    if (front)
        return;
    g_autofree char *failed = g_strdup_printf(_("%s failed"), vm_job_title(job));
    tell_desktop(k, vm_job_problem(job) ? failed : k->done, vm_job_problem(job));
}

void work_follow_action(VmWindow *w, VmJob *job, const char *done, const char *machine, const char *button,
                        const char *action, const char *target)
{
    struct work *k = g_new0(struct work, 1);
    g_set_weak_pointer(&k->window, w);
    k->done = g_strdup(done);
    k->machine = g_strdup(machine);
    k->button = g_strdup(button);
    k->action = g_strdup(action);
    k->target = g_strdup(target);
    g_signal_connect_data(job, "notify::done", G_CALLBACK(on_done), k, work_free, 0);
}

void work_follow(VmWindow *w, VmJob *job, const char *done, const char *machine)
{
    work_follow_action(w, job, done, machine, NULL, NULL, NULL);
}
