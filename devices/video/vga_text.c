// SPDX-License-Identifier: GPL-2.0-or-later
/* vga_text.c - text modes: drawing by character cells, and the screen as UTF-8.
 *
 * A cell's character is in plane 0, its attribute in plane 1, the fonts in plane 2 (32 bytes per character).  What is on
 * the screen is remembered per cell, so that a refresh draws only cells that differ.  A band is a character row as it
 * appears on the screen: with smooth scrolling or a split screen some of its scan lines may be missing. */
#include "devices/video/vga.h"
#include <string.h>

#define CURSOR_BLINK_NS 133333333u /* 8 frames on, 8 off; characters blink half as fast */
#define GLYPH_BYTES     32
#define FONT_BYTES      (256 * GLYPH_BYTES)
enum { CURSOR_OFF = 0x20, BLINK_ATTRIBUTE = 0x80, FONT_ATTRIBUTE = 8 };
enum { CELL_CURSOR = 1 << 16, CELL_HIDDEN = 1 << 17, CELL_SHAPE_SHIFT = 18, CELL_NONE = -1 };

struct band {
    uint32_t y, lines, counter, pan;
    uint8_t row[2 * GLYPH_BYTES]; /* of the character, by line */
};

struct cursor {
    bool visible;
    uint32_t counter, shape; /* shape: first row and last row << 5 */
};

/* Takes the lines of one character row from the scan; false: the screen is full. */
static bool next_band(const struct vga_frame *f, struct vga_scan *n, struct band *b)
{
    if (n->y >= f->height)
        return false;
    *b = (struct band){.y = n->y, .counter = n->counter, .pan = n->pan};
    do {
        b->row[b->lines++] = n->row;
        vga_scan_next(f, n);
    } while (n->y < f->height && (n->row || n->half) && b->lines < sizeof b->row);
    return true;
}

/* ---- fonts ---- */

static bool copy_font(const struct vga *s, uint32_t font, uint8_t *to)
{
    bool changed = false;

    for (uint32_t i = 0; i < FONT_BYTES; i++) {
        uint8_t bits = s->vram[(font + i) * 4 + 2];
        changed |= to[i] != bits;
        to[i] = bits;
    }
    return changed;
}

/* Returns whether a glyph changed. */
static bool update_fonts(struct vga *s, const struct vga_frame *f, bool everything)
{
    bool changed = false;

    for (unsigned n = 0; n < 2; n++)
        if (everything || vga_is_dirty(s, f->font[n] * 4, FONT_BYTES * 4))
            changed |= copy_font(s, f->font[n], s->glyphs + n * FONT_BYTES);
    return changed;
}

/* ---- cells ---- */

static struct cursor cursor_now(struct device *d)
{
    const struct vga *s = d->state;
    const uint8_t *crtc = s->crtc;
    unsigned first = crtc[CRTC_CURSOR_START] & 0x1f, last = crtc[CRTC_CURSOR_END] & 0x1f;

    return (struct cursor){
        .visible = !(crtc[CRTC_CURSOR_START] & CURSOR_OFF) && first <= last && !(dev_now(d) / CURSOR_BLINK_NS & 1),
        .counter = (crtc[CRTC_CURSOR_HIGH] << 8 | crtc[CRTC_CURSOR_LOW]) + (crtc[CRTC_CURSOR_END] >> 5 & 3),
        .shape = first | last << 5,
    };
}

/* Everything that decides how a cell looks; equal values look the same. */
static uint32_t cell_value(const struct vga *s, const struct vga_frame *f, const struct cursor *c, uint32_t counter,
                           bool blink_off)
{
    const uint8_t *at = s->vram + (size_t)vga_address(f, counter, 0) * 4;
    uint32_t value = at[0] | at[1] << 8;

    if (blink_off && (at[1] & BLINK_ATTRIBUTE))
        value |= CELL_HIDDEN;
    if (c->visible && (counter & 0xffff) == (c->counter & 0xffff))
        value |= CELL_CURSOR | c->shape << CELL_SHAPE_SHIFT;
    return value;
}

