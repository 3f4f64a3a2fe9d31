// SPDX-License-Identifier: GPL-2.0-or-later
/* xhci.h - inside of the xHCI controller: xhci.c (registers), xhci_ports.c, xhci_events.c (event ring, interrupts),
 * xhci_commands.c (slots, contexts), xhci_transfers.c.  Spec: eXtensible Host Controller Interface for USB, revision 1.1; numbers in
 * comments are its chapters.
 *
 * Each of the eight places has two ports, as such a controller has: 1 to 8 are SuperSpeed's, 9 to 16 those of USB 2.  There are
 * no streams, no scratchpads, contexts of 32 bytes, one interrupter; periodic transfers have no bandwidth, and an endpoint that has
 * nothing to say is asked again when its device wakes it, not by time: an idle controller does nothing at all. */
#pragma once
#include "devices/usb/usb_bus.h"

enum { XHCI_PORTS = 2 * USB_UNITS, XHCI_SLOTS = 32, XHCI_ENDPOINTS = 32, XHCI_TRB = 16, XHCI_CONTEXT = 32 };
enum { XHCI_TIMER_WORK };
enum { XHCI_PENDING = 64, XHCI_TRBS = 1024 /* of a transfer descriptor, with links */ };

/* TRB types (6.4.6) and completion codes (6.4.5). */
enum {
    TRB_NORMAL = 1,
    TRB_SETUP,
    TRB_DATA,
    TRB_STATUS,
    TRB_ISOCH,
    TRB_LINK,
    TRB_EVENT_DATA,
    TRB_NO_OP,
    TRB_ENABLE_SLOT,
    TRB_DISABLE_SLOT,
    TRB_ADDRESS_DEVICE,
    TRB_CONFIGURE,
    TRB_EVALUATE,
    TRB_RESET_ENDPOINT,
    TRB_STOP_ENDPOINT,
    TRB_SET_DEQUEUE,
    TRB_RESET_DEVICE,
    TRB_NO_OP_COMMAND = 23,
    TRB_TRANSFER_EVENT = 32,
    TRB_COMMAND_EVENT,
    TRB_PORT_EVENT,
};
enum {
    CODE_SUCCESS = 1,
    CODE_DATA_BUFFER = 2,
    CODE_BABBLE = 3,
    CODE_TRANSACTION = 4,
    CODE_TRB = 5,
    CODE_STALL = 6,
    CODE_NO_SLOTS = 9,
    CODE_SLOT_OFF = 11,
    CODE_ENDPOINT_OFF = 12,
    CODE_SHORT = 13,
    CODE_PARAMETER = 17,
    CODE_CONTEXT_STATE = 19,
    CODE_RING_STOPPED = 24,
    CODE_STOPPED = 26,
};
/* Bits of a TRB's control word. */
enum { TRB_CYCLE = 1, TRB_TOGGLE = 2, TRB_SHORT = 4 /* ISP */, TRB_CHAIN = 16, TRB_IOC = 32, TRB_IMMEDIATE = 64 };

struct xhci_trb {
    uint64_t parameter;
    uint32_t status, control;
    uint64_t at; /* where it was */
};
static inline unsigned xhci_trb_type(const struct xhci_trb *t)
{
    return t->control >> 10 & 63;
}

struct xhci_ring {
    uint64_t at;
    bool cycle;
};

enum xhci_endpoint_state { ENDPOINT_OFF, ENDPOINT_RUNNING, ENDPOINT_HALTED, ENDPOINT_STOPPED, ENDPOINT_ERROR };
struct xhci_transfer {      /* what an endpoint works on; made when it first has something to do */
    bool kept;              /* the device has the packet */
    uint32_t count, bytes;  /* TRBs; of data in all of them */
    struct xhci_ring after; /* the ring behind it */
    struct usb_packet packet;
    uint8_t endpoint, slot;
    struct device *device;
    struct xhci_trb trb[XHCI_TRBS];
    uint8_t data[USB_PACKET_MOST];
};
struct xhci_endpoint {
    uint32_t state, type, most; /* type: as in its context (6.2.3); most: bytes of a packet */
    struct xhci_ring ring;      /* what comes next */
    uint32_t moved;             /* of that, bytes that have been moved already */
    bool wanted;                /* there may be something to do */
    struct xhci_transfer *transfer;
};

