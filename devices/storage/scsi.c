// SPDX-License-Identifier: GPL-2.0-or-later
/* scsi.c - SCSI commands of a disk, and what a CD drive on a SCSI bus has beside its packet commands; see scsi.h.
 * Specs: SPC-4 (T10/1731-D), SBC-3 (T10/1799-D).
 *
 * A disk has sectors of 512 bytes, one logical unit and a write cache that stays on; nothing of its mode pages can be changed.
 * Of sectors that were unmapped nobody says what they hold.  Not there: reservations, protection information, logs. */
#include "devices/storage/scsi.h"
#include "core-vmm/base/bytes.h"

enum { MEDIUM_ERROR = 3, ILLEGAL_REQUEST = 5, UNIT_ATTENTION = 6, DATA_PROTECT = 7 };
enum { UNMAP_SECTORS_MOST = 1 << 22, TEXT_BYTES = 8 };

static const struct ata_sense bad_command = {ILLEGAL_REQUEST, 0x20, 0}, out_of_range = {ILLEGAL_REQUEST, 0x21, 0};
static const struct ata_sense bad_field = {ILLEGAL_REQUEST, 0x24, 0}, no_such_unit = {ILLEGAL_REQUEST, 0x25, 0};
static const struct ata_sense bad_parameter = {ILLEGAL_REQUEST, 0x26, 0}, not_saved = {ILLEGAL_REQUEST, 0x39, 0};
static const struct ata_sense is_protected = {DATA_PROTECT, 0x27, 0}, was_reset = {UNIT_ATTENTION, 0x29, 0};
static const struct ata_sense unreadable = {MEDIUM_ERROR, 0x11, 0}, unwritable = {MEDIUM_ERROR, 0x0c, 0};
static const char vendor[] = "Terrarm ";

enum {
    TEST_UNIT_READY = 0x00,
    REQUEST_SENSE = 0x03,
    READ_6 = 0x08,
    WRITE_6 = 0x0a,
    INQUIRY = 0x12,
    MODE_SENSE_6 = 0x1a,
    START_STOP = 0x1b,
    PREVENT_ALLOW = 0x1e,
    READ_CAPACITY_10 = 0x25,
    READ_10 = 0x28,
    WRITE_10 = 0x2a,
    VERIFY_10 = 0x2f,
    SYNCHRONIZE_10 = 0x35,
    WRITE_SAME_10 = 0x41,
    UNMAP = 0x42,
    MODE_SENSE_10 = 0x5a,
    READ_16 = 0x88,
    WRITE_16 = 0x8a,
    VERIFY_16 = 0x8f,
    SYNCHRONIZE_16 = 0x91,
    WRITE_SAME_16 = 0x93,
    SERVICE_ACTION_IN_16 = 0x9e,
    REPORT_LUNS = 0xa0,
    READ_12 = 0xa8,
    WRITE_12 = 0xaa,
};

struct task {
    struct ata_drive *drive;
    const uint8_t *p; /* the command */
    const uint8_t *parameters;
    uint32_t parameter_bytes;
    uint8_t *answer;
    struct scsi_action *a;
};

/* ---- ends of a decision ---- */

static void fail(struct task *t, struct ata_sense sense)
{
    t->drive->sense = sense;
    t->a->what = SCSI_FAIL;
}

static void reply(struct task *t, uint32_t bytes, uint32_t allotted)
{
    t->a->bytes = MIN(bytes, allotted);
    t->a->what = t->a->bytes ? SCSI_REPLY : SCSI_DONE;
}

void scsi_take_sense(struct ata_drive *v, uint8_t sense[SCSI_SENSE])
{
    ata_put_sense(sense, v->sense);
    v->sense = (struct ata_sense){0};
}

void scsi_failed(struct ata_drive *v, bool read, int error)
{
    if (v->cdrom)
        atapi_read_failed(v);
    else
        v->sense = error == EROFS ? is_protected : read ? unreadable : unwritable;
}

void scsi_power_on(struct ata_drive *v)
{
    v->sense = (struct ata_sense){0};
    v->attention = was_reset;
    atapi_power_on(v);
}

/* ---- what both kinds have ---- */

