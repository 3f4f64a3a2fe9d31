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

int main(int argc, char **argv)
{
    const GOptionEntry entries[] = {
        {"version", 0, G_OPTION_FLAG_NO_ARG, G_OPTION_ARG_CALLBACK, on_version, N_("Show the version"), NULL},
        {NULL},
    };
    setlocale(LC_ALL, "");
    bindtextdomain(GETTEXT_PACKAGE, LOCALE_FOLDER);
    bind_textdomain_codeset(GETTEXT_PACKAGE, "UTF-8");
    textdomain(GETTEXT_PACKAGE);
    g_autoptr(VmApp) app = vm_app_new();
    g_application_add_main_option_entries(G_APPLICATION(app), entries);
    return g_application_run(G_APPLICATION(app), argc, argv);
}
