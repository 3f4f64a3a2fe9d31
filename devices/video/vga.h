// SPDX-License-Identifier: GPL-2.0-or-later
/* vga.h - inside of the VGA chip, shared by vga*.c and nobody else.
 *
 * Video RAM is one array of bytes.  The four planes of a VGA lie interleaved in it: byte `o` of plane `p` is
 * vram[o * 4 + p], so that one 32-bit word is what the graphics controller's latches hold.  The Bochs extensions (VBE
 * modes) use the same array as a linear frame buffer.
 *
 * Drawing goes in two steps.  vga_frame_now() turns all registers into a struct vga_frame: everything that decides the
 * picture except the contents of video RAM.  If that differs from last time, everything is drawn; otherwise only the lines
 * or character cells whose memory changed. */
#pragma once
#include "core-vmm/api/display.h"

enum vga_region {
    VGA_PORTS_MONO, /* 3B0-3BB */
    VGA_PORTS,      /* 3C0-3DF */
    VGA_PORTS_VBE,  /* 1CE-1D1 */
    VGA_WINDOW,     /* A0000-BFFFF */
    VGA_LFB,        /* BAR 0 */
    VGA_MMIO,       /* BAR 2 */
    VGA_ROM,        /* expansion ROM */
};

/* Sequencer, CRT controller, graphics and attribute controller: index of the registers that code refers to. */
enum { SEQ_RESET, SEQ_CLOCKING, SEQ_MAP_MASK, SEQ_FONTS, SEQ_MEMORY_MODE, SEQ_REGS };
enum {
    CRTC_H_TOTAL,
    CRTC_H_DISPLAY,
    CRTC_H_BLANK_START,
    CRTC_H_BLANK_END,
    CRTC_H_RETRACE_END = 5,
    CRTC_V_TOTAL,
    CRTC_OVERFLOW,
    CRTC_PRESET_ROW,
    CRTC_MAX_ROW,
    CRTC_CURSOR_START,
    CRTC_CURSOR_END,
    CRTC_START_HIGH,
    CRTC_START_LOW,
    CRTC_CURSOR_HIGH,
    CRTC_CURSOR_LOW,
    CRTC_RETRACE_START,
    CRTC_RETRACE_END,
    CRTC_V_DISPLAY,
    CRTC_OFFSET,
    CRTC_UNDERLINE,
    CRTC_V_BLANK_START,
    CRTC_V_BLANK_END,
    CRTC_MODE,
    CRTC_LINE_COMPARE,
    CRTC_REGS
};
enum {
    GC_SET_RESET,
    GC_ENABLE_SET_RESET,
    GC_COLOUR_COMPARE,
    GC_ROTATE,
    GC_READ_MAP,
    GC_MODE,
    GC_MISC,
    GC_DONT_CARE,
    GC_BIT_MASK,
    GC_REGS
};
enum { ATTR_MODE = 0x10, ATTR_OVERSCAN, ATTR_PLANES, ATTR_PANNING, ATTR_COLOUR_SELECT, ATTR_REGS };

/* Bochs display interface ("dispi"). */
enum {
    VBE_ID,
    VBE_XRES,
    VBE_YRES,
    VBE_BPP,
    VBE_ENABLE,
    VBE_BANK,
    VBE_VIRT_WIDTH,
    VBE_VIRT_HEIGHT,
    VBE_X_OFFSET,
    VBE_Y_OFFSET,
    VBE_MEMORY_64K,
    VBE_REGS
};
enum { VBE_ENABLED = 1, VBE_GETCAPS = 2, VBE_8BIT_DAC = 0x20, VBE_NO_CLEAR = 0x80 };

enum vga_kind { VGA_BLANK, VGA_TEXT, VGA_PLANAR, VGA_CGA, VGA_PACKED, VGA_LINEAR };
#define VGA_MAX_CHARS 256 /* per line, CRTC modes */
#define VGA_MAX_LINES 2048
#define VBE_MAX_XRES  8192
#define VBE_MAX_YRES  8192

/* All that decides the picture except video RAM.  Compared with memcmp: built on zeroed memory. */
struct vga_frame {
    uint32_t kind, width, height;
    uint32_t start, stride, bpp; /* VGA_LINEAR: bytes; others: start is a counter value */
    uint32_t chars, dots, zoom;  /* per line; per character; 2: every dot twice */
    uint32_t row_step, rows, preset, line_compare, pan, split_pan;   /* rows: scan lines of a character row */
    uint32_t double_scan, counter_mask, plane_mask, shift, wrap_bit; /* shift: byte 0, word 1, doubleword 2 */
    uint32_t row_bit_13, row_bit_14; /* CGA, Hercules: row bit 0, 1 goes to address bit */
    /* What blanking leaves of the picture: columns and lines from the first of a pair up to the second are black. */
    uint32_t blank_left, blank_columns[2], blank_top, blank_lines[2];
    uint32_t font[2], blink, line_graphics, underline;
    uint32_t colours[256]; /* x8r8g8b8; VGA_TEXT and VGA_PLANAR: 16 of them */
};

