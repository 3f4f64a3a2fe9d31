// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmctl.h"
#include "../config_error.h"
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

static int of_control(int code)
{
    switch (code) {
    case CONTROL_USAGE:
    case CONTROL_UNKNOWN_COMMAND: return EXIT_CODE_USAGE;
    case CONTROL_NOT_FOUND: return EXIT_CODE_NOT_FOUND;
    case CONTROL_CLOSED:
    case CONTROL_WRONG_STATE: return EXIT_CODE_WRONG_STATE;
    case CONTROL_TIMEOUT: return EXIT_CODE_TIMEOUT;
    case CONTROL_PERMISSION: return EXIT_CODE_HOST;
    case CONTROL_BUSY: return EXIT_CODE_BUSY;
    default: return EXIT_CODE_FAILED;
    }
}

static int of_io(int code)
{
    switch (code) {
    case G_IO_ERROR_NOT_FOUND: return EXIT_CODE_NOT_FOUND;
    case G_IO_ERROR_EXISTS: return EXIT_CODE_EXISTS;
    case G_IO_ERROR_PERMISSION_DENIED:
    case G_IO_ERROR_READ_ONLY: return EXIT_CODE_HOST;
    case G_IO_ERROR_NO_SPACE: return EXIT_CODE_NO_SPACE;
    case G_IO_ERROR_BUSY: return EXIT_CODE_BUSY;
    case G_IO_ERROR_INVALID_ARGUMENT: return EXIT_CODE_USAGE;
    default: return EXIT_CODE_FAILED;
    }
}

static int of_file(int code)
{
    switch (code) {
    case G_FILE_ERROR_NOENT: return EXIT_CODE_NOT_FOUND;
    case G_FILE_ERROR_EXIST: return EXIT_CODE_EXISTS;
    case G_FILE_ERROR_ACCES:
    case G_FILE_ERROR_PERM:
    case G_FILE_ERROR_ROFS: return EXIT_CODE_HOST;
    case G_FILE_ERROR_NOSPC: return EXIT_CODE_NO_SPACE;
    default: return EXIT_CODE_FAILED;
    }
}

int exit_code_of_error(const GError *error)
{
    if (error->domain == CONTROL_ERROR)
        return of_control(error->code);
    if (error->domain == G_IO_ERROR)
        return of_io(error->code);
    if (error->domain == G_FILE_ERROR)
        return of_file(error->code);
    return error->domain == CONFIG_ERROR || error->domain == G_OPTION_ERROR ? EXIT_CODE_USAGE : EXIT_CODE_FAILED;
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
