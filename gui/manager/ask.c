// SPDX-License-Identifier: GPL-2.0-or-later
/* ask.c - see ask.h. */
#include "gui/manager/ask.h"
#include "gui/manager/settings_change.h"
#include <glib/gi18n.h>
#include <string.h>

struct question {
    VmWindow *window;
    VmItem *item;
    ask_answer sure;
    char *section; /* of its settings; NULL: of no one */
    GtkBox *box;   /* what is asked, entry first */
    GtkWidget *entry;
};

static void question_free(gpointer question, GClosure *closure)
{
    struct question *q = question;
    g_object_unref(q->window);
    g_object_unref(q->item);
    g_free(q->section);
    g_free(q);
}

/* While one thinks, the machine may be deleted, and another one made that has its name. */
static bool is_there_still(const struct question *q)
{
    return vm_window_item(q->window, vm_item_name(q->item)) == q->item;
}

static struct question *question_new(VmWindow *w, VmItem *m, ask_answer sure)
{
    const struct question q = {g_object_ref(w), g_object_ref(m), sure};
    return g_memdup2(&q, sizeof q);
}

/* A key that repeats asks once. */
static bool asks_already(VmWindow *w)
{
    GListModel *all = gtk_window_get_toplevels();
    bool asks = false;
    for (guint i = 0; i < g_list_model_get_n_items(all) && !asks; i++) {
        g_autoptr(GtkWindow) t = g_list_model_get_item(all, i);
        asks = gtk_window_get_transient_for(t) == GTK_WINDOW(w) && gtk_window_get_modal(t);
    }
    return asks;
}

static AdwMessageDialog *dialog_new(VmWindow *w, const char *title, const char *text, const char *verb,
                                    AdwResponseAppearance appearance)
{
    AdwMessageDialog *d = ADW_MESSAGE_DIALOG(adw_message_dialog_new(GTK_WINDOW(w), title, text));
    adw_message_dialog_add_response(d, "cancel", _("_Cancel"));
    adw_message_dialog_add_response(d, "sure", verb);
    adw_message_dialog_set_response_appearance(d, "sure", appearance);
    adw_message_dialog_set_close_response(d, "cancel");
    return d;
}

static void present(AdwMessageDialog *d, GCallback answered, struct question *q)
{
    g_signal_connect_data(d, "response", answered, q, question_free, 0);
    gtk_window_present(GTK_WINDOW(d));
}

static void on_sure(AdwMessageDialog *d, const char *response, gpointer question)
{
    struct question *q = question;
    if (!strcmp(response, "sure") && is_there_still(q))
        q->sure(q->window, q->item);
}

void ask_sure(VmWindow *w, VmItem *m, const char *title, const char *text, const char *verb, ask_answer sure)
{
    if (asks_already(w))
        return;
    AdwMessageDialog *d = dialog_new(w, title, text, verb, ADW_RESPONSE_DESTRUCTIVE);
    present(d, G_CALLBACK(on_sure), question_new(w, m, sure));
}

/* ---- deleting ---- */

static void on_delete(AdwMessageDialog *d, const char *response, gpointer question)
{
    struct question *q = question;
    bool keep = !strcmp(response, "keep");
    const char *words[] = {"delete", vm_item_name(q->item), keep ? "--keep-disks" : NULL, NULL};
    if (!strcmp(response, "cancel") || !is_there_still(q))
        return;
    g_autoptr(VmJob) job = vm_item_run(q->item, _("Deleting"), words);
}

void ask_delete(VmWindow *w, VmItem *m)
{
    if (asks_already(w))
        return;
    g_autofree char *title = g_strdup_printf(_("Delete “%s”?"), vm_item_title(m));
    AdwMessageDialog *d =
        ADW_MESSAGE_DIALOG(adw_message_dialog_new(GTK_WINDOW(w), title,
                                                  _("Its settings, snapshots and the disks in its folder are removed "
                                                    "for good. Images that lie elsewhere stay.")));
    adw_message_dialog_add_responses(d, "cancel", _("_Cancel"), "keep", _("_Keep Disks"), "delete", _("_Delete"), NULL);
    adw_message_dialog_set_response_appearance(d, "delete", ADW_RESPONSE_DESTRUCTIVE);
    adw_message_dialog_set_close_response(d, "cancel");
    present(d, G_CALLBACK(on_delete), question_new(w, m, NULL));
}

/* ---- removing hardware ---- */

/* A folder that the guest sees now it sees no longer. */
static void unshare_folder(VmItem *m, const char *number)
{
    const char *words[] = {"folder", "--", "rm", vm_item_name(m), number, NULL};
    g_autoptr(VmJob) job = vm_item_run(m, _("Unsharing a Folder"), words);
}

