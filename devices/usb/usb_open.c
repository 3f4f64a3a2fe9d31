// SPDX-License-Identifier: GPL-2.0-or-later
/* usb_open.c - the USB devices that machine.ini lists: made, plugged in and saved; and where the user's keys and moves go. */
#include "devices/usb/usb_bus.h"
#include <string.h>

enum kind { NOTHING, TABLET, KEYBOARD, MOUSE, STORAGE, HUB };

/* ---- where it is plugged in ---- */
void usb_bus_plug(struct usb_bus *b, struct usb_device *u, bool in)
{
    if (!in) {
        if (u->port)
            usb_detach(u->port);
        return;
    }
    for (unsigned i = 0; i < USB_UNITS; i++)
        for (unsigned k = 0; k < USB_PLACES && b->unit[i].device == u && !u->port; k++)
            if (b->unit[i].place[k])
                usb_attach(b->unit[i].place[k], u);
}

struct usb_device *usb_bus_of_drive(struct usb_bus *b, struct drive *medium)
{
    for (unsigned i = 0; i < USB_UNITS; i++)
        if (b->unit[i].device && usb_storage_medium(b->unit[i].device) == medium)
            return b->unit[i].device;
    return NULL;
}

/* ---- the list ---- */
static bool refuse(const struct config *c, const char *why, GError **error)
{
    g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE, "%s: [%s] %s", c->path, c->section, why);
    return false;
}

static bool open_unit(struct usb_bus *b, unsigned n, const struct config *c, GError **error)
{
    static const char *const kinds[] = {"none", "tablet", "keyboard", "mouse", "storage", "hub", NULL};
    struct usb_device **u = &b->unit[n].device;
    unsigned kind;
    if (!config_choice(c, "device", kinds, &kind, error))
        return false;
    switch (kind) {
    case TABLET: *u = usb_tablet_new(b->device); break;
    case KEYBOARD: *u = usb_keyboard_new(b->device); break;
    case MOUSE: *u = usb_mouse_new(b->device); break;
    case STORAGE: *u = usb_storage_open(b->device, c, n, error); break;
    case HUB: *u = usb_hub_new(b->device); break;
    }
    return kind == NOTHING || *u;
}

/* Its key `hub`: the section of the hub that it is plugged into, which is on a port of the controller itself. */
static bool place_unit(struct usb_bus *b, unsigned n, const struct config *c, GError **error)
{
    g_autofree char *name = config_string(c, "hub");
    unsigned hub = name ? (unsigned)(name[3] - '1') : 0, count = 0;
    if (!name && b->unit[n].device && !b->unit[n].place[0])
        return refuse(c, "the controller has fewer ports; plug it into a hub that is on one of them (hub=usb1)", error);
    if (!name)
        return true;
    struct usb_device *u = b->unit[hub].device;
    struct config other = {c->file, c->path, name};
    if (hub == n || !u || !u->ops->ports || config_has(&other, "hub"))
        return refuse(c, "hub: names no hub that is on a port of the controller itself", error);
    struct usb_port *ports = u->ops->ports(u, &count);
    b->unit[n].place[0] = n < count ? &ports[n] : NULL;
    b->unit[n].place[1] = NULL;
    b->unit[n].on_hub = true;
    return true;
}

static bool each_unit(struct usb_bus *b, const struct config *c,
                      bool (*fn)(struct usb_bus *b, unsigned n, const struct config *c, GError **error), GError **error)
{
    static const char *const sections[USB_UNITS] = {"usb1", "usb2", "usb3", "usb4", "usb5", "usb6", "usb7", "usb8"};
    for (unsigned n = 0; n < USB_UNITS; n++) {
        struct config section = {c->file, c->path, sections[n]};
        if (c->file && g_key_file_has_group(c->file, sections[n]) && !fn(b, n, &section, error))
            return false;
    }
    return true;
}

bool usb_bus_open(struct usb_bus *b, struct device *d, const struct config *c, GError **error)
{
    b->device = d;
    if (!each_unit(b, c, open_unit, error) || !each_unit(b, c, place_unit, error)) {
        usb_bus_close(b);
        return false;
    }
    for (unsigned i = 0; i < 2 * USB_UNITS; i++) { /* hubs before what is on them */
        struct usb_unit *unit = &b->unit[i % USB_UNITS];
        if (unit->device && unit->on_hub == (i >= USB_UNITS) && usb_storage_present(unit->device))
            usb_bus_plug(b, unit->device, true);
    }
    return true;
}

/* Nobody is told: the controller is going, too.  All are unplugged before the first is gone, for a drive may still end its
 * last request, and a hub's ports go with the hub. */
