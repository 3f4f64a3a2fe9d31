// SPDX-License-Identifier: GPL-2.0-or-later
/* firmware_page.c - see firmware_page.h.  What a guest has written to its firmware's variables is looked into by vmctl firmware. */
#include "gui/manager/firmware_page.h"
#include "core-vmm/control/answer.h"
#include <glib/gi18n.h>
#include <string.h>

struct _VmFirmware {
    AdwWindow parent_instance;
    VmItem *item;
    VmJob *job;        /* that looks, or works; NULL: none */
    GPtrArray *groups; /* of what was found, borrowed */
    AdwPreferencesPage *page;
    AdwPreferencesGroup *work;
    GtkWidget *enroll, *add;
    GtkLabel *notice;
};
G_DEFINE_FINAL_TYPE(VmFirmware, vm_firmware, ADW_TYPE_WINDOW)

/* ---- what there is ---- */

static AdwPreferencesGroup *add_group(VmFirmware *v, const char *title, const char *description)
{
    GtkWidget *g = adw_preferences_group_new();
    adw_preferences_group_set_title(ADW_PREFERENCES_GROUP(g), title);
    adw_preferences_group_set_description(ADW_PREFERENCES_GROUP(g), description);
    adw_preferences_page_add(v->page, ADW_PREFERENCES_GROUP(g));
    g_ptr_array_add(v->groups, g);
    return ADW_PREFERENCES_GROUP(g);
}

static void add_row(AdwPreferencesGroup *g, const char *title, const char *subtitle)
{
    GtkWidget *row = adw_action_row_new();
    adw_preferences_row_set_use_markup(ADW_PREFERENCES_ROW(row), FALSE);
    adw_preferences_row_set_title(ADW_PREFERENCES_ROW(row), title);
    adw_action_row_set_title_lines(ADW_ACTION_ROW(row), 0);
    adw_action_row_set_subtitle(ADW_ACTION_ROW(row), subtitle);
    adw_action_row_set_subtitle_lines(ADW_ACTION_ROW(row), 0);
    adw_preferences_group_add(g, row);
}

static void add_certificates(VmFirmware *v, JsonObject *o, const char *key, const char *title, const char *description)
{
    JsonArray *names = answer_array(o, key);
    g_autofree char *others = g_strdup_printf("%s-others", key);
    unsigned more = (unsigned)answer_number(o, others, 0, G_MAXINT, 0), n = answer_count(names);
    AdwPreferencesGroup *g = n || more ? add_group(v, title, description) : NULL;
    for (unsigned i = 0; i < n; i++) {
        const char *name = answer_element_text(names, i);
        add_row(g, name ? name : "?", NULL);
    }
    if (more) {
        g_autofree char *text = g_strdup_printf(ngettext("%u without a name", "%u without a name", more), more);
        add_row(g, text, _("Digests of programs, or keys that are no X.509 certificates"));
    }
}

static const char *secure_boot(JsonObject *o)
{
    return answer_flag(o, "secure-boot")    ? _("On")
           : answer_flag(o, "platform-key") ? _("Off: there are keys, but it is switched off in the firmware's setup")
                                            : _("Off: there is no platform key");
}

static void show(VmFirmware *v, JsonObject *o)
{
    AdwPreferencesGroup *g = add_group(v, NULL, NULL);
    const char *kind = answer_text(o, "firmware", "?");
    bool keeps = answer_flag(o, "variables-kept"), there = answer_has(o, "variables");
    g_autofree char *count = answer_shown(o, "variables");
    add_row(g, _("Firmware"), kind);
    add_row(g, _("File"), answer_text(o, "image", "?"));
    add_row(g, _("Variables"),
            !keeps   ? _("None: this firmware keeps none for the machine")
            : !there ? _("None yet: they are made at the first start")
                     : count);
    if (there)
        add_row(g, _("Secure Boot"), secure_boot(o));
    add_certificates(v, o, "pk", _("Platform Key (PK)"), _("Who may change the next ones"));
    add_certificates(v, o, "kek", _("Key Exchange Keys (KEK)"), _("Who may change what may be started"));
    add_certificates(v, o, "db", _("May Be Started (db)"), _("Programs that these have signed"));
    gtk_widget_set_visible(GTK_WIDGET(v->work), keeps);
    gtk_widget_set_visible(v->enroll, !strcmp(kind, "uefi-secure"));
    gtk_widget_set_visible(v->add, !strcmp(kind, "uefi-secure"));
}

static void clear(VmFirmware *v)
{
    for (guint i = 0; i < v->groups->len; i++)
        adw_preferences_page_remove(v->page, v->groups->pdata[i]);
    g_ptr_array_set_size(v->groups, 0);
}

static void notice(VmFirmware *v, const char *text)
{
    gtk_label_set_label(v->notice, text ? text : "");
    gtk_widget_set_visible(GTK_WIDGET(v->notice), text != NULL);
}

/* ---- looking ---- */

static void on_looked(VmJob *job, GParamSpec *spec, gpointer firmware)
{
    VmFirmware *v = firmware;
    g_autoptr(GError) error = NULL;
    JsonObject *o = vm_job_problem(job) ? NULL : answer_parse(vm_job_output(job), &error);
    clear(v);
    if (o)
        show(v, o);
    else
        notice(v, error ? error->message : vm_job_problem(job));
    if (o)
        json_object_unref(o);
    g_clear_object(&v->job);
}

static void look(VmFirmware *v)
{
    const char *words[] = {"firmware", "-o", "json", "--", "info", vm_item_name(v->item), NULL};
    v->job = vm_job_new(_("Looking"), words);
    g_signal_connect_object(v->job, "notify::done", G_CALLBACK(on_looked), v, 0);
}

