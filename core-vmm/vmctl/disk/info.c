// SPDX-License-Identifier: GPL-2.0-or-later
/* info.c - vmctl disk info. */
#include "core-vmm/vmctl/disk/disk.h"
#include <stdio.h>

static JsonObject *describe(struct image *im)
{
    JsonObject *o = json_object_new(), *details = json_object_new();
    struct image_info facts;
    json_object_set_string_member(o, "file", im->file->path);
    json_object_set_string_member(o, "format", im->format->name);
    json_object_set_int_member(o, "virtual-size", im->bytes);
    json_object_set_int_member(o, "file-size", blk_size(im->file));
    json_object_set_int_member(o, "disk-size", blk_allocated(im->file));
    if (im->parent_name)
        json_object_set_string_member(o, "parent", im->parent_name);
    if (im->parent_name && im->parent_format)
        json_object_set_string_member(o, "parent-format", im->parent_format);
    image_info_init(&facts);
    if (im->format->info)
        im->format->info(im, &facts);
    for (guint i = 0; i < facts.facts->len; i++) {
        struct image_fact *f = &g_array_index(facts.facts, struct image_fact, i);
        if (f->text)
            json_object_set_string_member(details, f->key, f->text);
        else
            json_object_set_int_member(details, f->key, f->number);
    }
    image_info_clear(&facts);
    json_object_set_object_member(o, "details", details);
    return o;
}

static void print_facts(struct image *im)
{
    struct image_info facts;
    image_info_init(&facts);
    if (im->format->info)
        im->format->info(im, &facts);
    for (guint i = 0; i < facts.facts->len; i++) {
        struct image_fact *f = &g_array_index(facts.facts, struct image_fact, i);
        if (f->text)
            print("  %-20s %s\n", f->key, f->text);
        else
            printf("  %-20s %" G_GUINT64_FORMAT "\n", f->key, f->number);
    }
    image_info_clear(&facts);
}

static void print_table(struct image *im)
{
    g_autofree char *size = disk_size_text(im->bytes), *file = disk_size_text(blk_size(im->file));
    g_autofree char *disk = disk_size_text(blk_allocated(im->file));
    print("%s\n  %-20s %s\n  %-20s %s\n  %-20s %s\n  %-20s %s\n", im->file->path, "format", im->format->name,
          "virtual size", size, "file size", file, "on the host's disk", disk);
    if (im->parent_name)
        print("  %-20s %s (%s)\n", "parent", im->parent_name, im->parent_format ? im->parent_format : "format unknown");
    print_facts(im);
}

static int info(const struct verb *v, int argc, char **argv)
{
    g_autofree char *format = NULL, *output = NULL;
    gboolean chain = FALSE;
    g_autoptr(GError) error = NULL;
    enum output how;
    int code;
    const GOptionEntry entries[] = {
        {"from", 'f', 0, G_OPTION_ARG_STRING, &format, "The format; else it is found out", "FMT"},
        {"chain", 0, 0, G_OPTION_ARG_NONE, &chain, "Its parents too", NULL},
        {"output", 'o', 0, G_OPTION_ARG_STRING, &output, "table or json", "HOW"},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 1, 1, &code) || !output_parse(output, &how, &code))
        return code;
    const struct disk_needs needs = {.looks = {argv[1]}, .unlocked = true};
    if (!disk_fence(&needs, &code))
        return code;
    struct image_how open = {.format = format, .guess = true, .unlocked = true, .no_parent = !chain};
    struct image *im = image_open(argv[1], &open, &error);
    if (!im)
        return fail_error(error);
    JsonObject *top = describe(im);
    JsonArray *parents = json_array_new();
    for (struct image *p = im; p; p = p->parent) {
        if (how == OUTPUT_TABLE)
            print_table(p);
        if (p != im)
            json_array_add_object_element(parents, describe(p));
    }
    json_object_set_array_member(top, "chain", parents);
    if (how == OUTPUT_JSON)
        print_json(top);
    else
        json_object_unref(top);
    image_close(im);
    return EXIT_CODE_OK;
}

const struct verb disk_info_verb = {"disk info", "FILE", "say what an image is",
                                    "  vmctl disk info a.vmdk\n  vmctl disk info --chain -o json child.qcow2", info};
