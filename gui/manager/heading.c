// SPDX-License-Identifier: GPL-2.0-or-later
/* heading.c - see heading.h. */
#include "gui/manager/heading.h"
#include <glib/gi18n.h>

struct _VmHeading {
    GtkButton parent_instance;
    GtkLabel *label;
    GtkImage *arrow;
    gboolean folded;
};
enum { PROP_TEXT = 1, PROP_FOLDED };
G_DEFINE_FINAL_TYPE(VmHeading, vm_heading, GTK_TYPE_BUTTON)

static void set_text(VmHeading *h, const char *text)
{
    gtk_label_set_label(h->label, text ? text : "");
    gtk_widget_set_visible(GTK_WIDGET(h), text != NULL);
    gtk_accessible_update_property(GTK_ACCESSIBLE(h), GTK_ACCESSIBLE_PROPERTY_LABEL, text ? text : "", -1);
}

static void set_folded(VmHeading *h, gboolean folded)
{
    h->folded = folded;
    gtk_image_set_from_icon_name(h->arrow, folded ? "pan-end-symbolic" : "pan-down-symbolic");
    gtk_widget_set_tooltip_text(GTK_WIDGET(h), folded ? _("Unfold the Group") : _("Fold the Group"));
    gtk_accessible_update_state(GTK_ACCESSIBLE(h), GTK_ACCESSIBLE_STATE_EXPANDED, !folded, -1);
}

static void get_property(GObject *o, guint id, GValue *v, GParamSpec *spec)
{
    VmHeading *h = VM_HEADING(o);
    switch (id) {
    case PROP_TEXT: g_value_set_string(v, gtk_label_get_label(h->label)); break;
    case PROP_FOLDED: g_value_set_boolean(v, h->folded); break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID(o, id, spec);
    }
}

static void set_property(GObject *o, guint id, const GValue *v, GParamSpec *spec)
{
    switch (id) {
    case PROP_TEXT: set_text(VM_HEADING(o), g_value_get_string(v)); break;
    case PROP_FOLDED: set_folded(VM_HEADING(o), g_value_get_boolean(v)); break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID(o, id, spec);
    }
}

static void vm_heading_class_init(VmHeadingClass *c)
{
    GObjectClass *o = G_OBJECT_CLASS(c);
    const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS;
    o->get_property = get_property;
    o->set_property = set_property;
    g_object_class_install_property(o, PROP_TEXT, g_param_spec_string("text", NULL, NULL, NULL, flags));
    g_object_class_install_property(o, PROP_FOLDED, g_param_spec_boolean("folded", NULL, NULL, FALSE, flags));
}

static void vm_heading_init(VmHeading *h)
{
    GtkWidget *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6);
    h->label = GTK_LABEL(gtk_label_new(NULL));
    h->arrow = GTK_IMAGE(gtk_image_new());
    gtk_label_set_xalign(h->label, 0);
    gtk_label_set_ellipsize(h->label, PANGO_ELLIPSIZE_END);
    gtk_widget_set_hexpand(GTK_WIDGET(h->label), TRUE);
    gtk_widget_add_css_class(GTK_WIDGET(h->label), "heading");
    gtk_widget_add_css_class(box, "dim-label");
    gtk_widget_add_css_class(GTK_WIDGET(h), "flat");
    gtk_widget_add_css_class(GTK_WIDGET(h), "group");
    gtk_box_append(GTK_BOX(box), GTK_WIDGET(h->label));
    gtk_box_append(GTK_BOX(box), GTK_WIDGET(h->arrow));
    gtk_button_set_child(GTK_BUTTON(h), box);
    set_text(h, NULL);
    set_folded(h, FALSE);
}
