// SPDX-License-Identifier: GPL-2.0-or-later
/* uhci.c - the UHCI controller of the PIIX3, its function 2: registers, ports and time.  See uhci.h.
 *
 * Frames are due every millisecond.  The guest says nothing when it changes the schedule, so somebody has to look: every frame while
 * something moves, and when nothing has for a while, at sixteen frames together.  A device that has something to say is
 * asked at once.  A controller that the guest has stopped, as systems do without devices, does nothing.
 *
 * Line 0: INTD#. */
#include "devices/all.h"
#include "devices/usb/uhci.h"
#include <string.h>

enum { USBCMD = 0, USBSTS = 2, USBINTR = 4, FRNUM = 6, FRBASE = 8, SOFMOD = 12, PORTSC = 16 };
enum { CMD_RESET = 2, CMD_GLOBAL_RESET = 4, CMD_SUSPEND = 8, CMD_RESUME = 16, CMD_DEBUG = 32, CMD_BITS = 0xff };
enum { INTR_ERROR = 1, INTR_RESUME = 2, INTR_COMPLETE = 4, INTR_SHORT = 8, STS_CLEARED = 0x1f };
enum {
    P_CONNECTED = 1,
    P_C_CONNECTED = 2,
    P_ENABLED = 4,
    P_C_ENABLED = 8,
    P_RESUME = 0x40,
    P_ALWAYS = 0x80,
    P_LOW = 0x100,
    P_RESET = 0x200,
    P_SUSPEND = 0x1000,
    P_WRITABLE = P_ENABLED | P_RESUME | P_RESET | P_SUSPEND,
};
enum { FRAME_NS = 1000000, QUIET_FRAMES = 32, SLOW = 16, AT_ONCE = 16 };

/* ---- interrupts ---- */
static void update(struct device *d)
{
    const struct uhci *x = d->state;
    bool level = (x->why & UHCI_WHY_COMPLETE && x->enable & INTR_COMPLETE) ||
                 (x->why & UHCI_WHY_SHORT && x->enable & INTR_SHORT) ||
                 (x->status & UHCI_STS_ERROR && x->enable & INTR_ERROR) ||
                 (x->status & UHCI_STS_RESUME && x->enable & INTR_RESUME) || x->status & UHCI_STS_PROCESS;
    dev_irq(d, 0, level);
}

/* ---- frames ---- */
static void set_due(struct device *d, uint64_t at);

static bool runs(const struct uhci *x)
{
    return x->command & UHCI_CMD_RUN;
}

static void next_frame(struct device *d)
{
    struct uhci *x = d->state;
    uint64_t frames = x->quiet > QUIET_FRAMES ? SLOW - x->frame % SLOW : 1;
    set_due(d, runs(x) ? x->walked + frames * FRAME_NS : DEV_NEVER);
}

/* All frames that are due; of a machine that stood still for long, the last ones. */
static void walk_due(struct device *d)
{
    struct uhci *x = d->state;
    uint64_t frames = (dev_now(d) - x->walked) / FRAME_NS;
    if (x->inside)
        return;
    x->inside = true;
    if (frames > AT_ONCE) {
        x->walked += (frames - AT_ONCE) * FRAME_NS;
        x->frame = (x->frame + frames - AT_ONCE) & 0x7ff;
        frames = AT_ONCE;
    }
    for (; frames && runs(x); frames--) {
        x->quiet = uhci_walk(d, x->frame) ? 0 : MIN(x->quiet + 1, QUIET_FRAMES + 1);
        x->frame = (x->frame + 1) & 0x7ff;
        x->walked += FRAME_NS;
    }
    x->inside = false;
    update(d);
    next_frame(d);
}

static void frame_due(struct device *d)
{
    walk_due(d);
}

static void set_due(struct device *d, uint64_t at)
{
    struct uhci *x = d->state;
    x->due = at;
    dev_timer(d, UHCI_TIMER, at, frame_due);
}

/* A device has an answer: the frames from now on are full ones again.  This is inside the device's code, where a walk could take
 * back what it just works at: the timer walks those that are due, at once. */
static void through(struct device *d)
{
    struct uhci *x = d->state;
    if (!runs(x) || x->inside)
        return;
    x->quiet = 0;
    next_frame(d);
}

