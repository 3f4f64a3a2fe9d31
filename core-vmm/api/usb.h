// SPDX-License-Identifier: GPL-2.0-or-later
/* usb.h - the plug of a USB device: below a port, which is a controller's or a hub's.  Specs: Universal Serial Bus 2.0, chapters
 * 5, 8 and 9; Universal Serial Bus 3.2.
 *
 * The unit is a packet: what an endpoint gets or gives at once, of any length up to USB_PACKET_MOST, with its data in a buffer of
 * whoever sends it.  A controller makes them of what its schedule says; a control transfer is one packet, with its setup
 * bytes.  A device that cannot answer at once either says USB_NAK, and usb_wake() when it is worth asking again, or keeps the packet
 * (USB_LATER) and calls usb_done(); one that is kept can be cancelled, and is then forgotten before cancel() returns.  So a
 * device may be a process of its own at the other end of a pair of sockets: what is on its way to there belongs to the device,
 * which copies; a packet's buffer is touched inside of handle() and just before usb_done() only.
 *
 * Everything is called with the lock of the controller's `struct device` held, whose timers nobody here may use.  Of packets that
 * are kept, none may be so when the machine is saved: a device whose far end is the host's refuses (sync() false), or ends them. */
#pragma once
#include "core-vmm/api/device.h"

enum usb_speed { USB_LOW, USB_FULL, USB_HIGH, USB_SUPER };
enum usb_kind { USB_CONTROL, USB_ISOCHRONOUS, USB_BULK, USB_INTERRUPT };
enum usb_status {
    USB_OK,     /* moved says how much; fewer bytes than there was room for: a short packet */
    USB_NAK,    /* nothing now; usb_wake() tells when */
    USB_LATER,  /* usb_done() comes; of handle() only */
    USB_STALL,  /* the endpoint is halted, or the control request refused */
    USB_BABBLE, /* the device has more than there is room for */
    USB_LOST,   /* no answer: it has gone, or the host's end failed */
};
enum { USB_PACKET_MOST = 64 << 10, USB_SETUP = 8, USB_ENDPOINTS = 16 };

struct usb_device;
struct usb_packet { /* lives with whoever sends it */
    enum usb_kind kind;
    uint8_t endpoint; /* its number, 0 to 15 */
    bool in;          /* to the guest; of a control transfer: its data stage */
    uint8_t setup[USB_SETUP];
    uint8_t *data;
    uint32_t bytes; /* in: room; out: what there is */
    uint32_t moved; /* by the device */
    enum usb_status status;
    struct usb_device *device; /* that has kept it; NULL: none */
    void (*done)(struct usb_packet *p);
    void *tag; /* the sender's */
};

struct usb_device_ops {
    const char *name; /* "tablet" */
    /* An answer at once, or USB_LATER: then it holds p until usb_done() or cancel(). */
    enum usb_status (*handle)(struct usb_device *u, struct usb_packet *p);
    void (*cancel)(struct usb_device *u, struct usb_packet *p); /* NULL: it never keeps one */
    void (*reset)(struct usb_device *u);                        /* the port's: default state, address 0 */
    bool (*sync)(struct usb_device *u, struct stream *s);
    /* Of a hub: its ports, *count of them; NULL: it is none. */
    struct usb_port *(*ports)(struct usb_device *u, unsigned *count);
    void (*close)(struct usb_device *u); /* also frees it */
};
struct usb_device {
    const struct usb_device_ops *ops;
    unsigned speeds;        /* which it can: bits by enum usb_speed */
    enum usb_speed speed;   /* since it was attached */
    uint8_t address;        /* as the guest set it; 0: default */
    uint8_t configuration;  /* 0: not configured */
    struct usb_port *port;  /* NULL: not plugged in */
    struct device *machine; /* the controller's, whose lock it is */
    void *state;
};

struct usb_port_ops {                    /* the side of a controller or a hub */
    void (*changed)(struct usb_port *p); /* a device has come, or is gone: p->device */
    /* u, the device here or one further down, has something to say: by that endpoint (| 0x80: to the guest).  It is called in
     * the middle of u's code, so it only takes note: nothing is sent to u, or taken back, before it returns. */
    void (*wake)(struct usb_port *p, struct usb_device *u, uint8_t endpoint);
};
struct usb_port {
    const struct usb_port_ops *ops;
    struct usb_device *device; /* NULL: empty */
    unsigned number;           /* from 1, as the guest counts them */
    unsigned speeds;           /* that it has, bits */
    bool enabled;              /* as its owner says: what is sent by address reaches the device */
    void *owner;               /* the controller's or hub's */
};

/* What a controller tells of the devices that machine.ini lists; n: 1 ... of the section.  false: there is none. */
struct usb_look {
    const char *device; /* "tablet" */
    const char *speed;  /* "high"; NULL: it is not plugged in */
    bool configured;    /* a driver of the guest has it */
};
struct usb_ops {
    bool (*look)(struct device *d, unsigned n, struct usb_look *out);
};

/* A device of some speed that both can comes into an empty port; false: they have none in common. */
bool usb_attach(struct usb_port *p, struct usb_device *u);
/* It goes: packets that it has kept end as USB_LOST first. */
void usb_detach(struct usb_port *p);
/* p->status, too.  A packet to no device is lost. */
enum usb_status usb_send(struct usb_device *u, struct usb_packet *p);
void usb_cancel(struct usb_packet *p); /* if it is kept at all; done() is not called */
void usb_done(struct usb_packet *p, enum usb_status status);
void usb_wake(struct usb_device *u, uint8_t endpoint);
void usb_reset(struct usb_device *u);
/* Below that port, by enabled ports, the device of that address; NULL: none has it.  For controllers that go by addresses. */
struct usb_device *usb_find(struct usb_port *p, uint8_t address);
