// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_export.c - vmctl export. */
#include "core-vmm/foreign/foreign.h"
#include "core-vmm/vmctl/verbs.h"
#include <string.h>

static int report(const char *file, const GPtrArray *remarks, enum output how)
{
    if (how != OUTPUT_JSON) {
        for (guint i = 0; i < remarks->len; i++)
            note("not exported, or otherwise: %s", (char *)remarks->pdata[i]);
        return EXIT_CODE_OK;
    }
    JsonObject *o = json_object_new();
    JsonArray *left = json_array_new();
    for (guint i = 0; i < remarks->len; i++)
        json_array_add_string_element(left, remarks->pdata[i]);
    json_object_set_string_member(o, "file", file);
    json_object_set_array_member(o, "left", left);
    print_json(o);
    return EXIT_CODE_OK;
}

/* By the option, or by the file's name. */
static bool format_of(const char *given, const char *file, enum export_format *format, int *code)
{
    bool xml = given ? !strcmp(given, "libvirt") : g_str_has_suffix(file, ".xml");
    *format = xml ? EXPORT_LIBVIRT : EXPORT_OVF;
    if (given && strcmp(given, "libvirt") && strcmp(given, "ovf"))
        *code = fail(EXIT_CODE_USAGE, "there is no format \"%s\"; there are ovf and libvirt", given);
    else if (!xml && !g_str_has_suffix(file, ".ova") && !g_str_has_suffix(file, ".ovf"))
        *code = fail(EXIT_CODE_USAGE,
                     "%s: the name must end with .ova (one file) or .ovf (several); --format libvirt writes XML", file);
    else
        return true;
    return false;
}

static int export(const struct verb *v, int argc, char **argv)
{
    g_autofree char *given = NULL, *output = NULL, *name = NULL;
    gboolean quiet = FALSE, force = FALSE;
    enum export_format format;
    enum output how;
    int code;
    const GOptionEntry entries[] = {
        {"format", 0, 0, G_OPTION_ARG_STRING, &given, "ovf, or libvirt: a domain's XML, its disks where they are",
         "FORMAT"},
        {"force", 0, 0, G_OPTION_ARG_NONE, &force, "Replace files of that name", NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "No progress bar", NULL},
        {"output", 'o', 0, G_OPTION_ARG_STRING, &output, "table or json", "HOW"},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 2, 2, &code) || !output_parse(output, &how, &code) ||
        !format_of(given, argv[2], &format, &code) || !(name = machine_resolve(argv[1], &code)))
        return code;
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) remarks = g_ptr_array_new_with_free_func(g_free);
    struct progress bar;
    struct machine_job job = {progress_show, &bar};
    progress_start(&bar, "Packing", quiet, &job.cancel);
    bool good = export_machine(name, argv[2], format, force, &job, remarks, &error);
    progress_end(&bar);
    return good ? report(argv[2], remarks, how) : fail_error(error);
}

const struct verb verb_export = {"export", "NAME FILE", "write a machine for other programs: OVA, OVF, libvirt",
                                 "  vmctl export demo demo.ova\n  vmctl export demo demo.xml --format libvirt", export};