/* ---- ports ---- */
struct usb_device *uhci_device(struct uhci *x, uint8_t address)
{
    for (unsigned n = 0; n < UHCI_PORTS; n++) {
        struct usb_device *u = x->portsc[n] & P_SUSPEND ? NULL : usb_find(&x->port[n], address);
        if (u)
            return u;
    }
    return NULL;
}

static void set_enabled(struct uhci *x, unsigned n, bool on)
{
    x->port[n].enabled = on;
    x->portsc[n] = on ? x->portsc[n] | P_ENABLED : x->portsc[n] & ~P_ENABLED;
}

static void show(struct uhci *x, unsigned n)
{
    const struct usb_device *u = x->port[n].device;
    bool was = x->portsc[n] & P_ENABLED;
    set_enabled(x, n, false);
    x->portsc[n] &= ~(P_CONNECTED | P_LOW | P_SUSPEND);
    x->portsc[n] |= P_ALWAYS | P_C_CONNECTED | (was ? P_C_ENABLED : 0) | (u ? P_CONNECTED : 0) |
                    (u && u->speed == USB_LOW ? P_LOW : 0);
}

static void resume(struct device *d, unsigned n)
{
    struct uhci *x = d->state;
    if (n < UHCI_PORTS && x->portsc[n] & P_SUSPEND)
        x->portsc[n] |= P_RESUME;
    else if (!(x->command & CMD_SUSPEND))
        return;
    x->status |= UHCI_STS_RESUME;
    if (x->command & CMD_SUSPEND)
        x->command |= CMD_RESUME;
    update(d);
}

static void changed(struct usb_port *p)
{
    struct device *d = p->owner;
    show(d->state, p->number - 1);
    resume(d, UHCI_PORTS);
}

static void wake(struct usb_port *p, struct usb_device *u, uint8_t endpoint)
{
    struct device *d = p->owner;
    resume(d, p->number - 1);
    through(d);
}

static const struct usb_port_ops port_ops = {.changed = changed, .wake = wake};

static void port_written(struct device *d, unsigned n, uint16_t value)
{
    struct uhci *x = d->state;
    struct usb_device *u = x->port[n].device;
    x->portsc[n] &= ~(value & (P_C_CONNECTED | P_C_ENABLED));
    x->portsc[n] = (x->portsc[n] & ~P_WRITABLE) | (value & P_WRITABLE);
    if (value & P_RESET && u)
        usb_reset(u);
    if (value & P_RESET)
        x->portsc[n] &= ~P_SUSPEND;
    set_enabled(x, n, value & P_ENABLED && !(value & P_RESET) && u);
}

/* ---- read, write ---- */
static uint64_t uhci_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    const struct uhci *x = d->state;
    uint64_t now = dev_now(d), ran = runs(x) && now > x->walked ? (now - x->walked) / FRAME_NS : 0;
    switch (offset) {
    case USBCMD: return x->command;
    case USBSTS: return x->status;
    case USBINTR: return x->enable;
    case FRNUM: return (x->frame + ran) & 0x7ff;
    case FRBASE: return x->base & 0xffff;
    case FRBASE + 2: return x->base >> 16;
    case SOFMOD: return x->sof;
    case PORTSC:
    case PORTSC + 2: return x->portsc[(offset - PORTSC) / 2];
    default: return offset >= PORTSC ? 0xff7f : 0; /* no port: bit 7 is clear */
    }
}

static void controller_reset(struct device *d)
{
    struct uhci *x = d->state;
    usb_tokens_forget(&x->bus, NULL);
    x->command = x->enable = x->frame = x->why = 0;
    x->status = UHCI_STS_HALTED;
    x->base = 0;
    x->sof = 64;
    for (unsigned n = 0; n < UHCI_PORTS; n++) {
        x->portsc[n] = 0;
        show(x, n);
        if (x->port[n].device)
            usb_reset(x->port[n].device);
        else
            x->portsc[n] = P_ALWAYS;
    }
    set_due(d, DEV_NEVER);
}

