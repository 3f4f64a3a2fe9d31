// SPDX-License-Identifier: GPL-2.0-or-later
/* report.c - the lists that info and check fill. */
#include "disk-formats/image/image.h"

#define MAX_TEXT 65536 /* a damaged image has more findings than anybody reads */

static void fact_clear(void *p)
{
    struct image_fact *f = p;
    g_free(f->key);
    g_free(f->text);
}

void image_info_init(struct image_info *i)
{
    i->facts = g_array_new(FALSE, TRUE, sizeof(struct image_fact));
    g_array_set_clear_func(i->facts, fact_clear);
}

void image_info_clear(struct image_info *i)
{
    g_clear_pointer(&i->facts, g_array_unref);
}

void image_info_text(struct image_info *i, const char *key, const char *text)
{
    struct image_fact f = {g_strdup(key), g_utf8_make_valid(text, -1), 0};
    g_array_append_val(i->facts, f);
}

void image_info_number(struct image_info *i, const char *key, uint64_t number)
{
    struct image_fact f = {g_strdup(key), NULL, number};
    g_array_append_val(i->facts, f);
}

void image_check_init(struct image_check *c)
{
    *c = (struct image_check){.text = g_string_new(NULL)};
}

void image_check_clear(struct image_check *c)
{
    g_string_free(c->text, TRUE);
}

void image_check_say(struct image_check *c, const char *format, ...)
{
    va_list ap;
    if (c->text->len > MAX_TEXT)
        return;
    va_start(ap, format);
    g_string_append_vprintf(c->text, format, ap);
    va_end(ap);
    g_string_append(c->text, c->text->len > MAX_TEXT ? "\n(further findings are not listed)\n" : "\n");
}
