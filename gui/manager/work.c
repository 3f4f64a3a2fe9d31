// SPDX-License-Identifier: GPL-2.0-or-later
/* work.c - see work.h. */
#include "gui/manager/work.h"
#include <glib/gi18n.h>

struct work {
    GApplication *app; /* held until the work has ended, so that its end can be told without a window */
    VmWindow *window;  /* cleared when it is gone */
    GObject *teller;   /* the same */
    char *done, *machine, *button, *action, *target;
    bool teller_says_all;
};

static void work_free(gpointer work, GClosure *closure)
{
    struct work *k = work;
    g_clear_weak_pointer(&k->window);
    g_clear_weak_pointer(&k->teller);
    g_application_release(k->app);
    g_object_unref(k->app);
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

/* A body may be read as markup, and what failed may have been named by whoever made an appliance.  Servers that read none would show
 * entities, so other characters take the place of what begins markup. */
static char *without_markup(const char *text)
{
    GString *s = g_string_new(text);
    g_string_replace(s, "<", "‹", 0);
    g_string_replace(s, ">", "›", 0);
    g_string_replace(s, "&", "＆", 0);
    return g_string_free(s, FALSE);
}

/* machine: NULL: none */
static void tell_desktop(const struct work *k, const char *title, const char *body, const char *machine)
{
    g_autoptr(GNotification) n = g_notification_new(title);
    g_autofree char *plain = body ? without_markup(body) : NULL;
    if (plain)
        g_notification_set_body(n, plain);
    g_notification_set_default_action_and_target(n, "app.show", "s", machine ? machine : "");
    g_application_send_notification(k->app, NULL, n);
}

/* Where it was begun may be gone, closed while others hold it, or the page of another machine is shown. */
static bool is_shown(const struct work *k)
{
    if (k->teller && GTK_IS_WIDGET(k->teller))
        return gtk_widget_get_mapped(GTK_WIDGET(k->teller));
    return k->teller && vm_window_item(k->window, "") == VM_ITEM(k->teller);
}

static void tell_failure(const struct work *k, VmJob *job, bool front)
{
    const char *machine = k->teller && VM_IS_ITEM(k->teller) ? vm_item_name(VM_ITEM(k->teller)) : NULL;
    g_autofree char *title = g_strdup_printf(_("%s failed"), vm_job_title(job));
    g_autofree char *both = g_strdup_printf(_("%s failed: %s"), vm_job_title(job), vm_job_problem(job));
    if (k->window && !is_shown(k))
        vm_window_toast_action(k->window, both, machine ? _("Show") : NULL, "win.choose", machine);
    if (!front)
        tell_desktop(k, title, vm_job_problem(job), machine);
}

static void on_done(VmJob *job, GParamSpec *spec, gpointer work)
{
    struct work *k = work;
    bool front = is_in_front(k->window);
    if (vm_job_was_cancelled(job))
        return;
    if (vm_job_problem(job)) {
        tell_failure(k, job, front);
        return;
    }
    if (k->window && !(k->teller_says_all && is_shown(k)))
        vm_window_toast_action(k->window, k->done, k->button, k->action, k->target);
    if (!front)
        tell_desktop(k, k->done, NULL, k->machine);
}

void work_follow(VmWindow *w, VmJob *job, const struct work_end *end)
{
    struct work *k = g_new0(struct work, 1);
    k->app = g_object_ref(g_application_get_default());
    g_application_hold(k->app);
    g_set_weak_pointer(&k->window, w);
    g_set_weak_pointer(&k->teller, G_OBJECT(end->teller));
    k->teller_says_all = end->teller_says_all;
    k->done = g_strdup(end->done);
    k->machine = g_strdup(end->machine);
    k->button = g_strdup(end->button);
    k->action = g_strdup(end->action);
    k->target = g_strdup(end->target);
    g_signal_connect_data(job, "notify::done", G_CALLBACK(on_done), k, work_free, 0);
}
