// SPDX-License-Identifier: GPL-2.0-or-later
/* compare.c - see compare.h.  The disks are looked into by vmctl snapshot diff; another choice ends one that is under way. */
#include "gui/manager/compare.h"
#include "core-vmm/control/answer.h"
#include "core-vmm/host/snapshots.h"
#include "core-vmm/host/terminal.h"
#include "gui/manager/facts.h"
#include "gui/manager/take_out.h"
#include <glib/gi18n.h>
#include <string.h>

enum { AREAS_SHOWN = 100, FILES_SHOWN = 1000 };

struct _VmCompare {
    AdwWindow parent_instance;
    VmItem *item;
    GArray *ids;       /* unsigned, of the snapshots; as both lists have them, after the present of the second */
    VmJob *job;        /* NULL: none is under way */
    GPtrArray *groups; /* of what was found, borrowed */
    AdwPreferencesPage *page;
    AdwComboRow *first, *second;
    GtkSwitch *files;
    AdwPreferencesGroup *verdict;
    GtkSpinner *spinner;
};
G_DEFINE_FINAL_TYPE(VmCompare, vm_compare, ADW_TYPE_WINDOW)

/* ---- what was found ---- */

static AdwPreferencesGroup *add_group(VmCompare *v, const char *title, const char *description)
{
    GtkWidget *g = adw_preferences_group_new();
    g_autofree char *escaped = description ? g_markup_escape_text(description, -1) : NULL;
    adw_preferences_group_set_title(ADW_PREFERENCES_GROUP(g), title);
    adw_preferences_group_set_description(ADW_PREFERENCES_GROUP(g), escaped);
    adw_preferences_page_add(v->page, ADW_PREFERENCES_GROUP(g));
    g_ptr_array_add(v->groups, g);
    return ADW_PREFERENCES_GROUP(g);
}

/* What a guest has named may be anything. */
static GtkWidget *row_new(const char *title, const char *subtitle)
{
    GtkWidget *row = adw_action_row_new();
    g_autofree char *text = g_strdelimit(terminal_text(title, strlen(title)), "\n\t", ' ');
    adw_preferences_row_set_use_markup(ADW_PREFERENCES_ROW(row), FALSE);
    adw_preferences_row_set_title(ADW_PREFERENCES_ROW(row), text);
    adw_action_row_set_title_lines(ADW_ACTION_ROW(row), 0);
    adw_action_row_set_subtitle(ADW_ACTION_ROW(row), subtitle);
    adw_action_row_set_subtitle_lines(ADW_ACTION_ROW(row), 0);
    return row;
}

static AdwExpanderRow *expander_new(const char *title, const char *subtitle)
{
    GtkWidget *row = adw_expander_row_new();
    adw_preferences_row_set_use_markup(ADW_PREFERENCES_ROW(row), FALSE);
    adw_preferences_row_set_title(ADW_PREFERENCES_ROW(row), title);
    adw_expander_row_set_subtitle(ADW_EXPANDER_ROW(row), subtitle);
    return ADW_EXPANDER_ROW(row);
}

static void add_settings(VmCompare *v, JsonArray *settings)
{
    AdwPreferencesGroup *g = answer_count(settings) ? add_group(v, _("Settings"), NULL) : NULL;
    for (unsigned i = 0; i < answer_count(settings); i++) {
        JsonObject *s = answer_element(settings, i);
        g_autofree char *both =
            g_strdup_printf("%s → %s", answer_text(s, "first", _("not set")), answer_text(s, "second", _("not set")));
        adw_preferences_group_add(g, row_new(answer_text(s, "key", "?"), both));
    }
}

