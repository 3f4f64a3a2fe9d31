// SPDX-License-Identifier: GPL-2.0-or-later
/* svga_cursor.c - the cursor of a VMware SVGA II.
 *
 * While the guest takes absolute coordinates its pointer is where the host's is, so watchers get the shape and show it without any lag.
 * Otherwise it is drawn into the picture, where the guest says that it is: what it lay on before is drawn anew first. */
#include "core-vmm/base/bytes.h"
#include "devices/video/svga.h"

#define BLACK 0xff000000u
#define WHITE 0xffffffffu

/* ---- shapes ---- */

/* Room for a shape of that size, which the FIFO has found to be small enough. */
static uint32_t *begin_shape(struct svga *s, const uint32_t *a)
{
    struct svga_cursor *c = &s->cursor;
    g_free(c->argb);
    c->hot_x = MIN(a[1], SVGA_CURSOR_SIDE);
    c->hot_y = MIN(a[2], SVGA_CURSOR_SIDE);
    c->width = a[3];
    c->height = a[4];
    c->argb = g_new0(uint32_t, MAX((size_t)c->width * c->height, 1));
    c->serial++;
    return c->argb;
}

void svga_cursor_alpha(struct device *d, const uint32_t *a)
{
    uint32_t *to = begin_shape(d->state, a);
    for (size_t i = 0; i < (size_t)a[3] * a[4]; i++)
        to[i] = le32toh(a[5 + i]);
}

static bool mask_bit(const uint32_t *line, uint32_t x)
{
    return ((const uint8_t *)line)[x / 8] >> (7 - x % 8) & 1;
}

/* AND 1, XOR 0 lets the picture through; XOR over it inverts it, for which black stands here. */
static uint32_t mask_dot(const uint32_t *and_line, const uint32_t *xor_line, uint32_t x, uint32_t and_depth,
                         uint32_t xor_depth)
{
    bool through = and_depth == 1 ? mask_bit(and_line, x) : and_line[x] & 0xffffff;
    uint32_t colour = xor_depth == 1 ? (mask_bit(xor_line, x) ? 0xffffff : 0) : le32toh(xor_line[x]) & 0xffffff;
    if (through)
        return colour ? BLACK : 0;
    return BLACK | colour;
}

/* a: number, hot spot, size, depths of both masks; then these, in lines of whole words. */
void svga_cursor_masks(struct device *d, const uint32_t *a)
{
    uint32_t width = a[3], height = a[4], and_depth = a[5], xor_depth = a[6];
    if ((and_depth != 1 && and_depth != 32) || (xor_depth != 1 && xor_depth != 32)) {
        dev_log(d, "a cursor of masks of %u and %u bits a dot; 1 and 32 are known", and_depth, xor_depth);
        return;
    }
    uint32_t and_words = (width * and_depth + 31) / 32, xor_words = (width * xor_depth + 31) / 32;
    const uint32_t *and_line = a + 7, *xor_line = and_line + (size_t)and_words * height;
    uint32_t *to = begin_shape(d->state, a);
    for (uint32_t y = 0; y < height; y++, and_line += and_words, xor_line += xor_words)
        for (uint32_t x = 0; x < width; x++)
            *to++ = mask_dot(and_line, xor_line, x, and_depth, xor_depth);
}

/* ---- where it is ---- */

static void take_place(struct svga *s)
{
    struct svga_cursor *c = &s->cursor;
    uint32_t count = svga_fifo_get(s, FIFO_CURSOR_COUNT);
    if (!s->config_done || !svga_fifo_has(s, FIFO_CURSOR_SCREEN) || count == c->count)
        return;
    c->count = count;
    c->on = svga_fifo_get(s, FIFO_CURSOR_ON);
    c->x = svga_fifo_get(s, FIFO_CURSOR_X);
    c->y = svga_fifo_get(s, FIFO_CURSOR_Y);
    c->screen = svga_fifo_get(s, FIFO_CURSOR_SCREEN);
}

static void tell(struct svga *s, unsigned output, bool visible)
{
    const struct svga_cursor *c = &s->cursor;
    struct svga_shown *w = &s->shown[output];
    if (w->told == visible && (!visible || w->serial == c->serial))
        return;
    w->told = visible;
    w->serial = c->serial;
    if (visible)
        display_cursor(s->display[output], c->hot_x, c->hot_y, c->width, c->height, c->argb);
    else
        display_cursor(s->display[output], 0, 0, 0, 0, NULL);
}

