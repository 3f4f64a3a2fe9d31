// SPDX-License-Identifier: GPL-2.0-or-later
/* command_table.c - looking commands up, for every process that serves some: its groups are in its own command_groups(). */
#include "core-vmm/control/server.h"
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

const struct command own_commands[] = {
    {"commands", .summary = "lists all commands", .handler = commands},
    {NULL},
};

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
