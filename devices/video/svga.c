// SPDX-License-Identifier: GPL-2.0-or-later
/* svga.c - VMware SVGA II, PCI 15AD:0405: registers, interrupts, saved state, table.  See svga.h.
 * Spec: VMware's svga_reg.h ("Port offsets", "Registers", "SVGA Device Capabilities").
 *
 * Registers are reached by an index and a value port.  What is offered is what 2D needs: no 3D, no guest-backed objects, no command
 * buffers, no video overlays, no legacy multi-monitor registers.  Kept without effect: palette, scratch registers, the guest's
 * number, the reason of a SYNC. */
#include "devices/video/svga.h"
#include "core-vmm/base/bytes.h"
#include "devices/all.h"
#include <stdio.h>

enum { PORT_INDEX, PORT_VALUE, PORT_BIOS, PORT_IRQ_STATUS = 8 };
enum {
    REG_ID,
    REG_ENABLE,
    REG_WIDTH,
    REG_HEIGHT,
    REG_MAX_WIDTH,
    REG_MAX_HEIGHT,
    REG_DEPTH,
    REG_BPP,
    REG_PSEUDOCOLOUR,
    REG_RED_MASK,
    REG_GREEN_MASK,
    REG_BLUE_MASK,
    REG_BYTES_PER_LINE,
    REG_FB_START,
    REG_FB_OFFSET,
    REG_VRAM_SIZE,
    REG_FB_SIZE,
    REG_CAPABILITIES,
    REG_MEM_START,
    REG_MEM_SIZE,
    REG_CONFIG_DONE,
    REG_SYNC,
    REG_BUSY,
    REG_GUEST_ID,
    REG_CURSOR_ID,
    REG_CURSOR_X,
    REG_CURSOR_Y,
    REG_CURSOR_ON,
    REG_HOST_BPP,
    REG_SCRATCH_SIZE,
    REG_MEM_REGS,
    REG_NUM_DISPLAYS,
    REG_PITCHLOCK,
    REG_IRQ_MASK,
    REG_GMR_ID = 41,
    REG_GMR_MAX_IDS = 43,
    REG_TRACES = 45,
    REG_GMR_MAX_PAGES,
    REG_MEMORY_SIZE,
    REG_MAX_PRIMARY = 50,
    REG_PALETTE = 1024,
    REG_SCRATCH = REG_PALETTE + SVGA_PALETTE,
};
enum {
    CAP_RECT_COPY = 2,
    CAP_CURSOR = 0x20,
    CAP_CURSOR_BYPASS = 0x40,
    CAP_CURSOR_BYPASS_2 = 0x80,
    CAP_ALPHA_CURSOR = 0x200,
    CAP_EXTENDED_FIFO = 0x8000,
    CAP_PITCHLOCK = 0x20000,
    CAP_IRQMASK = 0x40000,
    CAP_TRACES = 0x200000,
    CAP_GMR2 = 0x400000,
    CAP_SCREEN_OBJECT_2 = 0x800000,
    CAPABILITIES = CAP_RECT_COPY | CAP_CURSOR | CAP_CURSOR_BYPASS | CAP_CURSOR_BYPASS_2 | CAP_ALPHA_CURSOR |
                   CAP_EXTENDED_FIFO | CAP_PITCHLOCK | CAP_IRQMASK | CAP_TRACES | CAP_GMR2 | CAP_SCREEN_OBJECT_2,
};
enum {
    FIFO_CAP_FENCE = 1,
    FIFO_CAP_CURSOR_BYPASS_3 = 0x10,
    FIFO_CAP_ESCAPE = 0x20,
    FIFO_CAP_RESERVE = 0x40,
    FIFO_CAP_GMR2 = 0x100,
    FIFO_CAP_SCREEN_OBJECT_2 = 0x200,
    FIFO_CAPS = FIFO_CAP_FENCE | FIFO_CAP_CURSOR_BYPASS_3 | FIFO_CAP_ESCAPE | FIFO_CAP_RESERVE | FIFO_CAP_GMR2 |
                FIFO_CAP_SCREEN_OBJECT_2,
};
enum { ENABLE = 1, HIDE = 2 };
enum { PCI_BAR1 = 0x14, PCI_BAR2 = 0x18 };
#define ID_0     0x90000000u
#define ID_2     0x90000002u
#define VRAM     (64u << 20) /* if the settings do not say */
#define ROM_FILE "/usr/share/seabios/vgabios-vmware.bin"

