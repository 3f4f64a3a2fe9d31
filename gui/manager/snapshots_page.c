// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshots_page.c - see snapshots_page.h.
 *
 * What there is stands in the record, which is looked at when the page is, when a job of the machine ends, and when the file
 * changes, whoever does that. */
#include "gui/manager/snapshots_page.h"
#include "core-vmm/host/machines.h"
#include "core-vmm/host/snapshots.h"
#include "gui/manager/clone.h"
#include "gui/manager/compare.h"
#include "gui/manager/facts.h"
#include "gui/manager/record_watch.h"
#include "gui/manager/take_out.h"
#include "gui/manager/work.h"
#include <glib/gi18n.h>
#include <string.h>

#define DEPTH_PX   24
#define DEPTH_MOST 8 /* deeper ones are not moved further to the right */
enum { PICTURE_WIDTH = 64, PICTURE_HEIGHT = 44, PICTURES_MOST = 100 };

struct _VmSnapshots {
    VmItemWidget parent_instance;
    GFileMonitor *monitor; /* of the record */
    GtkStack *pages;
    AdwPreferencesGroup *group;
    GPtrArray *rows; /* borrowed */
};
G_DEFINE_FINAL_TYPE(VmSnapshots, vm_snapshots, vm_item_widget_get_type())

/* ---- dialogs ---- */

/* One about a snapshot, or a new one; it has the names of what may have gone by then. */
struct dialog {
    VmItem *item;
    char *id;
    GtkEditable *name, *description; /* NULL: not asked */
    GtkCheckButton *keep;
};

static void dialog_free(gpointer dialog, GClosure *closure)
{
    struct dialog *d = dialog;
    g_object_unref(d->item);
    g_free(d->id);
    g_free(d);
}

static AdwMessageDialog *dialog_new(VmSnapshots *v, const char *id, const char *title, const char *text,
                                    const char *verb, AdwResponseAppearance how, struct dialog **out)
{
    GtkWindow *w = GTK_WINDOW(gtk_widget_get_root(GTK_WIDGET(v)));
    AdwMessageDialog *d = ADW_MESSAGE_DIALOG(adw_message_dialog_new(w, title, text));
    const struct dialog fresh = {g_object_ref(vm_item_of(v)), g_strdup(id)};
    *out = g_memdup2(&fresh, sizeof fresh);
    adw_message_dialog_add_responses(d, "cancel", _("_Cancel"), "sure", verb, NULL);
    adw_message_dialog_set_response_appearance(d, "sure", how);
    adw_message_dialog_set_close_response(d, "cancel");
    adw_message_dialog_set_default_response(d, "sure");
    return d;
}

static GtkEditable *add_entry(GtkBox *box, const char *label, const char *text)
{
    GtkWidget *e = gtk_entry_new();
    gtk_entry_set_placeholder_text(GTK_ENTRY(e), label);
    gtk_accessible_update_property(GTK_ACCESSIBLE(e), GTK_ACCESSIBLE_PROPERTY_LABEL, label, -1);
    gtk_editable_set_text(GTK_EDITABLE(e), text ? text : "");
    gtk_entry_set_activates_default(GTK_ENTRY(e), TRUE);
    gtk_box_append(box, e);
    return GTK_EDITABLE(e);
}

static void add_texts(AdwMessageDialog *m, struct dialog *d, const char *name, const char *description)
{
    GtkBox *box = GTK_BOX(gtk_box_new(GTK_ORIENTATION_VERTICAL, 6));
    d->name = add_entry(box, _("Name"), name);
    d->description = add_entry(box, _("Description"), description);
    adw_message_dialog_set_extra_child(m, GTK_WIDGET(box));
}

static void present(AdwMessageDialog *m, GCallback fn, struct dialog *d)
{
    g_signal_connect_data(m, "response", fn, d, dialog_free, 0);
    gtk_window_present(GTK_WINDOW(m));
}

static char *usual_name(void)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    return g_date_time_format(now, "%F %R");
}

/* Yes, and about the machine that it was: another one that has its name by now has other snapshots under these numbers. */
static bool is_sure(AdwMessageDialog *m, const char *response, const struct dialog *d)
{
    VmWindow *w = VM_WINDOW(gtk_window_get_transient_for(GTK_WINDOW(m)));
    return !strcmp(response, "sure") && vm_window_item(w, vm_item_name(d->item)) == d->item;
}

/* ---- taking ---- */

