// SPDX-License-Identifier: GPL-2.0-or-later
/* usb_hid.c - keyboard, mouse and tablet.  Specs: Device Class Definition for HID 1.11 (appendix B: boot reports), HID Usage Tables
 * 1.12 (chapter 10: keys).
 *
 * What the user does waits in a queue; each report that the guest takes is one step further, so that a key that goes down and up
 * between two of its looks is seen.  Moves that wait are added up as long as the buttons stay.  A device is listened to once the guest has configured it and looked for reports.  There are no repeated reports
 * (SET_IDLE keeps its value): systems repeat keys themselves. */
#include "devices/usb/usb_bus.h"
#include <linux/input-event-codes.h>
#include <string.h>

enum { HID_GET_REPORT = 1, HID_GET_IDLE = 2, HID_GET_PROTOCOL = 3, HID_SET_REPORT = 9, HID_SET_IDLE, HID_SET_PROTOCOL };
enum { TO_CLASS = 0x21, FROM_CLASS = 0xa1, REPORT_IN = 0x81, QUEUE = 32, KEYS = 6, DOWN_MOST = 24, REPORT_MOST = 8 };
enum { ROLL_OVER = 1, MODIFIER_FIRST = 0xe0, MODIFIER_LAST = 0xe7, TABLET_MOST = 0x7fff, MOVE_MOST = 1 << 24 };

struct hid_event { /* a key: buttons is its usage, x whether it goes down */
    int32_t x, y, wheel;
    uint32_t buttons;
};
struct hid {
    struct usb_device usb; /* first */
    const struct usb_model *model;
    unsigned what; /* INPUT_... */
    bool looked;   /* the guest looks for reports */
    uint8_t idle, protocol, leds;
    uint32_t count;
    struct hid_event queue[QUEUE];
    struct hid_event now; /* of a pointer: as reported last */
    uint8_t modifiers;
    uint32_t down; /* other keys that are held, in their order */
    uint8_t key[DOWN_MOST];
};

/* ---- descriptors ---- */
#define CONFIGURATION(bytes)  9, 2, bytes, 0, 1, 1, 0, 0xa0, 50
#define INTERFACE(sub, proto) 9, 4, 0, 0, 1, 3, sub, proto, 0
#define HID_PART(report)      9, 0x21, 0x11, 0x01, 0, 1, 0x22, report, 0
#define ENDPOINT(interval)    7, 5, REPORT_IN, 3, 8, 0, interval
#define COMPANION             6, 0x30, 0, 0, 8, 0
enum { KEYBOARD_REPORT = 64, MOUSE_REPORT = 52, TABLET_REPORT = 74 };
/* 8 ms: of full speed as such, of the others as 2^(n - 1) parts of 125 us. */
#define SPEEDS(sub, proto, report, full, high)                                                                         \
    {                                                                                                                  \
        [USB_FULL] = (const uint8_t[]){CONFIGURATION(34), INTERFACE(sub, proto), HID_PART(report), ENDPOINT(full)},    \
        [USB_HIGH] = (const uint8_t[]){CONFIGURATION(34), INTERFACE(sub, proto), HID_PART(report), ENDPOINT(high)},    \
    }

