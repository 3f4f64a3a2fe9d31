// SPDX-License-Identifier: GPL-2.0-or-later
/* xhci.c - an xHCI controller: registers, and when what is done.  See xhci.h.  Spec: xHCI 1.1, chapters 4.2, 4.3 and 5.
 *
 * Line 0: INTA#; MSI-X has one vector.  The section usb of machine.ini, and usb1 to usb8 what is plugged in. */
#include "devices/all.h"
#include "devices/usb/xhci.h"

enum { REGION_REGISTERS, REGION_VECTORS, TABLE_PENDING = 0x800 };
enum { OPERATIONAL = 0x40, PORTS = 0x440, RUNTIME = 0x1000, DOORBELLS = 0x2000, REGISTERS_BYTES = 0x4000 };
/* Capabilities, and behind them which protocol which ports have. */
enum {
    CAPLENGTH,
    HCSPARAMS1 = 0x04,
    HCSPARAMS2 = 0x08,
    HCCPARAMS1 = 0x10,
    DBOFF = 0x14,
    RTSOFF = 0x18,
    EXTENDED = 0x20
};
enum { USBCMD = 0x00, USBSTS = 0x04, PAGESIZE = 0x08, DNCTRL = 0x14, CRCR = 0x18, DCBAAP = 0x30, CONFIG = 0x38 };
enum { MFINDEX = 0x00, IMAN = 0x20, IMOD = 0x24, ERSTSZ = 0x28, ERSTBA = 0x30, ERDP = 0x38 };
enum { CMD_RESET = 2, CMD_RESTORE = 0x200, CMD_BITS = 0xc0d, STS_RESTORE_FAILED = 0x400 };
enum { STS_CLEARED = STS_FATAL | STS_EVENT | STS_PORT | STS_RESTORE_FAILED };
enum { CRCR_CYCLE = 1, CRCR_STOP = 2, CRCR_ABORT = 4, CRCR_RUNNING = 8, SEGMENTS_SHIFT = 4 };
enum { MICROFRAME_NS = 125000, MFINDEX_BITS = 0x3fff };
#define SUPPORTED(major, next) (0x02u | (next) << 8 | (uint32_t)(major) << 24)
#define NAME_USB               0x20425355u

bool xhci_runs(const struct xhci *x)
{
    return x->command & CMD_RUN && !(x->status & STS_ERROR);
}

/* ---- what is to be done ---- */
static void run_endpoints(struct device *d)
{
    struct xhci *x = d->state;
    for (unsigned s = 1; s <= XHCI_SLOTS; s++)
        for (unsigned n = 1; x->slot[s].state >= SLOT_DEFAULT && n < XHCI_ENDPOINTS; n++)
            if (x->slot[s].endpoint[n].wanted)
                xhci_endpoint_run(d, s, n);
}

static bool something_wanted(const struct xhci *x)
{
    for (unsigned s = 1; s <= XHCI_SLOTS; s++)
        for (unsigned n = 1; x->slot[s].state >= SLOT_DEFAULT && n < XHCI_ENDPOINTS; n++)
            if (x->slot[s].endpoint[n].wanted)
                return true;
    return false;
}

static void set_due(struct device *d, uint64_t at);

static void work_due(struct device *d)
{
    set_due(d, DEV_NEVER);
    xhci_work(d);
}

static void set_due(struct device *d, uint64_t at)
{
    struct xhci *x = d->state;
    x->due = at;
    dev_timer(d, XHCI_TIMER_WORK, at, work_due);
}

/* A device that is sent a packet may wake another endpoint: that is done afterwards, not inside.  A ring that never ends has
 * its turns by a timer, and the guest and others have theirs in between. */
