// SPDX-License-Identifier: GPL-2.0-or-later
/* xhci_commands.c - the command ring: slots, device contexts, endpoints (4.5, 4.6, 6.2). */
#include "core-vmm/base/bytes.h"
#include "devices/usb/xhci.h"

enum { COMMANDS_AT_ONCE = 256, ROUTE = 0xfffff, DECONFIGURE = 1 << 9, NO_ADDRESS = 1 << 9 };
enum { SLOT_STATE_DEFAULT = 1, SLOT_STATE_ADDRESSED, SLOT_STATE_CONFIGURED, CONTEXTS = XHCI_ENDPOINTS };

/* ---- contexts ---- */

/* A context of the guest's: of the device's own, or of an input context, which has its control context first. */
static uint8_t *context(struct device *d, uint64_t at, unsigned n, bool write)
{
    return dev_dma(d, at + n * XHCI_CONTEXT, XHCI_CONTEXT, write);
}

static void context_done(struct device *d, uint64_t at, unsigned n)
{
    dev_dma_done(d, at + n * XHCI_CONTEXT, XHCI_CONTEXT);
}

void xhci_endpoint_show(struct device *d, unsigned slot, unsigned endpoint)
{
    struct xhci *x = d->state;
    const struct xhci_slot *s = &x->slot[slot];
    const struct xhci_endpoint *e = &s->endpoint[endpoint];
    uint8_t *c = context(d, s->context, endpoint, true);
    if (!c)
        return;
    put_le32(c, (get_le32(c) & ~UINT32_C(7)) | e->state);
    put_le64(c + 8, e->ring.at | e->ring.cycle);
    context_done(d, s->context, endpoint);
}

static void show_slot(struct device *d, const struct xhci_slot *s, unsigned last, uint8_t address)
{
    static const uint8_t state[] = {[SLOT_DEFAULT] = SLOT_STATE_DEFAULT,
                                    [SLOT_ADDRESSED] = SLOT_STATE_ADDRESSED,
                                    [SLOT_CONFIGURED] = SLOT_STATE_CONFIGURED};
    uint8_t *c = context(d, s->context, 0, true);
    if (!c)
        return;
    put_le32(c, (get_le32(c) & 0x07ffffff) | last << 27);
    put_le32(c + 12, (uint32_t)state[s->state] << 27 | address);
    context_done(d, s->context, 0);
}

/* One of an input context, read once: a guest may change it meanwhile.  false: it is not in RAM. */
static bool read_context(struct device *d, uint64_t input, unsigned n, uint8_t *out)
{
    const uint8_t *from = context(d, input, n + 1, false);
    if (from)
        memcpy(out, from, XHCI_CONTEXT);
    return from;
}

static void write_context(struct device *d, const struct xhci_slot *s, unsigned n, const uint8_t *c)
{
    uint8_t *to = context(d, s->context, n, true);
    if (!to)
        return;
    memcpy(to, c, XHCI_CONTEXT);
    context_done(d, s->context, n);
}

/* ---- endpoints ---- */

/* As its input context describes it; false: it makes no sense. */
static bool endpoint_on(struct device *d, unsigned slot, unsigned n, uint64_t input)
{
    struct xhci *x = d->state;
    struct xhci_slot *s = &x->slot[slot];
    uint8_t c[XHCI_CONTEXT];
    uint32_t type = read_context(d, input, n, c) ? get_le32(c + 4) >> 3 & 7 : 0;
    bool in = type > 4;
    if (!type || (type == 4) != (n == 1) || (n > 1 && in != (n & 1)))
        return false;
    xhci_endpoint_off(d, slot, n);
    write_context(d, s, n, c);
    s->endpoint[n] = (struct xhci_endpoint){.state = ENDPOINT_RUNNING,
                                            .type = type,
                                            .most = get_le32(c + 4) >> 16,
                                            .ring = {get_le64(c + 8) & ~UINT64_C(15), c[8] & 1}};
    xhci_endpoint_show(d, slot, n);
    return true;
}

