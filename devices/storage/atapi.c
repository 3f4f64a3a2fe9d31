// SPDX-License-Identifier: GPL-2.0-or-later
/* atapi.c - packet commands of a CD/DVD-ROM drive.  Specs: ATA/ATAPI-6 chapter 8.24; SCSI MMC-5 (T10/1675D), SPC-3.
 *
 * The medium is one data track of 2048-byte sectors; more of them than a CD holds makes it a DVD.  Raw 2352-byte sectors are
 * made on the fly, without error correction bytes.  After a change of medium the first command that cares ends with UNIT
 * ATTENTION, and GET EVENT STATUS tells what happened. */
#include "core-vmm/base/bytes.h"
#include "devices/storage/ide.h"

enum { NOT_READY = 2, ILLEGAL_REQUEST = 5, UNIT_ATTENTION = 6, MEDIUM_ERROR = 3 };
enum { EVENT_NONE, EVENT_EJECT, EVENT_NEW, EVENT_REMOVED };
enum { CD_MAX_SECTORS = 80 * 60 * 75, LEAD_IN_FRAMES = 150, PROFILE_CD = 0x08, PROFILE_DVD = 0x10 };

static const struct ide_sense no_medium = {NOT_READY, 0x3a, 0}, bad_field = {ILLEGAL_REQUEST, 0x24, 0};
static const struct ide_sense out_of_range = {ILLEGAL_REQUEST, 0x21, 0}, bad_command = {ILLEGAL_REQUEST, 0x20, 0};
static const struct ide_sense removal_prevented = {ILLEGAL_REQUEST, 0x53, 2}, unreadable = {MEDIUM_ERROR, 0x11, 0};
static const struct ide_sense wrong_medium = {ILLEGAL_REQUEST, 0x30, 2}, changed = {UNIT_ATTENTION, 0x28, 0};
static const struct ide_sense was_reset = {UNIT_ATTENTION, 0x29, 0}, not_saved = {ILLEGAL_REQUEST, 0x39, 0};

/* ---- the medium ---- */
static uint32_t cd_sectors(const struct ide_drive *v)
{
    return MIN(drive_bytes(v->medium) / CD_SECTOR, UINT32_MAX);
}

static uint16_t profile(const struct ide_drive *v)
{
    uint32_t sectors = cd_sectors(v);

    return sectors == 0 ? 0 : sectors > CD_MAX_SECTORS ? PROFILE_DVD : PROFILE_CD;
}

void atapi_power_on(struct ide_drive *v)
{
    if (!v->cdrom)
        return;
    v->sense = (struct ide_sense){0};
    v->attention = cd_sectors(v) ? was_reset : (struct ide_sense){0};
    v->event = EVENT_NONE;
    v->locked = false;
    drive_guest_lock(v->medium, false);
}

/* The drive knows its controller only; the state tells which of four it is. */
void atapi_medium_changed(struct device *d, struct drive *medium)
{
    struct ide_channel *channels = d->state;

    for (unsigned n = 0; n < 4; n++) {
        struct ide_drive *v = &channels[n >> 1].drive[n & 1];
        if (v->medium != medium || !v->cdrom)
            continue;
        v->event = cd_sectors(v) ? EVENT_NEW : EVENT_REMOVED;
        v->attention = cd_sectors(v) ? changed : (struct ide_sense){0};
    }
}

/* ---- ends of a command ---- */
static void check_condition(struct device *d, struct ide_channel *c, struct ide_sense sense)
{
    ide_active(c)->sense = sense;
    ide_fail(d, c, sense.key << 4 | ERROR_ABRT);
}

void atapi_read_failed(struct device *d, struct ide_channel *c)
{
    check_condition(d, c, cd_sectors(ide_active(c)) ? unreadable : no_medium);
}

static void good(struct device *d, struct ide_channel *c)
{
    ide_finish(d, c);
}

/* Sends what is in the buffer, but no more than the guest allotted. */
static void reply(struct device *d, struct ide_channel *c, uint32_t bytes, uint32_t allotted)
{
    bytes = MIN(bytes, allotted);
    if (bytes)
        ide_reply(d, c, bytes);
    else
        good(d, c);
}

