// SPDX-License-Identifier: GPL-2.0-or-later
/* The register values are the standard ones of the IBM modes.  Colours are chosen from those 6-bit values for which every
 * way of widening to 8 bits gives the same. */
#include "tests/devices/vga_scenes.h"
#include <stddef.h>

struct mode {
    uint8_t misc, seq[5], crtc[25], gc[9], attr[21];
};

static const struct mode mode_01 = {0x67,
                                    {0x03, 0x08, 0x03, 0x00, 0x02},
                                    {0x2d, 0x27, 0x28, 0x90, 0x2b, 0xa0, 0xbf, 0x1f, 0x00, 0x4f, 0x2d, 0x0e, 0x00,
                                     0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x14, 0x1f, 0x96, 0xb9, 0xa3, 0xff},
                                    {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x0f, 0xff},
                                    {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a,
                                     0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x00, 0x00, 0x0f, 0x08, 0x00}};
static const struct mode mode_03 = {0x67,
                                    {0x03, 0x00, 0x03, 0x00, 0x02},
                                    {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x2d, 0x0e, 0x00,
                                     0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff},
                                    {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x0f, 0xff},
                                    {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a,
                                     0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x00, 0x00, 0x0f, 0x08, 0x00}};
static const struct mode mode_04 = {0x63,
                                    {0x03, 0x09, 0x03, 0x00, 0x02},
                                    {0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0x00, 0xc1, 0x00, 0x00, 0x00,
                                     0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x14, 0x00, 0x96, 0xb9, 0xa2, 0xff},
                                    {0x00, 0x00, 0x00, 0x00, 0x00, 0x30, 0x0f, 0x0f, 0xff},
                                    {0x00, 0x13, 0x15, 0x17, 0x02, 0x04, 0x06, 0x07, 0x10, 0x11, 0x12,
                                     0x13, 0x14, 0x15, 0x16, 0x17, 0x01, 0x00, 0x03, 0x00, 0x00}};
static const struct mode mode_06 = {0x63,
                                    {0x03, 0x01, 0x01, 0x00, 0x06},
                                    {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0xc1, 0x00, 0x00, 0x00,
                                     0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x00, 0x96, 0xb9, 0xc2, 0xff},
                                    {0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0d, 0x0f, 0xff},
                                    {0x00, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17,
                                     0x17, 0x17, 0x17, 0x17, 0x17, 0x01, 0x00, 0x01, 0x00, 0x00}};
static const struct mode mode_07 = {0x66,
                                    {0x03, 0x00, 0x03, 0x00, 0x02},
                                    {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x2d, 0x0e, 0x00,
                                     0x00, 0x01, 0x90, 0x9c, 0x8e, 0x8f, 0x28, 0x0d, 0x96, 0xb9, 0xa3, 0xff},
                                    {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0a, 0x0f, 0xff},
                                    {0x00, 0x08, 0x08, 0x08, 0x08, 0x08, 0x08, 0x08, 0x10, 0x18, 0x18,
                                     0x18, 0x18, 0x18, 0x18, 0x18, 0x02, 0x00, 0x0f, 0x08, 0x00}};
static const struct mode mode_0d = {0x63,
                                    {0x03, 0x09, 0x0f, 0x00, 0x06},
                                    {0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0x00, 0xc0, 0x00, 0x00, 0x00,
                                     0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x14, 0x00, 0x96, 0xb9, 0xe3, 0xff},
                                    {0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x0f, 0xff},
                                    {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x10, 0x11, 0x12,
                                     0x13, 0x14, 0x15, 0x16, 0x17, 0x01, 0x00, 0x0f, 0x00, 0x00}};
static const struct mode mode_12 = {0xe3,
                                    {0x03, 0x01, 0x0f, 0x00, 0x06},
                                    {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0x00, 0x40, 0x00, 0x00, 0x00,
                                     0x00, 0x00, 0x00, 0xea, 0x8c, 0xdf, 0x28, 0x00, 0xe7, 0x04, 0xe3, 0xff},
                                    {0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x0f, 0xff},
                                    {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a,
                                     0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x01, 0x00, 0x0f, 0x00, 0x00}};