static void add_areas(AdwPreferencesGroup *g, JsonObject *disk)
{
    JsonArray *areas = answer_array(disk, "areas");
    unsigned n = answer_count(areas);
    if (!n)
        return;
    g_autofree char *size = size_for_people((guint64)answer_number(disk, "bytes", 0, G_MAXINT64, 0));
    g_autofree char *title = g_strdup_printf(ngettext("%u area", "%u areas", n), n);
    g_autofree char *first =
        n > AREAS_SHOWN ? g_strdup_printf(_("%s; the first %u are shown"), size, AREAS_SHOWN) : g_strdup(size);
    AdwExpanderRow *all = expander_new(title, first);
    for (unsigned i = 0; i < MIN(n, AREAS_SHOWN); i++) {
        JsonObject *a = answer_element(areas, i);
        g_autofree char *bytes = size_for_people((guint64)answer_number(a, "bytes", 0, G_MAXINT64, 0));
        g_autofree char *offset = answer_shown(a, "offset");
        g_autofree char *at = g_strdup_printf(_("At byte %s"), offset ? offset : "?");
        adw_expander_row_add_row(all, row_new(at, bytes));
    }
    adw_preferences_group_add(g, GTK_WIDGET(all));
}

/* Of what is no longer, or is another one: as it was in the first. */
static void add_take_out(AdwActionRow *row, const char *where, const char *path)
{
    GtkWidget *b = gtk_button_new_from_icon_name("document-save-symbolic");
    gtk_actionable_set_action_name(GTK_ACTIONABLE(b), "compare.take-out");
    gtk_actionable_set_action_target(GTK_ACTIONABLE(b), "(ss)", where, path);
    gtk_accessible_update_property(GTK_ACCESSIBLE(b), GTK_ACCESSIBLE_PROPERTY_LABEL, _("Take Out"), -1);
    gtk_widget_set_tooltip_text(b, _("Take Out, as It Was in the First"));
    gtk_widget_set_valign(b, GTK_ALIGN_CENTER);
    gtk_widget_add_css_class(b, "flat");
    adw_action_row_add_suffix(row, b);
}

static void add_file(AdwExpanderRow *to, JsonObject *file, const char *where)
{
    static const char *const how[][2] = {{"added", N_("New")}, {"removed", N_("Gone")}, {"changed", N_("Changed")}};
    const char *what = answer_text(file, "what", ""), *path = answer_text(file, "path", "?"), *word = what;
    for (unsigned i = 0; i < G_N_ELEMENTS(how); i++)
        word = strcmp(how[i][0], what) ? word : _(how[i][1]);
    GtkWidget *row = row_new(path, word);
    if (strcmp(what, "added"))
        add_take_out(ADW_ACTION_ROW(row), where, path);
    adw_expander_row_add_row(to, row);
}

static void add_partition(AdwPreferencesGroup *g, const char *drive, JsonObject *partition)
{
    JsonArray *files = answer_array(partition, "files");
    int number = (int)answer_number(partition, "partition", 0, G_MAXINT, 0);
    unsigned n = answer_count(files);
    const char *why = answer_text(partition, "why", NULL);
    g_autofree char *where = number ? g_strdup_printf("%s:%d", drive, number) : g_strdup(drive);
    g_autofree char *title = g_strdup_printf("%s (%s)", where, answer_text(partition, "kind", "?"));
    g_autofree char *count = g_strdup_printf(ngettext("%u file differs", "%u files differ", n), n);
    bool more = n > FILES_SHOWN || answer_flag(partition, "more");
    g_autofree char *all =
        g_strdup_printf("%s%s%s%s", count, more ? _("; not all are shown") : "", why ? "\n" : "", why ? why : "");
    AdwExpanderRow *row = expander_new(title, all);
    for (unsigned i = 0; i < MIN(n, FILES_SHOWN); i++)
        add_file(row, answer_element(files, i), where);
    adw_expander_row_set_expanded(row, n && n <= AREAS_SHOWN);
    adw_preferences_group_add(g, GTK_WIDGET(row));
}

