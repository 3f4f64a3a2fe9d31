// SPDX-License-Identifier: GPL-2.0-or-later
/* xhci_transfers.c - transfer rings: what an endpoint has to do, and what becomes of it (4.9.2, 4.10, 4.11).
 *
 * A transfer descriptor (TD) is the TRBs up to the first without a chain bit; a control transfer is all its stages.  It is read as a
 * whole before anything is done, in at most XHCI_TRBS steps; one that is not complete yet waits for the next doorbell.  Its data
 * goes in packets of at most USB_PACKET_MOST bytes.  How much of it has been moved is kept beside the ring, so that a TD whose device has nothing now (NAK) is
 * read anew when it is tried again: then nothing of it but that number is state. */
#include "core-vmm/base/bytes.h"
#include "devices/usb/xhci.h"

enum { TRB_BYTES_MOST = 64 << 10, LENGTH = 0x1ffff, BYTES_A_STEP = 4096, DIRECTION_IN = 1 << 16 };
enum {
    TYPE_ISOCH_OUT = 1,
    TYPE_BULK_OUT,
    TYPE_INTERRUPT_OUT,
    TYPE_CONTROL,
    TYPE_ISOCH_IN,
    TYPE_BULK_IN,
    TYPE_INTERRUPT_IN
};
enum { EVENT_DATA = 4, RESIDUE_MOST = 0xffffff };

/* ---- rings ---- */
static void spend(struct device *d, uint32_t steps)
{
    struct xhci *x = d->state;
    x->budget -= MIN(x->budget, steps);
}

bool xhci_next_trb(struct device *d, struct xhci_ring *r, struct xhci_trb *t, bool *bad)
{
    for (unsigned links = 0; links < 16; links++) {
        const uint8_t *p = dev_dma(d, r->at, XHCI_TRB, false);
        spend(d, 1);
        if (!p)
            break;
        *t = (struct xhci_trb){get_le64(p), get_le32(p + 8), get_le32(p + 12), r->at};
        if ((t->control & TRB_CYCLE) != r->cycle)
            return false;
        if (xhci_trb_type(t) != TRB_LINK) {
            r->at += XHCI_TRB;
            return true;
        }
        r->at = t->parameter & ~UINT64_C(15);
        r->cycle ^= (t->control & TRB_TOGGLE) != 0;
    }
    *bad = true;
    return false;
}

/* ---- one TD ---- */
static bool has_data(const struct xhci_trb *t)
{
    unsigned type = xhci_trb_type(t);
    return type == TRB_NORMAL || type == TRB_DATA || type == TRB_ISOCH;
}

/* As many as a TRB can have: what is immediate has them in place of an address. */
static uint32_t data_most(const struct xhci_trb *t)
{
    return t->control & TRB_IMMEDIATE ? sizeof t->parameter : TRB_BYTES_MOST;
}

static uint32_t data_bytes(const struct xhci_trb *t)
{
    return has_data(t) ? MIN(t->status & LENGTH, data_most(t)) : 0;
}

static bool is_isochronous(uint32_t type)
{
    return type == TYPE_ISOCH_IN || type == TYPE_ISOCH_OUT;
}

/* type: of the endpoint. */
static bool good_trb(const struct xhci_trb *t, uint32_t type)
{
    uint32_t bytes = t->status & LENGTH;
    bool control = type == TYPE_CONTROL, fits = bytes <= data_most(t);
    switch (xhci_trb_type(t)) {
    case TRB_SETUP: return control && t->control & TRB_IMMEDIATE && bytes == USB_SETUP;
    case TRB_DATA:
    case TRB_NORMAL: return fits;
    case TRB_STATUS: return control;
    case TRB_ISOCH: return is_isochronous(type) && fits;
    case TRB_EVENT_DATA:
    case TRB_NO_OP: return true;
    }
    return false;
}

/* A control transfer ends with the TD of its status stage (has_status: it has been read), others with their only one. */
static bool is_last(const struct xhci_transfer *x, const struct xhci_trb *t, bool has_status)
{
    bool control = xhci_trb_type(&x->trb[0]) == TRB_SETUP; /* which good_trb() lets be on control endpoints only */
    return !(t->control & TRB_CHAIN) && (has_status || !control);
}

