// SPDX-License-Identifier: GPL-2.0-or-later
/* vga.c - VGA with the Bochs display extensions, as a PCI function 1234:1111: I/O ports, saved state, table.
 * Spec: IBM VGA XGA Technical Reference (1992), chapter 2; Bochs VBE_DISPI interface; "standard-vga" of QEMU's documents
 * for the registers in BAR 2.
 *
 * Kept without effect: the vertical interrupt, light pen, interlace, the position of the retraces in the picture (CR04),
 * skews (CR03, CR05), the overscan colour (there is no border), the status multiplexer (AR12 bits 4, 5), the shift-load bits
 * of SR01, counting by two and four (CR14, CR17), the CRTC's test bits and the polarity of the retraces. */
#include "devices/all.h"
#include "devices/video/vga.h"
#include <stdio.h>
#include <string.h>

/* Registers. */
enum {
    PORT_ATTR = 0x3c0,
    PORT_ATTR_READ,
    PORT_MISC,
    PORT_ENABLE,
    PORT_SEQ_INDEX,
    PORT_SEQ,
    PORT_DAC_MASK,
    PORT_DAC_READ,
    PORT_DAC_WRITE,
    PORT_DAC,
    PORT_FEATURE_READ,
    PORT_MISC_READ = 0x3cc,
    PORT_GC_INDEX = 0x3ce,
    PORT_GC,
    PORT_CRTC_INDEX = 0x3d4,
    PORT_CRTC,
    PORT_STATUS = 0x3da,
};
enum { MISC_COLOUR = 1, ATTR_CONNECTED = 0x20, CRTC_PROTECT = 0x80, STATUS0_SENSE = 0x10, SEQ_SCREEN_OFF = 0x20 };
enum { PCI_REVISION = 8, PCI_BAR0 = 0x10, PCI_BAR2 = 0x18, PCI_PREFETCHABLE = 8 };
#define VRAM_BYTES (16u << 20) /* in the table, until key memory says how many there are */
#define ROM_BYTES  (64u << 10)
#define ROM_FILE   "/usr/share/seabios/vgabios-stdvga.bin"

/* The CRTC and its neighbours answer at 3Bx or at 3Dx.  Returns the 3Dx name of a port, or 0 for one that is asleep. */
static unsigned awake_port(const struct vga *s, unsigned port)
{
    bool mono = (port & ~0xfu) == 0x3b0, moves = mono || (port & ~0xfu) == 0x3d0;

    if (!moves)
        return port;
    if (mono == !!(s->misc & MISC_COLOUR))
        return 0;
    return mono ? port + 0x20 : port;
}

static uint8_t dac_read(struct vga *s)
{
    uint8_t value = s->dac[s->dac_index][s->dac_component];

    if (++s->dac_component == 3) {
        s->dac_component = 0;
        s->dac_index++;
    }
    return value;
}

/* The three parts of a colour take effect together, when the third arrives. */
static void dac_write(struct vga *s, uint8_t value)
{
    s->dac_buffer[s->dac_component] = value;
    if (++s->dac_component < 3)
        return;
    s->dac_component = 0;
    memcpy(s->dac[s->dac_index++], s->dac_buffer, 3);
}

static void note_dark(struct device *d)
{
    struct vga *s = d->state;
    bool dark = !(s->attr_index & ATTR_CONNECTED) || (s->seq[SEQ_CLOCKING] & SEQ_SCREEN_OFF);

    if (!dark)
        s->dark_since = DEV_NEVER;
    else if (s->dark_since == DEV_NEVER)
        s->dark_since = dev_now(d);
}

static void attr_write(struct device *d, uint8_t value)
{
    static const uint8_t bits[ATTR_REGS] = {[0 ... 15] = 0x3f,    [ATTR_MODE] = 0xef,    [ATTR_OVERSCAN] = 0xff,
                                            [ATTR_PLANES] = 0x3f, [ATTR_PANNING] = 0x0f, [ATTR_COLOUR_SELECT] = 0x0f};
    struct vga *s = d->state;
    unsigned index = s->attr_index & 0x1f;

    if (!s->attr_data) {
        s->attr_index = value & 0x3f;
        note_dark(d);
    } else if (index < ATTR_REGS) {
        s->attr[index] = value & bits[index];
    }
    s->attr_data = !s->attr_data;
}

static void seq_write(struct device *d, uint8_t value)
{
    static const uint8_t bits[SEQ_REGS] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
    struct vga *s = d->state;

    if (s->seq_index < SEQ_REGS)
        s->seq[s->seq_index] = value & bits[s->seq_index];
    note_dark(d);
}

