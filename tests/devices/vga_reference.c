// SPDX-License-Identifier: GPL-2.0-or-later
/* vga_reference.c - a second, slow drawing of a VGA's picture, one pixel at a time from the manual's words. */
#include "tests/devices/vga_reference.h"
#include "tests/devices/vga_scenes.h"

struct look {
    struct bench *b;
    uint64_t ns;
    uint8_t misc, seq[5], crtc[25], gc[9], attr[21];
    uint32_t dac[256];
    uint8_t mask;
    uint16_t vbe[10];
    uint8_t *plane[4];
    uint32_t plane_bytes;
};

static uint8_t in_indexed(struct bench *b, uint16_t port, unsigned index)
{
    bench_out(b, port, 1, index);
    return bench_in(b, port + 1, 1);
}

static void out_indexed(struct bench *b, uint16_t port, unsigned index, uint8_t value)
{
    bench_out(b, port, 1, index);
    bench_out(b, port + 1, 1, value);
}

static void look_at_registers(struct look *l)
{
    struct bench *b = l->b;
    uint16_t crtc;

    l->misc = bench_in(b, 0x3cc, 1);
    crtc = l->misc & 1 ? 0x3d4 : 0x3b4;
    for (unsigned i = 0; i < 5; i++)
        l->seq[i] = in_indexed(b, 0x3c4, i);
    for (unsigned i = 0; i < 25; i++)
        l->crtc[i] = in_indexed(b, crtc, i);
    for (unsigned i = 0; i < 9; i++)
        l->gc[i] = in_indexed(b, 0x3ce, i);
    for (unsigned i = 0; i < 21; i++) {
        bench_in(b, crtc + 6, 1);
        bench_out(b, 0x3c0, 1, i | 0x20);
        l->attr[i] = bench_in(b, 0x3c1, 1);
    }
    for (unsigned i = 0; i < 10; i++) {
        bench_out(b, 0x1ce, 2, i);
        l->vbe[i] = bench_in(b, 0x1cf, 2);
    }
}

static void look_at_dac(struct look *l)
{
    bool bytes = (l->vbe[4] & 1) && (l->vbe[4] & 0x20);

    l->mask = bench_in(l->b, 0x3c6, 1);
    bench_out(l->b, 0x3c7, 1, 0);
    for (unsigned i = 0; i < 256; i++) {
        l->dac[i] = 0;
        for (unsigned c = 0; c < 3; c++) {
            unsigned v = bench_in(l->b, 0x3c9, 1);
            l->dac[i] = l->dac[i] * 256 + (bytes ? v : v * 4 + v / 16);
        }
    }
}

/* Reads all planes the long way and puts the registers back. */
static void look_at_planes(struct look *l)
{
    struct bench *b = l->b;
    bool vbe = l->vbe[4] & 1;

    l->plane_bytes = vbe ? 0x10000 * 2 : 0x10000;
    out_indexed(b, 0x3c4, 4, 6);
    out_indexed(b, 0x3ce, 5, 0);
    out_indexed(b, 0x3ce, 6, 5);
    for (unsigned p = 0; p < 4; p++) {
        l->plane[p] = g_malloc(l->plane_bytes);
        out_indexed(b, 0x3ce, 4, p);
        for (uint32_t i = 0; i < l->plane_bytes; i++) {
            if (vbe && !(i & 0xffff)) {
                bench_out(b, 0x1ce, 2, 5);
                bench_out(b, 0x1cf, 2, i >> 16);
            }
            l->plane[p][i] = bench_load(b, 0xa0000 + (i & 0xffff), 1);
        }
    }
    out_indexed(b, 0x3c4, 4, l->seq[4]);
    for (unsigned i = 4; i < 7; i++)
        out_indexed(b, 0x3ce, i, l->gc[i]);
    bench_out(b, 0x1ce, 2, 5);
    bench_out(b, 0x1cf, 2, l->vbe[5]);
}

/* ---- colours ---- */

static uint32_t colour_256(const struct look *l, unsigned index)
{
    return l->dac[index & l->mask];
}

static uint32_t colour_16(const struct look *l, unsigned index)
{
    unsigned entry = l->attr[index & l->attr[0x12] & 15] & 0x3f;

    if (l->attr[0x10] & 0x80)
        entry = (entry & 0x0f) + (l->attr[0x14] & 3) * 0x10;
    return colour_256(l, entry + (l->attr[0x14] >> 2 & 3) * 0x40);
}

/* ---- the CRTC ---- */

struct beam {
    unsigned line, memory, row; /* counters; memory at the left edge */
    bool second;                /* of two equal lines */
    bool split;                 /* below the line compare */
};

