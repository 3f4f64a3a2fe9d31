// SPDX-License-Identifier: GPL-2.0-or-later
/* amount.c - see amount.h. */
#include "gui/manager/amount.h"
#include "gui/manager/facts.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

struct _VmAmount {
    AdwActionRow parent_instance;
    enum amount_kind kind;
    GArray *steps; /* uint64_t, rising */
    uint64_t safe;
    char *warning;
    guint proposed; /* the step; another one is the user's */
    GtkScale *scale;
    GtkLabel *label;
};
G_DEFINE_FINAL_TYPE(VmAmount, vm_amount, ADW_TYPE_ACTION_ROW)

static const uint64_t memory_steps[] = {16,   32,   64,   128,   256,   512,   768,   1024,  1536,  2048,  3072,
                                        4096, 6144, 8192, 12288, 16384, 24576, 32768, 49152, 65536, 98304, 131072};
static const uint64_t disk_steps[] = {1,  2,  4,  6,   8,   10,  12,  16,  20,  25,  32,   40,
                                      50, 64, 80, 100, 128, 200, 256, 400, 500, 750, 1000, 2000};

static void fill(VmAmount *a, const uint64_t *steps, unsigned n, uint64_t unit, uint64_t most)
{
    for (unsigned i = 0; i < n && (steps[i] * unit <= most || !i); i++) {
        uint64_t value = steps[i] * unit;
        g_array_append_val(a->steps, value);
    }
}

static void fill_cpus(VmAmount *a, uint64_t most)
{
    for (uint64_t i = 1; i <= most; i++)
        g_array_append_val(a->steps, i);
}

uint64_t vm_amount_get(VmAmount *a)
{
    guint at = (guint)(gtk_range_get_value(GTK_RANGE(a->scale)) + 0.5);
    return a->steps->len ? g_array_index(a->steps, uint64_t, MIN(at, a->steps->len - 1)) : 0;
}

/* The last step that is not more; of the first one, if all are. */
static guint step_below(VmAmount *a, uint64_t value)
{
    guint i = 0;
    while (i + 1 < a->steps->len && g_array_index(a->steps, uint64_t, i + 1) <= value)
        i++;
    return i;
}

void vm_amount_propose(VmAmount *a, uint64_t value)
{
    guint i = step_below(a, value);
    bool less = a->steps->len && g_array_index(a->steps, uint64_t, i) < value;
    if ((guint)(gtk_range_get_value(GTK_RANGE(a->scale)) + 0.5) != a->proposed)
        return;
    a->proposed = i + (less && i + 1 < a->steps->len);
    gtk_range_set_value(GTK_RANGE(a->scale), a->proposed);
}

void vm_amount_align(VmAmount *a, GtkSizeGroup *titles)
{
    GtkWidget *w = gtk_widget_get_first_child(gtk_widget_get_first_child(GTK_WIDGET(a)));
    while (w && !gtk_widget_has_css_class(w, "title"))
        w = gtk_widget_get_next_sibling(w);
    if (w)
        gtk_size_group_add_widget(titles, w);
}

static void on_value(VmAmount *a)
{
    uint64_t value = vm_amount_get(a);
    bool much = value > a->safe;
    g_autofree char *text =
        a->kind == AMOUNT_CPUS ? g_strdup_printf("%" G_GUINT64_FORMAT, value) : size_for_people(value);
    gtk_label_set_label(a->label, text);
    gtk_accessible_update_property(GTK_ACCESSIBLE(a->scale), GTK_ACCESSIBLE_PROPERTY_VALUE_TEXT, text, -1);
    adw_action_row_set_subtitle(ADW_ACTION_ROW(a), much ? a->warning : "");
    if (much)
        gtk_widget_add_css_class(GTK_WIDGET(a->label), "warning");
    else
        gtk_widget_remove_css_class(GTK_WIDGET(a->label), "warning");
}

void vm_amount_set_up(VmAmount *a, enum amount_kind kind, uint64_t most, uint64_t safe, const char *warning)
{
    a->kind = kind;
    a->safe = safe;
    a->warning = g_strdup(warning);
    if (kind == AMOUNT_MEMORY)
        fill(a, memory_steps, G_N_ELEMENTS(memory_steps), MIB, most);
    else if (kind == AMOUNT_DISK)
        fill(a, disk_steps, G_N_ELEMENTS(disk_steps), GIB, most);
    else
        fill_cpus(a, most);
    guint last = a->steps->len - 1;
    gtk_range_set_range(GTK_RANGE(a->scale), 0, MAX(last, 1));
    gtk_widget_set_sensitive(GTK_WIDGET(a->scale), last > 0);
    if (step_below(a, safe) < last)
        gtk_scale_add_mark(a->scale, step_below(a, safe), GTK_POS_BOTTOM, NULL);
    gtk_accessible_update_property(GTK_ACCESSIBLE(a->scale), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                   adw_preferences_row_get_title(ADW_PREFERENCES_ROW(a)), -1);
    on_value(a);
}

static void finalize(GObject *o)
{
    VmAmount *a = VM_AMOUNT(o);
    g_array_unref(a->steps);
    g_free(a->warning);
    G_OBJECT_CLASS(vm_amount_parent_class)->finalize(o);
}

static void vm_amount_class_init(VmAmountClass *c)
{
    G_OBJECT_CLASS(c)->finalize = finalize;
}

static void vm_amount_init(VmAmount *a)
{
    a->steps = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    a->scale = GTK_SCALE(gtk_scale_new_with_range(GTK_ORIENTATION_HORIZONTAL, 0, 1, 1));
    a->label = GTK_LABEL(gtk_label_new(NULL));
    gtk_range_set_round_digits(GTK_RANGE(a->scale), 0);
    gtk_widget_set_size_request(GTK_WIDGET(a->scale), 110, -1);
    gtk_widget_set_hexpand(GTK_WIDGET(a->scale), TRUE);
    gtk_widget_set_valign(GTK_WIDGET(a->scale), GTK_ALIGN_CENTER);
    adw_preferences_row_set_use_markup(ADW_PREFERENCES_ROW(a), FALSE);
    gtk_label_set_width_chars(a->label, 8);
    gtk_label_set_max_width_chars(a->label, 8);
    gtk_label_set_xalign(a->label, 1);
    gtk_widget_add_css_class(GTK_WIDGET(a->label), "numeric");
    adw_action_row_add_suffix(ADW_ACTION_ROW(a), GTK_WIDGET(a->scale));
    adw_action_row_add_suffix(ADW_ACTION_ROW(a), GTK_WIDGET(a->label));
    g_signal_connect_swapped(a->scale, "value-changed", G_CALLBACK(on_value), a);
}