/* ---- reading sectors ---- */
static void read_sectors(struct device *d, struct ide_channel *c, uint32_t lba, uint32_t count, bool raw)
{
    uint32_t sectors = cd_sectors(ide_active(c));

    if (!sectors) {
        check_condition(d, c, no_medium);
    } else if (lba > sectors || count > sectors - lba) {
        check_condition(d, c, out_of_range);
    } else if (!count) {
        good(d, c);
    } else {
        c->t.task = TASK_READ;
        c->t.sector_bytes = CD_SECTOR;
        c->t.raw = raw;
        c->t.lba = lba;
        c->t.left = count;
        ide_start(d, c);
    }
}

/* READ CD and READ CD MSF: byte 9 says which parts of a sector. */
static void read_cd(struct device *d, struct ide_channel *c, uint8_t parts, uint32_t lba, uint32_t count)
{
    enum { USER_DATA = 0x10, EVERYTHING = 0xf8 };

    switch (parts & 0xf8) {
    case 0: good(d, c); break;
    case USER_DATA: read_sectors(d, c, lba, count, false); break;
    case EVERYTHING: read_sectors(d, c, lba, count, true); break;
    default: check_condition(d, c, bad_field); break;
    }
}

static uint32_t from_msf(const uint8_t *p)
{
    uint32_t frames = (p[0] * 60 + p[1]) * 75 + p[2];

    return frames >= LEAD_IN_FRAMES ? frames - LEAD_IN_FRAMES : UINT32_MAX;
}

static void read_cd_msf(struct device *d, struct ide_channel *c, const uint8_t *p)
{
    uint32_t from = from_msf(p + 3), to = from_msf(p + 6);

    if (from == UINT32_MAX || to == UINT32_MAX || from > to)
        check_condition(d, c, bad_field);
    else
        read_cd(d, c, p[9], from, to - from);
}

static uint8_t bcd(unsigned v)
{
    return v / 10 << 4 | v % 10;
}

static void put_msf(uint8_t *out, uint32_t lba)
{
    uint32_t frames = lba + LEAD_IN_FRAMES;

    out[0] = frames / 75 / 60;
    out[1] = frames / 75 % 60;
    out[2] = frames % 75;
}

/* From the last sector to the first, as the target lies behind the source. */
void atapi_expand_raw(struct ide_channel *c)
{
    for (uint32_t n = c->t.chunk; n-- > 0;) {
        uint8_t *to = c->buffer + n * CD_RAW_SECTOR;
        memmove(to + 16, c->buffer + n * CD_SECTOR, CD_SECTOR);
        memset(to, 0xff, 12);
        to[0] = to[11] = 0;
        put_msf(to + 12, c->t.lba + n);
        for (unsigned k = 12; k < 15; k++)
            to[k] = bcd(to[k]);
        to[15] = 1; /* mode 1 */
        memset(to + 16 + CD_SECTOR, 0, CD_RAW_SECTOR - 16 - CD_SECTOR);
    }
}

/* ---- what drive and medium are ---- */
void atapi_identify(const struct ide_drive *v, uint8_t *out)
{
    enum { POWER = 1 << 3, PACKET = 1 << 4, RESET = 1 << 9, NOP = 1 << 14 };

    ata_identify_common(v, out);
    put_le16(out, 0x85c0); /* CD-ROM, removable, DRQ within 50 us, 12-byte packets */
    put_le16(out + 82 * 2, NOP | RESET | PACKET | POWER);
    put_le16(out + 83 * 2, 0x4000);
    put_le16(out + 85 * 2, NOP | RESET | PACKET | POWER);
    put_le16(out + 87 * 2, 0x4000);
}

static void inquiry(struct device *d, struct ide_channel *c, const uint8_t *p)
{
    static const uint8_t answer[36] = {5,   0x80, 5,   0x32, 31,  0,   0,   0,   'T', 'e', 'r', 'r',
                                       'a', 'r',  'm', ' ',  'D', 'V', 'D', '-', 'R', 'O', 'M', ' ',
                                       ' ', ' ',  ' ', ' ',  ' ', ' ', ' ', ' ', '1', '.', '0', ' '};

    if (p[1] & 1) { /* vital product data */
        check_condition(d, c, bad_field);
        return;
    }
    memcpy(c->buffer, answer, sizeof answer);
    reply(d, c, sizeof answer, get_be16(p + 3));
}

