// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmctl.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

/* What was printed waits in the buffer, perhaps up to here: a full disk shows late. */
static void finish_output(void)
{
    errno = 0;
    bool lost = ferror(stdout);
    if (!fclose(stdout) && !lost)
        return;
    int e = errno;
    fail(0, "the output cannot be written%s%s", e ? ": " : "", e ? g_strerror(e) : "");
    _exit(e == ENOSPC || e == EDQUOT ? EXIT_CODE_NO_SPACE : EXIT_CODE_FAILED);
}

void say_at_exit(void)
{
    atexit(finish_output);
}

void print_json(JsonObject *o)
{
    json_object_set_int_member(o, "schema", SCHEMA);
    g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), o);
    json_object_unref(o);
    g_autofree char *text = json_to_string(node, TRUE);
    puts(text);
}
