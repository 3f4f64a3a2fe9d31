// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_guestinfo.c - vmctl guestinfo: texts that guest and host both read and set. */
#include "core-vmm/vmctl/verbs.h"

static int show(struct client *c, JsonObject *args)
{
    int code;
    g_autoptr(JsonObject) o = machine_call(c, "guestinfo.get", args, &code);
    if (o)
        print("%s\n", answer_text(o, "value", ""));
    return code;
}

static int set(struct client *c, JsonObject *args, const char *value)
{
    int code;
    json_object_set_string_member(args, "value", value);
    g_autoptr(JsonObject) o = machine_call(c, "guestinfo.set", args, &code);
    return code;
}

static int guestinfo(const struct verb *v, int argc, char **argv)
{
    int code;
    if (!verb_options(v, NULL, &argc, &argv, 2, 3, &code))
        return code;
    if (!g_utf8_validate(argv[2], -1, NULL) || (argc > 3 && !g_utf8_validate(argv[3], -1, NULL)))
        return fail(EXIT_CODE_USAGE, "keys and values are UTF-8");
    struct client *c = machine_connect(argv[1], NULL, &code);
    if (!c)
        return code;
    JsonObject *args = json_object_new();
    json_object_set_string_member(args, "key", argv[2]);
    code = argc > 3 ? set(c, args, argv[3]) : show(c, args);
    client_free(c);
    return code;
}

const struct verb verb_guestinfo = {"guestinfo", "NAME KEY [VALUE]",
                                    "show or set a text that the guest may read and set",
                                    "  vmctl guestinfo demo role web", guestinfo};
