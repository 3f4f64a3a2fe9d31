// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_set.c - vmctl set. */
#include "core-vmm/vmctl/verbs.h"
#include "core-vmm/host/config_error.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/paths.h"
#include <stdio.h>

static bool unset(GKeyFile *file, const char *path, const char *what, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(what, ".", 2);
    if (!schema_find_section(parts[0] ? parts[0] : "") || (parts[1] && !schema_find(parts[0], parts[1], error))) {
        if (error && !*error)
            g_set_error(error, CONFIG_ERROR, CONFIG_UNKNOWN, "%s: there is no section [%s]", path, parts[0]);
        return false;
    }
    if (parts[1])
        g_key_file_remove_key(file, parts[0], parts[1], NULL);
    else
        g_key_file_remove_group(file, parts[0], NULL);
    return true;
}

static bool change(const char *ini, char **assignments, char **unsets, GError **error)
{
    g_autoptr(GKeyFile) file = schema_load(ini, error);
    if (!file)
        return false;
    for (; *assignments; assignments++)
        if (!settings_set(file, ini, *assignments, error))
            return false;
    for (; unsets && *unsets; unsets++)
        if (!unset(file, ini, *unsets, error))
            return false;
    g_autofree char *folder = g_path_get_dirname(ini);
    return schema_check_together(file, ini, folder, error) && settings_write(file, ini, error);
}

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

static int change_machine(const char *given, char **assignments, char **unsets)
{
    g_autoptr(GError) error = NULL;
    int code;
    g_autofree char *name = machine_resolve(given, &code);
    if (!name)
        return code;
    g_autofree char *folder = machine_folder_of(name), *ini = g_build_filename(folder, "machine.ini", NULL);
    if (!change(ini, assignments, unsets, &error))
        return fail_error(error);
    if (machine_lock_holder(folder))
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
