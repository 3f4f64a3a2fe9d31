// SPDX-License-Identifier: GPL-2.0-or-later
/* guest_page.c - see guest_page.h.  The work is vmctl's, which is told the password by its standard input; what a program says is shown when it has
 * ended. */
#include "gui/manager/guest_page.h"
#include "core-vmm/host/terminal.h"
#include <glib/gi18n.h>
#include <string.h>

struct _VmGuest {
    AdwWindow parent_instance;
    VmItem *item;
    VmJob *job; /* NULL: none is under way */
    GtkEditable *user, *password, *command, *path;
    GtkTextView *output;
    GtkLabel *notice;
    GtkSpinner *spinner;
    GtkWidget *said, *cancel;
};
G_DEFINE_FINAL_TYPE(VmGuest, vm_guest, ADW_TYPE_WINDOW)

static void notice(VmGuest *v, const char *text)
{
    gtk_label_set_label(v->notice, text ? text : "");
    gtk_widget_set_visible(GTK_WIDGET(v->notice), text != NULL);
}

/* What cannot be begun yet. */
static void update(VmGuest *v)
{
    bool login = *gtk_editable_get_text(v->user) && !v->job;
    const char *path = gtk_editable_get_text(v->path);
    bool file = login && *path == '/' && path[1];
    gtk_widget_action_set_enabled(GTK_WIDGET(v), "guest.run", login && *gtk_editable_get_text(v->command));
    gtk_widget_action_set_enabled(GTK_WIDGET(v), "guest.put", file);
    gtk_widget_action_set_enabled(GTK_WIDGET(v), "guest.get", file && !g_str_has_suffix(path, "/"));
    gtk_widget_set_visible(v->cancel, v->job != NULL);
    gtk_spinner_set_spinning(v->spinner, v->job != NULL);
}

static void show_output(VmGuest *v, VmJob *job)
{
    const char *text = vm_job_output(job), *note = vm_job_note(job);
    g_autofree char *both = g_strconcat(text, note ? note : "", NULL);
    g_autofree char *shown = terminal_text(both, strlen(both));
    gtk_text_buffer_set_text(gtk_text_view_get_buffer(v->output), shown, -1);
    gtk_widget_set_visible(v->said, *shown != 0);
}

static void on_done(VmJob *job, GParamSpec *spec, gpointer guest)
{
    VmGuest *v = guest;
    const char *problem = vm_job_was_cancelled(job) ? _("Cancelled.") : vm_job_problem(job);
    g_autofree char *done = g_strdup_printf(_("%s: done"), vm_job_title(job));
    g_autofree char *shown = problem ? terminal_text(problem, strlen(problem)) : NULL;
    show_output(v, job);
    notice(v, shown ? shown : done);
    g_clear_object(&v->job);
    update(v);
}

/* A password with a line break would be cut. */
static void begin(VmGuest *v, const char *title, const char *const *words)
{
    const char *password = gtk_editable_get_text(v->password);
    if (strpbrk(password, "\r\n")) {
        notice(v, _("The password has a line break, which no password may have here."));
        return;
    }
    notice(v, NULL);
    gtk_widget_set_visible(v->said, FALSE);
    v->job = vm_job_new_secret(title, words, password);
    g_signal_connect_object(v->job, "notify::done", G_CALLBACK(on_done), v, 0);
    update(v);
}

static void run(GtkWidget *w, const char *action, GVariant *parameter)
{
    VmGuest *v = VM_GUEST(w);
    g_autofree char *user = g_strconcat("--user=", gtk_editable_get_text(v->user), NULL);
    const char *words[] = {
        "exec", user, "--password-file=-", "--", vm_item_name(v->item), "sh", "-c", gtk_editable_get_text(v->command),
        NULL};
    begin(v, _("The program"), words);
}

static void cancel(GtkWidget *w, const char *action, GVariant *parameter)
{
    if (VM_GUEST(w)->job)
        vm_job_cancel(VM_GUEST(w)->job);
}

/* ---- files ---- */