static void gc_write(struct vga *s, uint8_t value)
{
    static const uint8_t bits[GC_REGS] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};

    if (s->gc_index < GC_REGS)
        s->gc[s->gc_index] = value & bits[s->gc_index];
}

static void crtc_write(struct vga *s, uint8_t value)
{
    uint8_t *reg = &s->crtc[s->crtc_index % CRTC_REGS];

    if (s->crtc_index >= CRTC_REGS)
        return;
    if (s->crtc_index > CRTC_OVERFLOW || !(s->crtc[CRTC_RETRACE_END] & CRTC_PROTECT))
        *reg = value;
    else if (s->crtc_index == CRTC_OVERFLOW) /* line compare stays writable */
        *reg = (*reg & ~0x10) | (value & 0x10);
}

/* ---- read ---- */

/* A switch over the register map. */
uint8_t vga_port_read(struct device *d, unsigned port)
{
    struct vga *s = d->state;

    switch (awake_port(s, port)) {
    case PORT_ATTR: return s->attr_index;
    case PORT_ATTR_READ: return (s->attr_index & 0x1f) < ATTR_REGS ? s->attr[s->attr_index & 0x1f] : 0;
    case PORT_MISC: return STATUS0_SENSE;
    case PORT_ENABLE: return 1;
    case PORT_SEQ_INDEX: return s->seq_index;
    case PORT_SEQ: return s->seq_index < SEQ_REGS ? s->seq[s->seq_index] : 0;
    case PORT_DAC_MASK: return s->dac_mask;
    case PORT_DAC_READ: return s->dac_read_mode ? 3 : 0;
    case PORT_DAC_WRITE: return s->dac_index;
    case PORT_DAC: return dac_read(s);
    case PORT_FEATURE_READ: return s->feature;
    case PORT_MISC_READ: return s->misc;
    case PORT_GC_INDEX: return s->gc_index;
    case PORT_GC: return s->gc_index < GC_REGS ? s->gc[s->gc_index] : 0;
    case PORT_CRTC_INDEX: return s->crtc_index;
    case PORT_CRTC: return s->crtc_index < CRTC_REGS ? s->crtc[s->crtc_index] : 0;
    case PORT_STATUS: s->attr_data = false; return vga_status(d);
    default: return 0xff;
    }
}

uint64_t vga_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    switch (region) {
    case VGA_PORTS_MONO: return vga_port_read(d, 0x3b0 + offset);
    case VGA_PORTS: return vga_port_read(d, 0x3c0 + offset);
    case VGA_PORTS_VBE: return vga_vbe_port_read(d->state, offset, size);
    case VGA_WINDOW: return vga_window_read(d, offset, size);
    case VGA_MMIO: return vga_mmio_read(d, offset, size);
    default: return UINT64_MAX; /* the rest is memory that the guest reads without us */
    }
}

/* ---- write ---- */

/* A switch over the register map. */
void vga_port_write(struct device *d, unsigned port, uint8_t value)
{
    struct vga *s = d->state;

    switch (awake_port(s, port)) {
    case PORT_ATTR: attr_write(d, value); break;
    case PORT_MISC: s->misc = value & 0xef; break;
    case PORT_SEQ_INDEX: s->seq_index = value & 7; break;
    case PORT_SEQ: seq_write(d, value); break;
    case PORT_DAC_MASK: s->dac_mask = value; break;
    case PORT_DAC_READ:
    case PORT_DAC_WRITE:
        s->dac_index = value;
        s->dac_component = 0;
        s->dac_read_mode = port == PORT_DAC_READ;
        break;
    case PORT_DAC: dac_write(s, value); break;
    case PORT_GC_INDEX: s->gc_index = value & 0xf; break;
    case PORT_GC: gc_write(s, value); break;
    case PORT_CRTC_INDEX: s->crtc_index = value & 0x3f; break;
    case PORT_CRTC: crtc_write(s, value); break;
    case PORT_STATUS: s->feature = value & 0x0b; break;
    default: break;
    }
}

void vga_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    switch (region) {
    case VGA_PORTS_MONO: vga_port_write(d, 0x3b0 + offset, value); break;
    case VGA_PORTS: vga_port_write(d, 0x3c0 + offset, value); break;
    case VGA_PORTS_VBE: vga_vbe_port_write(d->state, offset, size, value); break;
    case VGA_WINDOW: vga_window_write(d, offset, size, value); break;
    case VGA_MMIO: vga_mmio_write(d, offset, size, value); break;
    default: break; /* the ROM */
    }
}

