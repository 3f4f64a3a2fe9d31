// SPDX-License-Identifier: GPL-2.0-or-later
/* resize.c - vmctl disk resize. */
#include "core-vmm/vmctl/disk/disk.h"
#include <string.h>

static int change(struct image *im, const char *text, bool shrink, struct disk_job *job, int *code, GError **error)
{
    uint64_t bytes;
    bool plus = *text == '+', minus = *text == '-';
    if (!disk_size(text + (plus || minus), &bytes, code))
        return *code;
    if (minus && bytes >= im->bytes)
        return fail(EXIT_CODE_USAGE, "the disk has no more than %" G_GUINT64_FORMAT " bytes", im->bytes);
    bytes = ((plus ? im->bytes + bytes : minus ? im->bytes - bytes : bytes) + 511) / 512 * 512; /* up, whichever way */
    if (bytes < im->bytes && !shrink)
        return fail(EXIT_CODE_USAGE, "what is behind the new end would be lost: shrink the guest's file systems and "
                                     "partitions first, then use --shrink");
    return disk_resize(im, bytes, job, error) ? EXIT_CODE_OK : fail_error(*error);
}

static int resize(const struct verb *v, int argc, char **argv)
{
    g_autofree char *format = NULL;
    gboolean shrink = FALSE, quiet = FALSE, force = FALSE;
    g_autoptr(GError) error = NULL;
    int code;
    const GOptionEntry entries[] = {
        {"from", 'f', 0, G_OPTION_ARG_STRING, &format, "The format; else as the file's name ends", "FMT"},
        {"shrink", 0, 0, G_OPTION_ARG_NONE, &shrink, "Allow to make it smaller", NULL},
        {"force", 0, 0, G_OPTION_ARG_NONE, &force, "Although other images are on top of it", NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "No progress bar", NULL},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 2, 2, &code))
        return code;
    const char *in = disk_format(format, argv[1]);
    bool copies = strcmp(in, "raw") && strcmp(in, "qcow2"); /* the others may need a new file */
    const struct disk_needs needs = {
        .changes = {argv[1]}, .format = in, .makes = copies ? argv[1] : NULL, .replace = true};
    if (!disk_fence(&needs, &code))
        return code;
    if (!force && (code = disk_may_change(argv[1], NULL)))
        return code;
    struct image_how how = {.format = in, .write = true};
    struct image *im = image_open(argv[1], &how, &error);
    if (!im)
        return fail_error(error);
    struct disk_progress p;
    disk_progress_start(&p, "Resizing", quiet);
    code = change(im, argv[2], shrink, &p.job, &code, &error);
    disk_progress_end(&p);
    int err = image_close(im);
    return code || !err ? code : fail(EXIT_CODE_FAILED, "%s: %s", argv[1], g_strerror(-err));
}

const struct verb disk_resize_verb = {"disk resize", "FILE SIZE", "make a disk larger (or smaller: raw, qcow2)",
                                      "  vmctl disk resize a.qcow2 40G\n  vmctl disk resize a.vdi +10G\n"
                                      "  vmctl disk resize a.raw 5G --shrink",
                                      resize};
