// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_plug.c - vmctl plug and vmctl unplug. */
#include "core-vmm/vmctl/verbs.h"

#define PATIENCE  10.0
#define ANSWER_MS 5000

static int plug(const struct verb *v, int argc, char **argv)
{
    int code;
    if (!verb_options(v, NULL, &argc, &argv, 2, -1, &code))
        return code;
    JsonObject *args = json_object_new();
    json_object_set_string_member(args, "section", argv[2]);
    if (argc > 3) {
        g_autofree char *settings = g_strjoinv("\n", argv + 3);
        json_object_set_string_member(args, "settings", settings);
    }
    return machine_command(argv[1], "device.plug", args);
}

static int unplug(const struct verb *v, int argc, char **argv)
{
    gboolean force = FALSE;
    double patience = PATIENCE;
    const GOptionEntry entries[] = {
        {"force", 'f', 0, G_OPTION_ARG_NONE, &force, "Pull it out, whatever the guest does with it", NULL},
        {"timeout", 't', 0, G_OPTION_ARG_DOUBLE, &patience, "How long the guest may take (10)", "SECONDS"},
        {NULL},
    };
    int code;
    if (!verb_options(v, entries, &argc, &argv, 2, 2, &code))
        return code;
    if (!(patience >= 0 && patience < 1e6))
        return fail(EXIT_CODE_USAGE, "--timeout: seconds from 0");
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) answer = NULL;
    struct client *c = machine_connect(argv[1], NULL, &code);
    if (!c)
        return code;
    JsonObject *args = json_object_new();
    json_object_set_string_member(args, "section", argv[2]);
    json_object_set_boolean_member(args, "force", force);
    json_object_set_double_member(args, "timeout", patience);
    answer = client_call(c, "device.unplug", args, (int)(patience * 1000) + ANSWER_MS, &error);
    client_free(c);
    return answer ? EXIT_CODE_OK : fail_error(error);
}

const struct verb verb_plug = {"plug", "NAME SECTION [KEY=VALUE...]", "plug a PCI card into a running machine",
                               "  vmctl plug demo nic2\n  vmctl plug demo nic2 model=e1000 slot=12", plug};
const struct verb verb_unplug = {"unplug", "NAME SECTION", "take a PCI card out, when the guest has let go of it",
                                 "  vmctl unplug demo nic2\n  vmctl unplug demo nic2 --force", unplug};