static void command_written(struct device *d, uint16_t value)
{
    struct uhci *x = d->state;
    bool ran = runs(x);
    if (value & (CMD_RESET | CMD_GLOBAL_RESET)) {
        controller_reset(d);
        x->command = value & CMD_GLOBAL_RESET;
        return;
    }
    x->command = value & CMD_BITS;
    if (runs(x) && !ran) {
        x->status &= ~UHCI_STS_HALTED;
        x->walked = dev_now(d);
        x->quiet = 0;
        next_frame(d);
    } else if (!runs(x)) {
        x->status |= UHCI_STS_HALTED;
        set_due(d, DEV_NEVER);
    }
}

static void uhci_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    struct uhci *x = d->state;
    switch (offset) {
    case USBCMD: command_written(d, value); break;
    case USBSTS:
        x->status &= ~(value & STS_CLEARED);
        x->why = value & UHCI_STS_INTERRUPT ? 0 : x->why;
        break;
    case USBINTR: x->enable = value & 15; break;
    case FRNUM:
        if (!runs(x))
            x->frame = value & 0x7ff;
        break;
    case FRBASE: x->base = (x->base & 0xffff0000) | (value & 0xf000); break;
    case FRBASE + 2: x->base = (x->base & 0xffff) | (uint32_t)value << 16; break;
    case SOFMOD: x->sof = value & 127; break;
    case PORTSC:
    case PORTSC + 2: port_written(d, (offset - PORTSC) / 2, value); break;
    }
    update(d);
}

/* ---- set-up, reset ---- */
static bool uhci_init(struct device *d, const struct config *c, GError **error)
{
    struct uhci *x = d->state;
    x->due = DEV_NEVER;
    x->bus.through = through;
    for (unsigned n = 0; n < UHCI_PORTS; n++) {
        x->port[n] =
            (struct usb_port){.ops = &port_ops, .number = n + 1, .speeds = 1 << USB_LOW | 1 << USB_FULL, .owner = d};
        x->bus.unit[n].place[0] = &x->port[n];
    }
    return usb_bus_open(&x->bus, d, c, error);
}

static void uhci_fini(struct device *d)
{
    struct uhci *x = d->state;
    usb_tokens_free(&x->bus);
    usb_bus_close(&x->bus);
}

static void uhci_reset(struct device *d)
{
    enum { RELEASE = 0x60, USB_1_0 = 0x10, LEGACY = 0xc1, TRAPS = 0x20 };
    struct uhci *x = d->state;
    dev_pci_config(d)[RELEASE] = USB_1_0;
    dev_pci_config(d)[LEGACY] = TRAPS;
    usb_bus_reset(&x->bus);
    controller_reset(d);
}

/* ---- saved state ---- */
static bool uhci_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct uhci *x = d->state;
    uint16_t *words[] = {&x->command, &x->status, &x->enable, &x->frame, &x->portsc[0], &x->portsc[1]};
    if (!usb_bus_sync(&x->bus, s) || !usb_tokens_sync(&x->bus, s))
        return false;
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
        stream_u16(s, words[i]);
    stream_u32(s, &x->base);
    stream_u8(s, &x->sof);
    stream_u8(s, &x->why);
    stream_u64(s, &x->walked);
    stream_u64(s, &x->due);
    stream_check_u32(s, &x->quiet, QUIET_FRAMES + 1);
    if (!s->loading || !stream_ok(s))
        return stream_ok(s);
    for (unsigned n = 0; n < UHCI_PORTS; n++)
        x->port[n].enabled = x->portsc[n] & P_ENABLED && x->port[n].device;
    if (x->walked > dev_now(d) || x->frame > 0x7ff)
        return false;
    set_due(d, x->due);
    update(d);
    return true;
}

static const struct pci_ids ids = {
    .vendor = 0x8086, .device = 0x7020, .class_code = 0x0c0300, .revision = 1, .interrupt_pin = 4};

const struct device_ops uhci_ops = {
    .name = "uhci",
    .state_bytes = sizeof(struct uhci),
    .version = 1,
    .regions = {{.bus = BUS_PORT, .bytes = 32, .min_size = 2, .max_size = 2, .bar = BAR4}},
    .pci = &ids,
    .init = uhci_init,
    .reset = uhci_reset,
    .read = uhci_read,
    .write = uhci_write,
    .sync = uhci_sync,
    .fini = uhci_fini,
    .input = &usb_input,
    .usb = &usb_told,
};