static void request_sense(struct device *d, struct ide_channel *c, const uint8_t *p)
{
    struct ide_drive *v = ide_active(c);

    if (!v->sense.key) {
        v->sense = v->attention;
        v->attention.key = 0;
    }
    memset(c->buffer, 0, 18);
    c->buffer[0] = 0x70;
    c->buffer[2] = v->sense.key;
    c->buffer[7] = 10;
    c->buffer[12] = v->sense.code;
    c->buffer[13] = v->sense.qualifier;
    v->sense = (struct ide_sense){0};
    reply(d, c, 18, p[4]);
}

static void read_capacity(struct device *d, struct ide_channel *c)
{
    put_be32(c->buffer, cd_sectors(ide_active(c)) - 1);
    put_be32(c->buffer + 4, CD_SECTOR);
    reply(d, c, 8, 8);
}

static void put_address(uint8_t *out, uint32_t lba, bool msf)
{
    put_be32(out, lba);
    if (msf) {
        out[0] = 0;
        put_msf(out + 1, lba);
    }
}

/* Format 0: track 1 and the lead-out. */
static uint32_t toc_tracks(struct ide_channel *c, unsigned first, bool msf)
{
    uint8_t *p = c->buffer + 4;
    uint32_t sectors = cd_sectors(ide_active(c));

    c->buffer[2] = c->buffer[3] = 1;
    for (unsigned track = 1; track <= 2; track++) {
        if (track == 1 && first > 1)
            continue;
        put_be32(p, track == 1 ? 0x00140100 : 0x0014aa00);
        put_address(p + 4, track == 1 ? 0 : sectors, msf);
        p += 8;
    }
    return p - c->buffer;
}

/* Format 2: the points A0, A1, A2 and track 1 of session 1, always as minutes, seconds, frames. */
static uint32_t toc_full(struct ide_channel *c)
{
    static const uint8_t points[4] = {0xa0, 0xa1, 0xa2, 1};
    uint8_t *p = c->buffer + 4;
    uint32_t sectors = cd_sectors(ide_active(c));

    c->buffer[2] = c->buffer[3] = 1;
    for (unsigned n = 0; n < 4; n++, p += 11) {
        memset(p, 0, 11);
        p[0] = 1;
        p[1] = 0x14;
        p[3] = points[n];
        if (n < 2)
            p[8] = 1; /* first and last track */
        else
            put_msf(p + 8, n == 2 ? sectors : 0);
    }
    return p - c->buffer;
}

static void read_toc(struct device *d, struct ide_channel *c, const uint8_t *p)
{
    unsigned format = p[2] & 15 ? p[2] & 15 : p[9] >> 6; /* older drives: in the control byte */
    bool msf = p[1] & 2;
    uint32_t bytes;

    if (format > 2 || (format == 0 && p[6] > 1 && p[6] != 0xaa)) {
        check_condition(d, c, bad_field);
        return;
    }
    if (format == 0) {
        bytes = toc_tracks(c, p[6], msf);
    } else if (format == 1) { /* the first track of the last session */
        c->buffer[2] = c->buffer[3] = 1;
        put_be32(c->buffer + 4, 0x00140100);
        put_address(c->buffer + 8, 0, msf);
        bytes = 12;
    } else {
        bytes = toc_full(c);
    }
    put_be16(c->buffer, bytes - 2);
    reply(d, c, bytes, get_be16(p + 7));
}

struct feature {
    uint16_t code;
    uint8_t flags, bytes; /* flags: version << 2 | persistent << 1 | current */
    uint8_t data[8];
};

static uint8_t *put_feature(uint8_t *out, const struct feature *f)
{
    put_be16(out, f->code);
    out[2] = f->flags;
    out[3] = f->bytes;
    memcpy(out + 4, f->data, f->bytes);
    return out + 4 + f->bytes;
}