/* ---- changing ---- */

/* What a host lacks of the usual certificates is told too. */
static void on_worked(VmJob *job, GParamSpec *spec, gpointer firmware)
{
    VmFirmware *v = firmware;
    notice(v, vm_job_problem(job) ? vm_job_problem(job) : vm_job_note(job));
    g_clear_object(&v->job);
    look(v);
}

/* db: a certificate's file; NULL: none. */
static void work(VmFirmware *v, const char *part, const char *db)
{
    g_autofree char *more = db ? g_strconcat("--db=", db, NULL) : NULL;
    const char *words[] = {"firmware",
                           more ? more : "--",
                           more ? "--" : part,
                           more ? part : vm_item_name(v->item),
                           more ? vm_item_name(v->item) : NULL,
                           NULL};
    if (v->job)
        return;
    notice(v, NULL);
    v->job = vm_item_run(v->item, strcmp(part, "reset") ? _("Enrolling Keys") : _("Resetting the Firmware"), words);
    if (v->job)
        g_signal_connect_object(v->job, "notify::done", G_CALLBACK(on_worked), v, 0);
    else
        notice(v, _("Not now: the machine is busy with something else. Wait for it, or cancel it."));
}

static void on_sure(AdwMessageDialog *d, const char *response, gpointer firmware)
{
    if (!strcmp(response, "reset") || !strcmp(response, "enroll"))
        work(firmware, response, NULL);
}

static void ask(VmFirmware *v, const char *title, const char *response, const char *verb)
{
    AdwMessageDialog *d = ADW_MESSAGE_DIALOG(adw_message_dialog_new(
        GTK_WINDOW(v), title,
        _("All that UEFI remembers of this machine goes: what it boots, its settings and its keys.")));
    adw_message_dialog_add_responses(d, "cancel", _("_Cancel"), response, verb, NULL);
    adw_message_dialog_set_response_appearance(d, response, ADW_RESPONSE_DESTRUCTIVE);
    adw_message_dialog_set_close_response(d, "cancel");
    g_signal_connect_object(d, "response", G_CALLBACK(on_sure), v, 0);
    gtk_window_present(GTK_WINDOW(d));
}

static void reset(GtkWidget *w, const char *action, GVariant *parameter)
{
    ask(VM_FIRMWARE(w), _("Begin Anew, as at the First Start?"), "reset", _("_Reset"));
}

static void enroll(GtkWidget *w, const char *action, GVariant *parameter)
{
    ask(VM_FIRMWARE(w), _("Begin Anew with the Usual Keys?"), "enroll", _("_Enroll"));
}

static void on_certificate(GtkNativeDialog *dialog, int response, gpointer firmware)
{
    g_autoptr(GFile) file =
        response == GTK_RESPONSE_ACCEPT ? gtk_file_chooser_get_file(GTK_FILE_CHOOSER(dialog)) : NULL;
    g_autofree char *path = file ? g_file_get_path(file) : NULL;
    if (path)
        work(firmware, "enroll", path);
    g_object_unref(dialog);
}

static void add_one(GtkWidget *w, const char *action, GVariant *parameter)
{
    GtkFileChooserNative *chooser =
        gtk_file_chooser_native_new(_("A Certificate of Programs That May Be Started"), GTK_WINDOW(w),
                                    GTK_FILE_CHOOSER_ACTION_OPEN, _("_Enroll"), NULL);
    gtk_native_dialog_set_modal(GTK_NATIVE_DIALOG(chooser), TRUE);
    g_signal_connect_object(chooser, "response", G_CALLBACK(on_certificate), w, 0);
    gtk_native_dialog_show(GTK_NATIVE_DIALOG(chooser));
}

/* ---- as an object ---- */

void vm_firmware_show(VmWindow *w, VmItem *m)
{
    VmFirmware *v = g_object_new(vm_firmware_get_type(), "transient-for", w, NULL);
    v->item = g_object_ref(m);
    look(v);
    gtk_window_present(GTK_WINDOW(v));
}

static void dispose(GObject *o)
{
    VmFirmware *v = VM_FIRMWARE(o);
    g_clear_object(&v->job);
    g_clear_object(&v->item);
    g_clear_pointer(&v->groups, g_ptr_array_unref);
    gtk_widget_dispose_template(GTK_WIDGET(o), vm_firmware_get_type());
    G_OBJECT_CLASS(vm_firmware_parent_class)->dispose(o);
}

static void vm_firmware_class_init(VmFirmwareClass *c)
{
    GtkWidgetClass *w = GTK_WIDGET_CLASS(c);
    G_OBJECT_CLASS(c)->dispose = dispose;
    gtk_widget_class_set_template_from_resource(w, "/org/terrarium/Terrarium/ui/firmware.ui");
    gtk_widget_class_bind_template_child(w, VmFirmware, page);
    gtk_widget_class_bind_template_child(w, VmFirmware, work);
    gtk_widget_class_bind_template_child(w, VmFirmware, enroll);
    gtk_widget_class_bind_template_child(w, VmFirmware, add);
    gtk_widget_class_bind_template_child(w, VmFirmware, notice);
    gtk_widget_class_install_action(w, "firmware.reset", NULL, reset);
    gtk_widget_class_install_action(w, "firmware.enroll", NULL, enroll);
    gtk_widget_class_install_action(w, "firmware.add", NULL, add_one);
    gtk_widget_class_add_binding_action(w, GDK_KEY_Escape, 0, "window.close", NULL);
}

static void vm_firmware_init(VmFirmware *v)
{
    v->groups = g_ptr_array_new();
    gtk_widget_init_template(GTK_WIDGET(v));
}