void xhci_work(struct device *d)
{
    enum { BUDGET = 1024, PAUSE_NS = 50000 };
    struct xhci *x = d->state;
    if (x->inside || !xhci_runs(x))
        return;
    x->inside = true;
    x->budget = BUDGET;
    do {
        x->again = false;
        xhci_commands_run(d);
        if (xhci_runs(x) && xhci_has_room(x))
            run_endpoints(d);
    } while (x->budget && xhci_runs(x) && xhci_has_room(x) && !x->again && something_wanted(x));
    x->inside = false;
    if (xhci_runs(x) && xhci_has_room(x) && (x->again || something_wanted(x)))
        set_due(d, dev_now(d) + PAUSE_NS);
    xhci_update(d);
}

void xhci_work_soon(struct device *d)
{
    const struct xhci *x = d->state;
    if (!x->inside && xhci_runs(x)) /* inside, xhci_work() looks itself what is wanted */
        set_due(d, dev_now(d));
}

/* ---- time ---- */
static uint32_t microframe(struct device *d)
{
    const struct xhci *x = d->state;
    uint64_t ran = xhci_runs(x) ? (dev_now(d) - x->started) / MICROFRAME_NS : 0;
    return (x->stood_at + ran) & MFINDEX_BITS;
}

/* ---- running, stopping, reset ---- */
static void stop(struct device *d)
{
    struct xhci *x = d->state;
    x->stood_at = microframe(d);
    x->command &= ~CMD_RUN;
    x->status |= STS_HALTED;
    x->commands_run = false;
    for (unsigned s = 1; s <= XHCI_SLOTS; s++)
        for (unsigned n = 1; n < XHCI_ENDPOINTS; n++)
            if (x->slot[s].endpoint[n].transfer) {
                bool wanted = x->slot[s].endpoint[n].wanted || x->slot[s].endpoint[n].transfer->kept;
                xhci_endpoint_stop(d, s, n, false);
                x->slot[s].endpoint[n].wanted = wanted;
            }
}

static void start(struct device *d)
{
    struct xhci *x = d->state;
    x->command |= CMD_RUN;
    x->status &= ~STS_HALTED;
    x->started = dev_now(d);
    xhci_ports_tell(d);
}

static void controller_reset(struct device *d)
{
    struct xhci *x = d->state;
    for (unsigned s = 1; s <= XHCI_SLOTS; s++)
        xhci_slot_off(d, &x->slot[s]);
    x->command = x->notify = x->config = 0;
    x->status = STS_HALTED;
    x->command_ring = x->contexts = x->segment_table = x->dequeue = 0;
    x->commands = (struct xhci_ring){0};
    x->commands_run = x->again = false;
    x->iman = x->segments = x->pending = x->stood_at = 0;
    x->imod = 4000;
    xhci_events_begin(x);
    usb_bus_reset(&x->bus);
    xhci_ports_reset(x);
    set_due(d, DEV_NEVER);
    xhci_update(d);
}

static void command_written(struct device *d, uint32_t value)
{
    struct xhci *x = d->state;
    bool ran = x->command & CMD_RUN;
    if (value & CMD_RESET) {
        controller_reset(d);
        return;
    }
    x->command = (x->command & CMD_RUN) | (value & CMD_BITS & ~CMD_RUN);
    if (!ran && value & CMD_RUN && !(x->status & STS_ERROR))
        start(d);
    else if (ran && !(value & CMD_RUN))
        stop(d);
    if (value & CMD_RESTORE) /* the event ring has begun anew when its registers were written: it is to be reset */
        x->status |= STS_RESTORE_FAILED;
}

/* ---- read ---- */
static uint32_t capability(uint64_t offset)
{
    switch (offset) {
    case CAPLENGTH: return OPERATIONAL | 0x0110u << 16;
    case HCSPARAMS1: return XHCI_SLOTS | 1 << 8 | (uint32_t)XHCI_PORTS << 24;
    case HCSPARAMS2: return SEGMENTS_SHIFT << 4 | 1;
    case HCCPARAMS1: return 1 /* addresses of 64 bits */ | (EXTENDED / 4) << 16;
    case DBOFF: return DOORBELLS;
    case RTSOFF: return RUNTIME;
    case EXTENDED: return SUPPORTED(3, 4);
    case EXTENDED + 4: return NAME_USB;
    case EXTENDED + 8: return 1 | USB_UNITS << 8;
    case EXTENDED + 16: return SUPPORTED(2, 0);
    case EXTENDED + 20: return NAME_USB;
    case EXTENDED + 24: return (USB_UNITS + 1) | USB_UNITS << 8;
    default: return 0;
    }
}

