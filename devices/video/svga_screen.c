// SPDX-License-Identifier: GPL-2.0-or-later
/* svga_screen.c - screen objects of a VMware SVGA II, and blits between them and the guest's memory.
 * Spec: VMware's svga_reg.h, DEFINE_SCREEN to BLIT_SCREEN_TO_GMRFB.  Screens need a place in video RAM (SCREEN_OBJECT_2). */
#include "devices/video/svga.h"

/* Words of a DEFINE_SCREEN. */
enum { IN_ID = 1, IN_FLAGS, IN_WIDTH, IN_HEIGHT, IN_X, IN_Y, IN_GMR, IN_OFFSET, IN_PITCH, IN_WORDS };
enum { FLAG_DEACTIVATE = 8, FLAG_BLANKING = 16 };

void svga_screens_forget(struct svga *s)
{
    memset(s->screen, 0, sizeof s->screen);
}

bool svga_has_screens(const struct svga *s)
{
    for (unsigned i = 0; i < SVGA_SCREENS; i++)
        if (s->screen[i].defined)
            return true;
    return false;
}

static bool has_place(const struct svga *s, const struct svga_screen *n)
{
    uint64_t end = (uint64_t)n->pitch * (n->height - 1) + (uint64_t)n->width * 4 + n->offset;
    return !(n->offset & 3) && !(n->pitch & 3) && n->pitch >= (uint64_t)n->width * 4 && end <= s->vga.vram_bytes;
}

static bool is_good(const struct svga *s, const struct svga_screen *n)
{
    bool size = n->width && n->height && n->width <= SVGA_MAX_SIDE && n->height <= SVGA_MAX_SIDE;
    return size && (!n->active || has_place(s, n));
}

/* All that are defined, with n instead of the one of its number, would fit into video RAM side by side: so much memory of the host, too, may a
 * guest have for pictures. */
static bool all_fit(const struct svga *s, unsigned id, const struct svga_screen *n)
{
    uint64_t bytes = (uint64_t)n->width * n->height * 4;
    for (unsigned i = 0; i < SVGA_SCREENS; i++)
        if (i != id && s->screen[i].defined)
            bytes += (uint64_t)s->screen[i].width * s->screen[i].height * 4;
    return bytes <= s->vga.vram_bytes;
}

static void blacken(struct svga *s, const struct svga_screen *n)
{
    for (uint32_t y = 0; y < n->height; y++)
        memset(s->vga.vram + n->offset + (size_t)y * n->pitch, 0, (size_t)n->width * 4);
    s->work += svga_lines_work(n->height, (uint64_t)n->width * 4);
}

static bool same_place(const struct svga_screen *a, const struct svga_screen *b)
{
    return a->active && a->width == b->width && a->height == b->height && a->offset == b->offset &&
           a->pitch == b->pitch;
}

void svga_screen_define(struct device *d, const uint32_t *a, uint32_t words)
{
    struct svga *s = d->state;
    struct svga_screen n = {.defined = true, .redraw = true};
    bool whole = words >= IN_WORDS;
    if (words < IN_GMR || a[IN_ID] >= SVGA_SCREENS) {
        dev_log(d, "a screen was defined that there cannot be");
        return;
    }
    n.active = !(a[IN_FLAGS] & FLAG_DEACTIVATE);
    n.blank = a[IN_FLAGS] & FLAG_BLANKING;
    n.width = a[IN_WIDTH];
    n.height = a[IN_HEIGHT];
    n.x = a[IN_X];
    n.y = a[IN_Y];
    if (n.active && whole) {
        n.offset = a[IN_OFFSET];
        n.pitch = a[IN_PITCH];
    }
    if (!is_good(s, &n) || !all_fit(s, a[IN_ID], &n) || (n.active && (!whole || a[IN_GMR] != SVGA_FRAMEBUFFER))) {
        dev_log(d, "screen %u of %ux%u has no place in video memory", a[IN_ID], n.width, n.height);
        return;
    }
    if (n.active && !same_place(&s->screen[a[IN_ID]], &n))
        blacken(s, &n);
    s->screen[a[IN_ID]] = n;
}

/* It is dark then, also the first: the GFB is its picture only for those who set it up by registers. */
void svga_screen_destroy(struct device *d, uint32_t id)
{
    struct svga *s = d->state;
    if (id < SVGA_SCREENS && (s->screen[id].defined || !id))
        s->screen[id] = (struct svga_screen){.blank = true};
}

/* ---- blits ---- */

void svga_gmrfb_define(struct device *d, const uint32_t *a)
{
    struct svga *s = d->state;
    uint32_t bpp = a[3] & 0xff, depth = a[3] >> 8 & 0xff;
    s->gmrfb = (struct svga_image){a[0], a[1], a[2], bpp == 16 && depth == 15 ? 15 : bpp};
    if (bpp != 16 && bpp != 24 && bpp != 32) {
        dev_log(d, "pictures of %u bits a dot are not known", bpp);
        s->gmrfb.bpp = 0;
    }
}

/* A blit after clipping: from (x, y) of the GMRFB to or from box of the screen. */
struct blit {
    struct svga_screen *screen;
    uint32_t x, y;
    struct svga_rect box;
};

