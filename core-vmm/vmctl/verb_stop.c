// SPDX-License-Identifier: GPL-2.0-or-later
/* Asks the guest first, as one does; --force cuts the power. */
#include "core-vmm/vmctl/verbs.h"
#include "core-vmm/host/paths.h"

#define PATIENCE  60.0
#define FORCED_US (10 * G_USEC_PER_SEC)
#define ANSWER_MS 5000

/* The socket first; but whatever is the matter with it, the process ends. */
static int force(const char *name)
{
    g_autofree char *folder = machine_folder_of(name);
    g_autoptr(GError) error = NULL;
    if (!machine_lock_holder(folder))
        return fail(EXIT_CODE_WRONG_STATE, "%s is not running; vmctl start %s starts it", name, name);
    struct client *c = client_connect(name, &error);
    JsonObject *o = c ? client_call(c, "stop", NULL, ANSWER_MS, &error) : NULL;
    bool asked = o != NULL;
    g_clear_pointer(&o, json_object_unref);
    client_free(c);
    if (machine_gone(name, asked ? FORCED_US : 0))
        return EXIT_CODE_OK;
    bool absent = g_error_matches(error, CONTROL_ERROR, CONTROL_NOT_FOUND);
    return machine_kill(name, asked    ? "its process said that it would end, and did not"
                              : absent ? "nobody listens at its control socket"
                                       : error->message);
}

static int force_given(const char *given)
{
    int code;
    g_autofree char *name = machine_resolve(given, &code);
    return name ? force(name) : code;
}

static int ask(struct client *c, const char *name, double patience)
{
    int code;
    JsonObject *o = machine_call(c, "powerbutton", NULL, &code);
    g_clear_pointer(&o, json_object_unref);
    if (!code && !machine_gone(name, (gint64)(patience * G_USEC_PER_SEC)))
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
    if (cut)
        return force_given(argv[1]);
    g_autofree char *name = NULL;
    struct client *c = machine_connect(argv[1], &name, &code);
    if (!c)
        return code;
    code = ask(c, name, patience);
    client_free(c);
    return code;
}

const struct verb verb_stop = {"stop", "NAME", "ask the guest to shut down, or cut the power",
                               "  vmctl stop demo\n  vmctl stop demo --force", stop};