static void get_configuration(struct device *d, struct ide_channel *c, const uint8_t *p)
{
    uint16_t now = profile(ide_active(c)), first = get_be16(p + 2);
    uint8_t type = p[1] & 3; /* 0 all, 1 current ones, 2 only the first */
    const struct feature features[] = {
        {0x0000, 3, 8, {0, PROFILE_DVD, now == PROFILE_DVD, 0, 0, PROFILE_CD, now == PROFILE_CD}},
        {0x0001, 0x0b, 8, {0, 0, 0, 2 /* ATAPI */, 1}},
        {0x0002, 0x07, 4, {2}},
        {0x0003, 3, 4, {0x29}}, /* tray, eject, lock */
        {0x0010, now != 0, 8, {0, 0, CD_SECTOR >> 8, 0, 0, 1}},
        {0x001e, 0x08 | (now == PROFILE_CD), 4, {0}},
        {0x001f, now == PROFILE_DVD, 4, {0}},
    };
    uint8_t *out = c->buffer + 8;

    for (unsigned n = 0; n < G_N_ELEMENTS(features); n++) {
        const struct feature *f = &features[n];
        if (f->code < first || (type == 2 && f->code != first) || (type == 1 && !(f->flags & 1)))
            continue;
        out = put_feature(out, f);
    }
    put_be32(c->buffer, out - c->buffer - 4);
    put_be32(c->buffer + 4, now);
    reply(d, c, out - c->buffer, get_be16(p + 7));
}

static void get_event_status(struct device *d, struct ide_channel *c, const uint8_t *p)
{
    enum { POLLED = 1, MEDIA_CLASS = 4, NO_EVENT_CLASS = 0x80 };
    struct ide_drive *v = ide_active(c);
    bool wanted = p[4] & 1 << MEDIA_CLASS;
    uint8_t answer[8] = {0,        wanted ? 6 : 2,       wanted ? MEDIA_CLASS : NO_EVENT_CLASS, 1 << MEDIA_CLASS,
                         v->event, cd_sectors(v) ? 2 : 0};

    if (!(p[1] & POLLED)) {
        check_condition(d, c, bad_field);
        return;
    }
    if (wanted)
        v->event = EVENT_NONE;
    memcpy(c->buffer, answer, sizeof answer);
    reply(d, c, wanted ? 8 : 4, get_be16(p + 7));
}

/* ---- mode pages ---- */
static uint32_t put_page(uint8_t *out, unsigned page, bool locked)
{
    static const uint8_t recovery[8] = {0x01, 6, 0, 5};
    static const uint8_t parameters[8] = {0x0d, 6, 0, 5, 0, 60, 0, 75};
    const uint8_t capabilities[22] = {0x2a, 20, 0x3b, 0,   0x70, 0,   0x29 | locked << 1, 0, 0x16, 0x10,
                                      0,    0,  0,    128, 0x16, 0x10};

    switch (page) {
    case 0x01: memcpy(out, recovery, sizeof recovery); return sizeof recovery;
    case 0x0d: memcpy(out, parameters, sizeof parameters); return sizeof parameters;
    case 0x2a: memcpy(out, capabilities, sizeof capabilities); return sizeof capabilities;
    default: return 0;
    }
}

static void mode_sense(struct device *d, struct ide_channel *c, const uint8_t *p)
{
    static const uint8_t pages[] = {0x01, 0x0d, 0x2a};
    struct ide_drive *v = ide_active(c);
    unsigned page = p[2] & 0x3f, control = p[2] >> 6;
    uint32_t bytes = 8;

    memset(c->buffer, 0, 8);
    c->buffer[2] = cd_sectors(v) ? 0x01 : 0x70;
    for (unsigned n = 0; n < G_N_ELEMENTS(pages); n++) {
        uint32_t put = page == 0x3f || page == pages[n] ? put_page(c->buffer + bytes, pages[n], v->locked) : 0;
        if (put && control == 1) /* changeable values: none */
            memset(c->buffer + bytes + 2, 0, put - 2);
        bytes += put;
    }
    if (bytes == 8) {
        check_condition(d, c, bad_field);
    } else if (control == 3) {
        check_condition(d, c, not_saved);
    } else {
        put_be16(c->buffer, bytes - 2);
        reply(d, c, bytes, get_be16(p + 7));
    }
}

