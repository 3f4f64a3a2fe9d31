// SPDX-License-Identifier: GPL-2.0-or-later
/* vga_vbe.c - the Bochs display interface (ports 1CE/1CF) and the memory-mapped registers of BAR 2.
 * Spec: Bochs VBE_DISPI documentation; "QEMU Standard VGA" for BAR 2:
 *   000-0ff EDID, 400-41f VGA ports 3C0-3DF, 500-515 the display interface, 600 size of this block, 604 byte order. */
#include "devices/video/vga.h"
#include "core-vmm/base/bytes.h"

enum { ID_FIRST = 0xb0c0, ID_LAST = 0xb0c5 };
enum { MMIO_VGA = 0x400, MMIO_VBE = 0x500, MMIO_EXTENSION = 0x600, MMIO_BYTE_ORDER = 0x604 };
#define LITTLE_ENDIAN_MARK 0x1e1e1e1eu

static bool bpp_known(unsigned bpp)
{
    return bpp == 4 || bpp == 8 || bpp == 15 || bpp == 16 || bpp == 24 || bpp == 32;
}

/* Bytes of one line of the virtual screen.  With 4 bits: in each of the four planes. */
static uint32_t line_bytes(const struct vga *s)
{
    unsigned bpp = s->vbe[VBE_BPP];

    return bpp == 4 ? s->vbe[VBE_VIRT_WIDTH] / 8 : s->vbe[VBE_VIRT_WIDTH] * ((bpp + 7u) / 8);
}

/* After any change: bring the registers into range, so that the guest reads back what it really got. */
static void sanitize(struct vga *s)
{
    uint32_t room = s->vbe[VBE_BPP] == 4 ? s->vram_bytes / 4 : s->vram_bytes;
    uint16_t *vbe = s->vbe;

    if (!bpp_known(vbe[VBE_BPP]))
        vbe[VBE_BPP] = 8;
    vbe[VBE_XRES] = CLAMP(vbe[VBE_XRES], 8, VBE_MAX_XRES);
    vbe[VBE_YRES] = CLAMP(vbe[VBE_YRES], 1, VBE_MAX_YRES);
    if (vbe[VBE_BPP] == 4)
        vbe[VBE_XRES] &= ~7;
    vbe[VBE_VIRT_WIDTH] = MAX(vbe[VBE_VIRT_WIDTH], vbe[VBE_XRES]);
    if (vbe[VBE_BPP] == 4)
        vbe[VBE_VIRT_WIDTH] = MIN(vbe[VBE_VIRT_WIDTH] + 7, 0xfff8) & ~7;
    vbe[VBE_VIRT_HEIGHT] = MIN(room / line_bytes(s), 0xffff);
}

static void enable(struct vga *s, uint16_t value)
{
    bool was = s->vbe[VBE_ENABLE] & VBE_ENABLED;

    s->vbe[VBE_ENABLE] = value;
    if (!(value & VBE_ENABLED)) {
        s->vbe[VBE_BANK] = 0;
        return;
    }
    if (was)
        return;
    s->vbe[VBE_VIRT_WIDTH] = s->vbe[VBE_X_OFFSET] = s->vbe[VBE_Y_OFFSET] = s->vbe[VBE_BANK] = 0;
    sanitize(s);
    if (!(value & VBE_NO_CLEAR)) {
        uint64_t used = (uint64_t)line_bytes(s) * s->vbe[VBE_YRES] * (s->vbe[VBE_BPP] == 4 ? 4 : 1);
        memset(s->vram, 0, MIN(used, s->vram_bytes));
        vga_touch(s, 0, s->vram_bytes);
    }
}

static uint16_t capability(const struct vga *s, unsigned index)
{
    switch (index) {
    case VBE_XRES: return VBE_MAX_XRES;
    case VBE_YRES: return VBE_MAX_YRES;
    case VBE_BPP: return 32;
    default: return s->vbe[index];
    }
}

uint16_t vga_vbe_read(struct vga *s, unsigned index)
{
    if (index >= VBE_REGS)
        return 0;
    if (s->vbe[VBE_ENABLE] & VBE_GETCAPS)
        return capability(s, index);
    return s->vbe[index];
}

