// SPDX-License-Identifier: GPL-2.0-or-later
/* test_serial_text.c - what a guest sends on a serial port, and what a terminal shows of it. */
#include "gui/manager/serial_text.h"
#include <string.h>

static void put(struct serial_text *t, const char *text)
{
    serial_text_put(t, (const uint8_t *)text, strlen(text));
}

/* All lines, with '|' between them. */
static char *all(const struct serial_text *t)
{
    GString *s = g_string_new(NULL);
    for (guint i = 0; i < serial_text_count(t); i++) {
        g_autofree char *line = serial_text_line(t, i);
        g_string_append_printf(s, "%s%s", i ? "|" : "", line);
    }
    return g_string_free(s, FALSE);
}

struct example {
    const char *sent, *shown;
};

static void test_shows(gconstpointer data)
{
    const struct example *e = data;
    struct serial_text *t = serial_text_new();
    put(t, e->sent);
    g_autofree char *shown = all(t);
    g_assert_cmpstr(shown, ==, e->shown);
    serial_text_free(t);
    t = serial_text_new(); /* however it is cut */
    for (const char *p = e->sent; *p; p++)
        serial_text_put(t, (const uint8_t *)p, 1);
    g_autofree char *again = all(t);
    g_assert_cmpstr(again, ==, e->shown);
    serial_text_free(t);
}

/* What scrolls away stays, and the oldest goes at last, as those who show it are told. */
static void test_keeps(void)
{
    struct serial_text *t = serial_text_new();
    guint gone, first, sum = 0, row, column;
    const unsigned lines = 3 * SERIAL_LINES_MOST;
    for (unsigned i = 0; i < lines; i++) {
        g_autofree char *line = g_strdup_printf("%u\r\n", i);
        put(t, line);
    }
    serial_text_changed(t, &gone, &first);
    sum += gone;
    g_assert_cmpuint(serial_text_count(t), <, 2 * SERIAL_LINES_MOST);
    g_assert_cmpuint(serial_text_count(t) + sum, ==, lines + 1);
    g_assert_cmpuint(first, ==, 0);
    g_autofree char *oldest = serial_text_line(t, 0), *number = g_strdup_printf("%u", sum);
    g_assert_cmpstr(oldest, ==, number);
    serial_text_cursor(t, &row, &column);
    g_assert_cmpuint(row, ==, serial_text_count(t) - 1);
    put(t, "x");
    serial_text_changed(t, &gone, &first);
    g_assert_cmpuint(gone, ==, 0);
    g_assert_cmpuint(first, ==, row);
    serial_text_changed(t, &gone, &first);
    g_assert_cmpuint(first, ==, serial_text_count(t));
    serial_text_free(t);
}

static void test_answers(void)
{
    struct serial_text *t = serial_text_new();
    put(t, "\r\nab");
    g_assert_null(serial_text_answer(t));
    put(t, "\033[6n\033[5n\033[c");
    g_autofree char *answer = serial_text_answer(t);
    g_assert_cmpstr(answer, ==, "\033[2;3R\033[0n\033[?6c");
    for (unsigned i = 0; i < 100000; i++) /* nobody fetches them */
        put(t, "\033[6n");
    g_autofree char *many = serial_text_answer(t);
    g_assert_cmpuint(strlen(many), <, 1000);
    serial_text_free(t);
}

/* Anything at all: it stays within its bounds. */
static void test_noise(void)
{
    static const char likely[] = "\033[;?0123456789ABCDHJKLMPXr@()\r\n\t\b";
    struct serial_text *t = serial_text_new();
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    guint gone, first, row, column;
    for (unsigned i = 0; i < 300000; i++) {
        bool any = g_rand_int_range(rand, 0, 4) == 0;
        uint8_t c = any ? (uint8_t)g_rand_int_range(rand, 0, 256)
                        : (uint8_t)likely[g_rand_int_range(rand, 0, sizeof likely - 1)];
        serial_text_put(t, &c, 1);
        if (i % 1000)
            continue;
        serial_text_changed(t, &gone, &first);
        serial_text_cursor(t, &row, &column);
        g_assert_cmpuint(first, <=, serial_text_count(t));
        g_assert_cmpuint(row, <, serial_text_count(t));
        g_assert_cmpuint(column, <, SERIAL_COLUMNS);
        g_autofree char *line = serial_text_line(t, row);
        g_assert_true(g_utf8_validate(line, -1, NULL));
    }
    serial_text_free(t);
}

#define FULL "01234567890123456789012345678901234567890123456789012345678901234567890123456789"

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        struct example e;
    } examples[] = {
        {"plain", {"one\r\ntwo", "one|two"}},
        {"return", {"one\rT", "Tne"}},
        {"back", {"one\b\bX", "oXe"}},
        {"tab", {"a\tb", "a       b"}},
        {"wrap", {FULL "x", FULL "|x"}},
        {"wrap-not-yet", {FULL "\r\nx", FULL "|x"}},
        {"utf8", {"Gr\303\266\303\237e \342\202\254", "Größe €"}},
        {"no-utf8", {"a\377b\303c", "a\357\277\275b\357\277\275c"}},
        {"colours", {"\033[1;31mred\033[0m \033[38;5;200mmore\033[m", "red more"}},
        {"title", {"\033]0;a title\007x\033]2;b\033\\y", "xy"}},
        {"place", {"\033[2;3Hx\033[Hy", "y|  x"}},
        {"erase-line", {"abcdef\033[3D\033[K", "abc"}},
        {"erase-line-front", {"abcdef\033[4D\033[1K", "   def"}},
        {"erase-screen", {"a\r\nb\033[2J\033[Hc", "c|"}},
        {"erase-below", {"a\r\nb\r\nc\033[2;1H\033[J", "a||"}},
        {"insert", {"abc\033[2D\033[2@", "a  bc"}},
        {"take-away", {"abcdef\033[5D\033[2P", "adef"}},
        {"lines", {"a\r\nb\r\nc\033[2;1H\033[L\033[24;1H", "a||b|c||||||||||||||||||||"}},
        {"region", {"\033[1;2r1\r\n2\r\n3\033[r\033[24;1H", "2|3||||||||||||||||||||||"}},
        {"reverse", {"a\r\n\033[Hb\033M", "|b||||||||||||||||||||||"}},
        {"boxes", {"\033(0lqk\033(Bq", "┌─┐q"}},
        {"turns", {"a\342\200\256b", "a\357\277\275b"}},
        {"other-screen", {"shell\033[?1049heditor\033[?1049l$", "shell|editor|$"}},
        {"no-end", {"\033[9999999999999;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1Hx", "|||||||||||||||||||||||x"}},
    };
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(examples); i++) {
        g_autofree char *path = g_strconcat("/serial-text/", examples[i].name, NULL);
        g_test_add_data_func(path, &examples[i].e, test_shows);
    }
    g_test_add_func("/serial-text/keeps", test_keeps);
    g_test_add_func("/serial-text/answers", test_answers);
    g_test_add_func("/serial-text/noise", test_noise);
    return g_test_run();
}
