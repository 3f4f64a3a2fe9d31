// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_info.c - vmctl info. */
#include "core-vmm/host/machine_autostart.h"
#include "core-vmm/vmctl/verbs.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/api/config.h"
#include "core-vmm/host/machine_installed.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/host/snapshots.h"
#include <stdio.h>

#define ANSWER_MS 5000

/* Settings as they count: those of the file, and the defaults of keys that are missing in sections that are there. */
static JsonObject *settings_object(GKeyFile *file)
{
    JsonObject *all = json_object_new();
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    for (char **s = sections; *s; s++) {
        JsonObject *o = json_object_new();
        for (const struct schema_key *k = schema_find_section(*s)->keys; k->name; k++) {
            g_autofree char *value = g_key_file_get_string(file, *s, k->name, NULL);
            if (value || k->otherwise)
                json_object_set_string_member(o, k->name, value ? value : k->otherwise);
        }
        json_object_set_object_member(all, *s, o);
    }
    return all;
}

static JsonObject *running_object(const char *name)
{
    g_autoptr(GError) error = NULL;
    JsonObject *o = client_info(name, ANSWER_MS, &error);
    if (!o)
        note("vmctl: %s runs, but tells nothing about itself: %s", name, error->message);
    return o;
}

/* Bytes in use and at most. */
static void print_use(const char *name, JsonObject *o, const char *indent)
{
    const double mib = 1 << 20;
    print("%s%-16s %.1f MiB of at most %.1f MiB\n", indent, name, answer_number(o, "used", 0, G_MAXINT64, 0) / mib,
          answer_number(o, "limit", 0, G_MAXINT64, 0) / mib);
}

static void print_value(JsonObject *o, const char *name, const char *indent)
{
    g_autofree char *text = answer_shown(o, name);
    if (answer_has(answer_object(o, name), "limit"))
        print_use(name, answer_object(o, name), indent);
    else if (text)
        print("%s%-16s %s\n", indent, name, text);
}

static void print_object(JsonObject *o, const char *indent)
{
    g_autoptr(GList) names = json_object_get_members(o);
    for (GList *l = names; l; l = l->next)
        print_value(o, l->data, indent);
}

/* What the guest tells of itself; it may tell anything. */
static void print_guest(JsonObject *guest)
{
    JsonArray *addresses = answer_array(guest, "addresses");
    print("  guest\n");
    print_object(guest, "    ");
    for (unsigned n = 0; n < answer_count(addresses); n++)
        print("    %-16s %s\n", n ? "" : "addresses", answer_element_text(addresses, n));
}

static void print_running(JsonObject *running)
{
    print_object(running, "  ");
    if (answer_has(running, "guest"))
        print_guest(answer_object(running, "guest"));
    if (answer_has(running, "sound")) {
        print("  sound\n");
        print_object(answer_object(running, "sound"), "    ");
    }
}

static void print_table(JsonObject *o)
{
    JsonObject *settings = answer_object(o, "settings");
    print_object(o, "");
    network_print(answer_object(o, "network"));
    if (answer_has(o, "saved"))
        print_object(answer_object(o, "saved"), "  ");
    if (answer_has(o, "running"))
        print_running(answer_object(o, "running"));
    g_autoptr(GList) sections = json_object_get_members(settings);
    for (GList *l = sections; l; l = l->next) {
        print("[%s]\n", (char *)l->data);
        print_object(answer_object(settings, l->data), "  ");
    }
    json_object_unref(o);
}

static JsonObject *saved_object(const struct machine_saved *s)
{
    JsonObject *o = json_object_new();
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(s->time);
    g_autofree char *text = g_date_time_format_iso8601(time);
    json_object_set_string_member(o, "time", text);
    json_object_set_int_member(o, "bytes", s->bytes);
    return o;
}

static JsonObject *describe(const char *name, GError **error)
{
    g_autofree char *folder = machines_folder(name);
    g_autoptr(GError) unfinished = NULL;
    bool settled = snapshots_settle_if_pending(folder, &unfinished);
    g_autoptr(GKeyFile) file = machines_settings(name, error);
    if (!file)
        return NULL;
    struct machine_saved state;
    bool runs = machine_lock_holder(folder) != 0, saved = saved_look(name, &state);
    JsonObject *running = runs ? running_object(name) : NULL, *o = json_object_new();
    json_object_set_string_member(o, "name", name);
    json_object_set_string_member(o, "folder", folder);
    json_object_set_string_member(o, "state",
                                  running ? answer_text(running, "state", "?")
                                  : runs  ? "no answer"
                                  : saved ? "saved"
                                          : "stopped");
    if (!settled) /* what follows may be as it was before */
        json_object_set_string_member(o, "unfinished-change", unfinished->message);
    if (is_installing(folder))
        json_object_set_boolean_member(o, "installing", true);
    if (saved && !runs)
        json_object_set_object_member(o, "saved", saved_object(&state));
    if (running)
        json_object_set_object_member(o, "running", running);
    json_object_set_boolean_member(o, "autostart", machine_autostart_get(name));
    JsonObject *network = network_list(name, NULL);
    if (network && network_card(network, 0))
        json_object_set_object_member(o, "network", network);
    else if (network)
        json_object_unref(network);
    json_object_set_object_member(o, "settings", settings_object(file));
    return o;
}

static int info(const struct verb *v, int argc, char **argv)
{
    g_autofree char *output = NULL;
    enum output how;
    int code;
    const GOptionEntry entries[] = {
        {"output", 'o', 0, G_OPTION_ARG_STRING, &output, "table or json", "HOW"},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 1, 1, &code) || !output_parse(output, &how, &code))
        return code;
    g_autofree char *name = machine_resolve(argv[1], &code);
    g_autoptr(GError) error = NULL;
    JsonObject *o = name ? describe(name, &error) : NULL;
    if (error)
        return fail_error(error);
    if (!o)
        return code;
    if (how == OUTPUT_JSON)
        print_json(o);
    else
        print_table(o);
    return EXIT_CODE_OK;
}

const struct verb verb_info = {"info", "NAME", "show a machine's settings and state", "  vmctl info demo -o json",
                               info};
