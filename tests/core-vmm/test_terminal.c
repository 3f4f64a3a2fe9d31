// SPDX-License-Identifier: GPL-2.0-or-later
/* What is shown of text that could be obeyed. */
#include "core-vmm/host/terminal.h"
#include <string.h>

static void shows(const char *text, gsize n, const char *expected)
{
    g_autofree char *safe = terminal_text(text, n);
    g_assert_cmpstr(safe, ==, expected);
}

static void texts(void)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"plain\ttext\n", "plain\ttext\n"},
        {"\033[2J\033]0;title\007", "^[[2J^[]0;title^G"},
        {"a\r\nb\r\r\nc\rd", "a\nb^M\nc^Md"},
        {"\177\b", "^?^H"},
        {"\302\233"
         "31m",
         "\\xc2\\x9b31m"}, /* CSI as one character */
        {"\342\200\256"
         "gnp.exe",
         "\\xe2\\x80\\xaegnp.exe"},
        {"\377\302", "\\xff\\xc2"},
        {"Gr\303\274\303\237e \342\202\254 \360\237\230\200", "Gr\303\274\303\237e \342\202\254 \360\237\230\200"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
        shows(cases[i].text, strlen(cases[i].text), cases[i].expected);
    shows("a\0b", 3, "a^@b");
}

/* However a stream is cut, it shows the same, and nothing that a terminal obeys comes out of random bytes. */
static void pieces(void)
{
    for (unsigned round = 0; round < 2000; round++) {
        char text[64];
        gsize n = g_test_rand_int_range(0, sizeof text), at = 0;
        for (gsize i = 0; i < n; i++) {
            static const char often[] = "\033\r\n\302\233\342\200\256\360\237\230\200\377a";
            text[i] = g_test_rand_bit() ? often[g_test_rand_int_range(0, sizeof often)] : g_test_rand_int_range(0, 256);
        }
        g_autofree char *whole = terminal_text(text, n);
        g_autoptr(GString) joined = g_string_new(NULL);
        for (gsize end = 0; end < n; end = MIN(end + g_test_rand_int_range(1, 9), n)) {
            gsize part = terminal_whole(text + at, end - at);
            g_autofree char *safe = terminal_text(text + at, part);
            g_string_append(joined, safe);
            at += part;
        }
        g_autofree char *rest = terminal_text(text + at, n - at);
        g_string_append(joined, rest);
        g_assert_cmpstr(joined->str, ==, whole);
        g_assert_true(g_utf8_validate(whole, -1, NULL));
        for (const char *p = whole; *p; p = g_utf8_next_char(p))
            g_assert_true(*p == '\n' || *p == '\t' || !g_unichar_iscntrl(g_utf8_get_char(p)));
    }
}

static void json(void)
{
    g_autofree char *safe = terminal_json("{\"a\":\"x\302\233y\177\342\200\256\"}");
    g_assert_cmpstr(safe, ==, "{\"a\":\"x\\u009by\\u007f\\u202e\"}");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/terminal/texts", texts);
    g_test_add_func("/terminal/pieces", pieces);
    g_test_add_func("/terminal/json", json);
    return g_test_run();
}
