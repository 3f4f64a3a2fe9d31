// SPDX-License-Identifier: GPL-2.0-or-later
/* remote_page.c - see remote_page.h.  The server is looked at from a thread, and changed by vmctl vnc. */
#include "gui/manager/remote_page.h"
#include "core-vmm/control/answer.h"
#include "core-vmm/control/client_vnc.h"
#include "gui/manager/facts.h"
#include <glib/gi18n.h>
#include <string.h>

enum { LOOK_MS = 2000 };

struct _VmRemote {
    AdwWindow parent_instance;
    VmItem *item;
    VmJob *job;  /* a change; NULL: none */
    guint look;  /* source; 0: none */
    bool asking; /* somebody looks */
    bool taking; /* what changes now is what the server says */
    GtkSwitch *on, *view_only, *exclusive;
    GtkEditable *listen, *password;
    GtkWidget *remove;
    AdwActionRow *where;
    AdwPreferencesGroup *clients;
    GPtrArray *rows; /* of the clients, borrowed */
    GtkLabel *notice;
};
G_DEFINE_FINAL_TYPE(VmRemote, vm_remote, ADW_TYPE_WINDOW)

static void notice(VmRemote *v, const char *text)
{
    gtk_label_set_label(v->notice, text ? text : "");
    gtk_widget_set_visible(GTK_WIDGET(v->notice), text != NULL);
}

/* ---- what there is ---- */

struct seen {
    JsonObject *status, *clients; /* clients NULL: the server does not run */
};

static void seen_free(gpointer seen)
{
    struct seen *s = seen;
    g_clear_pointer(&s->status, json_object_unref);
    g_clear_pointer(&s->clients, json_object_unref);
    g_free(s);
}

static void look_at(GTask *task, gpointer source, gpointer machine, GCancellable *cancel)
{
    GError *error = NULL;
    struct seen *s = g_new0(struct seen, 1);
    s->status = vnc_status(machine, &error);
    if (!s->status) {
        seen_free(s);
        g_task_return_error(task, error);
        return;
    }
    s->clients = answer_has(s->status, "now") ? vnc_ask(machine, "clients", NULL, NULL) : NULL;
    g_task_return_pointer(task, s, seen_free);
}

static void add_client(VmRemote *v, JsonObject *c)
{
    GtkWidget *row = adw_action_row_new(), *b = gtk_button_new_with_label(_("Disconnect"));
    g_autofree char *id = answer_shown(c, "id");
    g_autofree char *sent = size_for_people((guint64)answer_number(c, "sent-bytes", 0, G_MAXINT64, 0));
    g_autofree char *text = g_strdup_printf(
        _("For %d s, %s sent%s%s"), (int)answer_number(c, "seconds", 0, G_MAXINT, 0), sent,
        answer_flag(c, "web") ? _(", from a browser") : "", answer_flag(c, "view-only") ? _(", looks on") : "");
    adw_preferences_row_set_use_markup(ADW_PREFERENCES_ROW(row), FALSE);
    adw_preferences_row_set_title(ADW_PREFERENCES_ROW(row), answer_text(c, "address", "?"));
    adw_action_row_set_subtitle(ADW_ACTION_ROW(row), text);
    gtk_widget_set_valign(b, GTK_ALIGN_CENTER);
    gtk_actionable_set_action_name(GTK_ACTIONABLE(b), "remote.disconnect");
    gtk_actionable_set_action_target(GTK_ACTIONABLE(b), "s", id ? id : "");
    adw_action_row_add_suffix(ADW_ACTION_ROW(row), b);
    adw_preferences_group_add(v->clients, row);
    g_ptr_array_add(v->rows, row);
}

static void show_clients(VmRemote *v, JsonObject *clients)
{
    JsonArray *list = answer_array(clients, "clients");
    for (guint i = 0; i < v->rows->len; i++)
        adw_preferences_group_remove(v->clients, v->rows->pdata[i]);
    g_ptr_array_set_size(v->rows, 0);
    for (unsigned i = 0; i < answer_count(list); i++)
        add_client(v, answer_element(list, i));
    gtk_widget_set_visible(GTK_WIDGET(v->clients), v->rows->len);
}