static const uint8_t keyboard_report[KEYBOARD_REPORT] = {
    0x05, 0x01, 0x09, 0x06, 0xa1, 0x01,             /* generic desktop, keyboard: an application */
    0x75, 0x01, 0x95, 0x08, 0x05, 0x07, 0x19, 0xe0, /* eight bits: the modifiers */
    0x29, 0xe7, 0x15, 0x00, 0x25, 0x01, 0x81, 0x02, /* */
    0x95, 0x01, 0x75, 0x08, 0x81, 0x01,             /* a byte of nothing */
    0x95, 0x05, 0x75, 0x01, 0x05, 0x08, 0x19, 0x01, /* out: five lights and three bits */
    0x29, 0x05, 0x91, 0x02, 0x95, 0x01, 0x75, 0x03, /* */
    0x91, 0x01, 0x95, 0x06, 0x75, 0x08, 0x15, 0x00, /* six keys */
    0x26, 0xff, 0x00, 0x05, 0x07, 0x19, 0x00, 0x29, /* */
    0xff, 0x81, 0x00, 0xc0,
};
static const uint8_t mouse_report[MOUSE_REPORT] = {
    0x05, 0x01, 0x09, 0x02, 0xa1, 0x01, 0x09, 0x01, 0xa1, 0x00, /* generic desktop, mouse, pointer */
    0x05, 0x09, 0x19, 0x01, 0x29, 0x05, 0x15, 0x00, 0x25, 0x01, /* five buttons, three bits of nothing */
    0x95, 0x05, 0x75, 0x01, 0x81, 0x02, 0x95, 0x01, 0x75, 0x03, /* */
    0x81, 0x01, 0x05, 0x01, 0x09, 0x30, 0x09, 0x31, 0x09, 0x38, /* x, y, wheel: relative, a byte each */
    0x15, 0x81, 0x25, 0x7f, 0x75, 0x08, 0x95, 0x03, 0x81, 0x06, /* */
    0xc0, 0xc0,
};
static const uint8_t tablet_report[TABLET_REPORT] = {
    0x05, 0x01, 0x09, 0x02, 0xa1, 0x01, 0x09, 0x01, 0xa1, 0x00, /* generic desktop, mouse, pointer */
    0x05, 0x09, 0x19, 0x01, 0x29, 0x05, 0x15, 0x00, 0x25, 0x01, /* five buttons, three bits of nothing */
    0x95, 0x05, 0x75, 0x01, 0x81, 0x02, 0x95, 0x01, 0x75, 0x03, /* */
    0x81, 0x01, 0x05, 0x01, 0x09, 0x30, 0x09, 0x31,             /* x, y: absolute, 0 to 32767 */
    0x15, 0x00, 0x26, 0xff, 0x7f, 0x35, 0x00, 0x46, 0xff, 0x7f, /* */
    0x75, 0x10, 0x95, 0x02, 0x81, 0x02,                         /* */
    0x05, 0x01, 0x09, 0x38, 0x15, 0x81, 0x25, 0x7f, 0x35, 0x00, /* wheel: relative */
    0x45, 0x00, 0x75, 0x08, 0x95, 0x01, 0x81, 0x06, 0xc0, 0xc0,
};

static const struct usb_model keyboard_model;
static const struct usb_model mouse_model, tablet_model;

/* ---- keys ---- */

/* Usages by evdev code, where they do not follow from a neighbour's. */
static uint8_t usage_of(unsigned code)
{
    static const uint8_t usage[] = {
        0,    0x29, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23,
        0x24, 0x25, 0x26, 0x27, 0x2d, 0x2e, 0x2a, 0x2b, /* Esc 1 ... Tab */
        0x14, 0x1a, 0x08, 0x15, 0x17, 0x1c, 0x18, 0x0c,
        0x12, 0x13, 0x2f, 0x30, 0x28, 0xe0, 0x04, 0x16, /* Q ... S */
        0x07, 0x09, 0x0a, 0x0b, 0x0d, 0x0e, 0x0f, 0x33,
        0x34, 0x35, 0xe1, 0x31, 0x1d, 0x1b, 0x06, 0x19, /* D ... V */
        0x05, 0x11, 0x10, 0x36, 0x37, 0x38, 0xe5, 0x55,
        0xe2, 0x2c, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, /* B ... F5 */
        0x3f, 0x40, 0x41, 0x42, 0x43, 0x53, 0x47, 0x5f,
        0x60, 0x61, 0x56, 0x5c, 0x5d, 0x5e, 0x57, 0x59, /* F6 ... KP1 */
        0x5a, 0x5b, 0x62, 0x63, 0,    0x94, 0x64, 0x44,
        0x45, 0x87, 0x92, 0x93, 0x8a, 0x88, 0x8b, 0x8c, /* KP2 ... */
        0x58, 0xe4, 0x54, 0x46, 0xe6, 0,    0x4a, 0x52,
        0x4b, 0x50, 0x4f, 0x4d, 0x51, 0x4e, 0x49, 0x4c, /* KPEnter ... Del */
        0,    0x7f, 0x81, 0x80, 0x66, 0x67, 0,    0x48,
        0,    0x85, 0x90, 0x91, 0x89, 0xe3, 0xe7, 0x65, /* Mute ... Menu */
    };
    if (code >= KEY_F13 && code <= KEY_F24)
        return 0x68 + code - KEY_F13;
    return code < sizeof usage ? usage[code] : 0;
}