static void on_remove(AdwMessageDialog *d, const char *response, gpointer question)
{
    struct question *q = question;
    const char *const removals[] = {q->section, NULL};
    if (strcmp(response, "sure") || !is_there_still(q))
        return;
    if (g_str_has_prefix(q->section, "folder"))
        unshare_folder(q->item, q->section + strlen("folder"));
    else
        settings_change_all(q->item, NULL, removals);
}

void ask_remove(VmWindow *w, VmItem *m, const char *section, const char *called)
{
    if (asks_already(w))
        return;
    g_autofree char *title = g_strdup_printf(_("Remove “%s”?"), called);
    AdwMessageDialog *d = dialog_new(w, title,
                                     _("All that is set of it goes. The file of a disk stays where it is; what a TPM "
                                       "keeps for the guest is out of its reach."),
                                     _("_Remove"), ADW_RESPONSE_DESTRUCTIVE);
    struct question *q = question_new(w, m, NULL);
    q->section = g_strdup(section);
    present(d, G_CALLBACK(on_remove), q);
}

/* ---- its title and its group ---- */

static void set_key(struct question *q, const char *key)
{
    g_autofree char *text = g_strstrip(g_strdup(gtk_editable_get_text(GTK_EDITABLE(q->entry))));
    if (is_there_still(q))
        settings_change(q->item, "machine", key, *text ? text : NULL);
}

static void on_title(AdwMessageDialog *d, const char *response, gpointer question)
{
    if (!strcmp(response, "sure"))
        set_key(question, "name");
}

static void on_group(AdwMessageDialog *d, const char *response, gpointer question)
{
    if (!strcmp(response, "sure"))
        set_key(question, "group");
}

/* A dialog that asks for one text. */
static AdwMessageDialog *text_dialog(struct question *q, const char *title, const char *text, const char *verb,
                                     const char *label, const char *now)
{
    AdwMessageDialog *d = dialog_new(q->window, title, text, verb, ADW_RESPONSE_SUGGESTED);
    q->box = GTK_BOX(gtk_box_new(GTK_ORIENTATION_VERTICAL, 6));
    q->entry = gtk_entry_new();
    gtk_editable_set_text(GTK_EDITABLE(q->entry), now ? now : "");
    gtk_entry_set_activates_default(GTK_ENTRY(q->entry), TRUE);
    gtk_accessible_update_property(GTK_ACCESSIBLE(q->entry), GTK_ACCESSIBLE_PROPERTY_LABEL, label, -1);
    gtk_box_append(q->box, q->entry);
    adw_message_dialog_set_extra_child(d, GTK_WIDGET(q->box));
    adw_message_dialog_set_default_response(d, "sure");
    return d;
}

void ask_title(VmWindow *w, VmItem *m)
{
    if (asks_already(w))
        return;
    struct question *q = question_new(w, m, NULL);
    present(text_dialog(q, _("Rename"), _("What you call it. Its folder keeps its name."), _("_Rename"), _("Name"),
                        vm_item_title(m)),
            G_CALLBACK(on_title), q);
}

static int compare_texts(gconstpointer a, gconstpointer b)
{
    return g_utf8_collate(*(const char *const *)a, *(const char *const *)b);
}

/* The words that others have. */
static GPtrArray *groups_of(VmLibrary *l)
{
    GPtrArray *groups = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < g_list_model_get_n_items(G_LIST_MODEL(l)); i++) {
        g_autoptr(VmItem) m = g_list_model_get_item(G_LIST_MODEL(l), i);
        const char *group = vm_item_group(m);
        if (group && !g_ptr_array_find_with_equal_func(groups, group, g_str_equal, NULL))
            g_ptr_array_add(groups, g_strdup(group));
    }
    g_ptr_array_sort(groups, compare_texts);
    return groups;
}

static void on_known_group(GtkButton *b, gpointer entry)
{
    gtk_editable_set_text(entry, gtk_button_get_label(b));
}

void ask_group(VmWindow *w, VmItem *m)
{
    enum { OFFERED_MOST = 12 };
    if (asks_already(w))
        return;
    struct question *q = question_new(w, m, NULL);
    AdwMessageDialog *d = text_dialog(q, _("Group"), _("Machines with the same word here are listed together."),
                                      _("_Set"), _("Group"), vm_item_group(m));
    g_autoptr(GPtrArray) groups = groups_of(vm_window_library(w));
    GtkWidget *offered = gtk_flow_box_new();
    gtk_flow_box_set_selection_mode(GTK_FLOW_BOX(offered), GTK_SELECTION_NONE);
    for (guint i = 0; i < groups->len && i < OFFERED_MOST; i++) {
        GtkWidget *b = gtk_button_new_with_label(groups->pdata[i]);
        g_signal_connect(b, "clicked", G_CALLBACK(on_known_group), q->entry);
        gtk_flow_box_insert(GTK_FLOW_BOX(offered), b, -1);
    }
    gtk_box_append(q->box, offered);
    present(d, G_CALLBACK(on_group), q);
}