static const struct mode mode_13 = {0x63,
                                    {0x03, 0x01, 0x0f, 0x00, 0x0e},
                                    {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0x41, 0x00, 0x00, 0x00,
                                     0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff},
                                    {0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x05, 0x0f, 0xff},
                                    {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a,
                                     0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x41, 0x00, 0x0f, 0x00, 0x00}};

/* ---- small steps ---- */

static void out8(const struct scene_io *io, uint16_t port, uint8_t value)
{
    io->out(io->ctx, port, 1, value);
}

static void indexed(const struct scene_io *io, uint16_t port, uint8_t index, uint8_t value)
{
    out8(io, port, index);
    out8(io, port + 1, value);
}

static void seq(const struct scene_io *io, uint8_t index, uint8_t value)
{
    indexed(io, 0x3c4, index, value);
}

static void gc(const struct scene_io *io, uint8_t index, uint8_t value)
{
    indexed(io, 0x3ce, index, value);
}

static void crtc(const struct scene_io *io, uint8_t index, uint8_t value)
{
    indexed(io, 0x3d4, index, value);
}

/* The index and data come in turn through one port; a read of 3DA would reset the turn, but scenes only write. */
static void attr(const struct scene_io *io, uint8_t index, uint8_t value)
{
    out8(io, 0x3c0, index | 0x20);
    out8(io, 0x3c0, value);
}

static void st8(const struct scene_io *io, uint32_t address, uint8_t value)
{
    io->store(io->ctx, address, 1, value);
}

static void vbe(const struct scene_io *io, uint16_t index, uint16_t value)
{
    io->out(io->ctx, 0x1ce, 2, index);
    io->out(io->ctx, 0x1cf, 2, value);
}

/* A byte that looks like nothing in particular. */
static uint8_t noise(uint32_t n)
{
    n = (n ^ 61) ^ (n >> 16);
    n += n << 3;
    n ^= n >> 4;
    n *= 0x27d4eb2d;
    return n >> 15;
}

static void palette(const struct scene_io *io)
{
    static const uint8_t safe[16] = {0, 2, 4, 6, 8, 10, 12, 14, 49, 51, 53, 55, 57, 59, 61, 63};

    out8(io, 0x3c6, 0xff);
    out8(io, 0x3c8, 0);
    for (unsigned i = 0; i < 256; i++) {
        out8(io, 0x3c9, safe[i & 15]);
        out8(io, 0x3c9, safe[(i >> 2) & 15]);
        out8(io, 0x3c9, safe[(i >> 4) * 7 & 15]);
    }
}

static void set_mode(const struct scene_io *io, const struct mode *m)
{
    uint16_t crtc_port = m->misc & 1 ? 0x3d4 : 0x3b4;

    out8(io, 0x3c2, m->misc);
    for (unsigned i = 0; i < 5; i++)
        seq(io, i, m->seq[i]);
    indexed(io, crtc_port, 0x11, m->crtc[0x11] & 0x7f);
    for (unsigned i = 0; i < 25; i++)
        indexed(io, crtc_port, i, m->crtc[i]);
    for (unsigned i = 0; i < 9; i++)
        gc(io, i, m->gc[i]);
    for (unsigned i = 0; i < 21; i++)
        attr(io, i, m->attr[i]);
    palette(io);
}

/* ---- text ---- */

static void load_font(const struct scene_io *io, uint32_t offset, unsigned lines, uint32_t seed)
{
    seq(io, 2, 4);
    seq(io, 4, 6);
    gc(io, 5, 0);
    gc(io, 6, 4);
    for (uint32_t c = 0; c < 256; c++)
        for (uint32_t y = 0; y < lines; y++)
            st8(io, 0xa0000 + offset + c * 32 + y, y == lines - 1 ? 0x01 : noise(seed + c * 32 + y));
}

