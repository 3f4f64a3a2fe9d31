// SPDX-License-Identifier: GPL-2.0-or-later
/* xhci_ports.c - root hub ports (4.19, 5.4.8). */
#include "devices/usb/xhci.h"

enum {
    P_CONNECTED = 1,
    P_ENABLED = 2,
    P_RESET = 1 << 4,
    P_LINK = 15 << 5,
    P_POWER = 1 << 9,
    P_SPEED = 15 << 10,
    P_STROBE = 1 << 16, /* the link's state is to be changed */
    P_C_CONNECTED = 1 << 17,
    P_C_ENABLED = 1 << 18,
    P_C_WARM = 1 << 19,
    P_C_RESET = 1 << 21,
    P_C_LINK = 1 << 22,
    P_CHANGES = 0x7f << 17,
    P_WAKES = 7 << 25,
};
#define P_WARM (1u << 31)
enum { LINK_U0 = 0, LINK_U3 = 3, LINK_DETECT = 5, LINK_POLLING = 7, LINK_RESUME = 15 };

static bool is_super(unsigned n)
{
    return n < USB_UNITS;
}

static unsigned link_of(const struct xhci *x, unsigned n)
{
    return x->portsc[n] >> 5 & 15;
}

static void set_link(struct xhci *x, unsigned n, unsigned state)
{
    x->portsc[n] = (x->portsc[n] & ~P_LINK) | state << 5;
}

/* Changes are told once, when the first bit comes. */
static void tell(struct device *d, unsigned n, uint32_t change)
{
    struct xhci *x = d->state;
    struct xhci_trb event = {.parameter = (uint64_t)(n + 1) << 24, .status = CODE_SUCCESS << 24};
    uint32_t was = x->portsc[n] & P_CHANGES;
    x->portsc[n] |= change;
    if (was || !change)
        return;
    x->status |= STS_PORT;
    event.control = TRB_PORT_EVENT << 10;
    xhci_post(d, &event);
}

void xhci_ports_tell(struct device *d)
{
    struct xhci *x = d->state;
    for (unsigned n = 0; n < XHCI_PORTS; n++) {
        uint32_t changes = x->portsc[n] & P_CHANGES;
        x->portsc[n] &= ~P_CHANGES;
        tell(d, n, changes);
    }
}

/* What a port looks like whose device has just come, or gone. */
static void show(struct xhci *x, unsigned n)
{
    static const uint8_t speed[] = {[USB_LOW] = 2, [USB_FULL] = 1, [USB_HIGH] = 3, [USB_SUPER] = 4};
    struct usb_device *u = x->port[n].device;
    bool on = u; /* ports always have power */
    x->portsc[n] &= ~(P_CONNECTED | P_ENABLED | P_RESET | P_LINK | P_SPEED);
    x->port[n].enabled = on && is_super(n); /* trained without being asked */
    if (on)
        x->portsc[n] |= P_CONNECTED | speed[u->speed] << 10 | (is_super(n) ? P_ENABLED : 0);
    set_link(x, n, !on ? LINK_DETECT : is_super(n) ? LINK_U0 : LINK_POLLING);
}

void xhci_ports_reset(struct xhci *x)
{
    for (unsigned n = 0; n < XHCI_PORTS; n++) {
        x->portsc[n] = P_POWER;
        show(x, n);
        if (x->portsc[n] & P_CONNECTED)
            x->portsc[n] |= P_C_CONNECTED;
    }
}

static void changed(struct usb_port *p)
{
    struct device *d = p->owner;
    struct xhci *x = d->state;
    show(x, p->number - 1);
    tell(d, p->number - 1, P_C_CONNECTED);
    xhci_work_soon(d);
}

/* ---- registers ---- */
static void reset_port(struct device *d, unsigned n, bool warm)
{
    struct xhci *x = d->state;
    struct usb_device *u = x->port[n].device;
    if (!(x->portsc[n] & P_CONNECTED) || !u)
        return;
    usb_reset(u);
    x->port[n].enabled = true;
    x->portsc[n] |= P_ENABLED;
    set_link(x, n, LINK_U0);
    tell(d, n, P_C_RESET | (warm ? P_C_WARM : 0));
}

