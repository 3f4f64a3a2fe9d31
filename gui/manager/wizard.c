// SPDX-License-Identifier: GPL-2.0-or-later
/* wizard.c - see wizard.h.  The pages keep what was said on them, so going back loses nothing. */
#include "gui/manager/wizard.h"
#include "core-vmm/base/device_models.h"
#include "core-vmm/base/os_defaults.h"
#include "core-vmm/host/paths.h"
#include "gui/manager/amount.h"
#include "gui/manager/facts.h"
#include "gui/manager/host_room.h"
#include "gui/manager/import_page.h"
#include "gui/manager/plan.h"
#include "gui/manager/wizard_found.h"
#include "gui/manager/work.h"
#include <glib/gi18n.h>
#include <string.h>
#include <unistd.h>

#define DISK_MOST (UINT64_C(2000) << 30)
enum { PULSE_MS = 150 };

struct _VmWizard {
    AdwWindow parent_instance;
    VmWindow *window;
    enum plan_source source;
    char *file;
    struct medium *medium; /* what is in it; NULL: not known, or not yet */
    GCancellable *looking_cancel;
    char *given_name; /* the name that we gave; another one is the user's */
    GtkFileChooserNative *chooser;
    VmJob *job;
    guint pulse;
    GtkWidget *back, *create, *looking, *answers_group;
    GtkStack *pages;
    GtkRevealer *problem_revealer;
    GtkLabel *problem_label;
    AdwPreferencesGroup *found;
    AdwEntryRow *name, *user, *key;
    AdwActionRow *detected;
    AdwComboRow *system, *edition, *disk_bus, *disk_format, *nic;
    AdwExpanderRow *answers;
    GtkEditable *password;
    VmAmount *memory, *cpus, *disk;
    VmImport *import;
    AdwStatusPage *working;
    GtkSwitch *starts;
    GtkProgressBar *progress;
};
G_DEFINE_FINAL_TYPE(VmWizard, vm_wizard, ADW_TYPE_WINDOW)

static const char *const formats[] = {NULL, "raw", "qcow2", "vdi", "vmdk", "vhdx"};

static void tell_problem(VmWizard *z, const char *problem)
{
    gtk_revealer_set_reveal_child(z->problem_revealer, problem != NULL);
    if (problem)
        gtk_label_set_label(z->problem_label, problem);
}

static void show_page(VmWizard *z, const char *page)
{
    bool machine = !strcmp(page, "machine"), import = !strcmp(page, "import");
    gtk_stack_set_visible_child_name(z->pages, page);
    gtk_widget_set_visible(z->back, machine || import);
    gtk_widget_set_visible(z->create, machine || import);
    gtk_button_set_label(GTK_BUTTON(z->create), import ? _("_Import") : _("C_reate"));
    if (machine)
        gtk_widget_grab_focus(GTK_WIDGET(z->name));
}

/* ---- what was said ---- */

static const char *os_of(VmWizard *z)
{
    return os_defaults[adw_combo_row_get_selected(z->system)].os;
}

static char *text_of(gpointer editable)
{
    char *text = g_strstrip(g_strdup(gtk_editable_get_text(GTK_EDITABLE(editable))));
    return *text ? text : (g_free(text), NULL);
}

/* The first choice is "what is usual": nothing is said then. */
static char *word_of(AdwComboRow *row)
{
    GtkStringObject *o = adw_combo_row_get_selected_item(row);
    return adw_combo_row_get_selected(row) && o ? g_strdup(gtk_string_object_get_string(o)) : NULL;
}

