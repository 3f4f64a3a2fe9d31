// SPDX-License-Identifier: GPL-2.0-or-later
/* chooser.c - see chooser.h.  The portal's interface: org.freedesktop.portal.FileChooser and .Request; what was chosen comes as a signal of an object
 * whose name is made of ours on the bus and of a word that we pick, so that we can listen before we ask. */
#include "gui/screen/chooser.h"
#include <gio/gio.h>
#include <stdbool.h>

#define PORTAL "org.freedesktop.portal.Desktop"
#define NONE                                                                                                           \
    "this desktop has no dialogue for files (xdg-desktop-portal); drop the file onto the window, or use vmctl media "  \
    "insert"

struct answer {
    GMainLoop *loop;
    char *file, *problem;
    bool answered;
};

static void on_response(GDBusConnection *bus, const char *sender, const char *path, const char *interface,
                        const char *signal, GVariant *parameters, gpointer data)
{
    struct answer *a = data;
    g_autoptr(GVariant) results = NULL;
    g_autofree const char **uris = NULL;
    guint32 code;

    if (g_variant_is_of_type(parameters, G_VARIANT_TYPE("(ua{sv})"))) {
        g_variant_get(parameters, "(u@a{sv})", &code, &results);
        if (!code && g_variant_lookup(results, "uris", "^a&s", &uris) && uris[0])
            a->file = g_filename_from_uri(uris[0], NULL, NULL);
    }
    a->answered = true;
    g_main_loop_quit(a->loop);
}

static void on_portal_gone(GDBusConnection *bus, const char *name, gpointer data)
{
    struct answer *a = data;

    if (a->answered || a->problem)
        return;
    a->problem = g_strdup("the desktop's dialogue for files (xdg-desktop-portal) ended; try again");
    g_main_loop_quit(a->loop);
}

/* It is there when it has taken the question: gone is gone then, and not one that is yet to be started. */
static void wait_for_answer(GDBusConnection *bus, struct answer *a)
{
    guint watching =
        g_bus_watch_name_on_connection(bus, PORTAL, G_BUS_NAME_WATCHER_FLAGS_NONE, NULL, on_portal_gone, a, NULL);

    g_main_loop_run(a->loop);
    g_bus_unwatch_name(watching);
}

/* As the portal makes it: ":1.42" and "word" become ".../1_42/word". */
static char *request_path(GDBusConnection *bus, const char *word)
{
    g_autofree char *name = g_strdelimit(g_strdup(g_dbus_connection_get_unique_name(bus) + 1), ".", '_');

    return g_strdup_printf("/org/freedesktop/portal/desktop/request/%s/%s", name, word);
}

static bool ask(GDBusConnection *bus, const char *title, const char *word)
{
    GVariantBuilder options;
    g_autoptr(GVariant) handle = NULL;

    g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&options, "{sv}", "handle_token", g_variant_new_string(word));
    handle = g_dbus_connection_call_sync(
        bus, PORTAL, "/org/freedesktop/portal/desktop", "org.freedesktop.portal.FileChooser", "OpenFile",
        g_variant_new("(ssa{sv})", "", title, &options), G_VARIANT_TYPE("(o)"), G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL);
    return handle;
}

char *chooser_file(const char *title, char **problem)
{
    g_autoptr(GMainContext) context = g_main_context_new();
    g_autoptr(GMainLoop) loop = g_main_loop_new(context, FALSE);
    g_autoptr(GDBusConnection) bus = g_bus_get_sync(G_BUS_TYPE_SESSION, NULL, NULL);
    g_autofree char *word = g_strdup_printf("terrarium%u", g_random_int()), *path = NULL;
    struct answer a = {.loop = loop};
    guint listening;

    if (!bus) {
        *problem = g_strdup(NONE);
        return NULL;
    }
    g_main_context_push_thread_default(context);
    path = request_path(bus, word);
    listening = g_dbus_connection_signal_subscribe(bus, PORTAL, "org.freedesktop.portal.Request", "Response", path,
                                                   NULL, G_DBUS_SIGNAL_FLAGS_NONE, on_response, &a, NULL);
    if (ask(bus, title, word))
        wait_for_answer(bus, &a);
    else
        a.problem = g_strdup(NONE);
    *problem = a.problem;
    g_dbus_connection_signal_unsubscribe(bus, listening);
    g_main_context_pop_thread_default(context);
    return a.file;
}
