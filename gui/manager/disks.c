// SPDX-License-Identifier: GPL-2.0-or-later
/* disks.c - see disks.h.  Images are looked at by vmctl disk info, one after another; work on them is vmctl disk too, and goes on when
 * the window is closed. */
#include "gui/manager/disks.h"
#include "core-vmm/control/answer.h"
#include "gui/manager/disk_jobs.h"
#include "gui/manager/disk_list.h"
#include "gui/manager/facts.h"
#include <glib/gi18n.h>
#include <string.h>

struct _VmDisks {
    AdwWindow parent_instance;
    VmLibrary *library;
    GtkStack *pages;
    AdwPreferencesGroup *group;
    GPtrArray *rows; /* borrowed */
    GQueue *unknown; /* struct row, whose size nobody has asked for */
    VmJob *asking;
};
G_DEFINE_FINAL_TYPE(VmDisks, vm_disks, ADW_TYPE_WINDOW)

/* Data of a row's widget. */
struct row {
    AdwActionRow *widget; /* it has us */
    VmDisks *window;      /* borrowed: it has the widget */
    struct disk_image image;
    uint64_t size; /* that the guest sees; 0: not known */
    char *said;    /* how the last work ended */
    VmJob *job;
    GtkProgressBar *bar;
    GtkWidget *cancel, *menu;
};

static void row_free(gpointer row)
{
    struct row *r = row;
    if (r->job)
        g_signal_handlers_disconnect_by_data(r->job, r);
    g_clear_object(&r->job);
    g_free(r->image.path);
    g_free(r->image.owners);
    g_free(r->image.format);
    g_free(r->said);
    g_free(r);
}

static void show(struct row *r)
{
    const struct disk_image *d = &r->image;
    g_autofree char *folder = g_path_get_dirname(d->path), *name = g_filename_display_basename(d->path);
    g_autofree char *used = size_for_people(d->on_disk);
    g_autofree char *size = r->size ? size_for_people(r->size) : NULL;
    g_autofree char *sizes = d->missing ? g_strdup(_("the file is missing"))
                             : size     ? g_strdup_printf(_("%s, %s used here"), size, used)
                                        : g_strdup_printf(_("%s used here"), used);
    g_autofree char *text =
        g_strdup_printf("%s: %s\n%s%s%s", name, sizes, folder, r->said ? "\n" : "", r->said ? r->said : "");
    adw_action_row_set_subtitle(r->widget, text);
    gtk_widget_set_visible(GTK_WIDGET(r->bar), r->job != NULL);
    gtk_widget_set_visible(r->cancel, r->job != NULL);
    gtk_widget_set_visible(r->menu, !r->job && !d->missing);
}

/* ---- sizes ---- */

static void ask_next(VmDisks *v);

static void on_asked(VmJob *job, GParamSpec *spec, gpointer disks)
{
    VmDisks *v = disks;
    struct row *r = g_queue_pop_head(v->unknown);
    JsonObject *o = vm_job_problem(job) ? NULL : answer_parse(vm_job_output(job), NULL);
    if (r && o) {
        r->size = (uint64_t)answer_number(o, "virtual-size", 0, G_MAXINT64, 0);
        r->image.on_disk = (uint64_t)answer_number(o, "disk-size", 0, G_MAXINT64, (int64_t)r->image.on_disk);
        show(r);
    }
    if (o)
        json_object_unref(o);
    g_clear_object(&v->asking);
    ask_next(v);
}

static void ask_next(VmDisks *v)
{
    struct row *r = g_queue_peek_head(v->unknown);
    if (!r || v->asking)
        return;
    const char *words[] = {"disk",          "info", "-o", "json", r->image.path, r->image.format ? "--from" : NULL,
                           r->image.format, NULL};
    v->asking = vm_job_new(_("Looking"), words);
    g_signal_connect_object(v->asking, "notify::done", G_CALLBACK(on_asked), v, 0);
}

/* ---- work ---- */

static void on_fraction(VmJob *job, GParamSpec *spec, gpointer row)
{
    double fraction = vm_job_fraction(job);
    if (fraction >= 0)
        gtk_progress_bar_set_fraction(((struct row *)row)->bar, fraction);
}

static void on_worked(VmJob *job, GParamSpec *spec, gpointer row)
{
    struct row *r = row;
    const char *note = vm_job_note(job), *problem = vm_job_problem(job);
    g_autofree char *output = g_strstrip(g_strdup(vm_job_output(job)));
    g_free(r->said);
    r->said = vm_job_was_cancelled(job) ? g_strdup(_("Cancelled; nothing has changed"))
              : problem                 ? g_strdup(problem)
              : note                    ? g_strdup(note)
              : *output                 ? g_strdup(output)
                                        : g_strdup_printf(_("%s: done"), vm_job_title(job));
    g_signal_handlers_disconnect_by_data(job, r);
    g_clear_object(&r->job);
    show(r);
    g_queue_push_tail(r->window->unknown, r);
    ask_next(r->window);
}

