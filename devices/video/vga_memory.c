// SPDX-License-Identifier: GPL-2.0-or-later
/* vga_memory.c - the VGA's window at A0000-BFFFF: how a byte of it reaches the four planes.
 * Spec: IBM VGA XGA Technical Reference (1992), "Graphics Controller Registers" and "Memory Map Select".
 *
 * An address of the window selects planes and an offset in them in one of three ways:
 *   chain-4    the two low bits name the plane; in the offset address bits 14 and 15 take their place, as the CRTC's
 *              doubleword addressing expects (mode 13h);
 *   odd/even   the low bit chooses planes 0+2 or 1+3 (text, CGA modes);
 *   planar     the offset goes to all planes, map mask and read map select choose.
 * With a VBE mode of 8 or more bits per pixel the window shows 64 KiB of the linear frame buffer instead.
 *
 * Work on the planes is done on one 32-bit word: byte p belongs to plane p. */
#include "devices/video/vga.h"

enum { MISC_RAM = 2 };
enum { SEQ4_NOT_ODD_EVEN = 4, SEQ4_CHAIN_4 = 8 };
enum { GC5_READ_MODE = 8, GC5_ODD_EVEN = 0x10 };
enum { GC6_CHAIN_ODD_EVEN = 2 };

/* Nibble -> 0xff in each byte whose bit is set. */
static uint32_t planes_mask(unsigned nibble)
{
    return (nibble & 1) * 0xffu | (nibble >> 1 & 1) * 0xff00u | (nibble >> 2 & 1) * 0xff0000u |
           (nibble >> 3 & 1) * 0xff000000u;
}

static uint32_t all_planes(uint8_t byte)
{
    return byte * 0x01010101u;
}

void vga_touch(struct vga *s, uint32_t offset, uint32_t bytes)
{
    for (uint32_t page = offset >> 12; page <= (offset + bytes - 1) >> 12; page++)
        s->dirty[page >> 6] |= 1ull << (page & 63);
}

/* Window offset -> offset in the 128 KiB the memory map shows; false: nothing there. */
static bool decode_window(const struct vga *s, uint64_t *offset)
{
    static const struct {
        uint32_t base, bytes;
    } maps[4] = {{0, 0x20000}, {0, 0x10000}, {0x10000, 0x8000}, {0x18000, 0x8000}};
    unsigned map = s->gc[GC_MISC] >> 2 & 3;

    *offset -= maps[map].base; /* below it: wraps to a huge number */
    return (s->misc & MISC_RAM) && *offset < maps[map].bytes;
}

static bool is_linear(const struct vga *s)
{
    return (s->vbe[VBE_ENABLE] & VBE_ENABLED) && s->vbe[VBE_BPP] >= 8;
}

static uint32_t bank(const struct vga *s)
{
    return s->vbe[VBE_ENABLE] & VBE_ENABLED ? (uint32_t)s->vbe[VBE_BANK] << 16 : 0;
}

/* Offset in a plane -> index of the word in video RAM.  A plain VGA has 64 KiB per plane. */
static uint32_t word_index(const struct vga *s, uint32_t offset)
{
    uint32_t mask = s->vbe[VBE_ENABLE] & VBE_ENABLED ? s->vram_bytes / 4 - 1 : 0xffff;

    return (offset + bank(s)) & mask;
}

static uint32_t *word_at(const struct vga *s, uint32_t offset)
{
    return (uint32_t *)s->vram + word_index(s, offset);
}

static uint32_t chain_4_offset(uint32_t offset)
{
    return (offset & ~3u) | (offset >> 14 & 3);
}

/* ---- read ---- */

/* Read mode 1: a bit is set where all planes of interest have the colour to compare with. */
static uint8_t compare_colour(const struct vga *s)
{
    uint32_t differs = (s->latch ^ planes_mask(s->gc[GC_COLOUR_COMPARE])) & planes_mask(s->gc[GC_DONT_CARE]);

    differs |= differs >> 16;
    return ~(differs | differs >> 8);
}

