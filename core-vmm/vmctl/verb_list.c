// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_list.c - vmctl list. */
#include "core-vmm/vmctl/verbs.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/api/config.h"
#include "core-vmm/host/fresh.h"
#include "core-vmm/host/paths.h"
#include <stdio.h>
#include <unistd.h>

struct row {
    const char *name;
    char *state, *engine, *memory;
};

/* A VM that does not answer at once is still listed. */
#define ANSWER_MS 2000

static void ask(struct row *r, const char *name)
{
    struct client *c = client_connect(name, NULL);
    JsonObject *o = c ? client_call(c, "info", NULL, ANSWER_MS, NULL) : NULL;
    r->state = g_strdup(o ? answer_text(o, "state", "?") : "no answer");
    r->engine = g_strdup(o ? answer_text(o, "engine", "") : "");
    g_clear_pointer(&o, json_object_unref);
    client_free(c);
}

static void fill(struct row *r, const char *name)
{
    g_autofree char *folder = machine_folder_of(name), *ini = g_build_filename(folder, "machine.ini", NULL);
    g_autoptr(GKeyFile) file = schema_load(ini, NULL);
    struct config c = {file, ini, "machine"};
    uint64_t bytes = 0;
    r->name = name;
    if (file && config_size(&c, "memory", UINT64_C(1) << 30, &bytes, NULL))
        r->memory = size_format(bytes);
    if (machine_lock_holder(folder))
        ask(r, name);
    else
        r->state = g_strdup(file ? "stopped" : access(ini, F_OK) ? "no machine.ini" : "bad machine.ini");
}

static void print_row(const struct row *r, enum output how, JsonArray *list)
{
    if (how == OUTPUT_NAME) {
        print("%s\n", r->name);
    } else if (how == OUTPUT_TABLE) {
        print("%-24s %-10s %-8s %s\n", r->name, r->state, r->engine ? r->engine : "-", r->memory ? r->memory : "-");
    } else {
        JsonObject *o = json_object_new();
        uint64_t bytes;
        json_object_set_string_member(o, "name", r->name);
        json_object_set_string_member(o, "state", r->state);
        if (r->engine)
            json_object_set_string_member(o, "engine", r->engine);
        if (r->memory && size_parse(r->memory, &bytes))
            json_object_set_int_member(o, "memory", bytes);
        json_array_add_object_element(list, o);
    }
}

static void print_all(GPtrArray *names, enum output how, bool running)
{
    JsonArray *list = json_array_new();
    if (how == OUTPUT_TABLE && names->len)
        printf("%-24s %-10s %-8s %s\n", "NAME", "STATE", "ENGINE", "MEMORY");
    for (unsigned i = 0; i < names->len; i++) {
        struct row r = {0};
        fill(&r, names->pdata[i]);
        if (!running || r.engine)
            print_row(&r, how, list);
        g_free(r.state);
        g_free(r.engine);
        g_free(r.memory);
    }
    JsonObject *o = json_object_new();
    json_object_set_array_member(o, "machines", list);
    if (how == OUTPUT_JSON)
        print_json(o);
    else
        json_object_unref(o);
}

static int list(const struct verb *v, int argc, char **argv)
{
    g_autofree char *output = NULL;
    gboolean running = FALSE;
    enum output how;
    int code;
    const GOptionEntry entries[] = {
        {"running", 'r', 0, G_OPTION_ARG_NONE, &running, "Only those that run", NULL},
        {"output", 'o', 0, G_OPTION_ARG_STRING, &output, "table, json or name", "HOW"},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 0, 0, &code) || !output_parse(output, &how, &code))
        return code;
    g_autoptr(GError) error = NULL;
    g_autofree char *machines = paths_machines();
    fresh_clean(machines, FRESH_NEW);
    fresh_clean(machines, FRESH_GONE);
    g_autoptr(GPtrArray) names = paths_list(&error);
    if (!names)
        return fail_error(error);
    print_all(names, how, running);
    return EXIT_CODE_OK;
}

const struct verb verb_list = {"list", "", "show all machines", "  vmctl list --running\n  vmctl list -o json", list};
