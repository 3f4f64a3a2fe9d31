// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_import.c - vmctl import. */
#include "core-vmm/foreign/foreign.h"
#include "core-vmm/vmctl/verbs.h"

static JsonArray *strings(const GPtrArray *list)
{
    JsonArray *a = json_array_new();
    for (guint i = 0; i < list->len; i++)
        json_array_add_string_element(a, list->pdata[i]);
    return a;
}

static JsonArray *disks(const struct plan *p)
{
    JsonArray *a = json_array_new();
    for (guint i = 0; i < p->disks->len; i++) {
        const struct plan_disk *d = &g_array_index(p->disks, struct plan_disk, i);
        JsonObject *o = json_object_new();
        json_object_set_string_member(o, "section", d->section);
        json_object_set_string_member(o, "file", d->file);
        json_array_add_object_element(a, o);
    }
    return a;
}

/* name NULL: nothing was made. */
static void report(const struct plan *p, const char *name, enum output how)
{
    if (how == OUTPUT_JSON) {
        JsonObject *o = json_object_new();
        json_object_set_string_member(o, "from", p->program ? p->program : "?");
        if (name || p->name)
            json_object_set_string_member(o, "name", name ? name : p->name);
        if (p->os)
            json_object_set_string_member(o, "os", p->os);
        json_object_set_array_member(o, "settings", strings(p->settings));
        json_object_set_array_member(o, "disks", disks(p));
        json_object_set_array_member(o, "mapped", strings(p->mapped));
        json_object_set_array_member(o, "left", strings(p->left));
        print_json(o);
        return;
    }
    print("from %s: %s\n", p->program ? p->program : "?", name ? name : p->name ? p->name : "a machine without a name");
    for (guint i = 0; i < p->mapped->len; i++)
        print("  %s\n", (char *)p->mapped->pdata[i]);
    for (guint i = 0; i < p->left->len; i++)
        print("  NOT: %s\n", (char *)p->left->pdata[i]);
}

static int import_file(const char *path, const struct import_how *how, bool dry, bool quiet, enum output output)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *name = NULL;
    struct progress bar;
    struct machine_job job = {progress_show, &bar};
    progress_start(&bar, "Reading", quiet, &job.cancel);
    struct plan *plan = import_look(path, &job, &error);
    bool good = plan;
    if (plan && !dry) {
        progress_end(&bar);
        bar.what = "Copying";
        bar.shown = -1;
        good = import_make(path, plan, how, &job, &name, &error);
    }
    progress_end(&bar);
    if (good)
        report(plan, name, output);
    if (plan)
        plan_free(plan);
    return good ? EXIT_CODE_OK : fail_error(error);
}

static int import(const struct verb *v, int argc, char **argv)
{
    g_autofree char *name = NULL, *output = NULL;
    g_auto(GStrv) sets = NULL;
    gboolean dry = FALSE, copy = FALSE, in_place = FALSE, outside = FALSE, quiet = FALSE;
    enum output how;
    int code;
    const GOptionEntry entries[] = {
        {"name", 0, 0, G_OPTION_ARG_STRING, &name, "What the machine is to be called", "NAME"},
        {"dry-run", 'n', 0, G_OPTION_ARG_NONE, &dry, "Say what would come of it, and make nothing", NULL},
        {"set", 0, 0, G_OPTION_ARG_STRING_ARRAY, &sets, "A setting of machine.ini", "SECTION.KEY=VALUE"},
        {"copy", 0, 0, G_OPTION_ARG_NONE, &copy, "The machine gets its own disks (this is the default)", NULL},
        {"in-place", 0, 0, G_OPTION_ARG_NONE, &in_place, "It writes to the disks where they are", NULL},
        {"outside", 0, 0, G_OPTION_ARG_NONE, &outside, "What FILE names may lie outside of its folder", NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "No progress bar", NULL},
        {"output", 'o', 0, G_OPTION_ARG_STRING, &output, "table or json", "HOW"},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 1, 1, &code) || !output_parse(output, &how, &code))
        return code;
    if (copy && in_place)
        return fail(EXIT_CODE_USAGE, "--copy and --in-place are two ways; choose one");
    const struct import_how what = {name, sets, in_place, outside};
    return import_file(argv[1], &what, dry, quiet, how);
}

const struct verb verb_import = {"import", "FILE", "make a machine of an OVA, or of another program's machine",
                                 "  vmctl import appliance.ova --dry-run\n"
                                 "  vmctl import ~/VirtualBox\\ VMs/box/box.vbox --name box\n"
                                 "  vmctl import debian.vmx --in-place --set machine.memory=4G",
                                 import};