static void on_take(AdwMessageDialog *m, const char *response, gpointer dialog)
{
    struct dialog *d = dialog;
    const char *description = gtk_editable_get_text(d->description);
    g_autofree char *name = g_strstrip(g_strdup(gtk_editable_get_text(d->name)));
    g_autofree char *usual = usual_name();
    g_autofree char *told = g_strconcat("--description=", description, NULL);
    /* A name may look like an option. */
    const char *words[] = {"snapshot", told, "--", "take", vm_item_name(d->item), *name ? name : usual, NULL};
    if (!is_sure(m, response, d))
        return;
    g_autoptr(VmJob) job = vm_item_run(d->item, _("Taking a Snapshot"), words);
}

static void take(GtkWidget *w, const char *action, GVariant *parameter)
{
    VmSnapshots *v = VM_SNAPSHOTS(w);
    struct dialog *d;
    g_autofree char *usual = usual_name();
    if (!vm_item_of(v))
        return;
    AdwMessageDialog *m =
        dialog_new(v, NULL, _("Take a Snapshot"),
                   vm_item_is_live(vm_item_of(v)) ? _("Of disks, settings and memory; the machine runs on.")
                                                  : _("Of disks and settings."),
                   _("_Take"), ADW_RESPONSE_SUGGESTED, &d);
    add_texts(m, d, usual, NULL);
    present(m, G_CALLBACK(on_take), d);
}

/* ---- restoring ---- */

static void on_restore(AdwMessageDialog *m, const char *response, gpointer dialog)
{
    struct dialog *d = dialog;
    g_autofree char *usual = usual_name(), *keep = g_strdup_printf(_("Before restoring, %s"), usual);
    bool keeps = gtk_check_button_get_active(d->keep);
    const char *words[] = {"snapshot", "restore", vm_item_name(d->item), d->id, keeps ? "--keep" : NULL, keep, NULL};
    if (!is_sure(m, response, d))
        return;
    g_autoptr(VmJob) job = vm_item_run(d->item, _("Restoring a Snapshot"), words);
}

static void restore(GtkWidget *w, const char *action, GVariant *parameter)
{
    VmSnapshots *v = VM_SNAPSHOTS(w);
    struct dialog *d;
    if (!vm_item_is_off(vm_item_of(v))) {
        vm_item_set_problem(
            vm_item_of(v), _("A snapshot is restored while the machine is off: shut it down, or force it off, first."));
        return;
    }
    AdwMessageDialog *m = dialog_new(
        v, g_variant_get_string(parameter, NULL), _("Restore this Snapshot?"),
        _("The machine becomes what it was then. What changed since is lost, unless it is kept as a snapshot too."),
        _("_Restore"), ADW_RESPONSE_DESTRUCTIVE, &d);
    d->keep = GTK_CHECK_BUTTON(gtk_check_button_new_with_mnemonic(_("_Keep the present as a snapshot")));
    gtk_check_button_set_active(d->keep, TRUE);
    adw_message_dialog_set_extra_child(m, GTK_WIDGET(d->keep));
    present(m, G_CALLBACK(on_restore), d);
}

/* ---- editing and deleting ---- */

static void on_edit(AdwMessageDialog *m, const char *response, gpointer dialog)
{
    struct dialog *d = dialog;
    const char *words[] = {"snapshot",
                           "edit",
                           vm_item_name(d->item),
                           d->id,
                           "--name",
                           gtk_editable_get_text(d->name),
                           "--description",
                           gtk_editable_get_text(d->description),
                           NULL};
    if (!is_sure(m, response, d))
        return;
    g_autoptr(VmJob) job = vm_item_run(d->item, _("Renaming a Snapshot"), words);
}

static void edit(GtkWidget *w, const char *action, GVariant *parameter)
{
    VmSnapshots *v = VM_SNAPSHOTS(w);
    const char *id = g_variant_get_string(parameter, NULL);
    struct snapshot_record *r = snapshots_list(vm_item_name(vm_item_of(v)), NULL);
    struct snapshot *s = r ? record_snapshot(r, (unsigned)g_ascii_strtoull(id, NULL, 10)) : NULL;
    struct dialog *d;
    if (s) {
        AdwMessageDialog *m =
            dialog_new(v, id, _("Rename the Snapshot"), NULL, _("Re_name"), ADW_RESPONSE_SUGGESTED, &d);
        add_texts(m, d, s->name, s->description);
        present(m, G_CALLBACK(on_edit), d);
    }
    record_free(r);
}

static void on_delete(AdwMessageDialog *m, const char *response, gpointer dialog)
{
    struct dialog *d = dialog;
    const char *words[] = {"snapshot", "delete", vm_item_name(d->item), d->id, NULL};
    if (!is_sure(m, response, d))
        return;
    g_autoptr(VmJob) job = vm_item_run(d->item, _("Deleting a Snapshot"), words);
}