/* One that is set while it moves, even to what it is, forgets that somebody has just turned it. */
static void set_switch(GtkSwitch *s, bool on)
{
    if (gtk_switch_get_active(s) != on)
        gtk_switch_set_active(s, on);
}

static void show(VmRemote *v, JsonObject *o)
{
    JsonObject *now = answer_object(o, "now"), *said = now ? now : o;
    bool enabled = answer_flag(o, "enabled"), password = answer_flag(said, "password");
    const char *listen = answer_text(o, "listen", "auto");
    v->taking = true;
    set_switch(v->on, enabled || now);
    set_switch(v->view_only, answer_flag(said, "view-only"));
    set_switch(v->exclusive, !strcmp(answer_text(said, "sharing", ""), "exclusive"));
    if (!gtk_widget_has_focus(GTK_WIDGET(gtk_editable_get_delegate(v->listen))) &&
        strcmp(gtk_editable_get_text(v->listen), listen))
        gtk_editable_set_text(v->listen, listen);
    v->taking = false;
    adw_action_row_set_subtitle(v->where, now       ? answer_text(now, "where", "?")
                                          : enabled ? _("It begins with the machine's next start")
                                                    : _("Off"));
    adw_preferences_row_set_title(ADW_PREFERENCES_ROW(v->password), password ? _("New Password") : _("Password: None"));
    gtk_widget_set_visible(v->remove, password);
}

static void on_looked(GObject *remote, GAsyncResult *result, gpointer unused)
{
    VmRemote *v = VM_REMOTE(remote);
    g_autoptr(GError) error = NULL;
    struct seen *s = g_task_propagate_pointer(G_TASK(result), &error);
    v->asking = false;
    if (v->rows && !v->job) { /* neither closed, nor about to change */
        if (s)
            show(v, s->status);
        else
            notice(v, error->message);
        show_clients(v, s ? s->clients : NULL);
    }
    if (s)
        seen_free(s);
}

static gboolean on_look_time(gpointer remote)
{
    VmRemote *v = remote;
    if (v->asking || v->job)
        return G_SOURCE_CONTINUE;
    v->asking = true;
    g_autoptr(GTask) task = g_task_new(v, NULL, on_looked, NULL);
    g_task_set_task_data(task, g_strdup(vm_item_name(v->item)), g_free);
    g_task_run_in_thread(task, look_at);
    return G_SOURCE_CONTINUE;
}

/* ---- changing ---- */

static void on_changed(VmJob *job, GParamSpec *spec, gpointer remote)
{
    VmRemote *v = remote;
    notice(v, vm_job_problem(job));
    g_clear_object(&v->job);
    on_look_time(v);
}

/* lines: for its standard input; NULL: none. */
static void change(VmRemote *v, const char *const *words, const char *lines)
{
    if (v->job || v->taking)
        return;
    notice(v, NULL);
    v->job = vm_job_new_secret(_("Changing the VNC Server"), words, lines);
    g_signal_connect_object(v->job, "notify::done", G_CALLBACK(on_changed), v, 0);
}

static void on_on(VmRemote *v)
{
    const char *words[] = {"vnc", "--", vm_item_name(v->item), gtk_switch_get_active(v->on) ? "on" : "off", NULL};
    change(v, words, NULL);
}

/* What is set here is wanted on. */
static void on_wish(VmRemote *v)
{
    g_autofree char *listen = g_strconcat("--listen=", gtk_editable_get_text(v->listen), NULL);
    const char *words[] = {"vnc",
                           listen,
                           gtk_switch_get_active(v->view_only) ? "--view-only" : "--control",
                           gtk_switch_get_active(v->exclusive) ? "--exclusive" : "--shared",
                           "--",
                           vm_item_name(v->item),
                           "on",
                           NULL};
    change(v, words, NULL);
}