static void press(struct hid *h, uint8_t usage, bool down)
{
    unsigned n = 0;
    if (usage >= MODIFIER_FIRST && usage <= MODIFIER_LAST) {
        uint8_t bit = 1 << (usage - MODIFIER_FIRST);
        h->modifiers = down ? h->modifiers | bit : h->modifiers & ~bit;
        return;
    }
    for (unsigned i = 0; i < h->down; i++)
        if (h->key[i] != usage)
            h->key[n++] = h->key[i];
    if (down && n < DOWN_MOST)
        h->key[n++] = usage;
    h->down = n;
}

/* ---- reports ---- */
static uint32_t keyboard_bytes(struct hid *h, uint8_t *out)
{
    memset(out, 0, 2 + KEYS);
    out[0] = h->modifiers;
    if (h->down > KEYS)
        memset(out + 2, ROLL_OVER, KEYS);
    else
        memcpy(out + 2, h->key, h->down);
    return 2 + KEYS;
}

static uint32_t pointer_bytes(struct hid *h, uint8_t *out)
{
    const struct hid_event *e = &h->now;
    out[0] = e->buttons & 31;
    if (h->what == INPUT_POINTER) {
        out[1] = e->x;
        out[2] = e->y;
        out[3] = e->wheel;
        return 4;
    }
    out[1] = e->x;
    out[2] = e->x >> 8;
    out[3] = e->y;
    out[4] = e->y >> 8;
    out[5] = e->wheel;
    return 6;
}

static uint32_t report_bytes(struct hid *h, uint8_t *out)
{
    return h->what == INPUT_KEYBOARD ? keyboard_bytes(h, out) : pointer_bytes(h, out);
}

static int32_t part(int32_t *left)
{
    int32_t n = CLAMP(*left, -127, 127);
    *left -= n;
    return n;
}

/* What a report has no room for stays at the queue's head. */
static void step_pointer(struct hid *h, struct hid_event *e)
{
    h->now.buttons = e->buttons;
    h->now.wheel = part(&e->wheel);
    if (h->what == INPUT_POINTER) {
        h->now.x = part(&e->x);
        h->now.y = part(&e->y);
    } else {
        h->now.x = e->x;
        h->now.y = e->y;
    }
}

static bool is_through(const struct hid *h, const struct hid_event *e)
{
    return h->what == INPUT_KEYBOARD || (!e->wheel && (h->what != INPUT_POINTER || (!e->x && !e->y)));
}

static void step(struct hid *h)
{
    struct hid_event *e = h->queue;
    if (h->what == INPUT_KEYBOARD)
        press(h, e->buttons, e->x);
    else
        step_pointer(h, e);
    if (is_through(h, e))
        memmove(h->queue, h->queue + 1, --h->count * sizeof h->queue[0]);
}

static enum usb_status take_report(struct hid *h, struct usb_packet *p)
{
    uint8_t out[REPORT_MOST];
    if (!h->usb.configuration || !p->in || p->endpoint != (REPORT_IN & 15))
        return USB_STALL;
    if (!h->looked) {
        h->looked = true;
        usb_bus_listening(&h->usb);
    }
    if (!h->count)
        return USB_NAK;
    step(h);
    usb_answer(p, out, report_bytes(h, out));
    h->now.wheel = 0;
    if (h->what == INPUT_POINTER)
        h->now.x = h->now.y = 0;
    return USB_OK;
}

