// SPDX-License-Identifier: GPL-2.0-or-later
/* ata.h - an ATA disk or a packet CD drive, whatever controller it is connected to: ata.c (disk commands), ata_identify.c
 * (what it says of itself), ata_smart.c, atapi.c (packet commands), ata_open.c (from machine.ini).
 *
 * A drive has registers (the task file) and decides what a command means; the controller carries that out.  So ata_command()
 * and atapi_packet() look at the registers, change the drive's settings, fill the answer, and say in an ata_action what is
 * to be moved between medium and guest.  Neither does I/O. */
#pragma once
#include "core-vmm/api/drive.h"
#include "devices/storage/disk_geometry.h"

enum { ATA_SECTOR = 512, CD_SECTOR = 2048, CD_RAW_SECTOR = 2352, PACKET_BYTES = 12, ATA_ANSWER = 4096 };
enum { STATUS_ERR = 0x01, STATUS_DRQ = 0x08, STATUS_DSC = 0x10, STATUS_DRDY = 0x40, STATUS_BSY = 0x80 };
enum { STATUS_READY = STATUS_DRDY | STATUS_DSC, DIAGNOSTIC_PASSED = 1 };
enum { ERROR_ABRT = 0x04, ERROR_IDNF = 0x10, ERROR_UNC = 0x40 };
enum { DEVICE_UNIT = 0x10, DEVICE_LBA = 0x40, DEVICE_FIXED = 0xa0 };
enum { REASON_COMMAND = 1, REASON_TO_HOST = 2 }; /* the sector count register of a packet device */
enum { ATA_TRIM_BLOCKS = 8 };                    /* of DATA SET MANAGEMENT: 64 ranges each */

struct ata_sense {
    uint8_t key, code, qualifier;
};

struct ata_drive {
    struct drive *medium; /* NULL: nothing is connected */
    bool cdrom;
    bool serial_ata; /* the controller queues, trims, and knows FUA */
    char serial[21], model[41];
    /* Task file: [0] what was written last, [1] before that (48-bit commands). */
    uint8_t status, error, device;
    uint8_t feature[2], count[2], sector[2], low[2], high[2];
    /* Disk. */
    struct disk_geometry geometry, bios_geometry; /* of the drive after power-on; of BIOS calls */
    uint8_t heads, track_sectors, multiple, transfer_mode;
    bool cache_off;
    bool smart_off, frozen;              /* SMART disabled; SECURITY FREEZE LOCK */
    uint8_t failed_tag;                  /* NCQ error log: of the queued command that failed; NO_TAG: none */
    uint8_t failed_status, failed_error; /* its registers ... */
    uint64_t failed_lba;                 /* ... and where */
    /* CD. */
    struct ata_sense sense, attention; /* of the last command; to be reported first.  key 0: none */
    bool locked;                       /* PREVENT ALLOW MEDIUM REMOVAL */
    uint8_t event;                     /* for GET EVENT STATUS: 0 none, 1 eject wanted, 2 new medium, 3 removed */
};
enum { ATA_NO_TAG = 0x80 };

enum ata_what {
    ATA_DONE,       /* nothing is left to do */
    ATA_FAIL,       /* with `error` */
    ATA_READ,       /* sectors from the medium to the guest */
    ATA_WRITE,      /* and the other way */
    ATA_FLUSH,      /* the medium's cache */
    ATA_TRIM,       /* `bytes` from the guest are ranges to discard: ata_trim_range() */
    ATA_ANSWER_OUT, /* `bytes` of the answer go to the guest */
    ATA_SWALLOW,    /* `bytes` from the guest, which nobody needs */
    ATA_PACKET,     /* PACKET_BYTES from the guest are a command for atapi_packet() */
};
struct ata_action {
    enum ata_what what;
    uint8_t error;
    bool dma, flush,
        raw;     /* not through the data port; on stable storage before it ends; CD sectors in their raw form */
    bool queued; /* READ and WRITE FPDMA QUEUED ... */
    uint8_t tag; /* ... under this number */
    uint64_t lba;
    uint32_t sectors, sector_bytes; /* on the medium */
    uint32_t block;                 /* bytes between two interrupts on the data port */
    uint32_t bytes;
};

/* ata_open.c: the drive that section c describes.  number: for a serial number.  bay: see drive_open_bay(). */
bool ata_open(struct device *d, struct ata_drive *v, const struct config *c, unsigned number, bool bay, GError **error);
void ata_plugged(struct ata_drive *v); /* another disk is in the bay, or none */

/* ata.c */
void ata_power_on(struct ata_drive *v);                   /* settings of disk and CD drive */
void ata_reset(struct ata_drive *v);                      /* what a hardware or software reset does to it */
void ata_signature(struct ata_drive *v);                  /* into the task file: what kind of device it is */
void ata_set_position(struct ata_drive *v, uint64_t lba); /* the registers name that sector */
/* answer: ATA_ANSWER bytes. */
void ata_command(struct ata_drive *v, uint8_t command, uint8_t *answer, struct ata_action *a);
/* Range n of a DATA SET MANAGEMENT, in bytes of the medium; false: it is not on it.  *bytes 0: nothing to do. */
bool ata_trim_range(const struct ata_drive *v, const uint8_t *ranges, unsigned n, uint64_t *offset, uint64_t *bytes);
uint64_t ata_sectors(const struct ata_drive *v); /* of a disk */
void ata_sync(struct stream *s, struct ata_drive *v);
bool ata_is_sane(const struct ata_drive *v); /* what was loaded can be worked with */

/* ata_identify.c: 512 bytes each. */
void ata_identify(const struct ata_drive *v, uint8_t *out);
void atapi_identify(const struct ata_drive *v, uint8_t *out);

/* ata_smart.c: B0h, and the logs of READ LOG EXT. */
void ata_smart(struct ata_drive *v, uint8_t *answer, struct ata_action *a);
void ata_read_log(struct ata_drive *v, uint8_t *answer, struct ata_action *a);

/* atapi.c */
void atapi_power_on(struct ata_drive *v);
void atapi_packet(struct ata_drive *v, const uint8_t packet[PACKET_BYTES], uint8_t *answer, struct ata_action *a);
uint8_t atapi_read_failed(struct ata_drive *v);             /* sets the sense data; the error register's value */
void atapi_medium_changed(struct ata_drive *v);             /* by the user */
void ata_put_sense(uint8_t sense[18], struct ata_sense is); /* in the fixed format */
/* 2048-byte sectors from lba on become 2352: in place, the buffer has room. */
void atapi_expand_raw(uint8_t *buffer, uint32_t lba, uint32_t sectors);

/* For the parts of a drive: ends of a decision. */
void ata_fail(struct ata_action *a, uint8_t error);
void ata_answer(struct ata_action *a, uint32_t bytes);
