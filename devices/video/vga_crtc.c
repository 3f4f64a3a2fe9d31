// SPDX-License-Identifier: GPL-2.0-or-later
/* vga_crtc.c - from registers to picture geometry, from one scan line to the next, and where the beam is.
 * Spec: IBM VGA XGA Technical Reference (1992), "CRT Controller Registers", "Attribute Controller Registers".
 *
 * Units.  The CRTC counts characters: a memory counter starts at the start address, grows by one per character and by
 * twice the offset register per character row; a row counter says which scan line of the row this is.  The counter becomes
 * an offset in the planes by one of three rotations (byte, word, doubleword mode), and the CGA and Hercules layouts put
 * low bits of the row counter into address bits 13 and 14.
 *
 * The picture is what the monitor gets: 320-dot modes come out 640 wide and 200-line modes 400 high, as on the glass. */
#include "devices/video/vga.h"
#include <string.h>

enum { SEQ0_RUNS = 3 };
enum { SEQ1_8_DOTS = 1, SEQ1_HALF_CLOCK = 8 };
enum { GC5_INTERLEAVE = 0x20, GC5_256 = 0x40, GC6_GRAPHICS = 1 };
enum {
    CRTC_ROW_13 = 1,
    CRTC_ROW_14 = 2,
    CRTC_TWICE_HIGH = 4,
    CRTC_WRAP_15 = 0x20,
    CRTC_BYTES = 0x40,
    CRTC_RUNS = 0x80
};
enum { ATTR_LINE_GRAPHICS = 4, ATTR_BLINK = 8, ATTR_SPLIT_STILL = 0x20, ATTR_FIX_HIGH = 0x80 };
#define FRAME_60_HZ 16666667u /* ns, of modes without CRTC timing */

/* ---- colours ---- */

static uint32_t dac_colour(const struct vga *s, uint8_t index)
{
    const uint8_t *c = s->dac[index & s->dac_mask];
    bool wide = (s->vbe[VBE_ENABLE] & VBE_ENABLED) && (s->vbe[VBE_ENABLE] & VBE_8BIT_DAC);
    uint32_t colour = 0;

    for (unsigned i = 0; i < 3; i++)
        colour = colour << 8 | (wide ? c[i] : (uint8_t)(c[i] << 2 | (c[i] >> 4 & 3)));
    return colour;
}

/* 16 colours go through the attribute controller's palette first. */
static uint8_t palette_index(const struct vga *s, unsigned colour)
{
    unsigned index = s->attr[colour], select = s->attr[ATTR_COLOUR_SELECT];

    if (s->attr[ATTR_MODE] & ATTR_FIX_HIGH)
        index = (index & 0xf) | (select & 3) << 4;
    return index | (select & 0xc) << 4;
}

static void fill_colours(const struct vga *s, struct vga_frame *f)
{
    unsigned planes = s->attr[ATTR_PLANES] & 15;

    if (f->kind == VGA_PACKED || f->kind == VGA_LINEAR)
        for (unsigned i = 0; i < 256; i++)
            f->colours[i] = dac_colour(s, i);
    else
        for (unsigned i = 0; i < 16; i++)
            f->colours[i] = dac_colour(s, palette_index(s, i & planes));
}

/* ---- geometry ---- */

static unsigned crtc_lines(const struct vga *s)
{
    unsigned overflow = s->crtc[CRTC_OVERFLOW];

    return (s->crtc[CRTC_V_DISPLAY] | (overflow & 0x02) << 7 | (overflow & 0x40) << 3) + 1;
}

static unsigned crtc_total_lines(const struct vga *s)
{
    unsigned overflow = s->crtc[CRTC_OVERFLOW];

    return (s->crtc[CRTC_V_TOTAL] | (overflow & 0x01) << 8 | (overflow & 0x20) << 4) + 2;
}

static unsigned crtc_line_compare(const struct vga *s)
{
    return s->crtc[CRTC_LINE_COMPARE] | (s->crtc[CRTC_OVERFLOW] & 0x10) << 4 | (s->crtc[CRTC_MAX_ROW] & 0x40) << 3;
}

