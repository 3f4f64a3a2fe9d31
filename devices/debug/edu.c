// SPDX-License-Identifier: GPL-2.0-or-later
/* edu.c - a PCI function to try PCI with, after QEMU's "edu" device (docs/specs/edu.rst there), which drivers in textbooks
 * are written for: a register that inverts, factorials, interrupts by INTx and MSI, and DMA to and from a buffer of its own.
 *
 * The model edu-msix has in addition what newer functions bring: MSI-X, several maskable MSI messages, a 64-bit BAR with 64
 * KiB of memory, an expansion ROM, and a capability of its own.  Unlike the original, both compute in no time, reach all of
 * RAM, and have a register at 68h that sends a message by its number. */
#include "core-vmm/base/bytes.h"
#include "devices/all.h"

/* Registers. */
enum { IDENTITY = 0x00, INVERT = 0x04, FACTORIAL = 0x08, STATUS = 0x20, IRQ_STATUS = 0x24, RAISE = 0x60, ACK = 0x64 };
enum { MESSAGE = 0x68, DMA_FROM = 0x80, DMA_TO = 0x88, DMA_COUNT = 0x90, DMA_COMMAND = 0x98 };
enum { IDENTITY_VALUE = 0x010000ed, STATUS_IRQ = 0x80, IRQ_FACTORIAL = 0x01, IRQ_DMA = 0x100 };
enum { DMA_START = 1, DMA_TO_RAM = 2, DMA_IRQ = 4, DMA_WRITABLE = 7 };
enum { REGION_REGISTERS, REGION_MEMORY, REGION_TABLE, REGION_ROM };
enum { BUFFER = 0x40000, BUFFER_BYTES = 4096, MEMORY_BYTES = 65536, ROM_BYTES = 4096, DMA_NS = 100000 };

struct edu {
    uint32_t invert, factorial, status, irq;
    uint64_t dma_from, dma_to, dma_count, dma_command;
    uint64_t dma_due; /* guest time; DEV_NEVER: none is under way */
    uint8_t buffer[BUFFER_BYTES];
};

static void raise_irq(struct device *d, uint32_t bits)
{
    struct edu *e = d->state;
    e->irq |= bits;
    dev_irq(d, 0, e->irq != 0);
    if (e->irq)
        dev_msi(d, 0);
}

/* ---- DMA ---- */

static uint8_t *buffer_at(struct edu *e, uint64_t at, uint64_t bytes)
{
    at -= BUFFER;
    return at <= BUFFER_BYTES && bytes <= BUFFER_BYTES - at ? e->buffer + at : NULL;
}

static void dma_copy(struct device *d)
{
    struct edu *e = d->state;
    bool to_ram = e->dma_command & DMA_TO_RAM;
    uint64_t gpa = to_ram ? e->dma_to : e->dma_from, bytes = e->dma_count;
    uint8_t *own = buffer_at(e, to_ram ? e->dma_from : e->dma_to, bytes);
    uint8_t *ram = own && bytes ? dev_dma(d, gpa, bytes, to_ram) : NULL;
    if (!ram) {
        dev_log(d, "a transfer of %" G_GUINT64_FORMAT " bytes that leaves the buffer or RAM is not done", bytes);
        return;
    }
    memcpy(to_ram ? ram : own, to_ram ? own : ram, bytes);
    if (to_ram)
        dev_dma_done(d, gpa, bytes);
}

static void dma_due(struct device *d)
{
    struct edu *e = d->state;
    dma_copy(d);
    e->dma_due = DEV_NEVER;
    e->dma_command &= ~DMA_START;
    if (e->dma_command & DMA_IRQ)
        raise_irq(d, IRQ_DMA);
}

static void dma_command(struct device *d, uint64_t v)
{
    struct edu *e = d->state;
    e->dma_command = v & DMA_WRITABLE;
    if (!(v & DMA_START))
        return;
    e->dma_due = dev_now(d) + DMA_NS;
    dev_timer(d, 0, e->dma_due, dma_due);
}

/* ---- registers ---- */