/* One scan line, as the CRTC counts. */
struct vga_scan {
    uint32_t y, counter, row, pan, half;
};

struct vga {
    uint8_t misc, feature, seq_index, seq[SEQ_REGS], crtc_index, crtc[CRTC_REGS], gc_index, gc[GC_REGS];
    uint8_t attr_index, attr[ATTR_REGS], dac[256][3], dac_mask, dac_index, dac_component, dac_reading, dac_buffer[3];
    bool attr_data, dac_read_mode;
    uint32_t latch;
    uint16_t vbe_index, vbe[VBE_REGS];
    uint64_t dark_since; /* guest ns when the attribute controller was cut off; DEV_NEVER: it is not */

    /* Not part of the saved state. */
    uint8_t *vram;
    uint32_t vram_bytes;
    uint64_t *dirty; /* bit per 4 KiB page of video RAM */
    uint8_t edid[128];
    struct display *display;
    struct vga_frame frame; /* as last drawn */
    uint32_t generation;    /* of the surface last drawn to */
    uint32_t *cells;        /* VGA_TEXT: what is on the screen */
    uint8_t *glyphs;        /* VGA_TEXT: the two fonts, 32 bytes per character */
    uint32_t *line;         /* room for one scan line */
    uint32_t spread[256];   /* bit n of the index -> bit 0 of nibble n */
    bool redraw;
};

/* vga_memory.c: the window at A0000. */
uint64_t vga_window_read(struct device *d, uint64_t offset, unsigned size);
void vga_window_write(struct device *d, uint64_t offset, unsigned size, uint64_t value);
void vga_touch(struct vga *s, uint32_t offset, uint32_t bytes); /* video RAM was written */

/* vga_vbe.c: the Bochs extensions and the memory-mapped registers. */
uint16_t vga_vbe_read(struct vga *s, unsigned index);
void vga_vbe_write(struct vga *s, unsigned index, uint16_t value);
uint64_t vga_vbe_port_read(struct vga *s, uint64_t offset, unsigned size);
void vga_vbe_port_write(struct vga *s, uint64_t offset, unsigned size, uint64_t value);
uint64_t vga_mmio_read(struct device *d, uint64_t offset, unsigned size);
void vga_mmio_write(struct device *d, uint64_t offset, unsigned size, uint64_t value);
void vga_vbe_reset(struct vga *s);
void vga_vbe_loaded(struct vga *s); /* brings registers from outside into range */

/* vga.c.  What a chip that is a VGA and more (svga.c) takes from it: its state begins with struct vga, its regions are those
 * above, with its own behind them. */
enum { VGA_REGIONS = VGA_ROM + 1 };
bool vga_set_up(struct device *d, const struct config *c, uint32_t bytes, const char *rom,
                GError **error); /* bytes of video RAM; rom: the file if the settings name none */
void vga_free_parts(struct vga *s);
void vga_registers_reset(struct vga *s);
bool vga_registers_sync(struct vga *s, struct stream *stream);
uint64_t vga_read(struct device *d, unsigned region, uint64_t offset, unsigned size);
void vga_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t value);
uint8_t vga_port_read(struct device *d, unsigned port);
void vga_port_write(struct device *d, unsigned port, uint8_t value);

/* vga_crtc.c: registers -> picture geometry, scan lines, beam position. */
void vga_frame_now(struct device *d, struct vga_frame *f);
void vga_scan_first(const struct vga_frame *f, struct vga_scan *n);
void vga_scan_next(const struct vga_frame *f, struct vga_scan *n);
uint32_t vga_address(const struct vga_frame *f, uint32_t counter, uint32_t row); /* offset in a plane */
uint8_t vga_status(struct device *d);                                            /* input status register 1 */

/* vga_text.c */
void vga_draw_text(struct device *d, const struct vga_frame *f, struct surface *to, bool everything);
char *vga_text(struct device *d);

/* vga_draw.c: graphics modes, and the display's refresh. */
void vga_refresh(struct device *d, unsigned output, bool everything);
void vga_show(struct device *d, const struct vga_frame *f, bool log,
              bool everything); /* log: video RAM that the guest wrote by itself counts, too */
/* A line of a linear mode as x8r8g8b8; bpp 8, 15, 16, 24 or 32. */
void vga_linear_line(uint32_t *to, const uint8_t *from, uint32_t n, unsigned bpp, const uint32_t colours[256]);
bool vga_is_dirty(const struct vga *s, uint32_t offset, uint32_t bytes);

/* edid.c: 128 bytes that announce width x height at 60 Hz (VESA E-EDID 1.4). */
void edid_make(uint8_t out[128], const char *name, unsigned width, unsigned height);
