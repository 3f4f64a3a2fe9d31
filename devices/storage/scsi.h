// SPDX-License-Identifier: GPL-2.0-or-later
/* scsi.h - a disk or CD drive that takes SCSI commands, whatever carries them: scsi.c.
 *
 * As with ATA (ata.h), the drive decides what a command means, and whoever carries it does the rest.  A CD drive's commands are
 * those of a packet device (atapi.c); a disk's are its own (SBC-3, SPC-4), and both have what a bus wants to know. */
#pragma once
#include "devices/storage/ata.h"

enum { SCSI_CDB = 16, SCSI_SENSE = 18, SCSI_PARAMETERS = 1040, SCSI_RANGES = 64, SCSI_SECTOR = 512 };
enum { SCSI_FILL_SECTORS = 65536 }; /* of one WRITE SAME */
enum { SCSI_GOOD = 0, SCSI_CHECK_CONDITION = 2 };

enum scsi_what {
    SCSI_DONE,
    SCSI_FAIL,  /* CHECK CONDITION, with the sense data of scsi_take_sense() */
    SCSI_REPLY, /* `bytes` of the answer */
    SCSI_READ,  /* [at, at + bytes) of the medium; raw: in CD sectors that become 2352 bytes */
    SCSI_WRITE,
    SCSI_FLUSH,
    SCSI_UNMAP, /* the ranges may lose what they hold */
    SCSI_ZERO,  /* [at, at + bytes) becomes zeroes */
    SCSI_FILL,  /* ... or copies of the sector that came with the command */
};
struct scsi_action {
    enum scsi_what what;
    bool raw, flush; /* flush: on stable storage before it ends */
    uint64_t at, bytes;
    unsigned ranges;
    struct {
        uint64_t at, bytes;
    } range[SCSI_RANGES];
};
/* A command to logical unit `lun` of the drive (there is only 0).  parameters: what came with it, at most SCSI_PARAMETERS bytes
 * of it.  answer: ATA_ANSWER bytes. */
void scsi_command(struct ata_drive *v, unsigned lun, const uint8_t cdb[SCSI_CDB], const uint8_t *parameters,
                  uint32_t bytes, uint8_t *answer, struct scsi_action *a);
void scsi_power_on(struct ata_drive *v);                     /* or a reset */
void scsi_failed(struct ata_drive *v, bool read, int error); /* a request to the medium did, with that errno */
/* What went wrong, once, in the fixed format. */
void scsi_take_sense(struct ata_drive *v, uint8_t sense[SCSI_SENSE]);
