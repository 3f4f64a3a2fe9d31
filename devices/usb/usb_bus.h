// SPDX-License-Identifier: GPL-2.0-or-later
/* usb_bus.h - what all USB controllers share: the devices that machine.ini lists, and what these share.
 *
 * The sections usb1 to usb8 are the devices; number N is on port N of the controller, or of the hub that its key `hub` names.  A
 * controller's state begins with its bus.  usb_bus.c: ports and packets; usb_open.c: the list, saved state, input; usb_standard.c: the
 * requests that every device answers. */
#pragma once
#include "core-vmm/api/drive.h"
#include "core-vmm/api/input.h"
#include "core-vmm/api/usb.h"

enum { USB_UNITS = 8, USB_PLACES = 2 };
struct usb_unit {
    struct usb_device *device;          /* NULL: no such section */
    struct usb_port *place[USB_PLACES]; /* where it may be plugged in, the best first; the controller's, or a hub's */
    bool on_hub;
    struct usb_pipe
        *pipe[2 * USB_ENDPOINTS]; /* usb_tokens.c; 2n out, 2n + 1 in, made when first wanted; [0]: control */
};
struct usb_bus {
    struct device *device;             /* the controller */
    void (*through)(struct device *d); /* of those that go by tokens: it is worth asking again */
    struct usb_unit unit[USB_UNITS];
};

/* usb_open.c */
/* Opens what the sections describe.  The controller has set place[] of all units.  false: what was opened is closed again. */
bool usb_bus_open(struct usb_bus *b, struct device *d, const struct config *c, GError **error);
void usb_bus_close(struct usb_bus *b);
void usb_bus_reset(struct usb_bus *b); /* the machine's */
bool usb_bus_sync(struct usb_bus *b, struct stream *s);
void usb_bus_plug(struct usb_bus *b, struct usb_device *u, bool in); /* into its place, or out of it */
void usb_bus_listening(struct usb_device *u);                        /* what the guest listens to may have changed */
struct usb_device *usb_bus_of_drive(struct usb_bus *b, struct drive *medium);
extern const struct input_ops usb_input;
extern const struct usb_ops usb_told;

/* The devices: NULL with an error.  d: the controller; number: of the section. */
struct usb_device *usb_storage_open(struct device *d, const struct config *c, unsigned number, GError **error);
struct usb_device *usb_keyboard_new(struct device *d);
struct usb_device *usb_tablet_new(struct device *d);
struct usb_device *usb_mouse_new(struct device *d);
struct usb_device *usb_hub_new(struct device *d);
bool usb_storage_present(const struct usb_device *u);         /* a stick is there; of other kinds: true */
struct drive *usb_storage_medium(const struct usb_device *u); /* NULL: it is no storage */

/* usb_hid.c: what is INPUT_... of what the guest listens to; 0: it is no such device. */
unsigned usb_hid_listened(const struct usb_device *u);
bool usb_hid_takes(const struct usb_device *u, unsigned what); /* is it a keyboard, pointer, absolute pointer? */
bool usb_hid_key(struct usb_device *u, unsigned code, bool down);
bool usb_hid_move(struct usb_device *u, int x, int y, int wheel, unsigned buttons); /* relative, or 0-65535 */
unsigned usb_hid_leds(const struct usb_device *u);

/* ---- usb_standard.c ---- */

/* What a device says of itself. */
struct usb_model {
    uint16_t vendor, product;
    uint8_t device_class, subclass, protocol;
    const char *text; /* its name for people; the serial number is made from the port */
    /* By speed: a whole configuration with all its descriptors; NULL: not with that speed. */
    const uint8_t *configuration[USB_SUPER + 1];
    const uint8_t *report; /* of HID */
    uint16_t report_bytes;
    /* The guest chose a configuration, or an endpoint is no longer halted (number | 0x80: in); may be NULL. */
    void (*configured)(struct usb_device *u);
    void (*unhalted)(struct usb_device *u, uint8_t endpoint);
    bool (*halted)(const struct usb_device *u, uint8_t endpoint);
};
/* Request codes, with bmRequestType above. */
enum {
    USB_GET_STATUS = 0x00,
    USB_CLEAR_FEATURE = 0x01,
    USB_SET_FEATURE = 0x03,
    USB_SET_ADDRESS = 0x05,
    USB_GET_DESCRIPTOR = 0x06,
    USB_GET_CONFIGURATION = 0x08,
    USB_SET_CONFIGURATION = 0x09,
    USB_GET_INTERFACE = 0x0a,
    USB_SET_INTERFACE = 0x0b,
    USB_SET_SEL = 0x30,
    USB_SET_ISOCH_DELAY = 0x31,
};
/* Answers a standard request; false: it is none, or none that this device has. */
bool usb_standard(struct usb_device *u, const struct usb_model *m, struct usb_packet *p);
/* The answer to a control request that reads: as much of it as was asked for. */
void usb_answer(struct usb_packet *p, const void *data, uint32_t bytes);

/* ---- usb_tokens.c ---- */

/* For controllers whose schedules are single tokens: what a control transfer is made of here, and what a device keeps is asked for
 * again, as after a NAK, until it is through. */
enum usb_pid { USB_PID_OUT = 0xe1, USB_PID_IN = 0x69, USB_PID_SETUP = 0x2d };
struct usb_token {
    enum usb_pid pid;
    uint8_t endpoint;
    uint64_t
        tag; /* of whoever asks: the place of its descriptor.  Another one takes back what is kept for the endpoint */
    uint8_t *data;  /* at most USB_PACKET_MOST bytes */
    uint32_t bytes; /* out: what there is; in: room */
    uint32_t moved;
};
/* Never USB_LATER. */
enum usb_status usb_token(struct usb_device *u, struct usb_token *t);
/* Takes back what is kept, and forgets.  u: of that device; NULL: of all. */
void usb_tokens_forget(struct usb_bus *b, const struct usb_device *u);
void usb_tokens_free(struct usb_bus *b);
bool usb_tokens_sync(struct usb_bus *b, struct stream *s);