static void make_plan(VmWizard *z, struct plan *p)
{
    *p = (struct plan){.source = z->source,
                       .file = g_strdup(z->file),
                       .name = text_of(z->name),
                       .os = g_strdup(os_of(z)),
                       .memory = vm_amount_get(z->memory),
                       .disk = vm_amount_get(z->disk),
                       .cpus = (unsigned)vm_amount_get(z->cpus),
                       .disk_format = g_strdup(formats[adw_combo_row_get_selected(z->disk_format)]),
                       .disk_bus = word_of(z->disk_bus),
                       .nic = word_of(z->nic),
                       .medium_installs = z->medium && z->medium->kind == MEDIUM_INSTALLER};
    p->automatic = gtk_widget_get_visible(z->answers_group) && adw_expander_row_get_enable_expansion(z->answers);
    if (!p->automatic)
        return;
    p->user = text_of(z->user);
    p->key = gtk_widget_get_visible(GTK_WIDGET(z->key)) ? text_of(z->key) : NULL;
    guint edition = adw_combo_row_get_selected(z->edition);
    if (z->medium && edition < z->medium->editions->len)
        p->edition = g_strdup(((struct medium_edition *)z->medium->editions->pdata[edition])->id);
}

/* ---- what is proposed ---- */

static void propose_name(VmWizard *z, const char *wish)
{
    g_autofree char *now = text_of(z->name), *name = plan_free_name(wish);
    if (now && g_strcmp0(now, z->given_name))
        return;
    g_free(z->given_name);
    z->given_name = g_strdup(name);
    gtk_editable_set_text(GTK_EDITABLE(z->name), name);
}

static void propose_amounts(VmWizard *z)
{
    const struct host_room room = host_room();
    uint64_t memory, disk;
    unsigned cpus;
    plan_usual(os_of(z), &memory, &disk, &cpus);
    if (z->medium) {
        memory = MAX(memory, z->medium->memory);
        disk = MAX(disk, z->medium->disk);
        cpus = MAX(cpus, z->medium->cpus);
    }
    vm_amount_propose(z->memory, MIN(memory, room.memory / 2));
    vm_amount_propose(z->cpus, MIN(cpus, MAX(room.cpus / 2, 1)));
    vm_amount_propose(z->disk, disk);
}

/* Of "Debian GNU/Linux 12.5.0 "Bookworm" - Official amd64 NETINST" what one calls it. */
static char *short_name(const char *name)
{
    const char *dash = strstr(name, " - ");
    gsize until = strcspn(name, "\"(");
    return g_strchomp(g_strndup(name, dash ? MIN(until, (gsize)(dash - name)) : until));
}

static void choose_system(VmWizard *z, const char *os)
{
    for (guint i = 0; os_defaults[i].os; i++)
        if (!g_strcmp0(os_defaults[i].os, os))
            adw_combo_row_set_selected(z->system, i);
}

static void offer_answers(VmWizard *z, const struct medium *m)
{
    g_autoptr(GtkStringList) names = gtk_string_list_new(NULL);
    bool windows = m && m->unattended == UNATTENDED_WINDOWS;
    for (guint i = 0; m && i < m->editions->len; i++) {
        const struct medium_edition *e = m->editions->pdata[i];
        gtk_string_list_append(names, e->name ? e->name : e->id ? e->id : "?");
    }
    adw_combo_row_set_model(z->edition, G_LIST_MODEL(names));
    gtk_widget_set_visible(GTK_WIDGET(z->edition), windows && m->editions->len > 1);
    gtk_widget_set_visible(GTK_WIDGET(z->key), windows);
    gtk_widget_set_visible(z->answers_group, m && m->unattended != UNATTENDED_NONE);
}

static char *describe(const struct medium *m)
{
    const char *what = m->kind == MEDIUM_INSTALLER ? _("installs itself from this medium")
                       : m->kind == MEDIUM_LIVE    ? _("runs from this medium")
                       : m->kind == MEDIUM_DISK    ? _("a disk image")
                                                   : _("a medium that is not known here; it can be used all the same");
    return g_strdup_printf("%s%s%s", m->name ? m->name : "", m->name ? ": " : "", what);
}

/* ---- looking into the file ---- */

static void set_detected(VmWizard *z, const char *text)
{
    adw_action_row_set_subtitle(z->detected, text);
}

