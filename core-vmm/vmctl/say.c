// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmctl.h"
#include <stdio.h>

#define SCHEMA 1

int fail(int code, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_printerr("vmctl: %s\n", text);
    return code;
}

void note(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_printerr("%s\n", text);
}

int fail_error(const GError *error)
{
    return fail(exit_code_of_error(error), "%s", error->message);
}

void print_json(JsonObject *o)
{
    json_object_set_int_member(o, "schema", SCHEMA);
    g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), o);
    json_object_unref(o);
    g_autofree char *text = json_to_string(node, TRUE);
    puts(text);
}
