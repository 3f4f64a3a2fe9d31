// SPDX-License-Identifier: GPL-2.0-or-later
/* plug.c - see plug.h.  What machine.ini has got since the machine's start its process does not know: it is told. */
#include "gui/manager/plug.h"
#include "core-vmm/base/device_models.h"
#include "core-vmm/host/machines.h"
#include "gui/manager/titles.h"
#include "gui/manager/work.h"
#include <glib/gi18n.h>

static void add_item(GMenu *menu, const char *label, const char *action, const char *section)
{
    g_autoptr(GMenuItem) item = g_menu_item_new(label, NULL);
    g_menu_item_set_action_and_target(item, action, "s", section);
    g_menu_append_item(menu, item);
}

GtkWidget *plug_button(const char *section)
{
    unsigned number;
    const struct device_class *k = device_class_of(section, &number);
    if (!k || k->together) /* a drive of a controller */
        return NULL;
    g_autoptr(GMenu) menu = g_menu_new();
    GtkWidget *b = gtk_menu_button_new();
    add_item(menu, _("_Plug In Now"), "settings.plug", section);
    add_item(menu, _("_Take Out Now"), "settings.unplug", section);
    add_item(menu, _("P_ull Out"), "settings.pull-out", section);
    gtk_menu_button_set_menu_model(GTK_MENU_BUTTON(b), G_MENU_MODEL(menu));
    gtk_menu_button_set_icon_name(GTK_MENU_BUTTON(b), "media-eject-symbolic");
    gtk_widget_add_css_class(b, "flat");
    gtk_widget_set_tooltip_text(b, _("While It Runs"));
    gtk_accessible_update_property(GTK_ACCESSIBLE(b), GTK_ACCESSIBLE_PROPERTY_LABEL, _("While It Runs"), -1);
    return b;
}

static void follow(VmWindow *w, VmItem *m, VmJob *job, const char *done)
{
    if (job)
        work_follow(w, job, &(struct work_end){.done = done, .machine = vm_item_name(m), .teller = m});
}

void plug_in(VmWindow *w, VmItem *m, const char *section)
{
    g_autoptr(GKeyFile) file = machines_settings(vm_item_name(m), NULL);
    g_auto(GStrv) keys = file ? g_key_file_get_keys(file, section, NULL, NULL) : NULL;
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
    const char *const begin[] = {"plug", "--", vm_item_name(m), section};
    for (unsigned i = 0; i < G_N_ELEMENTS(begin); i++)
        g_ptr_array_add(words, g_strdup(begin[i]));
    for (char **k = keys; k && *k; k++) {
        g_autofree char *value = g_key_file_get_string(file, section, *k, NULL);
        g_ptr_array_add(words, g_strdup_printf("%s=%s", *k, value));
    }
    g_ptr_array_add(words, NULL);
    g_autofree char *title = title_of_section(section), *done = g_strdup_printf(_("“%s” was plugged in"), title);
    g_autoptr(VmJob) job = vm_item_run(m, _("Plugging In"), (const char *const *)words->pdata);
    follow(w, m, job, done);
}

void plug_out(VmWindow *w, VmItem *m, const char *section, bool force)
{
    const char *words[] = {"unplug",
                           force ? "--force" : "--",
                           force ? "--" : vm_item_name(m),
                           force ? vm_item_name(m) : section,
                           force ? section : NULL,
                           NULL};
    g_autofree char *title = title_of_section(section), *done = g_strdup_printf(_("“%s” was taken out"), title);
    g_autoptr(VmJob) job = vm_item_run(m, _("Taking Out"), words);
    follow(w, m, job, done);
}