static void text_access(const struct scene_io *io, uint8_t map)
{
    seq(io, 2, 3);
    seq(io, 4, 2);
    gc(io, 5, 0x10);
    gc(io, 6, map);
}

static void fill_text(const struct scene_io *io, uint32_t window, uint32_t cells)
{
    for (uint32_t i = 0; i < cells; i++) {
        st8(io, window + 2 * i, i);
        st8(io, window + 2 * i + 1, i * 13 + (i >> 8));
    }
}

static void text_scene(const struct scene_io *io, const struct mode *m, uint8_t map, uint32_t window)
{
    set_mode(io, m);
    load_font(io, 0, 16, 1);
    text_access(io, map);
    fill_text(io, window, 0x4000 / 2);
}

static void play_text_80(const struct scene_io *io)
{
    text_scene(io, &mode_03, 0x0e, 0xb8000);
}

static void play_text_40(const struct scene_io *io)
{
    text_scene(io, &mode_01, 0x0e, 0xb8000);
}

static void play_text_mono(const struct scene_io *io)
{
    text_scene(io, &mode_07, 0x0a, 0xb0000);
}

/* 8-dot characters, 8 lines of them: 80x50. */
static void play_text_50_lines(const struct scene_io *io)
{
    play_text_80(io);
    seq(io, 1, 1);
    attr(io, 0x13, 0);
    crtc(io, 0x09, 0x47);
}

static void play_text_start(const struct scene_io *io)
{
    play_text_80(io);
    crtc(io, 0x0c, 0x03);
    crtc(io, 0x0d, 0x21);
    crtc(io, 0x13, 0x30);
}

/* Attribute bit 3 chooses the font. */
static void play_text_two_fonts(const struct scene_io *io)
{
    play_text_80(io);
    load_font(io, 0xa000, 16, 77777);
    text_access(io, 0x0e);
    seq(io, 3, 0x08 | 0x20); /* font A: block 2 + 8 KiB */
}

/* The ninth dot of C0-DF repeats the eighth. */
static void play_text_line_graphics(const struct scene_io *io)
{
    play_text_80(io);
    attr(io, 0x10, 0x04);
}

static void play_text_blink(const struct scene_io *io)
{
    play_text_80(io);
    attr(io, 0x10, 0x08);
}

static void play_text_cursor(const struct scene_io *io)
{
    play_text_80(io);
    crtc(io, 0x0a, 5);
    crtc(io, 0x0b, 0x0a);
    crtc(io, 0x0e, 1);
    crtc(io, 0x0f, 5);
}

/* Everything that moves text by less than a character, and a second screen from line 251. */
static void play_text_scrolled(const struct scene_io *io)
{
    play_text_80(io);
    attr(io, 0x13, 3);
    attr(io, 0x10, 0x20);
    crtc(io, 0x08, 0x25);
    crtc(io, 0x0d, 0x50);
    crtc(io, 0x18, 250);
    crtc(io, 0x07, 0x0f);
    crtc(io, 0x09, 0x0f);
}

static void play_text_underline(const struct scene_io *io)
{
    text_scene(io, &mode_07, 0x0a, 0xb0000);
    indexed(io, 0x3b4, 0x14, 0x05);
}

/* ---- graphics ---- */

static void fill(const struct scene_io *io, uint32_t address, uint32_t bytes, uint32_t seed)
{
    for (uint32_t i = 0; i < bytes; i++)
        st8(io, address + i, noise(seed + i / 3));
}

static void play_cga_4(const struct scene_io *io)
{
    set_mode(io, &mode_04);
    fill(io, 0xb8000, 0x4000, 4);
}

static void play_cga_2(const struct scene_io *io)
{
    set_mode(io, &mode_06);
    fill(io, 0xb8000, 0x4000, 6);
}

static void fill_planes(const struct scene_io *io, uint32_t bytes)
{
    for (unsigned p = 0; p < 4; p++) {
        seq(io, 2, 1 << p);
        fill(io, 0xa0000, bytes, p * 100000);
    }
    seq(io, 2, 15);
}

