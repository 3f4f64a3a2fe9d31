// SPDX-License-Identifier: GPL-2.0-or-later
/* ehci.h - inside of the EHCI controller: ehci.c (registers, ports, time), ehci_schedule.c (queues).  Spec: Enhanced Host
 * Controller Interface for USB 2.0, revision 1.0; numbers in comments are its chapters. */
#pragma once
#include "devices/usb/usb_bus.h"

enum { EHCI_PORTS = 6, EHCI_TIMER = 0, EHCI_BUFFER = 5 * 4096 };
enum { EHCI_CMD_RUN = 1, EHCI_CMD_PERIODIC = 16, EHCI_CMD_ASYNC = 32, EHCI_CMD_DOORBELL = 64 };
enum {
    EHCI_STS_INTERRUPT = 1,
    EHCI_STS_ERROR = 2,
    EHCI_STS_PORT = 4,
    EHCI_STS_ROLLOVER = 8,
    EHCI_STS_HOST_ERROR = 16,
    EHCI_STS_ADVANCE = 32,
    EHCI_STS_HALTED = 1 << 12,
    EHCI_STS_RECLAMATION = 1 << 13,
    EHCI_STS_PERIODIC = 1 << 14,
    EHCI_STS_ASYNC = 1 << 15,
};

struct ehci {
    struct usb_bus bus; /* first */
    uint32_t command, status, enable, index /* FRINDEX */, periodic, async, configured;
    uint32_t portsc[EHCI_PORTS];
    struct usb_port port[EHCI_PORTS];
    uint64_t walked; /* when the frame before the one of `index` was due */
    uint64_t due;    /* the timer; DEV_NEVER: stopped */
    uint32_t quiet;  /* frames since something was moved */
    bool inside;
    uint8_t data[EHCI_BUFFER];
};

/* The periodic schedule of a frame, or the asynchronous one; false: nothing moved. */
bool ehci_walk_periodic(struct device *d);
bool ehci_walk_async(struct device *d);
struct usb_device *ehci_device(struct ehci *x, uint8_t address);
