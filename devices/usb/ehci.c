// SPDX-License-Identifier: GPL-2.0-or-later
/* ehci.c - an EHCI controller with six ports and no companions: registers, ports and time.  See ehci.h.
 *
 * What is plugged in has high speed, or is behind a hub that has.  (Companion controllers would be for full-speed devices on its own ports;
 * there are none, and a port that the guest gives away to one has nothing connected.)
 *
 * Time goes as with UHCI (uhci.c): frames are due every millisecond while something moves, and later together; a device that has
 * something to say is asked at once.
 *
 * Line 0: INTA#. */
#include "devices/all.h"
#include "devices/usb/ehci.h"
#include <string.h>

enum { CAPLENGTH = 0x20, HCSPARAMS = 4, HCCPARAMS = 8, PORTSC = 0x44 };
enum { USBCMD = 0, USBSTS = 4, USBINTR = 8, FRINDEX = 12, SEGMENT = 16, PERIODIC = 20, ASYNC = 24, CONFIGFLAG = 0x40 };
enum { CMD_RESET = 2, CMD_LIGHT_RESET = 128, CMD_BITS = 0xff0fb1, CMD_THRESHOLD = 8 << 16, STS_CLEARED = 0x3f };
enum {
    P_CONNECTED = 1,
    P_C_CONNECTED = 2,
    P_ENABLED = 4,
    P_C_ENABLED = 8,
    P_C_CURRENT = 32,
    P_RESUME = 64,
    P_SUSPEND = 128,
    P_RESET = 256,
    P_POWER = 1 << 12,
    P_OWNER = 1 << 13,
    P_CHANGES = P_C_CONNECTED | P_C_ENABLED | P_C_CURRENT,
    P_WAKES = 7 << 20,
};
enum { FRAME_NS = 1000000, QUIET_FRAMES = 32, SLOW = 8, AT_ONCE = 16 };

/* ---- interrupts ---- */
static void update(struct device *d)
{
    const struct ehci *x = d->state;
    dev_irq(d, 0, x->status & x->enable & STS_CLEARED);
}

/* ---- frames ---- */
static bool runs(const struct ehci *x)
{
    return x->command & EHCI_CMD_RUN;
}

static void frame_due(struct device *d);

static void set_due(struct device *d, uint64_t at)
{
    struct ehci *x = d->state;
    x->due = at;
    dev_timer(d, EHCI_TIMER, at, frame_due);
}

/* Without a schedule, nobody needs frames: FRINDEX is counted when it is read. */
static void next_frame(struct device *d)
{
    struct ehci *x = d->state;
    bool needed = runs(x) && x->command & (EHCI_CMD_PERIODIC | EHCI_CMD_ASYNC | EHCI_CMD_DOORBELL);
    uint64_t frames = x->quiet > QUIET_FRAMES ? SLOW : 1;
    set_due(d, needed ? x->walked + frames * FRAME_NS : DEV_NEVER);
}

static void count_frames(struct device *d, uint64_t frames)
{
    struct ehci *x = d->state;
    uint32_t was = x->index;
    x->index = (x->index + frames * 8) & 0x3fff;
    x->walked += frames * FRAME_NS;
    if ((was ^ x->index) & 0x2000) /* a list of 1024 frames begins anew */
        x->status |= EHCI_STS_ROLLOVER;
}

/* The status bits follow the command's; who waits until its queue head is no longer in use is told (4.8.2). */
static void schedules(struct ehci *x)
{
    x->status &= ~(EHCI_STS_PERIODIC | EHCI_STS_ASYNC);
    if (!runs(x))
        return;
    x->status |=
        (x->command & EHCI_CMD_PERIODIC ? EHCI_STS_PERIODIC : 0) | (x->command & EHCI_CMD_ASYNC ? EHCI_STS_ASYNC : 0);
    if (x->command & EHCI_CMD_DOORBELL) {
        x->command &= ~EHCI_CMD_DOORBELL;
        x->status |= EHCI_STS_ADVANCE;
    }
}

static void walk_due(struct device *d)
{
    struct ehci *x = d->state;
    uint64_t frames = runs(x) ? (dev_now(d) - x->walked) / FRAME_NS : 0;
    bool moved = false;
    if (x->inside)
        return;
    x->inside = true;
    if (frames > AT_ONCE) {
        count_frames(d, frames - AT_ONCE);
        frames = AT_ONCE;
    }
    for (; frames && runs(x); frames--) {
        if (x->command & EHCI_CMD_PERIODIC)
            moved |= ehci_walk_periodic(d);
        count_frames(d, 1);
        x->quiet = MIN(x->quiet + 1, QUIET_FRAMES + 1);
    }
    if (runs(x) && x->command & EHCI_CMD_ASYNC)
        moved |= ehci_walk_async(d);
    x->quiet = moved ? 0 : x->quiet;
    x->inside = false;
    schedules(x);
    update(d);
    next_frame(d);
}

static void frame_due(struct device *d)
{
    walk_due(d);
}

