// SPDX-License-Identifier: GPL-2.0-or-later
/* compare.c - vmctl disk compare. */
#include "core-vmm/vmctl/disk/disk.h"
#include <stdio.h>

static int compare_open(struct image *a, struct image *b, enum output how, struct disk_progress *p, GError **error)
{
    uint64_t first;
    bool ok = disk_compare(a, b, &p->job, &first, error);
    disk_progress_end(p);
    if (!ok)
        return fail_error(*error);
    bool same = first == UINT64_MAX;
    if (how == OUTPUT_JSON) {
        JsonObject *o = json_object_new();
        json_object_set_boolean_member(o, "same", same);
        if (!same)
            json_object_set_int_member(o, "first-difference", first);
        print_json(o);
    } else if (same) {
        puts("The disks are the same.");
    } else {
        printf("The disks differ from byte %" G_GUINT64_FORMAT " on.\n", first);
    }
    return same ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}

static int compare(const struct verb *v, int argc, char **argv)
{
    g_autofree char *format_a = NULL, *format_b = NULL, *output = NULL;
    gboolean quiet = FALSE;
    g_autoptr(GError) error = NULL;
    enum output how;
    int code;
    const GOptionEntry entries[] = {
        {"from", 'f', 0, G_OPTION_ARG_STRING, &format_a, "The first one's format; else as its name ends", "FMT"},
        {"second", 'F', 0, G_OPTION_ARG_STRING, &format_b, "The second one's", "FMT"},
        {"output", 'o', 0, G_OPTION_ARG_STRING, &output, "table or json", "HOW"},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "No progress bar", NULL},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 2, 2, &code) || !output_parse(output, &how, &code))
        return code;
    const struct disk_needs needs = {.looks = {argv[1], argv[2]}};
    if (!disk_fence(&needs, &code))
        return code;
    struct image_how how_a = {.format = disk_format(format_a, argv[1])};
    struct image_how how_b = {.format = disk_format(format_b, argv[2])};
    struct image *a = image_open(argv[1], &how_a, &error), *b = a ? image_open(argv[2], &how_b, &error) : NULL;
    struct disk_progress p;
    disk_progress_start(&p, "Comparing", quiet);
    code = b ? compare_open(a, b, how, &p, &error) : fail_error(error);
    image_close(a);
    image_close(b);
    return code;
}

const struct verb disk_compare_verb = {"disk compare", "FILE FILE", "do two images show the same disk?",
                                       "  vmctl disk compare a.vdi b.qcow2", compare};
