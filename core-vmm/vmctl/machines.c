// SPDX-License-Identifier: GPL-2.0-or-later
/* machines.c - the machines library and the control client as most verbs use them: what goes wrong is said here. */
#include "core-vmm/vmctl/vmctl.h"

#define PATIENCE_MS 30000

char *machine_resolve(const char *given, int *code)
{
    g_autoptr(GError) error = NULL;
    char *name = machines_find(given, &error);
    *code = name ? EXIT_CODE_OK : fail_error(error);
    return name;
}

struct client *machine_connect(const char *given, char **name, int *code)
{
    g_autoptr(GError) error = NULL;
    struct client *c = client_connect_machine(given, name, &error);
    *code = c ? EXIT_CODE_OK : fail_error(error);
    return c;
}

JsonObject *machine_call(struct client *c, const char *command, JsonObject *args, int *code)
{
    g_autoptr(GError) error = NULL;
    JsonObject *result = client_call(c, command, args, PATIENCE_MS, &error);
    *code = result ? EXIT_CODE_OK : fail_error(error);
    return result;
}

int print_text(JsonObject *answer)
{
    g_autoptr(GError) error = NULL;
    const char *text = answer_need_text(answer, "text", &error);
    if (text)
        print("%s", text);
    json_object_unref(answer);
    return text ? EXIT_CODE_OK : fail_error(error);
}

int machine_command(const char *given, const char *command, JsonObject *args)
{
    int code;
    struct client *c = machine_connect(given, NULL, &code);
    if (!c) {
        g_clear_pointer(&args, json_object_unref);
        return code;
    }
    JsonObject *result = machine_call(c, command, args, &code);
    g_clear_pointer(&result, json_object_unref);
    client_free(c);
    return code;
}