/* The nine dots of one row of a cell, leftmost in bit 8. */
static unsigned cell_dots(const struct vga *s, const struct vga_frame *f, uint32_t value, unsigned row)
{
    unsigned character = value & 0xff, attribute = value >> 8 & 0xff;
    unsigned first = value >> CELL_SHAPE_SHIFT & 0x1f, last = value >> (CELL_SHAPE_SHIFT + 5) & 0x1f;
    const uint8_t *glyph = s->glyphs + (attribute & FONT_ATTRIBUTE ? FONT_BYTES : 0) + character * GLYPH_BYTES;
    unsigned dots = glyph[row % GLYPH_BYTES] << 1;

    if (f->line_graphics && character >= 0xc0 && character <= 0xdf)
        dots |= dots >> 1 & 1;
    if ((attribute & 0x77) == 1 && row == f->underline)
        dots = 0x1ff;
    if (value & CELL_HIDDEN)
        dots = 0;
    if ((value & CELL_CURSOR) && row >= first && row <= last)
        dots = 0x1ff;
    return dots;
}

/* Draws column x of a band; the first and last column may stick out of the screen by the panning. */
static void draw_cell(const struct vga *s, const struct vga_frame *f, const struct band *b, struct surface *to,
                      unsigned x, uint32_t value)
{
    unsigned attribute = value >> 8 & 0xff, cell = f->dots * f->zoom, skip = b->pan % f->dots * f->zoom;
    uint32_t front = f->colours[attribute & 15], back = f->colours[attribute >> 4 & (f->blink ? 7 : 15)];
    unsigned left = x * cell > skip ? x * cell - skip : 0, right = MIN((x + 1) * cell - skip, f->width);

    for (unsigned line = 0; line < b->lines; line++) {
        uint32_t *out = to->pixels + (size_t)(b->y + line) * (to->stride / 4);
        unsigned dots = cell_dots(s, f, value, b->row[line]);
        for (unsigned at = left, dot = left + skip - x * cell; at < right; at++, dot++)
            out[at] = dots >> (8 - (f->zoom == 2 ? dot / 2 : dot)) & 1 ? front : back;
    }
}

/* ---- refresh ---- */

static void draw_band(struct vga *s, const struct vga_frame *f, const struct band *b, const struct cursor *c,
                      bool blink_off, struct surface *to, uint32_t *cells)
{
    uint32_t counter = b->counter + b->pan / f->dots, cell = f->dots * f->zoom;
    unsigned columns = f->chars + (b->pan % f->dots ? 1 : 0), first = columns, last = 0;

    for (unsigned x = 0; x < columns; x++) {
        uint32_t value = cell_value(s, f, c, counter + x, blink_off);
        if (value == cells[x])
            continue;
        cells[x] = value;
        draw_cell(s, f, b, to, x, value);
        first = MIN(first, x);
        last = x;
    }
    if (first < columns) {
        uint32_t left = first ? (first - 1) * cell : 0; /* panning moves cells left by less than one */
        display_damage(s->display, left, b->y, MIN((last + 1) * cell, f->width) - left, b->lines);
    }
}

void vga_draw_text(struct device *d, const struct vga_frame *f, struct surface *to, bool everything)
{
    struct vga *s = d->state;
    struct cursor cursor = cursor_now(d);
    bool blink_off = f->blink && (dev_now(d) / (2 * CURSOR_BLINK_NS) & 1);
    size_t columns = f->chars + 1;
    uint32_t *cells;
    struct vga_scan n;
    struct band b;

    everything |= update_fonts(s, f, everything);
    if (everything) { /* at most one band per line */
        s->cells = g_realloc_n(s->cells, columns * f->height, sizeof *s->cells);
        memset(s->cells, CELL_NONE, columns * f->height * sizeof *s->cells);
    }
    cells = s->cells;
    vga_scan_first(f, &n);
    while (next_band(f, &n, &b)) {
        draw_band(s, f, &b, &cursor, blink_off, to, cells);
        cells += columns;
    }
}

/* ---- text ---- */