/* ---- set-up ---- */

static void fill_spread(struct vga *s)
{
    for (unsigned n = 0; n < 256; n++)
        for (unsigned bit = 0; bit < 8; bit++)
            s->spread[n] |= (uint32_t)(n >> bit & 1) << (4 * bit);
}

static bool load_rom(struct device *d, const struct config *c, const char *usual, GError **error)
{
    g_autofree char *path = config_path(c, "rom"), *bytes = NULL;
    uint8_t *rom = dev_memory(d, VGA_ROM, ROM_BYTES, true);
    gsize n;

    if (!rom) {
        g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_NOMEM, "No room for the video BIOS");
        return false;
    }
    if (!path)
        path = g_strdup(usual);
    if (!g_file_get_contents(path, &bytes, &n, error)) {
        g_prefix_error(error, "The video BIOS cannot be read (package seabios, or key rom in [%s]): ", c->section);
        return false;
    }
    if (n < 3 || n > ROM_BYTES || (uint8_t)bytes[0] != 0x55 || (uint8_t)bytes[1] != 0xaa) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                    "%s is no video BIOS: it is longer than 64 KiB or does not "
                    "begin with the bytes 55 AA",
                    path);
        return false;
    }
    memcpy(rom, bytes, n);
    return true;
}

/* Key resolution: what the monitor prefers. */
static bool load_edid(struct device *d, const struct config *c, GError **error)
{
    struct vga *s = d->state;
    g_autofree char *text = config_string(c, "resolution");
    unsigned width = 0, height = 0;
    char rest;

    if (sscanf(text, "%ux%u%c", &width, &height, &rest) != 2 || width < 320 || width > 4095 || height < 200 ||
        height > 4095) {
        g_set_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
                    "%s: [%s] resolution = %s: must be WIDTHxHEIGHT from 320x200 to 4095x4095", c->path, c->section,
                    text);
        return false;
    }
    edid_make(s->edid, "Terrarium", width, height);
    return true;
}

/* Without BAR 2 there is no EDID either.  The usual video BIOS reads it there by a 32-bit address whenever it is asked
 * for it: that needs 4 GiB segments in real mode, as SeaBIOS has them.  Other firmware runs a video BIOS with the 64 KiB
 * of real mode, where such a read is a #GP that nobody expects. */
static bool set_up_mmio(struct device *d, const struct config *c, GError **error)
{
    const struct config machine = {c->file, c->path, "machine"};
    g_autofree char *firmware = config_string(&machine, "firmware");
    static const char *const known[] = {"bios", "uefi", "uefi-secure", NULL};
    bool there = g_strv_contains(known, firmware);

    if (!config_flag(c, "mmio", &there, error))
        return false;
    if (!there) {
        memset(dev_pci_writable(d) + PCI_BAR2, 0, 4);
        dev_pci_config(d)[PCI_REVISION] = 0;
    }
    return true;
}

bool vga_set_up(struct device *d, const struct config *c, uint32_t bytes, const char *rom, GError **error)
{
    struct vga *s = d->state;

    if (!load_edid(d, c, error) || !load_rom(d, c, rom, error))
        return false;
    s->vram_bytes = bytes;
    s->vram = dev_memory(d, VGA_LFB, bytes, false);
    if (!s->vram) {
        g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_NOMEM, "No room for the video memory");
        return false;
    }
    s->dirty = g_new0(uint64_t, bytes / 4096 / 64);
    s->glyphs = g_malloc0(2 * 256 * 32);
    s->line = g_new0(uint32_t, VBE_MAX_XRES + 2 * 8); /* a 4-bit mode has a character more than it shows */
    fill_spread(s);
    return true;
}

static bool vga_init(struct device *d, const struct config *c, GError **error)
{
    static const struct display_source source = {.refresh = vga_refresh, .text = vga_text};
    struct vga *s = d->state;
    uint64_t bytes;

    if (!config_size(c, "memory", &bytes, error) || !set_up_mmio(d, c, error) ||
        !vga_set_up(d, c, bytes, ROM_FILE, error))
        return false;
    s->display = display_attach(d, &source, 0);
    return true;
}

void vga_free_parts(struct vga *s)
{
    g_clear_pointer(&s->dirty, g_free);
    g_clear_pointer(&s->glyphs, g_free);
    g_clear_pointer(&s->line, g_free);
    g_clear_pointer(&s->cells, g_free);
}

