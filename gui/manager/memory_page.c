// SPDX-License-Identifier: GPL-2.0-or-later
/* memory_page.c - see memory_page.h. */
#include "gui/manager/memory_page.h"
#include "core-vmm/control/answer.h"
#include "gui/manager/facts.h"
#include "gui/manager/vm_call.h"
#include <glib/gi18n.h>

enum { LOOK_MS = 2000, SET_MS = 300, ANSWER_MS = 10000 };
#define MIB         (1 << 20)
#define LEAST_SHARE 8 /* of the memory: less would stop most guests */

struct _VmMemory {
    AdwWindow parent_instance;
    VmItem *item;
    guint look, set; /* sources; 0: none */
    bool asking, taking;
    AdwPreferencesGroup *group;
    GPtrArray *rows; /* borrowed */
    GtkScale *scale;
    GtkLabel *wanted, *notice;
    GtkWidget *choice;
};
G_DEFINE_FINAL_TYPE(VmMemory, vm_memory, ADW_TYPE_WINDOW)

static void notice(VmMemory *v, const char *text)
{
    gtk_label_set_label(v->notice, text ? text : "");
    gtk_widget_set_visible(GTK_WIDGET(v->notice), text != NULL);
}

/* ---- what it says ---- */

/* So many that they are kept: a row that somebody reads stays the same one. */
static void put_row(VmMemory *v, guint n, const char *title, JsonObject *o, const char *name)
{
    g_autofree char *size = size_for_people((guint64)answer_number(o, name, 0, G_MAXINT64, 0));
    if (n == v->rows->len) {
        GtkWidget *row = adw_action_row_new();
        adw_preferences_group_add(v->group, row);
        g_ptr_array_add(v->rows, row);
    }
    adw_preferences_row_set_title(v->rows->pdata[n], title);
    adw_action_row_set_subtitle(v->rows->pdata[n], answer_has(o, name) ? size : _("not told"));
}

static void show_wanted(VmMemory *v)
{
    g_autofree char *size = size_for_people((guint64)gtk_range_get_value(GTK_RANGE(v->scale)));
    gtk_label_set_label(v->wanted, size);
}

static void show(VmMemory *v, JsonObject *o)
{
    JsonObject *guest = answer_object(o, "statistics");
    double all = (double)answer_number(o, "memory", MIB, G_MAXINT64, MIB);
    guint n = 0;
    put_row(v, n++, _("Memory of the Machine"), o, "memory");
    put_row(v, n++, _("Left to the Guest"), o, "left");
    put_row(v, n++, _("Taken on This Computer"), o, "on-host");
    put_row(v, n++, _("Given Back So Far"), o, "given-back");
    put_row(v, n++, _("Free in the Guest"), guest, "free");
    put_row(v, n++, _("Available in the Guest"), guest, "available");
    put_row(v, n++, _("The Guest's Caches"), guest, "disk-caches");
    v->taking = true;
    gtk_range_set_range(GTK_RANGE(v->scale), MAX(all / LEAST_SHARE, MIB), MAX(all, 2 * MIB));
    gtk_range_set_increments(GTK_RANGE(v->scale), MIB, all / 16);
    if (!v->set)
        gtk_range_set_value(GTK_RANGE(v->scale), (double)answer_number(o, "wanted", 0, G_MAXINT64, MIB));
    v->taking = false;
    show_wanted(v);
    gtk_widget_set_visible(v->choice, TRUE);
    notice(v, answer_flag(o, "driver")
                  ? NULL
                  : _("The guest has no driver for it at work (Linux: virtio_balloon), and gives nothing back."));
}

static void on_looked(GObject *memory, GAsyncResult *result, gpointer unused)
{
    VmMemory *v = VM_MEMORY(memory);
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) o = vm_called(result, &error);
    v->asking = false;
    if (!v->rows) /* it was closed */
        return;
    if (o)
        show(v, o);
    else
        notice(v, error->message);
}

static gboolean on_look_time(gpointer memory)
{
    VmMemory *v = memory;
    if (v->asking)
        return G_SOURCE_CONTINUE;
    v->asking = true;
    vm_call(vm_item_name(v->item), "balloon.info", NULL, ANSWER_MS, G_OBJECT(v), on_looked, NULL);
    return G_SOURCE_CONTINUE;
}

/* ---- what one wants ---- */

static void on_set(GObject *memory, GAsyncResult *result, gpointer unused)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) o = vm_called(result, &error);
    if (!o && VM_MEMORY(memory)->rows)
        notice(VM_MEMORY(memory), error->message);
}

static gboolean on_set_time(gpointer memory)
{
    VmMemory *v = memory;
    JsonObject *args = json_object_new();
    gint64 bytes = (gint64)gtk_range_get_value(GTK_RANGE(v->scale)) / MIB * MIB;
    v->set = 0;
    json_object_set_int_member(args, "memory", MAX(bytes, MIB));
    vm_call(vm_item_name(v->item), "balloon.set", args, ANSWER_MS, G_OBJECT(v), on_set, NULL);
    return G_SOURCE_REMOVE;
}

/* Once, when the hand rests. */
static void on_scale(VmMemory *v)
{
    show_wanted(v);
    if (v->taking)
        return;
    if (v->set)
        g_source_remove(v->set);
    v->set = g_timeout_add(SET_MS, on_set_time, v);
}

/* ---- as an object ---- */

void vm_memory_show(VmWindow *w, VmItem *m)
{
    VmMemory *v = g_object_new(vm_memory_get_type(), "transient-for", w, NULL);
    v->item = g_object_ref(m);
    on_look_time(v);
    v->look = g_timeout_add(LOOK_MS, on_look_time, v);
    gtk_window_present(GTK_WINDOW(v));
}

static void dispose(GObject *o)
{
    VmMemory *v = VM_MEMORY(o);
    if (v->look)
        g_source_remove(v->look);
    if (v->set)
        g_source_remove(v->set);
    v->look = v->set = 0;
    g_clear_object(&v->item);
    g_clear_pointer(&v->rows, g_ptr_array_unref);
    gtk_widget_dispose_template(GTK_WIDGET(o), vm_memory_get_type());
    G_OBJECT_CLASS(vm_memory_parent_class)->dispose(o);
}

static void vm_memory_class_init(VmMemoryClass *c)
{
    GtkWidgetClass *w = GTK_WIDGET_CLASS(c);
    G_OBJECT_CLASS(c)->dispose = dispose;
    gtk_widget_class_set_template_from_resource(w, "/org/terrarium/Terrarium/ui/memory.ui");
    gtk_widget_class_bind_template_child(w, VmMemory, group);
    gtk_widget_class_bind_template_child(w, VmMemory, scale);
    gtk_widget_class_bind_template_child(w, VmMemory, wanted);
    gtk_widget_class_bind_template_child(w, VmMemory, notice);
    gtk_widget_class_bind_template_child(w, VmMemory, choice);
    gtk_widget_class_add_binding_action(w, GDK_KEY_Escape, 0, "window.close", NULL);
}

static void vm_memory_init(VmMemory *v)
{
    v->rows = g_ptr_array_new();
    gtk_widget_init_template(GTK_WIDGET(v));
    g_signal_connect_swapped(v->scale, "value-changed", G_CALLBACK(on_scale), v);
}
