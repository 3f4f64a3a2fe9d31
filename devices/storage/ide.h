// SPDX-License-Identifier: GPL-2.0-or-later
/* ide.h - inside of the IDE controller: ide.c (task file, data port, the way of a command), ata.c (disk commands), atapi.c
 * (CD commands), piix3_ide.c (ports, bus master).
 *
 * A command runs in phases.  A chunk of sectors goes between medium and buffer in phase DISK, and between buffer and guest
 * in phase DATA_IN or DATA_OUT (the guest moves it through the data port, block by block) or DMA (the bus master does).
 * When a chunk is through, the next one starts or the command is complete.  Nothing ever waits: what has to, is a phase. */
#pragma once
#include "core-vmm/api/drive.h"
#include "devices/storage/disk_geometry.h"

enum { ATA_SECTOR = 512, CD_SECTOR = 2048, CD_RAW_SECTOR = 2352, IDE_BUFFER = 256 * ATA_SECTOR, PACKET_BYTES = 12 };
enum { STATUS_ERR = 0x01, STATUS_DRQ = 0x08, STATUS_DSC = 0x10, STATUS_DRDY = 0x40, STATUS_BSY = 0x80 };
enum { ERROR_ABRT = 0x04, ERROR_IDNF = 0x10, ERROR_UNC = 0x40 };
enum { DEVICE_UNIT = 0x10, DEVICE_LBA = 0x40, DEVICE_FIXED = 0xa0 };
enum { CONTROL_NIEN = 0x02, CONTROL_SRST = 0x04, CONTROL_HOB = 0x80 };
enum { REASON_COMMAND = 1, REASON_TO_HOST = 2 }; /* the sector count register of a packet device */

enum ide_phase { IDE_IDLE, IDE_DISK, IDE_DATA_IN, IDE_DATA_OUT, IDE_DMA, IDE_PHASES };
enum ide_task { TASK_READ, TASK_WRITE, TASK_FLUSH, TASK_REPLY, TASK_PACKET, TASK_PARAMETERS, IDE_TASKS };

struct ide_sense {
    uint8_t key, code, qualifier;
};

struct ide_drive {
    struct drive *medium; /* NULL: nothing is connected */
    bool cdrom;
    char serial[21], model[41];
    /* Task file: [0] what was written last, [1] before that (48-bit commands). */
    uint8_t status, error, device;
    uint8_t feature[2], count[2], sector[2], low[2], high[2];
    /* Disk. */
    struct disk_geometry geometry, bios_geometry; /* of the drive after power-on; of BIOS calls */
    uint8_t heads, track_sectors, multiple, transfer_mode;
    bool cache_off;
    /* CD. */
    struct ide_sense sense, attention; /* of the last command; to be reported first.  key 0: none */
    bool locked;                       /* PREVENT ALLOW MEDIUM REMOVAL */
    uint8_t event;                     /* for GET EVENT STATUS: 0 none, 1 eject wanted, 2 new medium, 3 removed */
};

struct ide_transfer {
    uint8_t phase, task, unit;
    bool dma, packet, raw, begun;
    uint64_t lba;
    uint32_t left, chunk;           /* sectors still to go, in the buffer's chunk included */
    uint32_t sector_bytes;          /* on the medium */
    uint32_t block;                 /* bytes between two interrupts on the data port */
    uint32_t position, end, filled; /* in the buffer: next byte, end of the block, end of the data */
};

struct ide_channel {
    struct ide_drive drive[2];
    struct ide_transfer t;
    uint8_t index, selected, control;
    bool intrq;
    bool pending, stale; /* a request is under way; its command was given up */
    uint8_t bm_command, bm_status;
    uint32_t prd_table;                    /* as written */
    uint32_t prd_next, prd_base, prd_left; /* the cursor */
    bool prd_last;
    struct drive_request request;
    struct iovec iov;
    uint8_t buffer[IDE_BUFFER];
};

static inline struct ide_drive *ide_active(struct ide_channel *c)
{
    return &c->drive[c->t.unit];
}

/* ide.c */
void ide_channel_reset(struct device *d, struct ide_channel *c);
uint8_t ide_read(struct device *d, struct ide_channel *c, unsigned reg);
void ide_write(struct device *d, struct ide_channel *c, unsigned reg, uint8_t value);
uint32_t ide_data_read(struct device *d, struct ide_channel *c, unsigned size);
void ide_data_write(struct device *d, struct ide_channel *c, unsigned size, uint32_t value);
uint8_t ide_alternate_status(const struct ide_channel *c);
void ide_control_write(struct device *d, struct ide_channel *c, uint8_t value);
void ide_interrupt(struct device *d, struct ide_channel *c);
void ide_signature(struct ide_drive *v);
void ide_begin(struct ide_channel *c, enum ide_task task);               /* a new transfer of the selected drive */
void ide_start(struct device *d, struct ide_channel *c);                 /* lba, left and so on are set */
void ide_reply(struct device *d, struct ide_channel *c, uint32_t bytes); /* the buffer to the guest */
void ide_finish(struct device *d, struct ide_channel *c);
void ide_fail(struct device *d, struct ide_channel *c, uint8_t error);
void ide_flush(struct device *d, struct ide_channel *c);
void ide_want(struct device *d, struct ide_channel *c, uint32_t bytes, bool interrupt); /* data from the guest */
void ide_dma_go(struct device *d, struct ide_channel *c); /* the bus master was started, or data is ready for it */
void ide_resume(struct device *d, struct ide_channel *c); /* after a load: what was under way is asked for again */

/* ata.c */
void ata_identify_common(const struct ide_drive *v, uint8_t *out);          /* names, transfer modes, versions */
bool ata_command(struct device *d, struct ide_channel *c, uint8_t command); /* false: unknown */
void ata_set_position(struct ide_drive *v, uint64_t lba);                   /* the registers name that sector */
void ata_power_on(struct ide_drive *v);

/* atapi.c */
void atapi_identify(const struct ide_drive *v, uint8_t *out);
void atapi_packet(struct device *d, struct ide_channel *c); /* the 12 bytes are in the buffer */
void atapi_read_failed(struct device *d, struct ide_channel *c);
void atapi_expand_raw(struct ide_channel *c); /* 2048-byte sectors in the buffer become 2352 */
void atapi_medium_changed(struct device *d, struct drive *v);
void atapi_power_on(struct ide_drive *v);

/* piix3_ide.c: moves position..filled by the descriptor table; false if it had to stop before. */
bool ide_bus_master_move(struct device *d, struct ide_channel *c, bool to_memory);
