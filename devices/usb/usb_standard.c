// SPDX-License-Identifier: GPL-2.0-or-later
/* usb_standard.c - the requests that every USB device answers.  Specs: USB 2.0, chapter 9; USB 3.2, chapter 9 (of what a device of
 * SuperSpeed has beside: BOS, and two requests that only tell times). */
#include "devices/usb/usb_bus.h"
#include "core-vmm/base/bytes.h"
#include <string.h>

enum { TO_DEVICE = 0x00, TO_INTERFACE = 0x01, TO_ENDPOINT = 0x02, FROM_DEVICE = 0x80, FROM_INTERFACE, FROM_ENDPOINT };
enum { D_DEVICE = 1, D_CONFIGURATION = 2, D_STRING = 3, D_QUALIFIER = 6, D_OTHER_SPEED = 7, D_BOS = 15 };
enum { D_HID = 0x21, D_REPORT = 0x22, ENDPOINT_HALT = 0, STRING_MOST = 126 };

void usb_answer(struct usb_packet *p, const void *data, uint32_t bytes)
{
    p->moved = MIN(bytes, p->bytes);
    memcpy(p->data, data, p->moved);
}

/* ---- descriptors ---- */
static uint32_t device_descriptor(const struct usb_device *u, const struct usb_model *m, uint8_t *out)
{
    static const uint16_t version[] = {0x0110, 0x0200, 0x0200, 0x0300};
    static const uint8_t most[] = {8, 64, 64, 9 /* 2 to the power of */};
    enum { BYTES = 18 };
    memset(out, 0, BYTES);
    out[0] = BYTES;
    out[1] = D_DEVICE;
    put_le16(out + 2, version[u->speed]);
    out[4] = m->device_class;
    out[5] = m->subclass;
    out[6] = m->protocol;
    out[7] = most[u->speed];
    put_le16(out + 8, m->vendor);
    put_le16(out + 10, m->product);
    put_le16(out + 12, 0x0100);
    out[14] = 1;
    out[15] = 2;
    out[16] = 3;
    out[17] = 1;
    return BYTES;
}

static uint32_t qualifier(const struct usb_device *u, const struct usb_model *m, uint8_t *out)
{
    enum { BYTES = 10 };
    device_descriptor(u, m, out);
    out[0] = BYTES;
    out[1] = D_QUALIFIER;
    out[7] = 64;
    out[8] = 1;
    out[9] = 0;
    return BYTES;
}

static uint32_t string(const struct usb_device *u, const struct usb_model *m, unsigned index, uint8_t *out)
{
    char serial[24];
    const char *text = index == 1 ? "Terrarium" : m->text;
    unsigned n;
    if (index > 3)
        return 0;
    g_snprintf(serial, sizeof serial, "%012u", u->port->number);
    if (index == 3)
        text = serial;
    n = index ? MIN(strlen(text), STRING_MOST) : 1;
    out[0] = 2 + 2 * n;
    out[1] = D_STRING;
    for (unsigned i = 0; i < n; i++)
        put_le16(out + 2 + 2 * i, index ? (uint8_t)text[i] : 0x0409 /* English */);
    return out[0];
}

static void whole_configuration(struct usb_packet *p, const uint8_t *configuration, uint8_t type)
{
    usb_answer(p, configuration, get_le16(configuration + 2));
    if (p->moved > 1)
        p->data[1] = type;
}

