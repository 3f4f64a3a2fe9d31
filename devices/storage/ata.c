// SPDX-License-Identifier: GPL-2.0-or-later
/* ata.c - commands of an ATA disk.  Spec: ATA/ATAPI-6 (T13/1410D) chapter 8, ATA8-ACS (T13/1699D) chapter 7 for what serial
 * disks add; the CHS commands after ATA-3.  There is no password, host protected area or power-saving that shows: those
 * commands abort, or succeed without effect. */
#include "core-vmm/base/bytes.h"
#include "devices/storage/ata.h"

enum { MULTIPLE_MAX = 16 };
enum { MODE_PIO4 = 0x0c, MODE_MULTIWORD = 0x20, MODE_ULTRA = 0x40 };

uint64_t ata_sectors(const struct ata_drive *v)
{
    return drive_bytes(v->medium) / ATA_SECTOR;
}

void ata_power_on(struct ata_drive *v)
{
    v->heads = v->geometry.heads;
    v->track_sectors = v->geometry.sectors;
    v->multiple = 0;
    v->transfer_mode = MODE_PIO4;
    v->cache_off = v->smart_off = v->frozen = false;
    v->failed_tag = ATA_NO_TAG;
    atapi_power_on(v);
}

void ata_signature(struct ata_drive *v)
{
    v->count[0] = v->sector[0] = 1;
    v->low[0] = v->cdrom ? 0x14 : 0;
    v->high[0] = v->cdrom ? 0xeb : 0;
}

void ata_reset(struct ata_drive *v)
{
    ata_signature(v);
    v->error = DIAGNOSTIC_PASSED;
    v->device = 0;
    v->status = v->cdrom ? 0 : STATUS_READY;
}

/* ---- ends of a decision ---- */
void ata_fail(struct ata_action *a, uint8_t error)
{
    a->what = ATA_FAIL;
    a->error = error;
}

void ata_answer(struct ata_action *a, uint32_t bytes)
{
    a->what = ATA_ANSWER_OUT;
    a->bytes = bytes;
}

/* ---- where and how much ---- */
static bool chs_to_lba(const struct ata_drive *v, uint64_t *lba)
{
    unsigned cylinder = v->high[0] << 8 | v->low[0], head = v->device & 15;

    if (v->sector[0] == 0 || v->sector[0] > v->track_sectors || head >= v->heads)
        return false;
    *lba = (cylinder * v->heads + head) * v->track_sectors + v->sector[0] - 1;
    return true;
}

static bool start_sector(const struct ata_drive *v, bool wide, uint64_t *lba)
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

static uint32_t sector_count(const struct ata_drive *v, bool wide)
{
    uint32_t count = v->count[0] | (wide ? v->count[1] << 8 : 0);

    return count ? count : wide ? 65536 : 256;
}

void ata_set_position(struct ata_drive *v, uint64_t lba)
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
enum { READS = 0, WRITES = 1, WIDE = 2, DMA = 4, MULTIPLE = 8, FUA = 16 };

static void transfer_sectors(struct ata_drive *v, struct ata_action *a, unsigned how, uint64_t lba, uint32_t count)
{
    uint64_t sectors = ata_sectors(v);

    a->lba = lba;
    if (lba > sectors || count > sectors - lba) {
        ata_fail(a, ERROR_IDNF);
        return;
    }
    if ((how & WRITES) && drive_readonly(v->medium)) {
        ata_fail(a, ERROR_ABRT);
        return;
    }
    a->what = how & WRITES ? ATA_WRITE : ATA_READ;
    a->sectors = count;
    a->dma = how & DMA;
    a->flush = (how & WRITES) && (v->cache_off || how & FUA);
}

static void transfer(struct ata_drive *v, struct ata_action *a, unsigned how)
{
    bool wide = how & WIDE;
    uint64_t lba;

    if ((how & MULTIPLE) && !v->multiple)
        ata_fail(a, ERROR_ABRT);
    else if (!start_sector(v, wide, &lba))
        ata_fail(a, ERROR_IDNF);
    else
        transfer_sectors(v, a, how, lba, sector_count(v, wide));
    if (how & MULTIPLE)
        a->block = v->multiple * ATA_SECTOR;
}

/* READ and WRITE FPDMA QUEUED: the count is in the feature register, the tag where the count was. */
static void transfer_queued(struct ata_drive *v, struct ata_action *a, bool write)
{
    enum { FORCED = 0x80 };
    uint32_t count = v->feature[0] | v->feature[1] << 8;
    unsigned how = DMA | WIDE | (write ? WRITES : READS) | (v->device & FORCED ? FUA : 0);
    uint64_t lba;

    a->queued = true;
    a->tag = v->count[0] >> 3;
    v->device |= DEVICE_LBA;
    start_sector(v, true, &lba);
    transfer_sectors(v, a, how, lba, count ? count : 65536);
}

