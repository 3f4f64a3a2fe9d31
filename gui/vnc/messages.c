// SPDX-License-Identifier: GPL-2.0-or-later
/* messages.c - see messages.h.  RFC 6143, 7.5, and what the community's rfbproto adds. */
#include "gui/vnc/messages.h"
#include <string.h>

enum {
    SET_PIXEL_FORMAT = 0,
    SET_ENCODINGS = 2,
    UPDATE_REQUEST = 3,
    KEY_EVENT = 4,
    POINTER_EVENT = 5,
    CUT_TEXT = 6,
    XVP = 250,
    SET_DESKTOP_SIZE = 251,
    QEMU = 255,
};
enum { ENCODINGS_MOST = 512, TEXT_MOST = 1 << 20, SCREENS_MOST = 16, KEYS_BY_PLACE = -258, LEDS = -261 };

static unsigned get16(const guint8 *p)
{
    return p[0] << 8 | p[1];
}

static uint32_t get32(const guint8 *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

void messages_init(struct messages *m, const struct keymap *map, void (*key)(void *ctx, unsigned code, bool down),
                   void *ctx)
{
    *m = (struct messages){0};
    keys_init(&m->keys, map, key, ctx);
}

void messages_clear(struct messages *m)
{
    keys_clear(&m->keys);
}

static enum message_kind bad(struct messages *m, const char *why)
{
    m->complaint = why;
    return MESSAGE_BAD;
}

static void pass(GByteArray *on, const guint8 *p, size_t n)
{
    g_byte_array_append(on, p, n);
}

/* ---- pixels ---- */

static bool fits(unsigned most, unsigned shift, unsigned bits)
{
    return most && shift < bits && (uint64_t)most << shift < UINT64_C(1) << bits && !(most & (most + 1));
}

static enum message_kind pixel_format(struct messages *m, const guint8 *p, GByteArray *on)
{
    unsigned bits = p[4], depth = p[5];
    bool colours = p[7];
    if (bits != 8 && bits != 16 && bits != 32)
        return bad(m, "its pixels have a size that there is not");
    if (!depth || depth > 32 || (!colours && bits != 8))
        return bad(m, "its pixels make no sense");
    if (colours &&
        (!fits(get16(p + 8), p[14], bits) || !fits(get16(p + 10), p[15], bits) || !fits(get16(p + 12), p[16], bits)))
        return bad(m, "the colours of its pixels make no sense");
    pass(on, p, 20);
    return MESSAGE_DONE;
}

/* What libvncserver is to know of: how pixels are coded, cursor, sizes, power. */
static bool is_known(int32_t encoding)
{
    static const int32_t known[] = {0, 1, 2, 4, 5, 6, 7, 16, 17, -239, -240, -224, -223, -308, -309};
    for (unsigned i = 0; i < G_N_ELEMENTS(known); i++)
        if (known[i] == encoding)
            return true;
    bool compression = encoding >= -256 && encoding <= -247, quality = encoding >= -32 && encoding <= -23;
    return compression || quality || (encoding >= -768 && encoding <= -763) || (encoding >= -512 && encoding <= -412);
}

static enum message_kind encodings(struct messages *m, const guint8 *p, GByteArray *on, bool look_on)
{
    unsigned count = get16(p + 2), start = on->len, passed = 0;
    bool by_place = false;
    m->wants_leds = false;
    pass(on, p, 4);
    for (unsigned i = 0; i < count; i++) {
        int32_t e = (int32_t)get32(p + 4 + i * 4);
        by_place |= e == KEYS_BY_PLACE;
        m->wants_leds |= e == LEDS;
        if (is_known(e)) {
            pass(on, p + 4 + i * 4, 4);
            passed++;
        }
    }
    on->data[start + 2] = passed >> 8;
    on->data[start + 3] = passed;
    m->new_keys = by_place && !m->keys_by_place && !look_on;
    m->keys_by_place |= m->new_keys;
    return MESSAGE_ENCODINGS;
}

static enum message_kind update_request(const guint8 *p, GByteArray *on)
{
    if (get16(p + 6) && get16(p + 8)) /* of nothing: there is nothing to say */
        pass(on, p, 10);
    return MESSAGE_DONE;
}

static enum message_kind desktop_size(struct messages *m, const guint8 *p, GByteArray *on)
{
    if (!p[6])
        return bad(m, "it wants a desktop without a screen");
    if (get16(p + 2) && get16(p + 4))
        pass(on, p, 8 + 16 * p[6]);
    return MESSAGE_DONE;
}

/* ---- the rest ---- */

static enum message_kind pointer(struct messages *m, const guint8 *p, bool look_on)
{
    m->buttons = p[1];
    m->x = get16(p + 2);
    m->y = get16(p + 4);
    return look_on ? MESSAGE_DONE : MESSAGE_POINTER;
}

static enum message_kind key(struct messages *m, uint32_t sym, uint32_t place, bool down, bool look_on)
{
    if (!look_on)
        keys_event(&m->keys, sym, place, down);
    return MESSAGE_DONE;
}

/* There is nobody yet whose clipboard it could be. */
static enum message_kind text(struct messages *m, const guint8 *p)
{
    int64_t n = (int32_t)get32(p + 4);
    m->skip = n < 0 ? -n : n; /* negative: an extension that was not agreed upon */
    return (n < 0 ? -n : n) > TEXT_MOST ? bad(m, "its text is longer than 1 MiB") : MESSAGE_DONE;
}

static enum message_kind power(struct messages *m, const guint8 *p, bool look_on)
{
    m->code = p[3];
    return p[2] == 1 && !look_on ? MESSAGE_XVP : MESSAGE_DONE;
}

/* How long the message is, or how much of it must be there to know that; 0: there is none like that. */
static size_t length_of(struct messages *m, const guint8 *p, size_t n)
{
    switch (p[0]) {
    case SET_PIXEL_FORMAT: return 20;
    case SET_ENCODINGS:
        m->complaint = "it knows more encodings than there are";
        return n < 4 ? 4 : get16(p + 2) > ENCODINGS_MOST ? 0 : 4 + 4 * get16(p + 2);
    case UPDATE_REQUEST: return 10;
    case KEY_EVENT: return 8;
    case POINTER_EVENT: return 6;
    case CUT_TEXT: return 8;
    case XVP: return 4;
    case SET_DESKTOP_SIZE:
        m->complaint = "it has more screens than there are";
        return n < 8 ? 8 : p[6] > SCREENS_MOST ? 0 : 8 + 16 * p[6];
    case QEMU: m->complaint = "it uses an extension that was not offered"; return n < 2 ? 2 : p[1] ? 0 : 12;
    default: m->complaint = "it sent a message that there is not"; return 0;
    }
}

static enum message_kind handle(struct messages *m, const guint8 *p, GByteArray *on, bool look_on)
{
    switch (p[0]) {
    case SET_PIXEL_FORMAT: return pixel_format(m, p, on);
    case SET_ENCODINGS: return encodings(m, p, on, look_on);
    case UPDATE_REQUEST: return update_request(p, on);
    case KEY_EVENT: return key(m, get32(p + 4), 0, p[1], look_on);
    case POINTER_EVENT: return pointer(m, p, look_on);
    case CUT_TEXT: return text(m, p);
    case XVP: return power(m, p, look_on);
    case SET_DESKTOP_SIZE: return desktop_size(m, p, on);
    default: return key(m, get32(p + 4), get32(p + 8), get16(p + 2), look_on);
    }
}

enum message_kind messages_take(struct messages *m, GByteArray *in, GByteArray *on, bool look_on)
{
    unsigned skipped = MIN(m->skip, in->len);
    m->skip -= skipped;
    if (skipped)
        g_byte_array_remove_range(in, 0, skipped);
    if (!in->len)
        return MESSAGE_NONE;
    size_t n = length_of(m, in->data, in->len);
    if (!n)
        return MESSAGE_BAD;
    if (n > in->len)
        return MESSAGE_NONE;
    enum message_kind kind = handle(m, in->data, on, look_on);
    g_byte_array_remove_range(in, 0, n);
    return kind;
}