/* Reads what comes next; false: nothing yet, or *bad. */
static bool gather(struct device *d, struct xhci_endpoint *e, bool *bad)
{
    struct xhci_transfer *x = e->transfer;
    struct xhci_ring r = e->ring;
    struct xhci_trb t;
    bool has_status = false;
    x->count = x->bytes = 0;
    while (xhci_next_trb(d, &r, &t, bad)) {
        *bad = x->count == XHCI_TRBS || !good_trb(&t, e->type) || x->bytes > INT32_MAX;
        x->trb[MIN(x->count, XHCI_TRBS - 1)] = t;
        if (*bad)
            return false;
        x->count++;
        x->bytes += data_bytes(&t);
        has_status |= xhci_trb_type(&t) == TRB_STATUS;
        if (is_last(x, &t, has_status)) {
            x->after = r;
            return true;
        }
    }
    if (*bad && !x->count)
        x->trb[0] = (struct xhci_trb){.at = e->ring.at};
    return false;
}

/* Between the TD's data from byte `from` on and the packet's buffer; false: it is not in RAM. */
static bool copy(struct device *d, struct xhci_transfer *x, uint32_t from, uint32_t bytes, bool to_guest)
{
    uint32_t done = 0;
    for (unsigned i = 0; i < x->count && done < bytes; i++) {
        const struct xhci_trb *t = &x->trb[i];
        uint32_t here = data_bytes(t), skip = MIN(from, here), n = MIN(here - skip, bytes - done);
        from -= skip;
        if (!n)
            continue;
        if (t->control & TRB_IMMEDIATE) {
            uint8_t inside[8];
            put_le64(inside, t->parameter);
            memcpy(x->data + done, inside + skip, to_guest ? 0 : n);
        } else {
            uint8_t *p = dev_dma(d, t->parameter + skip, n, to_guest);
            if (!p)
                return false;
            memcpy(to_guest ? p : x->data + done, to_guest ? x->data + done : p, n);
            if (to_guest)
                dev_dma_done(d, t->parameter + skip, n);
        }
        done += n;
    }
    return true;
}

/* ---- how it went ---- */
static void tell(struct device *d, const struct xhci_transfer *x, const struct xhci_trb *t, unsigned code,
                 uint32_t value, bool event_data)
{
    struct xhci_trb event = {.parameter = event_data ? t->parameter : t->at,
                             .status = code << 24 | MIN(value, RESIDUE_MOST),
                             .control = TRB_TRANSFER_EVENT << 10 | (event_data ? EVENT_DATA : 0) |
                                        (uint32_t)x->endpoint << 16 | (uint32_t)x->slot << 24};
    xhci_post(d, &event);
}

/* The guest hears of each TRB that asks for it, of a short packet where it ended or at the TD's end, and of an error where that
 * was (4.10.1, 4.11.5.2). */
static void report(struct device *d, const struct xhci_transfer *x, uint32_t moved, unsigned code)
{
    uint32_t left = moved, since = 0;
    bool was_short = false, told = false; /* the short packet */
    for (unsigned i = 0; i < x->count; i++) {
        const struct xhci_trb *t = &x->trb[i];
        uint32_t here = data_bytes(t), part = MIN(here, left);
        bool event_data = xhci_trb_type(t) == TRB_EVENT_DATA, ends = has_data(t) && part < here && !was_short;
        bool failed = code != CODE_SUCCESS && (ends || i + 1 == x->count);
        left -= part;
        since += part;
        was_short |= ends;
        if (xhci_trb_type(t) == TRB_STATUS) /* another stage */
            was_short = told = false;
        if (failed || (t->control & TRB_IOC && !told) || (ends && t->control & TRB_SHORT)) {
            tell(d, x, t,
                 failed      ? code
                 : was_short ? CODE_SHORT
                             : CODE_SUCCESS,
                 event_data ? since : here - part, event_data);
            told = was_short;
        }
        if (failed)
            return;
        since = event_data ? 0 : since;
    }
}

static void halt(struct device *d, unsigned slot, unsigned endpoint, enum xhci_endpoint_state state)
{
    struct xhci *x = d->state;
    x->slot[slot].endpoint[endpoint].state = state;
    xhci_endpoint_show(d, slot, endpoint);
}