static void endpoints_off(struct device *d, unsigned slot, unsigned from)
{
    struct xhci *x = d->state;
    for (unsigned n = from; n < XHCI_ENDPOINTS; n++) {
        bool was = x->slot[slot].endpoint[n].state != ENDPOINT_OFF;
        xhci_endpoint_off(d, slot, n);
        if (was)
            xhci_endpoint_show(d, slot, n);
    }
}

void xhci_slot_off(struct device *d, struct xhci_slot *s)
{
    struct xhci *x = d->state;
    for (unsigned n = 1; n < XHCI_ENDPOINTS; n++)
        xhci_endpoint_off(d, s - x->slot, n);
    *s = (struct xhci_slot){0};
}

/* ---- commands: each returns a completion code ---- */
static unsigned enable_slot(struct device *d, unsigned *slot)
{
    struct xhci *x = d->state;
    for (unsigned n = 1; n <= MIN(x->config & 0xff, XHCI_SLOTS); n++)
        if (x->slot[n].state == SLOT_OFF) {
            x->slot[n].state = SLOT_ENABLED;
            *slot = n;
            return CODE_SUCCESS;
        }
    return CODE_NO_SLOTS;
}

/* Nobody else's, and with a device. */
static bool place_free(struct xhci *x, const struct xhci_slot *s, uint32_t root, uint32_t route)
{
    for (unsigned n = 1; n <= XHCI_SLOTS; n++) {
        const struct xhci_slot *other = &x->slot[n];
        if (other != s && other->state >= SLOT_DEFAULT && other->root == root && other->route == route)
            return false;
    }
    return root && root <= XHCI_PORTS;
}

static void set_address(struct usb_device *u, uint8_t address)
{
    uint8_t nothing[1];
    struct usb_packet p = {.kind = USB_CONTROL, .setup = {0, USB_SET_ADDRESS, address}, .data = nothing};
    usb_send(u, &p);
}

static unsigned address_device(struct device *d, unsigned slot, const struct xhci_trb *t)
{
    struct xhci *x = d->state;
    struct xhci_slot *s = &x->slot[slot];
    uint64_t input = t->parameter & ~UINT64_C(15);
    uint8_t c[XHCI_CONTEXT];
    const uint8_t *add = context(d, input, 0, false);
    const uint8_t *table = dev_dma(d, x->contexts + slot * 8, 8, false);
    bool addressed = !(t->control & NO_ADDRESS);
    if (!add || !read_context(d, input, 0, c) || !table || (get_le32(add + 4) & 3) != 3)
        return CODE_TRB;
    if (s->state > SLOT_DEFAULT || (s->state == SLOT_DEFAULT && !addressed))
        return CODE_CONTEXT_STATE;
    uint32_t root = get_le32(c + 4) >> 16 & 0xff, route = get_le32(c) & ROUTE;
    if (!place_free(x, s, root, route))
        return CODE_PARAMETER;
    s->root = root;
    s->route = route;
    s->context = get_le64(table) & ~UINT64_C(63);
    struct usb_device *u = xhci_device_of(x, s);
    if (!u)
        return CODE_TRANSACTION;
    write_context(d, s, 0, c);
    if (!context(d, s->context, 0, true) || !endpoint_on(d, slot, 1, input))
        return CODE_PARAMETER;
    s->state = addressed ? SLOT_ADDRESSED : SLOT_DEFAULT;
    if (addressed)
        set_address(u, slot);
    show_slot(d, s, 1, addressed ? slot : 0);
    return CODE_SUCCESS;
}

static unsigned last_endpoint(const struct xhci_slot *s)
{
    unsigned last = 1;
    for (unsigned n = 1; n < XHCI_ENDPOINTS; n++)
        if (s->endpoint[n].state != ENDPOINT_OFF)
            last = n;
    return last;
}

