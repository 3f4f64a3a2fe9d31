// SPDX-License-Identifier: GPL-2.0-or-later
/* setting_row.c - see setting_row.h.  A change is written at once; a text when it is applied (Enter, or the button). */
#include "gui/manager/setting_row.h"
#include "gui/manager/settings_change.h"
#include "gui/manager/titles.h"
#include <glib/gi18n.h>
#include <string.h>

struct setting_row {
    VmItem *item;
    char *section, *haystack;
    const struct schema_key *key;
    GtkWidget *widget, *reset;
    GtkSwitch *flag;
    bool taking; /* what changes now comes from the file */
    bool none;   /* a choice has "not set" as its first */
};

static void change(struct setting_row *r, const char *value)
{
    if (!r->taking)
        settings_change(r->item, r->section, r->key->name, value && *value ? value : NULL);
}

/* ---- kinds of rows ---- */

static void on_flag(GtkSwitch *s, GParamSpec *spec, gpointer row)
{
    change(row, gtk_switch_get_active(s) ? "on" : "off");
}

static GtkWidget *flag_row(struct setting_row *r)
{
    GtkWidget *row = adw_action_row_new();
    r->flag = GTK_SWITCH(gtk_switch_new());
    gtk_widget_set_valign(GTK_WIDGET(r->flag), GTK_ALIGN_CENTER);
    adw_action_row_add_suffix(ADW_ACTION_ROW(row), GTK_WIDGET(r->flag));
    adw_action_row_set_activatable_widget(ADW_ACTION_ROW(row), GTK_WIDGET(r->flag));
    g_signal_connect(r->flag, "notify::active", G_CALLBACK(on_flag), r);
    return row;
}

static void on_choice(AdwComboRow *combo, GParamSpec *spec, gpointer row)
{
    struct setting_row *r = row;
    guint at = adw_combo_row_get_selected(combo);
    if (at != GTK_INVALID_LIST_POSITION)
        change(r, r->none && !at ? NULL : r->key->words[at - r->none]);
}

static GtkWidget *choice_row(struct setting_row *r)
{
    GtkWidget *row = adw_combo_row_new();
    g_autoptr(GtkStringList) list = gtk_string_list_new(NULL);
    r->none = !r->key->otherwise;
    if (r->none)
        gtk_string_list_append(list, _("not set"));
    for (const char *const *w = r->key->words; *w; w++)
        gtk_string_list_append(list, *w);
    adw_combo_row_set_model(ADW_COMBO_ROW(row), G_LIST_MODEL(list));
    g_signal_connect(row, "notify::selected", G_CALLBACK(on_choice), r);
    return row;
}

static void on_apply(AdwEntryRow *entry, gpointer row)
{
    change(row, gtk_editable_get_text(GTK_EDITABLE(entry)));
}

static GtkWidget *text_row(struct setting_row *r)
{
    GtkWidget *row = adw_entry_row_new();
    adw_entry_row_set_show_apply_button(ADW_ENTRY_ROW(row), TRUE);
    g_signal_connect(row, "apply", G_CALLBACK(on_apply), r);
    return row;
}

/* ---- back to what is usual ---- */

static void on_reset(GtkButton *b, gpointer row)
{
    struct setting_row *r = row;
    settings_change(r->item, r->section, r->key->name, NULL);
}

static void add_reset(struct setting_row *r)
{
    g_autofree char *tip = r->key->otherwise ? g_strdup_printf(_("Back to the default (%s)"), r->key->otherwise)
                                             : g_strdup(_("Remove this setting"));
    r->reset = gtk_button_new_from_icon_name("edit-undo-symbolic");
    gtk_widget_set_valign(r->reset, GTK_ALIGN_CENTER);
    gtk_widget_add_css_class(r->reset, "flat");
    gtk_widget_set_tooltip_text(r->reset, tip);
    gtk_accessible_update_property(GTK_ACCESSIBLE(r->reset), GTK_ACCESSIBLE_PROPERTY_LABEL, tip, -1);
    g_signal_connect(r->reset, "clicked", G_CALLBACK(on_reset), r);
    if (ADW_IS_ENTRY_ROW(r->widget))
        adw_entry_row_add_suffix(ADW_ENTRY_ROW(r->widget), r->reset);
    else
        adw_action_row_add_suffix(ADW_ACTION_ROW(r->widget), r->reset);
}

