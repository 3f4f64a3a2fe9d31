// SPDX-License-Identifier: GPL-2.0-or-later
/* Asks the guest first, as one does; --force cuts the power. */
#include "verbs.h"
#include "../paths.h"

#define PATIENCE  60.0
#define POLL_US   20000
#define FORCED_US (10 * G_USEC_PER_SEC)

/* The process has gone: the next start finds everything closed. */
static bool wait_gone(const char *name, gint64 us)
{
    g_autofree char *folder = machine_folder_of(name);
    gint64 end = g_get_monotonic_time() + us;
    while (machine_lock_holder(folder)) {
        if (g_get_monotonic_time() > end)
            return false;
        g_usleep(POLL_US);
    }
    return true;
}

static int force(struct client *c, const char *name)
{
    int code;
    JsonObject *o = machine_call(c, "stop", NULL, &code);
    g_clear_pointer(&o, json_object_unref);
    if (!code && !wait_gone(name, FORCED_US))
        return fail(EXIT_CODE_TIMEOUT, "the process of %s does not end", name);
    return code;
}

static int ask(struct client *c, const char *name, double patience)
{
    int code;
    JsonObject *o = machine_call(c, "powerbutton", NULL, &code);
    g_clear_pointer(&o, json_object_unref);
    if (!code && !wait_gone(name, (gint64)(patience * G_USEC_PER_SEC)))
        return fail(EXIT_CODE_TIMEOUT, "the guest did not shut down within %g s; vmctl stop --force %s cuts its power",
                    patience, name);
    return code;
}

static int stop(const struct verb *v, int argc, char **argv)
{
    gboolean cut = FALSE;
    double patience = PATIENCE;
    const GOptionEntry entries[] = {
        {"force", 'f', 0, G_OPTION_ARG_NONE, &cut, "Cut the power; unsaved data in the guest is lost", NULL},
        {"timeout", 't', 0, G_OPTION_ARG_DOUBLE, &patience, "How long the guest may take (60)", "SECONDS"},
        {NULL},
    };
    int code;
    if (!verb_options(v, entries, &argc, &argv, 1, 1, &code))
        return code;
    if (!(patience >= 0 && patience < 1e9))
        return fail(EXIT_CODE_USAGE, "--timeout: seconds from 0");
    g_autofree char *name = NULL;
    struct client *c = machine_connect(argv[1], &name, &code);
    if (!c)
        return code;
    code = cut ? force(c, name) : ask(c, name, patience);
    client_free(c);
    return code;
}

const struct verb verb_stop = {"stop", "NAME", "ask the guest to shut down, or cut the power",
                               "  vmctl stop demo\n  vmctl stop demo --force", stop};