static uint64_t *dma_register(struct edu *e, uint64_t offset)
{
    switch (offset & ~7ull) {
    case DMA_FROM: return &e->dma_from;
    case DMA_TO: return &e->dma_to;
    case DMA_COUNT: return &e->dma_count;
    case DMA_COMMAND: return &e->dma_command;
    }
    return NULL;
}

static uint32_t register_read(struct edu *e, uint64_t offset)
{
    const uint64_t *dma = dma_register(e, offset);
    if (dma)
        return *dma >> (offset & 4) * 8;
    switch (offset) {
    case IDENTITY: return IDENTITY_VALUE;
    case INVERT: return ~e->invert;
    case FACTORIAL: return e->factorial;
    case STATUS: return e->status;
    case IRQ_STATUS: return e->irq;
    }
    return 0;
}

/* Words and double words at their own addresses; what is put elsewhere is lost, as in the original. */
static uint64_t edu_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    if (region != REGION_REGISTERS || offset & (size - 1))
        return 0;
    uint64_t v = register_read(d->state, offset);
    return size == 8 ? v | (uint64_t)register_read(d->state, offset + 4) << 32 : v;
}

static uint32_t factorial(uint32_t n)
{
    uint32_t product = 1;
    for (; n > 1 && product; n--) /* from 34! on there are 32 zero bits at the end */
        product *= n;
    return product;
}

static void register_write(struct device *d, uint64_t offset, uint32_t v)
{
    struct edu *e = d->state;
    switch (offset) {
    case INVERT: e->invert = v; break;
    case FACTORIAL:
        e->factorial = factorial(v);
        if (e->status & STATUS_IRQ)
            raise_irq(d, IRQ_FACTORIAL);
        break;
    case STATUS: e->status = v & STATUS_IRQ; break;
    case RAISE: raise_irq(d, v); break;
    case ACK:
        e->irq &= ~v;
        dev_irq(d, 0, e->irq != 0);
        break;
    case MESSAGE: dev_msi(d, v); break;
    }
}

/* While a transfer is under way, its registers stand. */
static void dma_write(struct device *d, uint64_t *to, unsigned shift, unsigned size, uint64_t v)
{
    struct edu *e = d->state;
    uint64_t mask = size == 8 ? UINT64_MAX : 0xffffffffull << shift;
    v = (*to & ~mask) | (v << shift & mask);
    if (e->dma_due != DEV_NEVER)
        return;
    if (to == &e->dma_command)
        dma_command(d, v);
    else
        *to = v;
}

static void edu_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t v)
{
    if (region != REGION_REGISTERS || offset & (size - 1))
        return;
    uint64_t *dma = dma_register(d->state, offset);
    if (dma)
        dma_write(d, dma, (offset & 4) * 8, size, v);
    else if (size == 4)
        register_write(d, offset, v);
}

static void edu_reset(struct device *d)
{
    *(struct edu *)d->state = (struct edu){.dma_due = DEV_NEVER};
}

/* An image that a BIOS finds whole, calls, and that returns at once (PCI Firmware Specification 3.0, chapter 5.1). */
static void make_rom(uint8_t *rom, const struct pci_ids *ids)
{
    static const uint8_t head[] = {0x55, 0xaa, ROM_BYTES / 512, 0xcb /* RETF */};
    enum { DATA = 0x1c, DATA_BYTES = 0x18, LAST_IMAGE = 0x80 };
    uint8_t *data = rom + DATA, sum = 0;
    memcpy(rom, head, sizeof head);
    put_le16(rom + 0x18, DATA);
    memcpy(data, "PCIR", 4);
    put_le16(data + 4, ids->vendor);
    put_le16(data + 6, ids->device);
    put_le16(data + 0xa, DATA_BYTES);
    put_le32(data + 0xc, ids->class_code << 8);
    put_le16(data + 0x10, ROM_BYTES / 512);
    data[0x15] = LAST_IMAGE;
    for (unsigned i = 0; i < ROM_BYTES; i++)
        sum += rom[i];
    rom[ROM_BYTES - 1] = -sum;
}