/* A device has an answer, or something to say.  This is inside its code, where a walk could take back what it just works at: the
 * timer does it, at once.  Where it is off, nobody needs a schedule. */
static void through(struct device *d)
{
    struct ehci *x = d->state;
    if (!runs(x) || x->inside || x->due == DEV_NEVER)
        return;
    x->quiet = 0;
    set_due(d, dev_now(d));
}

/* ---- ports ---- */
struct usb_device *ehci_device(struct ehci *x, uint8_t address)
{
    for (unsigned n = 0; n < EHCI_PORTS; n++) {
        struct usb_device *u = x->portsc[n] & (P_SUSPEND | P_OWNER) ? NULL : usb_find(&x->port[n], address);
        if (u)
            return u;
    }
    return NULL;
}

static void set_enabled(struct ehci *x, unsigned n, bool on)
{
    x->port[n].enabled = on;
    x->portsc[n] = on ? x->portsc[n] | P_ENABLED : x->portsc[n] & ~(P_ENABLED | P_SUSPEND | P_RESUME);
}

static void show(struct ehci *x, unsigned n)
{
    uint32_t was = x->portsc[n];
    bool here = x->port[n].device && !(was & P_OWNER);
    set_enabled(x, n, false);
    x->portsc[n] = (x->portsc[n] & ~P_CONNECTED) | here;
    if ((was ^ x->portsc[n]) & P_CONNECTED)
        x->portsc[n] |= P_C_CONNECTED;
}

static void changed(struct usb_port *p)
{
    struct device *d = p->owner;
    struct ehci *x = d->state;
    unsigned n = p->number - 1;
    show(x, n);
    x->portsc[n] |= P_C_CONNECTED;
    x->status |= EHCI_STS_PORT;
    update(d);
}

static void wake(struct usb_port *p, struct usb_device *u, uint8_t endpoint)
{
    struct device *d = p->owner;
    struct ehci *x = d->state;
    unsigned n = p->number - 1;
    if (x->portsc[n] & P_SUSPEND) {
        x->portsc[n] |= P_RESUME;
        x->status |= EHCI_STS_PORT;
        update(d);
    }
    through(d);
}

static const struct usb_port_ops port_ops = {.changed = changed, .wake = wake};

/* A reset ends when the guest ends it; then a device of high speed is enabled. */
static void port_written(struct device *d, unsigned n, uint32_t value)
{
    struct ehci *x = d->state;
    struct usb_device *u = x->port[n].device;
    uint32_t was = x->portsc[n];
    x->portsc[n] &= ~(value & P_CHANGES);
    x->portsc[n] = (x->portsc[n] & ~(P_WAKES | P_OWNER | P_RESET)) | (value & (P_WAKES | P_OWNER | P_RESET));
    if ((was ^ value) & P_OWNER)
        show(x, n);
    if (!(value & P_ENABLED) || value & P_RESET)
        set_enabled(x, n, false);
    if (was & P_RESET && !(value & P_RESET) && u && x->portsc[n] & P_CONNECTED) {
        usb_reset(u);
        set_enabled(x, n, true);
    }
    if (value & P_SUSPEND && x->portsc[n] & P_ENABLED)
        x->portsc[n] |= P_SUSPEND;
    if (value & P_RESUME && x->portsc[n] & P_SUSPEND)
        x->portsc[n] |= P_RESUME;
    if (was & P_RESUME && !(value & P_RESUME))
        x->portsc[n] &= ~(P_SUSPEND | P_RESUME);
}

/* ---- read ---- */
static uint32_t capability(uint64_t offset)
{
    switch (offset) {
    case 0: return CAPLENGTH | 0x0100u << 16;
    case HCSPARAMS: return EHCI_PORTS;
    case HCCPARAMS: return 0; /* addresses of 32 bits, lists of 1024, no extended capabilities */
    default: return 0;
    }
}

static uint32_t index_now(struct device *d)
{
    const struct ehci *x = d->state;
    uint64_t now = dev_now(d), ran = runs(x) && now > x->walked ? (now - x->walked) / (FRAME_NS / 8) : 0;
    return (x->index + ran) & 0x3fff;
}

static uint64_t ehci_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    const struct ehci *x = d->state;
    offset &= ~UINT64_C(3);
    if (offset < CAPLENGTH)
        return capability(offset);
    offset -= CAPLENGTH;
    if (offset >= PORTSC && offset < PORTSC + 4 * EHCI_PORTS)
        return x->portsc[(offset - PORTSC) / 4];
    switch (offset) {
    case USBCMD: return x->command;
    case USBSTS: return x->status;
    case USBINTR: return x->enable;
    case FRINDEX: return index_now(d);
    case PERIODIC: return x->periodic;
    case ASYNC: return x->async;
    case CONFIGFLAG: return x->configured;
    default: return 0;
    }
}