bool svga_shows_vga(const struct svga *s)
{
    return !(s->enable & ENABLE) || (s->enable & HIDE);
}

uint32_t svga_pitch(const struct svga *s)
{
    return s->pitchlock ? s->pitchlock : s->width * ((s->bpp + 7) / 8);
}

/* ---- interrupts ---- */

static void update_line(struct device *d)
{
    struct svga *s = d->state;
    dev_irq(d, 0, s->irq_status & s->irq_mask);
}

void svga_irq(struct device *d, uint32_t flags)
{
    struct svga *s = d->state;
    s->irq_status |= flags & s->irq_mask;
    update_line(d);
}

/* ---- read ---- */

static uint32_t read_busy(struct device *d)
{
    svga_fifo_run(d);
    return svga_fifo_waits(d);
}

static uint32_t bar_of(struct device *d, unsigned at)
{
    return get_le32(dev_pci_config(d) + at) & ~15u;
}

/* What never changes. */
static uint32_t read_fixed(const struct svga *s, uint32_t index)
{
    switch (index) {
    case REG_MAX_WIDTH:
    case REG_MAX_HEIGHT: return SVGA_MAX_SIDE;
    case REG_VRAM_SIZE:
    case REG_MEMORY_SIZE:
    case REG_MAX_PRIMARY: return s->vga.vram_bytes;
    case REG_CAPABILITIES: return CAPABILITIES;
    case REG_MEM_SIZE: return SVGA_FIFO_BYTES;
    case REG_HOST_BPP: return 32;
    case REG_SCRATCH_SIZE: return SVGA_SCRATCH;
    case REG_MEM_REGS: return FIFO_WORDS;
    case REG_NUM_DISPLAYS: return s->outputs;
    case REG_GMR_MAX_IDS: return SVGA_GMRS;
    case REG_GMR_MAX_PAGES: return SVGA_GMR_PAGES;
    default: return 0;
    }
}

static uint32_t read_mode(const struct svga *s, uint32_t index)
{
    switch (index) {
    case REG_DEPTH: return s->bpp == 32 ? 24 : s->bpp;
    case REG_BPP: return s->bpp;
    case REG_RED_MASK: return s->bpp == 16 ? 0xf800 : s->bpp == 15 ? 0x7c00 : 0xff0000;
    case REG_GREEN_MASK: return s->bpp == 16 ? 0x7e0 : s->bpp == 15 ? 0x3e0 : 0xff00;
    case REG_BLUE_MASK: return s->bpp <= 16 ? 0x1f : 0xff;
    case REG_BYTES_PER_LINE: return svga_pitch(s);
    default: return MIN((uint64_t)svga_pitch(s) * s->height, s->vga.vram_bytes); /* FB_SIZE */
    }
}

/* A switch over the register map. */
static uint32_t read_register(struct device *d, uint32_t index)
{
    struct svga *s = d->state;
    if (index >= REG_SCRATCH)
        return index - REG_SCRATCH < SVGA_SCRATCH ? s->scratch[index - REG_SCRATCH] : 0;
    if (index >= REG_PALETTE)
        return s->palette[index - REG_PALETTE];
    switch (index) {
    case REG_ID: return s->id;
    case REG_ENABLE: return s->enable;
    case REG_WIDTH: return s->width;
    case REG_HEIGHT: return s->height;
    case REG_DEPTH:
    case REG_BPP:
    case REG_RED_MASK:
    case REG_GREEN_MASK:
    case REG_BLUE_MASK:
    case REG_BYTES_PER_LINE:
    case REG_FB_SIZE: return read_mode(s, index);
    case REG_FB_START: return bar_of(d, PCI_BAR1);
    case REG_MEM_START: return bar_of(d, PCI_BAR2);
    case REG_CONFIG_DONE: return s->config_done;
    case REG_BUSY: return read_busy(d);
    case REG_GUEST_ID: return s->guest_id;
    case REG_CURSOR_ID: return s->cursor_id;
    case REG_CURSOR_X: return s->cursor.x;
    case REG_CURSOR_Y: return s->cursor.y;
    case REG_CURSOR_ON: return s->cursor.on;
    case REG_PITCHLOCK: return s->pitchlock;
    case REG_IRQ_MASK: return s->irq_mask;
    case REG_GMR_ID: return s->gmr_id;
    case REG_TRACES: return s->traces;
    default: return read_fixed(s, index);
    }
}