static void take_medium(VmWizard *z, struct medium *m)
{
    g_autofree char *text = describe(m);
    z->medium = m;
    if (m->kind != MEDIUM_UNKNOWN)
        z->source = m->kind == MEDIUM_DISK ? PLAN_DISK : PLAN_MEDIUM;
    gtk_widget_set_visible(GTK_WIDGET(z->disk), z->source != PLAN_DISK);
    set_detected(z, text);
    if (m->os && strcmp(m->os, "other"))
        choose_system(z, m->os);
    if (m->name && (m->kind == MEDIUM_INSTALLER || m->kind == MEDIUM_LIVE)) {
        g_autofree char *name = short_name(m->name);
        propose_name(z, name);
    }
    offer_answers(z, m->kind == MEDIUM_INSTALLER ? m : NULL);
    propose_amounts(z);
}

static void on_looked(GObject *source, GAsyncResult *result, gpointer wizard)
{
    g_autoptr(VmWizard) z = wizard;
    g_autoptr(GError) error = NULL;
    struct medium *m = medium_detect_finish(result, &error);
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return;
    gtk_widget_set_visible(z->looking, FALSE);
    if (m)
        take_medium(z, m);
    else {
        set_detected(z, _("Not recognized"));
        tell_problem(z, error->message);
    }
}

static void look_at(VmWizard *z)
{
    g_autofree char *base = g_path_get_basename(z->file);
    set_detected(z, base);
    gtk_widget_set_visible(z->looking, TRUE);
    z->looking_cancel = g_cancellable_new();
    medium_detect_async(z->file, z->looking_cancel, on_looked, g_object_ref(z));
}

static void forget_file(VmWizard *z)
{
    if (z->looking_cancel)
        g_cancellable_cancel(z->looking_cancel);
    g_clear_object(&z->looking_cancel);
    g_clear_pointer(&z->medium, medium_free);
    g_clear_pointer(&z->file, g_free);
    gtk_widget_set_visible(z->looking, FALSE);
    offer_answers(z, NULL);
    tell_problem(z, NULL);
}

static void take_source(VmWizard *z, enum plan_source source, const char *file)
{
    bool same = file && !g_strcmp0(file, z->file);
    if (!same) {
        g_autofree char *base = file ? g_path_get_basename(file) : g_strdup(_("New Machine"));
        char *dot = strrchr(base, '.');
        if (dot && dot > base)
            *dot = '\0';
        forget_file(z);
        z->source = source;
        z->file = g_strdup(file);
        propose_name(z, base);
        propose_amounts(z);
        gtk_widget_set_visible(GTK_WIDGET(z->detected), file != NULL);
        gtk_widget_set_visible(GTK_WIDGET(z->disk), source != PLAN_DISK);
        if (file)
            look_at(z);
    }
    show_page(z, "machine");
}

static void take_appliance(VmWizard *z, const char *file)
{
    forget_file(z);
    z->source = PLAN_APPLIANCE;
    vm_import_take(z->import, file);
    show_page(z, "import");
}

static void on_import_problem(VmWizard *z)
{
    g_autofree char *problem = NULL;
    g_object_get(z->import, "problem", &problem, NULL);
    if (z->source == PLAN_APPLIANCE)
        tell_problem(z, problem);
}

static void take_file(VmWizard *z, const char *file)
{
    g_autofree char *lower = g_ascii_strdown(file, -1);
    if (import_is_for(file)) {
        take_appliance(z, file);
        return;
    }
    take_source(z, g_str_has_suffix(lower, ".iso") ? PLAN_MEDIUM : PLAN_DISK, file);
}

/* ---- choosing a file ---- */

static void on_file(GtkNativeDialog *dialog, int response, gpointer wizard)
{
    VmWizard *z = wizard;
    g_autoptr(GFile) file =
        response == GTK_RESPONSE_ACCEPT ? gtk_file_chooser_get_file(GTK_FILE_CHOOSER(dialog)) : NULL;
    g_autofree char *path = file ? g_file_get_path(file) : NULL;
    g_clear_object(&z->chooser);
    if (path)
        take_file(z, path);
}

