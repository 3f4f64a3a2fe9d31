// SPDX-License-Identifier: GPL-2.0-or-later
/* The one list of all commands: each group is a table in its own file. */
#include "core-vmm/control/commands.h"
#include <string.h>

static void commands(struct call *c)
{
    JsonArray *list = json_array_new();
    for (const struct command *const *g = command_groups(); *g; g++)
        for (const struct command *k = *g; k->name; k++) {
            JsonObject *o = json_object_new();
            g_autofree char *usage = command_usage(k);
            json_object_set_string_member(o, "name", k->name);
            json_object_set_string_member(o, "usage", usage);
            json_object_set_string_member(o, "summary", k->summary);
            json_array_add_object_element(list, o);
        }
    JsonObject *result = json_object_new();
    json_object_set_array_member(result, "commands", list);
    call_reply(c, result);
}

static const struct command own_commands[] = {
    {"commands", .summary = "lists all commands", .handler = commands},
    {NULL},
};

const struct command *const *command_groups(void)
{
    static const struct command *const groups[] = {
        own_commands,   state_commands,  media_commands, screen_commands, display_commands,
        input_commands, serial_commands, wait_commands,  device_commands, debug_commands,
        NULL,
    };
    return groups;
}

const struct command *command_find(const char *name)
{
    for (const struct command *const *g = command_groups(); *g; g++)
        for (const struct command *c = *g; c->name; c++)
            if (!strcmp(c->name, name))
                return c;
    return NULL;
}

char *command_usage(const struct command *c)
{
    static const char *const types[] = {"TEXT", "NUMBER", "SECONDS", "FLAG"};
    GString *s = g_string_new(NULL);
    for (const struct param *p = c->params; p < c->params + COMMAND_PARAMS && p->name; p++)
        g_string_append_printf(s, p->required ? "%s%s=%s" : "%s[%s=%s]", s->len ? " " : "", p->name, types[p->type]);
    if (c->fds)
        g_string_append_printf(s, "%s+ %u descriptor%s", s->len ? " " : "", c->fds, c->fds > 1 ? "s" : "");
    return g_string_free(s, FALSE);
}
