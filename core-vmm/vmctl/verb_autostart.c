// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_autostart.c - vmctl autostart. */
#include "core-vmm/host/machine_autostart.h"
#include "core-vmm/vmctl/verbs.h"
#include <string.h>

static int change(const char *name, bool on)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *unit = machine_autostart_unit(name);
    bool told, was = machine_autostart_get(name);
    if (!machine_autostart_set(name, on, &told, &error))
        return fail_error(error);
    if (on)
        note("%s starts with your session, and is saved when that ends (%s); loginctl enable-linger has it begin with "
             "the host",
             name, unit);
    else if (!was)
        note("%s did not start by itself", name);
    if (on && !told)
        note("systemd could not be told to read it now: it does when it starts next, or by systemctl --user "
             "daemon-reload");
    return EXIT_CODE_OK;
}

static int autostart(const struct verb *v, int argc, char **argv)
{
    int code;
    if (!verb_options(v, NULL, &argc, &argv, 1, 2, &code))
        return code;
    bool on = argc == 3 && !strcmp(argv[1], "on"), off = argc == 3 && !strcmp(argv[1], "off");
    if (argc == 3 && !on && !off)
        return fail(EXIT_CODE_USAGE, "usage: vmctl autostart %s", v->args);
    g_autofree char *name = machine_resolve(argv[argc - 1], &code);
    if (!name)
        return code;
    if (on || off)
        return change(name, on);
    print("%s\n", machine_autostart_get(name) ? "on" : "off");
    return EXIT_CODE_OK;
}

const struct verb verb_autostart = {"autostart", "[on|off] NAME", "start a machine with the user's session (systemd)",
                                    "  vmctl autostart on demo\n  vmctl autostart demo\n  vmctl autostart off demo",
                                    autostart};