/* READ VERIFY and SEEK: only the place is looked at. */
static void verify(struct ata_drive *v, struct ata_action *a, bool wide, bool seek)
{
    uint64_t lba;

    if (!start_sector(v, wide, &lba) || lba + (seek ? 1 : sector_count(v, wide)) > ata_sectors(v))
        ata_fail(a, ERROR_IDNF);
}

/* DATA SET MANAGEMENT, of which only TRIM: blocks of 64 ranges, each 48 bits of sector number and 16 of count. */
static void data_set_management(struct ata_drive *v, struct ata_action *a)
{
    enum { TRIM = 1 };
    uint32_t blocks = sector_count(v, true);

    if (!(v->feature[0] & TRIM) || blocks > ATA_TRIM_BLOCKS || drive_readonly(v->medium)) {
        ata_fail(a, ERROR_ABRT);
        return;
    }
    a->what = ATA_TRIM;
    a->dma = true;
    a->bytes = blocks * ATA_SECTOR;
}

bool ata_trim_range(const struct ata_drive *v, const uint8_t *ranges, unsigned n, uint64_t *offset, uint64_t *bytes)
{
    uint64_t entry = get_le64(ranges + n * 8), lba = entry & 0xffffffffffff, count = entry >> 48;

    *offset = lba * ATA_SECTOR;
    *bytes = count * ATA_SECTOR;
    return !count || (lba <= ata_sectors(v) && count <= ata_sectors(v) - lba);
}

/* ---- the others ---- */
static void set_multiple(struct ata_drive *v, struct ata_action *a)
{
    unsigned count = v->count[0];

    if (count > MULTIPLE_MAX || (count & (count - 1)))
        ata_fail(a, ERROR_ABRT);
    else
        v->multiple = count;
}

/* INITIALIZE DEVICE PARAMETERS: the geometry by which CHS addresses count. */
static void set_geometry(struct ata_drive *v, struct ata_action *a)
{
    if (v->count[0] == 0) {
        ata_fail(a, ERROR_ABRT);
        return;
    }
    v->heads = (v->device & 15) + 1;
    v->track_sectors = v->count[0];
}

static bool set_transfer_mode(struct ata_drive *v, uint8_t mode)
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

static void set_features(struct ata_drive *v, struct ata_action *a)
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

    switch (v->feature[0]) {
    case CACHE_ON: v->cache_off = false; break;
    case CACHE_OFF:
        v->cache_off = true;
        if (!v->cdrom)
            a->what = ATA_FLUSH; /* what the cache holds goes out first */
        break;
    case MODE:
        if (!set_transfer_mode(v, v->count[0]))
            ata_fail(a, ERROR_ABRT);
        break;
    case LOOK_AHEAD_OFF:
    case KEEP:
    case LOOK_AHEAD:
    case REVERT: break;
    default: ata_fail(a, ERROR_ABRT); break;
    }
}

static void native_max(struct ata_drive *v, bool wide)
{
    uint64_t last = ata_sectors(v) - 1;

    v->device |= DEVICE_LBA;
    ata_set_position(v, wide ? last : MIN(last, 0x0fffffff));
}

/* Commands that disks and CD drives have in common; false: unknown. */
static bool common_command(struct ata_drive *v, uint8_t command, struct ata_action *a)
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
    case 0xe6: /* SLEEP */ return true;
    case 0x98:
    case 0xe5: v->count[0] = 0xff; return true; /* CHECK POWER MODE: active or idle */
    case 0xef: set_features(v, a); return true;
    default: return false;
    }
}

/* What only a drive on a serial cable has. */
static bool serial_command(struct ata_drive *v, uint8_t command, uint8_t *answer, struct ata_action *a)
{
    switch (command) {
    case 0x06: data_set_management(v, a); return true;
    case 0x2f: ata_read_log(v, answer, a); return true;
    case 0x3d: transfer(v, a, WRITES | WIDE | DMA | FUA); return true;
    case 0x60: transfer_queued(v, a, false); return true;
    case 0x61: transfer_queued(v, a, true); return true;
    case 0xce: transfer(v, a, WRITES | WIDE | MULTIPLE | FUA); return true;
    default: return false;
    }
}

