// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_wait.c - vmctl wait: for a state, a text on the screen or on a serial port, an address, a port that answers. */
#include "core-vmm/vmctl/verbs.h"
#include "core-vmm/host/paths.h"

#define POLL_US       20000
#define NETWORK_US    (200 * 1000)
#define ANSWER_MS     1000
#define GRACE_SECONDS 10

struct wait_options {
    char *state, *serial, *screen, *device;
    gboolean fresh, ip, crash;
    int port;       /* 0: none */
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
    else if (!w->crash)
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

/* ---- the network ---- */

/* "10.0.2.15", of any card; g_free; NULL: none is known.  Addresses of IPv6's own making come before a guest is online. */
static char *first_address(const char *name)
{
    g_autoptr(JsonObject) list = network_list(name, NULL);
    JsonObject *card;
    for (unsigned i = 0; list && (card = network_card(list, i)); i++) {
        const char *text = answer_element_text(answer_array(answer_object(card, "now"), "addresses"), 0);
        if (text && !g_str_has_prefix(text, "fe80:"))
            return g_strdup(text);
    }
    return NULL;
}

static int time_over(const char *name, const struct wait_options *w, const char *what)
{
    return fail(EXIT_CODE_TIMEOUT, "%s %s within %g s", name, what, w->timeout);
}

/* Prints the address: it is what one asks for next. */
static int wait_ip(const char *name, const struct wait_options *w, gint64 start)
{
    g_autofree char *folder = machines_folder(name), *address = NULL;
    while (!(address = first_address(name))) {
        if (!machine_lock_holder(folder))
            return fail(EXIT_CODE_WRONG_STATE, "%s is not running", name);
        if (w->timeout >= 0 && left(start, w->timeout) <= 0)
            return time_over(name, w, "had no address");
        g_usleep(NETWORK_US);
    }
    print("%s\n", address);
    return EXIT_CODE_OK;
}

static int wait_port(const char *name, const struct wait_options *w, gint64 start)
{
    g_autoptr(GError) error = NULL;
    uint16_t port = network_forward_to(name, w->port, &error);
    if (!port)
        return fail_error(error);
    while (!network_answers(name, port, w->port, ANSWER_MS)) {
        if (w->timeout >= 0 && left(start, w->timeout) <= 0)
            return time_over(name, w, "did not answer on that port");
        g_usleep(NETWORK_US);
    }
    print("127.0.0.1:%u\n", port);
    return EXIT_CODE_OK;
}

/* The VM process keeps the time; but if it is not well, somebody else must. */
static int patience_ms(const struct wait_options *w, gint64 start)
{
    return w->timeout < 0 ? -1 : (int)MIN((left(start, w->timeout) + GRACE_SECONDS) * 1000, G_MAXINT);
}

/* Code and arguments: "0xa 0x8 0x2 0x0 0xfffff80000001000", and a text if there is one. */
static void print_crash(JsonObject *o)
{
    JsonArray *arguments = answer_array(o, "arguments");
    const char *text = answer_text(o, "message", NULL);
    print("%s", answer_text(o, "code", "?"));
    for (unsigned i = 0; i < MIN(answer_count(arguments), 4); i++)
        print(" %s", answer_element_text(arguments, i) ? answer_element_text(arguments, i) : "?");
    print("%s%s\n", text ? " " : "", text ? text : "");
}

static int wait_running(const char *name, const struct wait_options *w, gint64 start)
{
    const char *command = w->state ? "wait.state" : w->serial ? "wait.serial" : w->crash ? "wait.crash" : "wait.screen";
    g_autoptr(GError) error = NULL;
    int code;
    struct client *c = machine_connect(name, NULL, &code);
    if (!c)
        return code;
    JsonObject *o = client_call(c, command, arguments(w, start), patience_ms(w, start), &error);
    client_free(c);
    if (!o)
        return fail_error(error);
    if (w->crash)
        print_crash(o);
    json_object_unref(o);
    return EXIT_CODE_OK;
}

static int wait_machine(const char *given, const struct wait_options *w)
{
    gint64 start = g_get_monotonic_time();
    int code;
    if (!!w->state + !!w->serial + !!w->screen + w->ip + w->crash + (w->port != 0) != 1)
        return fail(EXIT_CODE_USAGE, "wait for one of --state, --serial, --screen, --ip, --port and --crash");
    if (w->port < 0 || w->port > 65535)
        return fail(EXIT_CODE_USAGE, "--port: 1 to 65535");
    g_autofree char *name = machine_resolve(given, &code);
    if (!name)
        return code;
    if (w->ip || w->port)
        return w->ip ? wait_ip(name, w, start) : wait_port(name, w, start);
    return g_strcmp0(w->state, "stopped") ? wait_running(name, w, start) : wait_stopped(name, w, start);
}

static int wait(const struct verb *v, int argc, char **argv)
{
    struct wait_options w = {.timeout = -1};
    const GOptionEntry entries[] = {
        {"state", 0, 0, G_OPTION_ARG_STRING, &w.state, "Until it is running, paused or stopped", "STATE"},
        {"serial", 0, 0, G_OPTION_ARG_STRING, &w.serial, "Until the guest has sent this over its serial port", "TEXT"},
        {"screen", 0, 0, G_OPTION_ARG_STRING, &w.screen, "Until the text screen shows this", "TEXT"},
        {"ip", 0, 0, G_OPTION_ARG_NONE, &w.ip, "Until the guest has an address, which is printed", NULL},
        {"port", 0, 0, G_OPTION_ARG_INT, &w.port,
         "Until the guest answers on this TCP port (mode nat); prints the host's", "PORT"},
        {"crash", 0, 0, G_OPTION_ARG_NONE, &w.crash,
         "Until the guest has crashed and said so (Windows' blue screen); prints code and arguments", NULL},
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
                               "  vmctl wait demo --port 22 --timeout 120\n"
                               "  vmctl wait demo --screen 'GNU GRUB'",
                               wait};
