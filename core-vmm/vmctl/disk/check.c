// SPDX-License-Identifier: GPL-2.0-or-later
/* check.c - vmctl disk check. */
#include "core-vmm/vmctl/disk/disk.h"
#include <stdio.h>

static void print_result(const struct image_check *c, enum output how)
{
    if (how == OUTPUT_JSON) {
        JsonObject *o = json_object_new();
        json_object_set_int_member(o, "corruptions", c->corruptions);
        json_object_set_int_member(o, "leaks", c->leaks);
        json_object_set_int_member(o, "corruptions-fixed", c->corruptions_fixed);
        json_object_set_int_member(o, "leaks-fixed", c->leaks_fixed);
        json_object_set_int_member(o, "blocks", c->blocks);
        json_object_set_int_member(o, "blocks-used", c->blocks_used);
        json_object_set_string_member(o, "findings", c->text->str);
        print_json(o);
        return;
    }
    print("%s", c->text->str);
    if (!c->corruptions && !c->leaks)
        puts("No errors were found.");
    else
        printf("%" G_GUINT64_FORMAT " errors (%" G_GUINT64_FORMAT " repaired), %" G_GUINT64_FORMAT
               " leaked blocks, which do no harm (%" G_GUINT64_FORMAT " repaired).\n",
               c->corruptions, c->corruptions_fixed, c->leaks, c->leaks_fixed);
}

static int check(const struct verb *v, int argc, char **argv)
{
    g_autofree char *format = NULL, *output = NULL;
    gboolean repair = FALSE;
    g_autoptr(GError) error = NULL;
    struct image_check c;
    enum output how;
    int code;
    const GOptionEntry entries[] = {
        {"from", 'f', 0, G_OPTION_ARG_STRING, &format, "The format; else as the file's name ends", "FMT"},
        {"repair", 'r', 0, G_OPTION_ARG_NONE, &repair, "Repair what can be repaired", NULL},
        {"output", 'o', 0, G_OPTION_ARG_STRING, &output, "table or json", "HOW"},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 1, 1, &code) || !output_parse(output, &how, &code))
        return code;
    const struct disk_needs needs = {.looks = {repair ? NULL : argv[1]},
                                     .changes = {repair ? argv[1] : NULL},
                                     .format = disk_format(format, argv[1])};
    if (!disk_fence(&needs, &code))
        return code;
    struct image_how open = {
        .format = disk_format(format, argv[1]), .write = repair, .repair = repair, .no_parent = true};
    struct image *im = image_open(argv[1], &open, &error);
    if (!im)
        return fail_error(error);
    struct blk_file *f = blk_ref(im->file);
    int64_t changed = blk_mtime(f);
    image_check_init(&c);
    bool ok = image_check(im, repair, &c, &error);
    if (ok)
        print_result(&c, how);
    code = !ok ? fail_error(error) : c.corruptions > c.corruptions_fixed ? EXIT_CODE_FAILED : EXIT_CODE_OK;
    image_close(im);
    if (repair && ok && !c.corruptions)
        blk_set_mtime(f, changed); /* for its children: it holds what it held before */
    blk_close(f);
    image_check_clear(&c);
    return code;
}

const struct verb disk_check_verb = {"disk check", "FILE", "look for damage, and repair it",
                                     "  vmctl disk check a.qcow2\n  vmctl disk check --repair a.qcow2", check};