static void add_disk(VmCompare *v, JsonObject *disk)
{
    const char *drive = answer_text(disk, "drive", "?"), *only = answer_text(disk, "only-in", NULL);
    const char *why = answer_text(disk, "why", NULL);
    JsonArray *partitions = answer_array(disk, "partitions");
    if (!only && !why && !answer_count(answer_array(disk, "areas")) && !answer_count(partitions))
        return;
    AdwPreferencesGroup *g = add_group(v, drive,
                                       !only                    ? why
                                       : !strcmp(only, "first") ? _("Only the first has this disk.")
                                                                : _("Only the second has this disk."));
    add_areas(g, disk);
    for (unsigned i = 0; i < answer_count(partitions); i++)
        add_partition(g, drive, answer_element(partitions, i));
}

static void say(VmCompare *v, const char *title, const char *description)
{
    g_autofree char *escaped = description ? g_markup_escape_text(description, -1) : NULL;
    gtk_widget_set_visible(GTK_WIDGET(v->verdict), title != NULL);
    adw_preferences_group_set_title(v->verdict, title ? title : "");
    adw_preferences_group_set_description(v->verdict, escaped);
}

static void show(VmCompare *v, JsonObject *o)
{
    JsonArray *disks = answer_array(o, "disks");
    say(v, NULL, NULL);
    add_settings(v, answer_array(o, "settings"));
    for (unsigned i = 0; i < answer_count(disks); i++)
        add_disk(v, answer_element(disks, i));
    if (!v->groups->len)
        say(v, _("Nothing Differs"),
            _("Settings are the same, and neither has written to its disks since they parted."));
}

static void clear(VmCompare *v)
{
    for (guint i = 0; i < v->groups->len; i++)
        adw_preferences_page_remove(v->page, v->groups->pdata[i]);
    g_ptr_array_set_size(v->groups, 0);
}

/* ---- comparing ---- */

static void stop(VmCompare *v)
{
    if (!v->job)
        return;
    g_signal_handlers_disconnect_by_data(v->job, v);
    vm_job_cancel(v->job);
    g_clear_object(&v->job);
}

static void on_done(VmJob *job, GParamSpec *spec, gpointer compare)
{
    VmCompare *v = compare;
    g_autoptr(GError) error = NULL;
    JsonObject *o = vm_job_problem(job) ? NULL : answer_parse(vm_job_output(job), &error);
    gtk_spinner_set_spinning(v->spinner, FALSE);
    if (o)
        show(v, o);
    else
        say(v, _("It Cannot Be Said"), error ? error->message : vm_job_problem(job));
    if (o)
        json_object_unref(o);
    g_clear_object(&v->job);
}

/* "3"; NULL: the present.  g_free. */
static char *chosen(VmCompare *v, AdwComboRow *row)
{
    guint at = adw_combo_row_get_selected(row), before = row == v->second;
    return at == GTK_INVALID_LIST_POSITION || at < before || at - before >= v->ids->len
               ? NULL
               : g_strdup_printf("%u", g_array_index(v->ids, unsigned, at - before));
}

static void compare(VmCompare *v)
{
    g_autofree char *a = chosen(v, v->first), *b = chosen(v, v->second);
    const char *words[] = {"snapshot",
                           "-o",
                           "json",
                           gtk_switch_get_active(v->files) ? "--files" : "--quiet",
                           "--",
                           "diff",
                           vm_item_name(v->item),
                           a,
                           b,
                           NULL};
    stop(v);
    clear(v);
    if (!a)
        return;
    say(v, _("Comparing…"), NULL);
    gtk_spinner_set_spinning(v->spinner, TRUE);
    v->job = vm_job_new(_("Comparing"), words);
    g_signal_connect_object(v->job, "notify::done", G_CALLBACK(on_done), v, 0);
}

static void take_out(GtkWidget *w, const char *action, GVariant *parameter)
{
    VmCompare *v = VM_COMPARE(w);
    g_autofree char *snapshot = chosen(v, v->first);
    const char *drive, *path;
    g_variant_get(parameter, "(&s&s)", &drive, &path);
    if (snapshot)
        take_out_ask(GTK_WINDOW(w), VM_WINDOW(gtk_window_get_transient_for(GTK_WINDOW(w))), v->item, snapshot, drive,
                     path);
}