enum xhci_slot_state { SLOT_OFF, SLOT_ENABLED, SLOT_DEFAULT, SLOT_ADDRESSED, SLOT_CONFIGURED };
struct xhci_slot {
    uint32_t state;
    uint32_t root, route;                          /* the root port, from 1; hub ports below it, 4 bits each */
    uint64_t context;                              /* the guest's device context */
    struct xhci_endpoint endpoint[XHCI_ENDPOINTS]; /* by device context index: 1 is control, 2n out, 2n + 1 in */
};

struct xhci {
    struct usb_bus bus; /* first */
    uint32_t command, status, notify, config;
    uint64_t command_ring, contexts;
    struct xhci_ring commands;
    bool commands_run;
    uint64_t started;  /* when it began to run: for MFINDEX */
    uint32_t stood_at; /* MFINDEX when it last stopped */
    struct usb_port port[XHCI_PORTS];
    uint32_t portsc[XHCI_PORTS];
    /* The interrupter. */
    uint32_t iman, imod, segments, segment, index;
    uint64_t segment_table, dequeue;
    bool cycle;
    uint32_t pending; /* events that the ring has no room for */
    struct xhci_trb event[XHCI_PENDING];
    /* What is at work. */
    bool inside, again;
    uint32_t budget; /* steps that are left before others have their turn: TRBs and links read, pages of data */
    uint64_t due;    /* more work, by the timer; DEV_NEVER: none */
    struct xhci_slot slot[XHCI_SLOTS + 1]; /* 0: none */
};

/* Bits of registers that several files use. */
enum {
    CMD_RUN = 1,
    CMD_INTERRUPTS = 4,
    STS_HALTED = 1,
    STS_FATAL = 4,
    STS_EVENT = 8,
    STS_PORT = 16,
    STS_ERROR = 1 << 12
};

/* xhci.c: what was put off; at the end of whatever the guest did, never inside a device's code: a command may take back, or free,
 * the packet that the device is just working at.  xhci_work_soon(): the same by the timer, at once. */
void xhci_work(struct device *d);
void xhci_work_soon(struct device *d);
bool xhci_runs(const struct xhci *x);

/* xhci_events.c */
void xhci_post(struct device *d, const struct xhci_trb *event); /* its cycle bit is set here */
bool xhci_has_room(const struct xhci *x);                       /* for what one transfer may have to say */
void xhci_dequeue_written(struct device *d);
void xhci_events_begin(struct xhci *x);
void xhci_update(struct device *d); /* the line */

/* xhci_ports.c */
extern const struct usb_port_ops xhci_port_ops;
void xhci_ports_reset(struct xhci *x);
uint32_t xhci_port_read(const struct xhci *x, unsigned n, unsigned which);
void xhci_port_write(struct device *d, unsigned n, unsigned which, uint32_t value);
void xhci_ports_tell(struct device *d);                                       /* what changed while nobody listened */
struct usb_device *xhci_device_of(struct xhci *x, const struct xhci_slot *s); /* NULL: none, or not enabled */

/* xhci_commands.c */
void xhci_commands_run(struct device *d);
void xhci_slot_off(struct device *d, struct xhci_slot *s);

/* xhci_transfers.c */
/* The next TRB of a ring that is the consumer's, over links; false: there is none yet, or *bad, for the ring makes no sense. */
bool xhci_next_trb(struct device *d, struct xhci_ring *r, struct xhci_trb *t, bool *bad);
void xhci_endpoint_run(struct device *d, unsigned slot, unsigned endpoint);
void xhci_endpoint_stop(struct device *d, unsigned slot, unsigned endpoint, bool tell); /* takes back what is kept */
void xhci_endpoint_show(struct device *d, unsigned slot,
                        unsigned endpoint); /* state and ring, in the guest's context */
void xhci_endpoint_off(struct device *d, unsigned slot, unsigned endpoint);
