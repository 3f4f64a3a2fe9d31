// SPDX-License-Identifier: GPL-2.0-or-later
/* networks_page.c - see networks_page.h. */
#include "gui/manager/networks_page.h"
#include "gui/manager/networks_work.h"
#include <glib/gi18n.h>
#include <string.h>

struct _VmNetworks {
    AdwWindow parent_instance;
    GtkStack *pages;
    AdwPreferencesGroup *group;
    GtkLabel *notice;
    GPtrArray *rows; /* borrowed */
};
G_DEFINE_FINAL_TYPE(VmNetworks, vm_networks, ADW_TYPE_WINDOW)

static void look(VmNetworks *v);

static void notice(VmNetworks *v, const char *text)
{
    gtk_label_set_label(v->notice, text ? text : "");
    gtk_widget_set_visible(GTK_WIDGET(v->notice), text != NULL);
}

/* ---- rows ---- */

static const char *kind_title(enum network_kind kind)
{
    static const char *const titles[NETWORK_KINDS] = {
        [NETWORK_INTERNAL] = N_("Internal"), [NETWORK_NAT] = N_("NAT"), [NETWORK_HOSTONLY] = N_("Host-only")};
    return _(titles[kind]);
}

static char *describe(const struct network *n)
{
    g_autofree char *range = net_range_text(&n->def.range);
    bool ranged = n->def.dhcp || n->def.kind != NETWORK_INTERNAL; /* else nobody gives out what is in it */
    g_autofree char *members =
        n->members ? g_strdup_printf(ngettext("%u running machine's card", "%u running machines' cards", n->members),
                                     n->members)
                   : g_strdup(_("no running machine"));
    return g_strdup_printf("%s%s%s%s, %s%s", kind_title(n->def.kind), ranged ? ", " : "", ranged ? range : "",
                           n->def.dhcp ? _(", gives out addresses") : "", members,
                           n->defined ? "" : _("; only machines name it"));
}

static void add_lease(AdwExpanderRow *to, const struct network_lease *l)
{
    GtkWidget *row = adw_action_row_new();
    g_autoptr(GDateTime) until = g_date_time_new_from_unix_local(l->until);
    g_autofree char *when = until ? g_date_time_format(until, "%x %X") : g_strdup("?");
    g_autofree char *title = g_strdup_printf("%s%s%s", l->address, l->host ? "  " : "", l->host ? l->host : "");
    g_autofree char *text = g_strdup_printf(_("%s, until %s"), l->mac, when);
    adw_preferences_row_set_use_markup(ADW_PREFERENCES_ROW(row), FALSE);
    adw_preferences_row_set_title(ADW_PREFERENCES_ROW(row), title);
    adw_action_row_set_subtitle(ADW_ACTION_ROW(row), text);
    adw_expander_row_add_row(to, row);
}

static GtkWidget *delete_button(const char *name)
{
    GtkWidget *b = gtk_button_new_from_icon_name("user-trash-symbolic");
    gtk_actionable_set_action_name(GTK_ACTIONABLE(b), "networks.delete");
    gtk_actionable_set_action_target(GTK_ACTIONABLE(b), "s", name);
    gtk_accessible_update_property(GTK_ACCESSIBLE(b), GTK_ACCESSIBLE_PROPERTY_LABEL, _("Delete"), -1);
    gtk_widget_set_tooltip_text(b, _("Delete"));
    gtk_widget_set_valign(b, GTK_ALIGN_CENTER);
    gtk_widget_add_css_class(b, "flat");
    return b;
}

static void add_row(VmNetworks *v, const struct network_seen *s)
{
    GtkWidget *row = adw_expander_row_new();
    g_autofree char *text = describe(s->network);
    adw_preferences_row_set_use_markup(ADW_PREFERENCES_ROW(row), FALSE);
    adw_preferences_row_set_title(ADW_PREFERENCES_ROW(row), s->network->name);
    adw_expander_row_set_subtitle(ADW_EXPANDER_ROW(row), text);
    adw_expander_row_set_enable_expansion(ADW_EXPANDER_ROW(row), s->leases && s->leases->len);
    if (s->network->defined)
        adw_expander_row_add_action(ADW_EXPANDER_ROW(row), delete_button(s->network->name));
    for (guint i = 0; s->leases && i < s->leases->len; i++)
        add_lease(ADW_EXPANDER_ROW(row), s->leases->pdata[i]);
    adw_preferences_group_add(v->group, row);
    g_ptr_array_add(v->rows, row);
}

static void on_looked(GObject *networks, GAsyncResult *result, gpointer unused)
{
    VmNetworks *v = VM_NETWORKS(networks);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) all = networks_looked(result, &error);
    if (!v->rows) /* it was closed */
        return;
    for (guint i = 0; i < v->rows->len; i++)
        adw_preferences_group_remove(v->group, v->rows->pdata[i]);
    g_ptr_array_set_size(v->rows, 0);
    for (guint i = 0; all && i < all->len; i++)
        add_row(v, all->pdata[i]);
    if (error)
        notice(v, error->message);
    gtk_stack_set_visible_child_name(v->pages, v->rows->len ? "some" : "none");
}

static void look(VmNetworks *v)
{
    networks_look(G_OBJECT(v), on_looked, NULL);
}

static void refresh(GtkWidget *w, const char *action, GVariant *parameter)
{
    notice(VM_NETWORKS(w), NULL);
    look(VM_NETWORKS(w));
}

/* ---- changing ---- */

static void on_changed(GObject *networks, GAsyncResult *result, gpointer unused)
{
    VmNetworks *v = VM_NETWORKS(networks);
    g_autoptr(GError) error = NULL;
    bool good = networks_changed(result, &error);
    if (!v->rows)
        return;
    notice(v, good ? NULL : error->message);
    look(v);
}