/* ---- in the picture ---- */

static uint32_t blend(uint32_t under, uint32_t over)
{
    uint32_t clear = 255 - (over >> 24), out = 0;
    for (unsigned shift = 0; shift < 24; shift += 8) {
        uint32_t v = (over >> shift & 0xff) + ((under >> shift & 0xff) * clear + 127) / 255; /* premultiplied */
        out |= MIN(v, 255) << shift;
    }
    return out;
}

/* Its upper left corner on an output; false: it is on another. */
static bool place_on(const struct svga *s, unsigned output, const struct svga_screen *on, int64_t *x, int64_t *y)
{
    const struct svga_cursor *c = &s->cursor;
    bool relative = c->screen != SVGA_NONE;
    *x = (int64_t)c->x - c->hot_x - (on && !relative ? on->x : 0);
    *y = (int64_t)c->y - c->hot_y - (on && !relative ? on->y : 0);
    return !relative || c->screen == output;
}

static void draw(struct svga *s, unsigned output, const struct svga_screen *on, struct surface *to)
{
    const struct svga_cursor *c = &s->cursor;
    struct svga_shown *w = &s->shown[output];
    int64_t x, y;
    if (!place_on(s, output, on, &x, &y))
        return;
    int64_t left = MAX(x, 0), top = MAX(y, 0), right = MIN(x + c->width, to->width),
            bottom = MIN(y + c->height, to->height);
    if (left >= right || top >= bottom)
        return;
    for (int64_t line = top; line < bottom; line++) {
        uint32_t *dots = to->pixels + line * (to->stride / 4);
        const uint32_t *shape = c->argb + (line - y) * c->width;
        for (int64_t i = left; i < right; i++)
            dots[i] = blend(dots[i], shape[i - x]);
    }
    w->drawn = (struct svga_rect){left, top, right - left, bottom - top};
    display_damage(s->display[output], left, top, right - left, bottom - top);
}

void svga_cursor_lift(struct svga *s, unsigned output, struct svga_screen *under)
{
    struct svga_rect r = s->shown[output].drawn;
    take_place(s);
    s->shown[output].drawn.width = 0;
    if (!r.width)
        return;
    if (!under)
        svga_update_rect(s, r);
    else if (r.x < under->width && r.y < under->height)
        svga_mark(under, r.x, r.y, MIN(r.width, under->width - r.x), MIN(r.height, under->height - r.y));
}

void svga_cursor_show(struct device *d, unsigned output, const struct svga_screen *on, struct surface *to)
{
    struct svga *s = d->state;
    bool dark = on && (on->blank || !on->active);
    bool there = s->cursor.on && s->cursor.argb && !dark, follows = display_pointer_follows(s->display[output]);
    tell(s, output, there && follows);
    if (there && !follows)
        draw(s, output, on, to);
}

void svga_cursor_gone(struct svga *s, unsigned output)
{
    s->shown[output].drawn.width = 0;
    tell(s, output, false);
}

/* ---- sync ---- */

bool svga_cursor_sync(struct svga *s, struct stream *stream)
{
    struct svga_cursor *c = &s->cursor;
    uint32_t x = c->x, y = c->y;
    bool defined = c->argb;
    stream_bool(stream, &c->on);
    stream_u32(stream, &x);
    stream_u32(stream, &y);
    stream_u32(stream, &c->screen);
    stream_u32(stream, &c->count);
    stream_check_u32(stream, &c->hot_x, SVGA_CURSOR_SIDE);
    stream_check_u32(stream, &c->hot_y, SVGA_CURSOR_SIDE);
    stream_check_u32(stream, &c->width, SVGA_CURSOR_SIDE);
    stream_check_u32(stream, &c->height, SVGA_CURSOR_SIDE);
    stream_bool(stream, &defined);
    if (stream->loading) {
        c->x = x;
        c->y = y;
        c->serial++;
        g_free(c->argb);
        c->argb = defined ? g_new0(uint32_t, MAX((size_t)c->width * c->height, 1)) : NULL;
    }
    for (size_t i = 0; c->argb && i < (size_t)c->width * c->height; i++)
        stream_u32(stream, &c->argb[i]);
    return stream_ok(stream);
}
