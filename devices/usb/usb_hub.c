// SPDX-License-Identifier: GPL-2.0-or-later
/* usb_hub.c - a hub with eight ports.  Spec: USB 2.0, chapter 11.
 *
 * Of high speed, it passes on full-speed devices as such: there is no transaction translator to be programmed, because packets
 * here have no times.  Of full speed (on UHCI) its ports are full speed. */
#include "core-vmm/base/bytes.h"
#include "devices/usb/usb_bus.h"
#include <string.h>

enum { PORTS = USB_UNITS, CHANGES = 0x81, BITMAP = (PORTS + 8) / 8 };
enum { GET_HUB = 0xa0, TO_HUB = 0x20, GET_PORT = 0xa3, TO_PORT = 0x23, D_HUB = 0x29 };
enum { F_ENABLE = 1, F_SUSPEND = 2, F_RESET = 4, F_POWER = 8, F_C_CONNECTION = 16 };
enum { S_CONNECTION = 1, S_ENABLE = 2, S_SUSPEND = 4, S_RESET = 0x10, S_POWER = 0x100, S_LOW = 0x200, S_HIGH = 0x400 };

struct hub {
    struct usb_device usb; /* first */
    struct usb_port port[PORTS];
    uint16_t status[PORTS], change[PORTS];
};

#define CONFIGURATION(bytes) 9, 2, bytes, 0, 1, 1, 0, 0xe0, 0
#define INTERFACE            9, 4, 0, 0, 1, 9, 0, 0, 0
#define ENDPOINT(interval)   7, 5, CHANGES, 3, BITMAP, 0, interval
static void configured(struct usb_device *u);
static const struct usb_model model = {
    .vendor = 0x0409, /* as QEMU's */
    .product = 0x55aa,
    .device_class = 9,
    .text = "Terrarium USB Hub",
    .configuration =
        {
            [USB_FULL] = (const uint8_t[]){CONFIGURATION(25), INTERFACE, ENDPOINT(255)},
            [USB_HIGH] = (const uint8_t[]){CONFIGURATION(25), INTERFACE, ENDPOINT(12)},
        },
    .configured = configured,
};

/* ---- ports ---- */
static void set_enabled(struct hub *h, unsigned n, bool on)
{
    h->port[n].enabled = on;
    h->status[n] = (h->status[n] & ~(S_ENABLE | S_SUSPEND)) | (on ? S_ENABLE : 0);
}

static void show(struct hub *h, unsigned n)
{
    const struct usb_device *u = h->port[n].device;
    uint16_t speed = !u || u->speed == USB_FULL ? 0 : u->speed == USB_LOW ? S_LOW : S_HIGH;
    h->status[n] &= ~(S_CONNECTION | S_LOW | S_HIGH);
    if (u && h->status[n] & S_POWER)
        h->status[n] |= S_CONNECTION | speed;
    else
        set_enabled(h, n, false);
}

static void tell(struct hub *h, unsigned n, uint16_t change)
{
    if (!change || !(h->status[n] & S_POWER))
        return;
    h->change[n] |= change;
    usb_wake(&h->usb, CHANGES);
}

static void port_changed(struct usb_port *p)
{
    struct hub *h = p->owner;
    unsigned n = p - h->port;
    set_enabled(h, n, false);
    show(h, n);
    tell(h, n, S_CONNECTION);
}

static void port_wake(struct usb_port *p, struct usb_device *u, uint8_t endpoint)
{
    struct hub *h = p->owner;
    unsigned n = p - h->port;
    if (h->status[n] & S_SUSPEND) {
        h->status[n] &= ~S_SUSPEND;
        tell(h, n, S_SUSPEND);
    }
    if (h->usb.port)
        h->usb.port->ops->wake(h->usb.port, u, endpoint);
}

static const struct usb_port_ops port_ops = {.changed = port_changed, .wake = port_wake};

static struct usb_port *ports(struct usb_device *u, unsigned *count)
{
    *count = PORTS;
    return ((struct hub *)u->state)->port;
}

/* ---- requests ---- */
static void describe(struct usb_packet *p)
{
    static const uint8_t hub[7 + 2 * BITMAP] = {
        sizeof hub, D_HUB, PORTS, 0x0a /* no power switching, no over-current */, 0, 1 /* 2 ms */, 0, 0, 0, 0xff, 0xff};
    usb_answer(p, hub, sizeof hub);
}

static void set_port(struct hub *h, unsigned n, unsigned feature)
{
    switch (feature) {
    case F_POWER:
        if (h->status[n] & S_POWER)
            break;
        h->status[n] |= S_POWER;
        show(h, n);
        tell(h, n, h->status[n] & S_CONNECTION);
        break;
    case F_SUSPEND:
        if (h->status[n] & S_ENABLE)
            h->status[n] |= S_SUSPEND;
        break;
    case F_RESET:
        if (!(h->status[n] & S_CONNECTION) || !h->port[n].device) /* a loaded state may say what is not so */
            break;
        usb_reset(h->port[n].device);
        set_enabled(h, n, true);
        tell(h, n, S_RESET);
        break;
    }
}

