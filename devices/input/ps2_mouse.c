// SPDX-License-Identifier: GPL-2.0-or-later
/* A PS/2 mouse with the IntelliMouse (wheel) and IntelliMouse Explorer (wheel, five buttons) extensions.
 * Sources: IBM PS/2 Hardware Interface Technical Reference, mouse; Microsoft's wheel mouse note: a host that sets the
 * sample rates 200, 100, 80 in a row gets the wheel (ID 3), and after 200, 200, 80 two more buttons (ID 4). */
#include "devices/input/ps2.h"
#include "core-vmm/api/input.h"

enum { ACK = 0xfa, ERROR = 0xfc, RESEND = 0xfe, BAT_OK = 0xaa };
enum {
    SCALE_1 = 0xe6,
    SCALE_2 = 0xe7,
    RESOLUTION = 0xe8,
    STATUS = 0xe9,
    STREAM = 0xea,
    READ_DATA = 0xeb,
    WRAP_END = 0xec,
    WRAP = 0xee,
    REMOTE = 0xf0,
    READ_ID = 0xf2,
    RATE = 0xf3,
    ENABLE = 0xf4,
    DISABLE = 0xf5,
    DEFAULTS = 0xf6,
    RESEND_LAST = 0xfe,
    RESET = 0xff
};
enum { X_NEGATIVE = 0x10, Y_NEGATIVE = 0x20, ALWAYS_ONE = 0x08 };
enum { MOVE_MAX = 255, WHEEL_MAX = 7, FARTHEST = 1 << 20 /* what may wait: more is lost, not wrapped */ };

/* ---- reports ---- */

static int take_some(int32_t *value, int most)
{
    int part = CLAMP(*value, -most, most);
    *value -= part;
    return part;
}

/* 2:1 scaling, for reports of stream mode only. */
static int scaled(const struct ps2_mouse *m, int v)
{
    static const uint8_t table[] = {0, 1, 1, 3, 6, 9};
    if (!m->scaling || m->remote)
        return v;
    unsigned size = ABS(v);
    int out = size < G_N_ELEMENTS(table) ? table[size] : MIN(2 * size, MOVE_MAX);
    return v < 0 ? -out : out;
}

static void put_report(struct ps2_mouse *m)
{
    int x = scaled(m, take_some(&m->x, MOVE_MAX)), y = scaled(m, take_some(&m->y, MOVE_MAX));
    int wheel = take_some(&m->wheel, WHEEL_MAX);
    m->sent_buttons = m->buttons;
    ps2_put(&m->out, ALWAYS_ONE | (m->buttons & 7) | (x < 0 ? X_NEGATIVE : 0) | (y < 0 ? Y_NEGATIVE : 0));
    ps2_put(&m->out, x);
    ps2_put(&m->out, y);
    if (m->id == 3)
        ps2_put(&m->out, wheel);
    else if (m->id == 4)
        ps2_put(&m->out,
                (wheel & 15) | (m->buttons & POINTER_SIDE ? 0x10 : 0) | (m->buttons & POINTER_EXTRA ? 0x20 : 0));
}

void ps2_mouse_report(struct ps2_mouse *m)
{
    if (m->reporting && !m->remote && !m->wrap && m->out.count == 0)
        put_report(m);
}

void ps2_mouse_fill(struct ps2_mouse *m)
{
    if (m->x || m->y || (m->wheel && m->id) || m->buttons != m->sent_buttons)
        ps2_mouse_report(m);
}

/* A click must not vanish because its release comes before the report: then the caller tries again. */
bool ps2_mouse_move(struct ps2_mouse *m, int dx, int dy, int wheel, unsigned buttons)
{
    if (m->reporting && !m->remote && m->buttons != m->sent_buttons && buttons != m->buttons)
        return false;
    m->x = CLAMP((int64_t)m->x + dx, -FARTHEST, FARTHEST);
    m->y = CLAMP((int64_t)m->y - dy, -FARTHEST, FARTHEST);
    m->wheel = CLAMP((int64_t)m->wheel + wheel, -FARTHEST, FARTHEST);
    m->buttons = buttons & 31;
    if (!m->reporting)
        m->x = m->y = m->wheel = 0;
    ps2_mouse_fill(m);
    return true;
}

/* ---- commands ---- */

