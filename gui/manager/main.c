// SPDX-License-Identifier: GPL-2.0-or-later
/* terrarium - the manager: all machines in one window.  It may be closed and killed at any time; machines go on. */
#include "gui/manager/app.h"
#include <glib/gi18n.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

static gboolean on_version(const char *name, const char *value, gpointer data, GError **error)
{
    puts("terrarium " TERRARIUM_VERSION);
    exit(0);
}

/* Also if there is one already: then it is told. */
static int on_options(GApplication *app, GVariantDict *options, gpointer data)
{
    if (g_variant_dict_contains(options, "new") && g_application_register(app, NULL, NULL))
        g_action_group_activate_action(G_ACTION_GROUP(app), "new", NULL);
    const char *machine;
    if (g_variant_dict_lookup(options, "show", "&s", &machine) && g_application_register(app, NULL, NULL))
        g_action_group_activate_action(G_ACTION_GROUP(app), "show", g_variant_new_string(machine));
    return -1;
}

/* Where the translations are: in the prefix that this program is in, in its build tree, or where it was to be installed. */
static char *locale_folder(void)
{
    static const char *const beside[] = {"../share/locale", "../po"};
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *folder = self ? g_path_get_dirname(self) : NULL;
    for (unsigned i = 0; folder && i < G_N_ELEMENTS(beside); i++) {
        g_autofree char *path = g_build_filename(folder, beside[i], NULL);
        if (g_file_test(path, G_FILE_TEST_IS_DIR))
            return g_steal_pointer(&path);
    }
    return g_strdup(LOCALE_FOLDER);
}

int main(int argc, char **argv)
{
    const GOptionEntry entries[] = {
        {"version", 0, G_OPTION_FLAG_NO_ARG, G_OPTION_ARG_CALLBACK, on_version, N_("Show the version"), NULL},
        {"new", 'n', 0, G_OPTION_ARG_NONE, NULL, N_("Begin with a new machine"), NULL},
        {"show", 's', 0, G_OPTION_ARG_STRING, NULL, N_("Show this machine"), N_("NAME")},
        {NULL},
    };
    setlocale(LC_ALL, "");
    g_autofree char *locale = locale_folder();
    bindtextdomain(GETTEXT_PACKAGE, locale);
    bind_textdomain_codeset(GETTEXT_PACKAGE, "UTF-8");
    textdomain(GETTEXT_PACKAGE);
    g_autoptr(VmApp) app = vm_app_new();
    g_application_add_main_option_entries(G_APPLICATION(app), entries);
    g_signal_connect(app, "handle-local-options", G_CALLBACK(on_options), NULL);
    return g_application_run(G_APPLICATION(app), argc, argv);
}
