// SPDX-License-Identifier: GPL-2.0-or-later
/* usb_tokens.c - packets for controllers whose schedules are single tokens (UHCI, EHCI).  Spec: USB 2.0, chapter 8.5.
 *
 * A control transfer is collected: its packet goes to the device at the first token that wants what it answers, and the tokens
 * get their parts of that.  Any other token is a packet.  Where the device answers later, the token is answered as if it had said NAK; the schedule comes by again,
 * and finds the answer here.  So nothing of a schedule is ever held, and the guest may take back what it likes. */
#include "devices/usb/usb_bus.h"
#include "core-vmm/base/bytes.h"
#include <string.h>

enum stage { STAGE_IDLE, STAGE_IN, STAGE_OUT, STAGE_STATUS, STAGES };
struct usb_pipe {
    struct usb_packet packet;
    struct device *device;
    uint64_t tag;
    bool kept, through; /* the device has it; it has answered, and nobody asked yet */
    uint32_t stage, at; /* of control: bytes of data that have gone */
    uint8_t data[USB_PACKET_MOST];
};

static struct usb_pipe **place_of(struct usb_device *u, uint8_t endpoint, bool in)
{
    struct usb_bus *b = u->machine->state;
    for (unsigned i = 0; i < USB_UNITS; i++)
        if (b->unit[i].device == u)
            return &b->unit[i].pipe[endpoint ? endpoint * 2 + in : 0];
    g_assert_not_reached();
}

static struct usb_pipe *pipe_of(struct usb_device *u, uint8_t endpoint, bool in)
{
    struct usb_pipe **p = place_of(u, endpoint, in);
    if (!*p) {
        *p = g_new0(struct usb_pipe, 1);
        (*p)->device = u->machine;
    }
    return *p;
}

static void take_back(struct usb_pipe *p)
{
    if (p->kept)
        usb_cancel(&p->packet);
    p->kept = p->through = false;
    p->stage = STAGE_IDLE;
}

static void done(struct usb_packet *packet)
{
    struct usb_pipe *p = packet->tag;
    struct usb_bus *b = p->device->state;
    p->kept = false;
    p->through = true;
    if (b->through)
        b->through(p->device);
}

/* Sends what is prepared, or looks what has become of it. */
static enum usb_status ask(struct usb_device *u, struct usb_pipe *p)
{
    if (p->kept)
        return USB_NAK;
    if (p->through) {
        p->through = false;
        return p->packet.status;
    }
    enum usb_status status = usb_send(u, &p->packet);
    p->kept = status == USB_LATER;
    return p->kept ? USB_NAK : status;
}

/* ---- control ---- */
static enum usb_status setup(struct usb_pipe *p, struct usb_token *t)
{
    if (t->bytes != USB_SETUP)
        return USB_STALL;
    take_back(p);
    p->packet = (struct usb_packet){.kind = USB_CONTROL,
                                    .in = t->data[0] & 0x80,
                                    .data = p->data,
                                    .bytes = get_le16(t->data + 6),
                                    .done = done,
                                    .tag = p};
    memcpy(p->packet.setup, t->data, USB_SETUP);
    p->at = 0;
    p->stage = !p->packet.bytes ? STAGE_STATUS : p->packet.in ? STAGE_IN : STAGE_OUT;
    t->moved = USB_SETUP;
    return USB_OK;
}

static enum usb_status control_in(struct usb_device *u, struct usb_pipe *p, struct usb_token *t)
{
    if (p->stage == STAGE_IDLE)
        return USB_STALL;
    if (p->at == 0 || p->stage != STAGE_IN) { /* the data, or how it went */
        enum usb_status status = ask(u, p);
        if (status != USB_OK) {
            p->stage = status == USB_NAK ? p->stage : STAGE_IDLE;
            return status;
        }
    }
    if (p->stage != STAGE_IN) {
        p->stage = STAGE_IDLE;
        return USB_OK;
    }
    t->moved = MIN(t->bytes, p->packet.moved - p->at);
    memcpy(t->data, p->data + p->at, t->moved);
    p->at += t->moved;
    if (p->at == p->packet.bytes || t->moved < t->bytes)
        p->stage = STAGE_IDLE; /* the status stage is an OUT of nothing */
    return USB_OK;
}

