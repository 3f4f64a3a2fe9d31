// SPDX-License-Identifier: GPL-2.0-or-later
/* unattended.c - see unattended.h: what is not said comes from the host. */
#include "core-vmm/install/answers.h"
#include <string.h>
#include <unistd.h>

void unattended_clear(struct unattended *u)
{
    char *const texts[] = {u->user,     u->full_name, u->password, u->hostname, u->locale,   u->time_zone,
                           u->keyboard, u->edition,   u->key,      u->mirror,   u->packages, u->drivers};
    if (u->password)
        explicit_bzero(u->password, strlen(u->password));
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(texts[i]);
    *u = (struct unattended){0};
}

/* ---- from the host ---- */

static char *host_user(void)
{
    const char *name = g_get_user_name();
    return g_strdup(strcmp(name, "root") ? name : "user");
}

/* A machine's name has letters that a host's may not have. */
static char *host_name(const char *machine, gsize most)
{
    GString *s = g_string_new(NULL);
    for (const char *p = machine ? machine : ""; *p && s->len < most; p++)
        if (g_ascii_isalnum(*p))
            g_string_append_c(s, g_ascii_tolower(*p));
        else if (s->len && s->str[s->len - 1] != '-')
            g_string_append_c(s, '-');
    while (s->len && s->str[s->len - 1] == '-')
        g_string_truncate(s, s->len - 1);
    if (!s->len || strspn(s->str, "0123456789") == s->len) /* Windows takes no number */
        g_string_prepend(s, "vm");
    return g_string_free(s, FALSE);
}

/* Windows takes none that is the user's. */
static char *complete_host(const char *machine, const char *user)
{
    char *name = host_name(machine, 12);
    if (g_ascii_strcasecmp(name, user))
        return name;
    char *other = g_strconcat(name, "-pc", NULL);
    g_free(name);
    return other;
}

static char *host_locale(void)
{
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        const char *l = g_getenv(names[i]);
        if (l && strlen(l) >= 5 && l[2] == '_') {
            g_autofree char *bare = g_strndup(l, strcspn(l, ".@"));
            return g_strconcat(bare, ".UTF-8", NULL);
        }
    }
    return g_strdup("en_US.UTF-8");
}

static char *host_zone(void)
{
    const char *told = g_getenv("TZ");
    g_autofree char *link = g_file_read_link("/etc/localtime", NULL), *file = NULL;
    const char *zone = link ? strstr(link, "zoneinfo/") : NULL;
    if (told && strchr(told, '/') && *told != ':' && *told != '/')
        return g_strdup(told);
    if (zone)
        return g_strdup(zone + strlen("zoneinfo/"));
    if (g_file_get_contents("/etc/timezone", &file, NULL, NULL) && *g_strstrip(file))
        return g_steal_pointer(&file);
    return g_strdup("Etc/UTC");
}

/* The value of a line NAME=VALUE of a file, without quotes. */
static char *file_value(const char *path, const char *name)
{
    g_autofree char *text = NULL, *pattern = g_strdup_printf("^%s=[\"']?([^\"'\\n]*)", name);
    g_autoptr(GMatchInfo) found = NULL;
    g_autoptr(GRegex) regex = g_regex_new(pattern, G_REGEX_MULTILINE, 0, NULL);
    if (!g_file_get_contents(path, &text, NULL, NULL) || !g_regex_match(regex, text, 0, &found))
        return NULL;
    char *value = g_match_info_fetch(found, 1);
    value[strcspn(value, ",")] = 0;
    if (*value)
        return value;
    g_free(value);
    return NULL;
}

static char *host_keyboard(const char *locale)
{
    g_autofree char *layout = file_value("/etc/default/keyboard", "XKBLAYOUT");
    g_autofree char *variant = layout ? file_value("/etc/default/keyboard", "XKBVARIANT") : NULL;
    if (!layout)
        layout = file_value("/etc/vconsole.conf", "XKBLAYOUT");
    if (layout)
        return variant ? g_strdup_printf("%s(%s)", layout, variant) : g_steal_pointer(&layout);
    if (g_str_has_prefix(locale, "en_GB"))
        return g_strdup("gb");
    char language[3] = {locale[0], locale[1], 0};
    return g_strdup(windows_keyboard(language) ? language : "us");
}

void unattended_complete(struct unattended *u, const char *machine)
{
    if (!u->user)
        u->user = host_user();
    if (!u->full_name)
        u->full_name = g_strdup(u->user);
    if (!u->password)
        u->password = g_strdup("");
    if (!u->hostname)
        u->hostname = complete_host(machine, u->user);
    if (!u->locale)
        u->locale = host_locale();
    if (!u->time_zone)
        u->time_zone = host_zone();
    if (!u->keyboard)
        u->keyboard = host_keyboard(u->locale);
    if (!u->mirror)
        u->mirror = g_strdup("http://deb.debian.org/debian");
    if (!u->packages)
        u->packages = g_strdup("");
}

void answers_keyboard(const char *keyboard, char **layout, char **variant)
{
    gsize n = strcspn(keyboard, "(");
    *layout = g_strndup(keyboard, n);
    *variant = keyboard[n] ? g_strndup(keyboard + n + 1, strcspn(keyboard + n + 1, ")")) : g_strdup("");
}
