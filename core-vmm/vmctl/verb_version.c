// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_version.c - vmctl version. */
#include "core-vmm/vmctl/verbs.h"
#include <stdio.h>

static int version(const struct verb *v, int argc, char **argv)
{
    g_autofree char *output = NULL;
    enum output how;
    int code;
    const GOptionEntry entries[] = {
        {"output", 'o', 0, G_OPTION_ARG_STRING, &output, "table or json", "HOW"},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 0, 0, &code) || !output_parse(output, &how, &code))
        return code;
    if (how != OUTPUT_JSON) {
        printf("vmctl (Terrarium) %s\n", TERRARIUM_VERSION);
        return EXIT_CODE_OK;
    }
    JsonObject *o = json_object_new();
    json_object_set_string_member(o, "version", TERRARIUM_VERSION);
    print_json(o);
    return EXIT_CODE_OK;
}

const struct verb verb_version = {"version", "", "which version this is", "  vmctl version -o json", version};