/* Taken and forgotten: nothing is changeable. */
static void mode_select(struct device *d, struct ide_channel *c, const uint8_t *p)
{
    uint32_t bytes = get_be16(p + 7);

    if (!bytes) {
        good(d, c);
        return;
    }
    c->t.task = TASK_PARAMETERS;
    c->t.dma = false;
    ide_active(c)->count[0] = 0;
    ide_want(d, c, bytes, true);
}

/* ---- tray ---- */
static void start_stop(struct device *d, struct ide_channel *c, const uint8_t *p)
{
    enum { START = 1, LOAD_EJECT = 2 };
    struct ide_drive *v = ide_active(c);

    if ((p[4] & (START | LOAD_EJECT)) == LOAD_EJECT) {
        if (v->locked) {
            check_condition(d, c, removal_prevented);
            return;
        }
        drive_guest_eject(v->medium);
        v->event = EVENT_REMOVED;
    }
    good(d, c);
}

static void prevent_allow(struct device *d, struct ide_channel *c, const uint8_t *p)
{
    struct ide_drive *v = ide_active(c);

    v->locked = p[4] & 1;
    drive_guest_lock(v->medium, v->locked);
    good(d, c);
}

/* ---- disc information ---- */
static void disc_information(struct device *d, struct ide_channel *c, const uint8_t *p)
{
    static const uint8_t answer[34] = {0, 32, 0x0e /* complete */, 1, 1, 1, 1, 0x20};

    if (p[1] & 7) {
        check_condition(d, c, bad_field);
        return;
    }
    memcpy(c->buffer, answer, sizeof answer);
    reply(d, c, sizeof answer, get_be16(p + 7));
}

static void track_information(struct device *d, struct ide_channel *c, const uint8_t *p)
{
    uint8_t answer[36] = {0, 34, 1, 1, 0, 4 /* data */, 1 /* mode 1 */};

    put_be32(answer + 24, cd_sectors(ide_active(c)));
    memcpy(c->buffer, answer, sizeof answer);
    reply(d, c, sizeof answer, get_be16(p + 7));
}

static void dvd_structure(struct device *d, struct ide_channel *c, const uint8_t *p)
{
    enum { PHYSICAL, COPYRIGHT };
    struct ide_drive *v = ide_active(c);
    uint32_t bytes = p[7] == PHYSICAL ? 4 + 2048 : 8;

    if (profile(v) != PROFILE_DVD || p[7] > COPYRIGHT) {
        check_condition(d, c, profile(v) != PROFILE_DVD ? wrong_medium : bad_field);
        return;
    }
    memset(c->buffer, 0, bytes);
    put_be16(c->buffer, bytes - 2);
    if (p[7] == PHYSICAL) {
        c->buffer[4] = 1;    /* DVD-ROM, version 1 */
        c->buffer[5] = 0x0f; /* 120 mm, no maximum rate */
        c->buffer[6] = 1;    /* one embossed layer */
        put_be32(c->buffer + 8, 0x30000);
        put_be32(c->buffer + 12, 0x30000 + cd_sectors(v) - 1);
    }
    reply(d, c, bytes, get_be16(p + 8));
}

static void mechanism_status(struct device *d, struct ide_channel *c, const uint8_t *p)
{
    memset(c->buffer, 0, 8);
    reply(d, c, 8, get_be16(p + 8));
}

static void subchannel(struct device *d, struct ide_channel *c, const uint8_t *p)
{
    memset(c->buffer, 0, 4);
    c->buffer[1] = 0x15; /* no audio status */
    reply(d, c, 4, get_be16(p + 7));
}

static void seek(struct device *d, struct ide_channel *c, const uint8_t *p)
{
    if (get_be32(p + 2) >= cd_sectors(ide_active(c)))
        check_condition(d, c, out_of_range);
    else
        good(d, c);
}

