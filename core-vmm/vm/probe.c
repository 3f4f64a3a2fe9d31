// SPDX-License-Identifier: GPL-2.0-or-later
/* probe.c - `terrarium-vm --probe`: which engines work here, as JSON for vmctl host-info. */
#include "core-vmm/vm/probe.h"
#include "core-vmm/exit/exit_codes.h"
#include "core-vmm/machine/machine.h"
#include <json-glib/json-glib.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static JsonObject *probe_engine(const char *name)
{
    g_autofree char *reason = NULL;
    g_autoptr(GError) error = NULL;
    const struct cpu_engine *e = engine_choose(name, &reason, &error);
    bool usable = e && (!e->probe || e->probe(&error)); /* by name, one gets an engine that auto would pass over */
    JsonObject *o = json_object_new();
    json_object_set_string_member(o, "engine", name);
    json_object_set_boolean_member(o, "usable", usable);
    json_object_set_string_member(o, "reason", usable ? "passed its probe" : error->message);
    return o;
}

int probe_print(void)
{
    static const char *const names[] = {"kvm", "soft", "interp"};
    g_autofree char *reason = NULL;
    g_autoptr(GError) error = NULL;
    const struct cpu_engine *chosen = engine_choose("auto", &reason, &error);
    JsonObject *o = json_object_new();
    JsonArray *engines = json_array_new();
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
        json_array_add_object_element(engines, probe_engine(names[i]));
    json_object_set_string_member(o, "auto", chosen ? chosen->name : "none");
    json_object_set_string_member(o, "auto-reason", chosen ? reason ? reason : "" : error->message);
    json_object_set_array_member(o, "engines", engines);
    json_object_set_int_member(o, "cpus", sysconf(_SC_NPROCESSORS_ONLN));
    json_object_set_int_member(o, "memory", (gint64)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE));
    g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), o);
    json_object_unref(o);
    g_autofree char *text = json_to_string(node, TRUE);
    if (printf("%s\n", text) >= 0 && !fflush(stdout))
        return EXIT_CODE_OK;
    g_printerr("terrarium-vm: the output cannot be written: %s\n", g_strerror(errno));
    return EXIT_CODE_FAILED;
}