/* Also one that another window has begun. */
static void follow(struct row *r, VmJob *job)
{
    double fraction = vm_job_fraction(job);
    r->job = g_object_ref(job);
    gtk_progress_bar_set_fraction(r->bar, MAX(fraction, 0));
    g_signal_connect(r->job, "notify::fraction", G_CALLBACK(on_fraction), r);
    g_signal_connect(r->job, "notify::done", G_CALLBACK(on_worked), r);
}

/* done: a sentence with the image's name in it */
static void work(struct row *r, const char *title, const char *const *words, const char *done)
{
    VmWindow *w = VM_WINDOW(gtk_window_get_transient_for(GTK_WINDOW(r->window)));
    g_autofree char *name = g_filename_display_basename(r->image.path), *text = g_strdup_printf(done, name);
    if (r->job)
        return;
    disk_jobs_begin(w, r->image.path, title, words, text, GTK_WIDGET(r->widget));
    follow(r, disk_jobs_find(r->window->library, r->image.path));
    show(r);
}

static void on_cancel(GtkButton *b, gpointer row)
{
    struct row *r = row;
    if (r->job)
        vm_job_cancel(r->job);
}

static struct row *row_of(VmDisks *v, GVariant *path)
{
    for (guint i = 0; i < v->rows->len; i++) {
        struct row *r = g_object_get_data(v->rows->pdata[i], "row");
        if (!strcmp(r->image.path, g_variant_get_string(path, NULL)))
            return r;
    }
    return NULL;
}

static void check(GtkWidget *w, const char *action, GVariant *path)
{
    struct row *r = row_of(VM_DISKS(w), path);
    const char *words[] = {
        "disk", "check", r ? r->image.path : NULL, r && r->image.format ? "--from" : NULL, r ? r->image.format : NULL,
        NULL};
    if (r)
        work(r, _("Check"), words, _("“%s” was checked"));
}

static void compact(GtkWidget *w, const char *action, GVariant *path)
{
    struct row *r = row_of(VM_DISKS(w), path);
    const char *words[] = {
        "disk", "compact", r ? r->image.path : NULL, r && r->image.format ? "--from" : NULL, r ? r->image.format : NULL,
        NULL};
    if (r)
        work(r, _("Compact"), words, _("“%s” was compacted"));
}

/* ---- a larger one ---- */

struct wish {
    VmDisks *window; /* ours */
    char *path;
    GtkEditable *size;
};

static void wish_free(gpointer wish, GClosure *closure)
{
    struct wish *a = wish;
    g_object_unref(a->window);
    g_free(a->path);
    g_free(a);
}

static void on_size(AdwMessageDialog *d, const char *response, gpointer wish)
{
    struct wish *a = wish;
    g_autoptr(GVariant) path = g_variant_ref_sink(g_variant_new_string(a->path));
    g_autofree char *size = g_strstrip(g_strdup(gtk_editable_get_text(a->size)));
    struct row *r = !strcmp(response, "sure") && a->window->rows ? row_of(a->window, path) : NULL;
    const char *format = r ? r->image.format : NULL;
    const char *words[] = {"disk", "resize", format ? "--from" : "--quiet", format ? format : "--", NULL, NULL,
                           NULL,   NULL};
    unsigned n = 4;
    if (format)
        words[n++] = "--";
    words[n++] = a->path;
    words[n++] = size;
    if (r)
        work(r, _("Resize"), words, _("“%s” has its new size"));
}

static void resize(GtkWidget *w, const char *action, GVariant *path)
{
    const struct row *r = row_of(VM_DISKS(w), path);
    if (!r)
        return;
    const struct wish a = {g_object_ref(VM_DISKS(w)), g_strdup(r->image.path), GTK_EDITABLE(gtk_entry_new())};
    AdwMessageDialog *d =
        ADW_MESSAGE_DIALOG(adw_message_dialog_new(GTK_WINDOW(w), _("Enlarge the Disk"),
                                                  _("How large it is to be, like 40G, or by how much more, like +10G. "
                                                    "The guest sees the room then; its partitions "
                                                    "stay as they are until it enlarges them.")));
    adw_message_dialog_add_responses(d, "cancel", _("_Cancel"), "sure", _("_Resize"), NULL);
    adw_message_dialog_set_response_appearance(d, "sure", ADW_RESPONSE_SUGGESTED);
    adw_message_dialog_set_close_response(d, "cancel");
    adw_message_dialog_set_default_response(d, "sure");
    gtk_entry_set_activates_default(GTK_ENTRY(a.size), TRUE);
    gtk_editable_set_text(a.size, "+10G");
    gtk_accessible_update_property(GTK_ACCESSIBLE(a.size), GTK_ACCESSIBLE_PROPERTY_LABEL, _("New Size"), -1);
    adw_message_dialog_set_extra_child(d, GTK_WIDGET(a.size));
    g_signal_connect_data(d, "response", G_CALLBACK(on_size), g_memdup2(&a, sizeof a), wish_free, 0);
    gtk_window_present(GTK_WINDOW(d));
}

