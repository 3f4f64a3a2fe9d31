// SPDX-License-Identifier: GPL-2.0-or-later
/* place.c - see place.h. */
#include "gui/manager/place.h"
#include "gui/manager/work.h"
#include <glib/gi18n.h>

struct place {
    VmWindow *window;
    VmItem *item;
};

static void place_free(gpointer place, GClosure *closure)
{
    struct place *p = place;
    g_object_unref(p->window);
    g_object_unref(p->item);
    g_free(p);
}

/* NULL: none was chosen, or the machine is another one by now. */
static char *answer(GtkNativeDialog *dialog, int response, const struct place *p)
{
    g_autoptr(GFile) file =
        response == GTK_RESPONSE_ACCEPT ? gtk_file_chooser_get_file(GTK_FILE_CHOOSER(dialog)) : NULL;
    bool same = vm_window_item(p->window, vm_item_name(p->item)) == p->item;
    return file && same ? g_file_get_path(file) : NULL;
}

static void show(VmWindow *w, VmItem *m, GtkFileChooserNative *chooser, GCallback fn)
{
    const struct place p = {g_object_ref(w), g_object_ref(m)};
    gtk_native_dialog_set_modal(GTK_NATIVE_DIALOG(chooser), TRUE);
    g_signal_connect_data(chooser, "response", fn, g_memdup2(&p, sizeof p), place_free, 0);
    gtk_native_dialog_show(GTK_NATIVE_DIALOG(chooser));
}

/* ---- exporting ---- */

static bool has_ending(const char *path)
{
    return g_str_has_suffix(path, ".ova") || g_str_has_suffix(path, ".ovf") || g_str_has_suffix(path, ".xml");
}

/* The dialog has asked whether a file of the name that it had is to be replaced, but not of another one. */
static void begin_export(const struct place *p, const char *answered)
{
    g_autofree char *path = g_strconcat(answered, has_ending(answered) ? NULL : ".ova", NULL);
    bool replace = has_ending(answered) && g_file_test(path, G_FILE_TEST_EXISTS);
    const char *words[] = {"export", replace ? "--force" : "--quiet", "--", vm_item_name(p->item), path, NULL};
    g_autoptr(VmJob) job = vm_item_run(p->item, _("Exporting"), words);
    g_autofree char *done = g_strdup_printf(_("“%s” was exported"), vm_item_title(p->item));
    if (job)
        work_follow(p->window, job,
                    &(struct work_end){.done = done,
                                       .machine = vm_item_name(p->item),
                                       .teller = p->item,
                                       .button = _("Show in Folder"),
                                       .action = "win.show-file",
                                       .target = path});
}

static void on_export(GtkNativeDialog *dialog, int response, gpointer place)
{
    g_autofree char *path = answer(dialog, response, place);
    if (path)
        begin_export(place, path);
    g_object_unref(dialog);
}

void place_export(VmWindow *w, VmItem *m)
{
    GtkFileChooserNative *chooser = gtk_file_chooser_native_new(_("Export as OVA"), GTK_WINDOW(w),
                                                                GTK_FILE_CHOOSER_ACTION_SAVE, _("_Export"), NULL);
    GtkFileFilter *filter = gtk_file_filter_new();
    g_autofree char *name = g_strconcat(vm_item_name(m), ".ova", NULL);
    gtk_file_filter_set_name(filter, _("Appliances"));
    gtk_file_filter_add_suffix(filter, "ova");
    gtk_file_filter_add_suffix(filter, "ovf");
    gtk_file_chooser_add_filter(GTK_FILE_CHOOSER(chooser), filter);
    g_object_unref(filter);
    gtk_file_chooser_set_current_name(GTK_FILE_CHOOSER(chooser), name);
    show(w, m, chooser, G_CALLBACK(on_export));
}

/* ---- moving ---- */

static void on_move(GtkNativeDialog *dialog, int response, gpointer place)
{
    struct place *p = place;
    g_autofree char *path = answer(dialog, response, p);
    const char *words[] = {"move", vm_item_name(p->item), path, NULL};
    g_autoptr(VmJob) job = path ? vm_item_run(p->item, _("Moving the disks"), words) : NULL;
    g_autofree char *done = g_strdup_printf(_("The disks of “%s” were moved"), vm_item_title(p->item));
    if (job)
        work_follow(p->window, job,
                    &(struct work_end){.done = done, .machine = vm_item_name(p->item), .teller = p->item});
    g_object_unref(dialog);
}

void place_move(VmWindow *w, VmItem *m)
{
    show(w, m,
         gtk_file_chooser_native_new(_("Move the Disks to a Folder"), GTK_WINDOW(w),
                                     GTK_FILE_CHOOSER_ACTION_SELECT_FOLDER, _("_Move"), NULL),
         G_CALLBACK(on_move));
}

/* ---- sharing ---- */

/* At once, if the machine runs.  The guest's tools see it through the additions. */
static void share(VmItem *m, const char *path)
{
    const char *words[] = {"folder", "--", "add", vm_item_name(m), path, NULL};
    g_autoptr(VmJob) job = vm_item_run(m, _("Sharing a Folder"), words);
}

static void on_share(GtkNativeDialog *dialog, int response, gpointer place)
{
    struct place *p = place;
    g_autofree char *path = answer(dialog, response, p);
    if (path)
        share(p->item, path);
    g_object_unref(dialog);
}

void place_share(VmWindow *w, VmItem *m)
{
    show(w, m,
         gtk_file_chooser_native_new(_("Share a Folder with the Guest"), GTK_WINDOW(w),
                                     GTK_FILE_CHOOSER_ACTION_SELECT_FOLDER, _("_Share"), NULL),
         G_CALLBACK(on_share));
}