static unsigned code_of(enum usb_status status)
{
    switch (status) {
    case USB_OK: return CODE_SUCCESS;
    case USB_STALL: return CODE_STALL;
    case USB_BABBLE: return CODE_BABBLE;
    default: return CODE_TRANSACTION;
    }
}

static void end(struct device *d, struct xhci_endpoint *e, unsigned code)
{
    struct xhci_transfer *x = e->transfer;
    uint32_t moved = MIN(e->moved, x->bytes);
    e->moved = 0;
    if (code == CODE_SUCCESS || (code != CODE_TRB && is_isochronous(e->type)))
        e->ring = x->after;
    else
        halt(d, x->slot, x->endpoint, code == CODE_TRB ? ENDPOINT_ERROR : ENDPOINT_HALTED);
    report(d, x, moved, code);
}

/* A packet is through; true: so is the TD. */
static bool packet_through(struct device *d, struct xhci_endpoint *e)
{
    struct xhci_transfer *x = e->transfer;
    const struct usb_packet *p = &x->packet;
    uint32_t moved = MIN(p->moved, p->bytes);
    unsigned code = code_of(p->status);
    if (p->in && moved && !copy(d, x, e->moved, moved, true))
        code = CODE_DATA_BUFFER;
    e->moved += moved;
    if (code == CODE_SUCCESS && moved == p->bytes && e->moved < x->bytes && p->kind != USB_CONTROL)
        return false;
    end(d, e, code);
    return true;
}

/* ---- what is sent ---- */
static enum usb_kind kind_of(uint32_t type)
{
    switch (type & 3) {
    case TYPE_ISOCH_OUT: return USB_ISOCHRONOUS;
    case TYPE_BULK_OUT: return USB_BULK;
    case TYPE_INTERRUPT_OUT: return USB_INTERRUPT;
    default: return USB_CONTROL;
    }
}

/* The setup bytes say which way, and how much; what the stages have room for may be less. */
static bool control_packet(struct xhci_transfer *x)
{
    struct usb_packet *p = &x->packet;
    if (xhci_trb_type(&x->trb[0]) != TRB_SETUP)
        return false;
    put_le64(p->setup, x->trb[0].parameter);
    p->in = p->setup[0] & 0x80;
    p->bytes = MIN(x->bytes, get_le16(p->setup + 6));
    for (unsigned i = 0; i < x->count; i++)
        if (xhci_trb_type(&x->trb[i]) == TRB_DATA && !!(x->trb[i].control & DIRECTION_IN) != p->in)
            return false;
    return true;
}

static void packet_done(struct usb_packet *p);

/* The next packet of the TD; a code: it cannot be made, 0: here it is. */
static unsigned make_packet(struct device *d, struct xhci_endpoint *e)
{
    struct xhci_transfer *x = e->transfer;
    struct usb_packet *p = &x->packet;
    *p = (struct usb_packet){.kind = kind_of(e->type),
                             .endpoint = x->endpoint / 2,
                             .in = e->type > TYPE_CONTROL,
                             .data = x->data,
                             .bytes = MIN(x->bytes - MIN(e->moved, x->bytes), USB_PACKET_MOST),
                             .done = packet_done,
                             .tag = x};
    if (p->kind == USB_CONTROL && !control_packet(x))
        return CODE_TRB;
    return p->in || copy(d, x, e->moved, p->bytes, false) ? 0 : CODE_DATA_BUFFER;
}

/* Works at what is gathered; false: it cannot go on now.  When others have waited long enough, it goes on later, gathered
 * anew. */
static bool carry_on(struct device *d, struct xhci_slot *s, struct xhci_endpoint *e)
{
    struct xhci *controller = d->state;
    struct xhci_transfer *x = e->transfer;
    do {
        unsigned code = make_packet(d, e);
        if (code) {
            end(d, e, code);
            return true;
        }
        spend(d, x->packet.bytes / BYTES_A_STEP);
        x->kept = true; /* what it wakes up meanwhile is not for this endpoint */
        enum usb_status status = usb_send(xhci_device_of(controller, s), &x->packet);
        if (status == USB_LATER)
            return false;
        x->kept = false;
        if (status == USB_NAK)
            return false;
        if (packet_through(d, e))
            return true;
    } while (controller->budget);
    e->wanted = true;
    return false;
}

