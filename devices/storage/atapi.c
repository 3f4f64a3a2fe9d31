// SPDX-License-Identifier: GPL-2.0-or-later
/* atapi.c - packet commands of a CD/DVD-ROM drive.  Specs: ATA/ATAPI-6 chapter 8.24; SCSI MMC-5 (T10/1675D), SPC-3.
 *
 * The medium is one data track of 2048-byte sectors; more of them than a CD holds makes it a DVD.  Raw 2352-byte sectors are
 * made on the fly, without error correction bytes.  After a change of medium the first command that cares ends with UNIT
 * ATTENTION, and GET EVENT STATUS tells what happened. */
#include "core-vmm/base/bytes.h"
#include "devices/storage/ata.h"

enum { NOT_READY = 2, ILLEGAL_REQUEST = 5, UNIT_ATTENTION = 6, MEDIUM_ERROR = 3 };
enum { EVENT_NONE, EVENT_EJECT, EVENT_NEW, EVENT_REMOVED };
enum { CD_MAX_SECTORS = 80 * 60 * 75, LEAD_IN_FRAMES = 150, PROFILE_CD = 0x08, PROFILE_DVD = 0x10 };

static const struct ata_sense no_medium = {NOT_READY, 0x3a, 0}, bad_field = {ILLEGAL_REQUEST, 0x24, 0};
static const struct ata_sense out_of_range = {ILLEGAL_REQUEST, 0x21, 0}, bad_command = {ILLEGAL_REQUEST, 0x20, 0};
static const struct ata_sense removal_prevented = {ILLEGAL_REQUEST, 0x53, 2}, unreadable = {MEDIUM_ERROR, 0x11, 0};
static const struct ata_sense wrong_medium = {ILLEGAL_REQUEST, 0x30, 2}, changed = {UNIT_ATTENTION, 0x28, 0};
static const struct ata_sense was_reset = {UNIT_ATTENTION, 0x29, 0}, not_saved = {ILLEGAL_REQUEST, 0x39, 0};

/* ---- the medium ---- */
static uint32_t cd_sectors(const struct ata_drive *v)
{
    return MIN(drive_bytes(v->medium) / CD_SECTOR, UINT32_MAX);
}

static uint16_t profile(const struct ata_drive *v)
{
    uint32_t sectors = cd_sectors(v);

    return sectors == 0 ? 0 : sectors > CD_MAX_SECTORS ? PROFILE_DVD : PROFILE_CD;
}

void atapi_power_on(struct ata_drive *v)
{
    if (!v->cdrom)
        return;
    v->sense = (struct ata_sense){0};
    v->attention = cd_sectors(v) ? was_reset : (struct ata_sense){0};
    v->event = EVENT_NONE;
    v->locked = false;
    drive_guest_lock(v->medium, false);
}

void atapi_medium_changed(struct ata_drive *v)
{
    v->event = cd_sectors(v) ? EVENT_NEW : EVENT_REMOVED;
    v->attention = cd_sectors(v) ? changed : (struct ata_sense){0};
}

/* A packet command: what it asks, the room for an answer, and what is decided.  Done is what is decided until another word. */
struct packet {
    struct ata_drive *drive;
    const uint8_t *p;
    uint8_t *answer;
    struct ata_action *action;
};

/* ---- ends of a command ---- */
static uint8_t sense_error(struct ata_sense sense)
{
    return sense.key << 4 | ERROR_ABRT;
}

static void check_condition(struct packet *c, struct ata_sense sense)
{
    c->drive->sense = sense;
    ata_fail(c->action, sense_error(sense));
}

uint8_t atapi_read_failed(struct ata_drive *v)
{
    v->sense = cd_sectors(v) ? unreadable : no_medium;
    return sense_error(v->sense);
}

/* Sends the answer, but no more than the guest allotted. */
static void reply(struct packet *c, uint32_t bytes, uint32_t allotted)
{
    bytes = MIN(bytes, allotted);
    if (bytes)
        ata_answer(c->action, bytes);
}

/* ---- reading sectors ---- */
static void read_sectors(struct packet *c, uint32_t lba, uint32_t count, bool raw)
{
    uint32_t sectors = cd_sectors(c->drive);

    if (!sectors) {
        check_condition(c, no_medium);
    } else if (lba > sectors || count > sectors - lba) {
        check_condition(c, out_of_range);
    } else if (count) {
        c->action->what = ATA_READ;
        c->action->raw = raw;
        c->action->lba = lba;
        c->action->sectors = count;
    }
}

