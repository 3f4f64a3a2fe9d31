// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_wait.c - vmctl wait: for a state, a text on the screen or on a serial port. */
#include "core-vmm/vmctl/verbs.h"
#include "core-vmm/host/paths.h"

#define POLL_US       20000
#define GRACE_SECONDS 10

struct wait_options {
    char *state, *serial, *screen, *device;
    gboolean fresh;
    double timeout; /* negative: for ever */
};

static double left(gint64 start, double timeout)
{
    return MAX(0, timeout - (g_get_monotonic_time() - start) / 1e6);
}

static JsonObject *arguments(const struct wait_options *w, gint64 start)
{
    JsonObject *o = json_object_new();
    if (w->timeout >= 0)
        json_object_set_double_member(o, "timeout", left(start, w->timeout));
    if (w->state)
        json_object_set_string_member(o, "state", w->state);
    else
        json_object_set_string_member(o, "text", w->serial ? w->serial : w->screen);
    if (w->serial && w->device)
        json_object_set_string_member(o, "device", w->device);
    if (w->serial)
        json_object_set_boolean_member(o, "new", w->fresh);
    return o;
}

/* Stopped means that the process has gone: whoever waits wants to start it again, or read its files. */
static int wait_stopped(const char *name, const struct wait_options *w, gint64 start)
{
    g_autofree char *folder = machines_folder(name);
    while (machine_lock_holder(folder)) {
        if (w->timeout >= 0 && left(start, w->timeout) <= 0)
            return fail(EXIT_CODE_TIMEOUT, "%s did not stop within %g s", name, w->timeout);
        g_usleep(POLL_US);
    }
    return EXIT_CODE_OK;
}

/* The VM process keeps the time; but if it is not well, somebody else must. */
static int patience_ms(const struct wait_options *w, gint64 start)
{
    return w->timeout < 0 ? -1 : (int)MIN((left(start, w->timeout) + GRACE_SECONDS) * 1000, G_MAXINT);
}

static int wait_running(const char *name, const struct wait_options *w, gint64 start)
{
    const char *command = w->state ? "wait.state" : w->serial ? "wait.serial" : "wait.screen";
    g_autoptr(GError) error = NULL;
    int code;
    struct client *c = machine_connect(name, NULL, &code);
    if (!c)
        return code;
    JsonObject *o = client_call(c, command, arguments(w, start), patience_ms(w, start), &error);
    client_free(c);
    if (!o)
        return fail_error(error);
    json_object_unref(o);
    return EXIT_CODE_OK;
}

static int wait_machine(const char *given, const struct wait_options *w)
{
    gint64 start = g_get_monotonic_time();
    int code;
    if (!!w->state + !!w->serial + !!w->screen != 1)
        return fail(EXIT_CODE_USAGE, "wait for one of --state, --serial and --screen");
    g_autofree char *name = machine_resolve(given, &code);
    if (!name)
        return code;
    return g_strcmp0(w->state, "stopped") ? wait_running(name, w, start) : wait_stopped(name, w, start);
}

static int wait(const struct verb *v, int argc, char **argv)
{
    struct wait_options w = {.timeout = -1};
    const GOptionEntry entries[] = {
        {"state", 0, 0, G_OPTION_ARG_STRING, &w.state, "Until it is running, paused or stopped", "STATE"},
        {"serial", 0, 0, G_OPTION_ARG_STRING, &w.serial, "Until the guest has sent this over its serial port", "TEXT"},
        {"screen", 0, 0, G_OPTION_ARG_STRING, &w.screen, "Until the text screen shows this", "TEXT"},
        {"device", 0, 0, G_OPTION_ARG_STRING, &w.device, "Which serial port (serial1)", "PORT"},
        {"new", 'n', 0, G_OPTION_ARG_NONE, &w.fresh, "Serial output from before does not count", NULL},
        {"timeout", 't', 0, G_OPTION_ARG_DOUBLE, &w.timeout, "Give up after this (default: never), exit code 5",
         "SECONDS"},
        {NULL},
    };
    int code;
    if (verb_options(v, entries, &argc, &argv, 1, 1, &code))
        code = wait_machine(argv[1], &w);
    g_free(w.state);
    g_free(w.serial);
    g_free(w.screen);
    g_free(w.device);
    return code;
}

const struct verb verb_wait = {"wait", "NAME", "wait until something happens",
                               "  vmctl wait demo --serial login: --timeout 120\n"
                               "  vmctl wait demo --state stopped\n"
                               "  vmctl wait demo --screen 'GNU GRUB'",
                               wait};