static uint32_t operational(const struct xhci *x, uint64_t offset)
{
    switch (offset) {
    case USBCMD: return x->command;
    case USBSTS: return x->status;
    case PAGESIZE: return 1;
    case DNCTRL: return x->notify;
    case CRCR: return x->commands_run ? CRCR_RUNNING : 0;
    case DCBAAP: return x->contexts;
    case DCBAAP + 4: return x->contexts >> 32;
    case CONFIG: return x->config;
    default: return 0;
    }
}

static uint32_t runtime(struct device *d, uint64_t offset)
{
    const struct xhci *x = d->state;
    switch (offset) {
    case MFINDEX: return microframe(d);
    case IMAN: return x->iman;
    case IMOD: return x->imod;
    case ERSTSZ: return x->segments;
    case ERSTBA: return x->segment_table;
    case ERSTBA + 4: return x->segment_table >> 32;
    case ERDP: return x->dequeue;
    case ERDP + 4: return x->dequeue >> 32;
    default: return 0;
    }
}

static uint64_t xhci_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    const struct xhci *x = d->state;
    if (region != REGION_REGISTERS)
        return 0;
    offset &= ~UINT64_C(3);
    if (offset >= DOORBELLS)
        return 0;
    if (offset >= RUNTIME)
        return runtime(d, offset - RUNTIME);
    if (offset >= PORTS + 16 * XHCI_PORTS)
        return 0;
    if (offset >= PORTS)
        return xhci_port_read(x, (offset - PORTS) / 16, offset & 12);
    return offset >= OPERATIONAL ? operational(x, offset - OPERATIONAL) : capability(offset);
}

/* ---- write ---- */
static uint64_t with_low(uint64_t is, uint32_t value)
{
    return (is & ~UINT64_C(0xffffffff)) | value;
}

static uint64_t with_high(uint64_t is, uint32_t value)
{
    return (uint32_t)is | (uint64_t)value << 32;
}

static void command_ring_low(struct device *d, uint32_t value)
{
    struct xhci *x = d->state;
    struct xhci_trb event = {
        .parameter = x->commands.at, .status = CODE_RING_STOPPED << 24, .control = TRB_COMMAND_EVENT << 10};
    if (x->commands_run) {
        if (value & (CRCR_STOP | CRCR_ABORT)) {
            x->commands_run = false;
            xhci_post(d, &event);
        }
        return;
    }
    x->command_ring = with_low(x->command_ring, value & ~UINT32_C(63));
    x->commands = (struct xhci_ring){x->command_ring, value & CRCR_CYCLE};
}

static void operational_write(struct device *d, uint64_t offset, uint32_t value)
{
    struct xhci *x = d->state;
    switch (offset) {
    case USBCMD: command_written(d, value); break;
    case USBSTS: x->status &= ~(value & STS_CLEARED); break;
    case DNCTRL: x->notify = value & 0xffff; break;
    case CRCR: command_ring_low(d, value); break;
    case CRCR + 4:
        if (!x->commands_run) {
            x->command_ring = with_high(x->command_ring, value);
            x->commands.at = x->command_ring;
        }
        break;
    case DCBAAP: x->contexts = with_low(x->contexts, value & ~UINT32_C(63)); break;
    case DCBAAP + 4: x->contexts = with_high(x->contexts, value); break;
    case CONFIG: x->config = value & 0xff; break;
    }
}