/* Code page 437 as the screen shows it: the control characters are pictures too. */
static const uint16_t cp437[256] = {
    ' ',    0x263a, 0x263b, 0x2665, 0x2666, 0x2663, 0x2660, 0x2022, 0x25d8, 0x25cb, 0x25d9, 0x2642, 0x2640, 0x266a,
    0x266b, 0x263c, 0x25ba, 0x25c4, 0x2195, 0x203c, 0x00b6, 0x00a7, 0x25ac, 0x21a8, 0x2191, 0x2193, 0x2192, 0x2190,
    0x221f, 0x2194, 0x25b2, 0x25bc, ' ',    '!',    '"',    '#',    '$',    '%',    '&',    '\'',   '(',    ')',
    '*',    '+',    ',',    '-',    '.',    '/',    '0',    '1',    '2',    '3',    '4',    '5',    '6',    '7',
    '8',    '9',    ':',    ';',    '<',    '=',    '>',    '?',    '@',    'A',    'B',    'C',    'D',    'E',
    'F',    'G',    'H',    'I',    'J',    'K',    'L',    'M',    'N',    'O',    'P',    'Q',    'R',    'S',
    'T',    'U',    'V',    'W',    'X',    'Y',    'Z',    '[',    '\\',   ']',    '^',    '_',    '`',    'a',
    'b',    'c',    'd',    'e',    'f',    'g',    'h',    'i',    'j',    'k',    'l',    'm',    'n',    'o',
    'p',    'q',    'r',    's',    't',    'u',    'v',    'w',    'x',    'y',    'z',    '{',    '|',    '}',
    '~',    0x2302, 0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb, 0x00e8, 0x00ef,
    0x00ee, 0x00ec, 0x00c4, 0x00c5, 0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2, 0x00fb, 0x00f9, 0x00ff, 0x00d6,
    0x00dc, 0x00a2, 0x00a3, 0x00a5, 0x20a7, 0x0192, 0x00e1, 0x00ed, 0x00f3, 0x00fa, 0x00f1, 0x00d1, 0x00aa, 0x00ba,
    0x00bf, 0x2310, 0x00ac, 0x00bd, 0x00bc, 0x00a1, 0x00ab, 0x00bb, 0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x2561,
    0x2562, 0x2556, 0x2555, 0x2563, 0x2551, 0x2557, 0x255d, 0x255c, 0x255b, 0x2510, 0x2514, 0x2534, 0x252c, 0x251c,
    0x2500, 0x253c, 0x255e, 0x255f, 0x255a, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550, 0x256c, 0x2567, 0x2568, 0x2564,
    0x2565, 0x2559, 0x2558, 0x2552, 0x2553, 0x256b, 0x256a, 0x2518, 0x250c, 0x2588, 0x2584, 0x258c, 0x2590, 0x2580,
    0x03b1, 0x00df, 0x0393, 0x03c0, 0x03a3, 0x03c3, 0x00b5, 0x03c4, 0x03a6, 0x0398, 0x03a9, 0x03b4, 0x221e, 0x03c6,
    0x03b5, 0x2229, 0x2261, 0x00b1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00f7, 0x2248, 0x00b0, 0x2219, 0x00b7, 0x221a,
    0x207f, 0x00b2, 0x25a0, ' ',
};

static void append_row(const struct vga *s, const struct vga_frame *f, uint32_t counter, GString *out)
{
    gsize end = out->len; /* without the spaces that follow */

    for (unsigned x = 0; x < f->chars; x++) {
        uint16_t c = cp437[s->vram[(size_t)vga_address(f, counter + x, 0) * 4]];
        g_string_append_unichar(out, c);
        if (c != ' ')
            end = out->len;
    }
    g_string_truncate(out, end);
    g_string_append_c(out, '\n');
}

char *vga_text(struct device *d)
{
    const struct vga *s = d->state;
    struct vga_frame f;
    struct vga_scan n;
    struct band b;
    GString *out;

    vga_frame_now(d, &f);
    if (f.kind != VGA_TEXT)
        return NULL;
    out = g_string_new(NULL);
    vga_scan_first(&f, &n);
    while (next_band(&f, &n, &b))
        append_row(s, &f, b.counter + b.pan / f.dots, out);
    return g_string_free(out, FALSE);
}
