// SPDX-License-Identifier: GPL-2.0-or-later
/* overview.c - see overview.h. */
#include "gui/manager/overview.h"
#include "gui/manager/charts.h"
#include "gui/manager/engine_badge.h"
#include "gui/manager/facts.h"
#include <glib/gi18n.h>

struct _VmOverview {
    VmItemWidget parent_instance;
    guint pulse;
    GtkBox *buttons;
    GtkProgressBar *progress;
    AdwPreferencesGroup *facts;
    GPtrArray *rows; /* of facts, borrowed */
};
enum { PULSE_MS = 150 };
G_DEFINE_FINAL_TYPE(VmOverview, vm_overview, vm_item_widget_get_type())

/* ---- buttons ---- */

enum { OFF = 1, SAVED = 2, RUNNING = 4, PAUSED = 8, SILENT = 16, DAMAGED = 32 };
/* No more than a narrow window has room for; the menu has all. */
static const struct button {
    const char *label, *action, *style;
    unsigned when;
} buttons[] = {
    {N_("_Start"), "win.start", "suggested-action", OFF},
    {N_("_Resume"), "win.start", "suggested-action", SAVED},
    {N_("_Screen"), "win.show", "suggested-action", RUNNING},
    {N_("_Resume"), "win.resume", "suggested-action", PAUSED},
    {N_("_Screen"), "win.show", NULL, PAUSED},
    {N_("_Pause"), "win.pause", NULL, RUNNING},
    {N_("S_hut Down"), "win.shut-down", NULL, RUNNING},
    {N_("Sa_ve"), "win.save", NULL, PAUSED},
    {N_("_Force Off…"), "win.force-off", "destructive-action", SILENT},
    {N_("_Open Folder"), "win.open-folder", NULL, DAMAGED},
    {N_("_Delete…"), "win.delete", NULL, DAMAGED},
};

static unsigned when_of(VmItem *m)
{
    switch (vm_item_state(m)) {
    case VM_OFF: return OFF;
    case VM_SAVED: return SAVED;
    case VM_RUNNING: return RUNNING;
    case VM_PAUSED: return PAUSED;
    case VM_SILENT: return SILENT;
    case VM_DAMAGED: return DAMAGED;
    case VM_BEGINS: break;
    }
    return 0;
}

static void add_button(VmOverview *v, const struct button *b)
{
    GtkWidget *w = gtk_button_new_with_mnemonic(_(b->label));
    gtk_actionable_set_action_name(GTK_ACTIONABLE(w), b->action);
    gtk_actionable_set_action_target(GTK_ACTIONABLE(w), "s", vm_item_name(vm_item_of(v)));
    if (b->style)
        gtk_widget_add_css_class(w, b->style);
    gtk_box_append(v->buttons, w);
}

static void on_state(VmOverview *v)
{
    GtkWidget *child;
    while ((child = gtk_widget_get_first_child(GTK_WIDGET(v->buttons))))
        gtk_box_remove(v->buttons, child);
    unsigned when = vm_item_of(v) ? when_of(vm_item_of(v)) : 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(buttons); i++)
        if (buttons[i].when & when)
            add_button(v, &buttons[i]);
}

/* ---- a change under way ---- */

static gboolean pulse(gpointer overview)
{
    gtk_progress_bar_pulse(VM_OVERVIEW(overview)->progress);
    return G_SOURCE_CONTINUE;
}

static void stop_pulse(VmOverview *v)
{
    if (v->pulse)
        g_source_remove(v->pulse);
    v->pulse = 0;
}

static void on_fraction(VmOverview *v)
{
    VmJob *job = vm_item_of(v) ? vm_item_job(vm_item_of(v)) : NULL;
    double fraction = job ? vm_job_fraction(job) : -1;
    bool pulses = job && fraction < 0;
    if (pulses && !v->pulse)
        v->pulse = g_timeout_add(PULSE_MS, pulse, v);
    if (!pulses)
        stop_pulse(v);
    if (fraction >= 0)
        gtk_progress_bar_set_fraction(v->progress, fraction);
}

static void cancel(GtkWidget *w, const char *action, GVariant *parameter)
{
    VmJob *job = vm_item_job(vm_item_of(w));
    if (job)
        vm_job_cancel(job);
}

/* ---- facts ---- */

static void on_facts(VmOverview *v)
{
    for (guint i = 0; i < v->rows->len; i++)
        adw_preferences_group_remove(v->facts, v->rows->pdata[i]);
    g_ptr_array_set_size(v->rows, 0);
    g_autoptr(GPtrArray) facts = vm_item_of(v) ? facts_of(vm_item_of(v)) : g_ptr_array_new();
    for (guint i = 0; i < facts->len; i++) {
        const struct fact *f = facts->pdata[i];
        GtkWidget *row = adw_action_row_new();
        adw_preferences_row_set_use_markup(ADW_PREFERENCES_ROW(row), FALSE);
        adw_preferences_row_set_title(ADW_PREFERENCES_ROW(row), f->what);
        adw_action_row_set_subtitle(ADW_ACTION_ROW(row), f->value);
        adw_action_row_set_subtitle_lines(ADW_ACTION_ROW(row), 3);
        adw_preferences_group_add(v->facts, row);
        g_ptr_array_add(v->rows, row);
    }
}

/* ---- its machine ---- */

static void taken(VmItemWidget *w)
{
    static const struct {
        const char *signal;
        void (*fn)(VmOverview *);
    } follow[] = {{"notify::state", on_state},
                  {"notify::fraction", on_fraction},
                  {"notify::busy", on_fraction},
                  {"notify::settings", on_facts},
                  {"notify::info", on_facts}};
    VmItem *item = vm_item_of(w);
    for (unsigned i = 0; item && i < G_N_ELEMENTS(follow); i++)
        g_signal_connect_swapped(item, follow[i].signal, G_CALLBACK(follow[i].fn), w);
    on_state(VM_OVERVIEW(w));
    on_fraction(VM_OVERVIEW(w));
    on_facts(VM_OVERVIEW(w));
}

static void dispose(GObject *o)
{
    VmOverview *v = VM_OVERVIEW(o);
    stop_pulse(v);
    g_clear_pointer(&v->rows, g_ptr_array_unref);
    G_OBJECT_CLASS(vm_overview_parent_class)->dispose(o);
}

static void vm_overview_class_init(VmOverviewClass *c)
{
    GtkWidgetClass *w = GTK_WIDGET_CLASS(c);
    G_OBJECT_CLASS(c)->dispose = dispose;
    VM_ITEM_WIDGET_CLASS(c)->pictures = true;
    VM_ITEM_WIDGET_CLASS(c)->taken = taken;
    g_type_ensure(vm_charts_get_type());
    g_type_ensure(vm_engine_badge_get_type());
    gtk_widget_class_set_template_from_resource(w, "/org/terrarium/Terrarium/ui/overview.ui");
    gtk_widget_class_bind_template_child(w, VmOverview, buttons);
    gtk_widget_class_bind_template_child(w, VmOverview, progress);
    gtk_widget_class_bind_template_child(w, VmOverview, facts);
    gtk_widget_class_install_action(w, "overview.cancel", NULL, cancel);
}

static void vm_overview_init(VmOverview *v)
{
    v->rows = g_ptr_array_new();
    gtk_widget_init_template(GTK_WIDGET(v));
}
