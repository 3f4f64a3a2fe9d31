// SPDX-License-Identifier: GPL-2.0-or-later
/* ata.c - commands of an ATA disk.  Spec: ATA/ATAPI-6 (T13/1410D) chapter 8; the CHS commands after ATA-3.
 * No SMART, security, host protected area or power-saving that shows: those commands abort, or succeed without effect. */
#include "core-vmm/base/bytes.h"
#include "devices/storage/ide.h"

enum { MULTIPLE_MAX = 16 };
enum { MODE_PIO4 = 0x0c, MODE_MULTIWORD = 0x20, MODE_ULTRA = 0x40 };

static uint64_t disk_sectors(const struct ide_drive *v)
{
    return drive_bytes(v->medium) / ATA_SECTOR;
}

/* By the geometry that is in force now. */
static unsigned disk_cylinders(const struct ide_drive *v)
{
    const struct disk_geometry *g = &v->geometry;
    uint64_t cylinders = disk_sectors(v) / (v->heads * v->track_sectors);

    if (v->heads == g->heads && v->track_sectors == g->sectors)
        return g->cylinders;
    return CLAMP(cylinders, 1, 65535);
}

void ata_power_on(struct ide_drive *v)
{
    v->heads = v->geometry.heads;
    v->track_sectors = v->geometry.sectors;
    v->multiple = 0;
    v->transfer_mode = MODE_PIO4;
    v->cache_off = false;
}

/* ---- IDENTIFY DEVICE ---- */
static void put_word(uint8_t *out, unsigned word, uint16_t value)
{
    put_le16(out + word * 2, value);
}

static void put_dword(uint8_t *out, unsigned word, uint32_t value)
{
    put_le32(out + word * 2, value);
}

/* Text: first character in the high byte of each word, padded with spaces. */
static void put_text(uint8_t *out, unsigned word, unsigned words, const char *text)
{
    for (unsigned n = 0; n < words * 2; n++)
        out[(word * 2 + n) ^ 1] = *text ? *text++ : ' ';
}

static void identify_geometry(const struct ide_drive *v, uint8_t *out)
{
    unsigned cylinders = disk_cylinders(v);

    put_word(out, 1, v->geometry.cylinders);
    put_word(out, 3, v->geometry.heads);
    put_word(out, 6, v->geometry.sectors);
    put_word(out, 54, cylinders);
    put_word(out, 55, v->heads);
    put_word(out, 56, v->track_sectors);
    put_dword(out, 57, cylinders * v->heads * v->track_sectors);
    put_dword(out, 60, MIN(disk_sectors(v), 0x0fffffff));
    put_le64(out + 100 * 2, disk_sectors(v));
}

/* Which transfer modes there are, and which one is chosen. */
static void identify_modes(const struct ide_drive *v, uint8_t *out)
{
    unsigned chosen = 1u << (v->transfer_mode & 7);

    put_word(out, 63, 0x07 | (v->transfer_mode & MODE_MULTIWORD ? chosen << 8 : 0));
    put_word(out, 64, 3);
    for (unsigned word = 65; word <= 68; word++)
        put_word(out, word, 120); /* ns a cycle */
    put_word(out, 88, 0x3f | (v->transfer_mode & MODE_ULTRA ? chosen << 8 : 0));
    put_word(out, 93, 0x6001); /* 80-wire cable */
}

void ata_identify_common(const struct ide_drive *v, uint8_t *out)
{
    memset(out, 0, ATA_SECTOR);
    put_text(out, 10, 10, v->serial);
    put_text(out, 23, 4, "1.0");
    put_text(out, 27, 20, v->model);
    put_word(out, 48, 1); /* 32-bit data port */
    put_word(out, 49, 0x0f00);
    put_word(out, 50, 0x4000);
    put_word(out, 51, 0x0200);
    put_word(out, 53, 7);
    identify_modes(v, out);
    put_word(out, 80, 0x7e); /* ATA-1 to ATA/ATAPI-6 */
}