/* ---- requests ---- */
static bool of_class(struct hid *h, struct usb_packet *p)
{
    uint8_t out[REPORT_MOST], request = p->setup[1];
    if (p->setup[0] == FROM_CLASS && request == HID_GET_REPORT) {
        usb_answer(p, out, report_bytes(h, out));
    } else if (p->setup[0] == FROM_CLASS && request == HID_GET_IDLE) {
        usb_answer(p, &h->idle, 1);
    } else if (p->setup[0] == FROM_CLASS && request == HID_GET_PROTOCOL) {
        usb_answer(p, &h->protocol, 1);
    } else if (p->setup[0] == TO_CLASS && request == HID_SET_REPORT) {
        h->leds = h->what == INPUT_KEYBOARD && p->bytes ? p->data[0] : 0;
    } else if (p->setup[0] == TO_CLASS && request == HID_SET_IDLE) {
        h->idle = p->setup[3];
    } else if (p->setup[0] == TO_CLASS && request == HID_SET_PROTOCOL) {
        h->protocol = p->setup[2] & 1;
    } else {
        return false;
    }
    return true;
}

static enum usb_status handle(struct usb_device *u, struct usb_packet *p)
{
    struct hid *h = u->state;
    if (p->kind != USB_CONTROL)
        return take_report(h, p);
    return usb_standard(u, h->model, p) || of_class(h, p) ? USB_OK : USB_STALL;
}

/* ---- the user's side ---- */
static struct hid *hid_of(const struct usb_device *u);

unsigned usb_hid_listened(const struct usb_device *u)
{
    const struct hid *h = hid_of(u);
    return h && h->looked ? h->what : 0;
}

bool usb_hid_takes(const struct usb_device *u, unsigned what)
{
    const struct hid *h = hid_of(u);
    return h && h->what == what;
}

unsigned usb_hid_leds(const struct usb_device *u)
{
    const struct hid *h = hid_of(u);
    return (h->leds & 4) >> 2 | (h->leds & 3) << 1; /* num, caps, scroll there */
}

static bool queue(struct hid *h, struct hid_event e)
{
    if (h->count == QUEUE)
        return false;
    h->queue[h->count++] = e;
    usb_wake(&h->usb, REPORT_IN);
    return true;
}

bool usb_hid_key(struct usb_device *u, unsigned code, bool down)
{
    struct hid *h = hid_of(u);
    uint8_t usage = usage_of(code);
    return !usage || !h->looked || queue(h, (struct hid_event){.buttons = usage, .x = down});
}

/* More than that is no move that a user makes; nor is it loaded. */
static int32_t bounded(int64_t move)
{
    return CLAMP(move, -MOVE_MOST, MOVE_MOST);
}

bool usb_hid_move(struct usb_device *u, int x, int y, int wheel, unsigned buttons)
{
    struct hid *h = hid_of(u);
    struct hid_event e = {bounded(x), bounded(y), bounded(-(int64_t)wheel), buttons},
                     *last = h->count ? &h->queue[h->count - 1] : NULL;
    bool relative = h->what == INPUT_POINTER;
    if (!h->looked)
        return true;
    if (!relative) {
        e.x = (x & 0xffff) >> 1;
        e.y = (y & 0xffff) >> 1;
    }
    if (!last || last->buttons != buttons)
        return queue(h, e);
    last->x = relative ? bounded(last->x + e.x) : e.x;
    last->y = relative ? bounded(last->y + e.y) : e.y;
    last->wheel = bounded(last->wheel + e.wheel);
    return true;
}

/* ---- life ---- */
static void reset(struct usb_device *u)
{
    struct hid *h = u->state;
    h->looked = false;
    h->idle = h->leds = h->modifiers = 0;
    h->protocol = 1;
    h->count = h->down = 0;
    h->now = (struct hid_event){0};
    usb_bus_listening(u);
}