static void pick(VmWizard *z, const char *title, const char *filter_name, const char *const *endings)
{
    GtkFileFilter *filter = gtk_file_filter_new(), *all = gtk_file_filter_new();
    g_clear_object(&z->chooser);
    z->chooser = gtk_file_chooser_native_new(title, GTK_WINDOW(z), GTK_FILE_CHOOSER_ACTION_OPEN, NULL, NULL);
    gtk_native_dialog_set_modal(GTK_NATIVE_DIALOG(z->chooser), TRUE);
    gtk_file_filter_set_name(filter, filter_name);
    for (; *endings; endings++)
        gtk_file_filter_add_suffix(filter, *endings);
    gtk_file_filter_set_name(all, _("All Files"));
    gtk_file_filter_add_pattern(all, "*");
    gtk_file_chooser_add_filter(GTK_FILE_CHOOSER(z->chooser), filter);
    gtk_file_chooser_add_filter(GTK_FILE_CHOOSER(z->chooser), all);
    g_object_unref(filter);
    g_object_unref(all);
    g_signal_connect_object(z->chooser, "response", G_CALLBACK(on_file), z, 0);
    gtk_native_dialog_show(GTK_NATIVE_DIALOG(z->chooser));
}

static void pick_medium(GtkWidget *w, const char *action, GVariant *parameter)
{
    static const char *const endings[] = {"iso", "img", NULL};
    pick(VM_WIZARD(w), _("Choose an Installation Medium"), _("ISO Images"), endings);
}

static void pick_disk(GtkWidget *w, const char *action, GVariant *parameter)
{
    static const char *const endings[] = {"img", "raw", "qcow2", "vdi", "vmdk", "vhd", "vhdx", NULL};
    pick(VM_WIZARD(w), _("Choose a Disk Image"), _("Disk Images"), endings);
}

static void pick_appliance(GtkWidget *w, const char *action, GVariant *parameter)
{
    static const char *const endings[] = {"ova", "ovf", "vmx", "vbox", "xml", "conf", NULL};
    pick(VM_WIZARD(w), _("Choose an Appliance or a Machine"), _("Appliances and Machines"), endings);
}

static void pick_nothing(GtkWidget *w, const char *action, GVariant *parameter)
{
    take_source(VM_WIZARD(w), PLAN_NOTHING, NULL);
}

static void pick_file(GtkWidget *w, const char *action, GVariant *parameter)
{
    take_file(VM_WIZARD(w), g_variant_get_string(parameter, NULL));
}

/* ---- making it ---- */

static gboolean pulse(gpointer wizard)
{
    gtk_progress_bar_pulse(VM_WIZARD(wizard)->progress);
    return G_SOURCE_CONTINUE;
}

static void stop_pulse(VmWizard *z)
{
    if (z->pulse)
        g_source_remove(z->pulse);
    z->pulse = 0;
}

static void on_fraction(VmWizard *z)
{
    double fraction = vm_job_fraction(z->job);
    if (fraction < 0)
        return;
    stop_pulse(z);
    gtk_progress_bar_set_fraction(z->progress, fraction);
}

static void on_created(VmWizard *z)
{
    bool imported = z->source == PLAN_APPLIANCE;
    g_autofree char *name = imported ? vm_import_name(z->import) : text_of(z->name);
    g_autoptr(VmJob) job = g_steal_pointer(&z->job);
    stop_pulse(z);
    if (vm_job_problem(job)) {
        show_page(z, imported ? "import" : "machine");
        tell_problem(z, vm_job_was_cancelled(job) ? NULL : vm_job_problem(job));
        return;
    }
    vm_window_choose(z->window, name);
    if (!imported && gtk_switch_get_active(z->starts))
        gtk_widget_activate_action(GTK_WIDGET(z->window), "win.start", "s", name);
    gtk_window_destroy(GTK_WINDOW(z));
}

/* NULL: nothing is. */
static char *what_is_wrong_with_name(VmWizard *z, const char *name)
{
    g_autoptr(GError) error = NULL;
    if (!vm_name_check(name ? name : "", &error))
        return g_strdup(error->message);
    if (vm_library_find(vm_window_library(z->window), name))
        return g_strdup_printf(_("There is a machine “%s” already; give this one another name."), name);
    return NULL;
}