static void on_file(GtkNativeDialog *dialog, int response, gpointer guest)
{
    VmGuest *v = guest;
    bool out = gtk_file_chooser_get_action(GTK_FILE_CHOOSER(dialog)) == GTK_FILE_CHOOSER_ACTION_SAVE;
    g_autoptr(GFile) file =
        response == GTK_RESPONSE_ACCEPT ? gtk_file_chooser_get_file(GTK_FILE_CHOOSER(dialog)) : NULL;
    g_autofree char *here = file ? g_file_get_path(file) : NULL;
    g_autofree char *user = g_strconcat("--user=", gtk_editable_get_text(v->user), NULL);
    g_autofree char *there = g_strconcat(vm_item_name(v->item), ":", gtk_editable_get_text(v->path), NULL);
    const char *words[] = {"cp", user, "--password-file=-", "--", out ? there : here, out ? here : there, NULL};
    if (here && !v->job)
        begin(v, _("Copying"), words);
    g_object_unref(dialog);
}

static void ask_file(VmGuest *v, const char *title, GtkFileChooserAction action, const char *verb, const char *name)
{
    GtkFileChooserNative *chooser = gtk_file_chooser_native_new(title, GTK_WINDOW(v), action, verb, NULL);
    gtk_native_dialog_set_modal(GTK_NATIVE_DIALOG(chooser), TRUE);
    if (name)
        gtk_file_chooser_set_current_name(GTK_FILE_CHOOSER(chooser), name);
    g_signal_connect_object(chooser, "response", G_CALLBACK(on_file), v, 0);
    gtk_native_dialog_show(GTK_NATIVE_DIALOG(chooser));
}

static void put(GtkWidget *w, const char *action, GVariant *parameter)
{
    ask_file(VM_GUEST(w), _("A File for the Guest"), GTK_FILE_CHOOSER_ACTION_OPEN, _("_Copy"), NULL);
}

static void get(GtkWidget *w, const char *action, GVariant *parameter)
{
    g_autofree char *base = g_path_get_basename(gtk_editable_get_text(VM_GUEST(w)->path));
    ask_file(VM_GUEST(w), _("A File of the Guest"), GTK_FILE_CHOOSER_ACTION_SAVE, _("_Copy"), base);
}

/* ---- as an object ---- */

static void on_enter(VmGuest *v)
{
    gtk_widget_activate_action(GTK_WIDGET(v), "guest.run", NULL);
}

void vm_guest_show(VmWindow *w, VmItem *m)
{
    VmGuest *v = g_object_new(vm_guest_get_type(), "transient-for", w, NULL);
    v->item = g_object_ref(m);
    gtk_window_present(GTK_WINDOW(v));
}

static void dispose(GObject *o)
{
    VmGuest *v = VM_GUEST(o);
    g_clear_object(&v->job);
    g_clear_object(&v->item);
    gtk_widget_dispose_template(GTK_WIDGET(o), vm_guest_get_type());
    G_OBJECT_CLASS(vm_guest_parent_class)->dispose(o);
}

static void vm_guest_class_init(VmGuestClass *c)
{
    GtkWidgetClass *w = GTK_WIDGET_CLASS(c);
    G_OBJECT_CLASS(c)->dispose = dispose;
    gtk_widget_class_set_template_from_resource(w, "/org/terrarium/Terrarium/ui/guest.ui");
    gtk_widget_class_bind_template_child(w, VmGuest, user);
    gtk_widget_class_bind_template_child(w, VmGuest, password);
    gtk_widget_class_bind_template_child(w, VmGuest, command);
    gtk_widget_class_bind_template_child(w, VmGuest, path);
    gtk_widget_class_bind_template_child(w, VmGuest, output);
    gtk_widget_class_bind_template_child(w, VmGuest, notice);
    gtk_widget_class_bind_template_child(w, VmGuest, spinner);
    gtk_widget_class_bind_template_child(w, VmGuest, said);
    gtk_widget_class_bind_template_child(w, VmGuest, cancel);
    gtk_widget_class_install_action(w, "guest.run", NULL, run);
    gtk_widget_class_install_action(w, "guest.cancel", NULL, cancel);
    gtk_widget_class_install_action(w, "guest.put", NULL, put);
    gtk_widget_class_install_action(w, "guest.get", NULL, get);
    gtk_widget_class_add_binding_action(w, GDK_KEY_Escape, 0, "window.close", NULL);
}

static void vm_guest_init(VmGuest *v)
{
    gtk_widget_init_template(GTK_WIDGET(v));
    const GtkEditable *const all[] = {v->user, v->command, v->path};
    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++)
        g_signal_connect_object((gpointer)all[i], "changed", G_CALLBACK(update), v, G_CONNECT_SWAPPED);
    g_signal_connect_object(v->command, "entry-activated", G_CALLBACK(on_enter), v, G_CONNECT_SWAPPED);
    update(v);
}