static void set_password(GtkWidget *w, const char *action, GVariant *parameter)
{
    VmRemote *v = VM_REMOTE(w);
    const char *words[] = {"vnc", "--", vm_item_name(v->item), "password", NULL};
    if (strpbrk(gtk_editable_get_text(v->password), "\r\n")) {
        notice(v, _("The password has a line break, which no password may have here."));
        return;
    }
    change(v, words, gtk_editable_get_text(v->password));
    gtk_editable_set_text(v->password, "");
}

static void remove_password(GtkWidget *w, const char *action, GVariant *parameter)
{
    const char *words[] = {"vnc", "--remove", "--", vm_item_name(VM_REMOTE(w)->item), "password", NULL};
    change(VM_REMOTE(w), words, NULL);
}

static void disconnect(GtkWidget *w, const char *action, GVariant *parameter)
{
    const char *words[] = {
        "vnc", "--", vm_item_name(VM_REMOTE(w)->item), "disconnect", g_variant_get_string(parameter, NULL), NULL};
    change(VM_REMOTE(w), words, NULL);
}

/* ---- as an object ---- */

void vm_remote_show(VmWindow *w, VmItem *m)
{
    VmRemote *v = g_object_new(vm_remote_get_type(), "transient-for", w, NULL);
    v->item = g_object_ref(m);
    on_look_time(v);
    v->look = g_timeout_add(LOOK_MS, on_look_time, v);
    gtk_window_present(GTK_WINDOW(v));
}

static void dispose(GObject *o)
{
    VmRemote *v = VM_REMOTE(o);
    if (v->look)
        g_source_remove(v->look);
    v->look = 0;
    g_clear_object(&v->job);
    g_clear_object(&v->item);
    g_clear_pointer(&v->rows, g_ptr_array_unref);
    gtk_widget_dispose_template(GTK_WIDGET(o), vm_remote_get_type());
    G_OBJECT_CLASS(vm_remote_parent_class)->dispose(o);
}

static void vm_remote_class_init(VmRemoteClass *c)
{
    GtkWidgetClass *w = GTK_WIDGET_CLASS(c);
    G_OBJECT_CLASS(c)->dispose = dispose;
    gtk_widget_class_set_template_from_resource(w, "/org/terrarium/Terrarium/ui/remote.ui");
    gtk_widget_class_bind_template_child(w, VmRemote, on);
    gtk_widget_class_bind_template_child(w, VmRemote, view_only);
    gtk_widget_class_bind_template_child(w, VmRemote, exclusive);
    gtk_widget_class_bind_template_child(w, VmRemote, listen);
    gtk_widget_class_bind_template_child(w, VmRemote, password);
    gtk_widget_class_bind_template_child(w, VmRemote, remove);
    gtk_widget_class_bind_template_child(w, VmRemote, where);
    gtk_widget_class_bind_template_child(w, VmRemote, clients);
    gtk_widget_class_bind_template_child(w, VmRemote, notice);
    gtk_widget_class_install_action(w, "remote.set-password", NULL, set_password);
    gtk_widget_class_install_action(w, "remote.remove-password", NULL, remove_password);
    gtk_widget_class_install_action(w, "remote.disconnect", "s", disconnect);
    gtk_widget_class_add_binding_action(w, GDK_KEY_Escape, 0, "window.close", NULL);
}

static void vm_remote_init(VmRemote *v)
{
    v->rows = g_ptr_array_new();
    gtk_widget_init_template(GTK_WIDGET(v));
    g_signal_connect_object(v->on, "notify::active", G_CALLBACK(on_on), v, G_CONNECT_SWAPPED);
    g_signal_connect_object(v->view_only, "notify::active", G_CALLBACK(on_wish), v, G_CONNECT_SWAPPED);
    g_signal_connect_object(v->exclusive, "notify::active", G_CALLBACK(on_wish), v, G_CONNECT_SWAPPED);
    g_signal_connect_object(v->listen, "apply", G_CALLBACK(on_wish), v, G_CONNECT_SWAPPED);
}
