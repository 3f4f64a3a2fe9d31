// SPDX-License-Identifier: GPL-2.0-or-later
/* piix3_ide.c - IDE function of the PIIX3: two channels at the ISA addresses, and the bus master.
 * Specs: Intel 82371SB, order number 290550; "Programming Interface for Bus Master IDE Controller" revision 1.0.
 *
 * Lines: 0 primary, 1 secondary channel.  The sections ide0-ide3 of machine.ini are primary master and slave, secondary
 * master and slave; whatever has no section is not connected.  Timing registers are stored; the channels answer whether
 * or not they are enabled there. */
#include "core-vmm/base/bytes.h"
#include "devices/all.h"
#include "devices/storage/ata_board.h"
#include "devices/storage/ide.h"

/* Registers. */
enum { REGION_COMMAND0, REGION_CONTROL0, REGION_COMMAND1, REGION_CONTROL1, REGION_BUS_MASTER };
enum { BM_COMMAND, BM_STATUS = 2, BM_TABLE = 4, BM_CHANNEL = 8 };
enum { COMMAND_START = 1, COMMAND_TO_MEMORY = 8, COMMAND_BITS = COMMAND_START | COMMAND_TO_MEMORY };
enum { STATUS_ACTIVE = 1, STATUS_ERROR = 2, STATUS_INTERRUPT = 4, STATUS_CAPABLE = 0x60, CFG_TIMING = 0x40 };
#define PRD_LAST 0x80000000u

/* State: the two channels. */
struct ide {
    struct ide_channel channel[2];
};

/* ---- bus master ---- */
static void stop(struct ide_channel *c, uint8_t error)
{
    c->bm_status = (c->bm_status & ~STATUS_ACTIVE) | error;
    c->prd_left = 0;
}

/* The next descriptor; false when there is none, or it cannot be read. */
static bool next_descriptor(struct device *d, struct ide_channel *c)
{
    const uint8_t *p;

    if (c->prd_last) {
        stop(c, 0);
        return false;
    }
    p = dev_dma(d, c->prd_next, 8, false);
    if (!p) {
        dev_log(d, "descriptor at 0x%x is not in RAM", c->prd_next);
        stop(c, STATUS_ERROR);
        return false;
    }
    c->prd_base = get_le32(p) & ~1u;
    c->prd_left = get_le32(p + 4) & 0xfffe;
    if (!c->prd_left)
        c->prd_left = 0x10000;
    c->prd_last = get_le32(p + 4) & PRD_LAST;
    c->prd_next += 8;
    return true;
}

/* At most a page, so that what is RAM gets its part also when the rest of the descriptor is not. */
static bool move_piece(struct device *d, struct ide_channel *c, bool to_memory)
{
    struct ide_transfer *t = &c->t;
    uint32_t n = MIN(MIN(c->prd_left, t->filled - t->position), 4096 - (c->prd_base & 4095));
    uint8_t *p = dev_dma(d, c->prd_base, n, to_memory);

    if (!p) {
        dev_log(d, "DMA at 0x%x is not in RAM", c->prd_base);
        stop(c, STATUS_ERROR);
        return false;
    }
    if (to_memory) {
        memcpy(p, c->buffer + t->position, n);
        dev_dma_done(d, c->prd_base, n);
    } else {
        memcpy(c->buffer + t->position, p, n);
    }
    t->position += n;
    c->prd_base += n;
    c->prd_left -= n;
    return true;
}

/* A table that ends early leaves the drive waiting, as the real one does; one that leads nowhere ends the command. */
bool ide_bus_master_move(struct device *d, struct ide_channel *c, bool to_memory)
{
    if (!(c->bm_status & STATUS_ACTIVE))
        return false;
    if (to_memory != !!(c->bm_command & COMMAND_TO_MEMORY)) {
        dev_log(d, "bus master set to the wrong direction");
        stop(c, STATUS_ERROR);
    }
    while ((c->bm_status & STATUS_ACTIVE) && c->t.position < c->t.filled)
        if ((c->prd_left || next_descriptor(d, c)) && !move_piece(d, c, to_memory))
            break;
    if (c->bm_status & STATUS_ERROR) {
        ide_fail(d, c, ERROR_ABRT);
        return false;
    }
    if (c->t.position < c->t.filled)
        return false;
    if (!c->prd_left && c->prd_last && c->t.left == c->t.chunk)
        stop(c, 0);
    return true;
}

static void command_write(struct device *d, struct ide_channel *c, uint8_t value)
{
    bool start = (value & COMMAND_START) && !(c->bm_command & COMMAND_START);

    if (!(value & COMMAND_START))
        stop(c, 0);
    c->bm_command = value & COMMAND_BITS;
    if (!start)
        return;
    c->bm_status |= STATUS_ACTIVE;
    c->prd_next = c->prd_table;
    c->prd_left = 0;
    c->prd_last = false;
    ide_dma_go(d, c);
}

