// SPDX-License-Identifier: GPL-2.0-or-later
/* commit.c - vmctl disk commit. */
#include "core-vmm/vmctl/disk/disk.h"

/* The image gets a new file, and its parent other contents: neither may be needed by other images. */
static int may_commit(const char *path, const char *format)
{
    struct image_how how = {.format = disk_format(format, path), .unlocked = true, .no_parent = true};
    struct image *im = image_open(path, &how, NULL); /* else the operation says what is wrong */
    g_autofree char *parent = im ? image_parent_path(im, NULL) : NULL;
    int code = disk_may_change(path, NULL);
    image_close(im);
    return code || !parent ? code : disk_may_change(parent, path);
}

static int commit(const struct verb *v, int argc, char **argv)
{
    g_autofree char *format = NULL;
    gboolean quiet = FALSE, force = FALSE;
    g_autoptr(GError) error = NULL;
    int code;
    const GOptionEntry entries[] = {
        {"from", 'f', 0, G_OPTION_ARG_STRING, &format, "The format; else as the file's name ends", "FMT"},
        {"force", 0, 0, G_OPTION_ARG_NONE, &force, "Although the parent was changed since, or has other children",
         NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "No progress bar", NULL},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 1, 1, &code))
        return code;
    g_autofree char *parent = disk_parent_of(argv[1], disk_format(format, argv[1]));
    const struct disk_needs needs = {
        .changes = {argv[1], parent}, .format = disk_format(format, argv[1]), .makes = argv[1], .replace = true};
    if (!disk_fence(&needs, &code))
        return code;
    if (!force && (code = may_commit(argv[1], format)))
        return code;
    struct image_how how = {.format = disk_format(format, argv[1])};
    struct disk_progress p;
    disk_progress_start(&p, "Merging", quiet);
    bool ok = disk_commit(argv[1], &how, force, &p.job, &error);
    disk_progress_end(&p);
    return ok ? EXIT_CODE_OK : fail_error(error);
}

const struct verb disk_commit_verb = {"disk commit", "FILE", "merge an image into its parent, and empty it",
                                      "  vmctl disk commit child.qcow2", commit};
