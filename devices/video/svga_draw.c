// SPDX-License-Identifier: GPL-2.0-or-later
/* svga_draw.c - the picture of a VMware SVGA II.
 *
 * Screens are drawn by the rectangles that blits have marked; nothing is searched.  Without screens the GFB is shown: what the guest has named in
 * UPDATE commands, and if it wants traces, or its FIFO is off, also what it wrote without a word, which the engine's dirty log tells. */
#include "devices/video/svga.h"

/* ---- what has changed ---- */

static bool covers(const struct svga_rect *a, const struct svga_rect *b)
{
    return b->x >= a->x && b->y >= a->y && b->x + b->width <= a->x + a->width && b->y + b->height <= a->y + a->height;
}

static void join(struct svga_rect *a, const struct svga_rect *b)
{
    uint32_t right = MAX(a->x + a->width, b->x + b->width), bottom = MAX(a->y + a->height, b->y + b->height);
    a->x = MIN(a->x, b->x);
    a->y = MIN(a->y, b->y);
    a->width = right - a->x;
    a->height = bottom - a->y;
}

void svga_mark(struct svga_screen *n, uint32_t x, uint32_t y, uint32_t width, uint32_t height)
{
    struct svga_rect r = {x, y, width, height};
    if (!width || !height)
        return;
    for (unsigned i = 0; i < n->rects; i++)
        if (covers(&n->rect[i], &r))
            return;
    if (n->rects < SVGA_RECTS) {
        n->rect[n->rects++] = r;
        return;
    }
    for (unsigned i = 0; i < SVGA_RECTS; i++)
        join(&r, &n->rect[i]);
    n->rect[0] = r;
    n->rects = 1;
}

/* ---- the GFB ---- */

static unsigned dot_bytes(const struct svga *s)
{
    return (s->bpp + 7) / 8;
}

/* How much of a rectangle lies in the GFB, which ends with the video RAM. */
static bool in_gfb(const struct svga *s, struct svga_rect *r)
{
    uint64_t pitch = svga_pitch(s), lines = MIN(s->height, s->vga.vram_bytes / pitch), dots = pitch / dot_bytes(s);
    uint32_t width = MIN(s->width, dots);
    if (r->x >= width || r->y >= lines || !r->width || !r->height)
        return false;
    r->width = MIN(r->width, width - r->x);
    r->height = MIN(r->height, lines - r->y);
    return true;
}

/* The part of it that a screen shows is copied there. */
static void update_screen(struct svga *s, struct svga_screen *n, const struct svga_rect *r)
{
    int64_t left = MAX((int64_t)r->x, n->x), top = MAX((int64_t)r->y, n->y),
            right = MIN((int64_t)r->x + r->width, (int64_t)n->x + n->width),
            bottom = MIN((int64_t)r->y + r->height, (int64_t)n->y + n->height);
    if (!n->active || left >= right || top >= bottom)
        return;
    for (int64_t y = top; y < bottom; y++) {
        const uint8_t *from = s->vga.vram + (size_t)y * svga_pitch(s) + (size_t)left * dot_bytes(s);
        uint8_t *to = s->vga.vram + n->offset + (size_t)(y - n->y) * n->pitch + (size_t)(left - n->x) * 4;
        memcpy(s->row, from, (size_t)(right - left) * dot_bytes(s)); /* they may be the same memory */
        vga_linear_line((uint32_t *)to, s->row, right - left, s->bpp, NULL);
    }
    s->work += svga_lines_work(bottom - top, (right - left) * 4);
    svga_mark(n, left - n->x, top - n->y, right - left, bottom - top);
}

static void changed(struct svga *s, const struct svga_rect *r)
{
    bool screens = false;
    for (unsigned i = 0; i < SVGA_SCREENS; i++)
        if (s->screen[i].defined) {
            screens = true;
            update_screen(s, &s->screen[i], r);
        }
    if (screens)
        return;
    for (uint32_t y = r->y; y < r->y + r->height; y++)
        vga_touch(&s->vga, y * svga_pitch(s) + r->x * dot_bytes(s), r->width * dot_bytes(s));
    s->work += svga_lines_work(r->height, 0);
}

void svga_update_rect(struct svga *s, struct svga_rect r)
{
    if (in_gfb(s, &r))
        changed(s, &r);
}

void svga_update(struct device *d, const uint32_t *a)
{
    svga_update_rect(d->state, (struct svga_rect){a[0], a[1], a[2], a[3]});
}

