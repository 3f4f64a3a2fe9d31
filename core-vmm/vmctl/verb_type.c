// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_type.c - vmctl type. */
#include "core-vmm/vmctl/verbs.h"

static int type(const struct verb *v, int argc, char **argv)
{
    gboolean enter = FALSE;
    const GOptionEntry entries[] = {
        {"enter", 'e', 0, G_OPTION_ARG_NONE, &enter, "Press Enter at the end", NULL},
        {NULL},
    };
    int code;
    if (!verb_options(v, entries, &argc, &argv, 2, -1, &code))
        return code;
    g_autofree char *words = g_strjoinv(" ", argv + 2), *text = g_strconcat(words, enter ? "\n" : NULL, NULL);
    if (!g_utf8_validate(text, -1, NULL))
        return fail(EXIT_CODE_USAGE, "the text is not valid UTF-8");
    JsonObject *args = json_object_new();
    json_object_set_string_member(args, "text", text);
    return machine_command(argv[1], "input.text", args);
}

const struct verb verb_type = {"type", "NAME TEXT...", "type text on the guest's keyboard (US layout)",
                               "  vmctl type demo root --enter\n  vmctl type demo -- ls -l", type};