/* ---- write ---- */
static void controller_reset(struct device *d)
{
    struct ehci *x = d->state;
    usb_tokens_forget(&x->bus, NULL);
    x->command = CMD_THRESHOLD;
    x->status = EHCI_STS_HALTED;
    x->enable = x->index = x->periodic = x->async = x->configured = x->quiet = 0;
    for (unsigned n = 0; n < EHCI_PORTS; n++) {
        if (x->port[n].device)
            usb_reset(x->port[n].device);
        x->portsc[n] = P_POWER;
        show(x, n);
    }
    set_due(d, DEV_NEVER);
}

static void command_written(struct device *d, uint32_t value)
{
    struct ehci *x = d->state;
    bool ran = runs(x);
    if (value & CMD_RESET) {
        controller_reset(d);
        return;
    }
    x->command = (value & CMD_BITS) | (value & EHCI_CMD_DOORBELL);
    if (runs(x) && !ran) {
        x->walked = dev_now(d);
        x->status &= ~EHCI_STS_HALTED;
    } else if (!runs(x)) {
        x->status |= EHCI_STS_HALTED;
    }
    schedules(x);
    x->quiet = 0;
    if (runs(x) && x->due == DEV_NEVER) { /* frames that nobody needed */
        count_frames(d, (dev_now(d) - x->walked) / FRAME_NS);
        next_frame(d);
    } else {
        next_frame(d);
    }
}

static void ehci_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    struct ehci *x = d->state;
    offset = (offset & ~UINT64_C(3)) - CAPLENGTH;
    if (offset >= PORTSC && offset < PORTSC + 4 * EHCI_PORTS)
        port_written(d, (offset - PORTSC) / 4, value);
    switch (offset) {
    case USBCMD: command_written(d, value); break;
    case USBSTS: x->status &= ~(value & STS_CLEARED); break;
    case USBINTR: x->enable = value & STS_CLEARED; break;
    case FRINDEX:
        if (!runs(x))
            x->index = value & 0x3fff;
        break;
    case PERIODIC: x->periodic = value & 0xfffff000; break;
    case ASYNC: x->async = value & ~31u; break;
    case CONFIGFLAG: x->configured = value & 1; break;
    }
    update(d);
}

/* ---- set-up, reset ---- */
static bool ehci_init(struct device *d, const struct config *c, GError **error)
{
    struct ehci *x = d->state;
    x->due = DEV_NEVER;
    x->bus.through = through;
    for (unsigned n = 0; n < EHCI_PORTS; n++) {
        x->port[n] = (struct usb_port){.ops = &port_ops, .number = n + 1, .speeds = 1 << USB_HIGH, .owner = d};
        x->bus.unit[n].place[0] = &x->port[n];
    }
    return usb_bus_open(&x->bus, d, c, error);
}

static void ehci_fini(struct device *d)
{
    struct ehci *x = d->state;
    usb_tokens_free(&x->bus);
    usb_bus_close(&x->bus);
}

static void ehci_reset(struct device *d)
{
    enum { RELEASE = 0x60, USB_2 = 0x20, FRAME_LENGTH = 0x61, USUAL = 0x20 };
    struct ehci *x = d->state;
    dev_pci_config(d)[RELEASE] = USB_2;
    dev_pci_config(d)[FRAME_LENGTH] = USUAL;
    usb_bus_reset(&x->bus);
    controller_reset(d);
}

/* ---- saved state ---- */
static bool ehci_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct ehci *x = d->state;
    uint32_t *words[] = {&x->command, &x->status, &x->enable, &x->index, &x->periodic, &x->async, &x->configured};
    if (!usb_bus_sync(&x->bus, s) || !usb_tokens_sync(&x->bus, s))
        return false;
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
        stream_u32(s, words[i]);
    for (unsigned n = 0; n < EHCI_PORTS; n++)
        stream_u32(s, &x->portsc[n]);
    stream_u64(s, &x->walked);
    stream_u64(s, &x->due);
    stream_check_u32(s, &x->quiet, QUIET_FRAMES + 1);
    if (!s->loading || !stream_ok(s))
        return stream_ok(s);
    for (unsigned n = 0; n < EHCI_PORTS; n++)
        x->port[n].enabled = x->portsc[n] & P_ENABLED && x->port[n].device;
    if (x->walked > dev_now(d) || x->index > 0x3fff)
        return false;
    set_due(d, x->due);
    update(d);
    return true;
}

static const struct pci_ids ids = {/* the 82801I's (ICH9) */
                                   .vendor = 0x8086,    .device = 0x293a,       .subsystem_vendor = 0x1af4,
                                   .subsystem = 0x1100, .class_code = 0x0c0320, .revision = 3,
                                   .interrupt_pin = 1};

const struct device_ops ehci_ops = {
    .name = "ehci",
    .state_bytes = sizeof(struct ehci),
    .version = 1,
    .regions = {{.bus = BUS_MEM, .bytes = 4096, .min_size = 4, .max_size = 4, .bar = BAR0}},
    .pci = &ids,
    .init = ehci_init,
    .reset = ehci_reset,
    .read = ehci_read,
    .write = ehci_write,
    .sync = ehci_sync,
    .fini = ehci_fini,
    .input = &usb_input,
    .usb = &usb_told,
};
