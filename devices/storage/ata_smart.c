// SPDX-License-Identifier: GPL-2.0-or-later
/* ata_smart.c - SMART and the general purpose logs.  Spec: ATA8-ACS (T13/1699D) 7.53 (SMART), 7.24 (READ LOG EXT) and annex A;
 * SATA 2.6, 13.7 (the log of a failed queued command).
 *
 * A disk image does not wear: the attributes stand at their best, no error was logged, and self-tests pass at once. */
#include "core-vmm/base/bytes.h"
#include "devices/storage/ata.h"

enum { SMART_DATA = 0xd0, SMART_THRESHOLDS = 0xd1, SMART_AUTOSAVE = 0xd2, SMART_OFFLINE = 0xd4, SMART_READ_LOG = 0xd5 };
enum { SMART_ENABLE = 0xd8, SMART_DISABLE = 0xd9, SMART_STATUS = 0xda, SMART_LOW = 0x4f, SMART_HIGH = 0xc2 };
enum { LOG_DIRECTORY = 0x00, LOG_ERRORS = 0x01, LOG_SELF_TESTS = 0x06, LOG_QUEUED = 0x10 };

static const uint8_t attributes[] = {5 /* reallocated sectors */, 9 /* hours */, 12 /* power cycles */,
                                     197 /* pending */};

/* So that all bytes of the sector add up to 0. */
static void seal(uint8_t *sector)
{
    uint8_t sum = 0;

    for (unsigned n = 0; n < ATA_SECTOR - 1; n++)
        sum += sector[n];
    sector[ATA_SECTOR - 1] = -sum;
}

static void put_data(uint8_t *out)
{
    enum { ENTRY = 12, ONLINE = 3, BEST = 100, OFFLINE_NEVER = 0, CAN_EXECUTE = 0x11, SAVES = 3, LOGS = 1 };

    put_le16(out, 1);
    for (unsigned n = 0; n < G_N_ELEMENTS(attributes); n++) {
        uint8_t *p = out + 2 + n * ENTRY;
        p[0] = attributes[n];
        put_le16(p + 1, ONLINE);
        p[3] = p[4] = BEST;
    }
    out[362] = OFFLINE_NEVER;
    out[367] = CAN_EXECUTE;
    put_le16(out + 368, SAVES);
    out[370] = LOGS;
    out[372] = out[373] = 1; /* minutes for a self-test: short, extended */
}

static void put_thresholds(uint8_t *out)
{
    enum { ENTRY = 12, WORST = 10 };

    put_le16(out, 1);
    for (unsigned n = 0; n < G_N_ELEMENTS(attributes); n++) {
        out[2 + n * ENTRY] = attributes[n];
        out[3 + n * ENTRY] = WORST;
    }
}

/* The directory says how many sectors each log has. */
static bool put_log(uint8_t *out, unsigned log, bool smart)
{
    switch (log) {
    case LOG_DIRECTORY:
        put_le16(out, 1);
        put_le16(out + 2 * (smart ? LOG_ERRORS : LOG_QUEUED), 1);
        if (smart)
            put_le16(out + 2 * LOG_SELF_TESTS, 1);
        return true;
    case LOG_ERRORS:
    case LOG_SELF_TESTS:
        put_le16(out, 1);
        seal(out);
        return smart;
    default: return false;
    }
}

static void read_smart(struct ata_drive *v, uint8_t *answer, struct ata_action *a)
{
    bool good = true;

    memset(answer, 0, ATA_SECTOR);
    if (v->feature[0] == SMART_READ_LOG) {
        good = v->count[0] == 1 && put_log(answer, v->sector[0], true);
    } else {
        (v->feature[0] == SMART_DATA ? put_data : put_thresholds)(answer);
        seal(answer);
    }
    if (good)
        ata_answer(a, ATA_SECTOR);
    else
        ata_fail(a, ERROR_ABRT);
}

void ata_smart(struct ata_drive *v, uint8_t *answer, struct ata_action *a)
{
    bool key = v->low[0] == SMART_LOW && v->high[0] == SMART_HIGH;

    if (!key || (v->smart_off && v->feature[0] != SMART_ENABLE)) {
        ata_fail(a, ERROR_ABRT);
        return;
    }
    switch (v->feature[0]) {
    case SMART_DATA:
    case SMART_THRESHOLDS:
    case SMART_READ_LOG: read_smart(v, answer, a); break;
    case SMART_ENABLE: v->smart_off = false; break;
    case SMART_DISABLE: v->smart_off = true; break;
    case SMART_AUTOSAVE:
    case SMART_OFFLINE:
    case SMART_STATUS: break; /* the registers keep the key: no threshold was exceeded */
    default: ata_fail(a, ERROR_ABRT); break;
    }
}

/* Of the queued command that failed; whoever has read it lets the disk take queued commands again. */
static void put_queued(struct ata_drive *v, uint8_t *out)
{
    out[0] = v->failed_tag;
    if (v->failed_tag != ATA_NO_TAG) {
        out[2] = v->failed_status;
        out[3] = v->failed_error;
        out[7] = DEVICE_LBA;
        for (unsigned n = 0; n < 3; n++) {
            out[4 + n] = v->failed_lba >> 8 * n;
            out[8 + n] = v->failed_lba >> (24 + 8 * n);
        }
    }
    seal(out);
    v->failed_tag = ATA_NO_TAG;
}

void ata_read_log(struct ata_drive *v, uint8_t *answer, struct ata_action *a)
{
    unsigned log = v->sector[0], page = v->low[0] | v->low[1] << 8, sectors = v->count[0] | v->count[1] << 8;
    bool good = page == 0 && sectors == 1;

    memset(answer, 0, ATA_SECTOR);
    if (good && log == LOG_QUEUED)
        put_queued(v, answer);
    else
        good = good && put_log(answer, log, false);
    if (good)
        ata_answer(a, ATA_SECTOR);
    else
        ata_fail(a, ERROR_ABRT);
}