static void report_luns(struct task *t)
{
    enum { ALL = 2, WELL_KNOWN = 1, ENTRY = 8 };
    unsigned units = t->p[2] == WELL_KNOWN ? 0 : 1;
    if (t->p[2] > ALL) {
        fail(t, bad_field);
        return;
    }
    put_be32(t->answer, units * ENTRY);
    reply(t, ENTRY + units * ENTRY, get_be32(t->p + 6));
}

static void put_text(uint8_t *out, const char *text, unsigned bytes)
{
    size_t n = MIN(strlen(text), bytes);
    memset(out, ' ', bytes);
    memcpy(out, text, n);
}

/* A page's bytes behind its length; false: there is no such page. */
static bool vital_page(struct task *t, unsigned *bytes)
{
    enum { ASCII = 2, BY_VENDOR = 1, LIMITS = 60, CHARACTERISTICS = 60, PROVISIONING = 4, NON_ROTATING = 1, THIN = 2 };
    static const uint8_t of_cd[] = {0x00, 0x80, 0x83}, of_disk[] = {0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2};
    struct ata_drive *v = t->drive;
    uint8_t *out = t->answer + 4;
    unsigned serial = strlen(v->serial);
    switch (t->p[2] | (v->cdrom && t->p[2] >= 0xb0 ? 0x100 : 0)) {
    case 0x00:
        *bytes = v->cdrom ? sizeof of_cd : sizeof of_disk;
        memcpy(out, of_disk, *bytes);
        return true;
    case 0x80:
        *bytes = serial;
        memcpy(out, v->serial, serial);
        return true;
    case 0x83: /* one designator: vendor and serial number */
        *bytes = 4 + TEXT_BYTES + serial;
        out[0] = ASCII;
        out[1] = BY_VENDOR;
        out[3] = TEXT_BYTES + serial;
        put_text(out + 4, vendor, TEXT_BYTES);
        memcpy(out + 4 + TEXT_BYTES, v->serial, serial);
        return true;
    case 0xb0:
        *bytes = LIMITS;
        out[0] = 1; /* WRITE SAME needs a length */
        put_be32(out + 16, UNMAP_SECTORS_MOST);
        put_be32(out + 20, SCSI_RANGES);
        put_be32(out + 24, 8); /* sectors of a page of the image */
        put_be64(out + 32, SCSI_FILL_SECTORS);
        return true;
    case 0xb1:
        *bytes = CHARACTERISTICS;
        put_be16(out, NON_ROTATING);
        return true;
    case 0xb2:
        *bytes = PROVISIONING;
        out[1] = drive_readonly(v->medium) ? 0 : 0xe0; /* UNMAP, and WRITE SAME of both lengths with it */
        out[2] = THIN;
        return true;
    }
    return false;
}

static void inquiry_vital(struct task *t)
{
    unsigned bytes;
    if (!vital_page(t, &bytes)) {
        fail(t, bad_field);
        return;
    }
    t->answer[0] = t->drive->cdrom ? 5 : 0;
    t->answer[1] = t->p[2];
    put_be16(t->answer + 2, bytes);
    reply(t, 4 + bytes, get_be16(t->p + 3));
}

/* ---- a disk: what it is ---- */

static void inquiry(struct task *t)
{
    enum { BYTES = 36, SPC_3 = 5, FORMAT = 2, QUEUES = 2 };
    if (t->p[2]) {
        fail(t, bad_field);
        return;
    }
    t->answer[2] = SPC_3;
    t->answer[3] = FORMAT;
    t->answer[4] = BYTES - 5;
    t->answer[7] = QUEUES;
    put_text(t->answer + 8, vendor, TEXT_BYTES);
    put_text(t->answer + 16, "Hard Disk", 16);
    put_text(t->answer + 32, "1.0", 4);
    reply(t, BYTES, get_be16(t->p + 3));
}

static void request_sense(struct task *t)
{
    struct ata_drive *v = t->drive;
    if (!v->sense.key) {
        v->sense = v->attention;
        v->attention.key = 0;
    }
    scsi_take_sense(v, t->answer);
    reply(t, SCSI_SENSE, t->p[4]);
}

