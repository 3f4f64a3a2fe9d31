// SPDX-License-Identifier: GPL-2.0-or-later
/* map.c - vmctl disk map: which stretches are there, zero, or a parent's. */
#include "core-vmm/vmctl/disk/disk.h"
#include <stdio.h>

struct row {
    uint64_t start, bytes, file_offset;
    bool zero, compressed;
    unsigned depth;
    struct image *layer;
};

static bool joins(const struct row *a, const struct row *b)
{
    bool places =
        a->file_offset == UINT64_MAX ? b->file_offset == UINT64_MAX : b->file_offset == a->file_offset + a->bytes;
    return a->zero == b->zero && a->compressed == b->compressed && a->layer == b->layer && places;
}

static JsonObject *row_json(const struct row *r)
{
    JsonObject *o = json_object_new();
    json_object_set_int_member(o, "start", r->start);
    json_object_set_int_member(o, "length", r->bytes);
    json_object_set_int_member(o, "depth", r->depth);
    json_object_set_boolean_member(o, "zero", r->zero);
    json_object_set_boolean_member(o, "compressed", r->compressed);
    json_object_set_string_member(o, "file", r->layer->file->path);
    if (r->file_offset != UINT64_MAX)
        json_object_set_int_member(o, "offset", r->file_offset);
    return o;
}

static void emit(const struct row *r, JsonArray *list)
{
    if (!r->bytes)
        return;
    if (list)
        json_array_add_object_element(list, row_json(r));
    else if (!r->zero)
        print("%#18" G_GINT64_MODIFIER "x %#14" G_GINT64_MODIFIER "x  %s%s\n", r->start, r->bytes, r->layer->file->path,
              r->compressed ? " (compressed)" : "");
}

static unsigned depth_of(struct image *im, struct image *layer)
{
    unsigned depth = 0;
    for (; im && im != layer; im = im->parent)
        depth++;
    return depth;
}

static int walk(struct image *im, JsonArray *list)
{
    struct row last = {0};
    for (uint64_t at = 0; at < im->bytes;) {
        struct extent e;
        struct row r;
        int err = image_extent_deep(im, at, &e, &r.layer);
        if (err)
            return fail(EXIT_CODE_FAILED, "%s: %s", im->file->path, g_strerror(-err));
        bool data = e.kind == EXTENT_DATA;
        r = (struct row){at, e.bytes, data ? e.file_offset : UINT64_MAX, !data, e.compressed, 0, r.layer};
        r.depth = depth_of(im, r.layer);
        if (last.bytes && joins(&last, &r)) {
            last.bytes += r.bytes;
        } else {
            emit(&last, list);
            last = r;
        }
        at += e.bytes;
    }
    emit(&last, list);
    return EXIT_CODE_OK;
}

static int map(const struct verb *v, int argc, char **argv)
{
    g_autofree char *format = NULL, *output = NULL;
    g_autoptr(GError) error = NULL;
    enum output how;
    int code;
    const GOptionEntry entries[] = {
        {"from", 'f', 0, G_OPTION_ARG_STRING, &format, "The format; else as the file's name ends", "FMT"},
        {"output", 'o', 0, G_OPTION_ARG_STRING, &output, "table or json", "HOW"},
        {NULL},
    };
    if (!verb_options(v, entries, &argc, &argv, 1, 1, &code) || !output_parse(output, &how, &code))
        return code;
    const struct disk_needs needs = {.looks = {argv[1]}, .unlocked = true};
    if (!disk_fence(&needs, &code))
        return code;
    struct image_how open = {.format = disk_format(format, argv[1]), .unlocked = true};
    struct image *im = image_open(argv[1], &open, &error);
    if (!im)
        return fail_error(error);
    JsonArray *list = how == OUTPUT_JSON ? json_array_new() : NULL;
    if (!list)
        printf("%18s %14s  %s\n", "start", "length", "file");
    code = walk(im, list);
    if (list) {
        JsonObject *o = json_object_new();
        json_object_set_array_member(o, "extents", list);
        print_json(o);
    }
    image_close(im);
    return code;
}

const struct verb disk_map_verb = {"disk map", "FILE", "where the data are, through all parents",
                                   "  vmctl disk map a.qcow2\n  vmctl disk map -o json child.vmdk", map};
