// SPDX-License-Identifier: GPL-2.0-or-later
/* plan_json.c - a plan on its way from the process that read the description to the one that makes the machine. */
#include "core-vmm/foreign/found.h"
#include "core-vmm/host/machines.h"
#include <json-glib/json-glib.h>

static void add_strings(JsonObject *o, const char *name, const GPtrArray *list)
{
    JsonArray *a = json_array_new();
    for (guint i = 0; i < list->len; i++)
        json_array_add_string_element(a, list->pdata[i]);
    json_object_set_array_member(o, name, a);
}

static void add_string(JsonObject *o, const char *name, const char *value)
{
    if (value)
        json_object_set_string_member(o, name, value);
}

static JsonObject *disk_object(const struct plan_disk *d)
{
    JsonObject *o = json_object_new();
    add_string(o, "section", d->section);
    add_string(o, "file", d->file);
    add_string(o, "format", d->format);
    json_object_set_boolean_member(o, "cdrom", d->cdrom);
    json_object_set_boolean_member(o, "floppy", d->floppy);
    return o;
}

char *plan_print(const struct plan *p)
{
    g_autoptr(JsonObject) o = json_object_new();
    JsonArray *disks = json_array_new();
    add_string(o, "program", p->program);
    add_string(o, "name", p->name);
    add_string(o, "os", p->os);
    add_strings(o, "settings", p->settings);
    add_strings(o, "mapped", p->mapped);
    add_strings(o, "left", p->left);
    for (guint i = 0; i < p->disks->len; i++)
        json_array_add_object_element(disks, disk_object(&g_array_index(p->disks, struct plan_disk, i)));
    json_object_set_array_member(o, "disks", disks);
    g_autoptr(JsonNode) root = json_node_init_object(json_node_alloc(), o);
    return json_to_string(root, FALSE);
}

/* ---- and back ---- */

static char *string_of(JsonObject *o, const char *name)
{
    JsonNode *n = json_object_get_member(o, name);
    return n && JSON_NODE_HOLDS_VALUE(n) && json_node_get_value_type(n) == G_TYPE_STRING ? json_node_dup_string(n)
                                                                                         : NULL;
}

static bool flag_of(JsonObject *o, const char *name)
{
    JsonNode *n = json_object_get_member(o, name);
    return n && JSON_NODE_HOLDS_VALUE(n) && json_node_get_value_type(n) == G_TYPE_BOOLEAN && json_node_get_boolean(n);
}

static JsonArray *array_of(JsonObject *o, const char *name)
{
    JsonNode *n = json_object_get_member(o, name);
    return n && JSON_NODE_HOLDS_ARRAY(n) ? json_node_get_array(n) : NULL;
}

static void take_strings(JsonObject *o, const char *name, GPtrArray *to)
{
    JsonArray *a = array_of(o, name);
    for (guint i = 0; a && i < json_array_get_length(a); i++) {
        JsonNode *n = json_array_get_element(a, i);
        if (JSON_NODE_HOLDS_VALUE(n) && json_node_get_value_type(n) == G_TYPE_STRING)
            g_ptr_array_add(to, json_node_dup_string(n));
    }
}

static void take_disks(JsonObject *o, struct plan *p)
{
    JsonArray *a = array_of(o, "disks");
    for (guint i = 0; a && i < json_array_get_length(a); i++) {
        JsonNode *n = json_array_get_element(a, i);
        JsonObject *d = JSON_NODE_HOLDS_OBJECT(n) ? json_node_get_object(n) : NULL;
        struct plan_disk disk = {0};
        if (!d || !(disk.section = string_of(d, "section")) || !(disk.file = string_of(d, "file"))) {
            g_free(disk.section);
            continue;
        }
        disk.format = string_of(d, "format");
        disk.cdrom = flag_of(d, "cdrom");
        disk.floppy = flag_of(d, "floppy");
        g_array_append_val(p->disks, disk);
    }
}

struct plan *plan_parse(const char *text, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    if (!json_parser_load_from_data(parser, text, -1, NULL) || !JSON_NODE_HOLDS_OBJECT(json_parser_get_root(parser))) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_FAILED,
                    "the process that read the description answered nonsense");
        return NULL;
    }
    JsonObject *o = json_node_get_object(json_parser_get_root(parser));
    struct plan *p = plan_new();
    p->program = string_of(o, "program");
    p->name = string_of(o, "name");
    p->os = string_of(o, "os");
    take_strings(o, "settings", p->settings);
    take_strings(o, "mapped", p->mapped);
    take_strings(o, "left", p->left);
    take_disks(o, p);
    return p;
}
