// SPDX-License-Identifier: GPL-2.0-or-later
/* svga.h - inside of the VMware SVGA II, shared by svga*.c and nobody else.
 *
 * It is a VGA (vga.h) until the guest switches the second half on.  Then the guest writes commands into the FIFO, a piece of
 * the card's memory; the picture is either its video RAM, whose changed parts it names (UPDATE), or screen objects: up to
 * SVGA_SCREENS pictures with a place in video RAM, into which the card copies rectangles of the guest's memory (GMRs).
 *
 * Words: GFB, the guest's frame buffer: the video RAM, as the registers WIDTH, HEIGHT and PITCHLOCK lay it out.  GMR, guest memory region: a list of
 * pages of RAM.  GMRFB: where in one, and in which form, the next blits find pixels. */
#pragma once
#include "devices/video/vga.h"

enum { SVGA_PORTS = VGA_REGIONS, /* BAR 0 */ SVGA_FIFO /* BAR 2 */ };
enum {
    SVGA_SCREENS = 8,
    SVGA_RECTS = 16,
    SVGA_GMRS = 1024,
    SVGA_SCRATCH = 64,
    SVGA_PALETTE = 768,
    SVGA_CURSOR_SIDE = 256,
    SVGA_MAX_SIDE = 8192,
};
#define SVGA_FIFO_BYTES    (2u << 20)
#define SVGA_GMR_PAGES     (1u << 18) /* of all GMRs together: 1 GiB */
#define SVGA_COMMAND_BYTES ((256u << 10) + 64)
#define SVGA_FRAMEBUFFER   0xfffffffeu /* instead of a GMR's number: video RAM */
#define SVGA_NONE          0xffffffffu

enum { SVGA_IRQ_FENCE = 1, SVGA_IRQ_PROGRESS = 2, SVGA_IRQ_GOAL = 4 };

/* Words at the beginning of the FIFO. */
enum {
    FIFO_MIN,
    FIFO_MAX,
    FIFO_NEXT,
    FIFO_STOP,
    FIFO_CAPABILITIES,
    FIFO_FLAGS,
    FIFO_FENCE,
    FIFO_CURSOR_ON = 9,
    FIFO_CURSOR_X,
    FIFO_CURSOR_Y,
    FIFO_CURSOR_COUNT,
    FIFO_CURSOR_SEEN,
    FIFO_RESERVED,
    FIFO_CURSOR_SCREEN,
    FIFO_FENCE_GOAL = 289,
    FIFO_BUSY,
    FIFO_WORDS
};

struct svga_rect {
    uint32_t x, y, width, height;
};
struct svga_screen {
    bool defined, active, blank;           /* blank, but not defined: the guest has destroyed it */
    uint32_t width, height, offset, pitch; /* in video RAM, 32 bits a dot */
    int32_t x, y;                          /* of its upper left corner on the desktop */

    /* Not part of the saved state. */
    struct svga_rect rect[SVGA_RECTS]; /* changed since last drawn */
    unsigned rects;
    bool redraw;
    uint32_t generation;
};
struct svga_gmr {
    uint64_t *page; /* numbers of pages; NO_PAGE: none there */
    uint32_t pages;
};
struct svga_image {
    uint32_t gmr, offset, pitch, bpp; /* bpp 15, 16, 24 or 32; 0: none told yet */
};
struct svga_cursor {
    bool on;
    int32_t x, y;
    uint32_t screen, count; /* count: of the FIFO's registers, when they were taken */
    uint32_t hot_x, hot_y, width, height;
    uint32_t *argb; /* NULL: never defined */

    /* Not part of the saved state. */
    uint32_t serial; /* of the shape */
};
/* What an output's watchers were told of the cursor, or where it was drawn. */
struct svga_shown {
    uint32_t serial;
    bool told;
    struct svga_rect drawn; /* width 0: nowhere */
};

