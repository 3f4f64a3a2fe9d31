// SPDX-License-Identifier: GPL-2.0-or-later
/* window_actions.c - what the window's menus and keys do with the window. */
#include "gui/manager/activity_page.h"
#include "gui/manager/disks.h"
#include "gui/manager/doctor_page.h"
#include "gui/manager/networks_page.h"
#include "gui/manager/remembered.h"
#include "gui/manager/window.h"
#include "gui/manager/wizard.h"
#include <string.h>

static void on_back(GSimpleAction *a, GVariant *parameter, gpointer window)
{
    vm_window_go_back(window);
}

static void on_search(GSimpleAction *a, GVariant *parameter, gpointer window)
{
    vm_window_search(window);
}

static void on_view(GSimpleAction *a, GVariant *value, gpointer window)
{
    const char *view = g_variant_get_string(value, NULL);
    if (strcmp(view, "list") && strcmp(view, "grid"))
        return;
    g_simple_action_set_state(a, value);
    vm_window_set_view(window, view);
    vm_window_go_back(window);
    remember_text("view", view);
}

static void on_sort(GSimpleAction *a, GVariant *value, gpointer window)
{
    g_simple_action_set_state(a, value);
    vm_window_set_sort(window, g_variant_get_string(value, NULL));
    remember_text("sort", g_variant_get_string(value, NULL));
}

static void on_other_view(GSimpleAction *a, GVariant *parameter, gpointer window)
{
    GAction *view = g_action_map_lookup_action(G_ACTION_MAP(window), "view");
    g_autoptr(GVariant) now = g_action_get_state(view);
    bool grid = !strcmp(g_variant_get_string(now, NULL), "grid");
    g_action_change_state(view, g_variant_new_string(grid ? "list" : "grid"));
}

static void on_page(GSimpleAction *a, GVariant *parameter, gpointer window)
{
    vm_window_show_page(window, g_variant_get_string(parameter, NULL));
}

static void on_new(GSimpleAction *a, GVariant *parameter, gpointer window)
{
    vm_wizard_show(window, parameter ? g_variant_get_string(parameter, NULL) : NULL);
}

static void on_choose(GSimpleAction *a, GVariant *parameter, gpointer window)
{
    vm_window_choose(window, g_variant_get_string(parameter, NULL));
}

static void on_fold(GSimpleAction *a, GVariant *parameter, gpointer window)
{
    VmItem *m = vm_window_item(window, g_variant_get_string(parameter, NULL));
    if (m)
        vm_window_fold(window, m);
}

/* Its folder: a file manager that marks the file in it would be asked by another interface, which not every desktop has. */
static void on_show_file(GSimpleAction *a, GVariant *parameter, gpointer window)
{
    g_autofree char *folder = g_path_get_dirname(g_variant_get_string(parameter, NULL));
    g_autofree char *uri = g_filename_to_uri(folder, NULL, NULL);
    if (uri)
        gtk_show_uri(window, uri, GDK_CURRENT_TIME);
}

static void on_disks(GSimpleAction *a, GVariant *parameter, gpointer window)
{
    vm_disks_show(window);
}

static void on_doctor(GSimpleAction *a, GVariant *parameter, gpointer window)
{
    vm_doctor_show(window);
}

static void on_networks(GSimpleAction *a, GVariant *parameter, gpointer window)
{
    vm_networks_show(window);
}

static void on_activity(GSimpleAction *a, GVariant *parameter, gpointer window)
{
    vm_activity_show(window);
}

void window_actions_add(VmWindow *w, const char *view, const char *sort)
{
    g_autofree char *view_text = g_strdup_printf("'%s'", view), *sort_text = g_strdup_printf("'%s'", sort);
    const GActionEntry entries[] = {
        {"back", on_back},
        {"search", on_search},
        {"view", NULL, "s", view_text, on_view},
        {"sort", NULL, "s", sort_text, on_sort},
        {"other-view", on_other_view},
        {"page", on_page, "s"},
        {"new", on_new},
        {"disks", on_disks},
        {"doctor", on_doctor},
        {"networks", on_networks},
        {"activity", on_activity},
        {"choose", on_choose, "s"},
        {"show-file", on_show_file, "s"},
        {"fold", on_fold, "s"},
        {"new-from", on_new, "s"},
    };
    g_action_map_add_action_entries(G_ACTION_MAP(w), entries, G_N_ELEMENTS(entries), w);
}
