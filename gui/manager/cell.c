// SPDX-License-Identifier: GPL-2.0-or-later
/* cell.c - see cell.h.
 *
 * Its actions "cell.start" and so on are the window's of that name for this machine.  Pictures of its screen are asked for while
 * it can be seen. */
#include "gui/manager/cell.h"
#include "gui/manager/machine_menu.h"
#include <string.h>

struct _VmCell {
    GtkBox parent_instance;
    VmItem *item;
    bool watches; /* asks for pictures */
};
enum { PROP_ITEM = 1 };
G_DEFINE_FINAL_TYPE(VmCell, vm_cell, GTK_TYPE_BOX)

static void watch(VmCell *c, bool on)
{
    bool should = on && c->item;
    if (c->watches == should)
        return;
    c->watches = should;
    vm_item_want_pictures(c->item, should);
}

static void set_item(VmCell *c, VmItem *item)
{
    if (c->item == item)
        return;
    watch(c, false);
    g_set_object(&c->item, item);
    watch(c, gtk_widget_get_mapped(GTK_WIDGET(c)));
    g_object_notify(G_OBJECT(c), "item");
}

/* "cell.start" is "win.start" of this machine. */
static void on_action(GtkWidget *w, const char *action, GVariant *parameter)
{
    VmItem *m = VM_CELL(w)->item;
    g_autofree char *of_window = g_strconcat("win.", strchr(action, '.') + 1, NULL);
    if (m)
        gtk_widget_activate_action(w, of_window, "s", vm_item_name(m));
}

static void show_menu(VmCell *c, double x, double y)
{
    if (c->item)
        machine_menu_popup(GTK_WIDGET(c), c->item, x, y);
}

static void on_secondary(GtkGestureClick *g, int n, double x, double y, gpointer cell)
{
    show_menu(cell, x, y);
    gtk_gesture_set_state(GTK_GESTURE(g), GTK_EVENT_SEQUENCE_CLAIMED);
}

static void on_long(GtkGestureLongPress *g, double x, double y, gpointer cell)
{
    show_menu(cell, x, y);
}

/* ---- as an object ---- */

static void map(GtkWidget *w)
{
    GTK_WIDGET_CLASS(vm_cell_parent_class)->map(w);
    watch(VM_CELL(w), true);
}

static void unmap(GtkWidget *w)
{
    watch(VM_CELL(w), false);
    GTK_WIDGET_CLASS(vm_cell_parent_class)->unmap(w);
}

static void get_property(GObject *o, guint id, GValue *v, GParamSpec *spec)
{
    if (id == PROP_ITEM)
        g_value_set_object(v, VM_CELL(o)->item);
    else
        G_OBJECT_WARN_INVALID_PROPERTY_ID(o, id, spec);
}

static void set_property(GObject *o, guint id, const GValue *v, GParamSpec *spec)
{
    if (id == PROP_ITEM)
        set_item(VM_CELL(o), g_value_get_object(v));
    else
        G_OBJECT_WARN_INVALID_PROPERTY_ID(o, id, spec);
}

static void dispose(GObject *o)
{
    VmCell *c = VM_CELL(o);
    watch(c, false);
    g_clear_object(&c->item);
    G_OBJECT_CLASS(vm_cell_parent_class)->dispose(o);
}

static void vm_cell_class_init(VmCellClass *c)
{
    static const char *const actions[] = {"cell.start", "cell.show", "cell.resume"};
    GObjectClass *o = G_OBJECT_CLASS(c);
    GtkWidgetClass *w = GTK_WIDGET_CLASS(c);
    o->get_property = get_property;
    o->set_property = set_property;
    o->dispose = dispose;
    w->map = map;
    w->unmap = unmap;
    for (unsigned i = 0; i < G_N_ELEMENTS(actions); i++)
        gtk_widget_class_install_action(w, actions[i], NULL, on_action);
    g_object_class_install_property(
        o, PROP_ITEM,
        g_param_spec_object("item", NULL, NULL, vm_item_get_type(), G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS));
}

static void vm_cell_init(VmCell *c)
{
    GtkGesture *secondary = gtk_gesture_click_new(), *longer = gtk_gesture_long_press_new();
    gtk_gesture_single_set_button(GTK_GESTURE_SINGLE(secondary), GDK_BUTTON_SECONDARY);
    gtk_gesture_single_set_touch_only(GTK_GESTURE_SINGLE(longer), TRUE);
    g_signal_connect(secondary, "pressed", G_CALLBACK(on_secondary), c);
    g_signal_connect(longer, "pressed", G_CALLBACK(on_long), c);
    gtk_widget_add_controller(GTK_WIDGET(c), GTK_EVENT_CONTROLLER(secondary));
    gtk_widget_add_controller(GTK_WIDGET(c), GTK_EVENT_CONTROLLER(longer));
}
