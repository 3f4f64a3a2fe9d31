// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_keys.c - vmctl keys. */
#include "core-vmm/vmctl/verbs.h"

static int keys(const struct verb *v, int argc, char **argv)
{
    int code = EXIT_CODE_OK;
    if (!verb_options(v, NULL, &argc, &argv, 2, -1, &code))
        return code;
    struct client *c = machine_connect(argv[1], NULL, &code);
    if (!c)
        return code;
    for (int i = 2; i < argc && !code; i++) {
        JsonObject *args = json_object_new();
        json_object_set_string_member(args, "keys", argv[i]);
        JsonObject *o = machine_call(c, "input.keys", args, &code);
        g_clear_pointer(&o, json_object_unref);
    }
    client_free(c);
    return code;
}

const struct verb verb_keys = {"keys", "NAME KEYS...", "press keys, together by + and one after another",
                               "  vmctl keys demo ctrl+alt+delete\n  vmctl keys demo down down enter", keys};