static void delete_one(GtkWidget *w, const char *action, GVariant *parameter)
{
    VmSnapshots *v = VM_SNAPSHOTS(w);
    struct dialog *d;
    AdwMessageDialog *m =
        dialog_new(v, g_variant_get_string(parameter, NULL), _("Delete this Snapshot?"),
                   _("The present and other snapshots stay as they are; what only this one had is gone for good."),
                   _("_Delete"), ADW_RESPONSE_DESTRUCTIVE, &d);
    present(m, G_CALLBACK(on_delete), d);
}

/* ---- looking into them ---- */

static void compare(GtkWidget *w, const char *action, GVariant *parameter)
{
    const char *id = g_variant_get_string(parameter, NULL);
    vm_compare_show(VM_WINDOW(gtk_widget_get_root(w)), vm_item_of(w), (unsigned)g_ascii_strtoull(id, NULL, 10));
}

static void take_file(GtkWidget *w, const char *action, GVariant *parameter)
{
    GtkRoot *root = gtk_widget_get_root(w);
    take_out_ask(GTK_WINDOW(root), VM_WINDOW(root), vm_item_of(w), g_variant_get_string(parameter, NULL), NULL, NULL);
}

/* What is wrong with them becomes the machine's problem.  "": all of them. */
static void verify(GtkWidget *w, const char *action, GVariant *parameter)
{
    VmItem *m = vm_item_of(w);
    const char *id = g_variant_get_string(parameter, NULL);
    const char *words[] = {"snapshot", "verify", vm_item_name(m), *id ? id : NULL, NULL};
    g_autoptr(VmJob) job = vm_item_run(m, *id ? _("Verifying a Snapshot") : _("Verifying Snapshots"), words);
    g_autofree char *done =
        *id ? g_strdup_printf(_("Snapshot %s is whole"), id) : g_strdup(_("All snapshots are whole"));
    if (job)
        work_follow(VM_WINDOW(gtk_widget_get_root(w)), job,
                    &(struct work_end){.done = done, .machine = vm_item_name(m), .teller = m});
}

/* ---- of the machine ---- */

static void clone_one(GtkWidget *w, const char *action, GVariant *parameter)
{
    VmItem *m = vm_item_of(w);
    if (vm_item_is_off(m))
        clone_ask(VM_WINDOW(gtk_widget_get_root(w)), m, g_variant_get_string(parameter, NULL));
    else
        vm_item_set_problem(m,
                            _("A snapshot is cloned while the machine is off: shut it down, or force it off, first."));
}

static void try_it(GtkWidget *w, const char *action, GVariant *parameter)
{
    if (vm_item_of(w))
        gtk_widget_activate_action(w, "win.try", "s", vm_item_name(vm_item_of(w)));
}

/* ---- rows ---- */

static void add_menu_item(GMenu *menu, const char *label, const char *action, const char *id)
{
    g_autoptr(GMenuItem) item = g_menu_item_new(label, NULL);
    g_menu_item_set_action_and_target(item, action, "s", id);
    g_menu_append_item(menu, item);
}

static GtkWidget *menu_of(const char *id)
{
    static const struct {
        const char *label, *action; /* label NULL: a line between sections */
    } entries[] = {
        {N_("_Clone…"), "snapshots.clone"},
        {N_("C_ompare…"), "snapshots.compare"},
        {N_("_Take a File Out…"), "snapshots.take-file"},
        {N_("_Verify"), "snapshots.verify"},
        {NULL, NULL},
        {N_("Ren_ame…"), "snapshots.edit"},
        {N_("_Delete…"), "snapshots.delete"},
    };
    g_autoptr(GMenu) menu = g_menu_new();
    GMenu *section = g_menu_new();
    GtkWidget *b = gtk_menu_button_new();
    for (unsigned i = 0; i <= G_N_ELEMENTS(entries); i++) {
        if (i < G_N_ELEMENTS(entries) && entries[i].label) {
            add_menu_item(section, _(entries[i].label), entries[i].action, id);
            continue;
        }
        g_menu_append_section(menu, NULL, G_MENU_MODEL(section));
        g_object_unref(section);
        section = g_menu_new();
    }
    g_object_unref(section);
    gtk_menu_button_set_menu_model(GTK_MENU_BUTTON(b), G_MENU_MODEL(menu));
    gtk_menu_button_set_icon_name(GTK_MENU_BUTTON(b), "view-more-symbolic");
    gtk_widget_set_valign(b, GTK_ALIGN_CENTER);
    gtk_widget_add_css_class(b, "flat");
    gtk_widget_set_tooltip_text(b, _("More"));
    gtk_accessible_update_property(GTK_ACCESSIBLE(b), GTK_ACCESSIBLE_PROPERTY_LABEL, _("More"), -1);
    return b;
}