static unsigned dots_per_char(const struct vga *s)
{
    bool graphics = s->gc[GC_MISC] & GC6_GRAPHICS;

    return graphics || (s->seq[SEQ_CLOCKING] & SEQ1_8_DOTS) ? 8 : 9;
}

static unsigned pixel_panning(const struct vga *s, unsigned dots)
{
    unsigned n = s->attr[ATTR_PANNING];

    if (dots == 9)
        return n < 8 ? n + 1 : 0;
    return n & 7;
}

static unsigned kind_of_mode(const struct vga *s)
{
    if ((s->seq[SEQ_RESET] & SEQ0_RUNS) != SEQ0_RUNS || !(s->crtc[CRTC_MODE] & CRTC_RUNS))
        return VGA_BLANK; /* in reset, or without retrace */
    if (!(s->gc[GC_MISC] & GC6_GRAPHICS))
        return VGA_TEXT;
    if (s->gc[GC_MODE] & GC5_256)
        return VGA_PACKED;
    return s->gc[GC_MODE] & GC5_INTERLEAVE ? VGA_CGA : VGA_PLANAR;
}

/* Font number of the sequencer (bits 0, 1 and a high bit) -> offset in plane 2. */
static uint32_t font_offset(unsigned low, unsigned high)
{
    return low * 0x4000 + high * 0x2000;
}

static void text_frame(const struct vga *s, struct vga_frame *f)
{
    unsigned fonts = s->seq[SEQ_FONTS];

    f->font[0] = font_offset(fonts & 3, fonts >> 4 & 1);
    f->font[1] = font_offset(fonts >> 2 & 3, fonts >> 5 & 1);
    f->blink = !!(s->attr[ATTR_MODE] & ATTR_BLINK);
    f->line_graphics = !!(s->attr[ATTR_MODE] & ATTR_LINE_GRAPHICS);
    f->underline = s->crtc[CRTC_UNDERLINE] & 0x1f;
}

/* ---- blanking ---- */

/* From where the counter reaches `start` until its low bits (mask) equal `end`, perhaps on the next line or picture, that is
 * from `total` on.  What of it lies in the shown part: from 0 to *early, and from late[0] to late[1]. */
static void blank_span(unsigned start, unsigned end, unsigned mask, unsigned total, unsigned shown, uint32_t *early,
                       uint32_t late[2])
{
    unsigned length = (end - start) & mask, stop = start + (length ? length : mask + 1);

    *early = 0;
    late[0] = late[1] = shown;
    if (start >= total)
        return; /* the counter does not get there */
    if (stop > total) {
        *early = MIN(end & mask, shown);
        stop = total;
    }
    if (start < shown) {
        late[0] = start;
        late[1] = MIN(stop, shown);
    }
}

/* Blanking normally lies outside of what is shown; programs that put it inside hide a part of the picture with it. */
static void crtc_blanking(const struct vga *s, struct vga_frame *f)
{
    const uint8_t *crtc = s->crtc;
    unsigned overflow = crtc[CRTC_OVERFLOW], twice = crtc[CRTC_MODE] & CRTC_TWICE_HIGH ? 2 : 1;
    unsigned column_end = (crtc[CRTC_H_BLANK_END] & 0x1f) | (crtc[CRTC_H_RETRACE_END] & 0x80) >> 2;
    unsigned line = crtc[CRTC_V_BLANK_START] | (overflow & 0x08) << 5 | (crtc[CRTC_MAX_ROW] & 0x20) << 4;
    unsigned cell = f->dots * f->zoom;

    blank_span(crtc[CRTC_H_BLANK_START], column_end, 0x3f, crtc[CRTC_H_TOTAL] + 5, f->chars, &f->blank_left,
               f->blank_columns);
    blank_span(line + 1, crtc[CRTC_V_BLANK_END] + 1, 0xff, crtc_total_lines(s), f->height / twice, &f->blank_top,
               f->blank_lines);
    f->blank_left *= cell;
    f->blank_top *= twice;
    for (unsigned i = 0; i < 2; i++) {
        f->blank_columns[i] *= cell;
        f->blank_lines[i] *= twice;
    }
}