static uint64_t svga_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    struct svga *s = d->state;
    if (region != SVGA_PORTS)
        return vga_read(d, region, offset, size);
    switch (offset) {
    case PORT_INDEX: return s->index;
    case PORT_VALUE: return read_register(d, s->index);
    case PORT_BIOS: return 0;
    case PORT_IRQ_STATUS: return s->irq_status;
    default: return UINT64_MAX;
    }
}

/* ---- write ---- */

/* The GFB's layout is set: screens are gone. */
static void set_mode(struct svga *s, uint32_t *which, uint32_t value)
{
    if (*which == value && svga_has_screens(s))
        return;
    *which = value;
    svga_screens_forget(s);
    s->vga.redraw = true;
}

static void set_enable(struct device *d, uint32_t value)
{
    struct svga *s = d->state;
    bool was = s->enable & ENABLE;
    s->enable = value & (ENABLE | HIDE);
    s->vga.redraw = true;
    bool off = was && !(s->enable & ENABLE);
    if (off || !svga_has_screens(s))
        svga_screens_forget(s);
    if (off)
        s->config_done = 0;
}

static void set_config_done(struct device *d, uint32_t value)
{
    struct svga *s = d->state;
    s->config_done = !!value;
    if (!value)
        return;
    if (svga_fifo_has(s, FIFO_CAPABILITIES))
        svga_fifo_put(s, FIFO_CAPABILITIES, FIFO_CAPS);
    if (svga_fifo_has(s, FIFO_FLAGS))
        svga_fifo_put(s, FIFO_FLAGS, 0);
    s->cursor.count = svga_fifo_get(s, FIFO_CURSOR_COUNT);
}

static void sync_fifo(struct device *d)
{
    svga_fifo_run(d);
}

static void set_place_in_lines(struct svga *s, uint32_t index, uint32_t value)
{
    switch (index) {
    case REG_WIDTH: set_mode(s, &s->width, CLAMP(value, 1, SVGA_MAX_SIDE)); break;
    case REG_HEIGHT: set_mode(s, &s->height, CLAMP(value, 1, SVGA_MAX_SIDE)); break;
    case REG_PITCHLOCK: set_mode(s, &s->pitchlock, MIN(value, s->vga.vram_bytes)); break;
    default:
        if (value == 15 || value == 16 || value == 24 || value == 32)
            set_mode(s, &s->bpp, value);
        break;
    }
}

/* A switch over the register map. */
static void write_register(struct device *d, uint32_t index, uint32_t value)
{
    struct svga *s = d->state;
    if (index >= REG_SCRATCH && index - REG_SCRATCH < SVGA_SCRATCH)
        s->scratch[index - REG_SCRATCH] = value;
    if (index >= REG_PALETTE && index < REG_SCRATCH)
        s->palette[index - REG_PALETTE] = value & 0xff;
    switch (index) {
    case REG_ID:
        if (value >= ID_0 && value <= ID_2)
            s->id = value;
        break;
    case REG_ENABLE: set_enable(d, value); break;
    case REG_WIDTH:
    case REG_HEIGHT:
    case REG_PITCHLOCK:
    case REG_BPP: set_place_in_lines(s, index, value); break;
    case REG_CONFIG_DONE: set_config_done(d, value); break;
    case REG_SYNC: sync_fifo(d); break;
    case REG_GUEST_ID: s->guest_id = value; break;
    case REG_CURSOR_ID: s->cursor_id = value; break;
    case REG_CURSOR_X: s->cursor.x = value; break;
    case REG_CURSOR_Y: s->cursor.y = value; break;
    case REG_CURSOR_ON: s->cursor.on = value & 1; break;
    case REG_IRQ_MASK:
        s->irq_mask = value;
        update_line(d);
        break;
    case REG_GMR_ID: s->gmr_id = value; break;
    case REG_TRACES: s->traces = !!value; break;
    default: break;
    }
}

