// SPDX-License-Identifier: GPL-2.0-or-later
/* vga_draw.c - graphics modes, and the display's refresh.
 *
 * A line is drawn when the pages of video RAM under it were written since last time.  Lines of CRTC modes are put
 * together dot by dot in a line buffer one character longer than the screen, because panning starts in the middle of a
 * character. */
#include "devices/video/vga.h"
#include "core-vmm/base/bytes.h"

#define SETTLE_NS                                                                                                      \
    20000000u /* a screen is dark for at least this long before it is shown black: no flicker on mode sets */
enum { DEFAULT_WIDTH = 720, DEFAULT_HEIGHT = 400 };

bool vga_is_dirty(const struct vga *s, uint32_t offset, uint32_t bytes)
{
    for (uint32_t page = offset >> 12; page <= (offset + bytes - 1) >> 12; page++)
        if (s->dirty[page >> 6] >> (page & 63) & 1)
            return true;
    return false;
}

/* ---- linear modes ---- */

static void line_8(uint32_t *to, const uint8_t *from, uint32_t n, const uint32_t *colours)
{
    for (uint32_t i = 0; i < n; i++)
        to[i] = colours[from[i]];
}

static void line_15(uint32_t *to, const uint8_t *from, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t v = get_le16(from + 2 * i), c = (v & 0x7c00) << 9 | (v & 0x3e0) << 6 | (v & 0x1f) << 3;
        to[i] = c | (c >> 5 & 0x070707);
    }
}

static void line_16(uint32_t *to, const uint8_t *from, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t v = get_le16(from + 2 * i), red_blue = (v & 0xf800) << 8 | (v & 0x1f) << 3, green = (v & 0x7e0) << 5;
        to[i] = red_blue | (red_blue >> 5 & 0x070007) | green | (green >> 6 & 0x300);
    }
}

static void line_24(uint32_t *to, const uint8_t *from, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        to[i] = from[3 * i] | from[3 * i + 1] << 8 | from[3 * i + 2] << 16;
}

void vga_linear_line(uint32_t *to, const uint8_t *from, uint32_t n, unsigned bpp, const uint32_t colours[256])
{
    switch (bpp) {
    case 8: line_8(to, from, n, colours); break;
    case 15: line_15(to, from, n); break;
    case 16: line_16(to, from, n); break;
    case 24: line_24(to, from, n); break;
    default: memcpy(to, from, 4 * n); break;
    }
}

/* ---- modes of the CRTC: 8 dots per character from one word of four planes ---- */

static void dots_planar(const struct vga *s, const struct vga_frame *f, uint32_t *to, uint32_t word)
{
    uint32_t dots = s->spread[word & 0xff] | s->spread[word >> 8 & 0xff] << 1 | s->spread[word >> 16 & 0xff] << 2 |
                    s->spread[word >> 24] << 3;

    for (unsigned i = 0; i < 8; i++)
        to[i] = f->colours[dots >> (28 - 4 * i) & 15];
}

/* Two bits of an even plane (first four dots) or odd plane, with two more from the plane above it. */
static void dots_cga(const struct vga_frame *f, uint32_t *to, uint32_t word)
{
    for (unsigned i = 0; i < 8; i++) {
        unsigned low = word >> (i < 4 ? 0 : 8), bits = 6 - 2 * (i & 3);
        to[i] = f->colours[(low >> bits & 3) | (low >> 16 >> bits & 3) << 2];
    }
}

static void dots_packed(const struct vga_frame *f, uint32_t *to, uint32_t word)
{
    for (unsigned i = 0; i < 4; i++)
        to[2 * i] = to[2 * i + 1] = f->colours[word >> (8 * i) & 0xff];
}

static void draw_char(const struct vga *s, const struct vga_frame *f, uint32_t *to, uint32_t word)
{
    switch (f->kind) {
    case VGA_PLANAR: dots_planar(s, f, to, word); break;
    case VGA_CGA: dots_cga(f, to, word); break;
    default: dots_packed(f, to, word); break;
    }
}

static void draw_planes_line(const struct vga *s, const struct vga_frame *f, const struct vga_scan *n, uint32_t *to)
{
    const uint32_t *words = (const uint32_t *)s->vram;
    uint32_t counter = n->counter + n->pan / 8;
    const uint32_t *from = s->line + n->pan % 8;

    for (unsigned i = 0; i <= f->chars; i++)
        draw_char(s, f, s->line + 8 * i, words[vga_address(f, counter + i, n->row)]);
    if (f->zoom == 1)
        memcpy(to, from, 4 * f->width);
    else
        for (uint32_t x = 0; x < f->width; x++)
            to[x] = from[x / 2];
}

