// SPDX-License-Identifier: GPL-2.0-or-later
/* clone.c - see clone.h. */
#include "gui/manager/clone.h"
#include "core-vmm/host/paths.h"
#include "gui/manager/plan.h"
#include "gui/manager/work.h"
#include <glib/gi18n.h>
#include <string.h>

struct dialog {
    VmWindow *window;
    VmItem *item;
    char *snapshot;
    GtkEditable *name;
    GtkCheckButton *linked, *macs;
};

static void dialog_free(gpointer dialog, GClosure *closure)
{
    struct dialog *d = dialog;
    g_object_unref(d->window);
    g_object_unref(d->item);
    g_free(d->snapshot);
    g_free(d);
}

static void begin(struct dialog *d, const char *name)
{
    const char *words[] = {"clone", d->snapshot ? "--snapshot" : "--quiet", NULL, NULL, NULL, NULL, NULL, NULL, NULL};
    unsigned n = 2;
    if (d->snapshot)
        words[n++] = d->snapshot;
    if (gtk_check_button_get_active(d->linked))
        words[n++] = "--linked";
    if (gtk_check_button_get_active(d->macs))
        words[n++] = "--keep-macs";
    words[n++] = "--"; /* a name may look like an option */
    words[n++] = vm_item_name(d->item);
    words[n++] = name;
    g_autoptr(VmJob) job = vm_item_run(d->item, _("Cloning"), words);
    g_autofree char *done = g_strdup_printf(_("“%s” was cloned: “%s”"), vm_item_title(d->item), name);
    if (job)
        work_follow(d->window, job,
                    &(struct work_end){.done = done,
                                       .machine = name,
                                       .teller = d->item,
                                       .button = _("Show"),
                                       .action = "win.choose",
                                       .target = name});
}

static void on_answer(AdwMessageDialog *m, const char *response, gpointer dialog)
{
    struct dialog *d = dialog;
    g_autofree char *name = g_strstrip(g_strdup(gtk_editable_get_text(d->name)));
    if (!strcmp(response, "sure") && vm_window_item(d->window, vm_item_name(d->item)) == d->item)
        begin(d, name);
}

/* It can be made when its name is one, and free. */
static void on_name(GtkEditable *e, gpointer message)
{
    struct dialog *d = g_object_get_data(message, "dialog");
    g_autofree char *name = g_strstrip(g_strdup(gtk_editable_get_text(e)));
    bool good = vm_name_check(name, NULL) && !vm_library_find(vm_window_library(d->window), name);
    adw_message_dialog_set_response_enabled(message, "sure", good);
}

static GtkCheckButton *add_check(GtkBox *box, const char *label)
{
    GtkWidget *b = gtk_check_button_new_with_mnemonic(label);
    GtkWidget *text = gtk_widget_get_last_child(b);
    if (GTK_IS_LABEL(text))
        gtk_label_set_wrap(GTK_LABEL(text), TRUE);
    gtk_box_append(box, b);
    return GTK_CHECK_BUTTON(b);
}

static void add_questions(AdwMessageDialog *m, struct dialog *d)
{
    GtkBox *box = GTK_BOX(gtk_box_new(GTK_ORIENTATION_VERTICAL, 6));
    GtkWidget *name = gtk_entry_new();
    g_autofree char *wish = g_strdup_printf(_("%s copy"), vm_item_title(d->item)), *free = plan_free_name(wish);
    gtk_accessible_update_property(GTK_ACCESSIBLE(name), GTK_ACCESSIBLE_PROPERTY_LABEL, _("Name"), -1);
    gtk_entry_set_activates_default(GTK_ENTRY(name), TRUE);
    gtk_box_append(box, name);
    d->name = GTK_EDITABLE(name);
    d->linked = add_check(box, _("_Linked: takes no room until it is written to, and needs this machine"));
    d->macs = add_check(box, _("Network cards keep their _addresses"));
    adw_message_dialog_set_extra_child(m, GTK_WIDGET(box));
    g_signal_connect(name, "changed", G_CALLBACK(on_name), m);
    gtk_editable_set_text(d->name, free);
}

void clone_ask(VmWindow *w, VmItem *m, const char *snapshot)
{
    g_autofree char *title = g_strdup_printf(_("Clone “%s”"), vm_item_title(m));
    struct dialog *d = g_new0(struct dialog, 1);
    AdwMessageDialog *q = ADW_MESSAGE_DIALOG(adw_message_dialog_new(
        GTK_WINDOW(w), title,
        snapshot ? _("A new machine as this snapshot is.") : _("A new machine with what this one has on its disks.")));
    *d = (struct dialog){.window = g_object_ref(w), .item = g_object_ref(m), .snapshot = g_strdup(snapshot)};
    adw_message_dialog_add_responses(q, "cancel", _("_Cancel"), "sure", _("C_lone"), NULL);
    adw_message_dialog_set_response_appearance(q, "sure", ADW_RESPONSE_SUGGESTED);
    adw_message_dialog_set_close_response(q, "cancel");
    adw_message_dialog_set_default_response(q, "sure");
    g_object_set_data(G_OBJECT(q), "dialog", d);
    g_signal_connect_data(q, "response", G_CALLBACK(on_answer), d, dialog_free, 0);
    add_questions(q, d);
    gtk_window_present(GTK_WINDOW(q));
}
