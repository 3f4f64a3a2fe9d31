// SPDX-License-Identifier: GPL-2.0-or-later
/* engine_badge.c - see engine_badge.h.  The reason is the machine's own; the fix is the doctor's, asked when somebody wants to see it. */
#include "gui/manager/engine_badge.h"
#include "core-vmm/control/answer.h"
#include "gui/manager/doctor_ask.h"
#include <glib/gi18n.h>
#include <string.h>

struct _VmEngineBadge {
    VmItemWidget parent_instance;
    GtkMenuButton *button;
    GtkLabel *reason, *fix;
    GCancellable *asking;
};
G_DEFINE_FINAL_TYPE(VmEngineBadge, vm_engine_badge, vm_item_widget_get_type())

static const char *engine_of(VmEngineBadge *v)
{
    VmItem *m = vm_item_of(v);
    return m ? answer_text(vm_item_info(m), "engine", NULL) : NULL;
}

static void look(VmEngineBadge *v)
{
    const char *engine = engine_of(v);
    bool kvm = engine && !strcmp(engine, "kvm");
    gtk_widget_set_visible(GTK_WIDGET(v), engine != NULL);
    if (!engine)
        return;
    gtk_menu_button_set_label(v->button, kvm ? _("KVM") : _("Software Engine"));
    (kvm ? gtk_widget_remove_css_class : gtk_widget_add_css_class)(GTK_WIDGET(v->button), "slow");
    gtk_label_set_label(v->reason, answer_text(vm_item_info(vm_item_of(v)), "engine-reason", ""));
}

/* ---- the fix ---- */

static void on_findings(GObject *source, GAsyncResult *result, gpointer badge)
{
    g_autoptr(VmEngineBadge) v = badge;
    g_autoptr(GPtrArray) findings = doctor_answer(result);
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; findings && i < findings->len; i++) {
        const struct finding *f = findings->pdata[i];
        if (g_str_has_prefix(f->id, "kvm-") && f->fix)
            g_string_append_printf(text, "%s%s", text->len ? "\n" : "", f->fix);
    }
    if (!findings) /* cancelled */
        return;
    g_clear_object(&v->asking);
    gtk_label_set_label(v->fix, text->len ? text->str
                                          : _("This computer could use KVM; the machine's settings choose the engine "
                                              "(machine.engine)."));
    gtk_widget_set_visible(GTK_WIDGET(v->fix), TRUE);
}

static void on_shown(VmEngineBadge *v)
{
    const char *engine = engine_of(v);
    gtk_widget_set_visible(GTK_WIDGET(v->fix), FALSE);
    if (!engine || !strcmp(engine, "kvm") || v->asking)
        return;
    v->asking = g_cancellable_new();
    doctor_ask(v->asking, on_findings, g_object_ref(v));
}

static void taken(VmItemWidget *w)
{
    if (vm_item_of(w))
        g_signal_connect_swapped(vm_item_of(w), "notify::info", G_CALLBACK(look), w);
    look(VM_ENGINE_BADGE(w));
}

/* ---- as an object ---- */

static void dispose(GObject *o)
{
    VmEngineBadge *v = VM_ENGINE_BADGE(o);
    if (v->asking)
        g_cancellable_cancel(v->asking);
    g_clear_object(&v->asking);
    G_OBJECT_CLASS(vm_engine_badge_parent_class)->dispose(o);
}

static void vm_engine_badge_class_init(VmEngineBadgeClass *c)
{
    GtkWidgetClass *w = GTK_WIDGET_CLASS(c);
    G_OBJECT_CLASS(c)->dispose = dispose;
    VM_ITEM_WIDGET_CLASS(c)->taken = taken;
    gtk_widget_class_set_template_from_resource(w, "/org/terrarium/Terrarium/ui/engine_badge.ui");
    gtk_widget_class_bind_template_child(w, VmEngineBadge, button);
    gtk_widget_class_bind_template_child(w, VmEngineBadge, reason);
    gtk_widget_class_bind_template_child(w, VmEngineBadge, fix);
    gtk_widget_class_bind_template_callback(w, on_shown);
}

static void vm_engine_badge_init(VmEngineBadge *v)
{
    gtk_widget_init_template(GTK_WIDGET(v));
    gtk_widget_set_visible(GTK_WIDGET(v), FALSE);
}