/* Cuts [*from, *to) down to [0, size), and moves *other with its beginning; false: nothing is left. */
static bool cut(int64_t *from, int64_t *to, int64_t *other, int64_t size)
{
    int64_t skip = MAX(MAX(-*from, -*other), 0);
    *from += skip;
    *other += skip;
    *to = MIN(*to, size);
    return *from < *to;
}

/* a: a point of the GMRFB, a rectangle of the screen, its number; signed. */
static bool clip(struct device *d, const uint32_t *a, struct blit *b)
{
    struct svga *s = d->state;
    struct svga_screen *n = a[6] < SVGA_SCREENS ? &s->screen[a[6]] : NULL;
    if (!n || !n->defined || !n->active || !s->gmrfb.bpp) {
        dev_log(d, "a blit to or from screen %u, which there is not, or from nowhere", a[6]);
        return false;
    }
    int64_t x = (int32_t)a[0], y = (int32_t)a[1], left = (int32_t)a[2], top = (int32_t)a[3], right = (int32_t)a[4],
            bottom = (int32_t)a[5];
    if (!cut(&left, &right, &x, n->width) || !cut(&top, &bottom, &y, n->height))
        return false;
    *b = (struct blit){n, x, y, {left, top, right - left, bottom - top}};
    s->work += svga_lines_work(b->box.height, (uint64_t)b->box.width * 4);
    return true;
}

static uint8_t *screen_at(struct svga *s, const struct blit *b, uint32_t row)
{
    return s->vga.vram + b->screen->offset + (size_t)(b->box.y + row) * b->screen->pitch + (size_t)b->box.x * 4;
}

static uint64_t image_at(const struct svga_image *g, const struct blit *b, uint32_t row)
{
    return g->offset + ((uint64_t)b->y + row) * g->pitch + (uint64_t)b->x * ((g->bpp + 7) / 8);
}

static bool row_to_screen(struct device *d, const struct blit *b, uint32_t row)
{
    struct svga *s = d->state;
    const struct svga_image *g = &s->gmrfb;
    uint8_t *to = screen_at(s, b, row), *through = g->bpp == 32 ? to : s->row;
    if (!svga_gmr_read(d, g->gmr, image_at(g, b, row), through, b->box.width * ((g->bpp + 7) / 8)))
        return false;
    if (through != to)
        vga_linear_line((uint32_t *)to, through, b->box.width, g->bpp, NULL);
    return true;
}

void svga_blit_to_screen(struct device *d, const uint32_t *a)
{
    struct blit b;
    if (!clip(d, a, &b))
        return;
    uint32_t row = 0;
    while (row < b.box.height && row_to_screen(d, &b, row))
        row++;
    if (row < b.box.height)
        dev_log(d, "a blit from where region %u ends", ((struct svga *)d->state)->gmrfb.gmr);
    svga_mark(b.screen, b.box.x, b.box.y, b.box.width, row);
}

void svga_blit_from_screen(struct device *d, const uint32_t *a)
{
    struct svga *s = d->state;
    struct blit b;
    if (!clip(d, a, &b))
        return;
    if (s->gmrfb.bpp != 32) {
        dev_log(d, "a blit from the screen to a picture of %u bits a dot; only 32 is known", s->gmrfb.bpp);
        return;
    }
    for (uint32_t row = 0; row < b.box.height; row++)
        if (!svga_gmr_write(d, s->gmrfb.gmr, image_at(&s->gmrfb, &b, row), screen_at(s, &b, row), b.box.width * 4)) {
            dev_log(d, "a blit to where region %u ends", s->gmrfb.gmr);
            return;
        }
}

/* ---- sync ---- */

bool svga_screens_sync(struct svga *s, struct stream *stream)
{
    for (unsigned i = 0; i < SVGA_SCREENS; i++) {
        struct svga_screen *n = &s->screen[i];
        uint32_t x = n->x, y = n->y;
        stream_bool(stream, &n->defined);
        stream_bool(stream, &n->active);
        stream_bool(stream, &n->blank);
        stream_u32(stream, &n->width);
        stream_u32(stream, &n->height);
        stream_u32(stream, &n->offset);
        stream_u32(stream, &n->pitch);
        stream_u32(stream, &x);
        stream_u32(stream, &y);
        if (!stream->loading)
            continue;
        n->x = x;
        n->y = y;
        n->redraw = true;
        n->rects = 0;
        if (n->defined && !is_good(s, n))
            return false;
    }
    for (unsigned i = 0; i < SVGA_SCREENS && stream->loading; i++)
        if (s->screen[i].defined && !all_fit(s, i, &s->screen[i]))
            return false;
    stream_u32(stream, &s->gmrfb.gmr);
    stream_u32(stream, &s->gmrfb.offset);
    stream_u32(stream, &s->gmrfb.pitch);
    stream_check_u32(stream, &s->gmrfb.bpp, 32);
    uint32_t bpp = s->gmrfb.bpp;
    return stream_ok(stream) && (!bpp || bpp == 15 || bpp == 16 || bpp == 24 || bpp == 32);
}