static void identify_disk(const struct ide_drive *v, uint8_t *out)
{
    enum { WRITE_CACHE = 1 << 5, POWER = 1 << 3, NOP = 1 << 14, FLUSH = 1 << 12, FLUSH_EXT = 1 << 13, LBA48 = 1 << 10 };

    ata_identify_common(v, out);
    identify_geometry(v, out);
    put_word(out, 0, 0x0040);
    put_word(out, 47, 0x8000 | MULTIPLE_MAX);
    put_word(out, 59, v->multiple ? 0x100 | v->multiple : 0);
    put_word(out, 82, NOP | WRITE_CACHE | POWER);
    put_word(out, 83, 0x4000 | FLUSH_EXT | FLUSH | LBA48);
    put_word(out, 84, 0x4000);
    put_word(out, 85, NOP | POWER | (v->cache_off ? 0 : WRITE_CACHE));
    put_word(out, 86, FLUSH_EXT | FLUSH | LBA48);
    put_word(out, 87, 0x4000);
}

/* ---- where and how much ---- */
static bool chs_to_lba(const struct ide_drive *v, uint64_t *lba)
{
    unsigned cylinder = v->high[0] << 8 | v->low[0], head = v->device & 15;

    if (v->sector[0] == 0 || v->sector[0] > v->track_sectors || head >= v->heads)
        return false;
    *lba = (cylinder * v->heads + head) * v->track_sectors + v->sector[0] - 1;
    return true;
}

static bool start_sector(const struct ide_drive *v, bool wide, uint64_t *lba)
{
    uint64_t low = v->sector[0] | v->low[0] << 8 | v->high[0] << 16;

    if (!(v->device & DEVICE_LBA))
        return chs_to_lba(v, lba);
    if (wide)
        *lba = low | (uint64_t)v->sector[1] << 24 | (uint64_t)v->low[1] << 32 | (uint64_t)v->high[1] << 40;
    else
        *lba = low | (uint64_t)(v->device & 15) << 24;
    return true;
}

static uint32_t sector_count(const struct ide_drive *v, bool wide)
{
    uint32_t count = v->count[0] | (wide ? v->count[1] << 8 : 0);

    return count ? count : wide ? 65536 : 256;
}

void ata_set_position(struct ide_drive *v, uint64_t lba)
{
    if (v->device & DEVICE_LBA) {
        v->sector[0] = lba;
        v->low[0] = lba >> 8;
        v->high[0] = lba >> 16;
        v->sector[1] = lba >> 24;
        v->low[1] = lba >> 32;
        v->high[1] = lba >> 40;
        if (lba >> 24 < 16)
            v->device = (v->device & 0xf0) | (lba >> 24);
    } else {
        unsigned track = lba / v->track_sectors;
        v->sector[0] = lba % v->track_sectors + 1;
        v->device = (v->device & 0xf0) | track % v->heads;
        v->low[0] = track / v->heads;
        v->high[0] = track / v->heads >> 8;
    }
}

/* ---- data commands ---- */
enum { READS = 0, WRITES = 1, WIDE = 2, DMA = 4, MULTIPLE = 8 };

static void transfer(struct device *d, struct ide_channel *c, unsigned how)
{
    struct ide_drive *v = &c->drive[c->selected];
    bool wide = how & WIDE;
    uint32_t count = sector_count(v, wide);
    uint64_t lba;

    ide_begin(c, how & WRITES ? TASK_WRITE : TASK_READ);
    if ((how & MULTIPLE) && !v->multiple) {
        ide_fail(d, c, ERROR_ABRT);
        return;
    }
    if (!start_sector(v, wide, &lba) || lba + count > disk_sectors(v)) {
        ide_fail(d, c, ERROR_IDNF);
        return;
    }
    if ((how & WRITES) && drive_readonly(v->medium)) {
        ide_fail(d, c, ERROR_ABRT);
        return;
    }
    c->t.lba = lba;
    c->t.left = count;
    c->t.dma = how & DMA;
    if (how & MULTIPLE)
        c->t.block = v->multiple * ATA_SECTOR;
    ide_start(d, c);
}