/* A name beside the image that is free: "disk.qcow2", "disk 2.qcow2". */
static char *free_path(const char *path, const char *ending)
{
    const char *dot = strrchr(path, '.'), *slash = strrchr(path, '/');
    g_autofree char *stem = dot && dot > slash + 1 ? g_strndup(path, (gsize)(dot - path)) : g_strdup(path);
    char *free = g_strdup_printf("%s.%s", stem, ending);
    for (unsigned n = 2; g_file_test(free, G_FILE_TEST_EXISTS); n++) {
        g_free(free);
        free = g_strdup_printf("%s %u.%s", stem, n, ending);
    }
    return free;
}

/* The parameter is the format, a colon and the path. */
static void convert(GtkWidget *w, const char *action, GVariant *parameter)
{
    g_auto(GStrv) parts = g_strsplit(g_variant_get_string(parameter, NULL), ":", 2);
    g_autoptr(GVariant) path = g_variant_ref_sink(g_variant_new_string(parts[1]));
    struct row *r = row_of(VM_DISKS(w), path);
    g_autofree char *to = free_path(parts[1], strcmp(parts[0], "raw") ? parts[0] : "img");
    const char *words[] = {"disk",
                           "convert",
                           parts[1],
                           to,
                           "--format",
                           parts[0],
                           r && r->image.format ? "--from" : NULL,
                           r ? r->image.format : NULL,
                           NULL};
    if (r)
        work(r, _("Convert"), words, _("“%s” was converted"));
}

/* ---- rows ---- */

static void add_item(GMenu *menu, const char *label, const char *action, const char *target)
{
    g_autoptr(GMenuItem) item = g_menu_item_new(label, NULL);
    g_menu_item_set_action_and_target(item, action, "s", target);
    g_menu_append_item(menu, item);
}

/* In a raw image there is nothing to check. */
static bool is_raw(const struct disk_image *d)
{
    return d->format ? !strcmp(d->format, "raw")
                     : g_str_has_suffix(d->path, ".img") || g_str_has_suffix(d->path, ".raw");
}

static GtkWidget *menu_of(const struct disk_image *d)
{
    static const char *const formats[] = {"raw", "qcow2", "vdi", "vmdk", "vhd", "vhdx"};
    g_autoptr(GMenu) menu = g_menu_new(), to = g_menu_new();
    GtkWidget *b = gtk_menu_button_new();
    for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++) {
        g_autofree char *target = g_strdup_printf("%s:%s", formats[i], d->path);
        add_item(to, formats[i], "disks.convert", target);
    }
    const char *path = d->path;
    if (!is_raw(d))
        add_item(menu, _("C_heck"), "disks.check", path);
    add_item(menu, _("_Compact"), "disks.compact", path);
    add_item(menu, _("_Enlarge…"), "disks.resize", path);
    g_menu_append_submenu(menu, _("Convert a Cop_y to"), G_MENU_MODEL(to));
    gtk_menu_button_set_menu_model(GTK_MENU_BUTTON(b), G_MENU_MODEL(menu));
    gtk_menu_button_set_icon_name(GTK_MENU_BUTTON(b), "view-more-symbolic");
    gtk_widget_set_valign(b, GTK_ALIGN_CENTER);
    gtk_widget_add_css_class(b, "flat");
    gtk_widget_set_tooltip_text(b, _("Actions"));
    gtk_accessible_update_property(GTK_ACCESSIBLE(b), GTK_ACCESSIBLE_PROPERTY_LABEL, _("Actions"), -1);
    return b;
}

