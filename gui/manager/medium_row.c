// SPDX-License-Identifier: GPL-2.0-or-later
/* medium_row.c - see medium_row.h.  While the machine runs, its drive is changed by vmctl first, and the setting follows when that
 * went well: a guest may hold its tray shut. */
#include "gui/manager/medium_row.h"
#include "core-vmm/host/config_schema.h"
#include "gui/manager/settings_change.h"
#include <glib/gi18n.h>
#include <string.h>

struct medium_row {
    VmItem *item;
    char *section;
    GtkWidget *widget, *eject;
    GtkFileChooserNative *chooser;
};
/* A change that is under way; it may outlive the row. */
struct swap {
    VmItem *item;
    char *section, *file;
};

bool medium_row_is_for(GKeyFile *file, const char *section)
{
    const struct schema_section *s = schema_find_section(section);
    g_autofree char *media = g_key_file_get_string(file, section, "media", NULL);
    return s && s->drive && (!strcmp(s->name, "floppy") || !g_strcmp0(media, "cdrom"));
}

static void swap_free(gpointer swap, GClosure *closure)
{
    struct swap *s = swap;
    g_object_unref(s->item);
    g_free(s->section);
    g_free(s->file);
    g_free(s);
}

static void on_swapped(VmJob *job, GParamSpec *spec, gpointer swap)
{
    struct swap *s = swap;
    if (!vm_job_problem(job))
        settings_change(s->item, s->section, "file", s->file);
}

static void swap(struct medium_row *r, const char *file)
{
    const struct swap s = {g_object_ref(r->item), g_strdup(r->section), g_strdup(file)};
    const char *words[] = {"media",
                           file ? "insert" : "eject",
                           vm_item_name(r->item),
                           file ? file : "--drive",
                           file ? "--drive" : r->section,
                           file ? r->section : NULL,
                           NULL};
    g_autoptr(VmJob) job = vm_item_run(r->item, file ? _("Inserting") : _("Ejecting"), words);
    struct swap *copy = g_memdup2(&s, sizeof s);
    if (job)
        g_signal_connect_data(job, "notify::done", G_CALLBACK(on_swapped), copy, swap_free, 0);
    else
        swap_free(copy, NULL);
}

static void put(struct medium_row *r, const char *file)
{
    if (vm_item_is_live(r->item))
        swap(r, file);
    else
        settings_change(r->item, r->section, "file", file);
}

static void on_eject(GtkButton *b, gpointer row)
{
    put(row, NULL);
}

static void on_file(GtkNativeDialog *dialog, int response, gpointer row)
{
    struct medium_row *r = row;
    g_autoptr(GFile) file =
        response == GTK_RESPONSE_ACCEPT ? gtk_file_chooser_get_file(GTK_FILE_CHOOSER(dialog)) : NULL;
    g_autofree char *path = file ? g_file_get_path(file) : NULL;
    if (path)
        put(r, path);
    g_clear_object(&r->chooser);
}

static void on_choose(GtkButton *b, gpointer row)
{
    struct medium_row *r = row;
    GtkRoot *root = gtk_widget_get_root(GTK_WIDGET(b));
    g_clear_object(&r->chooser);
    r->chooser = gtk_file_chooser_native_new(_("Choose a Medium"), GTK_WINDOW(root), GTK_FILE_CHOOSER_ACTION_OPEN,
                                             _("_Insert"), NULL);
    gtk_native_dialog_set_modal(GTK_NATIVE_DIALOG(r->chooser), TRUE);
    g_signal_connect(r->chooser, "response", G_CALLBACK(on_file), r);
    gtk_native_dialog_show(GTK_NATIVE_DIALOG(r->chooser));
}

static GtkWidget *add_button(struct medium_row *r, const char *icon, const char *tip, GCallback fn)
{
    GtkWidget *b = gtk_button_new_from_icon_name(icon);
    gtk_widget_set_valign(b, GTK_ALIGN_CENTER);
    gtk_widget_add_css_class(b, "flat");
    gtk_widget_set_tooltip_text(b, tip);
    gtk_accessible_update_property(GTK_ACCESSIBLE(b), GTK_ACCESSIBLE_PROPERTY_LABEL, tip, -1);
    g_signal_connect(b, "clicked", fn, r);
    adw_action_row_add_suffix(ADW_ACTION_ROW(r->widget), b);
    return b;
}

struct medium_row *medium_row_new(VmItem *m, const char *section)
{
    struct medium_row *r = g_new0(struct medium_row, 1);
    r->item = g_object_ref(m);
    r->section = g_strdup(section);
    r->widget = g_object_ref_sink(adw_action_row_new());
    adw_preferences_row_set_use_markup(ADW_PREFERENCES_ROW(r->widget), FALSE);
    adw_preferences_row_set_title(ADW_PREFERENCES_ROW(r->widget), _("Medium"));
    adw_action_row_set_subtitle_lines(ADW_ACTION_ROW(r->widget), 2);
    add_button(r, "document-open-symbolic", _("Choose a Medium…"), G_CALLBACK(on_choose));
    r->eject = add_button(r, "media-eject-symbolic", _("Eject"), G_CALLBACK(on_eject));
    return r;
}

void medium_row_free(struct medium_row *r)
{
    if (r->chooser)
        g_signal_handlers_disconnect_by_data(r->chooser, r);
    g_clear_object(&r->chooser);
    g_object_unref(r->widget);
    g_object_unref(r->item);
    g_free(r->section);
    g_free(r);
}

GtkWidget *medium_row_widget(struct medium_row *r)
{
    return r->widget;
}

void medium_row_take(struct medium_row *r, GKeyFile *file)
{
    g_autofree char *path = g_key_file_get_string(file, r->section, "file", NULL);
    adw_action_row_set_subtitle(ADW_ACTION_ROW(r->widget), path ? path : _("empty"));
    gtk_widget_set_sensitive(r->eject, path != NULL);
}