static char *describe(const struct snapshot *s)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_local(s->time);
    g_autofree char *when = time ? g_date_time_format(time, "%x %X") : g_strdup("?");
    g_autofree char *size = s->state_bytes ? size_for_people(s->state_bytes) : NULL;
    g_autofree char *state = size ? g_strdup_printf(_("running, %s of memory"), size) : g_strdup(_("off"));
    return g_strdup_printf("%s, %s%s%s", when, state, s->description ? "\n" : "", s->description ? s->description : "");
}

static void add_row(VmSnapshots *v, GtkWidget *row, unsigned depth)
{
    if (depth) {
        GtkWidget *indent = gtk_image_new_from_icon_name("pan-end-symbolic");
        gtk_widget_set_margin_start(indent, (int)MIN(depth - 1, DEPTH_MOST) * DEPTH_PX);
        gtk_widget_add_css_class(indent, "dim-label");
        adw_action_row_add_prefix(ADW_ACTION_ROW(row), indent);
    }
    adw_preferences_group_add(v->group, row);
    g_ptr_array_add(v->rows, row);
}

/* What the screen showed then, if there was one; the file is the machine's own, like its disks. */
static void add_picture(VmSnapshots *v, AdwActionRow *row, unsigned id)
{
    g_autofree char *folder = machines_folder(vm_item_name(vm_item_of(v))), *path = snapshot_path(folder, id, "png");
    g_autoptr(GdkTexture) texture = v->rows->len < PICTURES_MOST ? gdk_texture_new_from_filename(path, NULL) : NULL;
    if (!texture)
        return;
    GtkWidget *picture = gtk_picture_new_for_paintable(GDK_PAINTABLE(texture));
    gtk_widget_set_size_request(picture, PICTURE_WIDTH, PICTURE_HEIGHT);
    gtk_widget_set_valign(picture, GTK_ALIGN_CENTER);
    gtk_picture_set_alternative_text(GTK_PICTURE(picture), _("The screen at that time"));
    gtk_widget_add_css_class(picture, "screen");
    gtk_widget_set_overflow(picture, GTK_OVERFLOW_HIDDEN);
    adw_action_row_add_prefix(row, picture);
}

static GtkWidget *row_new(const char *title, const char *subtitle)
{
    GtkWidget *row = adw_action_row_new();
    adw_preferences_row_set_use_markup(ADW_PREFERENCES_ROW(row), FALSE);
    adw_preferences_row_set_title(ADW_PREFERENCES_ROW(row), title);
    adw_action_row_set_subtitle(ADW_ACTION_ROW(row), subtitle);
    adw_action_row_set_subtitle_lines(ADW_ACTION_ROW(row), 0);
    return row;
}

static void add_snapshot(VmSnapshots *v, const struct snapshot *s, unsigned depth)
{
    g_autofree char *id = g_strdup_printf("%u", s->id), *text = describe(s);
    g_autofree char *number = g_strdup_printf(_("Snapshot %u"), s->id);
    GtkWidget *row = row_new(s->name ? s->name : number, text),
              *back = gtk_button_new_from_icon_name("document-revert-symbolic");
    gtk_accessible_update_property(GTK_ACCESSIBLE(back), GTK_ACCESSIBLE_PROPERTY_LABEL, _("Restore"), -1);
    gtk_widget_set_tooltip_text(back, _("Restore"));
    gtk_widget_add_css_class(back, "flat");
    add_picture(v, ADW_ACTION_ROW(row), s->id);
    gtk_widget_set_valign(back, GTK_ALIGN_CENTER);
    gtk_actionable_set_action_name(GTK_ACTIONABLE(back), "snapshots.restore");
    gtk_actionable_set_action_target(GTK_ACTIONABLE(back), "s", id);
    adw_action_row_add_suffix(ADW_ACTION_ROW(row), back);
    adw_action_row_add_suffix(ADW_ACTION_ROW(row), menu_of(id));
    add_row(v, row, depth);
}

static void add_present(VmSnapshots *v, unsigned depth)
{
    GtkWidget *row = row_new(_("The Present"), _("What the machine is now"));
    gtk_widget_add_css_class(row, "present");
    add_row(v, row, depth);
}