static void clear_port(struct hub *h, unsigned n, unsigned feature)
{
    switch (feature) {
    case F_ENABLE: set_enabled(h, n, false); break;
    case F_SUSPEND:
        if (!(h->status[n] & S_SUSPEND))
            break;
        h->status[n] &= ~S_SUSPEND;
        tell(h, n, S_SUSPEND);
        break;
    case F_POWER:
        h->status[n] = h->change[n] = 0;
        set_enabled(h, n, false);
        break;
    default:
        if (feature >= F_C_CONNECTION && feature <= F_C_CONNECTION + 4)
            h->change[n] &= ~(1 << (feature - F_C_CONNECTION));
    }
}

static bool of_port(struct hub *h, struct usb_packet *p)
{
    unsigned n = get_le16(p->setup + 4) - 1, feature = get_le16(p->setup + 2);
    uint8_t both[4];
    if (n >= PORTS)
        return false;
    switch (p->setup[1]) {
    case USB_GET_STATUS:
        put_le16(both, h->status[n]);
        put_le16(both + 2, h->change[n]);
        usb_answer(p, both, sizeof both);
        return p->in;
    case USB_SET_FEATURE: set_port(h, n, feature); return !p->in;
    case USB_CLEAR_FEATURE: clear_port(h, n, feature); return !p->in;
    }
    return false;
}

static bool of_hub(struct hub *h, struct usb_packet *p)
{
    static const uint8_t good[4] = {0};
    if (p->setup[0] == GET_PORT || p->setup[0] == TO_PORT)
        return of_port(h, p);
    if (p->setup[0] == TO_HUB)
        return p->setup[1] == USB_CLEAR_FEATURE || p->setup[1] == USB_SET_FEATURE;
    if (p->setup[0] != GET_HUB)
        return false;
    if (p->setup[1] == USB_GET_DESCRIPTOR)
        describe(p);
    else
        usb_answer(p, good, sizeof good);
    return p->setup[1] == USB_GET_DESCRIPTOR || p->setup[1] == USB_GET_STATUS;
}

static enum usb_status changes(struct hub *h, struct usb_packet *p)
{
    uint8_t bitmap[BITMAP] = {0};
    bool any = false;
    if (!h->usb.configuration || !p->in || p->endpoint != (CHANGES & 15))
        return USB_STALL;
    for (unsigned n = 0; n < PORTS; n++)
        if (h->change[n]) {
            bitmap[(n + 1) / 8] |= 1 << (n + 1) % 8;
            any = true;
        }
    if (!any)
        return USB_NAK;
    usb_answer(p, bitmap, sizeof bitmap);
    return USB_OK;
}

static enum usb_status handle(struct usb_device *u, struct usb_packet *p)
{
    struct hub *h = u->state;
    if (p->kind != USB_CONTROL)
        return changes(h, p);
    return usb_standard(u, &model, p) || of_hub(h, p) ? USB_OK : USB_STALL;
}

/* ---- life ---- */
static void configured(struct usb_device *u)
{
    struct hub *h = u->state;
    memset(h->status, 0, sizeof h->status);
    memset(h->change, 0, sizeof h->change);
    for (unsigned n = 0; n < PORTS; n++)
        h->port[n].enabled = false;
}

/* Its ports' speeds are those of its own: a full-speed hub has no high-speed ports. */
static void reset(struct usb_device *u)
{
    struct hub *h = u->state;
    configured(u);
    for (unsigned n = 0; n < PORTS; n++) {
        struct usb_device *below = h->port[n].device;
        h->port[n].speeds = 1 << USB_LOW | 1 << USB_FULL | (u->speed == USB_HIGH ? 1 << USB_HIGH : 0);
        if (below && below->address)
            usb_reset(below);
    }
}

static bool sync_state(struct usb_device *u, struct stream *s)
{
    struct hub *h = u->state;
    for (unsigned n = 0; n < PORTS; n++) {
        stream_u16(s, &h->status[n]);
        stream_u16(s, &h->change[n]);
        if (s->loading)
            h->port[n].enabled = h->status[n] & S_ENABLE;
    }
    return stream_ok(s);
}

static void close_hub(struct usb_device *u)
{
    g_free(u->state);
}

static const struct usb_device_ops ops = {
    .name = "hub", .handle = handle, .reset = reset, .sync = sync_state, .ports = ports, .close = close_hub};

struct usb_device *usb_hub_new(struct device *d)
{
    struct hub *h = g_new0(struct hub, 1);
    h->usb = (struct usb_device){.ops = &ops, .speeds = 1 << USB_FULL | 1 << USB_HIGH, .machine = d, .state = h};
    for (unsigned n = 0; n < PORTS; n++)
        h->port[n] = (struct usb_port){.ops = &port_ops, .number = n + 1, .owner = h};
    return &h->usb;
}