/* false: there is none. */
static bool get_descriptor(const struct usb_device *u, const struct usb_model *m, struct usb_packet *p)
{
    /* USB 2.0 extension; SuperSpeed: 12, 480 and 5000 Mbit/s, no latency worth a word. */
    static const uint8_t bos[] = {5, D_BOS, 22, 0, 2, 7, 16, 2, 2, 0, 0, 0, 10, 16, 3, 0, 14, 0, 1, 0, 0, 0};
    uint8_t out[2 + 2 * STRING_MOST + 2];
    enum usb_speed other = u->speed == USB_HIGH ? USB_FULL : USB_HIGH;
    uint32_t n = 0;
    switch (p->setup[3]) {
    case D_DEVICE: n = device_descriptor(u, m, out); break;
    case D_CONFIGURATION: whole_configuration(p, m->configuration[u->speed], D_CONFIGURATION); return true;
    case D_STRING: n = string(u, m, p->setup[2], out); break;
    case D_QUALIFIER:
        if (u->speed == USB_HIGH && m->configuration[USB_FULL])
            n = qualifier(u, m, out);
        break;
    case D_OTHER_SPEED:
        if (u->speed != USB_HIGH || !m->configuration[other])
            return false;
        whole_configuration(p, m->configuration[other], D_OTHER_SPEED);
        return true;
    case D_BOS:
        if (u->speed == USB_SUPER)
            n = sizeof bos, memcpy(out, bos, n);
        break;
    }
    if (n)
        usb_answer(p, out, n);
    return n;
}

/* Of the interface: HID's (which stands in the configuration), and the report's. */
static bool interface_descriptor(const struct usb_device *u, const struct usb_model *m, struct usb_packet *p)
{
    enum { HID_BYTES = 9 };
    const uint8_t *c = m->configuration[u->speed];
    if (!m->report || (p->setup[3] != D_REPORT && p->setup[3] != D_HID))
        return false;
    if (p->setup[3] == D_REPORT)
        usb_answer(p, m->report, m->report_bytes);
    else
        usb_answer(p, c + 9 + 9, HID_BYTES);
    return true;
}

/* ---- requests ---- */
static void configure(struct usb_device *u, const struct usb_model *m, uint8_t value)
{
    u->configuration = value;
    if (m->configured)
        m->configured(u);
}

static bool to_device(struct usb_device *u, const struct usb_model *m, struct usb_packet *p)
{
    switch (p->setup[1]) {
    case USB_SET_ADDRESS: u->address = p->setup[2] & 127; return true;
    case USB_SET_CONFIGURATION:
        if (p->setup[2] > 1)
            return false;
        configure(u, m, p->setup[2]);
        return true;
    case USB_SET_FEATURE: /* remote wake-up, test modes, U1 and U2: it stays as it is */
    case USB_CLEAR_FEATURE:
    case USB_SET_SEL:
    case USB_SET_ISOCH_DELAY: return true;
    }
    return false;
}

static bool from_device(struct usb_device *u, const struct usb_model *m, struct usb_packet *p)
{
    static const uint8_t self_powered[] = {1, 0};
    switch (p->setup[1]) {
    case USB_GET_DESCRIPTOR: return get_descriptor(u, m, p);
    case USB_GET_CONFIGURATION: usb_answer(p, &u->configuration, 1); return true;
    case USB_GET_STATUS: usb_answer(p, self_powered, 2); return true;
    }
    return false;
}

static bool of_endpoint(struct usb_device *u, const struct usb_model *m, struct usb_packet *p)
{
    uint8_t endpoint = p->setup[4], status[2] = {m->halted && m->halted(u, endpoint)};
    switch (p->setup[1]) {
    case USB_GET_STATUS: usb_answer(p, status, sizeof status); return p->in;
    case USB_CLEAR_FEATURE:
        if (p->setup[2] == ENDPOINT_HALT && m->unhalted)
            m->unhalted(u, endpoint);
        return !p->in;
    }
    return false;
}

bool usb_standard(struct usb_device *u, const struct usb_model *m, struct usb_packet *p)
{
    static const uint8_t zero[2] = {0};
    switch (p->setup[0]) {
    case TO_DEVICE: return to_device(u, m, p);
    case FROM_DEVICE: return from_device(u, m, p);
    case TO_INTERFACE: return p->setup[1] == USB_SET_INTERFACE && !p->setup[2];
    case FROM_INTERFACE:
        if (p->setup[1] == USB_GET_DESCRIPTOR)
            return interface_descriptor(u, m, p);
        usb_answer(p, zero, p->setup[1] == USB_GET_INTERFACE ? 1 : 2);
        return p->setup[1] == USB_GET_INTERFACE || p->setup[1] == USB_GET_STATUS;
    case TO_ENDPOINT:
    case FROM_ENDPOINT: return of_endpoint(u, m, p);
    }
    return false;
}
