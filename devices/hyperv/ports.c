// SPDX-License-Identifier: GPL-2.0-or-later
/* ports.c - connections: where what the guest posts and signals goes (TLFS, HvCallPostMessage, HvCallSignalEvent).
 *
 * Each leads to a SINT of one of the guest's own CPUs.  There is no VMBus behind any: who makes connections is the device for
 * kvm-unit-tests.  A connection holds one message that finds its slot taken; the next one is refused until that is gone. */
#include "core-vmm/api/platform.h"
#include "core-vmm/base/bytes.h"
#include "devices/hyperv/hyperv.h"
#include <string.h>

struct device *hv_find(struct device *d)
{
    return dev_find(d, "hyperv");
}

static struct hv_port *port_of(struct hyperv *h, uint32_t id)
{
    for (unsigned i = 0; i < HV_PORTS; i++)
        if (h->port[i].kind && h->port[i].id == id)
            return &h->port[i];
    return NULL;
}

void hv_raise(struct device *hv, unsigned cpu, unsigned sint)
{
    const struct hyperv *h = hv->state;
    dev_lock(hv);
    if (cpu < h->cpus && sint < HV_SINTS)
        hv_sint(hv, cpu, sint);
    dev_unlock(hv);
}

bool hv_connect(struct device *hv, enum hv_port_kind kind, uint32_t id, unsigned cpu, unsigned sint)
{
    struct hyperv *h = hv->state;
    struct hv_port *free_port = NULL;
    dev_lock(hv);
    bool good = cpu < h->cpus && sint < HV_SINTS && !port_of(h, id);
    for (unsigned i = 0; i < HV_PORTS && good && !free_port; i++)
        free_port = h->port[i].kind ? NULL : &h->port[i];
    if (free_port)
        *free_port = (struct hv_port){.kind = kind, .id = id, .cpu = cpu, .sint = sint};
    dev_unlock(hv);
    return free_port;
}

void hv_disconnect(struct device *hv, uint32_t id)
{
    dev_lock(hv);
    struct hv_port *p = port_of(hv->state, id);
    if (p)
        *p = (struct hv_port){0};
    dev_unlock(hv);
}

enum hv_status hv_post_message(struct device *d, struct hyperv_call *c)
{
    uint8_t in[16 + 240];
    if (hv_fast(c))
        return HV_INVALID_HYPERCALL_INPUT;
    if (!hv_input(d, c, in, sizeof in))
        return c->result;
    struct hv_port *p = port_of(d->state, get_le32(in));
    uint32_t type = get_le32(in + 8), bytes = get_le32(in + 12);
    if (!p)
        return HV_INVALID_CONNECTION_ID;
    if (p->kind != HV_PORT_MESSAGE)
        return HV_INVALID_PORT_ID;
    if (!type || type >> 31 || bytes > sizeof p->message.payload)
        return HV_INVALID_PARAMETER;
    if (p->waits)
        return HV_INSUFFICIENT_BUFFERS;
    p->message = (struct hv_message){.type = type, .bytes = bytes, .sender = p->id};
    memcpy(p->message.payload, in + 16, bytes);
    bool placed;
    enum hv_status status = hv_post(d, p->cpu, p->sint, &p->message, &placed);
    p->waits = status == HV_SUCCESS && !placed;
    if (p->waits)
        hv_place_waiting(d);
    return status;
}

enum hv_status hv_signal_event(struct device *d, struct hyperv_call *c)
{
    uint64_t in = c->input;
    if (!hv_fast(c) && !hv_input(d, c, &in, sizeof in))
        return c->result;
    const struct hv_port *p = port_of(d->state, (uint32_t)in);
    uint16_t flag = in >> 32;
    if (!p)
        return HV_INVALID_CONNECTION_ID;
    if (p->kind != HV_PORT_EVENT)
        return HV_INVALID_PORT_ID;
    return hv_signal(d, p->cpu, p->sint, p->id + flag);
}
