// SPDX-License-Identifier: GPL-2.0-or-later
/* details.c - see details.h. */
#include "gui/manager/details.h"
#include "gui/manager/machine_menu.h"
#include "gui/manager/log_page.h"
#include "gui/manager/overview.h"
#include "gui/manager/settings_page.h"
#include "gui/manager/snapshots_page.h"
#include <adwaita.h>

struct _VmDetails {
    GtkBox parent_instance;
    VmItem *item;
    gboolean folded;
    AdwViewSwitcherTitle *switcher;
    AdwViewStack *stack;
    GtkMenuButton *menu;
    GtkRevealer *problem_revealer;
    GtkLabel *problem_label;
};
enum { PROP_ITEM = 1, PROP_FOLDED };
G_DEFINE_FINAL_TYPE(VmDetails, vm_details, GTK_TYPE_BOX)

static void on_problem(VmDetails *d)
{
    g_autofree char *problem = NULL;
    if (d->item)
        g_object_get(d->item, "problem", &problem, NULL);
    gtk_revealer_set_reveal_child(d->problem_revealer, problem != NULL);
    if (problem)
        gtk_label_set_label(d->problem_label, problem);
}

static void on_state(VmDetails *d)
{
    g_autoptr(GMenuModel) menu = d->item ? machine_menu(d->item) : NULL;
    gtk_menu_button_set_menu_model(d->menu, menu);
}

static void dismiss(GtkWidget *w, const char *action, GVariant *parameter)
{
    vm_item_set_problem(VM_DETAILS(w)->item, NULL);
}

static void forget_item(VmDetails *d)
{
    if (d->item)
        g_signal_handlers_disconnect_by_data(d->item, d);
    g_clear_object(&d->item);
}

void vm_details_show(VmDetails *d, VmItem *m)
{
    if (m == d->item)
        return;
    forget_item(d);
    if (m) {
        d->item = g_object_ref(m);
        g_signal_connect_swapped(m, "notify::problem", G_CALLBACK(on_problem), d);
        g_signal_connect_swapped(m, "notify::state", G_CALLBACK(on_state), d);
    }
    g_object_notify(G_OBJECT(d), "item");
    on_problem(d);
    on_state(d);
}

void vm_details_show_page(VmDetails *d, const char *page)
{
    adw_view_stack_set_visible_child_name(d->stack, page);
}

/* ---- as an object ---- */

static void get_property(GObject *o, guint id, GValue *v, GParamSpec *spec)
{
    switch (id) {
    case PROP_ITEM: g_value_set_object(v, VM_DETAILS(o)->item); break;
    case PROP_FOLDED: g_value_set_boolean(v, VM_DETAILS(o)->folded); break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID(o, id, spec);
    }
}

static void set_property(GObject *o, guint id, const GValue *v, GParamSpec *spec)
{
    switch (id) {
    case PROP_ITEM: vm_details_show(VM_DETAILS(o), g_value_get_object(v)); break;
    case PROP_FOLDED: VM_DETAILS(o)->folded = g_value_get_boolean(v); break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID(o, id, spec);
    }
}

static void dispose(GObject *o)
{
    forget_item(VM_DETAILS(o));
    G_OBJECT_CLASS(vm_details_parent_class)->dispose(o);
}

static void vm_details_class_init(VmDetailsClass *c)
{
    GObjectClass *o = G_OBJECT_CLASS(c);
    GtkWidgetClass *w = GTK_WIDGET_CLASS(c);
    const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS;
    o->get_property = get_property;
    o->set_property = set_property;
    o->dispose = dispose;
    g_object_class_install_property(o, PROP_ITEM, g_param_spec_object("item", NULL, NULL, vm_item_get_type(), flags));
    g_object_class_install_property(o, PROP_FOLDED, g_param_spec_boolean("folded", NULL, NULL, FALSE, flags));
    g_type_ensure(vm_overview_get_type());
    g_type_ensure(vm_settings_get_type());
    g_type_ensure(vm_log_get_type());
    g_type_ensure(vm_snapshots_get_type());
    gtk_widget_class_set_template_from_resource(w, "/org/terrarium/Terrarium/ui/details.ui");
    gtk_widget_class_bind_template_child(w, VmDetails, switcher);
    gtk_widget_class_bind_template_child(w, VmDetails, stack);
    gtk_widget_class_bind_template_child(w, VmDetails, menu);
    gtk_widget_class_bind_template_child(w, VmDetails, problem_revealer);
    gtk_widget_class_bind_template_child(w, VmDetails, problem_label);
    gtk_widget_class_install_action(w, "details.dismiss", NULL, dismiss);
}

static void vm_details_init(VmDetails *d)
{
    gtk_widget_init_template(GTK_WIDGET(d));
}
