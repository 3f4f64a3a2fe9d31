// SPDX-License-Identifier: GPL-2.0-or-later
/* convert.c - vmctl disk convert. */
#include "core-vmm/vmctl/disk/disk.h"

static int convert(const struct verb *v, int argc, char **argv)
{
    g_autofree char *from = NULL, *to = NULL, *snapshot = NULL, *joined = NULL;
    g_auto(GStrv) options = NULL, split = NULL;
    gboolean compress = FALSE, fixed = FALSE, force = FALSE, unsynced = FALSE, quiet = FALSE;
    int threads = 0, code;
    g_autoptr(GError) error = NULL;
    const GOptionEntry entries[] = {
        {"from", 'f', 0, G_OPTION_ARG_STRING, &from, "The source's format; else it is found out", "FMT"},
        {"format", 'O', 0, G_OPTION_ARG_STRING, &to, "The target's format; else as its name ends, else raw", "FMT"},
        {"option", 0, 0, G_OPTION_ARG_STRING_ARRAY, &options, "Details of the target's format", "KEY=VALUE,..."},
        {"compress", 'c', 0, G_OPTION_ARG_NONE, &compress, "Compress (qcow2)", NULL},
        {"fixed", 0, 0, G_OPTION_ARG_NONE, &fixed, "Take all the room of the target", NULL},
        {"snapshot", 'l', 0, G_OPTION_ARG_STRING, &snapshot, "An internal snapshot of the source", "NAME"},
        {"force", 0, 0, G_OPTION_ARG_NONE, &force, "Replace a file of that name", NULL},
        {"no-sync", 0, 0, G_OPTION_ARG_NONE, &unsynced, "Do not wait until it is on the disk", NULL},
        {"threads", 'm', 0, G_OPTION_ARG_INT, &threads, "How many at once", "N"},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "No progress bar", NULL},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 2, 2, &code))
        return code;
    joined = options ? g_strjoinv(",", options) : NULL;
    split = joined ? g_strsplit(joined, ",", -1) : NULL;
    struct disk_convert c = {.source = argv[1],
                             .how = {.format = from, .guess = true, .snapshot = snapshot},
                             .target = argv[2],
                             .format = disk_format(to, argv[2]),
                             .options = {.options = split, .fixed = fixed},
                             .compress = compress,
                             .replace = force,
                             .sync = !unsynced,
                             .threads = MAX(threads, 0)};
    const struct disk_needs needs = {.looks = {argv[1]}, .makes = argv[2], .replace = force};
    if (!disk_fence(&needs, &code))
        return code;
    if (force && (code = disk_may_replace(argv[2])))
        return code;
    struct disk_progress p;
    disk_progress_start(&p, "Converting", quiet);
    bool ok = disk_convert(&c, &p.job, &error);
    disk_progress_end(&p);
    return ok ? EXIT_CODE_OK : fail_error(error);
}

const struct verb disk_convert_verb = {
    "disk convert", "SOURCE TARGET", "copy an image into another format, holes stay holes",
    "  vmctl disk convert old.vmdk new.qcow2\n  vmctl disk convert a.vdi b.img -f vdi -O raw\n"
    "  vmctl disk convert a.raw a.qcow2 -c --option compression_type=zstd",
    convert};
