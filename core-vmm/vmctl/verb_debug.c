// SPDX-License-Identifier: GPL-2.0-or-later
#include "verbs.h"

static int debug(const struct verb *v, int argc, char **argv)
{
    int code, cpu = 0;
    const GOptionEntry entries[] = {
        {"cpu", 0, 0, G_OPTION_ARG_INT, &cpu, "Which CPU (0)", "N"},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 1, 1, &code))
        return code;
    struct client *c = machine_connect(argv[1], NULL, &code);
    if (!c)
        return code;
    JsonObject *args = json_object_new();
    json_object_set_int_member(args, "cpu", cpu);
    JsonObject *o = machine_call(c, "debug.cpu", args, &code);
    if (o)
        print_json(o);
    client_free(c);
    return code;
}

const struct verb verb_debug = {"debug", "NAME", "show a CPU's registers, as JSON", "  vmctl debug demo --cpu 1",
                                debug};
