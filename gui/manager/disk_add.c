// SPDX-License-Identifier: GPL-2.0-or-later
/* disk_add.c - see disk_add.h. */
#include "gui/manager/disk_add.h"
#include "core-vmm/host/machines.h"
#include "gui/manager/settings_change.h"
#include "gui/manager/work.h"
#include <glib/gi18n.h>
#include <string.h>

struct add {
    VmWindow *window;
    VmItem *item;
    char *section;
    char *path; /* of the image, when it is known */
    GtkEditable *size;
};

static struct add *add_new(VmWindow *w, VmItem *m, const char *section)
{
    struct add *a = g_new0(struct add, 1);
    a->window = g_object_ref(w);
    a->item = g_object_ref(m);
    a->section = g_strdup(section);
    return a;
}

static void add_free(gpointer add, GClosure *closure)
{
    struct add *a = add;
    g_object_unref(a->window);
    g_object_unref(a->item);
    g_free(a->section);
    g_free(a->path);
    g_free(a);
}

/* While one thinks, the machine may be deleted, and another one made that has its name. */
static bool is_there_still(const struct add *a)
{
    return vm_window_item(a->window, vm_item_name(a->item)) == a->item;
}

/* ---- a new one ---- */

/* "sata1.img" in the machine's folder, or another name that is free there. */
static char *free_image(const struct add *a)
{
    g_autofree char *folder = machines_folder(vm_item_name(a->item)), *base = g_strconcat(a->section, ".img", NULL);
    char *path = g_build_filename(folder, base, NULL);
    for (unsigned n = 2; g_file_test(path, G_FILE_TEST_EXISTS); n++) {
        g_autofree char *other = g_strdup_printf("%s-%u.img", a->section, n);
        g_free(path);
        path = g_build_filename(folder, other, NULL);
    }
    return path;
}

static void on_made(VmJob *job, GParamSpec *spec, gpointer add)
{
    const struct add *a = add;
    g_autofree char *base = g_path_get_basename(a->path);
    g_autofree char *file = g_strdup_printf("%s.file=%s", a->section, base);
    g_autofree char *format = g_strdup_printf("%s.format=raw", a->section);
    const char *const assignments[] = {file, format, NULL};
    if (!vm_job_problem(job))
        settings_change_all(a->item, assignments, NULL);
}

static void make(const struct add *from, const char *size)
{
    struct add *a = add_new(from->window, from->item, from->section);
    a->path = free_image(a);
    const char *words[] = {"disk", "create", "--format", "raw", "--", a->path, size, NULL};
    g_autoptr(VmJob) job = vm_item_run(a->item, _("Making a disk"), words);
    if (job)
        g_signal_connect_data(job, "notify::done", G_CALLBACK(on_made), a, add_free, 0);
    else
        add_free(a, NULL);
}

static void on_size(AdwMessageDialog *d, const char *response, gpointer add)
{
    struct add *a = add;
    g_autofree char *size = g_strstrip(g_strdup(gtk_editable_get_text(a->size)));
    if (!strcmp(response, "sure") && is_there_still(a))
        make(a, size);
}

void disk_add_new(VmWindow *w, VmItem *m, const char *section)
{
    struct add *a = add_new(w, m, section);
    AdwMessageDialog *d = ADW_MESSAGE_DIALOG(adw_message_dialog_new(
        GTK_WINDOW(w), _("New Disk"),
        _("How large the guest is to see it, like 20G. On this computer it takes only what the guest writes.")));
    a->size = GTK_EDITABLE(gtk_entry_new());
    adw_message_dialog_add_responses(d, "cancel", _("_Cancel"), "sure", _("_Add"), NULL);
    adw_message_dialog_set_response_appearance(d, "sure", ADW_RESPONSE_SUGGESTED);
    adw_message_dialog_set_close_response(d, "cancel");
    adw_message_dialog_set_default_response(d, "sure");
    gtk_entry_set_activates_default(GTK_ENTRY(a->size), TRUE);
    gtk_editable_set_text(a->size, "20G");
    gtk_accessible_update_property(GTK_ACCESSIBLE(a->size), GTK_ACCESSIBLE_PROPERTY_LABEL, _("Size"), -1);
    adw_message_dialog_set_extra_child(d, GTK_WIDGET(a->size));
    g_signal_connect_data(d, "response", G_CALLBACK(on_size), a, add_free, 0);
    gtk_window_present(GTK_WINDOW(d));
}

/* ---- one that is there ---- */

static void on_file(GtkNativeDialog *dialog, int response, gpointer add)
{
    const struct add *a = add;
    g_autoptr(GFile) file =
        response == GTK_RESPONSE_ACCEPT ? gtk_file_chooser_get_file(GTK_FILE_CHOOSER(dialog)) : NULL;
    g_autofree char *path = file ? g_file_get_path(file) : NULL;
    if (path && is_there_still(a))
        settings_change(a->item, a->section, "file", path);
    g_object_unref(dialog);
}

void disk_add_image(VmWindow *w, VmItem *m, const char *section)
{
    GtkFileChooserNative *chooser = gtk_file_chooser_native_new(_("Choose a Disk Image"), GTK_WINDOW(w),
                                                                GTK_FILE_CHOOSER_ACTION_OPEN, _("_Add"), NULL);
    gtk_native_dialog_set_modal(GTK_NATIVE_DIALOG(chooser), TRUE);
    g_signal_connect_data(chooser, "response", G_CALLBACK(on_file), add_new(w, m, section), add_free, 0);
    gtk_native_dialog_show(GTK_NATIVE_DIALOG(chooser));
}