static enum usb_status control_out(struct usb_pipe *p, struct usb_token *t)
{
    if (p->stage != STAGE_OUT) { /* the status stage of one that reads */
        p->stage = STAGE_IDLE;
        return t->bytes ? USB_STALL : USB_OK;
    }
    t->moved = MIN(t->bytes, p->packet.bytes - p->at);
    memcpy(p->data + p->at, t->data, t->moved);
    p->at += t->moved;
    return USB_OK;
}

/* ---- all ---- */
static enum usb_status other(struct usb_device *u, struct usb_pipe *p, struct usb_token *t)
{
    bool in = t->pid == USB_PID_IN;
    if ((p->kept || p->through) && p->tag != t->tag)
        take_back(p);
    if (!p->kept && !p->through) {
        p->packet = (struct usb_packet){.kind = USB_BULK,
                                        .endpoint = t->endpoint,
                                        .in = in,
                                        .data = p->data,
                                        .bytes = t->bytes,
                                        .done = done,
                                        .tag = p};
        p->tag = t->tag;
        if (!in)
            memcpy(p->data, t->data, t->bytes);
    }
    enum usb_status status = ask(u, p);
    t->moved = MIN(p->packet.moved, t->bytes);
    if (in && status == USB_OK)
        memcpy(t->data, p->data, t->moved);
    return status;
}

enum usb_status usb_token(struct usb_device *u, struct usb_token *t)
{
    struct usb_pipe *p = pipe_of(u, t->endpoint, t->pid == USB_PID_IN);
    t->moved = 0;
    if (t->endpoint)
        return t->pid == USB_PID_SETUP ? USB_STALL : other(u, p, t);
    switch (t->pid) {
    case USB_PID_SETUP: return setup(p, t);
    case USB_PID_IN: return control_in(u, p, t);
    default: return control_out(p, t);
    }
}

void usb_tokens_forget(struct usb_bus *b, const struct usb_device *u)
{
    for (unsigned i = 0; i < USB_UNITS; i++)
        for (unsigned n = 0; (!u || b->unit[i].device == u) && n < G_N_ELEMENTS(b->unit[i].pipe); n++)
            if (b->unit[i].pipe[n])
                take_back(b->unit[i].pipe[n]);
}

void usb_tokens_free(struct usb_bus *b)
{
    usb_tokens_forget(b, NULL);
    for (unsigned i = 0; i < USB_UNITS; i++)
        for (unsigned n = 0; n < G_N_ELEMENTS(b->unit[i].pipe); n++)
            g_clear_pointer(&b->unit[i].pipe[n], g_free);
}

/* ---- saved state: nothing is kept, but an answer may wait, and a control transfer be in its middle ---- */
static bool sync_pipe(struct stream *s, struct usb_pipe *p, bool control)
{
    uint32_t status = p->packet.status;
    stream_u64(s, &p->tag);
    stream_bool(s, &p->through);
    stream_check_u32(s, &p->stage, STAGES - 1);
    stream_raw(s, p->packet.setup, USB_SETUP);
    stream_bool(s, &p->packet.in);
    stream_check_u32(s, &p->packet.bytes, USB_PACKET_MOST);
    stream_check_u32(s, &p->packet.moved, p->packet.bytes);
    stream_check_u32(s, &p->at, p->packet.bytes);
    stream_check_u32(s, &status, USB_LOST);
    stream_raw(s, p->data, p->packet.bytes);
    p->packet.status = status;
    return stream_ok(s) && status != USB_LATER && (p->stage != STAGE_IN || p->at <= p->packet.moved || !p->at);
}

static bool sync_one(struct usb_bus *b, struct stream *s, struct usb_unit *unit, unsigned n)
{
    bool there = unit->pipe[n] && (unit->pipe[n]->through || unit->pipe[n]->stage);
    stream_bool(s, &there);
    if (!there || !stream_ok(s))
        return stream_ok(s);
    if (s->loading) {
        struct usb_pipe *p = pipe_of(unit->device, n / 2, n & 1);
        p->packet = (struct usb_packet){
            .kind = n ? USB_BULK : USB_CONTROL, .endpoint = n / 2, .data = p->data, .done = done, .tag = p};
    }
    return sync_pipe(s, unit->pipe[n], !n);
}

bool usb_tokens_sync(struct usb_bus *b, struct stream *s)
{
    for (unsigned i = 0; i < USB_UNITS; i++)
        for (unsigned n = 0; b->unit[i].device && n < G_N_ELEMENTS(b->unit[i].pipe); n++)
            if (n != 1 && !sync_one(b, s, &b->unit[i], n))
                return false;
    return true;
}
