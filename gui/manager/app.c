// SPDX-License-Identifier: GPL-2.0-or-later
/* app.c - see app.h. */
#include "gui/manager/app.h"
#include "gui/manager/window.h"
#include <glib/gi18n.h>

struct _VmApp {
    AdwApplication parent_instance;
    VmLibrary *library;
};
G_DEFINE_FINAL_TYPE(VmApp, vm_app, ADW_TYPE_APPLICATION)

static const struct {
    const char *action;
    const char *keys[3];
} keys[] = {
    {"app.quit", {"<ctrl>q"}},
    {"app.shortcuts", {"<ctrl>question", "F1"}},
    {"win.new", {"<ctrl>n"}},
    {"win.search", {"<ctrl>f"}},
    {"win.other-view", {"<ctrl>g"}},
    {"win.back", {"<alt>Left", "Back"}},
    {"window.close", {"<ctrl>w"}},
    {"win.open('')", {"<ctrl>Return", "<ctrl>KP_Enter"}},
    {"win.pause-or-resume('')", {"<ctrl>p"}},
    {"win.save('')", {"<ctrl>s"}},
    {"win.shut-down('')", {"<ctrl>d"}},
    {"win.reset('')", {"<ctrl><shift>r"}},
    {"win.force-off('')", {"<ctrl><shift>k"}},
    {"win.take-snapshot('')", {"<ctrl><shift>s"}},
    {"win.rename('')", {"F2"}},
    {"win.delete('')", {"<ctrl>Delete"}},
};

static void on_quit(GSimpleAction *a, GVariant *parameter, gpointer app)
{
    GList *windows = gtk_application_get_windows(app);
    while (windows) {
        GtkWindow *w = windows->data;
        windows = windows->next;
        gtk_window_close(w);
    }
}

static void on_about(GSimpleAction *a, GVariant *parameter, gpointer app)
{
    adw_show_about_window(gtk_application_get_active_window(app), "application-name", "Terrarium", "application-icon",
                          APP_ID, "version", TERRARIUM_VERSION, "developer-name", _("The Terrarium developers"),
                          "license-type", GTK_LICENSE_GPL_2_0, "comments",
                          _("Whole operating systems in windows on a Linux desktop."), NULL);
}

/* Made when it is wanted: GTK 4.8 ends the program when a screen reader asks for a window beyond the last while there is a hidden
 * one, as GtkApplicationWindow's own help overlay is. */
static void on_shortcuts(GSimpleAction *a, GVariant *parameter, gpointer app)
{
    g_autoptr(GtkBuilder) b = gtk_builder_new_from_resource("/org/terrarium/Terrarium/ui/shortcuts.ui");
    GtkWindow *w = GTK_WINDOW(gtk_builder_get_object(b, "shortcuts"));
    gtk_window_set_transient_for(w, gtk_application_get_active_window(app));
    gtk_window_present(w);
}

static VmWindow *window_of(VmApp *a)
{
    for (GList *l = gtk_application_get_windows(GTK_APPLICATION(a)); l; l = l->next)
        if (VM_IS_WINDOW(l->data))
            return l->data; /* dialogs are among them */
    return vm_window_new(ADW_APPLICATION(a), a->library);
}

static void on_new(GSimpleAction *a, GVariant *parameter, gpointer app)
{
    VmWindow *w = window_of(app);
    gtk_window_present(GTK_WINDOW(w));
    gtk_widget_activate_action(GTK_WIDGET(w), "win.new", NULL);
}

static gboolean choose(gpointer wanted)
{
    g_autoptr(GVariant) name = wanted;
    GtkApplication *app = GTK_APPLICATION(g_application_get_default());
    GList *any = app ? gtk_application_get_windows(app) : NULL;
    if (any)
        vm_window_choose(window_of(VM_APP(app)), g_variant_get_string(name, NULL));
    return G_SOURCE_REMOVE;
}

/* What a notification leads to.  In a window that is not to be seen yet there is nothing that could have the keyboard: so a little later. */
static void on_show(GSimpleAction *a, GVariant *parameter, gpointer app)
{
    VmWindow *w = window_of(app);
    gtk_window_present(GTK_WINDOW(w));
    if (*g_variant_get_string(parameter, NULL))
        g_idle_add_full(G_PRIORITY_LOW, choose, g_variant_ref(parameter), NULL);
}

static void activate(GApplication *app)
{
    gtk_window_present(GTK_WINDOW(window_of(VM_APP(app))));
}

static void open_files(GApplication *app, GFile **files, int n, const char *hint)
{
    g_autofree char *path = n > 0 ? g_file_get_path(files[0]) : NULL;
    VmWindow *w = window_of(VM_APP(app));
    gtk_window_present(GTK_WINDOW(w));
    if (path)
        gtk_widget_activate_action(GTK_WIDGET(w), "win.new-from", "s", path);
}

static void startup(GApplication *app)
{
    static const GActionEntry entries[] = {
        {"quit", on_quit}, {"about", on_about}, {"shortcuts", on_shortcuts}, {"new", on_new}, {"show", on_show, "s"}};
    G_APPLICATION_CLASS(vm_app_parent_class)->startup(app);
    g_action_map_add_action_entries(G_ACTION_MAP(app), entries, G_N_ELEMENTS(entries), app);
    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++)
        gtk_application_set_accels_for_action(GTK_APPLICATION(app), keys[i].action, keys[i].keys);
    g_autoptr(GError) error = NULL;
    VM_APP(app)->library = vm_library_new(&error);
    if (error)
        g_message("Changes that others make to machines are not seen: %s", error->message);
}

static void shutdown_(GApplication *app)
{
    g_clear_object(&VM_APP(app)->library);
    G_APPLICATION_CLASS(vm_app_parent_class)->shutdown(app);
}

static void vm_app_class_init(VmAppClass *c)
{
    GApplicationClass *a = G_APPLICATION_CLASS(c);
    a->activate = activate;
    a->open = open_files;
    a->startup = startup;
    a->shutdown = shutdown_;
}

static void vm_app_init(VmApp *a)
{
}

VmApp *vm_app_new(void)
{
    return g_object_new(vm_app_get_type(), "application-id", APP_ID, "flags", G_APPLICATION_HANDLES_OPEN, NULL);
}
