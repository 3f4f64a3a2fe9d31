// SPDX-License-Identifier: GPL-2.0-or-later
/* take_out.c - see take_out.h.  The disk is looked into by vmctl snapshot extract, which only makes new files: one that is to be replaced is
 * there until the other one is whole. */
#include "gui/manager/take_out.h"
#include "core-vmm/host/snapshots.h"
#include "gui/manager/work.h"
#include <errno.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>

struct take_out {
    VmWindow *window;
    VmItem *item;
    char *snapshot, *drive, *path;
    char *to, *made; /* where it is to be, and where it is made */
    GtkWindow *over; /* cleared when it is gone */
    GtkStringList *drives;
    GtkDropDown *drive_drop;
    GtkEditable *path_entry;
};

static void take_out_free(gpointer take_out, GClosure *closure)
{
    struct take_out *t = take_out;
    g_clear_weak_pointer(&t->over);
    g_clear_object(&t->drives);
    g_object_unref(t->window);
    g_object_unref(t->item);
    g_free(t->snapshot);
    g_free(t->drive);
    g_free(t->path);
    g_free(t->to);
    g_free(t->made);
    g_free(t);
}

static struct take_out *take_out_new(VmWindow *w, VmItem *m, const char *snapshot)
{
    struct take_out *t = g_new0(struct take_out, 1);
    t->window = g_object_ref(w);
    t->item = g_object_ref(m);
    t->snapshot = g_strdup(snapshot);
    return t;
}

/* ---- doing it ---- */

static void on_made(VmJob *job, GParamSpec *spec, gpointer take_out)
{
    const struct take_out *t = take_out;
    if (vm_job_problem(job)) {
        g_unlink(t->made);
    } else if (g_rename(t->made, t->to)) {
        g_autofree char *problem = g_strdup_printf("%s: %s", t->to, g_strerror(errno));
        vm_item_set_problem(t->item, problem);
    }
}

static void begin(struct take_out *t)
{
    const char *words[] = {"snapshot",  "--",     "extract", vm_item_name(t->item),
                           t->snapshot, t->drive, t->path,   t->made ? t->made : t->to,
                           NULL};
    g_autoptr(VmJob) job = vm_item_run(t->item, _("Taking a File Out"), words);
    g_autofree char *base = g_path_get_basename(t->to), *done = g_strdup_printf(_("“%s” was taken out"), base);
    if (!job)
        return;
    if (t->made) {
        struct take_out *k = take_out_new(t->window, t->item, t->snapshot);
        k->to = g_strdup(t->to);
        k->made = g_strdup(t->made);
        g_signal_connect_data(job, "notify::done", G_CALLBACK(on_made), k, take_out_free, 0);
    }
    work_follow(t->window, job,
                &(struct work_end){.done = done,
                                   .machine = vm_item_name(t->item),
                                   .teller = t->item,
                                   .button = _("Show in Folder"),
                                   .action = "win.show-file",
                                   .target = t->to});
}

/* The dialog has asked whether a file that is there is to be replaced. */
static void on_place(GtkNativeDialog *dialog, int response, gpointer take_out)
{
    struct take_out *t = take_out;
    g_autoptr(GFile) file =
        response == GTK_RESPONSE_ACCEPT ? gtk_file_chooser_get_file(GTK_FILE_CHOOSER(dialog)) : NULL;
    t->to = file ? g_file_get_path(file) : NULL;
    if (t->to && g_file_test(t->to, G_FILE_TEST_EXISTS))
        t->made = g_strdup_printf("%s.%08x.part", t->to, g_random_int());
    if (t->to && vm_window_item(t->window, vm_item_name(t->item)) == t->item)
        begin(t);
    g_object_unref(dialog);
}

static void ask_place(const struct take_out *from)
{
    struct take_out *t = take_out_new(from->window, from->item, from->snapshot);
    g_autofree char *base = g_path_get_basename(from->path);
    GtkFileChooserNative *chooser =
        gtk_file_chooser_native_new(_("Take a File Out"), from->over ? from->over : GTK_WINDOW(from->window),
                                    GTK_FILE_CHOOSER_ACTION_SAVE, _("_Save"), NULL);
    t->drive = g_strdup(from->drive);
    t->path = g_strdup(from->path);
    gtk_native_dialog_set_modal(GTK_NATIVE_DIALOG(chooser), TRUE);
    gtk_file_chooser_set_current_name(GTK_FILE_CHOOSER(chooser), base);
    g_signal_connect_data(chooser, "response", G_CALLBACK(on_place), t, take_out_free, 0);
    gtk_native_dialog_show(GTK_NATIVE_DIALOG(chooser));
}

/* ---- asking for it ---- */

static void on_path(GtkEditable *e, gpointer message)
{
    const char *text = gtk_editable_get_text(e);
    adw_message_dialog_set_response_enabled(message, "sure", *text && !g_str_has_suffix(text, "/"));
}

static void on_answer(AdwMessageDialog *m, const char *response, gpointer take_out)
{
    struct take_out *t = take_out;
    guint at = gtk_drop_down_get_selected(t->drive_drop);
    const char *drive = at == GTK_INVALID_LIST_POSITION ? NULL : gtk_string_list_get_string(t->drives, at);
    if (strcmp(response, "sure") || !drive || vm_window_item(t->window, vm_item_name(t->item)) != t->item)
        return;
    t->drive = g_strdup(drive);
    t->path = g_strdup(gtk_editable_get_text(t->path_entry));
    ask_place(t);
}

/* drive: stands before the others, as a partition of one may. */
static GtkStringList *drives_of(VmItem *m, const char *snapshot, const char *drive)
{
    struct snapshot_record *r = snapshots_list(vm_item_name(m), NULL);
    const struct snapshot *s = r ? record_snapshot(r, (unsigned)g_ascii_strtoull(snapshot, NULL, 10)) : NULL;
    GtkStringList *list = gtk_string_list_new(NULL);
    if (drive)
        gtk_string_list_append(list, drive);
    for (guint i = 0; s && i < s->disks->len; i++) {
        const struct snapshot_disk *d = s->disks->pdata[i];
        if (g_strcmp0(d->drive, drive))
            gtk_string_list_append(list, d->drive);
    }
    if (r)
        record_free(r);
    return list;
}

void take_out_ask(GtkWindow *over, VmWindow *w, VmItem *m, const char *snapshot, const char *drive, const char *path)
{
    g_autoptr(GtkBuilder) b = gtk_builder_new_from_resource("/org/terrarium/Terrarium/ui/take_out.ui");
    AdwMessageDialog *d = ADW_MESSAGE_DIALOG(gtk_builder_get_object(b, "dialog"));
    struct take_out *t = take_out_new(w, m, snapshot);
    t->drives = drives_of(m, snapshot, drive);
    t->drive_drop = GTK_DROP_DOWN(gtk_builder_get_object(b, "drive"));
    t->path_entry = GTK_EDITABLE(gtk_builder_get_object(b, "path"));
    g_set_weak_pointer(&t->over, over);
    gtk_window_set_transient_for(GTK_WINDOW(d), over);
    gtk_drop_down_set_model(t->drive_drop, G_LIST_MODEL(t->drives));
    g_signal_connect(t->path_entry, "changed", G_CALLBACK(on_path), d);
    gtk_editable_set_text(t->path_entry, path ? path : "");
    on_path(t->path_entry, d);
    g_signal_connect_data(d, "response", G_CALLBACK(on_answer), t, take_out_free, 0);
    gtk_window_present(GTK_WINDOW(d));
}