static void runtime_write(struct device *d, uint64_t offset, uint32_t value)
{
    enum { PENDING = 1, ENABLED = 2, BUSY = 8 };
    struct xhci *x = d->state;
    switch (offset) {
    case IMAN: x->iman = (x->iman & PENDING & ~value) | (value & ENABLED); break;
    case IMOD: x->imod = value; break;
    case ERSTSZ: x->segments = value & 0xffff & ((2 << SEGMENTS_SHIFT) - 1); break;
    case ERSTBA: x->segment_table = with_low(x->segment_table, value & ~UINT32_C(63)); break;
    case ERSTBA + 4:
        x->segment_table = with_high(x->segment_table, value);
        xhci_events_begin(x);
        break;
    case ERDP:
        x->dequeue = with_low(x->dequeue, (value & ~(uint32_t)BUSY) | (x->dequeue & BUSY & ~value));
        xhci_dequeue_written(d);
        break;
    case ERDP + 4: x->dequeue = with_high(x->dequeue, value); break;
    }
}

static void doorbell(struct device *d, unsigned slot, unsigned endpoint)
{
    struct xhci *x = d->state;
    struct xhci_slot *s = slot <= XHCI_SLOTS ? &x->slot[slot] : NULL;
    if (!xhci_runs(x))
        return;
    if (!slot) {
        x->commands_run |= !endpoint;
        return;
    }
    if (!s || s->state < SLOT_DEFAULT || !endpoint || endpoint >= XHCI_ENDPOINTS ||
        s->endpoint[endpoint].state == ENDPOINT_OFF) {
        dev_log(d, "the guest rang for endpoint %u of slot %u, which is not there", endpoint, slot);
        return;
    }
    struct xhci_endpoint *e = &s->endpoint[endpoint];
    if (e->state == ENDPOINT_STOPPED) {
        e->state = ENDPOINT_RUNNING;
        xhci_endpoint_show(d, slot, endpoint);
    }
    e->wanted = e->state == ENDPOINT_RUNNING;
}

static void xhci_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    if (region != REGION_REGISTERS)
        return;
    offset &= ~UINT64_C(3);
    if (offset >= DOORBELLS)
        doorbell(d, (offset - DOORBELLS) / 4, value & 0xff);
    else if (offset >= RUNTIME)
        runtime_write(d, offset - RUNTIME, value);
    else if (offset >= PORTS && offset < PORTS + 16 * XHCI_PORTS)
        xhci_port_write(d, (offset - PORTS) / 16, offset & 12, value);
    else if (offset >= OPERATIONAL && offset < PORTS)
        operational_write(d, offset - OPERATIONAL, value);
    xhci_work(d);
    xhci_update(d);
}

/* ---- set-up, reset ---- */
static bool xhci_init(struct device *d, const struct config *c, GError **error)
{
    struct xhci *x = d->state;
    x->due = DEV_NEVER;
    for (unsigned n = 0; n < XHCI_PORTS; n++)
        x->port[n] =
            (struct usb_port){.ops = &xhci_port_ops,
                              .number = n + 1,
                              .speeds = n < USB_UNITS ? 1 << USB_SUPER : 1 << USB_LOW | 1 << USB_FULL | 1 << USB_HIGH,
                              .owner = d};
    for (unsigned n = 0; n < USB_UNITS; n++) {
        x->bus.unit[n].place[0] = &x->port[n];
        x->bus.unit[n].place[1] = &x->port[USB_UNITS + n];
    }
    return usb_bus_open(&x->bus, d, c, error);
}

static void xhci_fini(struct device *d)
{
    struct xhci *x = d->state;
    for (unsigned s = 1; s <= XHCI_SLOTS; s++)
        xhci_slot_off(d, &x->slot[s]);
    usb_bus_close(&x->bus);
}

static void xhci_reset(struct device *d)
{
    enum { RELEASE = 0x60, USB_3 = 0x30, FRAME_LENGTH = 0x61, USUAL = 0x20 };
    dev_pci_config(d)[RELEASE] = USB_3;
    dev_pci_config(d)[FRAME_LENGTH] = USUAL;
    controller_reset(d);
}