/* Bytes of video RAM under a line; a line that wraps round or is scattered counts as all of the VGA's memory. */
static bool planes_line_dirty(const struct vga *s, const struct vga_frame *f, const struct vga_scan *n)
{
    uint32_t counter = n->counter + n->pan / 8, chars = f->chars + 1;
    uint32_t first = vga_address(f, counter, n->row), last = vga_address(f, counter + chars - 1, n->row);

    if (last < first || last - first != (chars - 1) << f->shift)
        return vga_is_dirty(s, 0, (f->plane_mask + 1) * 4);
    return vga_is_dirty(s, first * 4, (last - first + 1) * 4);
}

/* ---- both ---- */

static bool draw_line(const struct vga *s, const struct vga_frame *f, const struct vga_scan *n, uint32_t *to,
                      bool everything)
{
    if (f->kind == VGA_LINEAR) {
        uint32_t offset = f->start + n->y * f->stride;
        if (!everything && !vga_is_dirty(s, offset, f->width * ((f->bpp + 7) / 8)))
            return false;
        vga_linear_line(to, s->vram + offset, f->width, f->bpp, f->colours);
        return true;
    }
    if (!everything && !planes_line_dirty(s, f, n))
        return false;
    draw_planes_line(s, f, n, to);
    return true;
}

static void draw_graphics(const struct vga *s, const struct vga_frame *f, struct surface *to, bool everything)
{
    uint32_t first = 0, count = 0; /* the band of changed lines */
    struct vga_scan n;

    for (vga_scan_first(f, &n); n.y < f->height; vga_scan_next(f, &n)) {
        if (draw_line(s, f, &n, to->pixels + (size_t)n.y * (to->stride / 4), everything)) {
            first = count ? first : n.y;
            count = n.y - first + 1;
        } else if (count) {
            display_damage(s->display, 0, first, f->width, count);
            count = 0;
        }
    }
    if (count)
        display_damage(s->display, 0, first, f->width, count);
}

static void blacken(const struct surface *to, uint32_t left, uint32_t right, uint32_t top, uint32_t bottom)
{
    for (uint32_t y = top; left < right && y < bottom; y++)
        memset(to->pixels + (size_t)y * (to->stride / 4) + left, 0, 4 * (right - left));
}

/* What the CRTC blanks was drawn like the rest; only what was drawn has changed. */
static void blank_parts(const struct vga_frame *f, const struct surface *to)
{
    blacken(to, 0, f->blank_left, 0, f->height);
    blacken(to, f->blank_columns[0], f->blank_columns[1], 0, f->height);
    blacken(to, 0, f->width, 0, f->blank_top);
    blacken(to, 0, f->width, f->blank_lines[0], f->blank_lines[1]);
}

static void draw_blank(const struct vga *s, const struct vga_frame *f, struct surface *to, bool everything)
{
    if (!everything)
        return;
    for (uint32_t y = 0; y < f->height; y++)
        memset(to->pixels + (size_t)y * (to->stride / 4), 0, 4 * f->width);
    display_damage(s->display, 0, 0, f->width, f->height);
}

/* A dark screen keeps its size.  Returns false while it may still be a mode set in progress: what was drawn stays. */
static bool darken(struct device *d, struct vga_frame *f)
{
    const struct vga *s = d->state;
    bool dark = s->dark_since != DEV_NEVER;

    if (dark && s->frame.width && dev_now(d) - s->dark_since < SETTLE_NS && dev_now(d) >= s->dark_since)
        return false;
    if (!dark && f->kind != VGA_BLANK)
        return true;
    memset(f, 0, sizeof *f);
    f->width = s->frame.width ? s->frame.width : DEFAULT_WIDTH;
    f->height = s->frame.height ? s->frame.height : DEFAULT_HEIGHT;
    return true;
}

void vga_show(struct device *d, const struct vga_frame *f, bool log, bool everything)
{
    struct vga *s = d->state;
    struct surface *to = display_mode(s->display, f->width, f->height);

    if (!to)
        return;
    everything |= s->redraw || to->generation != s->generation || memcmp(f, &s->frame, sizeof *f) != 0;
    if (log)
        dev_memory_dirty(d, VGA_LFB, s->dirty);
    if (f->kind == VGA_TEXT)
        vga_draw_text(d, f, to, everything);
    else if (f->kind == VGA_BLANK)
        draw_blank(s, f, to, everything);
    else
        draw_graphics(s, f, to, everything);
    blank_parts(f, to);
    memset(s->dirty, 0, s->vram_bytes / 4096 / 8);
    memcpy(&s->frame, f, sizeof *f);
    s->generation = to->generation;
    s->redraw = false;
}

void vga_refresh(struct device *d, unsigned output, bool everything)
{
    struct vga_frame f;

    vga_frame_now(d, &f);
    if (darken(d, &f))
        vga_show(d, &f, true, everything);
}
