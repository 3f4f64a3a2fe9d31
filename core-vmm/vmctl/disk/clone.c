// SPDX-License-Identifier: GPL-2.0-or-later
/* clone.c - vmctl disk clone. */
#include "core-vmm/vmctl/disk/disk.h"

static bool linked_clone(const char *source, const char *format, const char *target, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(target), *full = g_canonicalize_filename(source, NULL);
    g_autofree char *in = g_path_get_dirname(full), *to = g_canonicalize_filename(folder, NULL);
    g_autofree char *name = g_path_get_basename(source);
    bool beside = g_str_equal(in, to);
    struct image_options o = {.parent = beside ? name : full, .parent_format = format};
    const char *usual = g_str_equal(format, "raw") ? "qcow2" : format, *own = image_format_promised(target);
    return image_create(target, own ? own : usual, &o, false, error);
}

static int clone_image(const struct verb *v, int argc, char **argv)
{
    g_autofree char *format = NULL;
    gboolean linked = FALSE, unsynced = FALSE, quiet = FALSE;
    g_autoptr(GError) error = NULL;
    int code;
    const GOptionEntry entries[] = {
        {"from", 'f', 0, G_OPTION_ARG_STRING, &format, "The format; else as the file's name ends", "FMT"},
        {"linked", 0, 0, G_OPTION_ARG_NONE, &linked, "Only what will differ; the source must stay as it is", NULL},
        {"no-sync", 0, 0, G_OPTION_ARG_NONE, &unsynced, "Do not wait until it is on the disk", NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "No progress bar", NULL},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 2, 2, &code))
        return code;
    const char *of = disk_format(format, argv[1]);
    const struct disk_needs needs = {.looks = {argv[1]}, .makes = argv[2]};
    if (!disk_fence(&needs, &code))
        return code;
    if (linked)
        return linked_clone(argv[1], of, argv[2], &error) ? EXIT_CODE_OK : fail_error(error);
    if (image_format_promised(argv[2]) && !g_str_equal(image_format_promised(argv[2]), of))
        return fail(EXIT_CODE_USAGE,
                    "a clone has the format of its source, %s, and %s would be taken for another; "
                    "disk convert changes formats",
                    of, argv[2]);
    struct disk_convert c = {
        .source = argv[1], .how = {.format = of}, .target = argv[2], .format = of, .sync = !unsynced};
    struct disk_progress p;
    disk_progress_start(&p, "Cloning", quiet);
    bool ok = disk_convert(&c, &p.job, &error);
    disk_progress_end(&p);
    return ok ? EXIT_CODE_OK : fail_error(error);
}

const struct verb disk_clone_verb = {"disk clone", "SOURCE TARGET", "copy an image, with new ids and without parents",
                                     "  vmctl disk clone gold.qcow2 copy.qcow2\n"
                                     "  vmctl disk clone --linked gold.vdi child.qcow2",
                                     clone_image};