void usb_bus_close(struct usb_bus *b)
{
    for (unsigned i = 0; i < USB_UNITS; i++)
        if (b->unit[i].device)
            b->unit[i].device->port = NULL;
    for (unsigned i = 0; i < USB_UNITS; i++)
        if (b->unit[i].device)
            b->unit[i].device->ops->close(b->unit[i].device);
    memset(b->unit, 0, sizeof b->unit);
}

void usb_bus_reset(struct usb_bus *b)
{
    for (unsigned i = 0; i < USB_UNITS; i++)
        if (b->unit[i].device)
            usb_reset(b->unit[i].device);
}

/* ---- saved state ---- */

/* As it was plugged in, whatever is in the drive now; the controller's registers, which know that already, come from the state, too. */
static bool sync_place(struct usb_bus *b, unsigned n, struct stream *s)
{
    struct usb_unit *unit = &b->unit[n];
    struct usb_device *u = unit->device;
    uint32_t where = 0, speed = u->speed;
    for (unsigned k = 0; k < USB_PLACES; k++)
        if (u->port && u->port == unit->place[k])
            where = k + 1;
    stream_check_u32(s, &where, USB_PLACES);
    stream_check_u32(s, &speed, USB_SUPER);
    struct usb_port *p = where ? unit->place[where - 1] : NULL;
    if (!s->loading)
        return true;
    if (where && (!p || !(p->speeds & u->speeds & 1u << speed)))
        return false;
    if (u->port)
        u->port->device = NULL;
    u->port = p;
    u->speed = speed;
    if (p)
        p->device = u;
    return true;
}

bool usb_bus_sync(struct usb_bus *b, struct stream *s)
{
    for (unsigned i = 0; i < USB_UNITS; i++) {
        struct usb_device *u = b->unit[i].device;
        if (!u)
            continue;
        if (!sync_place(b, i, s))
            return false;
        stream_u8(s, &u->address);
        stream_u8(s, &u->configuration);
        if (u->configuration > 1 || !u->ops->sync(u, s))
            return false;
    }
    for (unsigned i = 0; s->loading && i < USB_UNITS; i++)
        if (b->unit[i].device)
            usb_bus_listening(b->unit[i].device);
    return stream_ok(s);
}

static bool look(struct device *d, unsigned n, struct usb_look *out)
{
    static const char *const speeds[] = {"low", "full", "high", "super"};
    const struct usb_bus *b = d->state;
    const struct usb_device *u = n - 1 < USB_UNITS ? b->unit[n - 1].device : NULL;
    if (!u)
        return false;
    *out = (struct usb_look){u->ops->name, u->port ? speeds[u->speed] : NULL, u->configuration};
    return true;
}

const struct usb_ops usb_told = {look};

/* ---- the user's keys and moves ---- */
void usb_bus_listening(struct usb_device *u)
{
    const struct usb_bus *b = u->machine->state;
    unsigned all = 0;
    for (unsigned i = 0; i < USB_UNITS; i++)
        if (b->unit[i].device)
            all |= usb_hid_listened(b->unit[i].device);
    dev_input(u->machine, all);
}

/* The one that is listened to, or else the first; NULL: there is none. */
static struct usb_device *taker(struct device *d, unsigned what)
{
    const struct usb_bus *b = d->state;
    struct usb_device *first = NULL;
    for (unsigned i = 0; i < USB_UNITS; i++) {
        struct usb_device *u = b->unit[i].device;
        if (!u || !usb_hid_takes(u, what))
            continue;
        if (usb_hid_listened(u))
            return u;
        first = first ? first : u;
    }
    return first;
}

static bool key(struct device *d, unsigned code, bool down)
{
    struct usb_device *u = taker(d, INPUT_KEYBOARD);
    return !u || usb_hid_key(u, code, down);
}

static bool pointer(struct device *d, int dx, int dy, int wheel, unsigned buttons)
{
    struct usb_device *u = taker(d, INPUT_POINTER);
    return !u || usb_hid_move(u, dx, dy, wheel, buttons);
}

static bool pointer_absolute(struct device *d, uint16_t x, uint16_t y, int wheel, unsigned buttons)
{
    struct usb_device *u = taker(d, INPUT_ABSOLUTE);
    return !u || usb_hid_move(u, x, y, wheel, buttons);
}

static unsigned leds(struct device *d)
{
    struct usb_device *u = taker(d, INPUT_KEYBOARD);
    return u ? usb_hid_leds(u) : 0;
}

const struct input_ops usb_input = {key, pointer, pointer_absolute, leds};
