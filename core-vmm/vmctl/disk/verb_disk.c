// SPDX-License-Identifier: GPL-2.0-or-later
/* verb_disk.c - `vmctl disk ...`: the table of what can be done with disk images. */
#include "core-vmm/vmctl/disk/disk.h"
#include "core-vmm/vmctl/verbs.h"
#include "core-vmm/host/suggest.h"
#include <stdio.h>
#include <string.h>

static const struct verb *const parts[] = {
    &disk_create_verb, &disk_info_verb,    &disk_convert_verb, &disk_clone_verb, &disk_resize_verb, &disk_compact_verb,
    &disk_check_verb,  &disk_compare_verb, &disk_commit_verb,  &disk_pull_verb,  &disk_map_verb,    NULL,
};

const char *disk_format(const char *given, const char *path)
{
    return given ? given : image_format_by_name(path);
}

bool disk_size(const char *text, uint64_t *bytes, int *code)
{
    if (disk_size_parse(text, bytes) && *bytes)
        return true;
    *code = fail(EXIT_CODE_USAGE, "%s is no size; write it like 512M, 20G or 1.5T", text);
    return false;
}

char *disk_size_text(uint64_t bytes)
{
    g_autofree char *rounded = g_format_size_full(bytes, G_FORMAT_SIZE_IEC_UNITS);
    return g_strdup_printf("%s (%" G_GUINT64_FORMAT " bytes)", rounded, bytes);
}

static int help(int code)
{
    GString *s = g_string_new("Usage: vmctl disk PART ...\n\nWork with disk images.\n\n");
    for (const struct verb *const *p = parts; *p; p++)
        g_string_append_printf(s, "  %-44s %s\n", strchr((*p)->name, ' ') + 1, (*p)->summary);
    g_string_append(s, "\nFormats:\n");
    for (const struct image_format *const *f = image_formats(); *f; f++)
        g_string_append_printf(s, "  %-8s %s\n", (*f)->name, (*f)->summary);
    g_string_append(s, "\n\"vmctl disk PART --help\" says more.\n");
    fputs(s->str, code ? stderr : stdout);
    g_string_free(s, TRUE);
    return code;
}

static int disk(const struct verb *v, int argc, char **argv)
{
    const char *words[G_N_ELEMENTS(parts)];
    unsigned n = 0;
    if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
        return help(argc < 2 ? EXIT_CODE_USAGE : EXIT_CODE_OK);
    for (; parts[n]; n++) {
        words[n] = strchr(parts[n]->name, ' ') + 1;
        if (!strcmp(argv[1], words[n]))
            return parts[n]->run(parts[n], argc - 1, argv + 1);
    }
    words[n] = NULL;
    const char *near = suggest(argv[1], words);
    return fail(EXIT_CODE_USAGE, "disk does not know %s; %s%s", argv[1],
                near ? "did you mean " : "see vmctl disk --help", near ? near : "");
}

const struct verb verb_disk = {"disk", "create|info|convert|clone|resize|compact|check|compare|commit|pull|map ...",
                               "create, look at, convert and repair disk images",
                               "  vmctl disk create new.qcow2 20G\n  vmctl disk info old.vdi\n"
                               "  vmctl disk convert old.vmdk new.qcow2\n  vmctl disk check new.qcow2",
                               disk};
