// SPDX-License-Identifier: GPL-2.0-or-later
/* client_limits.c - see client_limits.h. */
#include "core-vmm/control/client_limits.h"
#include "core-vmm/api/config.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/machines.h"
#include <string.h>

#define CALL_MS 5000

bool limits_concern(const char *setting)
{
    return strstr(setting, ".cpu-limit") || strstr(setting, ".limit-");
}

static bool tell(struct client *c, const char *command, JsonObject *args, GError **error)
{
    JsonObject *o = client_call(c, command, args, CALL_MS, error);
    if (o)
        json_object_unref(o);
    return o;
}

static bool tell_drive(struct client *c, const struct config *s, GError **error)
{
    JsonObject *args = json_object_new();
    uint64_t bytes = 0;
    int64_t operations = 0;
    config_size(s, "limit-bytes", &bytes, NULL);
    config_number(s, "limit-operations", &operations, NULL);
    json_object_set_string_member(args, "drive", s->section);
    json_object_set_int_member(args, "bytes", bytes);
    json_object_set_int_member(args, "operations", operations);
    return tell(c, "limits.drive", args, error);
}

/* Drives that were added to machine.ini since the start are not there yet. */
static bool tell_all(struct client *c, GKeyFile *file, const char *ini, GError **error)
{
    const struct config machine = {file, ini, "machine"};
    JsonObject *args = json_object_new();
    int64_t percent = 0;
    config_number(&machine, "cpu-limit", &percent, NULL);
    json_object_set_int_member(args, "percent", percent);
    bool good = tell(c, "limits.cpu", args, error);
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    for (char **s = sections; *s && good; s++) {
        const struct schema_section *section = schema_find_section(*s);
        const struct config one = {file, ini, *s};
        g_autoptr(GError) why = NULL;
        good = !section || !section->drive || tell_drive(c, &one, &why) ||
               g_error_matches(why, CONTROL_ERROR, CONTROL_NOT_FOUND);
        if (!good)
            g_propagate_error(error, g_steal_pointer(&why));
    }
    return good;
}

bool limits_tell(const char *name, GError **error)
{
    g_autofree char *ini = machines_ini(name);
    g_autoptr(GKeyFile) file = machines_settings(name, error);
    struct client *c = file ? client_connect(name, error) : NULL;
    bool good = c && tell_all(c, file, ini, error);
    client_free(c);
    return good;
}
