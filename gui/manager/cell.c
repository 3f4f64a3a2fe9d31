// SPDX-License-Identifier: GPL-2.0-or-later
/* cell.c - see cell.h.
 *
 * Its actions "cell.start" and so on are the window's of that name for this machine. */
#include "gui/manager/cell.h"
#include "gui/manager/machine_menu.h"
#include <string.h>

struct _VmCell {
    VmItemWidget parent_instance;
};
G_DEFINE_FINAL_TYPE(VmCell, vm_cell, vm_item_widget_get_type())

/* "cell.start" is "win.start" of this machine. */
static void on_action(GtkWidget *w, const char *action, GVariant *parameter)
{
    VmItem *m = vm_item_of(w);
    g_autofree char *of_window = g_strconcat("win.", strchr(action, '.') + 1, NULL);
    if (m)
        gtk_widget_activate_action(w, of_window, "s", vm_item_name(m));
}

static void show_menu(VmCell *c, double x, double y)
{
    if (vm_item_of(c))
        machine_menu_popup(GTK_WIDGET(c), vm_item_of(c), x, y);
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

static void vm_cell_class_init(VmCellClass *c)
{
    static const char *const actions[] = {"cell.start", "cell.show", "cell.fold"};
    GtkWidgetClass *w = GTK_WIDGET_CLASS(c);
    VM_ITEM_WIDGET_CLASS(c)->pictures = true;
    for (unsigned i = 0; i < G_N_ELEMENTS(actions); i++)
        gtk_widget_class_install_action(w, actions[i], NULL, on_action);
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
