// SPDX-License-Identifier: GPL-2.0-or-later
/* usb_bus.c - ports and packets; see api/usb.h. */
#include "devices/usb/usb_bus.h"

bool usb_attach(struct usb_port *p, struct usb_device *u)
{
    unsigned common = p->speeds & u->speeds;
    if (!common || p->device)
        return false;
    u->speed = g_bit_nth_msf(common, -1);
    u->port = p;
    u->address = u->configuration = 0;
    p->device = u;
    u->ops->reset(u);
    p->ops->changed(p);
    return true;
}

void usb_detach(struct usb_port *p)
{
    struct usb_device *u = p->device;
    if (!u)
        return;
    p->device = NULL;
    u->port = NULL;
    u->ops->reset(u); /* what it has kept is lost */
    usb_tokens_forget(u->machine->state, u);
    p->ops->changed(p);
}

enum usb_status usb_send(struct usb_device *u, struct usb_packet *p)
{
    p->moved = 0;
    p->device = u;
    p->status = u && u->port ? u->ops->handle(u, p) : USB_LOST;
    if (p->status != USB_LATER)
        p->device = NULL;
    return p->status;
}

void usb_cancel(struct usb_packet *p)
{
    struct usb_device *u = p->device;
    p->device = NULL;
    if (u && u->ops->cancel)
        u->ops->cancel(u, p);
}

void usb_done(struct usb_packet *p, enum usb_status status)
{
    p->device = NULL;
    p->status = status;
    p->done(p);
}

void usb_wake(struct usb_device *u, uint8_t endpoint)
{
    if (u->port)
        u->port->ops->wake(u->port, u, endpoint);
}

void usb_reset(struct usb_device *u)
{
    u->address = u->configuration = 0;
    u->ops->reset(u);
    usb_tokens_forget(u->machine->state, u);
}

struct usb_device *usb_find(struct usb_port *p, uint8_t address)
{
    struct usb_device *u = p->device;
    unsigned count = 0;
    if (!u || !p->enabled)
        return NULL;
    if (u->address == address)
        return u;
    struct usb_port *below = u->ops->ports ? u->ops->ports(u, &count) : NULL;
    for (unsigned i = 0; i < count; i++) {
        struct usb_device *found = usb_find(&below[i], address);
        if (found)
            return found;
    }
    return NULL;
}