static unsigned configure(struct device *d, unsigned slot, const struct xhci_trb *t)
{
    struct xhci *x = d->state;
    struct xhci_slot *s = &x->slot[slot];
    uint64_t input = t->parameter & ~UINT64_C(15);
    if (s->state < SLOT_ADDRESSED)
        return CODE_CONTEXT_STATE;
    if (t->control & DECONFIGURE) {
        endpoints_off(d, slot, 2);
        s->state = SLOT_ADDRESSED;
        show_slot(d, s, 1, slot);
        return CODE_SUCCESS;
    }
    const uint8_t *c = context(d, input, 0, false);
    uint32_t drop = c ? get_le32(c) : 0, add = c ? get_le32(c + 4) : 0;
    if (!c || drop & 3 || (add & 3) != 1)
        return CODE_TRB;
    for (unsigned n = 2; n < XHCI_ENDPOINTS; n++) {
        if (drop >> n & 1) {
            xhci_endpoint_off(d, slot, n);
            xhci_endpoint_show(d, slot, n);
        }
        if (add >> n & 1 && !endpoint_on(d, slot, n, input))
            return CODE_PARAMETER;
    }
    s->state = last_endpoint(s) > 1 ? SLOT_CONFIGURED : SLOT_ADDRESSED;
    const uint8_t *from = context(d, input, 1, false);
    uint8_t *to = context(d, s->context, 0, true);
    if (from && to) /* a hub tells here that it is one */
        memmove(to, from, 12);
    show_slot(d, s, last_endpoint(s), slot);
    return CODE_SUCCESS;
}

/* Latency and interrupter of the slot; how long endpoint 0's packets are. */
static unsigned evaluate(struct device *d, unsigned slot, const struct xhci_trb *t)
{
    struct xhci *x = d->state;
    struct xhci_slot *s = &x->slot[slot];
    uint64_t input = t->parameter & ~UINT64_C(15);
    const uint8_t *c = context(d, input, 0, false);
    uint32_t add = c ? get_le32(c + 4) : 0;
    const uint8_t *from = add & 1 ? context(d, input, 1, false) : context(d, input, 2, false);
    uint8_t *to = context(d, s->context, add & 1 ? 0 : 1, true);
    if (s->state < SLOT_DEFAULT)
        return CODE_CONTEXT_STATE;
    if (!c || !from || !to)
        return CODE_TRB;
    if (add & 1) {
        put_le16(to + 4, get_le16(from + 4));
        put_le32(to + 8, (get_le32(to + 8) & 0x3fffff) | (get_le32(from + 8) & 0xffc00000));
        context_done(d, s->context, 0);
        from = context(d, input, 2, false);
        to = context(d, s->context, 1, true);
    }
    if (add & 2 && from && to) {
        s->endpoint[1].most = get_le16(from + 6);
        put_le16(to + 6, get_le16(from + 6));
        context_done(d, s->context, 1);
    }
    return CODE_SUCCESS;
}

/* The endpoint that a command names; NULL: *code says why not. */
static struct xhci_endpoint *endpoint_of(struct device *d, unsigned slot, const struct xhci_trb *t, unsigned *code)
{
    struct xhci *x = d->state;
    unsigned n = t->control >> 16 & 31;
    *code = !n ? CODE_TRB : x->slot[slot].endpoint[n].state == ENDPOINT_OFF ? CODE_ENDPOINT_OFF : CODE_CONTEXT_STATE;
    return *code == CODE_CONTEXT_STATE ? &x->slot[slot].endpoint[n] : NULL;
}

static unsigned reset_endpoint(struct device *d, unsigned slot, const struct xhci_trb *t)
{
    unsigned code;
    struct xhci_endpoint *e = endpoint_of(d, slot, t, &code);
    if (!e || e->state != ENDPOINT_HALTED)
        return code;
    e->state = ENDPOINT_STOPPED;
    xhci_endpoint_show(d, slot, t->control >> 16 & 31);
    return CODE_SUCCESS;
}

