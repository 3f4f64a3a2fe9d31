// SPDX-License-Identifier: GPL-2.0-or-later
/* import_page.c - see import_page.h. */
#include "gui/manager/import_page.h"
#include "core-vmm/control/answer.h"
#include "core-vmm/host/config_schema.h"
#include "gui/manager/job.h"
#include "gui/manager/plan.h"
#include "gui/manager/titles.h"
#include <glib/gi18n.h>
#include <string.h>

struct _VmImport {
    AdwBin parent_instance;
    char *path, *problem, *given_name; /* given_name: by us; another one is the user's */
    VmJob *job;                        /* that looks; NULL: none */
    bool known;
    AdwEntryRow *name;
    AdwActionRow *from;
    AdwComboRow *disks;
    GtkSwitch *outside;
    GtkWidget *looking;
    AdwPreferencesGroup *along, *left;
    GPtrArray *rows; /* of these two; borrowed */
};
enum { PROP_PROBLEM = 1 };
G_DEFINE_FINAL_TYPE(VmImport, vm_import, ADW_TYPE_BIN)

static bool ends_with(const char *path, const char *ending)
{
    g_autofree char *lower = g_ascii_strdown(path, -1);
    while (g_str_has_suffix(lower, "/"))
        lower[strlen(lower) - 1] = '\0';
    return g_str_has_suffix(lower, ending);
}

bool import_is_for(const char *path)
{
    static const char *const endings[] = {".ova", ".ovf", ".vmx", ".vbox", ".utm", ".xml", ".conf"};
    bool is = false;
    for (unsigned i = 0; i < G_N_ELEMENTS(endings) && !is; i++)
        is = ends_with(path, endings[i]);
    return is;
}

static void set_problem(VmImport *p, const char *problem)
{
    g_free(p->problem);
    p->problem = g_strdup(problem);
    g_object_notify(G_OBJECT(p), "problem");
}

/* ---- what would come of it ---- */

static void clear_rows(VmImport *p)
{
    for (guint i = 0; i < p->rows->len; i++) {
        GtkWidget *row = p->rows->pdata[i];
        bool along = gtk_widget_is_ancestor(row, GTK_WIDGET(p->along));
        adw_preferences_group_remove(along ? p->along : p->left, row);
    }
    g_ptr_array_set_size(p->rows, 0);
}

static AdwActionRow *add_row(VmImport *p, AdwPreferencesGroup *group, const char *title, const char *subtitle)
{
    GtkWidget *row = adw_action_row_new();
    adw_preferences_row_set_use_markup(ADW_PREFERENCES_ROW(row), FALSE);
    adw_preferences_row_set_title(ADW_PREFERENCES_ROW(row), title);
    adw_action_row_set_subtitle(ADW_ACTION_ROW(row), subtitle);
    adw_action_row_set_subtitle_lines(ADW_ACTION_ROW(row), 0);
    adw_preferences_group_add(group, row);
    g_ptr_array_add(p->rows, row);
    return ADW_ACTION_ROW(row);
}

/* One more thing that is said of a part: settings of one part stand in one row. */
static void add_to_part(VmImport *p, AdwPreferencesGroup *group, const char *section, const char *text)
{
    g_autofree char *title = title_of_section(section);
    AdwActionRow *row = p->rows->len ? p->rows->pdata[p->rows->len - 1] : NULL;
    if (!row || strcmp(adw_preferences_row_get_title(ADW_PREFERENCES_ROW(row)), title)) {
        add_row(p, group, title, text);
        return;
    }
    g_autofree char *both = g_strconcat(adw_action_row_get_subtitle(row), ", ", text, NULL);
    adw_action_row_set_subtitle(row, both);
}

/* "nic1.model=e1000" and "sata0 with disk.vmdk" are of a part, in words that people know; all else is a sentence. */
static void add_line(VmImport *p, AdwPreferencesGroup *group, const char *text)
{
    g_auto(GStrv) file = g_strsplit(text, " with ", 2), sides = g_strsplit(text, "=", 2);
    g_auto(GStrv) words = g_strsplit(*sides, ".", 2);
    bool setting = sides[0] && sides[1] && words[1] && schema_find(words[0], words[1], NULL);
    g_autofree char *key = setting ? title_of_word(words[1]) : NULL;
    g_autofree char *said = setting ? g_strdup_printf("%s: %s", key, sides[1]) : NULL;
    if (setting)
        add_to_part(p, group, words[0], said);
    else if (file[0] && file[1] && schema_find_section(file[0]))
        add_to_part(p, group, file[0], file[1]);
    else
        add_row(p, group, text, "");
}

static void add_rows(VmImport *p, AdwPreferencesGroup *group, JsonArray *list)
{
    gtk_widget_set_visible(GTK_WIDGET(group), answer_count(list) > 0);
    for (unsigned i = 0; i < answer_count(list); i++) {
        const char *text = answer_element_text(list, i);
        add_line(p, group, text ? text : "?");
    }
}

static void propose_name(VmImport *p, const char *wish)
{
    g_autofree char *name = plan_free_name(wish);
    if (g_strcmp0(gtk_editable_get_text(GTK_EDITABLE(p->name)), p->given_name ? p->given_name : ""))
        return;
    g_free(p->given_name);
    p->given_name = g_steal_pointer(&name);
    gtk_editable_set_text(GTK_EDITABLE(p->name), p->given_name);
}

