// SPDX-License-Identifier: GPL-2.0-or-later
/* config.c - reading machine.ini: values with their units, and sentences about wrong ones. */
#include "core-vmm/api/config.h"
#include "core-vmm/host/config_error.h"
#include "core-vmm/host/config_schema.h"
#include <string.h>

G_DEFINE_QUARK(config - error, config_error)

void config_error(GError **error, const char *path, const char *section, const char *key, const char *value,
                  const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *what = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_set_error(error, CONFIG_ERROR, CONFIG_VALUE, "%s: [%s] %s = %s: %s", path, section, key, value, what);
}

bool config_has(const struct config *c, const char *key)
{
    return c->file && g_key_file_has_key(c->file, c->section, key, NULL);
}

/* Asking for a key that no file may have would be our own mistake. */
static const char *otherwise_of(const struct config *c, const char *key)
{
    const struct schema_key *k = schema_find(c->section, key, NULL);
    g_assert(k);
    return k->otherwise;
}

char *config_string(const struct config *c, const char *key)
{
    char *value = config_has(c, key) ? g_key_file_get_string(c->file, c->section, key, NULL) : NULL;
    return value ? value : g_strdup(otherwise_of(c, key));
}

char *config_path(const struct config *c, const char *key)
{
    g_autofree char *value = config_string(c, key);
    if (!value || !*value || g_path_is_absolute(value))
        return g_steal_pointer(&value);
    g_autofree char *folder = g_path_get_dirname(c->path);
    return g_build_filename(folder, value, NULL);
}

/* The value, found good by the schema.  False: an error.  *value NULL: there is none. */
static bool good_value(const struct config *c, const char *key, char **value, GError **error)
{
    *value = config_string(c, key);
    return !*value || schema_check_value(c->path, c->section, key, *value, error);
}

bool config_size(const struct config *c, const char *key, uint64_t *bytes, GError **error)
{
    g_autofree char *value = NULL;
    bool good = good_value(c, key, &value, error);
    return good && (!value || size_parse(value, bytes));
}

bool config_number(const struct config *c, const char *key, int64_t *out, GError **error)
{
    g_autofree char *value = NULL;
    bool good = good_value(c, key, &value, error);
    return good && (!value || g_ascii_string_to_signed(value, 10, G_MININT64, G_MAXINT64, out, error));
}

bool config_flag(const struct config *c, const char *key, bool *out, GError **error)
{
    g_autofree char *value = NULL;
    bool good = good_value(c, key, &value, error);
    if (good && value)
        *out = !strcmp(value, "on");
    return good;
}

bool config_choice(const struct config *c, const char *key, const char *const *words, unsigned *index, GError **error)
{
    g_autofree char *value = config_string(c, key);
    for (*index = 0; value && words[*index]; ++*index)
        if (!strcmp(words[*index], value))
            return true;
    g_autofree char *all = g_strjoinv(", ", (char **)words);
    config_error(error, c->path, c->section, key, value ? value : "", "must be one of %s", all);
    return false;
}

/* ---- sizes ---- */

static const char units[] = "KMGTPE";

/* "", "B", "K", "KB", "KiB" ... with the shift in *shift. */
static bool unit_parse(const char *text, unsigned *shift)
{
    *shift = 0;
    if (!*text || !g_ascii_strcasecmp(text, "b"))
        return true;
    const char *unit = strchr(units, g_ascii_toupper(*text));
    if (!unit)
        return false;
    *shift = 10 * (unit - units + 1);
    return !text[1] || !g_ascii_strcasecmp(text + 1, "b") || !g_ascii_strcasecmp(text + 1, "ib");
}

/* ".25" of 1 << shift; the result must be whole bytes. */
static bool fraction_parse(const char *digits, size_t n, unsigned shift, uint64_t *bytes)
{
    uint64_t numerator = 0, denominator = 1;
    if (!n || n > 9)
        return false;
    for (size_t i = 0; i < n; i++) {
        numerator = numerator * 10 + (digits[i] - '0');
        denominator *= 10;
    }
    unsigned __int128 scaled = (unsigned __int128)numerator << shift;
    *bytes = scaled / denominator;
    return scaled % denominator == 0;
}

bool size_parse(const char *text, uint64_t *bytes)
{
    size_t whole = strspn(text, "0123456789"), part = 0;
    const char *rest = text + whole;
    if (!whole || whole > 20)
        return false;
    if (*rest == '.') {
        part = strspn(rest + 1, "0123456789");
        rest += 1 + part;
        if (!part)
            return false;
    }
    rest += *rest == ' ';
    unsigned shift;
    uint64_t fraction = 0, number;
    g_autofree char *digits = g_strndup(text, whole);
    if (!unit_parse(rest, &shift) || !g_ascii_string_to_unsigned(digits, 10, 0, UINT64_MAX >> shift, &number, NULL))
        return false;
    if (part && !fraction_parse(text + whole + 1, part, shift, &fraction))
        return false;
    return !__builtin_add_overflow(number << shift, fraction, bytes);
}

char *size_format(uint64_t bytes)
{
    unsigned unit = 0; /* how many times 1024 divides it */
    while (unit < 6 && bytes && bytes >> (10 * unit) << (10 * unit) == bytes)
        unit++;
    unit -= unit > 0 && bytes >> (10 * unit) << (10 * unit) != bytes;
    uint64_t number = bytes >> (10 * unit);
    uint64_t tenths = number % 1024 * 10;
    if (unit < 6 && number >= 1024 && tenths % 1024 == 0)
        return g_strdup_printf("%" G_GUINT64_FORMAT ".%u%c", number / 1024, (unsigned)(tenths / 1024), units[unit]);
    if (!unit)
        return g_strdup_printf("%" G_GUINT64_FORMAT, bytes);
    return g_strdup_printf("%" G_GUINT64_FORMAT "%c", number, units[unit - 1]);
}
