// SPDX-License-Identifier: GPL-2.0-or-later
/* details.c - see details.h. */
#include "gui/manager/details.h"
#include "gui/manager/machine_menu.h"
#include "gui/manager/log_page.h"
#include "gui/manager/overview.h"
#include "gui/manager/settings_page.h"
#include "gui/manager/snapshots_page.h"
#include "gui/manager/try_bar.h"
#include <adwaita.h>

struct _VmDetails {
    VmItemWidget parent_instance;
    gboolean folded;
    AdwViewStack *stack;
    GtkMenuButton *menu;
    GtkRevealer *problem_revealer;
    GtkLabel *problem_label;
    GtkWidget *problem_log, *nothing, *switcher;
};
enum { PROP_FOLDED = 1 };
G_DEFINE_FINAL_TYPE(VmDetails, vm_details, vm_item_widget_get_type())

static void on_problem(VmDetails *d)
{
    g_autofree char *problem = NULL;
    if (vm_item_of(d))
        g_object_get(vm_item_of(d), "problem", &problem, NULL);
    gtk_revealer_set_reveal_child(d->problem_revealer, problem != NULL);
    if (problem)
        gtk_label_set_label(d->problem_label, problem);
}

static void on_state(VmDetails *d)
{
    g_autoptr(GMenuModel) menu = vm_item_of(d) ? machine_menu(vm_item_of(d)) : NULL;
    gtk_menu_button_set_menu_model(d->menu, menu);
    gtk_widget_set_visible(d->problem_log, vm_item_of(d) && vm_item_state(vm_item_of(d)) != VM_DAMAGED);
}

static void dismiss(GtkWidget *w, const char *action, GVariant *parameter)
{
    vm_item_set_problem(vm_item_of(w), NULL);
}

static void show_log(GtkWidget *w, const char *action, GVariant *parameter)
{
    vm_details_show_page(VM_DETAILS(w), "log");
}

/* A search that finds nothing leaves no machine: then there are no pages of one. */
static void show_whether(VmDetails *d, bool some)
{
    gtk_widget_set_visible(d->nothing, !some);
    gtk_widget_set_visible(GTK_WIDGET(d->stack), some);
    gtk_widget_set_visible(d->switcher, some);
    gtk_widget_set_sensitive(GTK_WIDGET(d->menu), some);
}

static void taken(VmItemWidget *w)
{
    VmItem *m = vm_item_of(w);
    if (m) {
        g_signal_connect_swapped(m, "notify::problem", G_CALLBACK(on_problem), w);
        g_signal_connect_swapped(m, "notify::state", G_CALLBACK(on_state), w);
    }
    on_problem(VM_DETAILS(w));
    on_state(VM_DETAILS(w));
    show_whether(VM_DETAILS(w), m);
}

void vm_details_show_page(VmDetails *d, const char *page)
{
    adw_view_stack_set_visible_child_name(d->stack, page);
}

/* ---- as an object ---- */

static void get_property(GObject *o, guint id, GValue *v, GParamSpec *spec)
{
    if (id == PROP_FOLDED)
        g_value_set_boolean(v, VM_DETAILS(o)->folded);
    else
        G_OBJECT_WARN_INVALID_PROPERTY_ID(o, id, spec);
}

static void set_property(GObject *o, guint id, const GValue *v, GParamSpec *spec)
{
    if (id == PROP_FOLDED)
        VM_DETAILS(o)->folded = g_value_get_boolean(v);
    else
        G_OBJECT_WARN_INVALID_PROPERTY_ID(o, id, spec);
}

static void vm_details_class_init(VmDetailsClass *c)
{
    GObjectClass *o = G_OBJECT_CLASS(c);
    GtkWidgetClass *w = GTK_WIDGET_CLASS(c);
    const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS;
    o->get_property = get_property;
    o->set_property = set_property;
    VM_ITEM_WIDGET_CLASS(c)->taken = taken;
    g_object_class_install_property(o, PROP_FOLDED, g_param_spec_boolean("folded", NULL, NULL, FALSE, flags));
    g_type_ensure(vm_overview_get_type());
    g_type_ensure(vm_settings_get_type());
    g_type_ensure(vm_log_get_type());
    g_type_ensure(vm_snapshots_get_type());
    g_type_ensure(vm_try_bar_get_type());
    gtk_widget_class_set_template_from_resource(w, "/org/terrarium/Terrarium/ui/details.ui");
    gtk_widget_class_bind_template_child(w, VmDetails, stack);
    gtk_widget_class_bind_template_child(w, VmDetails, menu);
    gtk_widget_class_bind_template_child(w, VmDetails, problem_revealer);
    gtk_widget_class_bind_template_child(w, VmDetails, problem_label);
    gtk_widget_class_bind_template_child(w, VmDetails, problem_log);
    gtk_widget_class_bind_template_child(w, VmDetails, nothing);
    gtk_widget_class_bind_template_child(w, VmDetails, switcher);
    gtk_widget_class_install_action(w, "details.dismiss", NULL, dismiss);
    gtk_widget_class_install_action(w, "details.log", NULL, show_log);
}

static void vm_details_init(VmDetails *d)
{
    gtk_widget_init_template(GTK_WIDGET(d));
}
