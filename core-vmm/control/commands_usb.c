// SPDX-License-Identifier: GPL-2.0-or-later
/* commands_usb.c - usb.*: what is plugged into the USB controller.  Sticks come and go by media.*. */
#include "core-vmm/api/usb.h"
#include "core-vmm/control/commands.h"
#include "core-vmm/machine/drive_media.h"

enum { SECTIONS = 8 };

static JsonObject *describe(struct machine *m, const char *section, const struct usb_look *u)
{
    JsonObject *o = json_object_new();
    struct drive *v = machine_drive(m, section);
    g_autofree char *file = v ? drive_file(v) : NULL;
    json_object_set_string_member(o, "section", section);
    json_object_set_string_member(o, "device", u->device);
    json_object_set_boolean_member(o, "plugged", u->speed != NULL);
    json_object_set_boolean_member(o, "configured", u->configured);
    if (u->speed)
        json_object_set_string_member(o, "speed", u->speed);
    if (file)
        json_object_set_string_member(o, "file", file);
    return o;
}

static void usb_list(struct call *c)
{
    JsonObject *r = json_object_new();
    JsonArray *list = json_array_new();
    for (unsigned n = 1; n <= SECTIONS; n++) {
        struct usb_look u;
        g_autofree char *section = g_strdup_printf("usb%u", n);
        if (machine_usb_look(call_machine(c), n, &u))
            json_array_add_object_element(list, describe(call_machine(c), section, &u));
    }
    json_object_set_array_member(r, "devices", list);
    call_reply(c, r);
}

const struct command usb_commands[] = {
    {"usb.list", .summary = "what is, or may be, plugged into the USB controller", .handler = usb_list},
    {NULL},
};