static unsigned stop_endpoint(struct device *d, unsigned slot, const struct xhci_trb *t)
{
    unsigned code, n = t->control >> 16 & 31;
    struct xhci_endpoint *e = endpoint_of(d, slot, t, &code);
    if (!e || e->state != ENDPOINT_RUNNING)
        return code;
    xhci_endpoint_stop(d, slot, n, true);
    e->state = ENDPOINT_STOPPED;
    xhci_endpoint_show(d, slot, n);
    return CODE_SUCCESS;
}

static unsigned set_dequeue(struct device *d, unsigned slot, const struct xhci_trb *t)
{
    unsigned code;
    struct xhci_endpoint *e = endpoint_of(d, slot, t, &code);
    if (!e || (e->state != ENDPOINT_STOPPED && e->state != ENDPOINT_ERROR))
        return code;
    e->ring = (struct xhci_ring){t->parameter & ~UINT64_C(15), t->parameter & 1};
    e->moved = 0;
    e->state = ENDPOINT_STOPPED;
    xhci_endpoint_show(d, slot, t->control >> 16 & 31);
    return CODE_SUCCESS;
}

static unsigned reset_device(struct device *d, unsigned slot)
{
    struct xhci *x = d->state;
    struct xhci_slot *s = &x->slot[slot];
    if (s->state < SLOT_ADDRESSED)
        return CODE_CONTEXT_STATE;
    endpoints_off(d, slot, 2);
    s->state = SLOT_DEFAULT;
    show_slot(d, s, 1, 0);
    return CODE_SUCCESS;
}

static unsigned of_slot(struct device *d, unsigned slot, const struct xhci_trb *t)
{
    struct xhci *x = d->state;
    if (!slot || slot > XHCI_SLOTS || x->slot[slot].state == SLOT_OFF)
        return CODE_SLOT_OFF;
    switch (xhci_trb_type(t)) {
    case TRB_DISABLE_SLOT: xhci_slot_off(d, &x->slot[slot]); return CODE_SUCCESS;
    case TRB_ADDRESS_DEVICE: return address_device(d, slot, t);
    case TRB_CONFIGURE: return configure(d, slot, t);
    case TRB_EVALUATE: return evaluate(d, slot, t);
    case TRB_RESET_ENDPOINT: return reset_endpoint(d, slot, t);
    case TRB_STOP_ENDPOINT: return stop_endpoint(d, slot, t);
    case TRB_SET_DEQUEUE: return set_dequeue(d, slot, t);
    case TRB_RESET_DEVICE: return reset_device(d, slot);
    default: return CODE_TRB;
    }
}

static void run(struct device *d, const struct xhci_trb *t)
{
    unsigned slot = t->control >> 24, code;
    switch (xhci_trb_type(t)) {
    case TRB_ENABLE_SLOT:
        slot = 0;
        code = enable_slot(d, &slot);
        break;
    case TRB_NO_OP_COMMAND: code = CODE_SUCCESS; break;
    default: code = of_slot(d, slot, t); break;
    }
    if (code == CODE_TRB)
        dev_log(d, "the guest gave the command %u, which is none that there is", xhci_trb_type(t));
    struct xhci_trb event = {
        .parameter = t->at, .status = code << 24, .control = TRB_COMMAND_EVENT << 10 | (uint32_t)slot << 24};
    xhci_post(d, &event);
}

void xhci_commands_run(struct device *d)
{
    struct xhci *x = d->state;
    struct xhci_trb t;
    bool bad = false;
    for (unsigned n = 0; x->commands_run && xhci_runs(x); n++) {
        bool enough = n == COMMANDS_AT_ONCE || !x->budget;
        if (enough || !xhci_has_room(x)) {
            x->again |= enough;
            return;
        }
        if (!xhci_next_trb(d, &x->commands, &t, &bad))
            break;
        run(d, &t);
    }
    if (bad) {
        dev_log(d, "the command ring makes no sense");
        x->commands_run = false;
    }
}