static void link_written(struct device *d, unsigned n, unsigned state)
{
    struct xhci *x = d->state;
    unsigned was = link_of(x, n);
    if (!(x->portsc[n] & P_ENABLED))
        return;
    if (state == LINK_U0 && (was == LINK_U3 || was == LINK_RESUME)) {
        set_link(x, n, LINK_U0);
        tell(d, n, P_C_LINK);
        x->again = true;
    } else if (state == LINK_U3 || (state == LINK_RESUME && was == LINK_U3 && !is_super(n))) {
        set_link(x, n, state);
    }
}

static void status_written(struct device *d, unsigned n, uint32_t value)
{
    struct xhci *x = d->state;
    x->portsc[n] &= ~(value & P_CHANGES);
    x->portsc[n] = (x->portsc[n] & ~P_WAKES) | (value & P_WAKES);
    if (value & P_RESET || (value & P_WARM && is_super(n))) {
        reset_port(d, n, value & P_WARM && is_super(n));
        return;
    }
    if (value & x->portsc[n] & P_ENABLED) { /* writing 1 disables it */
        x->portsc[n] &= ~P_ENABLED;
        x->port[n].enabled = false;
        set_link(x, n, is_super(n) ? 4 : LINK_POLLING);
        return;
    }
    if (value & P_STROBE)
        link_written(d, n, value >> 5 & 15);
}

uint32_t xhci_port_read(const struct xhci *x, unsigned n, unsigned which)
{
    return which ? 0 : x->portsc[n]; /* power management, link information: nothing */
}

void xhci_port_write(struct device *d, unsigned n, unsigned which, uint32_t value)
{
    if (!which)
        status_written(d, n, value);
}

/* ---- devices ---- */
static struct usb_port *port_of(struct xhci *x, const struct xhci_slot *s)
{
    struct usb_port *p = s->root && s->root <= XHCI_PORTS ? &x->port[s->root - 1] : NULL;
    for (uint32_t route = s->route; p && route; route >>= 4) {
        struct usb_device *u = p->device;
        unsigned count = 0, n = route & 15;
        struct usb_port *below = u && p->enabled && u->ops->ports ? u->ops->ports(u, &count) : NULL;
        p = n && n <= count ? &below[n - 1] : NULL;
    }
    return p;
}

/* One that was reset, or is another, has not the slot's address any more. */
struct usb_device *xhci_device_of(struct xhci *x, const struct xhci_slot *s)
{
    struct usb_port *p = port_of(x, s);
    bool sleeps = s->root && s->root <= XHCI_PORTS && link_of(x, s->root - 1) != LINK_U0;
    struct usb_device *u = p && p->enabled && !sleeps ? p->device : NULL;
    return u && (s->state < SLOT_ADDRESSED || u->address == s - x->slot) ? u : NULL;
}

/* Its endpoint is asked again, but not from here, which is inside the device's code; and a port that sleeps wakes up. */
static void wake(struct usb_port *p, struct usb_device *u, uint8_t endpoint)
{
    struct device *d = p->owner;
    struct xhci *x = d->state;
    unsigned n = p->number - 1, id = (endpoint & 15) * 2 + (endpoint & 0x80 || !(endpoint & 15) ? 1 : 0);
    if (link_of(x, n) == LINK_U3 && x->portsc[n] & P_ENABLED) {
        set_link(x, n, is_super(n) ? LINK_U0 : LINK_RESUME);
        tell(d, n, P_C_LINK);
    }
    for (unsigned i = 1; i <= XHCI_SLOTS; i++) {
        struct xhci_slot *s = &x->slot[i];
        if (s->state >= SLOT_ENABLED && s->endpoint[id].state == ENDPOINT_RUNNING && xhci_device_of(x, s) == u)
            s->endpoint[id].wanted = true;
    }
    xhci_work_soon(d);
}

const struct usb_port_ops xhci_port_ops = {.changed = changed, .wake = wake};