static uint8_t bus_master_read(struct ide_channel *c, unsigned reg)
{
    switch (reg) {
    case BM_COMMAND: return c->bm_command;
    case BM_STATUS: return c->bm_status;
    case BM_TABLE:
    case BM_TABLE + 1:
    case BM_TABLE + 2:
    case BM_TABLE + 3: return c->prd_table >> (reg - BM_TABLE) * 8;
    default: return 0;
    }
}

static void bus_master_write(struct device *d, struct ide_channel *c, unsigned reg, uint8_t value)
{
    unsigned shift = (reg & 3) * 8;

    switch (reg) {
    case BM_COMMAND: command_write(d, c, value); break;
    case BM_STATUS:
        c->bm_status &= ~(value & (STATUS_ERROR | STATUS_INTERRUPT)) & ~STATUS_CAPABLE;
        c->bm_status |= value & STATUS_CAPABLE;
        break;
    case BM_TABLE:
    case BM_TABLE + 1:
    case BM_TABLE + 2:
    case BM_TABLE + 3: c->prd_table = ((c->prd_table & ~(0xffu << shift)) | (uint32_t)value << shift) & ~3u; break;
    default: break;
    }
}

/* ---- ports ---- */
static uint64_t piix3_ide_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    struct ide *s = d->state;
    struct ide_channel *c = &s->channel[region == REGION_COMMAND1 || region == REGION_CONTROL1];
    uint64_t value = 0;

    if (region == REGION_CONTROL0 || region == REGION_CONTROL1)
        return ide_alternate_status(c);
    if (region != REGION_BUS_MASTER && offset == 0)
        return ide_data_read(d, c, size);
    for (unsigned n = 0; n < size; n++, offset++) {
        uint8_t byte = region == REGION_BUS_MASTER
                           ? bus_master_read(&s->channel[offset >= BM_CHANNEL], offset & (BM_CHANNEL - 1))
                           : ide_read(d, c, offset & 7);
        value |= (uint64_t)byte << n * 8;
    }
    return value;
}

static void piix3_ide_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    struct ide *s = d->state;
    struct ide_channel *c = &s->channel[region == REGION_COMMAND1 || region == REGION_CONTROL1];

    if (region == REGION_CONTROL0 || region == REGION_CONTROL1) {
        ide_control_write(d, c, value);
        return;
    }
    if (region != REGION_BUS_MASTER && offset == 0) {
        ide_data_write(d, c, size, value);
        return;
    }
    for (unsigned n = 0; n < size; n++, offset++, value >>= 8) {
        if (region == REGION_BUS_MASTER)
            bus_master_write(d, &s->channel[offset >= BM_CHANNEL], offset & (BM_CHANNEL - 1), value);
        else
            ide_write(d, c, offset & 7, value);
    }
}

/* ---- set-up ---- */
bool piix3_ide_geometry(struct device *d, unsigned number, struct disk_geometry *drive, struct disk_geometry *bios)
{
    struct ide *s = d->state;
    const struct ata_drive *v = &s->channel[number >> 1].drive[number & 1];

    *drive = v->geometry;
    *bios = v->bios_geometry;
    return v->medium && !v->cdrom;
}

/* The drive knows its controller only; the state tells which of four it is. */
static void medium_changed(struct device *d, struct drive *medium)
{
    struct ide *s = d->state;

    for (unsigned n = 0; n < 4; n++)
        if (s->channel[n >> 1].drive[n & 1].medium == medium)
            atapi_medium_changed(&s->channel[n >> 1].drive[n & 1]);
}

static bool open_drive(struct device *d, struct ata_drive *v, unsigned number, const struct config *c, GError **error)
{
    static const char *const sections[] = {"ide0", "ide1", "ide2", "ide3"};
    struct config section = {c->file, c->path, sections[number]};

    if (!c->file || !g_key_file_has_group(c->file, section.section))
        return true;
    if (!ata_open(d, v, &section, number, false, error))
        return false;
    if (v->cdrom)
        drive_on_change(v->medium, medium_changed);
    return true;
}

static void piix3_ide_fini(struct device *d)
{
    struct ide *s = d->state;

    for (unsigned n = 0; n < 4; n++)
        if (s->channel[n >> 1].drive[n & 1].medium)
            drive_close(s->channel[n >> 1].drive[n & 1].medium);
}

static bool piix3_ide_init(struct device *d, const struct config *c, GError **error)
{
    struct ide *s = d->state;

    memset(dev_pci_writable(d) + CFG_TIMING, 0xff, 4);
    for (unsigned n = 0; n < 4; n++) {
        s->channel[n >> 1].index = n >> 1;
        disk_geometry_choose(0, NULL, &s->channel[n >> 1].drive[n & 1].geometry,
                             &s->channel[n >> 1].drive[n & 1].bios_geometry);
        if (!open_drive(d, &s->channel[n >> 1].drive[n & 1], n, c, error)) {
            piix3_ide_fini(d); /* core does not call it for a device that failed */
            return false;
        }
    }
    return true;
}

