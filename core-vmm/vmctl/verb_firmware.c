// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_firmware.c - vmctl firmware. */
#include "core-vmm/host/machine_firmware.h"
#include "core-vmm/vmctl/verbs.h"
#include <string.h>

static void add_names(JsonObject *o, const char *key, const struct firmware_list *l)
{
    JsonArray *list = json_array_new();
    g_autofree char *others = g_strdup_printf("%s-others", key);
    for (char **n = l->names; n && *n; n++)
        json_array_add_string_element(list, *n);
    json_object_set_array_member(o, key, list);
    json_object_set_int_member(o, others, l->others);
}

static JsonObject *object_of(const struct machine_firmware *f)
{
    JsonObject *o = json_object_new();
    json_object_set_string_member(o, "firmware", f->kind);
    json_object_set_string_member(o, "image", f->image);
    json_object_set_boolean_member(o, "variables-kept", f->variables);
    if (!f->there)
        return o;
    json_object_set_int_member(o, "variables", f->count);
    json_object_set_boolean_member(o, "secure-boot", f->secure_boot);
    json_object_set_boolean_member(o, "platform-key", f->keyed);
    add_names(o, "pk", &f->pk);
    add_names(o, "kek", &f->kek);
    add_names(o, "db", &f->db);
    return o;
}

static void print_names(const char *what, const struct firmware_list *l)
{
    for (char **n = l->names; *n; n++)
        print("%-12s %s\n", n == l->names ? what : "", *n);
    if (l->others)
        print("%-12s %u without a name: digests of programs, or keys that are no X.509 certificates\n",
              *l->names ? "" : what, l->others);
}

static void print_table(const struct machine_firmware *f)
{
    print("firmware     %s\nimage        %s\n", f->kind, f->image);
    if (!f->variables)
        return;
    if (!f->there) {
        print("variables    none yet: they are made at the first start\n");
        return;
    }
    print("variables    %u\nsecure boot  %s\n", f->count,
          f->secure_boot ? "on"
          : f->keyed     ? "off (there are keys, but it is switched off in the firmware's setup)"
                         : "off (no platform key)");
    print_names("PK", &f->pk);
    print_names("KEK", &f->kek);
    print_names("db", &f->db);
}

static int info(const char *given, enum output how)
{
    int code;
    g_autofree char *name = machine_resolve(given, &code);
    g_autoptr(GError) error = NULL;
    struct machine_firmware *f = name ? machines_firmware(name, &error) : NULL;
    if (!name)
        return code;
    if (!f)
        return fail_error(error);
    if (how == OUTPUT_JSON)
        print_json(object_of(f));
    else
        print_table(f);
    machine_firmware_free(f);
    return EXIT_CODE_OK;
}

static int renew(const char *name, const struct firmware_enrol *enrol)
{
    g_autoptr(GError) error = NULL;
    if (!machines_firmware_reset(name, enrol, &error))
        return fail_error(error);
    for (guint i = 0; enrol && i < enrol->missing->len; i++)
        note("vmctl: the certificate \"%s\" is not on this host (package python3-virt-firmware, or give it with %s)",
             (char *)enrol->missing->pdata[i], strstr(enrol->missing->pdata[i], "KEK") ? "--kek" : "--db");
    return EXIT_CODE_OK;
}

static int firmware(const struct verb *v, int argc, char **argv)
{
    g_autofree char *output = NULL;
    g_auto(GStrv) kek = NULL, db = NULL;
    enum output how;
    int code;
    const GOptionEntry entries[] = {
        {"kek", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &kek, "enroll: one more certificate that may change db", "FILE"},
        {"db", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &db, "enroll: one more certificate of programs that may be started",
         "FILE"},
        {"output", 'o', 0, G_OPTION_ARG_STRING, &output, "Of info: table or json", "HOW"},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 2, 2, &code) || !output_parse(output, &how, &code))
        return code;
    bool enroll = !strcmp(argv[1], "enroll");
    if ((kek || db) && !enroll)
        return fail(EXIT_CODE_USAGE, "--kek and --db are for vmctl firmware enroll");
    if (!strcmp(argv[1], "info"))
        return info(argv[2], how);
    if (!strcmp(argv[1], "reset"))
        return renew(argv[2], NULL);
    if (!enroll)
        return fail(EXIT_CODE_USAGE, "there is no vmctl firmware %s; there are info, reset and enroll", argv[1]);
    g_autoptr(GPtrArray) missing = g_ptr_array_new_with_free_func(g_free);
    const struct firmware_enrol enrol = {kek, db, missing};
    return renew(argv[2], &enrol);
}

const struct verb verb_firmware = {
    "firmware", "info|reset|enroll NAME", "what a machine's UEFI remembers, and to begin anew",
    "  vmctl firmware info demo\n  vmctl firmware reset demo     as at its first start\n"
    "  vmctl firmware enroll demo --db mine.pem     Secure Boot, with one more certificate",
    firmware};
