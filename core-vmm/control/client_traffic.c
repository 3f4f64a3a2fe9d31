// SPDX-License-Identifier: GPL-2.0-or-later
/* client_traffic.c - what goes over a machine's network cards: how much of it may, and captures. */
#include "core-vmm/control/client_network.h"
#include "core-vmm/api/config.h"
#include "core-vmm/host/config_schema.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CALL_MS = 5000 };

/* ---- limits ---- */

struct unit {
    const char *name;
    double worth; /* in what machine.ini counts */
};
static const struct unit rates[] = {{"bit", .001},  {"k", 1},       {"kbit", 1},       {"M", 1000},
                                    {"Mbit", 1000}, {"G", 1000000}, {"Gbit", 1000000}, {NULL}};
static const struct unit times[] = {{"ms", 1}, {"s", 1000}, {NULL}};
static const struct unit parts[] = {{"%", 10}, {NULL}};
static const struct {
    const char *key;
    const struct unit *units;
} limits[] = {{"limit", rates},  {"group", NULL}, {"group-limit", rates}, {"delay", times},
              {"jitter", times}, {"loss", parts}, {"seed", NULL}};

/* What a number with one of the units is in machine.ini; one that is none, or so small that it would be none, stays as it is, for
 * the schema to complain about. */
static char *without_unit(const char *text, const struct unit *units)
{
    char *end;
    double n = g_ascii_strtod(text, &end);
    for (; units && units->name && end != text; units++)
        if (!g_ascii_strcasecmp(end, units->name) && (n <= 0 || n * units->worth >= .5))
            return g_strdup_printf("%.0f", n * units->worth);
    return g_strdup(text);
}

/* "key=value" of machine.ini, or "key"; NULL: there is no such limit. */
static char *setting_of(const char *given, GError **error)
{
    const char *equals = strchr(given, '=');
    g_autofree char *key = equals ? g_strndup(given, equals - given) : g_strdup(given);
    for (unsigned i = 0; i < G_N_ELEMENTS(limits); i++) {
        if (strcmp(key, limits[i].key))
            continue;
        if (!equals || !strcmp(equals + 1, "off"))
            return g_strdup(key);
        g_autofree char *value = without_unit(equals + 1, limits[i].units);
        return g_strdup_printf("%s=%s", key, value);
    }
    g_set_error(error, CONTROL_ERROR, CONTROL_USAGE,
                "%s is no limit; there are limit, group, group-limit, delay, jitter, loss and seed", key);
    return NULL;
}

static char **settings_of(char **given, GError **error)
{
    g_autoptr(GStrvBuilder) all = g_strv_builder_new();
    bool off = given[0] && !given[1] && !strcmp(given[0], "off");
    for (unsigned i = 0; off && i < G_N_ELEMENTS(limits); i++)
        g_strv_builder_add(all, limits[i].key);
    for (char **g = given; *g && !off; g++) {
        g_autofree char *one = setting_of(*g, error);
        if (!one)
            return NULL;
        g_strv_builder_add(all, one);
    }
    return g_strv_builder_end(all);
}

static char *find_setting(char **settings, const char *key)
{
    for (char **s = settings; *s; s++)
        if (g_str_has_prefix(*s, key) && strchr("=", (*s)[strlen(key)]))
            return *s;
    return NULL;
}

static char *group_of(GKeyFile *file, const char *card)
{
    const struct config c = {file, "machine.ini", card};
    const struct schema_section *s = schema_find_section(card);
    return s && !strcmp(s->name, "nic") ? config_string(&c, "group") : NULL;
}

/* All cards in a group say the same of it. */
static bool tell_group(const char *name, const char *card, char *setting, enum settings_count *count, GError **error)
{
    g_autoptr(GKeyFile) file = machines_settings(name, error);
    g_autofree char *group = file ? group_of(file, card) : NULL;
    g_auto(GStrv) sections = file ? g_key_file_get_groups(file, NULL) : NULL;
    bool good = file != NULL;
    for (char **s = sections; s && group && *s && good; s++) {
        g_autofree char *other = strcmp(*s, card) ? group_of(file, *s) : NULL;
        enum settings_count its = *count;
        good = g_strcmp0(other, group) || network_set(name, *s, (char *[]){setting, NULL}, &its, error);
        *count = MAX(*count, its); /* the last of them to count */
    }
    return good;
}

/* A limit is of a card that is there: it does not make one. */
static bool has_card(const char *name, const char *card, GError **error)
{
    g_autoptr(GKeyFile) file = machines_settings(name, error);
    if (file && !g_key_file_has_group(file, card))
        g_set_error(error, CONTROL_ERROR, CONTROL_NOT_FOUND, "%s has no network card %s", name, card);
    return file && g_key_file_has_group(file, card);
}

bool network_limit(const char *name, const char *card, char **given, enum settings_count *count, GError **error)
{
    g_auto(GStrv) settings = has_card(name, card, error) ? settings_of(given, error) : NULL;
    char *group_limit = settings ? find_setting(settings, "group-limit") : NULL;
    const char *group = settings ? find_setting(settings, "group") : NULL;
    bool leaves = group && !strchr(group, '=');
    return settings && network_set(name, card, settings, count, error) &&
           (!group_limit || leaves || tell_group(name, card, group_limit, count, error));
}

/* ---- captures ---- */

/* A new file, or a pipe that somebody reads; *made: it was not there before. */
static int open_capture(const char *path, bool *made, GError **error)
{
    struct stat st;
    bool pipe = !stat(path, &st) && S_ISFIFO(st.st_mode);
    int fd = pipe ? open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC)
                  : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0600);
    *made = fd >= 0 && !pipe;
    if (fd >= 0)
        return fd;
    if (errno == EEXIST)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS,
                    "%s is there already: a capture goes into a new file, or into a named pipe that somebody reads",
                    path);
    else if (errno == ENXIO)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "nobody reads the pipe %s", path);
    else
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s", path, g_strerror(errno));
    return -1;
}

static JsonObject *ask(const char *name, const char *command, const char *card, const char *file, int fd,
                       GError **error)
{
    struct client *c = network_connect(name, error);
    if (!c)
        return NULL;
    JsonObject *args = json_object_new();
    json_object_set_string_member(args, "card", card);
    if (file)
        json_object_set_string_member(args, "file", file);
    JsonObject *o = client_call_fds(c, command, args, &fd, file ? 1 : 0, NULL, NULL, CALL_MS, error);
    client_free(c);
    return o;
}

JsonObject *network_capture_start(const char *name, const char *card, const char *file, GError **error)
{
    g_autofree char *path = g_canonicalize_filename(file, NULL), *shown = g_filename_display_name(path);
    bool made;
    int fd = open_capture(path, &made, error);
    JsonObject *o = fd >= 0 ? ask(name, "capture.start", card, shown, fd, error) : NULL;
    if (!o && made)
        unlink(path);
    if (fd >= 0)
        close(fd);
    return o;
}

JsonObject *network_capture_stop(const char *name, const char *card, GError **error)
{
    return ask(name, "capture.stop", card, NULL, -1, error);
}