static uint64_t sectors(const struct task *t)
{
    return drive_bytes(t->drive->medium) / SCSI_SECTOR;
}

static void read_capacity(struct task *t)
{
    put_be32(t->answer, MIN(sectors(t) - 1, UINT32_MAX));
    put_be32(t->answer + 4, SCSI_SECTOR);
    reply(t, 8, 8);
}

static void service_action_in(struct task *t)
{
    enum { READ_CAPACITY_16 = 0x10, PROVISIONED = 0x80, BYTES = 32 };
    if ((t->p[1] & 31) != READ_CAPACITY_16) {
        fail(t, bad_field);
        return;
    }
    put_be64(t->answer, sectors(t) - 1);
    put_be32(t->answer + 8, SCSI_SECTOR);
    t->answer[14] = drive_readonly(t->drive->medium) ? 0 : PROVISIONED;
    reply(t, BYTES, get_be32(t->p + 10));
}

/* Caching: the write cache is on.  Control: commands may be reordered. */
static uint32_t put_page(uint8_t *out, unsigned page)
{
    static const uint8_t caching[20] = {0x08, 18, 0x04}, control[12] = {0x0a, 10, 0, 0x10};
    switch (page) {
    case 0x08: memcpy(out, caching, sizeof caching); return sizeof caching;
    case 0x0a: memcpy(out, control, sizeof control); return sizeof control;
    }
    return 0;
}

/* The pages that are wanted, behind `bytes` of the answer; 0: there are none. */
static uint32_t put_pages(struct task *t, uint32_t bytes)
{
    static const uint8_t pages[] = {0x08, 0x0a};
    unsigned page = t->p[2] & 0x3f, changeable = t->p[2] >> 6 == 1;
    uint32_t before = bytes;
    for (unsigned n = 0; n < G_N_ELEMENTS(pages); n++) {
        uint32_t put = page == 0x3f || page == pages[n] ? put_page(t->answer + bytes, pages[n]) : 0;
        if (put && changeable)
            memset(t->answer + bytes + 2, 0, put - 2);
        bytes += put;
    }
    return bytes == before ? 0 : bytes;
}

static void mode_sense(struct task *t)
{
    enum { PROTECTED = 0x80, FORCES = 0x10, DESCRIPTOR = 8, NO_DESCRIPTOR = 0x08, SAVED = 3, ALL_SUBPAGES = 0xff };
    bool ten = t->p[0] == MODE_SENSE_10;
    unsigned header = ten ? 8 : 4, descriptor = t->p[1] & NO_DESCRIPTOR ? 0 : DESCRIPTOR;
    uint32_t bytes = put_pages(t, header + descriptor);
    if (t->p[2] >> 6 == SAVED || !bytes || (t->p[3] && t->p[3] != ALL_SUBPAGES)) {
        fail(t, t->p[2] >> 6 == SAVED ? not_saved : bad_field);
        return;
    }
    uint8_t flags = FORCES | (drive_readonly(t->drive->medium) ? PROTECTED : 0);
    if (descriptor) {
        put_be32(t->answer + header, MIN(sectors(t), UINT32_MAX));
        put_be32(t->answer + header + 4, SCSI_SECTOR);
    }
    if (ten) {
        put_be16(t->answer, bytes - 2);
        t->answer[3] = flags;
        put_be16(t->answer + 6, descriptor);
    } else {
        t->answer[0] = bytes - 1;
        t->answer[2] = flags;
        t->answer[3] = descriptor;
    }
    reply(t, bytes, ten ? get_be16(t->p + 7) : t->p[4]);
}

/* ---- a disk: sectors ---- */

static bool in_range(struct task *t, uint64_t lba, uint64_t count)
{
    if (lba <= sectors(t) && count <= sectors(t) - lba)
        return true;
    fail(t, out_of_range);
    return false;
}

static bool may_write(struct task *t)
{
    if (!drive_readonly(t->drive->medium))
        return true;
    fail(t, is_protected);
    return false;
}