/* Children of a snapshot, and the present where it is; 0: the roots. */
static void add_branch(VmSnapshots *v, const struct snapshot_record *r, unsigned parent, unsigned depth)
{
    for (guint i = 0; i < r->snapshots->len; i++) {
        const struct snapshot *s = r->snapshots->pdata[i];
        if (s->parent != parent)
            continue;
        add_snapshot(v, s, depth);
        add_branch(v, r, s->id, depth + 1);
    }
    if (r->current == parent)
        add_present(v, depth);
}

static void look(VmSnapshots *v)
{
    g_autoptr(GError) error = NULL;
    for (guint i = 0; i < v->rows->len; i++)
        adw_preferences_group_remove(v->group, v->rows->pdata[i]);
    g_ptr_array_set_size(v->rows, 0);
    struct snapshot_record *r = vm_item_of(v) ? snapshots_list(vm_item_name(vm_item_of(v)), &error) : NULL;
    if (error && vm_item_state(vm_item_of(v)) != VM_DAMAGED)
        vm_item_set_problem(vm_item_of(v), error->message);
    if (r && r->snapshots->len)
        add_branch(v, r, 0, 0);
    gtk_stack_set_visible_child_name(v->pages, v->rows->len ? "some" : "none");
    if (r)
        record_free(r);
}

static void look_if_seen(VmSnapshots *v)
{
    if (gtk_widget_get_mapped(GTK_WIDGET(v)))
        look(v);
}

static void on_busy(VmSnapshots *v)
{
    if (!vm_item_job(vm_item_of(v)))
        look_if_seen(v);
}

/* ---- as an object ---- */

/* Of a machine whose settings nobody can read there is no snapshot to be had. */
static void on_state(VmSnapshots *v)
{
    bool can = vm_item_of(v) && vm_item_state(vm_item_of(v)) != VM_DAMAGED;
    gtk_widget_action_set_enabled(GTK_WIDGET(v), "snapshots.take", can);
    gtk_widget_action_set_enabled(GTK_WIDGET(v), "snapshots.try", can);
}

static void taken(VmItemWidget *w)
{
    VmSnapshots *v = VM_SNAPSHOTS(w);
    record_watch_free(&v->monitor, v);
    if (vm_item_of(v)) {
        g_signal_connect_swapped(vm_item_of(v), "notify::busy", G_CALLBACK(on_busy), v);
        g_signal_connect_swapped(vm_item_of(v), "notify::state", G_CALLBACK(on_state), v);
        v->monitor = record_watch_new(vm_item_name(vm_item_of(v)), G_CALLBACK(look_if_seen), v);
    }
    on_state(v);
    look_if_seen(v);
}

static void map(GtkWidget *w)
{
    GTK_WIDGET_CLASS(vm_snapshots_parent_class)->map(w);
    look(VM_SNAPSHOTS(w));
}

static void dispose(GObject *o)
{
    VmSnapshots *v = VM_SNAPSHOTS(o);
    record_watch_free(&v->monitor, v);
    g_clear_pointer(&v->rows, g_ptr_array_unref);
    G_OBJECT_CLASS(vm_snapshots_parent_class)->dispose(o);
}

static void vm_snapshots_class_init(VmSnapshotsClass *c)
{
    GtkWidgetClass *w = GTK_WIDGET_CLASS(c);
    G_OBJECT_CLASS(c)->dispose = dispose;
    w->map = map;
    VM_ITEM_WIDGET_CLASS(c)->taken = taken;
    gtk_widget_class_set_template_from_resource(w, "/org/terrarium/Terrarium/ui/snapshots.ui");
    gtk_widget_class_bind_template_child(w, VmSnapshots, pages);
    gtk_widget_class_bind_template_child(w, VmSnapshots, group);
    gtk_widget_class_install_action(w, "snapshots.take", NULL, take);
    gtk_widget_class_install_action(w, "snapshots.restore", "s", restore);
    gtk_widget_class_install_action(w, "snapshots.edit", "s", edit);
    gtk_widget_class_install_action(w, "snapshots.clone", "s", clone_one);
    gtk_widget_class_install_action(w, "snapshots.compare", "s", compare);
    gtk_widget_class_install_action(w, "snapshots.take-file", "s", take_file);
    gtk_widget_class_install_action(w, "snapshots.verify", "s", verify);
    gtk_widget_class_install_action(w, "snapshots.try", NULL, try_it);
    gtk_widget_class_install_action(w, "snapshots.delete", "s", delete_one);
}

static void vm_snapshots_init(VmSnapshots *v)
{
    v->rows = g_ptr_array_new();
    gtk_widget_init_template(GTK_WIDGET(v));
}