static char *what_is_wrong(VmWizard *z, const struct plan *p)
{
    char *wrong = what_is_wrong_with_name(z, p->name);
    if (wrong)
        return wrong;
    if (p->automatic && !p->user)
        return g_strdup(_("Say which user is to be made, or switch the automatic installation off."));
    if (p->automatic && strpbrk(gtk_editable_get_text(z->password), "\r\n")) /* secrets are told by lines */
        return g_strdup(_("The password has a line break in it, perhaps from where it was copied; type it anew."));
    return NULL;
}

/* It goes on when the wizard is closed, and the user hears of its end then too. */
static void begin(VmWizard *z, VmJob *job, const char *name)
{
    bool imports = z->source == PLAN_APPLIANCE;
    g_autofree char *done = g_strdup_printf(imports ? _("“%s” was imported") : _("“%s” was created"), name);
    z->job = job;
    adw_status_page_set_title(z->working, imports ? _("Importing…") : _("Creating…"));
    work_follow(
        z->window, job,
        &(struct work_end){
            .done = done, .machine = name, .teller = z, .button = _("Show"), .action = "win.choose", .target = name});
    g_signal_connect_object(job, "notify::fraction", G_CALLBACK(on_fraction), z, G_CONNECT_SWAPPED);
    g_signal_connect_object(job, "notify::done", G_CALLBACK(on_created), z, G_CONNECT_SWAPPED);
    z->pulse = g_timeout_add(PULSE_MS, pulse, z);
    show_page(z, "working");
}

static void create_import(VmWizard *z)
{
    g_auto(GStrv) words = vm_import_words(z->import);
    g_autofree char *name = vm_import_name(z->import), *wrong = what_is_wrong_with_name(z, name);
    if (words)
        tell_problem(z, wrong);
    if (words && !wrong && !z->job)
        begin(z, vm_job_new(_("Importing"), (const char *const *)words), name);
}

static void create(GtkWidget *w, const char *action, GVariant *parameter)
{
    VmWizard *z = VM_WIZARD(w);
    struct plan p;
    if (z->source == PLAN_APPLIANCE) {
        create_import(z);
        return;
    }
    make_plan(z, &p);
    g_autofree char *wrong = what_is_wrong(z, &p);
    tell_problem(z, wrong);
    if (!wrong && !z->job) {
        g_auto(GStrv) words = plan_words(&p);
        const char *password = gtk_editable_get_text(z->password);
        g_autofree char *secrets = p.key ? g_strconcat(password, "\n", p.key, NULL) : g_strdup(password);
        begin(z, vm_job_new_secret(_("Creating"), (const char *const *)words, p.automatic ? secrets : NULL), p.name);
    }
    plan_clear(&p);
}

static void copy(GtkWidget *w, const char *action, GVariant *parameter)
{
    VmWizard *z = VM_WIZARD(w);
    struct plan p;
    make_plan(z, &p);
    g_auto(GStrv) words = p.name ? plan_words(&p) : NULL;
    g_autofree char *text = words ? vm_command_text((const char *const *)words) : g_strdup("");
    gdk_clipboard_set_text(gtk_widget_get_clipboard(w), text);
    plan_clear(&p);
}

static void back(GtkWidget *w, const char *action, GVariant *parameter)
{
    tell_problem(VM_WIZARD(w), NULL);
    show_page(VM_WIZARD(w), "source");
}

static void cancel(GtkWidget *w, const char *action, GVariant *parameter)
{
    VmWizard *z = VM_WIZARD(w);
    if (z->job)
        vm_job_cancel(z->job);
    else if (z->source == PLAN_APPLIANCE)
        vm_import_forget(z->import);
    if (!z->job)
        gtk_window_close(GTK_WINDOW(w));
}

/* Without us. */
static void go_on(GtkWidget *w, const char *action, GVariant *parameter)
{
    gtk_window_destroy(GTK_WINDOW(w));
}

/* ---- as an object ---- */

static void set_words(AdwComboRow *row, const char *usual, const char *const *words)
{
    g_autoptr(GtkStringList) list = gtk_string_list_new(NULL);
    if (usual)
        gtk_string_list_append(list, usual);
    for (; *words; words++)
        gtk_string_list_append(list, *words);
    adw_combo_row_set_model(row, G_LIST_MODEL(list));
}