static void show(VmImport *p, JsonObject *o)
{
    g_autofree char *base = g_path_get_basename(p->path);
    char *dot = strrchr(base, '.');
    if (dot && dot > base)
        *dot = '\0';
    adw_action_row_set_subtitle(p->from, answer_text(o, "from", "?"));
    propose_name(p, answer_text(o, "name", base));
    add_rows(p, p->along, answer_array(o, "mapped"));
    add_rows(p, p->left, answer_array(o, "left"));
    p->known = true;
}

static void on_looked(VmImport *p)
{
    g_autoptr(VmJob) job = g_steal_pointer(&p->job);
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) o = vm_job_problem(job) ? NULL : answer_parse(vm_job_output(job), &error);
    gtk_widget_set_visible(p->looking, FALSE);
    if (o)
        show(p, o);
    else
        set_problem(p, vm_job_problem(job) ? vm_job_problem(job) : error->message);
}

static void stop_looking(VmImport *p)
{
    if (!p->job)
        return;
    g_signal_handlers_disconnect_by_data(p->job, p);
    vm_job_cancel(p->job);
    g_clear_object(&p->job);
}

static void look(VmImport *p)
{
    const char *outside = gtk_switch_get_active(p->outside) ? "--outside" : NULL;
    const char *words[] = {"import", "--dry-run", "--output=json", outside ? outside : "--quiet", "--", p->path, NULL};
    stop_looking(p);
    clear_rows(p);
    set_problem(p, NULL);
    p->known = false;
    gtk_widget_set_visible(p->looking, TRUE);
    gtk_widget_set_visible(GTK_WIDGET(p->along), FALSE);
    gtk_widget_set_visible(GTK_WIDGET(p->left), FALSE);
    p->job = vm_job_new(_("Looking"), words);
    g_signal_connect_object(p->job, "notify::done", G_CALLBACK(on_looked), p, G_CONNECT_SWAPPED);
}

static void on_outside(VmImport *p)
{
    if (p->path)
        look(p);
}

void vm_import_take(VmImport *p, const char *path)
{
    g_autofree char *base = g_path_get_basename(path);
    if (!g_strcmp0(path, p->path) && p->known)
        return;
    g_free(p->path);
    p->path = g_strdup(path);
    adw_preferences_row_set_title(ADW_PREFERENCES_ROW(p->from), base);
    adw_action_row_set_subtitle(p->from, "");
    gtk_widget_set_visible(GTK_WIDGET(p->disks), !ends_with(path, ".ova"));
    look(p);
}

void vm_import_forget(VmImport *p)
{
    stop_looking(p);
}

/* ---- making it ---- */

char *vm_import_name(VmImport *p)
{
    return g_strstrip(g_strdup(gtk_editable_get_text(GTK_EDITABLE(p->name))));
}

char **vm_import_words(VmImport *p)
{
    bool in_place = gtk_widget_get_visible(GTK_WIDGET(p->disks)) && adw_combo_row_get_selected(p->disks) == 1;
    g_autofree char *name = vm_import_name(p);
    if (!p->known)
        return NULL;
    g_autoptr(GStrvBuilder) b = g_strv_builder_new();
    g_autofree char *called = g_strconcat("--name=", name, NULL);
    g_strv_builder_add_many(b, "import", called, in_place ? "--in-place" : "--copy", NULL);
    if (gtk_switch_get_active(p->outside))
        g_strv_builder_add(b, "--outside");
    g_strv_builder_add_many(b, "--", p->path, NULL);
    return g_strv_builder_end(b);
}

/* ---- as an object ---- */

static void get_property(GObject *o, guint id, GValue *v, GParamSpec *spec)
{
    if (id == PROP_PROBLEM)
        g_value_set_string(v, VM_IMPORT(o)->problem);
    else
        G_OBJECT_WARN_INVALID_PROPERTY_ID(o, id, spec);
}

static void dispose(GObject *o)
{
    VmImport *p = VM_IMPORT(o);
    stop_looking(p);
    g_clear_pointer(&p->rows, g_ptr_array_unref);
    g_clear_pointer(&p->path, g_free);
    g_clear_pointer(&p->problem, g_free);
    g_clear_pointer(&p->given_name, g_free);
    gtk_widget_dispose_template(GTK_WIDGET(o), vm_import_get_type());
    G_OBJECT_CLASS(vm_import_parent_class)->dispose(o);
}

static void vm_import_class_init(VmImportClass *c)
{
    GtkWidgetClass *w = GTK_WIDGET_CLASS(c);
    G_OBJECT_CLASS(c)->get_property = get_property;
    G_OBJECT_CLASS(c)->dispose = dispose;
    g_object_class_install_property(
        G_OBJECT_CLASS(c), PROP_PROBLEM,
        g_param_spec_string("problem", NULL, NULL, NULL, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
    gtk_widget_class_set_template_from_resource(w, "/org/terrarium/Terrarium/ui/import.ui");
    gtk_widget_class_bind_template_child(w, VmImport, name);
    gtk_widget_class_bind_template_child(w, VmImport, from);
    gtk_widget_class_bind_template_child(w, VmImport, disks);
    gtk_widget_class_bind_template_child(w, VmImport, outside);
    gtk_widget_class_bind_template_child(w, VmImport, looking);
    gtk_widget_class_bind_template_child(w, VmImport, along);
    gtk_widget_class_bind_template_child(w, VmImport, left);
}

static void vm_import_init(VmImport *p)
{
    p->rows = g_ptr_array_new();
    gtk_widget_init_template(GTK_WIDGET(p));
    g_signal_connect_swapped(p->outside, "notify::active", G_CALLBACK(on_outside), p);
}
