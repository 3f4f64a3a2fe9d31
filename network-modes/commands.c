// SPDX-License-Identifier: GPL-2.0-or-later
/* commands.c - what the network process answers on its control socket (docs/control.md): which cards there are, and changes to
 * them.  Whoever may connect is the machine's user, as for the VM process' own socket. */
#include "network-modes/process.h"
#include "core-vmm/host/config_schema.h"
#include <string.h>

static struct net_process *process_of(struct call *c)
{
    return call_options(c)->ctx;
}

/* The card that "card" names; NULL: the call has failed. */
static struct net_port *port_of(struct call *c)
{
    struct net_process *p = process_of(c);
    const char *name = call_text(c, "card", NULL);
    for (unsigned i = 0; i < NET_WIRE_CARDS; i++)
        if (p->port[i].name && !strcmp(p->port[i].name, name))
            return &p->port[i];
    call_fail(c, CONTROL_NOT_FOUND, "the machine has no card %.32s", name);
    return NULL;
}

static void list(struct call *c)
{
    struct net_process *p = process_of(c);
    JsonObject *r = json_object_new();
    JsonArray *cards = json_array_new();
    for (unsigned i = 0; i < NET_WIRE_CARDS; i++)
        if (p->port[i].name)
            json_array_add_object_element(cards, port_describe(&p->port[i]));
    json_object_set_string_member(r, "machine", p->machine);
    json_object_set_array_member(r, "cards", cards);
    call_reply(c, r);
}

/* "key=value", or "key" alone: it goes. */
static bool change_line(struct net_port *port, const char *line, GError **error)
{
    const char *equals = strchr(line, '=');
    g_autofree char *key = equals ? g_strndup(line, equals - line) : g_strdup(line);
    return (equals ? schema_check_value("setting", port->name, key, equals + 1, error)
                   : schema_find(port->name, key, error) != NULL) &&
           port_change(port, key, equals ? equals + 1 : NULL, error);
}

static void set(struct call *c)
{
    struct net_port *port = port_of(c);
    g_auto(GStrv) lines = g_strsplit(call_text(c, "settings", ""), "\n", -1);
    g_autoptr(GError) error = NULL;
    bool good = port != NULL;
    if (!port)
        return;
    for (char **l = lines; *l && good; l++)
        good = !**l || change_line(port, *l, &error);
    port_settle(port);
    settings_keep(process_of(c));
    if (good)
        call_reply(c, port_describe(port));
    else
        call_fail(c, CONTROL_USAGE, "%s", error->message);
}

static void capture_start(struct call *c)
{
    struct net_port *port = port_of(c);
    g_autoptr(GError) error = NULL;
    if (!port)
        return;
    if (port_capture(port, call_text(c, "file", ""), call_take_fd(c, 0), &error))
        call_reply(c, port_capture_describe(port));
    else
        call_fail_error(c, error);
}

static void capture_stop(struct call *c)
{
    struct net_port *port = port_of(c);
    JsonObject *result = port ? port_capture_describe(port) : NULL;
    if (!port)
        return;
    if (!result) {
        call_fail(c, CONTROL_WRONG_STATE, "%s is not being captured", port->name);
        return;
    }
    port_capture_stop(port);
    call_reply(c, result);
}

/* A command of the mode's own. */
static void to_mode(struct call *c)
{
    struct net_port *port = port_of(c);
    g_autoptr(GError) error = NULL;
    if (!port)
        return;
    JsonObject *result = port->mode && port->mode->command
                             ? port->mode->command(port->state, call_command(c), call_arguments(c), &error)
                             : NULL;
    if (result)
        call_reply(c, result);
    else if (error)
        call_fail_error(c, error);
    else
        call_fail(c, CONTROL_UNSUPPORTED, "%s: its mode has no %s", port->name, call_command(c));
}

static const struct command network_commands[] = {
    {"list", .summary = "the cards, what they are plugged into and what went over them", .handler = list},
    {"set",
     {{"card", PARAM_TEXT, true}, {"settings", PARAM_TEXT, true}},
     .summary = "changes keys of a card's section, a line KEY=VALUE each; without a value it goes",
     .handler = set},
    {"capture.start",
     {{"card", PARAM_TEXT, true}, {"file", PARAM_TEXT, true}},
     .summary = "writes the card's frames as pcapng into the file that comes along; file: its name, for people",
     .handler = capture_start,
     .fds = 1},
    {"capture.stop",
     {{"card", PARAM_TEXT, true}},
     .summary = "ends that, and says what is in it",
     .handler = capture_stop},
    {"leases", {{"card", PARAM_TEXT, true}}, .summary = "who has an address of the card's network", .handler = to_mode},
    {"answered",
     {{"card", PARAM_TEXT, true}, {"port", PARAM_NUMBER, true, 1, 65535}},
     .summary = "how many ms ago the guest last took a connection on that TCP port; -1: never",
     .handler = to_mode},
    {NULL},
};

const struct command *const *command_groups(void)
{
    static const struct command *const groups[] = {own_commands, network_commands, NULL};
    return groups;
}