static void next_line(const struct look *l, struct beam *at)
{
    unsigned compare = l->crtc[0x18] + (l->crtc[7] & 0x10 ? 256 : 0) + (l->crtc[9] & 0x40 ? 512 : 0);

    if (at->line == compare) {
        *at = (struct beam){.line = at->line + 1, .split = true};
        return;
    }
    at->line++;
    if ((l->crtc[9] & 0x80) && !at->second) {
        at->second = true;
        return;
    }
    at->second = false;
    if (at->row == (l->crtc[9] & 0x1f)) {
        at->row = 0;
        at->memory += l->crtc[0x13] * 2;
    } else {
        at->row = (at->row + 1) & 0x1f;
    }
}

/* Address lines MA15-MA0 by IBM's tables for the mode control and underline registers. */
static unsigned address(const struct look *l, unsigned counter, unsigned row)
{
    unsigned ma = 0;

    for (unsigned bit = 0; bit < 16; bit++) {
        int from = bit;
        if (l->crtc[0x14] & 0x40)
            from = bit < 2 ? (int)bit + 12 : (int)bit - 2;
        else if (!(l->crtc[0x17] & 0x40))
            from = bit ? (int)bit - 1 : l->crtc[0x17] & 0x20 ? 15 : 13;
        if (bit == 13 && !(l->crtc[0x17] & 1))
            ma |= (row & 1) << 13;
        else if (bit == 14 && !(l->crtc[0x17] & 2))
            ma |= (row >> 1 & 1) << 14;
        else
            ma |= (counter >> from & 1) << bit;
    }
    return ma;
}

static unsigned panning(const struct look *l, const struct beam *at, bool nine)
{
    unsigned pan = nine ? (l->attr[0x13] + 1) % 9 : l->attr[0x13] & 7;

    if (at->split && (l->attr[0x10] & 0x20))
        return 0;
    return pan + (l->crtc[8] >> 5 & 3) * (nine ? 9 : 8);
}

/* ---- one dot ---- */

static uint32_t text_dot(const struct look *l, unsigned counter, unsigned row, unsigned dot)
{
    unsigned ma = address(l, counter, row), c = l->plane[0][ma], attribute = l->plane[1][ma];
    unsigned select = attribute & 8 ? l->seq[3] >> 2 & 3 : l->seq[3] & 3;
    unsigned high = attribute & 8 ? l->seq[3] >> 5 & 1 : l->seq[3] >> 4 & 1;
    unsigned bits = l->plane[2][select * 16384 + high * 8192 + c * 32 + row];
    unsigned front = attribute % 16, back = attribute / 16;
    bool on = dot < 8 ? bits & (0x80 >> dot) : (l->attr[0x10] & 4) && c >= 192 && c < 224 && (bits & 1);
    unsigned cursor = l->crtc[0xe] * 256 + l->crtc[0xf], frame = l->ns * 60 / 1000000000;

    if ((attribute & 7) == 1 && (attribute & 0x70) == 0 && row == (l->crtc[0x14] & 0x1f))
        on = true;
    if (l->attr[0x10] & 8) {
        if (back >= 8 && frame / 16 % 2)
            on = false;
        back %= 8;
    }
    if (!(l->crtc[0xa] & 0x20) && counter == cursor && row >= (l->crtc[0xa] & 0x1f) && row <= (l->crtc[0xb] & 0x1f) &&
        frame / 8 % 2 == 0)
        on = true;
    return colour_16(l, on ? front : back);
}

static uint32_t graphics_dot(const struct look *l, unsigned counter, unsigned row, unsigned dot)
{
    unsigned ma = address(l, counter, row), colour = 0;

    if (l->gc[5] & 0x40)
        return colour_256(l, l->plane[dot / 2][ma]);
    if (l->gc[5] & 0x20) {
        unsigned first = dot < 4 ? 0 : 1, shift = 6 - dot % 4 * 2;
        return colour_16(l, (l->plane[first][ma] >> shift & 3) + (l->plane[first + 2][ma] >> shift & 3) * 4);
    }
    for (unsigned p = 0; p < 4; p++)
        colour += (l->plane[p][ma] >> (7 - dot) & 1) << p;
    return colour_16(l, colour);
}

/* ---- blanking: counters, and a flag that one comparison sets and another clears ---- */

static bool *blanked(unsigned start, unsigned end, unsigned bits, unsigned total)
{
    bool *is = g_new0(bool, total), on = false;

    for (unsigned pass = 0; pass < 3; pass++)
        for (unsigned n = 0; n < total; n++) {
            if (on && n % (1u << bits) == end % (1u << bits))
                on = false;
            if (n == start)
                on = true;
            is[n] = on;
        }
    return is;
}

