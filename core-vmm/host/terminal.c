// SPDX-License-Identifier: GPL-2.0-or-later
/* terminal.c - see terminal.h. */
#include "core-vmm/host/terminal.h"
#include <string.h>

/* Unicode's bidirectional controls: they make a line look like another one. */
static bool turns(gunichar c)
{
    return c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

static bool obeyed(gunichar c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || turns(c);
}

static void append_bytes(GString *s, const char *p, gsize n)
{
    for (gsize i = 0; i < n; i++)
        g_string_append_printf(s, "\\x%02x", (guchar)p[i]);
}

/* One character at p; how many bytes it has. */
static gsize append_one(GString *s, const char *p, const char *end)
{
    gunichar c = g_utf8_get_char_validated(p, end - p);
    gsize n = c & 0x80000000 ? 1 : (gsize)(g_utf8_next_char(p) - p);
    if (!*p) /* the validator stops there */
        g_string_append(s, "^@");
    else if (c == '\r' && p + 1 < end && p[1] == '\n')
        ;
    else if (c == '\n' || c == '\t' || !(c & 0x80000000 || obeyed(c)))
        g_string_append_len(s, p, n);
    else if (c < 0x80)
        g_string_append_printf(s, "^%c", (char)(c ^ 0x40));
    else
        append_bytes(s, p, n);
    return n;
}

char *terminal_text(const char *text, gsize n)
{
    GString *s = g_string_sized_new(n + 1);
    for (const char *p = text; p < text + n;)
        p += append_one(s, p, text + n);
    return g_string_free(s, FALSE);
}

gsize terminal_whole(const char *text, gsize n)
{
    for (gsize back = 1; back <= 3 && back <= n; back++) {
        const char *p = text + n - back;
        if (*p == '\r' && back == 1) /* perhaps a line end follows */
            return n - 1;
        if ((*p & 0xc0) != 0x80) /* where the last character begins; -2: it goes on */
            return g_utf8_get_char_validated(p, back) == (gunichar)-2 ? n - back : n;
    }
    return n;
}

char *terminal_json(const char *json)
{
    GString *s = g_string_new(NULL);
    for (const char *p = json; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        if (c >= 0x7f && obeyed(c))
            g_string_append_printf(s, "\\u%04x", c);
        else
            g_string_append_len(s, p, g_utf8_next_char(p) - p);
    }
    return g_string_free(s, FALSE);
}
