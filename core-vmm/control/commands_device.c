// SPDX-License-Identifier: GPL-2.0-or-later
/* commands_device.c - device.*: PCI functions that come and go while the machine runs. */
#include "core-vmm/control/commands.h"
#include "core-vmm/host/config_schema.h"
#include <string.h>

#define LOOK_MS 20 /* how often it is looked whether the guest has let go */

/* "KEY=VALUE" a line, as that section of a machine.ini, checked; NULL: *error. */
static GKeyFile *parse_settings(const char *section, const char *text, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        char *value = strchr(*line, '=');
        if (!**line)
            continue;
        if (!value) {
            g_set_error(error, CONTROL_ERROR, CONTROL_USAGE, "\"%s\" is not KEY=VALUE", *line);
            return NULL;
        }
        *value++ = 0;
        if (!schema_check_value("machine.ini", section, *line, value, error))
            return NULL;
        g_key_file_set_string(file, section, *line, value);
    }
    return g_steal_pointer(&file);
}

static void device_plug(struct call *c)
{
    g_autoptr(GError) error = NULL;
    const char *section = call_text(c, "section", ""), *settings = call_text(c, "settings", NULL);
    g_autoptr(GKeyFile) file = settings ? parse_settings(section, settings, &error) : NULL;
    if (settings && !file)
        call_fail(c, CONTROL_USAGE, "%s", error->message);
    else if (machine_plug(call_machine(c), section, file, &error))
        call_reply(c, NULL);
    else
        call_fail(c, error->domain == G_KEY_FILE_ERROR ? CONTROL_USAGE : CONTROL_WRONG_STATE, "%s", error->message);
}

/* ---- taking away ---- */

struct wish { /* that the guest lets go of it */
    struct call *call;
    char *section;
    guint look, timeout;
};

static void on_state(void *ctx, const struct machine_event *e);

static void wish_free(void *ctx)
{
    struct wish *w = ctx;
    server_unlisten(call_server(w->call), on_state, w);
    g_source_remove(w->look);
    g_source_remove(w->timeout);
    g_free(w->section);
    g_free(w);
}

static struct call *wish_done(struct wish *w)
{
    struct call *c = w->call;
    wish_free(w);
    return c;
}

static void on_state(void *ctx, const struct machine_event *e)
{
    if (e->state == MACHINE_STOPPED)
        call_fail(wish_done(ctx), CONTROL_WRONG_STATE, "the machine stopped before the guest had let go of it");
}

static gboolean look(gpointer ctx)
{
    struct wish *w = ctx;
    if (machine_device(call_machine(w->call), w->section))
        return G_SOURCE_CONTINUE;
    call_reply(wish_done(w), NULL);
    return G_SOURCE_CONTINUE; /* wish_free() has removed it */
}

static gboolean on_timeout(gpointer ctx)
{
    struct wish *w = ctx;
    g_autofree char *section = g_strdup(w->section);
    call_fail(wish_done(w), CONTROL_TIMEOUT,
              "the guest has not let go of [%s] in time (it still may); force it, and its driver finds it gone",
              section);
    return G_SOURCE_CONTINUE;
}

static void device_unplug(struct call *c)
{
    static const double patience = 10;
    struct machine *m = call_machine(c);
    g_autoptr(GError) error = NULL;
    const char *section = call_text(c, "section", "");
    bool force = call_flag(c, "force");
    if (!(force ? machine_unplug : machine_ask_unplug)(m, section, &error)) {
        call_fail(c, CONTROL_WRONG_STATE, "%s", error->message);
        return;
    }
    if (force) {
        call_reply(c, NULL);
        return;
    }
    struct wish *w = g_new0(struct wish, 1);
    *w = (struct wish){.call = c, .section = g_strdup(section)};
    w->look = g_timeout_add(LOOK_MS, look, w);
    w->timeout = g_timeout_add(MIN(call_seconds(c, "timeout", patience) * 1000, G_MAXINT), on_timeout, w);
    server_listen(call_server(c), on_state, w);
    call_on_cancel(c, wish_free, w);
}

const struct command device_commands[] = {
    {"device.plug",
     {{"section", PARAM_TEXT, true}, {"settings", PARAM_TEXT}},
     .summary = "plug in the PCI function of that section; settings: KEY=VALUE, a line each, instead of machine.ini's",
     .handler = device_plug},
    {"device.unplug",
     {{"section", PARAM_TEXT, true}, {"force", PARAM_FLAG}, {"timeout", PARAM_SECONDS}},
     .summary = "ask the guest to let go of it, and wait until it is out; force: pull it out",
     .handler = device_unplug},
    {NULL},
};
