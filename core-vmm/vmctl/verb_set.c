// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_set.c - vmctl set. */
#include "core-vmm/vmctl/verbs.h"
#include "core-vmm/control/client_limits.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/paths.h"
#include <stdio.h>

static void list_keys(void)
{
    for (const struct schema_section *s = schema_sections(); s->name; s++) {
        if (s->count)
            printf("[%s%u] to [%s%u]: %s\n", s->name, s->first, s->name, s->first + s->count - 1, s->help);
        else
            printf("[%s]: %s\n", s->name, s->help);
        for (const struct schema_key *k = s->keys; k->name; k++) {
            g_autofree char *type = schema_describe_type(k);
            printf("  %-15s %s (%s%s%s)\n", k->name, k->help, type, k->otherwise ? "; default " : "",
                   k->otherwise ? k->otherwise : "");
        }
    }
}

static bool concern_limits(char **settings)
{
    bool any = false;
    for (; settings && *settings && !any; settings++)
        any = limits_concern(*settings);
    return any;
}

static int change_machine(const char *given, char **assignments, char **removals)
{
    g_autoptr(GError) error = NULL;
    enum settings_count count;
    int code;
    g_autofree char *name = machine_resolve(given, &code);
    if (!name)
        return code;
    if (!machines_change(name, assignments, removals, &count, &error))
        return fail_error(error);
    g_autofree char *folder = machines_folder(name);
    bool tell = concern_limits(assignments) || concern_limits(removals);
    if (tell && machine_lock_holder(folder) && !limits_tell(name, &error))
        return fail_error(error);
    if (count == SETTINGS_COUNT_FROM_NEXT_START)
        note("%s is running: the change counts from its next start", name);
    return EXIT_CODE_OK;
}

static int set(const struct verb *v, int argc, char **argv)
{
    g_auto(GStrv) unsets = NULL;
    gboolean keys = FALSE;
    int code;
    const GOptionEntry entries[] = {
        {"unset", 'u', 0, G_OPTION_ARG_STRING_ARRAY, &unsets, "Remove a key or a whole section; repeatable",
         "SECTION[.KEY]"},
        {"keys", 0, 0, G_OPTION_ARG_NONE, &keys, "List all settings there are", NULL},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 0, -1, &code))
        return code;
    if (keys)
        list_keys();
    else if (argc < 2 || (argc < 3 && !unsets))
        return fail(EXIT_CODE_USAGE, "usage: vmctl set %s; vmctl set --keys lists what can be set", v->args);
    return keys ? EXIT_CODE_OK : change_machine(argv[1], argv + 2, unsets);
}

const struct verb verb_set = {"set", "NAME SECTION.KEY=VALUE...", "change a machine's settings",
                              "  vmctl set demo machine.memory=4G machine.cpus=2\n"
                              "  vmctl set demo serial1.target=pty\n"
                              "  vmctl set demo --unset ide2",
                              set};
