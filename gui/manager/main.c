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
    return -1;
}

int main(int argc, char **argv)
{
    const GOptionEntry entries[] = {
        {"version", 0, G_OPTION_FLAG_NO_ARG, G_OPTION_ARG_CALLBACK, on_version, N_("Show the version"), NULL},
        {"new", 'n', 0, G_OPTION_ARG_NONE, NULL, N_("Begin with a new machine"), NULL},
        {NULL},
    };
    setlocale(LC_ALL, "");
    bindtextdomain(GETTEXT_PACKAGE, LOCALE_FOLDER);
    bind_textdomain_codeset(GETTEXT_PACKAGE, "UTF-8");
    textdomain(GETTEXT_PACKAGE);
    g_autoptr(VmApp) app = vm_app_new();
    g_application_add_main_option_entries(G_APPLICATION(app), entries);
    g_signal_connect(app, "handle-local-options", G_CALLBACK(on_options), NULL);
    return g_application_run(G_APPLICATION(app), argc, argv);
}