void vga_vbe_write(struct vga *s, unsigned index, uint16_t value)
{
    switch (index) {
    case VBE_ID:
        if (value >= ID_FIRST && value <= ID_LAST)
            s->vbe[VBE_ID] = value;
        break;
    case VBE_XRES:
    case VBE_YRES:
    case VBE_BPP:
    case VBE_VIRT_WIDTH:
        s->vbe[index] = value;
        if (s->vbe[VBE_ENABLE] & VBE_ENABLED)
            sanitize(s);
        break;
    case VBE_X_OFFSET:
    case VBE_Y_OFFSET: s->vbe[index] = value; break;
    case VBE_BANK: s->vbe[VBE_BANK] = value & (s->vram_bytes / 65536 - 1); break;
    case VBE_ENABLE: enable(s, value); break;
    default: break; /* virtual height and memory size are read-only */
    }
}

void vga_vbe_reset(struct vga *s)
{
    memset(s->vbe, 0, sizeof s->vbe);
    s->vbe_index = 0;
    s->vbe[VBE_ID] = ID_LAST;
    s->vbe[VBE_BPP] = 8;
    s->vbe[VBE_MEMORY_64K] = s->vram_bytes / 65536;
}

/* The guest may be anywhere in setting a mode; so out-of-range values are only repaired where they would count. */
void vga_vbe_loaded(struct vga *s)
{
    s->vbe[VBE_BANK] &= s->vram_bytes / 65536 - 1;
    s->vbe[VBE_MEMORY_64K] = s->vram_bytes / 65536;
    if (s->vbe[VBE_ENABLE] & VBE_ENABLED)
        sanitize(s);
}

/* ---- ports: offset 0 index, 1 data; 2 is data again for CPUs that cannot do odd words ---- */

uint64_t vga_vbe_port_read(struct vga *s, uint64_t offset, unsigned size)
{
    uint16_t value = offset == 0 ? s->vbe_index : vga_vbe_read(s, s->vbe_index);

    return size == 1 ? value & 0xff : value;
}

void vga_vbe_port_write(struct vga *s, uint64_t offset, unsigned size, uint64_t value)
{
    if (offset == 0)
        s->vbe_index = value;
    else
        vga_vbe_write(s, s->vbe_index, value);
}

/* ---- BAR 2 ---- */

static uint16_t mmio_read16(struct device *d, unsigned offset, unsigned size)
{
    struct vga *s = d->state;
    uint16_t value = 0;

    if (offset + size <= sizeof s->edid)
        value = get_le16(s->edid + (offset & ~1u)) >> (8 * (offset & 1));
    else if (offset >= MMIO_VGA && offset < MMIO_VGA + 0x20 && size == 1)
        value = vga_port_read(d, 0x3c0 + offset - MMIO_VGA);
    else if (offset >= MMIO_VGA && offset < MMIO_VGA + 0x1f)
        value = vga_port_read(d, 0x3c0 + offset - MMIO_VGA) | vga_port_read(d, 0x3c1 + offset - MMIO_VGA) << 8;
    else if (offset >= MMIO_VBE && offset < MMIO_VBE + 2 * VBE_REGS)
        value = vga_vbe_read(s, (offset - MMIO_VBE) / 2) >> (8 * (offset & 1));
    else if (offset == MMIO_EXTENSION)
        value = 8; /* bytes in this block */
    else if (offset >= MMIO_BYTE_ORDER && offset < MMIO_BYTE_ORDER + 4)
        value = LITTLE_ENDIAN_MARK & 0xffff;
    return size == 1 ? value & 0xff : value;
}

uint64_t vga_mmio_read(struct device *d, uint64_t offset, unsigned size)
{
    uint64_t value = mmio_read16(d, offset, MIN(size, 2));

    return size == 4 ? value | (uint64_t)mmio_read16(d, offset + 2, 2) << 16 : value;
}

static void mmio_write16(struct device *d, unsigned offset, unsigned size, uint16_t value)
{
    if (offset >= MMIO_VGA && offset + size <= MMIO_VGA + 0x20) {
        vga_port_write(d, 0x3c0 + offset - MMIO_VGA, value);
        if (size == 2)
            vga_port_write(d, 0x3c1 + offset - MMIO_VGA, value >> 8);
    } else if (offset >= MMIO_VBE && offset < MMIO_VBE + 2 * VBE_REGS) {
        vga_vbe_write(d->state, (offset - MMIO_VBE) / 2, value);
    }
}

void vga_mmio_write(struct device *d, uint64_t offset, unsigned size, uint64_t value)
{
    mmio_write16(d, offset, MIN(size, 2), value);
    if (size == 4)
        mmio_write16(d, offset + 2, 2, value >> 16);
}