/* READ CD and READ CD MSF: byte 9 says which parts of a sector. */
static void read_cd(struct packet *c, uint8_t parts, uint32_t lba, uint32_t count)
{
    enum { USER_DATA = 0x10, EVERYTHING = 0xf8 };

    switch (parts & 0xf8) {
    case 0: break;
    case USER_DATA: read_sectors(c, lba, count, false); break;
    case EVERYTHING: read_sectors(c, lba, count, true); break;
    default: check_condition(c, bad_field); break;
    }
}

static uint32_t from_msf(const uint8_t *p)
{
    uint32_t frames = (p[0] * 60 + p[1]) * 75 + p[2];

    return frames >= LEAD_IN_FRAMES ? frames - LEAD_IN_FRAMES : UINT32_MAX;
}

static void read_cd_msf(struct packet *c)
{
    uint32_t from = from_msf(c->p + 3), to = from_msf(c->p + 6);

    if (from == UINT32_MAX || to == UINT32_MAX || from > to)
        check_condition(c, bad_field);
    else
        read_cd(c, c->p[9], from, to - from);
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
void atapi_expand_raw(uint8_t *buffer, uint32_t lba, uint32_t sectors)
{
    for (uint32_t n = sectors; n-- > 0;) {
        uint8_t *to = buffer + n * CD_RAW_SECTOR;
        memmove(to + 16, buffer + n * CD_SECTOR, CD_SECTOR);
        memset(to, 0xff, 12);
        to[0] = to[11] = 0;
        put_msf(to + 12, lba + n);
        for (unsigned k = 12; k < 15; k++)
            to[k] = bcd(to[k]);
        to[15] = 1; /* mode 1 */
        memset(to + 16 + CD_SECTOR, 0, CD_RAW_SECTOR - 16 - CD_SECTOR);
    }
}

/* ---- what drive and medium are ---- */
static void inquiry(struct packet *c)
{
    static const uint8_t answer[36] = {5,   0x80, 5,   0x32, 31,  0,   0,   0,   'T', 'e', 'r', 'r',
                                       'a', 'r',  'm', ' ',  'D', 'V', 'D', '-', 'R', 'O', 'M', ' ',
                                       ' ', ' ',  ' ', ' ',  ' ', ' ', ' ', ' ', '1', '.', '0', ' '};

    if (c->p[1] & 1) { /* vital product data */
        check_condition(c, bad_field);
        return;
    }
    memcpy(c->answer, answer, sizeof answer);
    reply(c, sizeof answer, get_be16(c->p + 3));
}

void ata_put_sense(uint8_t sense[18], struct ata_sense is)
{
    memset(sense, 0, 18);
    sense[0] = 0x70;
    sense[2] = is.key;
    sense[7] = 10;
    sense[12] = is.code;
    sense[13] = is.qualifier;
}

static void request_sense(struct packet *c)
{
    struct ata_drive *v = c->drive;

    if (!v->sense.key) {
        v->sense = v->attention;
        v->attention.key = 0;
    }
    ata_put_sense(c->answer, v->sense);
    v->sense = (struct ata_sense){0};
    reply(c, 18, c->p[4]);
}

static void read_capacity(struct packet *c)
{
    put_be32(c->answer, cd_sectors(c->drive) - 1);
    put_be32(c->answer + 4, CD_SECTOR);
    reply(c, 8, 8);
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
static uint32_t toc_tracks(struct packet *c, unsigned first, bool msf)
{
    uint8_t *p = c->answer + 4;
    uint32_t sectors = cd_sectors(c->drive);

    c->answer[2] = c->answer[3] = 1;
    for (unsigned track = 1; track <= 2; track++) {
        if (track == 1 && first > 1)
            continue;
        put_be32(p, track == 1 ? 0x00140100 : 0x0014aa00);
        put_address(p + 4, track == 1 ? 0 : sectors, msf);
        p += 8;
    }
    return p - c->answer;
}

/* Format 2: the points A0, A1, A2 and track 1 of session 1, always as minutes, seconds, frames. */
static uint32_t toc_full(struct packet *c)
{
    static const uint8_t points[4] = {0xa0, 0xa1, 0xa2, 1};
    uint8_t *p = c->answer + 4;
    uint32_t sectors = cd_sectors(c->drive);

    c->answer[2] = c->answer[3] = 1;
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
    return p - c->answer;
}

static void read_toc(struct packet *c)
{
    unsigned format = c->p[2] & 15 ? c->p[2] & 15 : c->p[9] >> 6; /* older drives: in the control byte */
    bool msf = c->p[1] & 2;
    uint32_t bytes;

    if (format > 2 || (format == 0 && c->p[6] > 1 && c->p[6] != 0xaa)) {
        check_condition(c, bad_field);
        return;
    }
    if (format == 0) {
        bytes = toc_tracks(c, c->p[6], msf);
    } else if (format == 1) { /* the first track of the last session */
        c->answer[2] = c->answer[3] = 1;
        put_be32(c->answer + 4, 0x00140100);
        put_address(c->answer + 8, 0, msf);
        bytes = 12;
    } else {
        bytes = toc_full(c);
    }
    put_be16(c->answer, bytes - 2);
    reply(c, bytes, get_be16(c->p + 7));
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

static void get_configuration(struct packet *c)
{
    uint16_t now = profile(c->drive), first = get_be16(c->p + 2);
    uint8_t type = c->p[1] & 3; /* 0 all, 1 current ones, 2 only the first */
    const struct feature features[] = {
        {0x0000, 3, 8, {0, PROFILE_DVD, now == PROFILE_DVD, 0, 0, PROFILE_CD, now == PROFILE_CD}},
        {0x0001, 0x0b, 8, {0, 0, 0, 2 /* ATAPI */, 1}},
        {0x0002, 0x07, 4, {2}},
        {0x0003, 3, 4, {0x29}}, /* tray, eject, lock */
        {0x0010, now != 0, 8, {0, 0, CD_SECTOR >> 8, 0, 0, 1}},
        {0x001e, 0x08 | (now == PROFILE_CD), 4, {0}},
        {0x001f, now == PROFILE_DVD, 4, {0}},
    };
    uint8_t *out = c->answer + 8;

    for (unsigned n = 0; n < G_N_ELEMENTS(features); n++) {
        const struct feature *f = &features[n];
        if (f->code < first || (type == 2 && f->code != first) || (type == 1 && !(f->flags & 1)))
            continue;
        out = put_feature(out, f);
    }
    put_be32(c->answer, out - c->answer - 4);
    put_be32(c->answer + 4, now);
    reply(c, out - c->answer, get_be16(c->p + 7));
}

static void get_event_status(struct packet *c)
{
    enum { POLLED = 1, MEDIA_CLASS = 4, NO_EVENT_CLASS = 0x80 };
    struct ata_drive *v = c->drive;
    bool wanted = c->p[4] & 1 << MEDIA_CLASS;
    uint8_t answer[8] = {0,        wanted ? 6 : 2,       wanted ? MEDIA_CLASS : NO_EVENT_CLASS, 1 << MEDIA_CLASS,
                         v->event, cd_sectors(v) ? 2 : 0};

    if (!(c->p[1] & POLLED)) {
        check_condition(c, bad_field);
        return;
    }
    if (wanted)
        v->event = EVENT_NONE;
    memcpy(c->answer, answer, sizeof answer);
    reply(c, wanted ? 8 : 4, get_be16(c->p + 7));
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

static void mode_sense(struct packet *c)
{
    static const uint8_t pages[] = {0x01, 0x0d, 0x2a};
    struct ata_drive *v = c->drive;
    unsigned page = c->p[2] & 0x3f, control = c->p[2] >> 6;
    uint32_t bytes = 8;

    memset(c->answer, 0, 8);
    c->answer[2] = cd_sectors(v) ? 0x01 : 0x70;
    for (unsigned n = 0; n < G_N_ELEMENTS(pages); n++) {
        uint32_t put = page == 0x3f || page == pages[n] ? put_page(c->answer + bytes, pages[n], v->locked) : 0;
        if (put && control == 1) /* changeable values: none */
            memset(c->answer + bytes + 2, 0, put - 2);
        bytes += put;
    }
    if (bytes == 8) {
        check_condition(c, bad_field);
    } else if (control == 3) {
        check_condition(c, not_saved);
    } else {
        put_be16(c->answer, bytes - 2);
        reply(c, bytes, get_be16(c->p + 7));
    }
}

/* Taken and forgotten: nothing is changeable. */
static void mode_select(struct packet *c)
{
    c->action->bytes = get_be16(c->p + 7);
    if (c->action->bytes)
        c->action->what = ATA_SWALLOW;
}

/* ---- tray ---- */
static void start_stop(struct packet *c)
{
    enum { START = 1, LOAD_EJECT = 2 };
    struct ata_drive *v = c->drive;

    if ((c->p[4] & (START | LOAD_EJECT)) == LOAD_EJECT) {
        if (v->locked) {
            check_condition(c, removal_prevented);
            return;
        }
        drive_guest_eject(v->medium);
        v->event = EVENT_REMOVED;
    }
}

static void prevent_allow(struct packet *c)
{
    struct ata_drive *v = c->drive;

    v->locked = c->p[4] & 1;
    drive_guest_lock(v->medium, v->locked);
}

/* ---- disc information ---- */
static void disc_information(struct packet *c)
{
    static const uint8_t answer[34] = {0, 32, 0x0e /* complete */, 1, 1, 1, 1, 0x20};

    if (c->p[1] & 7) {
        check_condition(c, bad_field);
        return;
    }
    memcpy(c->answer, answer, sizeof answer);
    reply(c, sizeof answer, get_be16(c->p + 7));
}

static void track_information(struct packet *c)
{
    uint8_t answer[36] = {0, 34, 1, 1, 0, 4 /* data */, 1 /* mode 1 */};

    put_be32(answer + 24, cd_sectors(c->drive));
    memcpy(c->answer, answer, sizeof answer);
    reply(c, sizeof answer, get_be16(c->p + 7));
}

static void dvd_structure(struct packet *c)
{
    enum { PHYSICAL, COPYRIGHT };
    struct ata_drive *v = c->drive;
    uint32_t bytes = c->p[7] == PHYSICAL ? 4 + 2048 : 8;

    if (profile(v) != PROFILE_DVD || c->p[7] > COPYRIGHT) {
        check_condition(c, profile(v) != PROFILE_DVD ? wrong_medium : bad_field);
        return;
    }
    memset(c->answer, 0, bytes);
    put_be16(c->answer, bytes - 2);
    if (c->p[7] == PHYSICAL) {
        c->answer[4] = 1;    /* DVD-ROM, version 1 */
        c->answer[5] = 0x0f; /* 120 mm, no maximum rate */
        c->answer[6] = 1;    /* one embossed layer */
        put_be32(c->answer + 8, 0x30000);
        put_be32(c->answer + 12, 0x30000 + cd_sectors(v) - 1);
    }
    reply(c, bytes, get_be16(c->p + 8));
}

static void mechanism_status(struct packet *c)
{
    memset(c->answer, 0, 8);
    reply(c, 8, get_be16(c->p + 8));
}

static void subchannel(struct packet *c)
{
    memset(c->answer, 0, 4);
    c->answer[1] = 0x15; /* no audio status */
    reply(c, 4, get_be16(c->p + 7));
}

static void seek(struct packet *c)
{
    if (get_be32(c->p + 2) >= cd_sectors(c->drive))
        check_condition(c, out_of_range);
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
static bool drive_command(struct packet *c)
{
    switch (c->p[0]) {
    case REQUEST_SENSE: request_sense(c); return true;
    case INQUIRY: inquiry(c); return true;
    case GET_CONFIGURATION: get_configuration(c); return true;
    case GET_EVENT_STATUS: get_event_status(c); return true;
    default: return false;
    }
}

static bool mechanism_command(struct packet *c)
{
    switch (c->p[0]) {
    case START_STOP: start_stop(c); return true;
    case PREVENT_ALLOW: prevent_allow(c); return true;
    case MODE_SELECT_10: mode_select(c); return true;
    case MODE_SENSE_10: mode_sense(c); return true;
    case SET_CD_SPEED: return true;
    case MECHANISM_STATUS: mechanism_status(c); return true;
    default: return false;
    }
}

static bool medium_command(struct packet *c)
{
    switch (c->p[0]) {
    case TEST_UNIT_READY: return true;
    case READ_CAPACITY: read_capacity(c); return true;
    case READ_10: read_sectors(c, get_be32(c->p + 2), get_be16(c->p + 7), false); return true;
    case READ_12: read_sectors(c, get_be32(c->p + 2), get_be32(c->p + 6), false); return true;
    case READ_CD: read_cd(c, c->p[9], get_be32(c->p + 2), c->p[6] << 16 | get_be16(c->p + 7)); return true;
    case READ_CD_MSF: read_cd_msf(c); return true;
    case SEEK_10: seek(c); return true;
    case READ_SUBCHANNEL: subchannel(c); return true;
    case READ_TOC: read_toc(c); return true;
    case READ_DISC_INFORMATION: disc_information(c); return true;
    case READ_TRACK_INFORMATION: track_information(c); return true;
    case READ_DVD_STRUCTURE: dvd_structure(c); return true;
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

void atapi_packet(struct ata_drive *v, const uint8_t packet[PACKET_BYTES], uint8_t *answer, struct ata_action *a)
{
    struct packet c = {v, packet, answer, a};

    *a = (struct ata_action){.sector_bytes = CD_SECTOR};
    memset(answer, 0, 64);
    if (drive_command(&c))
        return;
    v->sense = (struct ata_sense){0};
    if (v->attention.key) {
        struct ata_sense attention = v->attention;
        v->attention.key = 0;
        check_condition(&c, attention);
    } else if (is_medium_command(packet[0]) && !cd_sectors(v)) {
        check_condition(&c, no_medium);
    } else if (!mechanism_command(&c) && !medium_command(&c)) {
        check_condition(&c, bad_command);
    }
}
