// SPDX-License-Identifier: GPL-2.0-or-later
/* ata_identify.c - IDENTIFY DEVICE and IDENTIFY PACKET DEVICE.  Spec: ATA/ATAPI-6 (T13/1410D) 8.15 and 8.16; ATA8-ACS
 * (T13/1699D) 7.16 for the words from 69 on that a serial disk has. */
#include "core-vmm/base/bytes.h"
#include "devices/storage/ata.h"

enum { MULTIPLE_MAX = 16, MODE_MULTIWORD = 0x20, MODE_ULTRA = 0x40 };

/* By the geometry that is in force now. */
static unsigned disk_cylinders(const struct ata_drive *v)
{
    const struct disk_geometry *g = &v->geometry;
    uint64_t cylinders = ata_sectors(v) / (v->heads * v->track_sectors);

    if (v->heads == g->heads && v->track_sectors == g->sectors)
        return g->cylinders;
    return CLAMP(cylinders, 1, 65535);
}

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

static void identify_geometry(const struct ata_drive *v, uint8_t *out)
{
    unsigned cylinders = disk_cylinders(v);

    put_word(out, 1, v->geometry.cylinders);
    put_word(out, 3, v->geometry.heads);
    put_word(out, 6, v->geometry.sectors);
    put_word(out, 54, cylinders);
    put_word(out, 55, v->heads);
    put_word(out, 56, v->track_sectors);
    put_dword(out, 57, cylinders * v->heads * v->track_sectors);
    put_dword(out, 60, MIN(ata_sectors(v), 0x0fffffff));
    put_le64(out + 100 * 2, ata_sectors(v));
}

/* Which transfer modes there are, and which one is chosen. */
static void identify_modes(const struct ata_drive *v, uint8_t *out)
{
    unsigned chosen = 1u << (v->transfer_mode & 7);

    put_word(out, 63, 0x07 | (v->transfer_mode & MODE_MULTIWORD ? chosen << 8 : 0));
    put_word(out, 64, 3);
    for (unsigned word = 65; word <= 68; word++)
        put_word(out, word, 120); /* ns a cycle */
    put_word(out, 88, 0x3f | (v->transfer_mode & MODE_ULTRA ? chosen << 8 : 0));
    put_word(out, 93, 0x6001); /* 80-wire cable */
}

static void identify_common(const struct ata_drive *v, uint8_t *out)
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
    put_word(out, 80, v->serial_ata ? 0x1fe : 0x7e); /* ATA-1 to ATA/ATAPI-6, or to ATA8-ACS */
}

/* What the serial cable adds: speeds, the queue, TRIM. */
static void identify_serial(const struct ata_drive *v, uint8_t *out)
{
    enum { SPEEDS = 1 << 1 | 1 << 2, NCQ = 1 << 8, TRIM = 1, NOT_ROTATING = 1 };

    put_word(out, 93, 0); /* no parallel cable */
    put_word(out, 76, SPEEDS | (v->cdrom ? 0 : NCQ));
    put_word(out, 222, 0x1000 | 1 << 4); /* SATA, as in its revision 2.6 */
    if (v->cdrom)
        return;
    put_word(out, 75, 31); /* commands in the queue, less one */
    put_word(out, 105, ATA_TRIM_BLOCKS);
    put_word(out, 169, TRIM);
    put_word(out, 217, NOT_ROTATING);
}

void ata_identify(const struct ata_drive *v, uint8_t *out)
{
    enum { WRITE_CACHE = 1 << 5, POWER = 1 << 3, SECURITY = 1 << 1, SMART = 1 << 0, NOP = 1 << 14 };
    enum { FLUSH = 1 << 12, FLUSH_EXT = 1 << 13, LBA48 = 1 << 10, SMART_LOG = 1 << 0, LOGS = 1 << 5, FUA = 1 << 6 };
    unsigned more = v->serial_ata ? LOGS | FUA : 0;

    identify_common(v, out);
    identify_geometry(v, out);
    put_word(out, 0, 0x0040);
    put_word(out, 47, 0x8000 | MULTIPLE_MAX);
    put_word(out, 59, v->multiple ? 0x100 | v->multiple : 0);
    put_word(out, 82, NOP | WRITE_CACHE | POWER | SECURITY | SMART);
    put_word(out, 83, 0x4000 | FLUSH_EXT | FLUSH | LBA48);
    put_word(out, 84, 0x4000 | SMART_LOG | more);
    put_word(out, 85, NOP | POWER | (v->cache_off ? 0 : WRITE_CACHE) | (v->smart_off ? 0 : SMART));
    put_word(out, 86, FLUSH_EXT | FLUSH | LBA48);
    put_word(out, 87, 0x4000 | SMART_LOG | more);
    put_word(out, 128, 1 | (v->frozen ? 1 << 3 : 0)); /* security: supported, not enabled */
    if (v->serial_ata)
        identify_serial(v, out);
}

void atapi_identify(const struct ata_drive *v, uint8_t *out)
{
    enum { POWER = 1 << 3, PACKET = 1 << 4, RESET = 1 << 9, NOP = 1 << 14 };

    identify_common(v, out);
    put_word(out, 0, 0x85c0); /* CD-ROM, removable, DRQ within 50 us, 12-byte packets */
    put_word(out, 82, NOP | RESET | PACKET | POWER);
    put_word(out, 83, 0x4000);
    put_word(out, 85, NOP | RESET | PACKET | POWER);
    put_word(out, 87, 0x4000);
    if (v->serial_ata)
        identify_serial(v, out);
}
