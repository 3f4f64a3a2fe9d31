// SPDX-License-Identifier: GPL-2.0-or-later
/* pull.c - vmctl disk pull. */
#include "core-vmm/vmctl/disk/disk.h"

static int pull(const struct verb *v, int argc, char **argv)
{
    g_autofree char *format = NULL;
    gboolean quiet = FALSE, force = FALSE;
    g_autoptr(GError) error = NULL;
    int code;
    const GOptionEntry entries[] = {
        {"from", 'f', 0, G_OPTION_ARG_STRING, &format, "The format; else as the file's name ends", "FMT"},
        {"force", 0, 0, G_OPTION_ARG_NONE, &force, "Although other images are on top of it", NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "No progress bar", NULL},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 1, 1, &code))
        return code;
    const struct disk_needs needs = {
        .changes = {argv[1]}, .format = disk_format(format, argv[1]), .makes = argv[1], .replace = true};
    if (!disk_fence(&needs, &code))
        return code;
    if (!force && (code = disk_may_change(argv[1], NULL)))
        return code;
    struct image_how how = {.format = disk_format(format, argv[1])};
    struct disk_progress p;
    disk_progress_start(&p, "Pulling", quiet);
    bool ok = disk_pull(argv[1], &how, &p.job, &error);
    disk_progress_end(&p);
    return ok ? EXIT_CODE_OK : fail_error(error);
}

const struct verb disk_pull_verb = {"disk pull", "FILE", "copy what an image has from its parents into it",
                                    "  vmctl disk pull child.qcow2", pull};
