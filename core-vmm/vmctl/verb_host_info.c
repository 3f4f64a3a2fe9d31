// SPDX-License-Identifier: GPL-2.0-or-later
/* The VM program measures its engines; here its answer is shown. */
#include "core-vmm/install/host_probe.h"
#include "core-vmm/vmctl/verbs.h"
#include "core-vmm/api/config.h"
#include <stdio.h>
#include <string.h>

/* A reason begins with the engine's name, which stands before it here. */
static const char *bare_reason(JsonObject *o, const char *engine, const char *member)
{
    const char *reason = answer_text(o, member, "?");
    size_t n = strlen(engine);
    return g_str_has_prefix(reason, engine) && g_str_has_prefix(reason + n, ": ") ? reason + n + 2 : reason;
}

static void print_engine(JsonObject *o)
{
    const char *engine = answer_text(o, "engine", "?");
    print("engine %-8s %s: %s\n", engine, answer_flag(o, "usable") ? "usable" : "not usable",
          bare_reason(o, engine, "reason"));
}

static void print_table(JsonObject *o)
{
    g_autofree char *memory = size_format(answer_number(o, "memory", 0, G_MAXINT64, 0) >> 20 << 20);
    JsonArray *engines = answer_array(o, "engines");
    const char *chosen = answer_text(o, "auto", "?");
    printf("cpus            %" G_GINT64_FORMAT "\n", answer_number(o, "cpus", 0, G_MAXINT64, 0));
    printf("memory          %s\n", memory);
    for (unsigned i = 0; i < answer_count(engines); i++)
        print_engine(answer_element(engines, i));
    printf("auto chooses    %s: %s\n", chosen, bare_reason(o, chosen, "auto-reason"));
    json_object_unref(o);
}

static int host_info(const struct verb *v, int argc, char **argv)
{
    g_autofree char *output = NULL;
    g_autoptr(GError) error = NULL;
    enum output how;
    int code;
    const GOptionEntry entries[] = {
        {"output", 'o', 0, G_OPTION_ARG_STRING, &output, "table or json", "HOW"},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 0, 0, &code) || !output_parse(output, &how, &code))
        return code;
    JsonObject *o = host_probe(&error);
    if (!o)
        return fail_error(error);
    if (how == OUTPUT_JSON)
        print_json(o);
    else
        print_table(o);
    return EXIT_CODE_OK;
}

const struct verb verb_host_info = {"host-info", "", "show which engines work on this host, and why",
                                    "  vmctl host-info -o json", host_info};
