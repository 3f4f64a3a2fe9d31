// SPDX-License-Identifier: GPL-2.0-or-later
/* commands_media.c - media.*: drives, and what lies in them. */
#include "core-vmm/machine/drive_media.h"
#include "core-vmm/control/commands.h"

static JsonObject *describe_counts(struct drive *v)
{
    JsonObject *o = json_object_new();
    const struct drive_counts c = drive_counts(v);
    json_object_set_int_member(o, "reads", c.reads);
    json_object_set_int_member(o, "read-bytes", c.read_bytes);
    json_object_set_int_member(o, "writes", c.writes);
    json_object_set_int_member(o, "written-bytes", c.written_bytes);
    json_object_set_int_member(o, "held", c.held);
    return o;
}

static JsonObject *describe(struct drive *v)
{
    JsonObject *o = json_object_new();
    g_autofree char *file = drive_file(v);
    json_object_set_string_member(o, "drive", drive_section(v));
    json_object_set_string_member(o, "media", drive_kind(v));
    json_object_set_boolean_member(o, "removable", drive_removable(v));
    json_object_set_object_member(o, "counts", describe_counts(v));
    if (file) {
        json_object_set_string_member(o, "file", file);
        json_object_set_int_member(o, "bytes", drive_bytes(v));
        json_object_set_boolean_member(o, "readonly", drive_readonly(v));
    }
    return o;
}

JsonArray *media_describe(struct machine *m)
{
    JsonArray *list = json_array_new();
    for (struct drive *v = drive_next(m, NULL); v; v = drive_next(m, v))
        json_array_add_object_element(list, describe(v));
    return list;
}

static void media_list(struct call *c)
{
    JsonObject *r = json_object_new();
    json_object_set_array_member(r, "drives", media_describe(call_machine(c)));
    call_reply(c, r);
}

/* The drive that was named, else the only removable one; NULL: the call has failed. */
static struct drive *find_drive(struct call *c)
{
    struct machine *m = call_machine(c);
    const char *name = call_text(c, "drive", NULL);
    struct drive *found = name ? machine_drive(m, name) : NULL;
    unsigned removable = 0;
    for (struct drive *v = drive_next(m, NULL); v && !name; v = drive_next(m, v)) {
        if (!drive_removable(v) || g_str_has_prefix(drive_section(v), "usb")) /* a stick is always said by name */
            continue;
        removable++;
        found = v;
    }
    if (name && !found)
        call_fail(c, CONTROL_NOT_FOUND, "the machine has no drive %s", name);
    else if (!removable && !name)
        call_fail(c, CONTROL_NOT_FOUND, "the machine has no removable drive");
    else if (removable > 1)
        call_fail(c, CONTROL_USAGE, "the machine has several removable drives; say which one");
    else
        return found;
    return NULL;
}

static void tell_all(struct call *c, struct drive *v)
{
    server_broadcast(call_server(c), "media", describe(v));
    call_reply(c, NULL);
}

static void media_insert(struct call *c)
{
    g_autoptr(GError) error = NULL;
    const char *file = call_text(c, "file", "");
    if (!g_path_is_absolute(file)) {
        call_fail(c, CONTROL_USAGE, "file must be an absolute path");
        return;
    }
    struct drive *v = find_drive(c);
    if (!v)
        return;
    if (drive_insert(v, call_take_fd(c, 0), file, call_text(c, "format", NULL), call_flag(c, "readonly"), &error))
        tell_all(c, v);
    else
        call_fail(c, CONTROL_FAILED, "%s", error->message);
}

static void media_eject(struct call *c)
{
    g_autoptr(GError) error = NULL;
    struct drive *v = find_drive(c);
    if (!v)
        return;
    if (drive_eject(v, call_flag(c, "force"), &error))
        tell_all(c, v);
    else
        call_fail(c, CONTROL_WRONG_STATE, "%s", error->message);
}

const struct command media_commands[] = {
    {"media.list", .summary = "the drives and what is in them", .handler = media_list},
    {"media.insert",
     {{"drive", PARAM_TEXT}, {"file", PARAM_TEXT, true}, {"format", PARAM_TEXT}, {"readonly", PARAM_FLAG}},
     .summary = "put an image into a CD or floppy drive",
     .handler = media_insert,
     .fds = 1},
    {"media.eject",
     {{"drive", PARAM_TEXT}, {"force", PARAM_FLAG}},
     .summary = "take it out; force: even if the guest has locked the tray",
     .handler = media_eject},
    {NULL},
};