static bool transfer_command(struct ata_drive *v, uint8_t command, struct ata_action *a)
{
    switch (command) {
    case 0x20:
    case 0x21: transfer(v, a, READS); return true;
    case 0x24: transfer(v, a, READS | WIDE); return true;
    case 0x25: transfer(v, a, READS | WIDE | DMA); return true;
    case 0x29: transfer(v, a, READS | WIDE | MULTIPLE); return true;
    case 0x30:
    case 0x31:
    case 0x3c: transfer(v, a, WRITES); return true;
    case 0x34: transfer(v, a, WRITES | WIDE); return true;
    case 0x35: transfer(v, a, WRITES | WIDE | DMA); return true;
    case 0x39: transfer(v, a, WRITES | WIDE | MULTIPLE); return true;
    case 0xc4: transfer(v, a, READS | MULTIPLE); return true;
    case 0xc5: transfer(v, a, WRITES | MULTIPLE); return true;
    case 0xc8:
    case 0xc9: transfer(v, a, READS | DMA); return true;
    case 0xca:
    case 0xcb: transfer(v, a, WRITES | DMA); return true;
    default: return false;
    }
}

static bool disk_command(struct ata_drive *v, uint8_t command, uint8_t *answer, struct ata_action *a)
{
    switch (command) {
    case 0x40:
    case 0x41: verify(v, a, false, false); return true;
    case 0x42: verify(v, a, true, false); return true;
    case 0x70: verify(v, a, false, true); return true;
    case 0x27: native_max(v, true); return true;
    case 0xf8: native_max(v, false); return true;
    case 0x91: set_geometry(v, a); return true;
    case 0xb0: ata_smart(v, answer, a); return true;
    case 0xc6: set_multiple(v, a); return true;
    case 0xe7:
    case 0xea: a->what = ATA_FLUSH; return true;
    case 0xf5: v->frozen = true; return true; /* SECURITY FREEZE LOCK: there is no password that could be set */
    case 0xec:
        ata_identify(v, answer);
        ata_answer(a, ATA_SECTOR);
        return true;
    default: break;
    }
    if (command >= 0x10 && command <= 0x1f) /* RECALIBRATE */
        return true;
    return common_command(v, command, a);
}

static bool cd_command(struct ata_drive *v, uint8_t command, uint8_t *answer, struct ata_action *a)
{
    switch (command) {
    case 0xa0: /* PACKET: bit 0 of features: its data by DMA */
        a->what = ATA_PACKET;
        a->dma = v->feature[0] & 1;
        a->bytes = PACKET_BYTES;
        return true;
    case 0xa1:
        atapi_identify(v, answer);
        ata_answer(a, ATA_SECTOR);
        return true;
    case 0x20: /* READ SECTORS and IDENTIFY DEVICE abort, and leave the signature of a packet device */
    case 0xec: ata_signature(v); return false;
    default: return common_command(v, command, a);
    }
}

void ata_command(struct ata_drive *v, uint8_t command, uint8_t *answer, struct ata_action *a)
{
    bool known;

    *a = (struct ata_action){.sector_bytes = ATA_SECTOR, .block = ATA_SECTOR};
    v->error = 0;
    if (v->cdrom)
        known = cd_command(v, command, answer, a);
    else
        known = transfer_command(v, command, a) || (v->serial_ata && serial_command(v, command, answer, a)) ||
                disk_command(v, command, answer, a);
    if (!known)
        ata_fail(a, ERROR_ABRT);
}

/* ---- saved state ---- */
static void sync_sense(struct stream *s, struct ata_sense *v)
{
    stream_u8(s, &v->key);
    stream_u8(s, &v->code);
    stream_u8(s, &v->qualifier);
}

void ata_sync(struct stream *s, struct ata_drive *v)
{
    uint8_t *bytes[] = {&v->status,        &v->error,         &v->device,        &v->heads,
                        &v->track_sectors, &v->multiple,      &v->transfer_mode, &v->event,
                        &v->failed_tag,    &v->failed_status, &v->failed_error};
    uint8_t *pairs[] = {v->feature, v->count, v->sector, v->low, v->high};

    for (unsigned n = 0; n < G_N_ELEMENTS(bytes); n++)
        stream_u8(s, bytes[n]);
    for (unsigned n = 0; n < G_N_ELEMENTS(pairs); n++)
        stream_raw(s, pairs[n], 2);
    stream_u64(s, &v->failed_lba);
    stream_bool(s, &v->cache_off);
    stream_bool(s, &v->smart_off);
    stream_bool(s, &v->frozen);
    stream_bool(s, &v->locked);
    sync_sense(s, &v->sense);
    sync_sense(s, &v->attention);
    if (s->loading && v->cdrom)
        drive_guest_lock(v->medium, v->locked);
}

bool ata_is_sane(const struct ata_drive *v)
{
    return v->heads && v->track_sectors && v->multiple <= MULTIPLE_MAX;
}
