// SPDX-License-Identifier: GPL-2.0-or-later
/* say.c - what vmctl prints: sentences on stderr, JSON with its schema, sizes. */
#include "core-vmm/vmctl/vmctl.h"
#include "core-vmm/host/terminal.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCHEMA 1

/* Messages contain names and reasons from elsewhere; nobody parses them, so they are made harmless everywhere. */
static void say(const char *prefix, const char *format, va_list ap)
{
    g_autofree char *text = g_strdup_vprintf(format, ap), *safe = terminal_text(text, strlen(text));
    g_printerr("%s%s\n", prefix, safe);
}

int fail(int code, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    say("vmctl: ", format, ap);
    va_end(ap);
    return code;
}

void note(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    say("", format, ap);
    va_end(ap);
}

int fail_error(const GError *error)
{
    return fail(exit_code_of_error(error), "%s", error->message);
}

gsize print_bytes(const char *data, gsize n)
{
    if (!isatty(STDOUT_FILENO))
        return fwrite(data, 1, n, stdout);
    g_autofree char *safe = terminal_text(data, n);
    return fputs(safe, stdout) < 0 ? 0 : n;
}

void print(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    print_bytes(text, strlen(text));
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

static void put_json(JsonObject *o, bool pretty)
{
    json_object_set_int_member(o, "schema", SCHEMA);
    g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), o);
    json_object_unref(o);
    g_autofree char *text = json_to_string(node, pretty), *valid = g_utf8_make_valid(text, -1);
    g_autofree char *safe = terminal_json(valid);
    puts(safe);
}

void print_json(JsonObject *o)
{
    put_json(o, true);
}

void print_json_line(JsonObject *o)
{
    put_json(o, false);
}