static void blank(const struct look *l, uint32_t *picture, uint32_t width, uint32_t height, unsigned cell)
{
    const uint8_t *c = l->crtc;
    unsigned columns = c[0] + 5, lines = c[6] + (c[7] & 1 ? 256 : 0) + (c[7] & 0x20 ? 512 : 0) + 2;
    unsigned first = c[0x15] + (c[7] & 8 ? 256 : 0) + (c[9] & 0x20 ? 512 : 0) + 1;
    g_autofree bool *column = blanked(c[2], c[3] % 32 + (c[5] >= 128 ? 32 : 0), 6, columns);
    g_autofree bool *line = blanked(first, c[0x16] + 1, 8, lines);

    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            if (column[x / cell] || line[y])
                picture[y * width + x] = 0;
}

/* ---- pictures ---- */

static uint32_t *crtc_picture(const struct look *l, uint32_t *width, uint32_t *height)
{
    bool graphics = l->gc[6] & 1, nine = !graphics && !(l->seq[1] & 1);
    unsigned dots = nine ? 9 : 8, twice = l->seq[1] & 8 ? 2 : 1;
    struct beam at = {.memory = l->crtc[0xc] * 256 + l->crtc[0xd], .row = l->crtc[8] & 0x1f};
    uint32_t *picture;

    *width = (l->crtc[1] + 1) * dots * twice;
    *height = l->crtc[0x12] + (l->crtc[7] & 2 ? 256 : 0) + (l->crtc[7] & 0x40 ? 512 : 0) + 1;
    picture = g_new(uint32_t, *width * *height);
    for (; at.line < *height; next_line(l, &at))
        for (uint32_t x = 0; x < *width; x++) {
            unsigned dot = x / twice + panning(l, &at, nine), counter = at.memory + dot / dots;
            picture[at.line * *width + x] =
                (graphics ? graphics_dot : text_dot)(l, counter & 0xffff, at.row, dot % dots);
        }
    blank(l, picture, *width, *height, dots * twice);
    return picture;
}

/* A colour of 5 or 6 bits repeats its upper bits below: all ones stay all ones. */
static uint32_t scale(uint32_t v, unsigned bits)
{
    v &= (1u << bits) - 1;
    return v << (8 - bits) | v >> (2 * bits - 8);
}

static uint32_t vbe_pixel(const struct look *l, uint64_t n)
{
    unsigned bpp = l->vbe[3], bytes = (bpp + 7) / 8;
    uint32_t v = 0;

    for (unsigned i = 0; i < bytes; i++)
        v |= (uint32_t)bench_load(l->b, SCENE_LFB + n * bytes + i, 1) << (8 * i);
    switch (bpp) {
    case 8: return colour_256(l, v);
    case 15: return scale(v >> 10, 5) << 16 | scale(v >> 5, 5) << 8 | scale(v, 5);
    case 16: return scale(v >> 11, 5) << 16 | scale(v >> 5, 6) << 8 | scale(v, 5);
    default: return v & 0xffffff;
    }
}

static uint32_t vbe_planar_pixel(const struct look *l, uint64_t n)
{
    unsigned colour = 0;

    for (unsigned p = 0; p < 4; p++)
        colour += (l->plane[p][n / 8] >> (7 - n % 8) & 1) << p;
    return colour_16(l, colour);
}

static uint32_t *vbe_picture(const struct look *l, uint32_t *width, uint32_t *height)
{
    uint32_t *picture;

    *width = l->vbe[1];
    *height = l->vbe[2];
    picture = g_new(uint32_t, *width * *height);
    for (uint32_t y = 0; y < *height; y++)
        for (uint32_t x = 0; x < *width; x++) {
            uint64_t n = (uint64_t)(y + l->vbe[9]) * l->vbe[6] + x + l->vbe[8];
            picture[y * *width + x] = (l->vbe[3] == 4 ? vbe_planar_pixel : vbe_pixel)(l, n);
        }
    return picture;
}

uint32_t *vga_reference(struct bench *b, uint64_t ns, uint32_t *width, uint32_t *height)
{
    struct look l = {.b = b, .ns = ns};
    uint32_t *picture;

    look_at_registers(&l);
    look_at_dac(&l);
    if (!(l.vbe[4] & 1) || l.vbe[3] == 4)
        look_at_planes(&l);
    picture = (l.vbe[4] & 1 ? vbe_picture : crtc_picture)(&l, width, height);
    for (unsigned p = 0; p < 4; p++)
        g_free(l.plane[p]);
    return picture;
}
