// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_list.c - vmctl list. */
#include "core-vmm/vmctl/verbs.h"
#include "core-vmm/api/config.h"
#include <stdio.h>

struct row {
    const struct machine_entry *entry;
    char *state, *engine, *memory;
};

/* A VM that does not answer at once is still listed. */
#define ANSWER_MS 2000

static void ask(struct row *r)
{
    JsonObject *o = client_info(r->entry->name, ANSWER_MS, NULL);
    r->state = g_strdup(o ? answer_text(o, "state", "?") : "no answer");
    r->engine = g_strdup(o ? answer_text(o, "engine", "") : "");
    g_clear_pointer(&o, json_object_unref);
}

static void fill(struct row *r, const struct machine_entry *e)
{
    static const char *const states[] = {
        [ENTRY_STOPPED] = "stopped", [ENTRY_DAMAGED] = "bad machine.ini", [ENTRY_NO_INI] = "no machine.ini"};
    r->entry = e;
    if (e->memory)
        r->memory = size_format(e->memory);
    if (e->state == ENTRY_RUNS)
        ask(r);
    else
        r->state = g_strdup(e->saved && e->state == ENTRY_STOPPED ? "saved" : states[e->state]);
}

static void print_row(const struct row *r, enum output how, JsonArray *list)
{
    if (how == OUTPUT_NAME) {
        print("%s\n", r->entry->name);
    } else if (how == OUTPUT_TABLE) {
        print("%-24s %-10s %-8s %s\n", r->entry->name, r->state, r->engine ? r->engine : "-",
              r->memory ? r->memory : "-");
    } else {
        JsonObject *o = json_object_new();
        json_object_set_string_member(o, "name", r->entry->name);
        json_object_set_string_member(o, "state", r->state);
        if (r->engine)
            json_object_set_string_member(o, "engine", r->engine);
        if (r->memory)
            json_object_set_int_member(o, "memory", r->entry->memory);
        json_array_add_object_element(list, o);
    }
}

static void print_all(GPtrArray *machines, enum output how, bool running)
{
    JsonArray *list = json_array_new();
    if (how == OUTPUT_TABLE && machines->len)
        printf("%-24s %-10s %-8s %s\n", "NAME", "STATE", "ENGINE", "MEMORY");
    for (unsigned i = 0; i < machines->len; i++) {
        struct row r = {0};
        fill(&r, machines->pdata[i]);
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
    g_autoptr(GPtrArray) machines = machines_list(&error);
    if (!machines)
        return fail_error(error);
    print_all(machines, how, running);
    return EXIT_CODE_OK;
}

const struct verb verb_list = {"list", "", "show all machines", "  vmctl list --running\n  vmctl list -o json", list};