/* ---- frames ---- */

static void crtc_frame(const struct vga *s, struct vga_frame *f)
{
    unsigned mode = s->crtc[CRTC_MODE], twice = mode & CRTC_TWICE_HIGH ? 2 : 1;

    f->kind = kind_of_mode(s);
    f->chars = s->crtc[CRTC_H_DISPLAY] + 1;
    f->dots = dots_per_char(s);
    f->zoom = s->seq[SEQ_CLOCKING] & SEQ1_HALF_CLOCK ? 2 : 1;
    f->width = f->chars * f->dots * f->zoom;
    f->height = MIN(crtc_lines(s) * twice, VGA_MAX_LINES);
    f->start = s->crtc[CRTC_START_HIGH] << 8 | s->crtc[CRTC_START_LOW];
    f->row_step = s->crtc[CRTC_OFFSET] * 2;
    f->rows = (s->crtc[CRTC_MAX_ROW] & 0x1f) + 1;
    f->double_scan = s->crtc[CRTC_MAX_ROW] >> 7;
    f->preset = MIN(s->crtc[CRTC_PRESET_ROW] & 0x1fu, f->rows - 1);
    f->line_compare = crtc_line_compare(s) * twice;
    f->pan = pixel_panning(s, f->dots) + (s->crtc[CRTC_PRESET_ROW] >> 5 & 3) * f->dots;
    f->split_pan = s->attr[ATTR_MODE] & ATTR_SPLIT_STILL ? 0 : f->pan;
    f->counter_mask = f->plane_mask = 0xffff;
    f->shift = s->crtc[CRTC_UNDERLINE] & 0x40 ? 2 : mode & CRTC_BYTES ? 0 : 1;
    f->wrap_bit = mode & CRTC_WRAP_15 ? 15 : 13;
    f->row_bit_13 = !(mode & CRTC_ROW_13);
    f->row_bit_14 = !(mode & CRTC_ROW_14);
    crtc_blanking(s, f);
    if (f->kind == VGA_TEXT)
        text_frame(s, f);
}

/* Four planes, but the geometry of the display interface. */
static void vbe_planar_frame(const struct vga *s, struct vga_frame *f)
{
    const uint16_t *vbe = s->vbe;

    f->kind = VGA_PLANAR;
    f->chars = vbe[VBE_XRES] / 8;
    f->dots = 8;
    f->zoom = f->rows = 1;
    f->width = f->chars * 8;
    f->height = vbe[VBE_YRES];
    f->row_step = vbe[VBE_VIRT_WIDTH] / 8;
    f->start = vbe[VBE_Y_OFFSET] * f->row_step + vbe[VBE_X_OFFSET] / 8;
    f->pan = vbe[VBE_X_OFFSET] & 7;
    f->line_compare = UINT32_MAX;
    f->counter_mask = f->plane_mask = s->vram_bytes / 4 - 1;
}

static void vbe_linear_frame(const struct vga *s, struct vga_frame *f)
{
    const uint16_t *vbe = s->vbe;
    uint64_t bytes = (vbe[VBE_BPP] + 7u) / 8, start, end;

    f->kind = VGA_LINEAR;
    f->bpp = vbe[VBE_BPP];
    f->width = vbe[VBE_XRES];
    f->height = vbe[VBE_YRES];
    f->stride = vbe[VBE_VIRT_WIDTH] * bytes;
    start = (uint64_t)vbe[VBE_Y_OFFSET] * f->stride + vbe[VBE_X_OFFSET] * bytes;
    end = (f->height - 1) * (uint64_t)f->stride + f->width * bytes;
    if (end > s->vram_bytes) /* more than there is: nothing can be shown */
        f->kind = VGA_BLANK;
    else if (start + end <= s->vram_bytes)
        f->start = start;
}