static void piix3_ide_reset(struct device *d)
{
    struct ide *s = d->state;

    memset(dev_pci_config(d) + CFG_TIMING, 0, 4);
    ide_channel_reset(d, &s->channel[0]);
    ide_channel_reset(d, &s->channel[1]);
}

/* ---- saved state ---- */
static void sync_transfer(struct stream *s, struct ide_transfer *t)
{
    uint32_t *words[] = {&t->left, &t->chunk, &t->sector_bytes, &t->block};

    stream_u8(s, &t->phase);
    stream_u8(s, &t->task);
    stream_u8(s, &t->unit);
    stream_bool(s, &t->dma);
    stream_bool(s, &t->packet);
    stream_bool(s, &t->raw);
    stream_bool(s, &t->begun);
    stream_u64(s, &t->lba);
    for (unsigned n = 0; n < G_N_ELEMENTS(words); n++)
        stream_u32(s, words[n]);
    stream_check_u32(s, &t->filled, IDE_BUFFER);
    stream_check_u32(s, &t->end, t->filled);
    stream_check_u32(s, &t->position, t->end > t->filled ? t->end : t->filled);
}

/* What indexes or divides must be within bounds, whatever file it came from. */
static bool is_sane(const struct ide_channel *c)
{
    const struct ide_transfer *t = &c->t;
    bool sectors = t->sector_bytes == ATA_SECTOR || t->sector_bytes == CD_SECTOR;

    for (unsigned n = 0; n < 2; n++)
        if (!ata_is_sane(&c->drive[n]))
            return false;
    if (t->phase >= IDE_PHASES || t->task >= IDE_TASKS || t->unit > 1 || c->selected > 1)
        return false;
    if (t->phase == IDE_IDLE)
        return true;
    return c->drive[t->unit].medium && t->block && t->chunk <= t->left &&
           (t->chunk == 0 || (sectors && t->chunk <= IDE_BUFFER / (t->raw ? CD_RAW_SECTOR : t->sector_bytes)));
}

static void sync_channel(struct stream *s, struct ide_channel *c)
{
    ata_sync(s, &c->drive[0]);
    ata_sync(s, &c->drive[1]);
    sync_transfer(s, &c->t);
    stream_u8(s, &c->selected);
    stream_u8(s, &c->control);
    stream_bool(s, &c->intrq);
    stream_u8(s, &c->bm_command);
    stream_u8(s, &c->bm_status);
    stream_u32(s, &c->prd_table);
    stream_u32(s, &c->prd_next);
    stream_u32(s, &c->prd_base);
    stream_check_u32(s, &c->prd_left, 0x10000);
    stream_bool(s, &c->prd_last);
    stream_raw(s, c->buffer, c->t.filled);
}

static bool piix3_ide_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct ide *ide = d->state;

    for (unsigned n = 0; n < 2; n++) {
        struct ide_channel *c = &ide->channel[n];
        sync_channel(s, c);
        if (!s->loading)
            continue;
        if (!stream_ok(s) || !is_sane(c))
            return false;
        ide_resume(d, c);
    }
    return stream_ok(s);
}

static const struct pci_ids ids = {
    .vendor = 0x8086,
    .device = 0x7010,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
    .class_code = 0x010180,
};

#define COMMAND(where)                                                                                                 \
    {                                                                                                                  \
        .bus = BUS_PORT, .base = where, .bytes = 8, .min_size = 1, .max_size = 4                                       \
    }
#define CONTROL(where)                                                                                                 \
    {                                                                                                                  \
        .bus = BUS_PORT, .base = where, .bytes = 1, .min_size = 1, .max_size = 1                                       \
    }

const struct device_ops piix3_ide_ops = {
    .name = "piix3-ide",
    .state_bytes = sizeof(struct ide),
    .version = 2,
    .regions = {[REGION_COMMAND0] = COMMAND(0x1f0),
                [REGION_CONTROL0] = CONTROL(0x3f6),
                [REGION_COMMAND1] = COMMAND(0x170),
                [REGION_CONTROL1] = CONTROL(0x376),
                [REGION_BUS_MASTER] = {.bus = BUS_PORT, .bytes = 16, .min_size = 1, .max_size = 4, .bar = BAR4}},
    .pci = &ids,
    .init = piix3_ide_init,
    .reset = piix3_ide_reset,
    .read = piix3_ide_read,
    .write = piix3_ide_write,
    .sync = piix3_ide_sync,
    .fini = piix3_ide_fini,
};
