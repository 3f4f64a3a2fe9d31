// SPDX-License-Identifier: GPL-2.0-or-later
/* create.c - vmctl disk create. */
#include "core-vmm/vmctl/disk/disk.h"

static int create(const struct verb *v, int argc, char **argv)
{
    g_autofree char *format = NULL, *backing = NULL, *backing_format = NULL;
    g_auto(GStrv) options = NULL;
    gboolean fixed = FALSE, force = FALSE;
    g_autoptr(GError) error = NULL;
    int code;
    const GOptionEntry entries[] = {
        {"format", 'O', 0, G_OPTION_ARG_STRING, &format, "The format; else as the file's name ends, else raw", "FMT"},
        {"backing", 'b', 0, G_OPTION_ARG_STRING, &backing, "Only what differs from this image is kept", "FILE"},
        {"backing-format", 'F', 0, G_OPTION_ARG_STRING, &backing_format, "The format of that image", "FMT"},
        {"option", 0, 0, G_OPTION_ARG_STRING_ARRAY, &options, "Details of the format, several by commas", "KEY=VALUE"},
        {"fixed", 0, 0, G_OPTION_ARG_NONE, &fixed, "Take all the room now", NULL},
        {"force", 0, 0, G_OPTION_ARG_NONE, &force, "Replace a file of that name", NULL},
        {NULL},
    };
    struct image_options o = {0};
    if (!verb_options(v, entries, &argc, &argv, 1, 2, &code))
        return code;
    if (argc == 3 && !disk_size(argv[2], &o.bytes, &code))
        return code;
    if (argc == 2 && !backing)
        return fail(EXIT_CODE_USAGE, "disk create: how large should %s be?", argv[1]);
    const struct disk_needs needs = {.looks = {backing}, .makes = argv[1], .replace = force, .unlocked = true};
    if (!disk_fence(&needs, &code))
        return code;
    if (force && (code = disk_may_replace(argv[1])))
        return code;
    o.bytes = (o.bytes + 511) / 512 * 512;
    o.fixed = fixed;
    o.parent = backing;
    o.parent_format = backing ? disk_format(backing_format, backing) : NULL;
    g_autofree char *joined = options ? g_strjoinv(",", options) : NULL;
    o.options = joined ? g_strsplit(joined, ",", -1) : NULL;
    bool ok = image_create(argv[1], disk_format(format, argv[1]), &o, force, &error);
    g_strfreev(o.options);
    return ok ? EXIT_CODE_OK : fail_error(error);
}

const struct verb disk_create_verb = {
    "disk create", "FILE SIZE", "make a new image",
    "  vmctl disk create a.qcow2 20G\n  vmctl disk create a.vmdk 20G --option subformat=twoGbMaxExtentSparse\n"
    "  vmctl disk create child.qcow2 --backing base.vdi --backing-format vdi",
    create};