/* ---- commands ---- */
enum {
    TEST_UNIT_READY = 0x00,
    REQUEST_SENSE = 0x03,
    INQUIRY = 0x12,
    START_STOP = 0x1b,
    PREVENT_ALLOW = 0x1e,
    READ_CAPACITY = 0x25,
    READ_10 = 0x28,
    SEEK_10 = 0x2b,
    READ_SUBCHANNEL = 0x42,
    READ_TOC = 0x43,
    GET_CONFIGURATION = 0x46,
    GET_EVENT_STATUS = 0x4a,
    READ_DISC_INFORMATION = 0x51,
    READ_TRACK_INFORMATION = 0x52,
    MODE_SELECT_10 = 0x55,
    MODE_SENSE_10 = 0x5a,
    READ_12 = 0xa8,
    READ_DVD_STRUCTURE = 0xad,
    READ_CD_MSF = 0xb9,
    SET_CD_SPEED = 0xbb,
    MECHANISM_STATUS = 0xbd,
    READ_CD = 0xbe,
};

/* Those that answer whatever the state of the drive is. */
static bool drive_command(struct device *d, struct ide_channel *c, const uint8_t *p)
{
    switch (p[0]) {
    case REQUEST_SENSE: request_sense(d, c, p); return true;
    case INQUIRY: inquiry(d, c, p); return true;
    case GET_CONFIGURATION: get_configuration(d, c, p); return true;
    case GET_EVENT_STATUS: get_event_status(d, c, p); return true;
    default: return false;
    }
}

static bool mechanism_command(struct device *d, struct ide_channel *c, const uint8_t *p)
{
    switch (p[0]) {
    case START_STOP: start_stop(d, c, p); return true;
    case PREVENT_ALLOW: prevent_allow(d, c, p); return true;
    case MODE_SELECT_10: mode_select(d, c, p); return true;
    case MODE_SENSE_10: mode_sense(d, c, p); return true;
    case SET_CD_SPEED: good(d, c); return true;
    case MECHANISM_STATUS: mechanism_status(d, c, p); return true;
    default: return false;
    }
}

static bool medium_command(struct device *d, struct ide_channel *c, const uint8_t *p)
{
    switch (p[0]) {
    case TEST_UNIT_READY: good(d, c); return true;
    case READ_CAPACITY: read_capacity(d, c); return true;
    case READ_10: read_sectors(d, c, get_be32(p + 2), get_be16(p + 7), false); return true;
    case READ_12: read_sectors(d, c, get_be32(p + 2), get_be32(p + 6), false); return true;
    case READ_CD: read_cd(d, c, p[9], get_be32(p + 2), p[6] << 16 | get_be16(p + 7)); return true;
    case READ_CD_MSF: read_cd_msf(d, c, p); return true;
    case SEEK_10: seek(d, c, p); return true;
    case READ_SUBCHANNEL: subchannel(d, c, p); return true;
    case READ_TOC: read_toc(d, c, p); return true;
    case READ_DISC_INFORMATION: disc_information(d, c, p); return true;
    case READ_TRACK_INFORMATION: track_information(d, c, p); return true;
    case READ_DVD_STRUCTURE: dvd_structure(d, c, p); return true;
    default: return false;
    }
}

static bool is_medium_command(uint8_t command)
{
    static const uint8_t list[] = {TEST_UNIT_READY,
                                   READ_CAPACITY,
                                   READ_10,
                                   READ_12,
                                   READ_CD,
                                   READ_CD_MSF,
                                   SEEK_10,
                                   READ_SUBCHANNEL,
                                   READ_TOC,
                                   READ_DISC_INFORMATION,
                                   READ_TRACK_INFORMATION,
                                   READ_DVD_STRUCTURE};

    return memchr(list, command, sizeof list) != NULL;
}

void atapi_packet(struct device *d, struct ide_channel *c)
{
    struct ide_drive *v = ide_active(c);
    uint8_t p[PACKET_BYTES];

    memcpy(p, c->buffer, sizeof p);
    memset(c->buffer, 0, 64);
    if (drive_command(d, c, p))
        return;
    v->sense = (struct ide_sense){0};
    if (v->attention.key) {
        struct ide_sense attention = v->attention;
        v->attention.key = 0;
        check_condition(d, c, attention);
    } else if (is_medium_command(p[0]) && !cd_sectors(v)) {
        check_condition(d, c, no_medium);
    } else if (!mechanism_command(d, c, p) && !medium_command(d, c, p)) {
        check_condition(d, c, bad_command);
    }
}
