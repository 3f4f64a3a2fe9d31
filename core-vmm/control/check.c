// SPDX-License-Identifier: GPL-2.0-or-later
/* Requests against the rows of the command tables. */
#include "core-vmm/host/suggest.h"
#include "core-vmm/control/server.h"
#include <string.h>

static const struct param *find_param(const struct command *c, const char *name)
{
    for (const struct param *p = c->params; p < c->params + COMMAND_PARAMS && p->name; p++)
        if (!strcmp(p->name, name))
            return p;
    return NULL;
}

static bool value_fits(const struct param *p, JsonNode *v)
{
    GType t = JSON_NODE_HOLDS_VALUE(v) ? json_node_get_value_type(v) : G_TYPE_INVALID;
    switch (p->type) {
    case PARAM_TEXT: return t == G_TYPE_STRING;
    case PARAM_FLAG: return t == G_TYPE_BOOLEAN;
    case PARAM_NUMBER: return t == G_TYPE_INT64 && json_node_get_int(v) >= p->low && json_node_get_int(v) <= p->high;
    case PARAM_SECONDS: break;
    }
    return (t == G_TYPE_INT64 || t == G_TYPE_DOUBLE) && json_node_get_double(v) >= 0 && json_node_get_double(v) <= 1e9;
}

static char *describe_param(const struct param *p)
{
    static const char *const words[] = {"a text", "a number", "a number of seconds", "true or false"};
    if (p->type == PARAM_NUMBER)
        return g_strdup_printf("%s must be a number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, p->name, p->low,
                               p->high);
    return g_strdup_printf("%s must be %s", p->name, words[p->type]);
}

char *command_check_args(const struct command *c, JsonObject *args, unsigned fd_count)
{
    g_autoptr(GList) names = args ? json_object_get_members(args) : NULL;
    for (GList *l = names; l; l = l->next) {
        const struct param *p = find_param(c, l->data);
        if (!p)
            return g_strdup_printf("%s has no argument \"%s\"", c->name, (char *)l->data);
        if (!value_fits(p, json_object_get_member(args, p->name)))
            return describe_param(p);
    }
    for (const struct param *p = c->params; p < c->params + COMMAND_PARAMS && p->name; p++)
        if (p->required && !(args && json_object_has_member(args, p->name)))
            return g_strdup_printf("%s needs the argument \"%s\"", c->name, p->name);
    if (fd_count != c->fds)
        return g_strdup_printf("%s takes %u descriptors, %u came", c->name, c->fds, fd_count);
    return NULL;
}

char *command_unknown(const char *name)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (const struct command *const *g = command_groups(); *g; g++)
        for (const struct command *c = *g; c->name; c++)
            g_ptr_array_add(names, (gpointer)c->name);
    g_ptr_array_add(names, NULL);
    const char *near = suggest(name, (const char *const *)names->pdata);
    if (near)
        return g_strdup_printf("there is no command \"%s\"; did you mean \"%s\"?", name, near);
    return g_strdup_printf("there is no command \"%.64s\"; \"commands\" lists them", name);
}
