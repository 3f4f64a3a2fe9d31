// SPDX-License-Identifier: GPL-2.0-or-later
/* try_bar.c - see try_bar.h.  That a machine is being tried is told by a snapshot of that name, so also one begun by vmctl shows. */
#include "gui/manager/try_bar.h"
#include "core-vmm/host/snapshots.h"
#include "gui/manager/record_watch.h"

struct _VmTryBar {
    VmItemWidget parent_instance;
    GFileMonitor *watch;
    GtkRevealer *revealer;
};
G_DEFINE_FINAL_TYPE(VmTryBar, vm_try_bar, vm_item_widget_get_type())

static void look(VmTryBar *v)
{
    VmItem *m = vm_item_of(v);
    gtk_revealer_set_reveal_child(v->revealer, m && snapshots_trying(vm_item_name(m)));
}

static void on_action(GtkWidget *w, const char *action, GVariant *parameter)
{
    bool keep = g_str_has_suffix(action, "keep");
    if (vm_item_of(w))
        gtk_widget_activate_action(w, keep ? "win.try-keep" : "win.try-undo", "s", vm_item_name(vm_item_of(w)));
}

static void taken(VmItemWidget *w)
{
    VmTryBar *v = VM_TRY_BAR(w);
    record_watch_free(&v->watch, v);
    if (vm_item_of(w)) {
        v->watch = record_watch_new(vm_item_name(vm_item_of(w)), G_CALLBACK(look), v);
        g_signal_connect_swapped(vm_item_of(w), "notify::busy", G_CALLBACK(look), v);
    }
    look(v);
}

/* ---- as an object ---- */

static void dispose(GObject *o)
{
    record_watch_free(&VM_TRY_BAR(o)->watch, o);
    G_OBJECT_CLASS(vm_try_bar_parent_class)->dispose(o);
}

static void vm_try_bar_class_init(VmTryBarClass *c)
{
    GtkWidgetClass *w = GTK_WIDGET_CLASS(c);
    G_OBJECT_CLASS(c)->dispose = dispose;
    VM_ITEM_WIDGET_CLASS(c)->taken = taken;
    gtk_widget_class_set_template_from_resource(w, "/org/terrarium/Terrarium/ui/try_bar.ui");
    gtk_widget_class_bind_template_child(w, VmTryBar, revealer);
    gtk_widget_class_install_action(w, "trying.keep", NULL, on_action);
    gtk_widget_class_install_action(w, "trying.undo", NULL, on_action);
}

static void vm_try_bar_init(VmTryBar *v)
{
    gtk_widget_init_template(GTK_WIDGET(v));
}