static void svga_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    struct svga *s = d->state;
    if (region != SVGA_PORTS) {
        vga_write(d, region, offset, size, value);
        return;
    }
    switch (offset) {
    case PORT_INDEX: s->index = value; break;
    case PORT_VALUE: write_register(d, s->index, value); break;
    case PORT_IRQ_STATUS:
        s->irq_status &= ~(uint32_t)value;
        update_line(d);
        break;
    default: break;
    }
}

/* ---- set-up ---- */

static char *svga_text(struct device *d)
{
    return svga_shows_vga(d->state) ? vga_text(d) : NULL;
}

static bool load_sizes(struct device *d, const struct config *c, uint64_t *bytes, GError **error)
{
    struct svga *s = d->state;
    int64_t screens = 1;
    g_autofree char *resolution = config_string(c, "resolution");
    *bytes = VRAM;
    if (g_key_file_has_key(c->file, c->section, "memory", NULL) && !config_size(c, "memory", bytes, error))
        return false;
    if (!config_number(c, "screens", &screens, error))
        return false;
    s->outputs = CLAMP(screens, 1, SVGA_SCREENS);
    /* what is not two numbers is refused below */
    return sscanf(resolution, "%ux%u", &s->asked_width, &s->asked_height) == 2 || true;
}

/* Until its driver is there: what that will find. */
static bool svga_ask_size(struct device *d, unsigned output, uint32_t width, uint32_t height)
{
    struct svga *s = d->state;
    bool good = !output && !(s->enable & ENABLE) && width <= SVGA_MAX_SIDE && height <= SVGA_MAX_SIDE;
    if (good) {
        s->asked_width = s->width = width;
        s->asked_height = s->height = height;
    }
    return good;
}

static bool svga_init(struct device *d, const struct config *c, GError **error)
{
    static const struct display_source source = {.refresh = svga_refresh, .text = svga_text, .ask_size = svga_ask_size};
    struct svga *s = d->state;
    uint64_t bytes;
    if (!load_sizes(d, c, &bytes, error) || !vga_set_up(d, c, bytes, ROM_FILE, error))
        return false;
    s->fifo = (uint32_t *)dev_memory(d, SVGA_FIFO, SVGA_FIFO_BYTES, false);
    if (!s->fifo) {
        g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_NOMEM, "No room for the graphics card's FIFO");
        return false;
    }
    s->command = g_malloc0(SVGA_COMMAND_BYTES);
    s->row = g_malloc0(SVGA_MAX_SIDE * 4);
    for (unsigned i = 0; i < s->outputs; i++)
        s->display[i] = display_attach(d, &source, i);
    s->vga.display = s->display[0];
    return true;
}

static void svga_fini(struct device *d)
{
    struct svga *s = d->state;
    for (unsigned i = 0; i < s->outputs; i++)
        g_clear_pointer(&s->display[i], display_detach);
    svga_gmr_clear(s);
    g_clear_pointer(&s->cursor.argb, g_free);
    g_clear_pointer(&s->command, g_free);
    g_clear_pointer(&s->row, g_free);
    vga_free_parts(&s->vga);
}