static void play_ega(const struct scene_io *io)
{
    set_mode(io, &mode_0d);
    fill_planes(io, 0x4000);
}

static void play_planar(const struct scene_io *io)
{
    set_mode(io, &mode_12);
    fill_planes(io, 38400);
}

/* Colour plane enable and the palette's upper bits from the colour select register. */
static void play_planar_colours(const struct scene_io *io)
{
    play_planar(io);
    attr(io, 0x10, 0x81);
    attr(io, 0x12, 0x0b);
    attr(io, 0x14, 0x06);
}

static void play_planar_split(const struct scene_io *io)
{
    play_planar(io);
    crtc(io, 0x0c, 0x12);
    crtc(io, 0x13, 0x29);
    crtc(io, 0x18, 200);
    crtc(io, 0x07, 0x2e);
    crtc(io, 0x09, 0x00);
}

static void play_planar_panned(const struct scene_io *io)
{
    play_planar(io);
    attr(io, 0x13, 5);
}

/* Rows of blocks made by each write mode and logical function over a background. */
static void play_write_modes(const struct scene_io *io)
{
    uint32_t row = 0;

    set_mode(io, &mode_12);
    fill_planes(io, 38400);
    for (unsigned mode = 0; mode < 4; mode++)
        for (unsigned function = 0; function < 4; function++)
            for (unsigned variant = 0; variant < 4; variant++, row += 7) {
                gc(io, 0, variant * 5);                   /* set/reset */
                gc(io, 1, variant == 3 ? 0x0a : variant); /* enable set/reset */
                gc(io, 3, function << 3 | variant * 2);   /* function, rotate */
                gc(io, 5, mode);
                gc(io, 8, variant ? 0x3c << (variant - 1) : 0xff); /* bit mask */
                seq(io, 2, variant == 2 ? 0x06 : 0x0f);
                for (uint32_t i = 0; i < 80; i++) {
                    io->load(io->ctx, 0xa0000 + (row + i % 5) * 80 + i, 1); /* fills the latches */
                    st8(io, 0xa0000 + (row + 2) * 80 + i, noise(i + row));
                }
            }
}

/* What comes back in read mode 0 and 1 is shown beside what was read. */
static void play_read_modes(const struct scene_io *io)
{
    set_mode(io, &mode_12);
    fill_planes(io, 19200);
    for (unsigned round = 0; round < 8; round++)
        for (uint32_t i = 0; i < 2400; i++) {
            uint32_t from = 0xa0000 + round * 2400 + i;
            gc(io, 4, round & 3);
            gc(io, 2, round * 3);
            gc(io, 7, round == 7 ? 0 : 15 - round);
            gc(io, 5, round >= 4 ? 8 : 0);
            uint8_t got = io->load(io->ctx, from, 1);
            gc(io, 5, 0);
            st8(io, from + 19200, got);
        }
}

static void play_chain_4(const struct scene_io *io)
{
    set_mode(io, &mode_13);
    fill(io, 0xa0000, 64000, 13);
}

/* 320x240 unchained, with the planes shown by byte addresses. */
static void play_unchained(const struct scene_io *io)
{
    static const uint8_t regs[][2] = {{0x11, 0x2c}, {0x06, 0x0d}, {0x07, 0x3e}, {0x10, 0xea}, {0x11, 0xac},
                                      {0x12, 0xdf}, {0x14, 0x00}, {0x15, 0xe7}, {0x16, 0x06}, {0x17, 0xe3}};

    set_mode(io, &mode_13);
    out8(io, 0x3c2, 0xe3);
    seq(io, 4, 6);
    for (unsigned i = 0; i < sizeof regs / 2; i++)
        crtc(io, regs[i][0], regs[i][1]);
    fill_planes(io, 19200);
}

static void play_dac_mask(const struct scene_io *io)
{
    play_chain_4(io);
    out8(io, 0x3c6, 0x3b);
}

