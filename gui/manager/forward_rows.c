// SPDX-License-Identifier: GPL-2.0-or-later
/* forward_rows.c - see forward_rows.h.  By vmctl nic forward, which knows who else has a port. */
#include "gui/manager/forward_rows.h"
#include "core-vmm/base/forward.h"
#include <glib/gi18n.h>
#include <string.h>

struct forward_rows {
    VmItem *item;
    char *card, *shown; /* shown: the setting that the rows are of */
    GtkWidget *widget;
    GtkDropDown *protocol;
    GtkSpinButton *host, *guest;
    GPtrArray *rows; /* of forwards; the expander's */
};

static void run(struct forward_rows *f, const char *verb, const char *forward)
{
    g_auto(GStrv) words = g_strsplit(forward, " ", 3);
    const char *all[] = {"nic",    "forward", verb, vm_item_name(f->item), words[0], words[1], words[2],
                         "--card", f->card,   NULL};
    g_autoptr(VmJob) job = vm_item_run(f->item, _("Forwarding"), all);
}

static void on_remove(GtkButton *b, gpointer rows)
{
    run(rows, "remove", g_object_get_data(G_OBJECT(b), "forward"));
}

static void on_add(GtkButton *b, gpointer rows)
{
    struct forward_rows *f = rows;
    g_autofree char *forward =
        g_strdup_printf("%s %d %d", gtk_drop_down_get_selected(f->protocol) ? "udp" : "tcp",
                        gtk_spin_button_get_value_as_int(f->host), gtk_spin_button_get_value_as_int(f->guest));
    run(f, "add", forward);
}

static GtkWidget *port(const char *label, int value)
{
    GtkWidget *w = gtk_spin_button_new_with_range(1, 65535, 1);
    gtk_spin_button_set_value(GTK_SPIN_BUTTON(w), value);
    gtk_widget_set_valign(w, GTK_ALIGN_CENTER);
    gtk_widget_set_tooltip_text(w, label);
    gtk_accessible_update_property(GTK_ACCESSIBLE(w), GTK_ACCESSIBLE_PROPERTY_LABEL, label, -1);
    return w;
}

static GtkWidget *new_row(struct forward_rows *f)
{
    static const char *const protocols[] = {"tcp", "udp", NULL};
    GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 6), *row = gtk_list_box_row_new();
    GtkWidget *ports = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6), *rest = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6);
    GtkWidget *add = gtk_button_new_with_label(_("Add"));
    f->protocol = GTK_DROP_DOWN(gtk_drop_down_new_from_strings(protocols));
    f->host = GTK_SPIN_BUTTON(port(_("Port of This Computer"), 2222));
    f->guest = GTK_SPIN_BUTTON(port(_("Port of the Guest"), 22));
    gtk_widget_set_valign(GTK_WIDGET(f->protocol), GTK_ALIGN_CENTER);
    gtk_widget_set_valign(add, GTK_ALIGN_CENTER);
    gtk_widget_set_hexpand(GTK_WIDGET(f->protocol), TRUE);
    gtk_widget_set_halign(GTK_WIDGET(f->protocol), GTK_ALIGN_START);
    gtk_box_append(GTK_BOX(ports), GTK_WIDGET(f->host));
    gtk_box_append(GTK_BOX(ports), gtk_label_new("→"));
    gtk_box_append(GTK_BOX(ports), GTK_WIDGET(f->guest));
    gtk_box_append(GTK_BOX(rest), GTK_WIDGET(f->protocol));
    gtk_box_append(GTK_BOX(rest), add);
    gtk_box_append(GTK_BOX(box), ports);
    gtk_box_append(GTK_BOX(box), rest);
    gtk_widget_set_margin_start(box, 12);
    gtk_widget_set_margin_end(box, 12);
    gtk_widget_set_margin_top(box, 8);
    gtk_widget_set_margin_bottom(box, 8);
    gtk_list_box_row_set_child(GTK_LIST_BOX_ROW(row), box);
    gtk_list_box_row_set_activatable(GTK_LIST_BOX_ROW(row), FALSE);
    g_signal_connect(add, "clicked", G_CALLBACK(on_add), f);
    return row;
}

struct forward_rows *forward_rows_new(VmItem *m, const char *card)
{
    struct forward_rows *f = g_new0(struct forward_rows, 1);
    f->item = g_object_ref(m);
    f->card = g_strdup(card);
    f->rows = g_ptr_array_new();
    f->widget = g_object_ref_sink(adw_expander_row_new());
    adw_preferences_row_set_title(ADW_PREFERENCES_ROW(f->widget), _("Port Forwards"));
    adw_expander_row_add_row(ADW_EXPANDER_ROW(f->widget), new_row(f));
    return f;
}

void forward_rows_free(struct forward_rows *f)
{
    g_object_unref(f->widget);
    g_object_unref(f->item);
    g_ptr_array_unref(f->rows);
    g_free(f->card);
    g_free(f->shown);
    g_free(f);
}

GtkWidget *forward_rows_widget(struct forward_rows *f)
{
    return f->widget;
}

static void add_row(struct forward_rows *f, const struct forward *one)
{
    g_autofree char *text = forward_format(one);
    GtkWidget *row = adw_action_row_new(), *remove = gtk_button_new_from_icon_name("list-remove-symbolic");
    adw_preferences_row_set_title(ADW_PREFERENCES_ROW(row), text);
    gtk_widget_set_valign(remove, GTK_ALIGN_CENTER);
    gtk_widget_add_css_class(remove, "flat");
    gtk_widget_set_tooltip_text(remove, _("Remove"));
    gtk_accessible_update_property(GTK_ACCESSIBLE(remove), GTK_ACCESSIBLE_PROPERTY_LABEL, _("Remove Forward"), -1);
    g_object_set_data_full(G_OBJECT(remove), "forward", g_strdup(text), g_free);
    g_signal_connect(remove, "clicked", G_CALLBACK(on_remove), f);
    adw_action_row_add_suffix(ADW_ACTION_ROW(row), remove);
    adw_expander_row_add_row(ADW_EXPANDER_ROW(f->widget), row);
    g_ptr_array_add(f->rows, row);
}

void forward_rows_take(struct forward_rows *f, GKeyFile *file)
{
    g_autofree char *text = g_key_file_get_string(file, f->card, "forward", NULL);
    g_autofree char *mode = g_key_file_get_string(file, f->card, "mode", NULL);
    gtk_widget_set_visible(f->widget, !mode || !strcmp(mode, "nat"));
    if (f->shown && !g_strcmp0(text ? text : "", f->shown))
        return;
    g_free(f->shown);
    f->shown = g_strdup(text ? text : "");
    for (guint i = 0; i < f->rows->len; i++)
        adw_expander_row_remove(ADW_EXPANDER_ROW(f->widget), f->rows->pdata[i]);
    g_ptr_array_set_size(f->rows, 0);
    g_autoptr(GArray) list = forward_parse_list(f->shown, NULL);
    for (guint i = 0; list && i < list->len; i++)
        add_row(f, &g_array_index(list, struct forward, i));
    g_autofree char *subtitle = list && list->len ? g_strdup_printf("%u", list->len) : g_strdup(_("none"));
    adw_expander_row_set_subtitle(ADW_EXPANDER_ROW(f->widget), subtitle);
}