/* READ VERIFY and SEEK: only the place is looked at. */
static void verify(struct device *d, struct ide_channel *c, bool wide, bool seek)
{
    struct ide_drive *v = &c->drive[c->selected];
    uint64_t lba;

    if (!start_sector(v, wide, &lba) || lba + (seek ? 1 : sector_count(v, wide)) > disk_sectors(v))
        ide_fail(d, c, ERROR_IDNF);
    else
        ide_finish(d, c);
}

/* ---- the others ---- */
static void set_multiple(struct device *d, struct ide_channel *c)
{
    struct ide_drive *v = &c->drive[c->selected];
    unsigned count = v->count[0];

    if (count > MULTIPLE_MAX || (count & (count - 1))) {
        ide_fail(d, c, ERROR_ABRT);
        return;
    }
    v->multiple = count;
    ide_finish(d, c);
}

/* INITIALIZE DEVICE PARAMETERS: the geometry by which CHS addresses count. */
static void set_geometry(struct device *d, struct ide_channel *c)
{
    struct ide_drive *v = &c->drive[c->selected];

    if (v->count[0] == 0) {
        ide_fail(d, c, ERROR_ABRT);
        return;
    }
    v->heads = (v->device & 15) + 1;
    v->track_sectors = v->count[0];
    ide_finish(d, c);
}

static bool set_transfer_mode(struct ide_drive *v, uint8_t mode)
{
    unsigned number = mode & 7;

    switch (mode >> 3) {
    case 0: return number <= 1;
    case 1: return number <= 4;
    case MODE_MULTIWORD >> 3:
        if (number > 2)
            return false;
        break;
    case MODE_ULTRA >> 3:
        if (number > 5)
            return false;
        break;
    default: return false;
    }
    v->transfer_mode = mode;
    return true;
}

static void set_features(struct device *d, struct ide_channel *c)
{
    enum {
        CACHE_ON = 0x02,
        MODE = 0x03,
        LOOK_AHEAD_OFF = 0x55,
        KEEP = 0x66,
        CACHE_OFF = 0x82,
        LOOK_AHEAD = 0xaa,
        REVERT = 0xcc
    };
    struct ide_drive *v = &c->drive[c->selected];
    bool ok = true;

    switch (v->feature[0]) {
    case CACHE_ON: v->cache_off = false; break;
    case CACHE_OFF: v->cache_off = true; break;
    case MODE: ok = set_transfer_mode(v, v->count[0]); break;
    case LOOK_AHEAD_OFF:
    case KEEP:
    case LOOK_AHEAD:
    case REVERT: break;
    default: ok = false; break;
    }
    if (!ok)
        ide_fail(d, c, ERROR_ABRT);
    else if (v->feature[0] == CACHE_OFF && !v->cdrom)
        ide_flush(d, c); /* what the cache holds goes out first */
    else
        ide_finish(d, c);
}

static void native_max(struct device *d, struct ide_channel *c, bool wide)
{
    struct ide_drive *v = &c->drive[c->selected];
    uint64_t last = disk_sectors(v) - 1;

    v->device |= DEVICE_LBA;
    ata_set_position(v, wide ? last : MIN(last, 0x0fffffff));
    ide_finish(d, c);
}

static void identify(struct device *d, struct ide_channel *c)
{
    identify_disk(&c->drive[c->selected], c->buffer);
    ide_reply(d, c, ATA_SECTOR);
}

static void power_mode(struct device *d, struct ide_channel *c)
{
    c->drive[c->selected].count[0] = 0xff; /* active or idle */
    ide_finish(d, c);
}