/* ---- VBE ---- */

static void vbe_mode(const struct scene_io *io, uint16_t width, uint16_t height, uint16_t bpp, uint16_t flags)
{
    set_mode(io, &mode_13);
    vbe(io, 4, 0);
    vbe(io, 1, width);
    vbe(io, 2, height);
    vbe(io, 3, bpp);
    vbe(io, 4, 1 | 0x40 | flags);
}

static void fill_lfb(const struct scene_io *io, uint32_t bytes, uint8_t mask)
{
    for (uint32_t i = 0; i < bytes; i += 4) {
        uint32_t v = 0;
        for (unsigned b = 0; b < 4; b++)
            v |= (uint32_t)(noise(i / 12 + b) & mask) << (8 * b);
        io->store(io->ctx, SCENE_LFB + i, 4, v);
    }
}

static void play_vbe_8(const struct scene_io *io)
{
    vbe_mode(io, 320, 200, 8, 0);
    fill_lfb(io, 320 * 200, 0xff);
}

static void play_vbe_15(const struct scene_io *io)
{
    vbe_mode(io, 400, 120, 15, 0);
    fill_lfb(io, 400 * 120 * 2, 0xff);
}

static void play_vbe_16(const struct scene_io *io)
{
    vbe_mode(io, 400, 120, 16, 0);
    fill_lfb(io, 400 * 120 * 2, 0xff);
}

static void play_vbe_24(const struct scene_io *io)
{
    vbe_mode(io, 320, 100, 24, 0);
    fill_lfb(io, 320 * 100 * 3, 0xff);
}

static void play_vbe_32(const struct scene_io *io)
{
    vbe_mode(io, 320, 100, 32, 0);
    fill_lfb(io, 320 * 100 * 4, 0xff);
}

static void play_vbe_panned(const struct scene_io *io)
{
    vbe_mode(io, 256, 128, 32, 0);
    fill_lfb(io, 320 * 200 * 4, 0xff);
    vbe(io, 6, 320);
    vbe(io, 8, 33);
    vbe(io, 9, 17);
}

/* Drawn through the 64 KiB window, with a palette of full bytes. */
static void play_vbe_banked(const struct scene_io *io)
{
    vbe_mode(io, 512, 256, 8, 0x20);
    out8(io, 0x3c8, 0);
    for (unsigned i = 0; i < 768; i++)
        out8(io, 0x3c9, noise(i));
    for (uint32_t bank = 0; bank < 2; bank++) {
        vbe(io, 5, bank);
        for (uint32_t i = 0; i < 0x10000; i += 4)
            io->store(io->ctx, 0xa0000 + i, 4, noise(bank + i / 4) * 0x01010101u + i);
    }
}

static void play_vbe_4(const struct scene_io *io)
{
    set_mode(io, &mode_12);
    vbe(io, 4, 0);
    vbe(io, 1, 800);
    vbe(io, 2, 200);
    vbe(io, 3, 4);
    vbe(io, 4, 1);
    fill_planes(io, 20000);
}

/* ---- blanking inside the picture ---- */

static void play_blank_right(const struct scene_io *io)
{
    set_mode(io, &mode_13);
    fill(io, 0xa0000, 64000, 21);
    crtc(io, 0x02, 40);
}

static void play_blank_middle(const struct scene_io *io)
{
    set_mode(io, &mode_12);
    fill_planes(io, 38400);
    crtc(io, 0x02, 20);
    crtc(io, 0x03, 0x80 | 25);
    crtc(io, 0x05, 0);
    crtc(io, 0x15, 99);
    crtc(io, 0x07, 0x36);
    crtc(io, 0x09, 0x40);
    crtc(io, 0x16, 149);
}

/* Both go on in the next line, the next picture. */
static void play_blank_early(const struct scene_io *io)
{
    play_text_80(io);
    crtc(io, 0x03, 0x80 | 5);
    crtc(io, 0x05, 0x01);
    crtc(io, 0x16, 19);
}