/* ---- all kinds ---- */

static void describe(struct setting_row *r)
{
    g_autofree char *title = title_of_word(r->key->name), *type = schema_describe_type(r->key);
    g_autofree char *tip =
        g_strdup_printf("%s.%s: %s\n%s", r->section, r->key->name, type, r->key->help ? r->key->help : "");
    g_autofree char *all = g_strconcat(r->section, " ", title, " ", r->key->name, " ", r->key->help, NULL);
    r->haystack = g_utf8_casefold(all, -1);
    adw_preferences_row_set_use_markup(ADW_PREFERENCES_ROW(r->widget), FALSE);
    adw_preferences_row_set_title(ADW_PREFERENCES_ROW(r->widget), title);
    gtk_widget_set_tooltip_text(r->widget, tip);
    if (ADW_IS_ACTION_ROW(r->widget)) {
        g_autofree char *help = title_of_help(r->key->help);
        adw_action_row_set_subtitle(ADW_ACTION_ROW(r->widget), help);
        adw_action_row_set_subtitle_lines(ADW_ACTION_ROW(r->widget), 3);
    }
}

struct setting_row *setting_row_new(VmItem *m, const char *section, const struct schema_key *k)
{
    struct setting_row *r = g_new0(struct setting_row, 1);
    r->item = g_object_ref(m);
    r->section = g_strdup(section);
    r->key = k;
    r->taking = true;
    r->widget = k->type == SCHEMA_FLAG ? flag_row(r) : k->type == SCHEMA_CHOICE ? choice_row(r) : text_row(r);
    g_object_ref_sink(r->widget);
    describe(r);
    add_reset(r);
    r->taking = false;
    return r;
}

void setting_row_free(gpointer row)
{
    struct setting_row *r = row;
    g_signal_handlers_disconnect_by_data(r->widget, r);
    if (r->flag)
        g_signal_handlers_disconnect_by_data(r->flag, r);
    g_signal_handlers_disconnect_by_data(r->reset, r);
    g_object_unref(r->widget);
    g_object_unref(r->item);
    g_free(r->section);
    g_free(r->haystack);
    g_free(r);
}

GtkWidget *setting_row_widget(struct setting_row *r)
{
    return r->widget;
}

static guint place_of(const struct setting_row *r, const char *value)
{
    for (guint i = 0; value && r->key->words[i]; i++)
        if (!strcmp(r->key->words[i], value))
            return i + r->none;
    return 0;
}

void setting_row_take(struct setting_row *r, GKeyFile *file)
{
    g_autofree char *set = g_key_file_get_string(file, r->section, r->key->name, NULL);
    const char *value = set ? set : r->key->otherwise;
    r->taking = true;
    if (r->flag)
        gtk_switch_set_active(r->flag, !g_strcmp0(value, "on"));
    else if (ADW_IS_COMBO_ROW(r->widget))
        adw_combo_row_set_selected(ADW_COMBO_ROW(r->widget), place_of(r, value));
    else if (g_strcmp0(gtk_editable_get_text(GTK_EDITABLE(r->widget)), value ? value : ""))
        gtk_editable_set_text(GTK_EDITABLE(r->widget), value ? value : "");
    gtk_widget_set_visible(r->reset, set != NULL);
    r->taking = false;
}

bool setting_row_fits(struct setting_row *r, const char *folded)
{
    return strstr(r->haystack, folded);
}
