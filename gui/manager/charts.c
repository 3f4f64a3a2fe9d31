// SPDX-License-Identifier: GPL-2.0-or-later
/* charts.c - see charts.h.  Nobody looks while nobody can see them. */
#include "gui/manager/charts.h"
#include "gui/manager/chart.h"
#include "gui/manager/facts.h"
#include "gui/manager/usage_watch.h"
#include <glib/gi18n.h>

#define MIB (1024.0 * 1024.0)

enum { CPU, MEMORY, DISKS, NETWORK, CHARTS };
struct _VmCharts {
    VmItemWidget parent_instance;
    struct usage_watch *watch; /* while the machine runs, and they are seen */
    GdkToplevel *toplevel;     /* while they are mapped */
    VmChart *charts[CHARTS];   /* borrowed */
};
G_DEFINE_FINAL_TYPE(VmCharts, vm_charts, vm_item_widget_get_type())

static void add_rates(VmChart *c, const char *form, uint64_t in, uint64_t out)
{
    g_autofree char *x = size_for_people(in), *y = size_for_people(out), *text = g_strdup_printf(form, x, y);
    vm_chart_add(c, (double)in, (double)out, text);
}

static void stop(VmCharts *v)
{
    g_clear_pointer(&v->watch, usage_watch_free);
}

static void on_told(void *charts, const struct usage_now *now)
{
    VmCharts *v = charts;
    if (!now) { /* the next change of the machine's state begins anew */
        stop(v);
        return;
    }
    g_autofree char *used = size_for_people(now->memory), *limit = size_for_people(now->memory_limit);
    g_autofree char *cpu = g_strdup_printf(_("%.0f %% of one CPU"), now->cpu);
    g_autofree char *memory = g_strdup_printf(_("%s of %s"), used, limit);
    vm_chart_add(v->charts[CPU], now->cpu, -1, cpu);
    vm_chart_add(v->charts[MEMORY], now->memory_limit ? (double)now->memory / (double)now->memory_limit : 0, -1,
                 memory);
    add_rates(v->charts[DISKS], _("%s/s read\n%s/s written"), now->read, now->written);
    add_rates(v->charts[NETWORK], _("%s/s in\n%s/s out"), now->received, now->sent);
}

/* In a window that is minimised, or that the compositor says nobody sees, widgets stay mapped. */
static bool is_seen(const VmCharts *v)
{
    unsigned hidden = GDK_TOPLEVEL_STATE_MINIMIZED;
#if GTK_CHECK_VERSION(4, 12, 0)
    hidden |= GDK_TOPLEVEL_STATE_SUSPENDED;
#endif
    return v->toplevel && !(gdk_toplevel_get_state(v->toplevel) & hidden);
}

static void update(VmCharts *v)
{
    VmItem *m = vm_item_of(v);
    bool runs = m && vm_item_is_live(m);
    gtk_widget_set_visible(GTK_WIDGET(v), runs);
    if (!runs || !is_seen(v)) {
        stop(v);
        return;
    }
    if (!v->watch)
        v->watch = usage_watch_new(vm_item_name(m), on_told, v);
}

static void taken(VmItemWidget *w)
{
    VmCharts *v = VM_CHARTS(w);
    stop(v);
    for (unsigned i = 0; i < CHARTS; i++)
        vm_chart_clear(v->charts[i]);
    if (vm_item_of(w))
        g_signal_connect_swapped(vm_item_of(w), "notify::state", G_CALLBACK(update), w);
    update(v);
}

/* ---- as an object ---- */

static void forget_toplevel(VmCharts *v)
{
    if (v->toplevel)
        g_signal_handlers_disconnect_by_data(v->toplevel, v);
    g_clear_object(&v->toplevel);
    stop(v);
}

static void map(GtkWidget *w)
{
    VmCharts *v = VM_CHARTS(w);
    GTK_WIDGET_CLASS(vm_charts_parent_class)->map(w);
    g_set_object(&v->toplevel, GDK_TOPLEVEL(gtk_native_get_surface(gtk_widget_get_native(w))));
    g_signal_connect_swapped(v->toplevel, "notify::state", G_CALLBACK(update), v);
    update(v);
}

static void unmap(GtkWidget *w)
{
    GTK_WIDGET_CLASS(vm_charts_parent_class)->unmap(w);
    forget_toplevel(VM_CHARTS(w));
}

static void dispose(GObject *o)
{
    forget_toplevel(VM_CHARTS(o));
    G_OBJECT_CLASS(vm_charts_parent_class)->dispose(o);
}

static void vm_charts_class_init(VmChartsClass *c)
{
    GTK_WIDGET_CLASS(c)->map = map;
    GTK_WIDGET_CLASS(c)->unmap = unmap;
    G_OBJECT_CLASS(c)->dispose = dispose;
    VM_ITEM_WIDGET_CLASS(c)->taken = taken;
}

static void vm_charts_init(VmCharts *v)
{
    static const struct {
        const char *title;
        double least;
    } kinds[CHARTS] = {{N_("Processor"), 100}, {N_("Memory"), 1}, {N_("Disks"), MIB}, {N_("Network"), MIB / 8}};
    GtkWidget *grid = gtk_grid_new();
    gtk_grid_set_column_homogeneous(GTK_GRID(grid), TRUE);
    gtk_grid_set_row_spacing(GTK_GRID(grid), 12);
    gtk_grid_set_column_spacing(GTK_GRID(grid), 12);
    for (unsigned i = 0; i < CHARTS; i++) {
        GtkWidget *chart = vm_chart_new(_(kinds[i].title), kinds[i].least);
        v->charts[i] = VM_CHART(chart);
        gtk_widget_set_hexpand(chart, TRUE);
        gtk_grid_attach(GTK_GRID(grid), chart, (int)i % 2, (int)i / 2, 1, 1);
    }
    adw_bin_set_child(ADW_BIN(v), grid);
    gtk_widget_set_visible(GTK_WIDGET(v), FALSE);
}