static void vga_fini(struct device *d)
{
    struct vga *s = d->state;

    g_clear_pointer(&s->display, display_detach);
    vga_free_parts(s);
}

void vga_registers_reset(struct vga *s)
{
    s->misc = s->feature = s->seq_index = s->crtc_index = s->gc_index = s->attr_index = 0;
    memset(s->seq, 0, sizeof s->seq);
    memset(s->crtc, 0, sizeof s->crtc);
    memset(s->gc, 0, sizeof s->gc);
    memset(s->attr, 0, sizeof s->attr);
    memset(s->dac, 0, sizeof s->dac);
    s->dac_mask = 0xff;
    s->dac_index = s->dac_component = 0;
    s->attr_data = s->dac_read_mode = false;
    s->latch = 0;
    s->dark_since = 0; /* long ago: a reset screen is black at once */
    vga_vbe_reset(s);
    s->redraw = true;
}

static void vga_reset(struct device *d)
{
    dev_pci_config(d)[PCI_BAR0] |= PCI_PREFETCHABLE;
    vga_registers_reset(d->state);
}

/* ---- sync ---- */

bool vga_registers_sync(struct vga *s, struct stream *stream)
{
    stream_u8(stream, &s->misc);
    stream_u8(stream, &s->feature);
    stream_u8(stream, &s->seq_index);
    stream_raw(stream, s->seq, sizeof s->seq);
    stream_u8(stream, &s->crtc_index);
    stream_raw(stream, s->crtc, sizeof s->crtc);
    stream_u8(stream, &s->gc_index);
    stream_raw(stream, s->gc, sizeof s->gc);
    stream_u8(stream, &s->attr_index);
    stream_raw(stream, s->attr, sizeof s->attr);
    stream_bool(stream, &s->attr_data);
    stream_raw(stream, s->dac, sizeof s->dac);
    stream_u8(stream, &s->dac_mask);
    stream_u8(stream, &s->dac_index);
    stream_u8(stream, &s->dac_component);
    stream_raw(stream, s->dac_buffer, sizeof s->dac_buffer);
    stream_bool(stream, &s->dac_read_mode);
    stream_u32(stream, &s->latch);
    stream_u64(stream, &s->dark_since);
    stream_u16(stream, &s->vbe_index);
    for (unsigned i = 0; i < VBE_REGS; i++)
        stream_u16(stream, &s->vbe[i]);
    if (stream->loading) {
        s->dac_component %= 3;
        vga_vbe_loaded(s);
        s->redraw = true;
    }
    return stream_ok(stream);
}

static bool vga_sync(struct device *d, struct stream *stream, uint32_t version)
{
    return vga_registers_sync(d->state, stream);
}

static const struct pci_ids ids = {
    .vendor = 0x1234,
    .device = 0x1111,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
    .class_code = 0x030000,
    .revision = 2, /* has the registers in BAR 2 */
};

const struct device_ops vga_ops = {
    .name = "vga",
    .state_bytes = sizeof(struct vga),
    .version = 1,
    .regions =
        {
            [VGA_PORTS_MONO] = {.bus = BUS_PORT, .base = 0x3b0, .bytes = 12, .min_size = 1, .max_size = 1},
            [VGA_PORTS] = {.bus = BUS_PORT, .base = 0x3c0, .bytes = 32, .min_size = 1, .max_size = 1},
            [VGA_PORTS_VBE] = {.bus = BUS_PORT, .base = 0x1ce, .bytes = 4, .min_size = 1, .max_size = 2},
            [VGA_WINDOW] = {.bus = BUS_MEM, .base = 0xa0000, .bytes = 0x20000, .min_size = 1, .max_size = 8},
            [VGA_LFB] = {.bus = BUS_MEM, .bytes = VRAM_BYTES, .min_size = 1, .max_size = 8, .bar = BAR0},
            [VGA_MMIO] = {.bus = BUS_MEM, .bytes = 4096, .min_size = 1, .max_size = 4, .bar = BAR2},
            [VGA_ROM] = {.bus = BUS_MEM, .bytes = ROM_BYTES, .min_size = 1, .max_size = 8, .bar = BAR_ROM},
        },
    .pci = &ids,
    .init = vga_init,
    .reset = vga_reset,
    .read = vga_read,
    .write = vga_write,
    .sync = vga_sync,
    .fini = vga_fini,
};