/* ---- choosing ---- */

static void fill(VmCompare *v, unsigned snapshot)
{
    struct snapshot_record *r = snapshots_list(vm_item_name(v->item), NULL);
    g_autoptr(GtkStringList) first = gtk_string_list_new(NULL), second = gtk_string_list_new(NULL);
    guint at = 0;
    gtk_string_list_append(second, _("The Present"));
    for (guint i = 0; r && i < r->snapshots->len; i++) {
        const struct snapshot *s = r->snapshots->pdata[i];
        g_autofree char *number = g_strdup_printf(_("Snapshot %u"), s->id);
        g_autofree char *name = s->name ? g_strdup_printf("%s (%u)", s->name, s->id) : g_strdup(number);
        gtk_string_list_append(first, name);
        gtk_string_list_append(second, name);
        g_array_append_val(v->ids, s->id);
        at = s->id == snapshot ? i : at;
    }
    if (r)
        record_free(r);
    adw_combo_row_set_model(v->first, G_LIST_MODEL(first));
    adw_combo_row_set_model(v->second, G_LIST_MODEL(second));
    adw_combo_row_set_selected(v->first, at);
}

void vm_compare_show(VmWindow *w, VmItem *m, unsigned snapshot)
{
    VmCompare *v = g_object_new(vm_compare_get_type(), "transient-for", w, NULL);
    v->item = g_object_ref(m);
    fill(v, snapshot);
    g_signal_connect_swapped(v->first, "notify::selected", G_CALLBACK(compare), v);
    g_signal_connect_swapped(v->second, "notify::selected", G_CALLBACK(compare), v);
    g_signal_connect_swapped(v->files, "notify::active", G_CALLBACK(compare), v);
    compare(v);
    gtk_window_present(GTK_WINDOW(v));
}

/* ---- as an object ---- */

static void dispose(GObject *o)
{
    VmCompare *v = VM_COMPARE(o);
    stop(v);
    g_clear_object(&v->item);
    g_clear_pointer(&v->ids, g_array_unref);
    g_clear_pointer(&v->groups, g_ptr_array_unref);
    if (v->first) {
        g_signal_handlers_disconnect_by_data(v->first, v);
        g_signal_handlers_disconnect_by_data(v->second, v);
        g_signal_handlers_disconnect_by_data(v->files, v);
    }
    gtk_widget_dispose_template(GTK_WIDGET(o), vm_compare_get_type());
    G_OBJECT_CLASS(vm_compare_parent_class)->dispose(o);
}

static void vm_compare_class_init(VmCompareClass *c)
{
    GtkWidgetClass *w = GTK_WIDGET_CLASS(c);
    G_OBJECT_CLASS(c)->dispose = dispose;
    gtk_widget_class_set_template_from_resource(w, "/org/terrarium/Terrarium/ui/compare.ui");
    gtk_widget_class_bind_template_child(w, VmCompare, page);
    gtk_widget_class_bind_template_child(w, VmCompare, first);
    gtk_widget_class_bind_template_child(w, VmCompare, second);
    gtk_widget_class_bind_template_child(w, VmCompare, files);
    gtk_widget_class_bind_template_child(w, VmCompare, verdict);
    gtk_widget_class_bind_template_child(w, VmCompare, spinner);
    gtk_widget_class_install_action(w, "compare.take-out", "(ss)", take_out);
    gtk_widget_class_add_binding_action(w, GDK_KEY_Escape, 0, "window.close", NULL);
}

static void vm_compare_init(VmCompare *v)
{
    v->ids = g_array_new(FALSE, FALSE, sizeof(unsigned));
    v->groups = g_ptr_array_new();
    gtk_widget_init_template(GTK_WIDGET(v));
}
