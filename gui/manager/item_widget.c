// SPDX-License-Identifier: GPL-2.0-or-later
/* item_widget.c - see item_widget.h. */
#include "gui/manager/item_widget.h"

typedef struct {
    VmItem *item;
    bool watches; /* asks for pictures */
} VmItemWidgetPrivate;
enum { PROP_ITEM = 1 };
G_DEFINE_ABSTRACT_TYPE_WITH_PRIVATE(VmItemWidget, vm_item_widget, ADW_TYPE_BIN)

static VmItemWidgetPrivate *private_of(gpointer widget)
{
    return vm_item_widget_get_instance_private(VM_ITEM_WIDGET(widget));
}

VmItem *vm_item_of(gpointer item_widget)
{
    return private_of(item_widget)->item;
}

static void watch(VmItemWidget *w, bool on)
{
    VmItemWidgetPrivate *p = private_of(w);
    bool should = on && p->item && VM_ITEM_WIDGET_GET_CLASS(w)->pictures;
    if (p->watches == should)
        return;
    p->watches = should;
    vm_item_want_pictures(p->item, should);
}

static void drop(VmItemWidget *w)
{
    VmItemWidgetPrivate *p = private_of(w);
    watch(w, false);
    if (p->item)
        g_signal_handlers_disconnect_by_data(p->item, w);
    g_clear_object(&p->item);
}

static void set_item(VmItemWidget *w, VmItem *item)
{
    VmItemWidgetPrivate *p = private_of(w);
    if (p->item == item)
        return;
    drop(w);
    p->item = item ? g_object_ref(item) : NULL;
    watch(w, gtk_widget_get_mapped(GTK_WIDGET(w)));
    g_object_notify(G_OBJECT(w), "item");
    if (VM_ITEM_WIDGET_GET_CLASS(w)->taken)
        VM_ITEM_WIDGET_GET_CLASS(w)->taken(w);
}

/* ---- as an object ---- */

static void map(GtkWidget *w)
{
    GTK_WIDGET_CLASS(vm_item_widget_parent_class)->map(w);
    watch(VM_ITEM_WIDGET(w), true);
}

static void unmap(GtkWidget *w)
{
    watch(VM_ITEM_WIDGET(w), false);
    GTK_WIDGET_CLASS(vm_item_widget_parent_class)->unmap(w);
}

static void get_property(GObject *o, guint id, GValue *v, GParamSpec *spec)
{
    if (id == PROP_ITEM)
        g_value_set_object(v, vm_item_of(o));
    else
        G_OBJECT_WARN_INVALID_PROPERTY_ID(o, id, spec);
}

static void set_property(GObject *o, guint id, const GValue *v, GParamSpec *spec)
{
    if (id == PROP_ITEM)
        set_item(VM_ITEM_WIDGET(o), g_value_get_object(v));
    else
        G_OBJECT_WARN_INVALID_PROPERTY_ID(o, id, spec);
}

static void dispose(GObject *o)
{
    drop(VM_ITEM_WIDGET(o));
    G_OBJECT_CLASS(vm_item_widget_parent_class)->dispose(o);
}

static void vm_item_widget_class_init(VmItemWidgetClass *c)
{
    GObjectClass *o = G_OBJECT_CLASS(c);
    GtkWidgetClass *w = GTK_WIDGET_CLASS(c);
    const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;
    o->get_property = get_property;
    o->set_property = set_property;
    o->dispose = dispose;
    w->map = map;
    w->unmap = unmap;
    g_object_class_install_property(o, PROP_ITEM, g_param_spec_object("item", NULL, NULL, vm_item_get_type(), flags));
}

static void vm_item_widget_init(VmItemWidget *w)
{
}