static bool edu_msix_init(struct device *d, const struct config *c, GError **error)
{
    uint8_t *rom = dev_memory(d, REGION_ROM, ROM_BYTES, true);
    if (!rom || !dev_memory(d, REGION_MEMORY, MEMORY_BYTES, false)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOMEM, "%s: [%s]: no room for its memory and ROM", c->path,
                    c->section);
        return false;
    }
    make_rom(rom, d->ops->pci);
    return true;
}

static bool edu_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct edu *e = d->state;
    stream_u32(s, &e->invert);
    stream_u32(s, &e->factorial);
    stream_u32(s, &e->status);
    stream_u32(s, &e->irq);
    stream_u64(s, &e->dma_from);
    stream_u64(s, &e->dma_to);
    stream_u64(s, &e->dma_count);
    stream_u64(s, &e->dma_command);
    stream_u64(s, &e->dma_due);
    stream_raw(s, e->buffer, sizeof e->buffer);
    if (s->loading) {
        dev_irq(d, 0, e->irq != 0);
        dev_timer(d, 0, e->dma_due, dma_due);
    }
    return stream_ok(s);
}

static const struct pci_capability edu_capabilities[] = {{.id = PCI_CAP_MSI, .vectors = 1}, {0}};
static const struct pci_ids edu_ids = {
    .vendor = 0x1234,
    .device = 0x11e8,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
    .class_code = 0x00ff00,
    .revision = 0x10,
    .interrupt_pin = 1,
    .capabilities = edu_capabilities,
};

const struct device_ops edu_ops = {
    .name = "edu",
    .state_bytes = sizeof(struct edu),
    .version = 1,
    .regions = {[REGION_REGISTERS] = {.bus = BUS_MEM, .bytes = 1 << 20, .min_size = 4, .max_size = 8, .bar = BAR0}},
    .pci = &edu_ids,
    .reset = edu_reset,
    .read = edu_read,
    .write = edu_write,
    .sync = edu_sync,
};

/* The vendor's capability: its length, then two bytes to read and two to write. */
static const uint8_t own_content[] = {8, 0xed, 0x01, 0, 0, 0}, own_writable[] = {0, 0, 0, 0, 0xff, 0xff};
static const struct pci_capability edu_msix_capabilities[] = {
    {.id = PCI_CAP_MSIX, .vectors = 5, .region = REGION_TABLE, .table = 0, .pending = 0x800},
    {.id = PCI_CAP_VENDOR, .bytes = 8, .content = own_content, .writable = own_writable},
    {.id = PCI_CAP_MSI, .at = 0xa0, .vectors = 4, .maskable = true},
    {0}};
static const struct pci_ids edu_msix_ids = {
    .vendor = 0x1234,
    .device = 0x11e9,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
    .class_code = 0x00ff00,
    .revision = 0x10,
    .interrupt_pin = 1,
    .capabilities = edu_msix_capabilities,
};

const struct device_ops edu_msix_ops = {
    .name = "edu-msix",
    .state_bytes = sizeof(struct edu),
    .version = 1,
    .regions = {[REGION_REGISTERS] = {.bus = BUS_MEM, .bytes = 1 << 20, .min_size = 4, .max_size = 8, .bar = BAR0},
                [REGION_MEMORY] = {.bus = BUS_MEM,
                                   .bytes = MEMORY_BYTES,
                                   .min_size = 1,
                                   .max_size = 8,
                                   .bar = BAR2,
                                   .wide = true,
                                   .prefetchable = true},
                [REGION_TABLE] = {.bus = BUS_MEM, .bytes = 4096, .min_size = 1, .max_size = 8, .bar = BAR4},
                [REGION_ROM] = {.bus = BUS_MEM, .bytes = ROM_BYTES, .min_size = 1, .max_size = 8, .bar = BAR_ROM}},
    .pci = &edu_msix_ids,
    .init = edu_msix_init,
    .reset = edu_reset,
    .read = edu_read,
    .write = edu_write,
    .sync = edu_sync,
};