void vga_frame_now(struct device *d, struct vga_frame *f)
{
    const struct vga *s = d->state;

    memset(f, 0, sizeof *f);
    if (!(s->vbe[VBE_ENABLE] & VBE_ENABLED))
        crtc_frame(s, f);
    else if (s->vbe[VBE_BPP] == 4)
        vbe_planar_frame(s, f);
    else
        vbe_linear_frame(s, f);
    fill_colours(s, f);
}

/* ---- scan lines ---- */

void vga_scan_first(const struct vga_frame *f, struct vga_scan *n)
{
    *n = (struct vga_scan){.counter = f->start, .row = f->preset, .pan = f->pan};
}

void vga_scan_next(const struct vga_frame *f, struct vga_scan *n)
{
    if (n->y++ == f->line_compare) {
        n->counter = n->row = n->half = 0;
        n->pan = f->split_pan;
        return;
    }
    if (f->double_scan && !n->half) {
        n->half = 1;
        return;
    }
    n->half = 0;
    if (++n->row < f->rows)
        return;
    n->row = 0;
    n->counter = (n->counter + f->row_step) & f->counter_mask;
}

uint32_t vga_address(const struct vga_frame *f, uint32_t counter, uint32_t row)
{
    uint32_t a = counter & f->counter_mask;

    if (f->shift == 1)
        a = a << 1 | (a >> f->wrap_bit & 1);
    else if (f->shift == 2)
        a = a << 2 | (a >> 12 & 3);
    if (f->row_bit_13)
        a = (a & ~0x2000u) | (row & 1) << 13;
    if (f->row_bit_14)
        a = (a & ~0x4000u) | (row >> 1 & 1) << 14;
    return a & f->plane_mask;
}

/* ---- the beam ---- */

struct timing {
    uint64_t line_ns, display_ns; /* one line; the part of it that is shown */
    unsigned lines, shown, retrace_start, retrace_end;
};

static struct timing crtc_timing(const struct vga *s)
{
    unsigned overflow = s->crtc[CRTC_OVERFLOW], dots = s->seq[SEQ_CLOCKING] & SEQ1_8_DOTS ? 8 : 9;
    uint64_t hz = s->misc & 4 ? 28322000 : 25175000;
    uint64_t char_ps = dots * (s->seq[SEQ_CLOCKING] & SEQ1_HALF_CLOCK ? 2 : 1) * 1000000000000 / hz;
    unsigned start = s->crtc[CRTC_RETRACE_START] | (overflow & 0x04) << 6 | (overflow & 0x80) << 2;
    unsigned length = ((s->crtc[CRTC_RETRACE_END] - start) & 15);

    return (struct timing){
        .line_ns = (s->crtc[CRTC_H_TOTAL] + 5) * char_ps / 1000,
        .display_ns = (s->crtc[CRTC_H_DISPLAY] + 1) * char_ps / 1000,
        .lines = crtc_total_lines(s),
        .shown = crtc_lines(s),
        .retrace_start = start,
        .retrace_end = start + (length ? length : 16),
    };
}

static bool plausible(const struct timing *t)
{
    uint64_t frame = t->lines * t->line_ns;

    return t->shown < t->retrace_start && t->retrace_start < t->lines && t->display_ns < t->line_ns &&
           frame > FRAME_60_HZ / 4 && frame < FRAME_60_HZ * 4;
}

/* Guests wait here for a retrace to begin and to end: both must come whatever was programmed. */
uint8_t vga_status(struct device *d)
{
    enum { NOT_DISPLAYING = 1, RETRACE = 8 };
    static const struct timing standard = {FRAME_60_HZ / 525, FRAME_60_HZ / 525 * 4 / 5, 525, 480, 490, 492};
    const struct vga *s = d->state;
    struct timing t = s->vbe[VBE_ENABLE] & VBE_ENABLED ? standard : crtc_timing(s);
    uint64_t at;
    unsigned line;

    if (!plausible(&t))
        t = standard;
    at = dev_now(d) % (t.line_ns * t.lines);
    line = at / t.line_ns;
    if (line >= t.retrace_start && line < t.retrace_end)
        return NOT_DISPLAYING | RETRACE;
    return line >= t.shown || at % t.line_ns >= t.display_ns ? NOT_DISPLAYING : 0;
}