/* a: x and y to copy from, x and y to copy to, width, height. */
void svga_copy(struct device *d, const uint32_t *a)
{
    struct svga *s = d->state;
    struct svga_rect from = {a[0], a[1], a[4], a[5]}, to = {a[2], a[3], a[4], a[5]};
    if (!in_gfb(s, &from) || !in_gfb(s, &to))
        return;
    to.width = from.width = MIN(from.width, to.width);
    to.height = from.height = MIN(from.height, to.height);
    size_t pitch = svga_pitch(s), bytes = (size_t)to.width * dot_bytes(s);
    for (uint32_t i = 0; i < to.height; i++) {
        uint32_t row = to.y > from.y ? to.height - 1 - i : i; /* they may overlap */
        memmove(s->vga.vram + (to.y + row) * pitch + to.x * dot_bytes(s),
                s->vga.vram + (from.y + row) * pitch + from.x * dot_bytes(s), bytes);
    }
    s->work += svga_lines_work(to.height, bytes);
    changed(s, &to);
}

static void draw_gfb(struct device *d, bool everything)
{
    struct svga *s = d->state;
    struct vga_frame f;
    memset(&f, 0, sizeof f);
    struct svga_rect all = {0, 0, s->width, s->height};
    if (!in_gfb(s, &all))
        return;
    svga_cursor_lift(s, 0, NULL);
    f.kind = VGA_LINEAR;
    f.width = all.width;
    f.height = all.height;
    f.stride = svga_pitch(s);
    f.bpp = s->bpp;
    vga_show(d, &f, s->traces || !s->config_done, everything);
    struct surface *to = display_mode(s->display[0], f.width, f.height);
    if (to)
        svga_cursor_show(d, 0, NULL, to);
}

/* ---- screens ---- */

static void draw_rect(struct svga *s, unsigned output, const struct svga_screen *n, struct surface *to,
                      const struct svga_rect *r)
{
    for (uint32_t y = r->y; y < r->y + r->height; y++) {
        uint32_t *line = to->pixels + (size_t)y * (to->stride / 4) + r->x;
        if (n->blank || !n->active)
            memset(line, 0, (size_t)r->width * 4);
        else
            memcpy(line, s->vga.vram + n->offset + (size_t)y * n->pitch + (size_t)r->x * 4, (size_t)r->width * 4);
    }
    display_damage(s->display[output], r->x, r->y, r->width, r->height);
}

/* The desktop is what all screens together cover. */
static void tell_place(const struct svga *s, unsigned output)
{
    const struct svga_screen *n = &s->screen[output];
    int64_t left = n->x, top = n->y, right = left + n->width, bottom = top + n->height;
    for (const struct svga_screen *o = s->screen; o < s->screen + SVGA_SCREENS; o++) {
        if (!o->defined || !o->active)
            continue;
        left = MIN(left, o->x);
        top = MIN(top, o->y);
        right = MAX(right, (int64_t)o->x + o->width);
        bottom = MAX(bottom, (int64_t)o->y + o->height);
    }
    display_place(s->display[output], n->x - left, n->y - top, MIN(right - left, UINT32_MAX),
                  MIN(bottom - top, UINT32_MAX));
}

static void draw_screen(struct device *d, unsigned output, bool everything)
{
    struct svga *s = d->state;
    struct svga_screen *n = &s->screen[output];
    struct surface *to = display_mode(s->display[output], n->width, n->height);
    if (!to)
        return;
    svga_cursor_lift(s, output, n);
    if (everything || n->redraw || to->generation != n->generation) {
        n->rect[0] = (struct svga_rect){0, 0, n->width, n->height};
        n->rects = 1;
    }
    for (unsigned i = 0; i < n->rects; i++)
        draw_rect(s, output, n, to, &n->rect[i]);
    n->rects = 0;
    n->redraw = false;
    n->generation = to->generation;
    svga_cursor_show(d, output, n, to);
    tell_place(s, output);
}

/* The picture is that of screens, if of any. */
static bool by_screens(const struct svga *s)
{
    bool destroyed = false;
    for (unsigned i = 0; i < SVGA_SCREENS; i++)
        destroyed = destroyed || s->screen[i].blank;
    return !svga_shows_vga(s) && (destroyed || svga_has_screens(s));
}

void svga_refresh(struct device *d, unsigned output, bool everything)
{
    struct svga *s = d->state;
    svga_fifo_run(d);
    bool screens = by_screens(s);
    display_place(s->display[output], 0, 0, 0, 0);
    if (screens && s->screen[output].defined) {
        draw_screen(d, output, everything);
        if (!output)
            s->vga.redraw = true; /* the surface is not the VGA's any more */
        return;
    }
    if (!output && !screens && !svga_shows_vga(s)) {
        draw_gfb(d, everything);
        return;
    }
    svga_cursor_gone(s, output);
    if (!output && !screens)
        vga_refresh(d, output, everything);
    else
        display_dark(s->display[output], screens);
}