/* On so many sectors; none is no error. */
static void act(struct task *t, enum scsi_what what, uint64_t lba, uint64_t count)
{
    if (!in_range(t, lba, count) || !count)
        return;
    t->a->what = what;
    t->a->at = lba * SCSI_SECTOR;
    t->a->bytes = count * SCSI_SECTOR;
}

static void transfer(struct task *t, bool write, uint64_t lba, uint64_t count)
{
    enum { PROTECTION = 0xe0, FORCE = 0x08 };
    bool short_one = t->p[0] == READ_6 || t->p[0] == WRITE_6;
    if (!short_one && t->p[1] & PROTECTION) {
        fail(t, bad_field);
        return;
    }
    if (write && !may_write(t))
        return;
    t->a->flush = write && !short_one && t->p[1] & FORCE;
    act(t, write ? SCSI_WRITE : SCSI_READ, lba, count);
}

static void verify(struct task *t, uint64_t lba, uint64_t count)
{
    enum { COMPARE = 0xe6 };
    if (t->p[1] & COMPARE)
        fail(t, bad_field);
    else
        in_range(t, lba, count);
}

static bool is_zero(const uint8_t *data, unsigned bytes)
{
    return !data[0] && !memcmp(data, data + 1, bytes - 1);
}

static void write_same(struct task *t, uint64_t lba, uint64_t count)
{
    enum { WRONG = 0xf6, NO_DATA = 1 };
    bool no_data = t->p[0] == WRITE_SAME_16 && t->p[1] & NO_DATA;
    if (t->p[1] & WRONG || (!no_data && t->p[1] & NO_DATA) || !count || count > SCSI_FILL_SECTORS ||
        (!no_data && t->parameter_bytes < SCSI_SECTOR))
        fail(t, bad_field);
    else if (may_write(t))
        act(t, no_data || is_zero(t->parameters, SCSI_SECTOR) ? SCSI_ZERO : SCSI_FILL, lba, count);
}

static void unmap(struct task *t)
{
    enum { HEADER = 8, ENTRY = 16, ANCHOR = 1 };
    uint32_t bytes = get_be16(t->p + 7), listed;
    uint64_t sum = 0;
    if (!bytes || !may_write(t))
        return;
    if (t->p[1] & ANCHOR || bytes < HEADER || t->parameter_bytes < HEADER) {
        fail(t, bad_field);
        return;
    }
    listed = MIN(get_be16(t->parameters + 2), MIN(bytes, t->parameter_bytes) - HEADER) / ENTRY;
    if (get_be16(t->parameters + 2) / ENTRY > SCSI_RANGES) {
        fail(t, bad_parameter);
        return;
    }
    for (unsigned i = 0; i < listed; i++) {
        const uint8_t *e = t->parameters + HEADER + i * ENTRY;
        uint64_t lba = get_be64(e), count = get_be32(e + 8);
        if (!in_range(t, lba, count))
            return;
        sum += count;
        if (count) {
            t->a->range[t->a->ranges].at = lba * SCSI_SECTOR;
            t->a->range[t->a->ranges++].bytes = count * SCSI_SECTOR;
        }
    }
    if (sum > UNMAP_SECTORS_MOST)
        fail(t, bad_parameter);
    else if (t->a->ranges)
        t->a->what = SCSI_UNMAP;
}

/* ---- a disk: commands ---- */

static bool answers_always(struct task *t)
{
    switch (t->p[0]) {
    case INQUIRY: inquiry(t); return true;
    case REQUEST_SENSE: request_sense(t); return true;
    }
    return false;
}

static bool move(struct task *t)
{
    const uint8_t *p = t->p;
    switch (p[0]) {
    case READ_6:
    case WRITE_6: transfer(t, p[0] == WRITE_6, get_be32(p) & 0x1fffff, p[4] ? p[4] : 256); return true;
    case READ_10:
    case WRITE_10: transfer(t, p[0] == WRITE_10, get_be32(p + 2), get_be16(p + 7)); return true;
    case READ_12:
    case WRITE_12: transfer(t, p[0] == WRITE_12, get_be32(p + 2), get_be32(p + 6)); return true;
    case READ_16:
    case WRITE_16: transfer(t, p[0] == WRITE_16, get_be64(p + 2), get_be32(p + 10)); return true;
    case WRITE_SAME_10: write_same(t, get_be32(p + 2), get_be16(p + 7)); return true;
    case WRITE_SAME_16: write_same(t, get_be64(p + 2), get_be32(p + 10)); return true;
    case VERIFY_10: verify(t, get_be32(p + 2), get_be16(p + 7)); return true;
    case VERIFY_16: verify(t, get_be64(p + 2), get_be32(p + 10)); return true;
    case UNMAP: unmap(t); return true;
    }
    return false;
}