struct svga {
    struct vga vga; /* first: vga.c works on the same state */
    uint32_t index, id, enable, width, height, bpp, pitchlock, config_done, guest_id, cursor_id, traces;
    uint32_t irq_mask, irq_status, gmr_id;
    uint32_t scratch[SVGA_SCRATCH], palette[SVGA_PALETTE];
    struct svga_screen screen[SVGA_SCREENS];
    struct svga_gmr gmr[SVGA_GMRS];
    struct svga_image gmrfb;
    struct svga_cursor cursor;
    uint64_t more_at; /* guest ns: then the FIFO is gone on with; DEV_NEVER: nothing is left */

    /* Not part of the saved state. */
    uint32_t gmr_pages; /* of all */
    uint32_t *fifo, *command;
    uint8_t *row;
    uint32_t asked_width, asked_height; /* what the host would like best */
    struct display *display[SVGA_SCREENS];
    struct svga_shown shown[SVGA_SCREENS];
    unsigned outputs;
    uint64_t work; /* bytes moved in this round */
};

/* What that many lines of so many bytes cost: each has to be looked for, too. */
static inline uint64_t svga_lines_work(uint64_t lines, uint64_t bytes)
{
    enum { LINE = 512 };
    return lines * (bytes + LINE);
}

/* svga.c */
void svga_irq(struct device *d, uint32_t flags);
uint32_t svga_pitch(const struct svga *s); /* bytes of a line of the GFB */
bool svga_shows_vga(const struct svga *s);

/* svga_fifo.c: commands of the guest.  Each call does a bounded amount of work; the rest follows by a timer. */
void svga_fifo_run(struct device *d);
bool svga_fifo_waits(struct device *d); /* there are commands that have not been done */
void svga_fifo_arm(struct device *d, uint64_t at);
uint32_t svga_fifo_get(const struct svga *s, unsigned word);
void svga_fifo_put(struct svga *s, unsigned word, uint32_t value);
bool svga_fifo_has(const struct svga *s, unsigned word); /* the guest left room for that register */

/* svga_gmr.c.  Numbers and sizes are the guest's, and checked. */
void svga_gmr_define(struct device *d, const uint32_t *a);
void svga_gmr_remap(struct device *d, const uint32_t *a, uint32_t words);
void svga_gmr_clear(struct svga *s);
bool svga_gmr_sync(struct svga *s, struct stream *stream);
/* False: not all of it is there. */
bool svga_gmr_read(struct device *d, uint32_t gmr, uint64_t offset, void *to, uint32_t bytes);
bool svga_gmr_write(struct device *d, uint32_t gmr, uint64_t offset, const void *from, uint32_t bytes);

/* svga_screen.c */
void svga_screen_define(struct device *d, const uint32_t *a, uint32_t words);
void svga_screen_destroy(struct device *d, uint32_t id);
void svga_screens_forget(struct svga *s); /* the GFB is shown */
bool svga_has_screens(const struct svga *s);
void svga_gmrfb_define(struct device *d, const uint32_t *a);
void svga_blit_to_screen(struct device *d, const uint32_t *a);
void svga_blit_from_screen(struct device *d, const uint32_t *a);
bool svga_screens_sync(struct svga *s, struct stream *stream);

/* svga_draw.c: the GFB, and the display's refresh. */
void svga_mark(struct svga_screen *n, uint32_t x, uint32_t y, uint32_t width, uint32_t height);
void svga_update_rect(struct svga *s, struct svga_rect r); /* the guest changed it in the GFB */
void svga_update(struct device *d, const uint32_t *a);
void svga_copy(struct device *d, const uint32_t *a);
void svga_refresh(struct device *d, unsigned output, bool everything);

/* svga_cursor.c */
void svga_cursor_masks(struct device *d, const uint32_t *a);
void svga_cursor_alpha(struct device *d, const uint32_t *a);
bool svga_cursor_sync(struct svga *s, struct stream *stream);
/* Around the drawing of an output: what it lay on is drawn anew, then the cursor on top, unless the watchers show it. */
void svga_cursor_lift(struct svga *s, unsigned output, struct svga_screen *under);
void svga_cursor_show(struct device *d, unsigned output, const struct svga_screen *on, struct surface *to);
void svga_cursor_gone(struct svga *s, unsigned output); /* the VGA is shown */