static void configured(struct usb_device *u)
{
    ((struct hid *)u->state)->looked = false;
    usb_bus_listening(u);
}

static bool sync_state(struct usb_device *u, struct stream *s)
{
    struct hid *h = u->state;
    uint8_t *bytes[] = {&h->idle, &h->protocol, &h->leds, &h->modifiers};
    stream_bool(s, &h->looked);
    for (unsigned i = 0; i < G_N_ELEMENTS(bytes); i++)
        stream_u8(s, bytes[i]);
    stream_check_u32(s, &h->count, QUEUE);
    for (unsigned i = 0; i <= h->count; i++) {
        struct hid_event *e = i < h->count ? &h->queue[i] : &h->now;
        stream_u32(s, (uint32_t *)&e->x);
        stream_u32(s, (uint32_t *)&e->y);
        stream_u32(s, (uint32_t *)&e->wheel);
        stream_u32(s, &e->buttons);
        s->failed |= e->x != bounded(e->x) || e->y != bounded(e->y) || e->wheel != bounded(e->wheel);
    }
    stream_check_u32(s, &h->down, DOWN_MOST);
    stream_raw(s, h->key, sizeof h->key);
    return stream_ok(s);
}

static void close_hid(struct usb_device *u)
{
    g_free(u->state);
}

static const struct usb_device_ops keyboard_ops = {
    .name = "keyboard", .handle = handle, .reset = reset, .sync = sync_state, .close = close_hid};
static const struct usb_device_ops mouse_ops = {
    .name = "mouse", .handle = handle, .reset = reset, .sync = sync_state, .close = close_hid};
static const struct usb_device_ops tablet_ops = {
    .name = "tablet", .handle = handle, .reset = reset, .sync = sync_state, .close = close_hid};

static struct hid *hid_of(const struct usb_device *u)
{
    return u->ops->handle == handle ? u->state : NULL;
}

static struct usb_device *new_hid(struct device *d, const struct usb_device_ops *ops, const struct usb_model *model,
                                  unsigned what)
{
    struct hid *h = g_new0(struct hid, 1);
    h->usb = (struct usb_device){.ops = ops, .speeds = 1 << USB_FULL | 1 << USB_HIGH, .machine = d, .state = h};
    h->model = model;
    h->what = what;
    h->protocol = 1;
    return &h->usb;
}

struct usb_device *usb_keyboard_new(struct device *d)
{
    return new_hid(d, &keyboard_ops, &keyboard_model, INPUT_KEYBOARD);
}

struct usb_device *usb_mouse_new(struct device *d)
{
    return new_hid(d, &mouse_ops, &mouse_model, INPUT_POINTER);
}

struct usb_device *usb_tablet_new(struct device *d)
{
    return new_hid(d, &tablet_ops, &tablet_model, INPUT_ABSOLUTE);
}

/* The numbers of QEMU's devices, which systems know. */
static const struct usb_model keyboard_model = {.vendor = 0x0627,
                                                .product = 0x0001,
                                                .text = "Terrarium USB Keyboard",
                                                .configuration = SPEEDS(1, 1, KEYBOARD_REPORT, 8, 7),
                                                .report = keyboard_report,
                                                .report_bytes = sizeof keyboard_report,
                                                .configured = configured};
static const struct usb_model mouse_model = {.vendor = 0x0627,
                                             .product = 0x0001,
                                             .text = "Terrarium USB Mouse",
                                             .configuration = SPEEDS(1, 2, MOUSE_REPORT, 8, 7),
                                             .report = mouse_report,
                                             .report_bytes = sizeof mouse_report,
                                             .configured = configured};
static const struct usb_model tablet_model = {.vendor = 0x0627,
                                              .product = 0x0001,
                                              .text = "Terrarium USB Tablet",
                                              .configuration = SPEEDS(0, 0, TABLET_REPORT, 8, 7),
                                              .report = tablet_report,
                                              .report_bytes = sizeof tablet_report,
                                              .configured = configured};
