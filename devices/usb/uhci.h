// SPDX-License-Identifier: GPL-2.0-or-later
/* uhci.h - inside of the UHCI controller: uhci.c (registers, time), uhci_schedule.c (frames).  Spec: Universal Host Controller
 * Interface Design Guide 1.1; Intel 82371SB (PIIX3), chapter 2.4. */
#pragma once
#include "devices/usb/usb_bus.h"

enum { UHCI_PORTS = 2, UHCI_FRAMES = 1024, UHCI_PACKET = 1280, UHCI_TIMER = 0 };
enum {
    UHCI_CMD_RUN = 1,
    UHCI_STS_INTERRUPT = 1,
    UHCI_STS_ERROR = 2,
    UHCI_STS_RESUME = 4,
    UHCI_STS_PROCESS = 16,
    UHCI_STS_HALTED = 32
};
enum { UHCI_WHY_COMPLETE = 1, UHCI_WHY_SHORT = 2 }; /* of the interrupt */

struct uhci {
    struct usb_bus bus; /* first */
    uint16_t command, status, enable, frame;
    uint32_t base;
    uint8_t sof, why;
    uint16_t portsc[UHCI_PORTS];
    struct usb_port port[UHCI_PORTS];
    uint64_t walked; /* when the frame before `frame` was due */
    uint64_t due;    /* the timer; DEV_NEVER: stopped */
    uint32_t quiet;  /* frames since something was moved */
    bool inside;
    uint8_t data[UHCI_PACKET];
};

/* The schedule of a frame; false: nothing moved. */
bool uhci_walk(struct device *d, unsigned frame);
struct usb_device *uhci_device(struct uhci *x, uint8_t address);