/* ---- saved state: no device has a packet ---- */
static void sync_ring(struct stream *s, struct xhci_ring *r)
{
    stream_u64(s, &r->at);
    stream_bool(s, &r->cycle);
}

static void sync_slot(struct stream *s, struct xhci_slot *slot)
{
    stream_check_u32(s, &slot->state, SLOT_CONFIGURED);
    if (slot->state == SLOT_OFF)
        return;
    stream_check_u32(s, &slot->root, XHCI_PORTS);
    stream_u32(s, &slot->route);
    stream_u64(s, &slot->context);
    for (unsigned n = 1; n < XHCI_ENDPOINTS; n++) {
        struct xhci_endpoint *e = &slot->endpoint[n];
        stream_check_u32(s, &e->state, ENDPOINT_ERROR);
        if (e->state == ENDPOINT_OFF)
            continue;
        stream_check_u32(s, &e->type, 7);
        stream_u32(s, &e->most);
        sync_ring(s, &e->ring);
        stream_u32(s, &e->moved);
        stream_bool(s, &e->wanted);
    }
}

static void sync_events(struct stream *s, struct xhci *x)
{
    uint32_t *words[] = {&x->iman, &x->imod, &x->segments, &x->segment, &x->index};
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
        stream_u32(s, words[i]);
    stream_u64(s, &x->segment_table);
    stream_u64(s, &x->dequeue);
    stream_bool(s, &x->cycle);
    stream_check_u32(s, &x->pending, XHCI_PENDING);
    for (unsigned i = 0; i < x->pending; i++) {
        stream_u64(s, &x->event[i].parameter);
        stream_u32(s, &x->event[i].status);
        stream_u32(s, &x->event[i].control);
    }
}

static bool xhci_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct xhci *x = d->state;
    uint32_t *words[] = {&x->command, &x->status, &x->notify, &x->config, &x->stood_at};
    if (!usb_bus_sync(&x->bus, s))
        return false;
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
        stream_u32(s, words[i]);
    stream_u64(s, &x->command_ring);
    stream_u64(s, &x->contexts);
    stream_u64(s, &x->started);
    stream_u64(s, &x->due);
    sync_ring(s, &x->commands);
    stream_bool(s, &x->commands_run);
    for (unsigned n = 0; n < XHCI_PORTS; n++) {
        stream_u32(s, &x->portsc[n]);
        stream_bool(s, &x->port[n].enabled);
    }
    sync_events(s, x);
    for (unsigned n = 1; n <= XHCI_SLOTS; n++)
        sync_slot(s, &x->slot[n]);
    if (s->loading && stream_ok(s)) {
        set_due(d, x->due);
        xhci_update(d);
    }
    return stream_ok(s);
}

static const struct pci_capability capabilities[] = {
    {.id = PCI_CAP_MSIX, .vectors = 1, .region = REGION_VECTORS, .table = 0, .pending = TABLE_PENDING}, {0}};
static const struct pci_ids ids = {
    /* QEMU's */
    .vendor = 0x1b36,       .device = 0x000d, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
    .class_code = 0x0c0330, .revision = 1,    .interrupt_pin = 1,         .capabilities = capabilities,
};

const struct device_ops xhci_ops = {
    .name = "xhci",
    .state_bytes = sizeof(struct xhci),
    .version = 2,
    .regions = {[REGION_REGISTERS] =
                    {.bus = BUS_MEM, .bytes = REGISTERS_BYTES, .min_size = 4, .max_size = 4, .bar = BAR0, .wide = true},
                [REGION_VECTORS] = {.bus = BUS_MEM, .bytes = 4096, .min_size = 1, .max_size = 8, .bar = BAR4}},
    .pci = &ids,
    .init = xhci_init,
    .reset = xhci_reset,
    .read = xhci_read,
    .write = xhci_write,
    .sync = xhci_sync,
    .fini = xhci_fini,
    .input = &usb_input,
    .usb = &usb_told,
};