static void fill_choices(VmWizard *z)
{
    static const char *const format_names[] = {
        N_("Usual"),          N_("Raw"), N_("qcow2 (QEMU)"), N_("VDI (VirtualBox)"), N_("VMDK (VMware)"),
        N_("VHDX (Hyper-V)"), NULL};
    g_autoptr(GPtrArray) systems = g_ptr_array_new(), buses = g_ptr_array_new(), names = g_ptr_array_new();
    for (const struct os_defaults *o = os_defaults; o->os; o++)
        g_ptr_array_add(systems, (gpointer)(o == os_defaults ? _("Other") : o->summary));
    for (const struct disk_bus *b = disk_buses; b->name; b++)
        g_ptr_array_add(buses, (gpointer)b->name);
    for (const char *const *n = format_names; *n; n++)
        g_ptr_array_add(names, (gpointer)_(*n));
    g_ptr_array_add(systems, NULL);
    g_ptr_array_add(buses, NULL);
    g_ptr_array_add(names, NULL);
    set_words(z->system, NULL, (const char *const *)systems->pdata);
    set_words(z->disk_bus, _("Usual for the system"), (const char *const *)buses->pdata);
    set_words(z->disk_format, NULL, (const char *const *)names->pdata);
    set_words(z->nic, _("Usual for the system"), nic_models);
}

static void set_up_amounts(VmWizard *z)
{
    const struct host_room room = host_room();
    g_autofree char *disk_free = size_for_people(room.disk);
    g_autofree char *disk_warning = g_strdup_printf(_("Only %s are free; the disk grows as it fills."), disk_free);
    vm_amount_set_up(z->memory, AMOUNT_MEMORY, room.memory, room.memory / 2,
                     _("More than half of this computer's memory"));
    vm_amount_set_up(z->cpus, AMOUNT_CPUS, MIN(room.cpus, 32), MAX(room.cpus / 2, 1),
                     _("More than half of this computer's processors"));
    vm_amount_set_up(z->disk, AMOUNT_DISK, DISK_MOST, room.disk, disk_warning);
}

static gboolean on_drop(GtkDropTarget *target, const GValue *value, double x, double y, gpointer wizard)
{
    GSList *files = gdk_file_list_get_files(g_value_get_boxed(value));
    g_autofree char *path = files ? g_file_get_path(files->data) : NULL;
    if (path)
        take_file(wizard, path);
    g_slist_free(files);
    return path != NULL;
}

void vm_wizard_show(VmWindow *w, const char *file)
{
    VmWizard *z = g_object_new(vm_wizard_get_type(), "transient-for", w, NULL);
    z->window = w;
    if (wizard_found_fill(z->found))
        gtk_widget_set_visible(GTK_WIDGET(z->found), TRUE);
    if (file)
        take_file(z, file);
    gtk_window_present(GTK_WINDOW(z));
}

static void dispose(GObject *o)
{
    VmWizard *z = VM_WIZARD(o);
    stop_pulse(z);
    if (z->looking_cancel)
        g_cancellable_cancel(z->looking_cancel);
    g_clear_object(&z->looking_cancel);
    g_clear_object(&z->chooser);
    g_clear_object(&z->job);
    g_clear_pointer(&z->medium, medium_free);
    g_clear_pointer(&z->file, g_free);
    g_clear_pointer(&z->given_name, g_free);
    gtk_widget_dispose_template(GTK_WIDGET(o), vm_wizard_get_type());
    G_OBJECT_CLASS(vm_wizard_parent_class)->dispose(o);
}