static void svga_reset(struct device *d)
{
    struct svga *s = d->state;
    vga_registers_reset(&s->vga);
    s->index = s->enable = s->pitchlock = s->config_done = s->guest_id = s->cursor_id = 0;
    s->irq_mask = s->irq_status = s->gmr_id = 0;
    s->id = ID_2;
    s->traces = 1;
    s->more_at = DEV_NEVER;
    s->width = s->asked_width;
    s->height = s->asked_height;
    s->bpp = 32;
    memset(s->scratch, 0, sizeof s->scratch);
    memset(s->palette, 0, sizeof s->palette);
    memset(s->fifo, 0, FIFO_WORDS * 4);
    svga_fifo_put(s, FIFO_CURSOR_SCREEN, SVGA_NONE);
    s->gmrfb.bpp = 0;
    s->cursor.on = false;
    s->cursor.x = s->cursor.y = s->cursor.count = 0;
    s->cursor.screen = SVGA_NONE;
    svga_gmr_clear(s);
    svga_screens_forget(s);
}

/* ---- sync ---- */

static bool registers_sync(struct svga *s, struct stream *stream)
{
    uint32_t *const words[] = {&s->index,     &s->id,     &s->enable,    &s->config_done, &s->guest_id,
                               &s->cursor_id, &s->traces, &s->pitchlock, &s->irq_mask,    &s->irq_status,
                               &s->gmr_id,    &s->width,  &s->height,    &s->bpp};
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
        stream_u32(stream, words[i]);
    for (unsigned i = 0; i < SVGA_SCRATCH; i++)
        stream_u32(stream, &s->scratch[i]);
    for (unsigned i = 0; i < SVGA_PALETTE; i++)
        stream_u32(stream, &s->palette[i]);
    stream_u64(stream, &s->more_at);
    bool mode = s->width && s->width <= SVGA_MAX_SIDE && s->height && s->height <= SVGA_MAX_SIDE &&
                s->pitchlock <= s->vga.vram_bytes;
    return stream_ok(stream) && mode && (s->bpp == 15 || s->bpp == 16 || s->bpp == 24 || s->bpp == 32);
}

static bool svga_sync(struct device *d, struct stream *stream, uint32_t version)
{
    struct svga *s = d->state;
    bool good = vga_registers_sync(&s->vga, stream) && registers_sync(s, stream) && svga_screens_sync(s, stream) &&
                svga_gmr_sync(s, stream) && svga_cursor_sync(s, stream);
    if (good && stream->loading) {
        update_line(d);
        svga_fifo_arm(d, s->more_at); /* what was under way goes on */
    }
    return good;
}

static const struct pci_ids ids = {
    .vendor = 0x15ad,
    .device = 0x0405,
    .subsystem_vendor = 0x15ad,
    .subsystem = 0x0405,
    .class_code = 0x030000,
    .interrupt_pin = 1,
};

const struct device_ops svga_ops = {
    .name = "svga",
    .state_bytes = sizeof(struct svga),
    .version = 1,
    .regions =
        {
            [VGA_PORTS_MONO] = {.bus = BUS_PORT, .base = 0x3b0, .bytes = 12, .min_size = 1, .max_size = 1},
            [VGA_PORTS] = {.bus = BUS_PORT, .base = 0x3c0, .bytes = 32, .min_size = 1, .max_size = 1},
            [VGA_PORTS_VBE] = {.bus = BUS_PORT, .base = 0x1ce, .bytes = 4, .min_size = 1, .max_size = 2},
            [VGA_WINDOW] = {.bus = BUS_MEM, .base = 0xa0000, .bytes = 0x20000, .min_size = 1, .max_size = 8},
            [VGA_LFB] =
                {.bus = BUS_MEM, .bytes = VRAM, .min_size = 1, .max_size = 8, .bar = BAR1, .prefetchable = true},
            [VGA_ROM] = {.bus = BUS_MEM, .bytes = 64 << 10, .min_size = 1, .max_size = 8, .bar = BAR_ROM},
            [SVGA_PORTS] = {.bus = BUS_PORT, .bytes = 16, .min_size = 1, .max_size = 4, .bar = BAR0},
            [SVGA_FIFO] = {.bus = BUS_MEM, .bytes = SVGA_FIFO_BYTES, .min_size = 1, .max_size = 8, .bar = BAR2},
        },
    .pci = &ids,
    .init = svga_init,
    .reset = svga_reset,
    .read = svga_read,
    .write = svga_write,
    .sync = svga_sync,
    .fini = svga_fini,
};