/* Commands that disks and CD drives have in common. */
static bool common_command(struct device *d, struct ide_channel *c, uint8_t command)
{
    switch (command) {
    case 0x94:
    case 0xe0: /* STANDBY IMMEDIATE */
    case 0x95:
    case 0xe1: /* IDLE IMMEDIATE */
    case 0x96:
    case 0xe2: /* STANDBY */
    case 0x97:
    case 0xe3: /* IDLE */
    case 0x99:
    case 0xe6: /* SLEEP */ ide_finish(d, c); return true;
    case 0x98:
    case 0xe5: power_mode(d, c); return true;
    case 0xef: set_features(d, c); return true;
    default: return false;
    }
}

static bool disk_command(struct device *d, struct ide_channel *c, uint8_t command)
{
    switch (command) {
    case 0x20:
    case 0x21: transfer(d, c, READS); return true;
    case 0x24: transfer(d, c, READS | WIDE); return true;
    case 0x25: transfer(d, c, READS | WIDE | DMA); return true;
    case 0x29: transfer(d, c, READS | WIDE | MULTIPLE); return true;
    case 0x30:
    case 0x31:
    case 0x3c: transfer(d, c, WRITES); return true;
    case 0x34: transfer(d, c, WRITES | WIDE); return true;
    case 0x35: transfer(d, c, WRITES | WIDE | DMA); return true;
    case 0x39: transfer(d, c, WRITES | WIDE | MULTIPLE); return true;
    case 0xc4: transfer(d, c, READS | MULTIPLE); return true;
    case 0xc5: transfer(d, c, WRITES | MULTIPLE); return true;
    case 0xc8:
    case 0xc9: transfer(d, c, READS | DMA); return true;
    case 0xca:
    case 0xcb: transfer(d, c, WRITES | DMA); return true;
    case 0x40:
    case 0x41: verify(d, c, false, false); return true;
    case 0x42: verify(d, c, true, false); return true;
    case 0x70: verify(d, c, false, true); return true;
    case 0x27: native_max(d, c, true); return true;
    case 0xf8: native_max(d, c, false); return true;
    case 0x91: set_geometry(d, c); return true;
    case 0xc6: set_multiple(d, c); return true;
    case 0xe7:
    case 0xea: ide_flush(d, c); return true;
    case 0xec: identify(d, c); return true;
    default: break;
    }
    if (command >= 0x10 && command <= 0x1f) { /* RECALIBRATE */
        ide_finish(d, c);
        return true;
    }
    return common_command(d, c, command);
}

static void identify_packet(struct device *d, struct ide_channel *c)
{
    atapi_identify(&c->drive[c->selected], c->buffer);
    ide_reply(d, c, ATA_SECTOR);
}

/* PACKET: the command itself comes through the data port; bit 0 of features: its data by DMA. */
static void packet(struct device *d, struct ide_channel *c)
{
    struct ide_drive *v = &c->drive[c->selected];
    uint32_t limit = (v->high[0] << 8 | v->low[0]) & ~1u;

    ide_begin(c, TASK_PACKET);
    c->t.packet = true;
    c->t.dma = v->feature[0] & 1;
    c->t.block = PACKET_BYTES;
    v->count[0] = REASON_COMMAND;
    ide_want(d, c, PACKET_BYTES, false);
    c->t.block = limit ? limit : 0xfffe;
}

static bool cd_command(struct device *d, struct ide_channel *c, uint8_t command)
{
    switch (command) {
    case 0xa0: packet(d, c); return true;
    case 0xa1: identify_packet(d, c); return true;
    case 0x20: /* READ SECTORS and IDENTIFY DEVICE abort, and leave the signature of a packet device */
    case 0xec: ide_signature(&c->drive[c->selected]); return false;
    default: return common_command(d, c, command);
    }
}

bool ata_command(struct device *d, struct ide_channel *c, uint8_t command)
{
    return c->drive[c->selected].cdrom ? cd_command(d, c, command) : disk_command(d, c, command);
}