static void bind_children(GtkWidgetClass *w)
{
    gtk_widget_class_bind_template_child(w, VmWizard, back);
    gtk_widget_class_bind_template_child(w, VmWizard, create);
    gtk_widget_class_bind_template_child(w, VmWizard, looking);
    gtk_widget_class_bind_template_child(w, VmWizard, answers_group);
    gtk_widget_class_bind_template_child(w, VmWizard, pages);
    gtk_widget_class_bind_template_child(w, VmWizard, problem_revealer);
    gtk_widget_class_bind_template_child(w, VmWizard, problem_label);
    gtk_widget_class_bind_template_child(w, VmWizard, found);
    gtk_widget_class_bind_template_child(w, VmWizard, name);
    gtk_widget_class_bind_template_child(w, VmWizard, user);
    gtk_widget_class_bind_template_child(w, VmWizard, key);
    gtk_widget_class_bind_template_child(w, VmWizard, detected);
    gtk_widget_class_bind_template_child(w, VmWizard, system);
    gtk_widget_class_bind_template_child(w, VmWizard, edition);
    gtk_widget_class_bind_template_child(w, VmWizard, disk_bus);
    gtk_widget_class_bind_template_child(w, VmWizard, disk_format);
    gtk_widget_class_bind_template_child(w, VmWizard, nic);
    gtk_widget_class_bind_template_child(w, VmWizard, answers);
    gtk_widget_class_bind_template_child(w, VmWizard, password);
    gtk_widget_class_bind_template_child(w, VmWizard, memory);
    gtk_widget_class_bind_template_child(w, VmWizard, cpus);
    gtk_widget_class_bind_template_child(w, VmWizard, disk);
    gtk_widget_class_bind_template_child(w, VmWizard, starts);
    gtk_widget_class_bind_template_child(w, VmWizard, progress);
    gtk_widget_class_bind_template_child(w, VmWizard, import);
    gtk_widget_class_bind_template_child(w, VmWizard, working);
}

static void vm_wizard_class_init(VmWizardClass *c)
{
    GtkWidgetClass *w = GTK_WIDGET_CLASS(c);
    G_OBJECT_CLASS(c)->dispose = dispose;
    g_type_ensure(vm_amount_get_type());
    g_type_ensure(vm_import_get_type());
    gtk_widget_class_set_template_from_resource(w, "/org/terrarium/Terrarium/ui/wizard.ui");
    bind_children(w);
    gtk_widget_class_install_action(w, "wizard.cancel", NULL, cancel);
    gtk_widget_class_install_action(w, "wizard.back", NULL, back);
    gtk_widget_class_install_action(w, "wizard.create", NULL, create);
    gtk_widget_class_install_action(w, "wizard.copy", NULL, copy);
    gtk_widget_class_install_action(w, "wizard.pick-medium", NULL, pick_medium);
    gtk_widget_class_install_action(w, "wizard.pick-disk", NULL, pick_disk);
    gtk_widget_class_install_action(w, "wizard.pick-appliance", NULL, pick_appliance);
    gtk_widget_class_install_action(w, "wizard.pick-nothing", NULL, pick_nothing);
    gtk_widget_class_install_action(w, "wizard.go-on", NULL, go_on);
    gtk_widget_class_install_action(w, "wizard.pick-file", "s", pick_file);
    gtk_widget_class_add_binding_action(w, GDK_KEY_Escape, 0, "wizard.cancel", NULL);
}

static void align_amounts(VmWizard *z)
{
    g_autoptr(GtkSizeGroup) titles = gtk_size_group_new(GTK_SIZE_GROUP_HORIZONTAL);
    vm_amount_align(z->memory, titles);
    vm_amount_align(z->cpus, titles);
    vm_amount_align(z->disk, titles);
}

static void vm_wizard_init(VmWizard *z)
{
    GtkDropTarget *drop = gtk_drop_target_new(GDK_TYPE_FILE_LIST, GDK_ACTION_COPY);
    gtk_widget_init_template(GTK_WIDGET(z));
    gtk_window_set_default_widget(GTK_WINDOW(z), z->create);
    gtk_editable_set_text(GTK_EDITABLE(z->user), geteuid() ? g_get_user_name() : "user"); /* none may be called root */
    fill_choices(z);
    set_up_amounts(z);
    align_amounts(z);
    g_signal_connect_swapped(z->import, "notify::problem", G_CALLBACK(on_import_problem), z);
    g_signal_connect_swapped(z->system, "notify::selected", G_CALLBACK(propose_amounts), z);
    g_signal_connect(drop, "drop", G_CALLBACK(on_drop), z);
    gtk_widget_add_controller(GTK_WIDGET(z), GTK_EVENT_CONTROLLER(drop));
}
