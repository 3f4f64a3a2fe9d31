// SPDX-License-Identifier: GPL-2.0-or-later
/* hyperv_testdev.c - what kvm-unit-tests' Hyper-V programs expect, after QEMU's hyperv-testdev: a write of 32 bits to port
 * 3000h makes or removes a connection, or raises a SINT.  Bits 0-7: SINT, 8-15: CPU, 16-23: what, 24-31: the connection. */
#include "devices/all.h"
#include "devices/hyperv/hyperv.h"

enum { ROUTE_CREATE = 1, ROUTE_DESTROY, RAISE, MESSAGE_CONNECT, MESSAGE_DISCONNECT, EVENT_CONNECT, EVENT_DISCONNECT };

static void hyperv_testdev_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t v)
{
    struct device *hv = hv_find(d);
    unsigned sint = v & 0xff, cpu = v >> 8 & 0xff, what = v >> 16 & 0xff, id = v >> 24 & 0xff;
    if (!hv)
        return;
    switch (what) {
    case RAISE: hv_raise(hv, cpu, sint); break;
    case MESSAGE_CONNECT: hv_connect(hv, HV_PORT_MESSAGE, id, cpu, sint); break;
    case EVENT_CONNECT: hv_connect(hv, HV_PORT_EVENT, id, cpu, sint); break;
    case MESSAGE_DISCONNECT:
    case EVENT_DISCONNECT: hv_disconnect(hv, id); break;
    default: break; /* a SINT needs no route here */
    }
}

const struct device_ops hyperv_testdev_ops = {
    .name = "hyperv-testdev",
    .regions = {{BUS_PORT, 0x3000, 4, 4, 4}},
    .write = hyperv_testdev_write,
};