const struct scene scenes[] = {
    {"text-80", play_text_80, 720, 400, 0x38a8a8baaf70846d, NULL},
    {"text-40", play_text_40, 720, 400, 0x86f83fbc01862ca5, "QEMU leaves out the ninth dot"},
    {"text-mono", play_text_mono, 720, 400, 0x418bd5bed7b94845, "QEMU draws no underlines"},
    {"text-50-lines", play_text_50_lines, 640, 400, 0xf6fa0591ddf032e5, NULL},
    {"text-start", play_text_start, 720, 400, 0x3e4c0dce6fd941a5, NULL},
    {"text-two-fonts", play_text_two_fonts, 720, 400, 0xae9643e4218aef65, NULL},
    {"text-line-graphics", play_text_line_graphics, 720, 400, 0x4fbce7cdfeb0615d, "QEMU widens B0-BF too"},
    {"text-blink", play_text_blink, 720, 400, 0x5d99dcfda9a09de5, "QEMU shows blinking as bright background"},
    {"text-cursor", play_text_cursor, 720, 400, 0x2ad511f0150f2c6d, NULL},
    {"text-scrolled", play_text_scrolled, 720, 400, 0x1e9fc300b1d7482d, "QEMU moves text by whole characters only"},
    {"text-underline", play_text_underline, 720, 400, 0x31d2a461106c89dd, "QEMU draws no underlines"},
    {"cga-4-colours", play_cga_4, 640, 400, 0xc4fced6a2ae6c3a5, NULL},
    {"cga-2-colours", play_cga_2, 640, 400, 0xe5a6b147ba28e365, NULL},
    {"ega-16-colours", play_ega, 640, 400, 0x58466b3219031065, NULL},
    {"planar", play_planar, 640, 480, 0x4c2be7bc05d0fe55, NULL},
    {"planar-colours", play_planar_colours, 640, 480, 0x8fbd1a6366781325, NULL},
    {"planar-split", play_planar_split, 640, 480, 0xfc68a29455655615, NULL},
    {"planar-panned", play_planar_panned, 640, 480, 0xe291d5dd071ee17d, "QEMU does not pan by dots"},
    {"write-modes", play_write_modes, 640, 480, 0x1e243ac5a3c00add, NULL},
    {"read-modes", play_read_modes, 640, 480, 0x95edf4bace04895, NULL},
    {"chain-4", play_chain_4, 640, 400, 0x27734124550074b1, NULL},
    {"unchained", play_unchained, 640, 480, 0x6c63e28fe4e392dd, NULL},
    {"dac-mask", play_dac_mask, 640, 400, 0x6e745d932c652c8d, "QEMU ignores the DAC's mask"},
    {"vbe-4", play_vbe_4, 800, 200, 0x8d799aeb0cb33db5, "QEMU ignores the map mask in VBE modes"},
    {"vbe-8", play_vbe_8, 320, 200, 0x13b51d48fc50a418, NULL},
    {"vbe-15", play_vbe_15, 400, 120, 0x70bf5abe18a7194c, "QEMU does not widen 15-bit colours"},
    {"vbe-16", play_vbe_16, 400, 120, 0xb9a447e78fd27f4c, NULL},
    {"vbe-24", play_vbe_24, 320, 100, 0x31d075fc9f9b377a, NULL},
    {"vbe-32", play_vbe_32, 320, 100, 0x24a97b999666e378, NULL},
    {"vbe-panned", play_vbe_panned, 256, 128, 0xae5a99c7fac145b5, NULL},
    {"vbe-banked", play_vbe_banked, 512, 256, 0x93617b03e8ded5f4, NULL},
    {"blank-right", play_blank_right, 640, 400, 0x4a4b2e7679a238f9, "QEMU does not blank"},
    {"blank-middle", play_blank_middle, 640, 480, 0xe856c8675cc01c3d, "QEMU does not blank"},
    {"blank-early", play_blank_early, 720, 400, 0xe29b6dce964b160d, "QEMU does not blank"},
    {NULL},
};
