// SPDX-License-Identifier: GPL-2.0-or-later
/* activity_page.c - see activity_page.h.  The rows are those of vmctl top, which looks as long as the window is there. */
#include "gui/manager/activity_page.h"
#include "gui/manager/facts.h"
#include "gui/manager/usage_watch.h"
#include <glib/gi18n.h>

enum { CHECK_SECONDS = 2, PATIENCE_SECONDS = 7 }; /* a row of which nothing was told for so long goes */

struct _VmActivity {
    AdwWindow parent_instance;
    VmLibrary *library;
    struct usage_watch *watch; /* NULL: vmctl has failed */
    guint check;               /* source; 0: none */
    GtkStack *pages;
    AdwPreferencesGroup *group;
    GHashTable *rows; /* by the machine's name: struct row */
};
G_DEFINE_FINAL_TYPE(VmActivity, vm_activity, ADW_TYPE_WINDOW)

struct row {
    AdwActionRow *widget; /* borrowed: the group has it */
    GtkLevelBar *bar;     /* of the processors */
    gint64 told;          /* when, monotonic */
};

static struct row *row_of(VmActivity *v, const char *name)
{
    struct row *r = g_hash_table_lookup(v->rows, name);
    VmItem *m = vm_library_find(v->library, name);
    if (r)
        return r;
    r = g_new0(struct row, 1);
    r->widget = ADW_ACTION_ROW(adw_action_row_new());
    r->bar = GTK_LEVEL_BAR(gtk_level_bar_new());
    gtk_widget_set_size_request(GTK_WIDGET(r->bar), 60, -1);
    gtk_widget_set_valign(GTK_WIDGET(r->bar), GTK_ALIGN_CENTER);
    gtk_accessible_update_property(GTK_ACCESSIBLE(r->bar), GTK_ACCESSIBLE_PROPERTY_LABEL, _("Processors"), -1);
    adw_preferences_row_set_use_markup(ADW_PREFERENCES_ROW(r->widget), FALSE);
    adw_preferences_row_set_title(ADW_PREFERENCES_ROW(r->widget), m ? vm_item_title(m) : name);
    adw_action_row_set_subtitle_lines(r->widget, 0);
    adw_action_row_add_suffix(r->widget, GTK_WIDGET(r->bar));
    gtk_list_box_row_set_activatable(GTK_LIST_BOX_ROW(r->widget), TRUE);
    gtk_actionable_set_action_name(GTK_ACTIONABLE(r->widget), "activity.choose");
    gtk_actionable_set_action_target(GTK_ACTIONABLE(r->widget), "s", name);
    adw_preferences_group_add(v->group, GTK_WIDGET(r->widget));
    g_hash_table_insert(v->rows, g_strdup(name), r);
    return r;
}

static void show_pages(VmActivity *v)
{
    gtk_stack_set_visible_child_name(v->pages, g_hash_table_size(v->rows) ? "some" : "none");
}

static void on_told(void *ctx, const struct usage_now *now)
{
    VmActivity *v = ctx;
    if (!now) {
        g_clear_pointer(&v->watch, usage_watch_free);
        return;
    }
    struct row *r = row_of(v, now->machine);
    g_autofree char *memory = size_for_people(now->memory), *all = size_for_people(now->memory_limit);
    g_autofree char *read = size_for_people(now->read), *written = size_for_people(now->written);
    g_autofree char *in = size_for_people(now->received), *out = size_for_people(now->sent);
    g_autofree char *text = g_strdup_printf(
        _("%.0f %% of one CPU, %s of %s memory\nDisks: %s/s read, %s/s written\nNetwork: %s/s in, %s/s out"), now->cpu,
        memory, all, read, written, in, out);
    adw_action_row_set_subtitle(r->widget, text);
    gtk_level_bar_set_value(r->bar, CLAMP(now->cpu / 100 / g_get_num_processors(), 0, 1));
    r->told = g_get_monotonic_time();
    show_pages(v);
}

static gboolean on_check(gpointer activity)
{
    VmActivity *v = activity;
    GHashTableIter i;
    gpointer name, row;
    g_hash_table_iter_init(&i, v->rows);
    while (g_hash_table_iter_next(&i, &name, &row)) {
        struct row *r = row;
        if (g_get_monotonic_time() - r->told < PATIENCE_SECONDS * G_USEC_PER_SEC)
            continue;
        adw_preferences_group_remove(v->group, GTK_WIDGET(r->widget));
        g_hash_table_iter_remove(&i);
    }
    show_pages(v);
    return G_SOURCE_CONTINUE;
}

static void choose(GtkWidget *w, const char *action, GVariant *parameter)
{
    GtkWindow *over = gtk_window_get_transient_for(GTK_WINDOW(w));
    vm_window_choose(VM_WINDOW(over), g_variant_get_string(parameter, NULL));
    gtk_window_close(GTK_WINDOW(w));
}

/* ---- as an object ---- */

void vm_activity_show(VmWindow *w)
{
    VmActivity *v = g_object_new(vm_activity_get_type(), "transient-for", w, NULL);
    v->library = g_object_ref(vm_window_library(w));
    v->watch = usage_watch_new(NULL, on_told, v);
    v->check = g_timeout_add_seconds(CHECK_SECONDS, on_check, v);
    gtk_window_present(GTK_WINDOW(v));
}

static void dispose(GObject *o)
{
    VmActivity *v = VM_ACTIVITY(o);
    g_clear_pointer(&v->watch, usage_watch_free);
    if (v->check)
        g_source_remove(v->check);
    v->check = 0;
    g_clear_pointer(&v->rows, g_hash_table_unref);
    g_clear_object(&v->library);
    gtk_widget_dispose_template(GTK_WIDGET(o), vm_activity_get_type());
    G_OBJECT_CLASS(vm_activity_parent_class)->dispose(o);
}

static void vm_activity_class_init(VmActivityClass *c)
{
    GtkWidgetClass *w = GTK_WIDGET_CLASS(c);
    G_OBJECT_CLASS(c)->dispose = dispose;
    gtk_widget_class_set_template_from_resource(w, "/org/terrarium/Terrarium/ui/activity.ui");
    gtk_widget_class_bind_template_child(w, VmActivity, pages);
    gtk_widget_class_bind_template_child(w, VmActivity, group);
    gtk_widget_class_install_action(w, "activity.choose", "s", choose);
    gtk_widget_class_add_binding_action(w, GDK_KEY_Escape, 0, "window.close", NULL);
}

static void vm_activity_init(VmActivity *v)
{
    v->rows = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    gtk_widget_init_template(GTK_WIDGET(v));
}