static void on_sure(AdwMessageDialog *d, const char *response, gpointer networks)
{
    const struct network_wish wish = {.name = g_object_get_data(G_OBJECT(d), "network"), .goes = true};
    if (!strcmp(response, "sure"))
        networks_change(networks, &wish, on_changed, NULL);
}

static void delete_one(GtkWidget *w, const char *action, GVariant *parameter)
{
    const char *name = g_variant_get_string(parameter, NULL);
    g_autofree char *title = g_strdup_printf(_("Delete the Network “%s”?"), name);
    AdwMessageDialog *d = ADW_MESSAGE_DIALOG(adw_message_dialog_new(
        GTK_WINDOW(w), title,
        _("What is set of it is forgotten. Machines that name it get a network that is as usual.")));
    adw_message_dialog_add_responses(d, "cancel", _("_Cancel"), "sure", _("_Delete"), NULL);
    adw_message_dialog_set_response_appearance(d, "sure", ADW_RESPONSE_DESTRUCTIVE);
    adw_message_dialog_set_close_response(d, "cancel");
    g_object_set_data_full(G_OBJECT(d), "network", g_strdup(name), g_free);
    g_signal_connect_object(d, "response", G_CALLBACK(on_sure), w, 0);
    gtk_window_present(GTK_WINDOW(d));
}

/* ---- a new one ---- */

struct fresh {
    VmNetworks *window;
    GtkEditable *name, *range;
    GtkDropDown *kind, *dhcp;
};

static void fresh_free(gpointer fresh, GClosure *closure)
{
    g_object_unref(((struct fresh *)fresh)->window);
    g_free(fresh);
}

static void on_name(GtkEditable *e, gpointer message)
{
    adw_message_dialog_set_response_enabled(message, "sure", network_name_check(gtk_editable_get_text(e), NULL));
}

static void on_answer(AdwMessageDialog *m, const char *response, gpointer fresh)
{
    static const char *const dhcp[] = {NULL, "on", "off"};
    struct fresh *f = fresh;
    g_autofree char *range = g_strstrip(g_strdup(gtk_editable_get_text(f->range)));
    guint kind = gtk_drop_down_get_selected(f->kind), gives = gtk_drop_down_get_selected(f->dhcp);
    const struct network_wish wish = {.name = gtk_editable_get_text(f->name),
                                      .kind = network_kinds[MIN(kind, NETWORK_KINDS - 1)],
                                      .range = *range ? range : NULL,
                                      .dhcp = dhcp[MIN(gives, G_N_ELEMENTS(dhcp) - 1)]};
    if (!strcmp(response, "sure"))
        networks_change(G_OBJECT(f->window), &wish, on_changed, NULL);
}

static void add_one(GtkWidget *w, const char *action, GVariant *parameter)
{
    g_autoptr(GtkBuilder) b = gtk_builder_new_from_resource("/org/terrarium/Terrarium/ui/network_add.ui");
    AdwMessageDialog *d = ADW_MESSAGE_DIALOG(gtk_builder_get_object(b, "dialog"));
    const struct fresh f = {.window = g_object_ref(VM_NETWORKS(w)),
                            .name = GTK_EDITABLE(gtk_builder_get_object(b, "name")),
                            .range = GTK_EDITABLE(gtk_builder_get_object(b, "range")),
                            .kind = GTK_DROP_DOWN(gtk_builder_get_object(b, "kind")),
                            .dhcp = GTK_DROP_DOWN(gtk_builder_get_object(b, "dhcp"))};
    gtk_window_set_transient_for(GTK_WINDOW(d), GTK_WINDOW(w));
    g_signal_connect(f.name, "changed", G_CALLBACK(on_name), d);
    on_name(f.name, d);
    g_signal_connect_data(d, "response", G_CALLBACK(on_answer), g_memdup2(&f, sizeof f), fresh_free, 0);
    gtk_window_present(GTK_WINDOW(d));
}

/* ---- as an object ---- */

void vm_networks_show(VmWindow *w)
{
    VmNetworks *v = g_object_new(vm_networks_get_type(), "transient-for", w, NULL);
    look(v);
    gtk_window_present(GTK_WINDOW(v));
}

static void dispose(GObject *o)
{
    g_clear_pointer(&VM_NETWORKS(o)->rows, g_ptr_array_unref);
    gtk_widget_dispose_template(GTK_WIDGET(o), vm_networks_get_type());
    G_OBJECT_CLASS(vm_networks_parent_class)->dispose(o);
}

static void vm_networks_class_init(VmNetworksClass *c)
{
    GtkWidgetClass *w = GTK_WIDGET_CLASS(c);
    G_OBJECT_CLASS(c)->dispose = dispose;
    gtk_widget_class_set_template_from_resource(w, "/org/terrarium/Terrarium/ui/networks.ui");
    gtk_widget_class_bind_template_child(w, VmNetworks, pages);
    gtk_widget_class_bind_template_child(w, VmNetworks, group);
    gtk_widget_class_bind_template_child(w, VmNetworks, notice);
    gtk_widget_class_install_action(w, "networks.refresh", NULL, refresh);
    gtk_widget_class_install_action(w, "networks.add", NULL, add_one);
    gtk_widget_class_install_action(w, "networks.delete", "s", delete_one);
    gtk_widget_class_add_binding_action(w, GDK_KEY_Escape, 0, "window.close", NULL);
}

static void vm_networks_init(VmNetworks *v)
{
    v->rows = g_ptr_array_new();
    gtk_widget_init_template(GTK_WIDGET(v));
}