static void disk_command(struct task *t)
{
    struct ata_drive *v = t->drive;
    if (answers_always(t))
        return;
    v->sense = (struct ata_sense){0};
    if (v->attention.key) {
        struct ata_sense attention = v->attention;
        v->attention.key = 0;
        fail(t, attention);
        return;
    }
    if (move(t))
        return;
    switch (t->p[0]) {
    case TEST_UNIT_READY:
    case START_STOP:
    case PREVENT_ALLOW: break;
    case READ_CAPACITY_10: read_capacity(t); break;
    case SERVICE_ACTION_IN_16: service_action_in(t); break;
    case MODE_SENSE_6:
    case MODE_SENSE_10: mode_sense(t); break;
    case SYNCHRONIZE_10:
    case SYNCHRONIZE_16: t->a->what = SCSI_FLUSH; break;
    default: fail(t, bad_command);
    }
}

/* ---- a CD drive ---- */

/* MODE SENSE of 6 bytes is what a packet device does not have: it is the longer one's answer under a shorter header. */
static void shorten_mode(struct task *t, uint32_t bytes)
{
    t->answer[4] = bytes - 5; /* what was 8 bytes of header begins at 4 now */
    t->answer[5] = t->answer[2];
    t->answer[6] = t->answer[7] = 0;
    memmove(t->answer, t->answer + 4, bytes - 4);
    reply(t, bytes - 4, t->p[4]);
}

static void cd_command(struct task *t)
{
    uint8_t packet[PACKET_BYTES];
    struct ata_action what;
    bool mode_6 = t->p[0] == MODE_SENSE_6;
    memcpy(packet, t->p, sizeof packet);
    if (mode_6) {
        packet[0] = MODE_SENSE_10;
        put_be16(packet + 7, ATA_ANSWER);
    }
    atapi_packet(t->drive, packet, t->answer, &what);
    switch (what.what) {
    case ATA_FAIL: t->a->what = SCSI_FAIL; break;
    case ATA_READ:
        t->a->what = SCSI_READ;
        t->a->raw = what.raw;
        t->a->at = what.lba * CD_SECTOR;
        t->a->bytes = (uint64_t)what.sectors * CD_SECTOR;
        break;
    case ATA_ANSWER_OUT:
        if (mode_6)
            shorten_mode(t, what.bytes);
        else
            reply(t, what.bytes, what.bytes);
        break;
    default: break; /* what it is sent, nobody needs */
    }
}

/* ---- a command ---- */

/* To a unit that is not there. */
static void nobody(struct task *t)
{
    enum { NO_UNIT = 0x7f, BYTES = 36 };
    if (t->p[0] != INQUIRY) {
        fail(t, no_such_unit);
        return;
    }
    t->answer[0] = NO_UNIT;
    t->answer[4] = BYTES - 5;
    reply(t, BYTES, get_be16(t->p + 3));
}

void scsi_command(struct ata_drive *v, unsigned lun, const uint8_t cdb[SCSI_CDB], const uint8_t *parameters,
                  uint32_t bytes, uint8_t *answer, struct scsi_action *a)
{
    struct task t = {v, cdb, parameters, bytes, answer, a};
    a->what = SCSI_DONE;
    a->raw = a->flush = false;
    a->at = a->bytes = 0;
    a->ranges = 0;
    memset(answer, 0, 64);
    if (cdb[0] == REPORT_LUNS)
        report_luns(&t);
    else if (lun)
        nobody(&t);
    else if (cdb[0] == INQUIRY && cdb[1] & 1)
        inquiry_vital(&t);
    else if (v->cdrom)
        cd_command(&t);
    else
        disk_command(&t);
}