static uint8_t read_byte(struct vga *s, uint32_t offset)
{
    unsigned plane = s->gc[GC_READ_MAP];

    if (s->seq[SEQ_MEMORY_MODE] & SEQ4_CHAIN_4) {
        plane = offset & 3;
        offset = chain_4_offset(offset);
    } else if (s->gc[GC_MODE] & GC5_ODD_EVEN) {
        plane = (plane & 2) | (offset & 1);
        if (s->gc[GC_MISC] & GC6_CHAIN_ODD_EVEN)
            offset &= ~1u;
    }
    s->latch = *word_at(s, offset);
    if (s->gc[GC_MODE] & GC5_READ_MODE)
        return compare_colour(s);
    return s->latch >> (8 * plane);
}

static uint8_t read_one(struct vga *s, uint64_t offset)
{
    if (is_linear(s))
        return offset < 0x10000 ? s->vram[(offset + bank(s)) & (s->vram_bytes - 1)] : 0xff;
    return decode_window(s, &offset) ? read_byte(s, offset) : 0xff;
}

uint64_t vga_window_read(struct device *d, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)read_one(d->state, offset + i) << (8 * i);
    return value;
}

/* ---- write ---- */

/* Bits of the CPU's word (or latch) by the logical function, then the bit mask: 0 bits come from the latch. */
static uint32_t logic_and_mask(const struct vga *s, uint32_t word, uint32_t bit_mask)
{
    switch (s->gc[GC_ROTATE] >> 3 & 3) {
    case 1: word &= s->latch; break;
    case 2: word |= s->latch; break;
    case 3: word ^= s->latch; break;
    }
    return (word & bit_mask) | (s->latch & ~bit_mask);
}

static uint8_t rotate(const struct vga *s, uint8_t value)
{
    unsigned n = s->gc[GC_ROTATE] & 7;

    return value >> n | value << (8 - n);
}

static uint32_t through_write_mode(const struct vga *s, uint8_t value)
{
    uint32_t bit_mask = all_planes(s->gc[GC_BIT_MASK]), enable, colour = planes_mask(s->gc[GC_SET_RESET]);

    switch (s->gc[GC_MODE] & 3) {
    case 0:
        enable = planes_mask(s->gc[GC_ENABLE_SET_RESET]);
        return logic_and_mask(s, (all_planes(rotate(s, value)) & ~enable) | (colour & enable), bit_mask);
    case 1: return s->latch;
    case 2: return logic_and_mask(s, planes_mask(value & 15), bit_mask);
    default: return logic_and_mask(s, colour, bit_mask & all_planes(rotate(s, value)));
    }
}

static void write_byte(struct vga *s, uint32_t offset, uint8_t value)
{
    unsigned planes = s->seq[SEQ_MAP_MASK];
    uint32_t *word, mask;

    if (s->seq[SEQ_MEMORY_MODE] & SEQ4_CHAIN_4) {
        planes &= 1u << (offset & 3);
        offset = chain_4_offset(offset);
    } else if (!(s->seq[SEQ_MEMORY_MODE] & SEQ4_NOT_ODD_EVEN)) {
        planes &= offset & 1 ? 0xa : 0x5;
        if (s->gc[GC_MISC] & GC6_CHAIN_ODD_EVEN)
            offset &= ~1u;
    }
    word = word_at(s, offset);
    mask = planes_mask(planes);
    *word = (through_write_mode(s, value) & mask) | (*word & ~mask);
    vga_touch(s, word_index(s, offset) * 4, 4);
}

static void write_one(struct vga *s, uint64_t offset, uint8_t value)
{
    if (!is_linear(s)) {
        if (decode_window(s, &offset))
            write_byte(s, offset, value);
    } else if (offset < 0x10000) {
        offset = (offset + bank(s)) & (s->vram_bytes - 1);
        s->vram[offset] = value;
        vga_touch(s, offset, 1);
    }
}

void vga_window_write(struct device *d, uint64_t offset, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++)
        write_one(d->state, offset + i, value >> (8 * i));
}