static void defaults(struct ps2_mouse *m)
{
    m->rate = 100;
    m->resolution = 2;
    m->reporting = m->remote = m->wrap = m->scaling = false;
    m->x = m->y = m->wheel = 0;
    m->command = 0;
}

void ps2_mouse_reset(struct ps2_mouse *m)
{
    *m = (struct ps2_mouse){.buttons = m->buttons, .sent_buttons = m->buttons};
    defaults(m);
}

/* knock: 0 nothing, 1 after 200, 2 after 200 100, 3 after 200 200. */
static void set_rate(struct ps2_mouse *m, uint8_t rate)
{
    if (rate == 80 && m->knock == 2)
        m->id = MAX(m->id, 3);
    else if (rate == 80 && m->knock == 3)
        m->id = 4;
    if (rate == 200)
        m->knock = m->knock == 1 || m->knock == 3 ? 3 : 1;
    else
        m->knock = rate == 100 && (m->knock == 1 || m->knock == 3) ? 2 : 0;
    m->rate = rate;
}

static void argument(struct ps2_mouse *m, uint8_t byte)
{
    uint8_t command = m->command;
    m->command = 0;
    if (command == RATE)
        set_rate(m, byte);
    else if (byte <= 3)
        m->resolution = byte;
    else {
        m->command = command;
        ps2_put(&m->out, RESEND);
        return;
    }
    ps2_put(&m->out, ACK);
}

static void put_status(struct ps2_mouse *m)
{
    uint8_t b = m->buttons;
    ps2_put(&m->out, m->remote << 6 | m->reporting << 5 | m->scaling << 4 | (b & POINTER_LEFT ? 4 : 0) |
                         (b & POINTER_MIDDLE ? 2 : 0) | (b & POINTER_RIGHT ? 1 : 0));
    ps2_put(&m->out, m->resolution);
    ps2_put(&m->out, m->rate);
}

static void run_command(struct ps2_mouse *m, uint8_t byte)
{
    ps2_put(&m->out, ACK);
    switch (byte) {
    case SCALE_1: m->scaling = false; break;
    case SCALE_2: m->scaling = true; break;
    case RESOLUTION:
    case RATE: m->command = byte; break;
    case STATUS: put_status(m); break;
    case STREAM: m->remote = false; break;
    case READ_DATA: put_report(m); break;
    case WRAP: m->wrap = true; break;
    case WRAP_END: m->wrap = false; break;
    case REMOTE: m->remote = true; break;
    case READ_ID: ps2_put(&m->out, m->id); break;
    case ENABLE: m->reporting = true; break;
    case DISABLE: m->reporting = false; break;
    case DEFAULTS: defaults(m); break;
    case RESET:
        ps2_mouse_reset(m);
        ps2_put(&m->out, ACK);
        ps2_put(&m->out, BAT_OK);
        ps2_put(&m->out, m->id);
        break;
    }
}

static bool known(uint8_t byte)
{
    return (byte >= SCALE_1 && byte <= WRAP_END) || byte == WRAP || byte == REMOTE ||
           (byte >= READ_ID && byte <= DEFAULTS) || byte == RESET;
}

void ps2_mouse_write(struct ps2_mouse *m, uint8_t byte)
{
    if (m->wrap && byte != RESET && byte != WRAP_END) {
        ps2_put(&m->out, byte);
        return;
    }
    if (byte == RESEND_LAST) {
        ps2_put(&m->out, m->out.last);
        return;
    }
    if (!m->command)
        m->out.count = 0; /* a command throws away what was not yet sent */
    if (m->command && byte < SCALE_1)
        argument(m, byte);
    else if (known(byte))
        run_command(m, byte);
    else
        ps2_put(&m->out, ERROR);
}

void ps2_mouse_sync(struct ps2_mouse *m, struct stream *s)
{
    ps2_sync_queue(&m->out, s);
    uint8_t *bytes[] = {&m->id, &m->knock, &m->resolution, &m->rate, &m->buttons, &m->sent_buttons, &m->command};
    for (unsigned i = 0; i < G_N_ELEMENTS(bytes); i++)
        stream_u8(s, bytes[i]);
    bool *flags[] = {&m->reporting, &m->remote, &m->wrap, &m->scaling};
    for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++)
        stream_bool(s, flags[i]);
    stream_u32(s, (uint32_t *)&m->x);
    stream_u32(s, (uint32_t *)&m->y);
    stream_u32(s, (uint32_t *)&m->wheel);
}
