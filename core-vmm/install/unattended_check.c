// SPDX-License-Identifier: GPL-2.0-or-later
/* unattended_check.c - is each answer one that the installer takes?
 *
 * What an installer refuses it refuses in the middle, with a question that nobody answers; so it is said here.  Sources: Debian's
 * adduser (names), RFC 1123 (hosts), Microsoft's "Naming conventions in Active Directory" and the pages of LocalAccount and
 * ComputerName in the Unattended Windows Setup Reference. */
#include "core-vmm/install/unattended.h"
#include "core-vmm/host/config_error.h"
#include <string.h>

static bool refuse(GError **error, const char *what, const char *value, const char *rule)
{
    g_set_error(error, CONFIG_ERROR, CONFIG_VALUE, "%s \"%s\" cannot be: %s", what, value, rule);
    return false;
}

static bool is_text(const char *value)
{
    if (!g_utf8_validate(value, -1, NULL))
        return false;
    for (const char *p = value; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        if (g_unichar_iscntrl(c) || c == 0xfffe || c == 0xffff) /* XML has none of these */
            return false;
    }
    return true;
}

static bool matches(const char *value, const char *pattern)
{
    g_autofree char *whole = g_strdup_printf("^(?:%s)\\z", pattern);
    return g_utf8_validate(value, -1, NULL) && g_regex_match_simple(whole, value, 0, 0);
}

static bool check_user(const struct unattended *u, GError **error)
{
    static const char *const taken[] = {"root", "daemon", "bin", "sys", "mail", "man", "nobody", "admin", "sudo", NULL};
    static const char *const taken_there[] = {"administrator", "guest", "system", "defaultaccount", "none", NULL};
    bool windows = u->kind == UNATTENDED_WINDOWS;
    g_autofree char *lower = g_utf8_validate(u->user, -1, NULL) ? g_utf8_strdown(u->user, -1) : g_strdup("root");
    if (windows && (!is_text(u->user) || !matches(u->user, "[^\"/\\\\\\[\\]:;|=,+*?<>@]{1,20}") ||
                    matches(u->user, "[. ]+|.*\\.") || g_strv_contains(taken_there, lower)))
        return refuse(error, "the user's name", u->user,
                      "Windows takes 1 to 20 characters without \"/\\[]:;|=,+*?<>@, no dot at the end, and not its own "
                      "accounts' names");
    if (!windows && (!matches(u->user, "[a-z_][a-z0-9_-]{0,31}") || g_strv_contains(taken, u->user)))
        return refuse(error, "the user's name", u->user,
                      "it begins with a small letter, has small letters, digits, - and _, at most 32, and is not a "
                      "system account's");
    return true;
}

static bool check_names(const struct unattended *u, GError **error)
{
    bool windows = u->kind == UNATTENDED_WINDOWS;
    if (!is_text(u->full_name) || strlen(u->full_name) > 200 || (!windows && strpbrk(u->full_name, ":,\\")))
        return refuse(error, "the full name", u->full_name,
                      windows ? "no control characters, at most 200 bytes"
                              : "no control characters, none of :,\\, at most 200 bytes");
    if (!matches(u->hostname, windows ? "(?!-)(?![0-9]+$)[A-Za-z0-9-]{1,15}(?<!-)" : "(?!-)[A-Za-z0-9-]{1,63}(?<!-)"))
        return refuse(error, "the host's name", u->hostname,
                      windows ? "letters, digits and - between them, at most 15, not digits alone"
                              : "letters, digits and - between them, at most 63");
    if (windows && !g_ascii_strcasecmp(u->hostname, u->user))
        return refuse(error, "the host's name", u->hostname, "Windows takes none that is the user's");
    return true;
}

/* Never shown. */
static bool check_password(const struct unattended *u, GError **error)
{
    bool windows = u->kind == UNATTENDED_WINDOWS;
    const char *why = !is_text(u->password)                  ? "is no text of one line"
                      : !*u->password && !windows            ? "is missing: this system's users have one"
                      : g_utf8_strlen(u->password, -1) > 127 ? "is longer than 127 characters"
                                                             : NULL;
    if (why)
        g_set_error(error, CONFIG_ERROR, CONFIG_VALUE, "the password %s (--password-file)", why);
    return !why;
}

static bool check_place(const struct unattended *u, GError **error)
{
    if (!matches(u->locale, "[a-z]{2,3}(_[A-Z]{2})?(\\.[A-Za-z0-9-]+)?(@[a-z]+)?"))
        return refuse(error, "the locale", u->locale, "it is written like de_DE.UTF-8");
    if (!matches(u->time_zone, "[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*"))
        return refuse(error, "the time zone", u->time_zone, "it is written like Europe/Berlin");
    if (!matches(u->keyboard, "[a-z]{2,10}(\\([a-zA-Z0-9_-]+\\))?"))
        return refuse(error, "the keyboard", u->keyboard, "it is a layout like de or us(intl)");
    return true;
}

static bool check_system(const struct unattended *u, GError **error)
{
    if (u->key && !matches(u->key, "[A-Za-z0-9]{5}(-[A-Za-z0-9]{5}){4}"))
        return refuse(error, "the product key", u->key, "it is five groups of five letters and digits");
    if ((u->key || u->edition) && u->kind != UNATTENDED_WINDOWS)
        return refuse(error, u->key ? "the product key" : "the edition", u->key ? u->key : u->edition,
                      "only Windows has one");
    if (u->drivers && (u->kind != UNATTENDED_WINDOWS || !g_file_test(u->drivers, G_FILE_TEST_IS_DIR)))
        return refuse(error, "the folder of drivers", u->drivers,
                      u->kind == UNATTENDED_WINDOWS ? "there is no such folder" : "only Windows takes one");
    if (u->edition && !is_text(u->edition))
        return refuse(error, "the edition", "...", "no control characters");
    if (!matches(u->mirror, "http://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*/?"))
        return refuse(error, "the mirror", u->mirror, "it is written like http://deb.debian.org/debian");
    if (!matches(u->packages, "[A-Za-z0-9+._@^ -]*"))
        return refuse(error, "the list of packages", u->packages, "names with spaces between");
    return true;
}

bool unattended_check(const struct unattended *u, GError **error)
{
    if (u->kind == UNATTENDED_NONE) {
        g_set_error(error, CONFIG_ERROR, CONFIG_VALUE, "there are no answers for this system's installer");
        return false;
    }
    return check_user(u, error) && check_names(u, error) && check_password(u, error) && check_place(u, error) &&
           check_system(u, error);
}
