// SPDX-License-Identifier: GPL-2.0-or-later
/* compact.c - vmctl disk compact. */
#include "core-vmm/vmctl/disk/disk.h"

static void print_result(uint64_t freed, enum output how)
{
    g_autofree char *text = disk_size_text(freed);
    if (how == OUTPUT_TABLE) {
        note("%s less on the host's disk", text);
        return;
    }
    JsonObject *o = json_object_new();
    json_object_set_int_member(o, "freed", freed);
    print_json(o);
}

static int compact(const struct verb *v, int argc, char **argv)
{
    g_autofree char *format = NULL, *output = NULL;
    enum output how_shown;
    gboolean quiet = FALSE;
    g_autoptr(GError) error = NULL;
    uint64_t freed;
    int code;
    const GOptionEntry entries[] = {
        {"from", 'f', 0, G_OPTION_ARG_STRING, &format, "The format; else as the file's name ends", "FMT"},
        {"output", 'o', 0, G_OPTION_ARG_STRING, &output, "table or json", "HOW"},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "No progress bar", NULL},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 1, 1, &code) || !output_parse(output, &how_shown, &code))
        return code;
    const struct disk_needs needs = {.changes = {argv[1]}, .format = disk_format(format, argv[1])};
    if (!disk_fence(&needs, &code))
        return code;
    struct image_how how = {.format = disk_format(format, argv[1])};
    struct disk_progress p;
    disk_progress_start(&p, "Compacting", quiet);
    bool ok = disk_compact(argv[1], &how, &p.job, &freed, &error);
    disk_progress_end(&p);
    if (!ok)
        return fail_error(error);
    print_result(freed, how_shown);
    return EXIT_CODE_OK;
}

const struct verb disk_compact_verb = {"disk compact", "FILE", "give the room of zeroed and discarded blocks back",
                                       "  vmctl disk compact a.vdi", compact};
