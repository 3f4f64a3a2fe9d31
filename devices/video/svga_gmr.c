// SPDX-License-Identifier: GPL-2.0-or-later
/* svga_gmr.c - guest memory regions of a VMware SVGA II: lists of pages of the guest's RAM, by number.
 * Spec: VMware's svga_reg.h, DEFINE_GMR2 and REMAP_GMR2.  Those that were described by the register GMR_DESCRIPTOR are not there. */
#include "core-vmm/base/bytes.h"
#include "devices/video/svga.h"

#define PAGE_BYTES 4096u
#define NO_PAGE    UINT64_MAX
#define PAGE_LAST  (UINT64_C(1) << 40)

static void drop(struct svga *s, struct svga_gmr *g)
{
    s->gmr_pages -= g->pages;
    g_clear_pointer(&g->page, g_free);
    g->pages = 0;
}

static bool make(struct svga *s, struct svga_gmr *g, uint32_t pages)
{
    drop(s, g);
    if (pages > SVGA_GMR_PAGES - s->gmr_pages)
        return false;
    g->page = pages ? g_new(uint64_t, pages) : NULL;
    g->pages = pages;
    s->gmr_pages += pages;
    for (uint32_t i = 0; i < pages; i++)
        g->page[i] = NO_PAGE;
    return true;
}

void svga_gmr_clear(struct svga *s)
{
    for (unsigned i = 0; i < SVGA_GMRS; i++)
        drop(s, &s->gmr[i]);
}

void svga_gmr_define(struct device *d, const uint32_t *a)
{
    struct svga *s = d->state;
    s->work += a[0] < SVGA_GMRS ? MIN(a[1], SVGA_GMR_PAGES) * sizeof(uint64_t) : 0;
    if (a[0] >= SVGA_GMRS || !make(s, &s->gmr[a[0]], a[1]))
        dev_log(d, "memory region %u of %u pages is beyond what there is", a[0], a[1]);
}

/* ---- remapping ---- */

enum { VIA_GMR = 1, PPN64 = 2, SINGLE = 4 };

/* Number i of the list of pages, which comes with the command or lies in a region. */
static uint64_t page_number(struct device *d, const uint32_t *a, uint32_t i)
{
    unsigned bytes = a[1] & PPN64 ? 8 : 4;
    uint8_t raw[8];
    if (a[1] & SINGLE)
        i = 0;
    if (!(a[1] & VIA_GMR))
        memcpy(raw, (const uint8_t *)(a + 4) + (size_t)i * bytes, bytes);
    else if (!svga_gmr_read(d, a[4], a[5] + (uint64_t)i * bytes, raw, bytes))
        return NO_PAGE;
    uint64_t n = bytes == 8 ? get_le64(raw) : get_le32(raw);
    return n < PAGE_LAST ? n : NO_PAGE;
}

/* a: number, flags, first page, how many; then the list, which the FIFO has found to be all there. */
void svga_gmr_remap(struct device *d, const uint32_t *a, uint32_t words)
{
    struct svga *s = d->state;
    struct svga_gmr *g = a[0] < SVGA_GMRS ? &s->gmr[a[0]] : NULL;
    if (!g || a[2] > g->pages || a[3] > g->pages - a[2]) {
        dev_log(d, "memory region %u has no %u pages from page %u on", a[0], a[3], a[2]);
        return;
    }
    for (uint32_t i = 0; i < a[3]; i++)
        g->page[a[2] + i] = page_number(d, a, i);
    s->work += (uint64_t)a[3] * (a[1] & VIA_GMR ? 64 : 8);
}

/* ---- access ---- */

/* What lies at an offset: a piece of at most *bytes, which becomes the piece's size.  NULL: nothing. */
static uint8_t *piece(struct device *d, uint32_t gmr, uint64_t offset, uint32_t *bytes, bool write, uint64_t *gpa)
{
    struct svga *s = d->state;
    *gpa = NO_PAGE;
    if (gmr == SVGA_FRAMEBUFFER)
        return offset <= s->vga.vram_bytes && *bytes <= s->vga.vram_bytes - offset ? s->vga.vram + offset : NULL;
    const struct svga_gmr *g = gmr < SVGA_GMRS ? &s->gmr[gmr] : NULL;
    uint64_t page = offset / PAGE_BYTES;
    if (!g || page >= g->pages || g->page[page] == NO_PAGE)
        return NULL;
    *bytes = MIN(*bytes, PAGE_BYTES - offset % PAGE_BYTES);
    *gpa = g->page[page] * PAGE_BYTES + offset % PAGE_BYTES;
    return dev_dma(d, *gpa, *bytes, write);
}

bool svga_gmr_read(struct device *d, uint32_t gmr, uint64_t offset, void *to, uint32_t bytes)
{
    uint8_t *out = to;
    uint64_t gpa;
    for (uint32_t n; bytes; bytes -= n, offset += n, out += n) {
        n = bytes;
        const uint8_t *from = piece(d, gmr, offset, &n, false, &gpa);
        if (!from)
            return false;
        memmove(out, from, n); /* a region may be video RAM, too */
    }
    return true;
}

bool svga_gmr_write(struct device *d, uint32_t gmr, uint64_t offset, const void *from, uint32_t bytes)
{
    const uint8_t *in = from;
    uint64_t gpa;
    for (uint32_t n; bytes; bytes -= n, offset += n, in += n) {
        n = bytes;
        uint8_t *to = piece(d, gmr, offset, &n, true, &gpa);
        if (!to)
            return false;
        memmove(to, in, n);
        if (gpa != NO_PAGE)
            dev_dma_done(d, gpa, n);
    }
    return true;
}

/* ---- sync ---- */

bool svga_gmr_sync(struct svga *s, struct stream *stream)
{
    for (unsigned i = 0; i < SVGA_GMRS; i++) {
        struct svga_gmr *g = &s->gmr[i];
        uint32_t pages = g->pages;
        stream_u32(stream, &pages);
        if (stream->loading && (!stream_ok(stream) || !make(s, g, pages)))
            return false;
        for (uint32_t n = 0; n < pages; n++)
            stream_u64(stream, &g->page[n]);
        for (uint32_t n = 0; n < pages && stream->loading; n++)
            if (g->page[n] >= PAGE_LAST)
                g->page[n] = NO_PAGE;
    }
    return stream_ok(stream);
}
