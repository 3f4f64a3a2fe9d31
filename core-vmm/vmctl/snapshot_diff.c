// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshot_diff.c - vmctl snapshot diff. */
#include "core-vmm/host/snapshot_diff.h"
#include "core-vmm/host/terminal.h"
#include "core-vmm/vmctl/vmctl.h"
#include <string.h>

#define AREAS_SHOWN 16

static void add_text(JsonObject *o, const char *name, const char *text)
{
    if (text)
        json_object_set_string_member(o, name, text);
}

static JsonObject *partition_object(const struct partition_diff *p)
{
    JsonObject *o = json_object_new();
    JsonArray *files = json_array_new();
    for (guint i = 0; i < p->files->len; i++) {
        const struct file_diff *f = &g_array_index(p->files, struct file_diff, i);
        const char *what = f->how == '+' ? "added" : f->how == '-' ? "removed" : "changed";
        JsonObject *one = json_object_new();
        json_object_set_string_member(one, "what", what);
        json_object_set_string_member(one, "path", f->path);
        json_array_add_object_element(files, one);
    }
    json_object_set_int_member(o, "partition", p->number);
    json_object_set_string_member(o, "kind", p->kind);
    json_object_set_array_member(o, "files", files);
    json_object_set_boolean_member(o, "more", p->more);
    add_text(o, "why", p->why);
    return o;
}

static JsonArray *partitions_array(const struct disk_diff *d)
{
    JsonArray *a = json_array_new();
    for (guint i = 0; i < d->partitions->len; i++)
        json_array_add_object_element(a, partition_object(&g_array_index(d->partitions, struct partition_diff, i)));
    return a;
}

static JsonObject *disk_object(const struct disk_diff *d)
{
    JsonObject *o = json_object_new();
    JsonArray *areas = json_array_new();
    for (guint i = 0; i < d->areas->len; i++) {
        JsonObject *a = json_object_new();
        json_object_set_int_member(a, "offset", g_array_index(d->areas, struct area, i).offset);
        json_object_set_int_member(a, "bytes", g_array_index(d->areas, struct area, i).bytes);
        json_array_add_object_element(areas, a);
    }
    json_object_set_string_member(o, "drive", d->drive);
    add_text(o, "only-in", d->only_old ? "first" : d->only_new ? "second" : NULL);
    json_object_set_int_member(o, "bytes", d->bytes);
    json_object_set_array_member(o, "areas", areas);
    json_object_set_boolean_member(o, "more", d->more);
    if (d->partitions)
        json_object_set_array_member(o, "partitions", partitions_array(d));
    add_text(o, "why", d->why);
    return o;
}

static void print_object(const struct snapshot_diff *d)
{
    JsonObject *o = json_object_new();
    JsonArray *settings = json_array_new(), *disks = json_array_new();
    for (guint i = 0; i < d->settings->len; i++) {
        const struct setting_diff *s = &g_array_index(d->settings, struct setting_diff, i);
        JsonObject *one = json_object_new();
        json_object_set_string_member(one, "key", s->key);
        add_text(one, "first", s->old);
        add_text(one, "second", s->new);
        json_array_add_object_element(settings, one);
    }
    for (guint i = 0; i < d->disks->len; i++)
        json_array_add_object_element(disks, disk_object(&g_array_index(d->disks, struct disk_diff, i)));
    json_object_set_array_member(o, "settings", settings);
    json_object_set_array_member(o, "disks", disks);
    print_json(o);
}

/* As vmctl snapshot extract names it: sata0:2. */
static void print_partition(const struct disk_diff *d, const struct partition_diff *p)
{
    g_autofree char *where = p->number ? g_strdup_printf("%s:%u", d->drive, p->number) : g_strdup(d->drive);
    print("  %s%s%s%s: %s%u change%s\n", where, *p->kind ? " (" : "", p->kind, *p->kind ? ")" : "",
          p->more ? "more than " : "", p->files->len, p->files->len == 1 ? "" : "s");
    for (guint i = 0; i < p->files->len; i++) {
        const struct file_diff *f = &g_array_index(p->files, struct file_diff, i);
        g_autofree char *path = terminal_text(f->path, strlen(f->path));
        print("    %c %s\n", f->how, g_strdelimit(path, "\n\t", ' '));
    }
    if (p->why)
        print("    %s\n", p->why);
}

static void print_disk(const struct disk_diff *d)
{
    if (d->only_old || d->only_new) {
        print("%s: only in the %s\n", d->drive, d->only_old ? "first" : "second");
        return;
    }
    print("%s: %" G_GUINT64_FORMAT " bytes written since they parted, in %s%u area%s\n", d->drive, d->bytes,
          d->more ? "more than " : "", d->areas->len, d->areas->len == 1 ? "" : "s");
    for (guint i = 0; i < MIN(d->areas->len, AREAS_SHOWN); i++) {
        const struct area *a = &g_array_index(d->areas, struct area, i);
        print("  %12" G_GUINT64_FORMAT " +%" G_GUINT64_FORMAT "\n", a->offset, a->bytes);
    }
    if (d->areas->len > AREAS_SHOWN)
        print("  ... (-o json has more)\n");
    for (guint i = 0; d->partitions && i < d->partitions->len; i++)
        print_partition(d, &g_array_index(d->partitions, struct partition_diff, i));
    if (d->why)
        print("  its files cannot be compared: %s\n", d->why);
}

int snapshot_diff_show(const char *name, const char *a, const char *b, bool files, enum output how)
{
    g_autoptr(GError) error = NULL;
    struct snapshot_diff *d = snapshots_diff(name, a, b, files, &error);
    if (!d)
        return fail_error(error);
    if (how == OUTPUT_JSON)
        print_object(d);
    for (guint i = 0; how != OUTPUT_JSON && i < d->settings->len; i++) {
        const struct setting_diff *s = &g_array_index(d->settings, struct setting_diff, i);
        print("%s: %s -> %s\n", s->key, s->old ? s->old : "(not set)", s->new ? s->new : "(not set)");
    }
    for (guint i = 0; how != OUTPUT_JSON && i < d->disks->len; i++)
        print_disk(&g_array_index(d->disks, struct disk_diff, i));
    snapshot_diff_free(d);
    return EXIT_CODE_OK;
}
