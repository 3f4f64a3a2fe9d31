// SPDX-License-Identifier: GPL-2.0-or-later
/* wizard_found.c - see wizard_found.h. */
#include "gui/manager/wizard_found.h"
#include "gui/manager/facts.h"
#include <glib/gi18n.h>
#include <glib/gstdio.h>

enum { SHOWN_MOST = 5, LOOKED_AT_MOST = 2000 };

struct found {
    char *path;
    gint64 time;
    guint64 bytes;
};

static void found_free(gpointer found)
{
    g_free(((struct found *)found)->path);
    g_free(found);
}

static int newest_first(gconstpointer a, gconstpointer b)
{
    const struct found *x = *(const struct found *const *)a, *y = *(const struct found *const *)b;
    return x->time < y->time ? 1 : x->time > y->time ? -1 : 0;
}

static void consider(GPtrArray *list, const char *folder, const char *name)
{
    g_autofree char *lower = g_ascii_strdown(name, -1), *path = g_build_filename(folder, name, NULL);
    GStatBuf st;
    if (!(g_str_has_suffix(lower, ".iso") || g_str_has_suffix(lower, ".ova")) || g_stat(path, &st) ||
        !S_ISREG(st.st_mode))
        return;
    const struct found f = {g_steal_pointer(&path), st.st_mtime, (guint64)st.st_size};
    g_ptr_array_add(list, g_memdup2(&f, sizeof f));
}

static GPtrArray *look(void)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(found_free);
    const char *told = g_get_user_special_dir(G_USER_DIRECTORY_DOWNLOAD),
               *name; /* NULL where no desktop has set it up */
    g_autofree char *folder = told ? g_strdup(told) : g_build_filename(g_get_home_dir(), "Downloads", NULL);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    for (unsigned n = 0; dir && n < LOOKED_AT_MOST && (name = g_dir_read_name(dir)); n++)
        consider(list, folder, name);
    g_ptr_array_sort(list, newest_first);
    return list;
}

static void add_row(AdwPreferencesGroup *group, const struct found *f)
{
    GtkWidget *row = adw_action_row_new(), *button = gtk_button_new_with_label(_("Use"));
    g_autofree char *name = g_filename_display_basename(f->path), *size = size_for_people(f->bytes);
    adw_preferences_row_set_use_markup(ADW_PREFERENCES_ROW(row), FALSE);
    adw_preferences_row_set_title(ADW_PREFERENCES_ROW(row), name);
    adw_action_row_set_title_lines(ADW_ACTION_ROW(row), 2);
    adw_action_row_set_subtitle(ADW_ACTION_ROW(row), size);
    gtk_widget_set_valign(button, GTK_ALIGN_CENTER);
    gtk_actionable_set_action_name(GTK_ACTIONABLE(button), "wizard.pick-file");
    gtk_actionable_set_action_target(GTK_ACTIONABLE(button), "s", f->path);
    adw_action_row_add_suffix(ADW_ACTION_ROW(row), button);
    adw_action_row_set_activatable_widget(ADW_ACTION_ROW(row), button);
    adw_preferences_group_add(group, row);
}

bool wizard_found_fill(AdwPreferencesGroup *group)
{
    g_autoptr(GPtrArray) list = look();
    for (guint i = 0; i < list->len && i < SHOWN_MOST; i++)
        add_row(group, list->pdata[i]);
    return list->len;
}