/* Only no-ops and event data. */
static bool is_empty(const struct xhci_transfer *x)
{
    for (unsigned i = 0; i < x->count; i++)
        if (xhci_trb_type(&x->trb[i]) != TRB_NO_OP && xhci_trb_type(&x->trb[i]) != TRB_EVENT_DATA)
            return false;
    return true;
}

static struct xhci_transfer *transfer_of(struct device *d, unsigned slot, unsigned endpoint)
{
    struct xhci *x = d->state;
    struct xhci_endpoint *e = &x->slot[slot].endpoint[endpoint];
    if (!e->transfer) {
        e->transfer = g_new0(struct xhci_transfer, 1);
        e->transfer->slot = slot;
        e->transfer->endpoint = endpoint;
        e->transfer->device = d;
    }
    return e->transfer;
}

void xhci_endpoint_run(struct device *d, unsigned slot, unsigned endpoint)
{
    struct xhci *x = d->state;
    struct xhci_slot *s = &x->slot[slot];
    struct xhci_endpoint *e = &s->endpoint[endpoint];
    struct xhci_transfer *t = transfer_of(d, slot, endpoint);
    e->wanted = false;
    while (e->state == ENDPOINT_RUNNING && xhci_runs(x) && !t->kept) {
        bool bad = false;
        if (!x->budget || !xhci_has_room(x)) {
            e->wanted = true; /* later, when others had their turn */
            return;
        }
        if (!gather(d, e, &bad)) {
            if (bad) {
                t->count = MAX(t->count, 1);
                t->bytes = 0;
                dev_log(d, "the ring of endpoint %u of slot %u makes no sense", endpoint, slot);
                end(d, e, CODE_TRB);
            }
            return;
        }
        if (is_empty(t))
            end(d, e, CODE_SUCCESS);
        else if (!carry_on(d, s, e))
            return;
    }
}

/* What the device had kept is through.  This is still inside the device's code: what it wakes up, and what else is to be
 * done, is for later. */
static void packet_done(struct usb_packet *p)
{
    struct xhci_transfer *t = p->tag;
    struct device *d = t->device;
    struct xhci *x = d->state;
    struct xhci_slot *s = &x->slot[t->slot];
    struct xhci_endpoint *e = &s->endpoint[t->endpoint];
    bool inside = x->inside;
    x->inside = true;
    t->kept = false;
    if (packet_through(d, e) || carry_on(d, s, e))
        e->wanted = true;
    x->inside = inside;
    xhci_work_soon(d);
}

/* ---- stopping ---- */

/* true: the device had the packet. */
static bool take_back(struct xhci_endpoint *e)
{
    struct xhci_transfer *t = e->transfer;
    bool kept = t && t->kept;
    if (kept)
        usb_cancel(&t->packet);
    if (t)
        t->kept = false;
    e->wanted = false;
    return kept;
}

/* What has been moved of a packet that was taken back is not moved again; a control transfer begins anew. */
static void count_moved(struct device *d, struct xhci_endpoint *e)
{
    const struct usb_packet *p = &e->transfer->packet;
    uint32_t moved = MIN(p->moved, p->bytes);
    if (p->kind != USB_CONTROL && (!p->in || copy(d, e->transfer, e->moved, moved, true)))
        e->moved += moved;
}

void xhci_endpoint_stop(struct device *d, unsigned slot, unsigned endpoint, bool tell_guest)
{
    struct xhci *x = d->state;
    struct xhci_endpoint *e = &x->slot[slot].endpoint[endpoint];
    struct xhci_transfer *t = e->transfer;
    bool bad = false;
    if (take_back(e))
        count_moved(d, e);
    if (tell_guest && t && gather(d, e, &bad)) {
        uint32_t left = e->moved;
        for (unsigned i = 0; i < t->count; i++) {
            uint32_t here = data_bytes(&t->trb[i]);
            if (has_data(&t->trb[i]) && left < here) {
                tell(d, t, &t->trb[i], CODE_STOPPED, here - left, false);
                return;
            }
            left -= MIN(left, here);
        }
    }
}

void xhci_endpoint_off(struct device *d, unsigned slot, unsigned endpoint)
{
    struct xhci *x = d->state;
    struct xhci_endpoint *e = &x->slot[slot].endpoint[endpoint];
    take_back(e);
    g_free(e->transfer);
    *e = (struct xhci_endpoint){0};
}