static void add_row(VmDisks *v, const struct disk_image *d)
{
    struct row *r = g_new0(struct row, 1);
    r->widget = ADW_ACTION_ROW(adw_action_row_new());
    r->window = v;
    r->image = (struct disk_image){g_strdup(d->path), g_strdup(d->owners), g_strdup(d->format), d->on_disk, d->missing};
    r->bar = GTK_PROGRESS_BAR(gtk_progress_bar_new());
    r->cancel = gtk_button_new_with_label(_("Cancel"));
    r->menu = menu_of(d);
    gtk_widget_set_valign(GTK_WIDGET(r->bar), GTK_ALIGN_CENTER);
    gtk_widget_set_valign(r->cancel, GTK_ALIGN_CENTER);
    g_signal_connect(r->cancel, "clicked", G_CALLBACK(on_cancel), r);
    adw_preferences_row_set_use_markup(ADW_PREFERENCES_ROW(r->widget), FALSE);
    adw_preferences_row_set_title(ADW_PREFERENCES_ROW(r->widget), d->owners);
    adw_action_row_set_subtitle_lines(r->widget, 5);
    adw_action_row_add_suffix(r->widget, GTK_WIDGET(r->bar));
    adw_action_row_add_suffix(r->widget, r->cancel);
    adw_action_row_add_suffix(r->widget, r->menu);
    g_object_set_data_full(G_OBJECT(r->widget), "row", r, row_free);
    adw_preferences_group_add(v->group, GTK_WIDGET(r->widget));
    g_ptr_array_add(v->rows, r->widget);
    if (!d->missing)
        g_queue_push_tail(v->unknown, r);
    VmJob *job = disk_jobs_find(v->library, d->path);
    if (job)
        follow(r, job);
    show(r);
}

static void clear(VmDisks *v)
{
    if (v->asking)
        g_signal_handlers_disconnect_by_data(v->asking, v);
    g_clear_object(&v->asking);
    g_queue_clear(v->unknown);
    for (guint i = 0; i < v->rows->len; i++)
        adw_preferences_group_remove(v->group, v->rows->pdata[i]);
    g_ptr_array_set_size(v->rows, 0);
}

static void look(VmDisks *v)
{
    clear(v);
    g_autoptr(GPtrArray) list = disk_list(v->library);
    for (guint i = 0; i < list->len; i++)
        add_row(v, list->pdata[i]);
    gtk_stack_set_visible_child_name(v->pages, list->len ? "some" : "none");
    ask_next(v);
}

static void refresh(GtkWidget *w, const char *action, GVariant *parameter)
{
    look(VM_DISKS(w));
}

/* The one that is open; NULL: none. */
static GtkWindow *open_one(VmWindow *w)
{
    GtkWindow *found = NULL;
    GListModel *all = gtk_window_get_toplevels();
    for (guint i = 0; i < g_list_model_get_n_items(all) && !found; i++) {
        g_autoptr(GtkWindow) t = g_list_model_get_item(all, i);
        found = VM_IS_DISKS(t) && gtk_window_get_transient_for(t) == GTK_WINDOW(w) ? t : NULL;
    }
    return found;
}

void vm_disks_show(VmWindow *w)
{
    GtkWindow *open = open_one(w);
    if (open) {
        gtk_window_present(open);
        return;
    }
    VmDisks *v = g_object_new(vm_disks_get_type(), "transient-for", w, NULL);
    v->library = g_object_ref(vm_window_library(w));
    look(v);
    gtk_window_present(GTK_WINDOW(v));
}

/* ---- as an object ---- */

static void dispose(GObject *o)
{
    VmDisks *v = VM_DISKS(o);
    if (v->rows)
        clear(v);
    g_clear_pointer(&v->rows, g_ptr_array_unref);
    g_clear_pointer(&v->unknown, g_queue_free);
    g_clear_object(&v->library);
    gtk_widget_dispose_template(GTK_WIDGET(o), vm_disks_get_type());
    G_OBJECT_CLASS(vm_disks_parent_class)->dispose(o);
}

static void vm_disks_class_init(VmDisksClass *c)
{
    GtkWidgetClass *w = GTK_WIDGET_CLASS(c);
    G_OBJECT_CLASS(c)->dispose = dispose;
    gtk_widget_class_set_template_from_resource(w, "/org/terrarium/Terrarium/ui/disks.ui");
    gtk_widget_class_bind_template_child(w, VmDisks, pages);
    gtk_widget_class_bind_template_child(w, VmDisks, group);
    gtk_widget_class_install_action(w, "disks.refresh", NULL, refresh);
    gtk_widget_class_install_action(w, "disks.check", "s", check);
    gtk_widget_class_install_action(w, "disks.compact", "s", compact);
    gtk_widget_class_install_action(w, "disks.convert", "s", convert);
    gtk_widget_class_install_action(w, "disks.resize", "s", resize);
    gtk_widget_class_add_binding_action(w, GDK_KEY_Escape, 0, "window.close", NULL);
}

static void vm_disks_init(VmDisks *v)
{
    v->rows = g_ptr_array_new();
    v->unknown = g_queue_new();
    gtk_widget_init_template(GTK_WIDGET(v));
}
