// SPDX-License-Identifier: GPL-2.0-or-later
/* ide.h - inside of the IDE controller: ide.c (task file, data port, the way of a command), piix3_ide.c (ports, bus master).
 * What a command means is the drive's matter: ata.h.
 *
 * A command runs in phases.  A chunk of sectors goes between medium and buffer in phase DISK, and between buffer and guest
 * in phase DATA_IN or DATA_OUT (the guest moves it through the data port, block by block) or DMA (the bus master does).
 * When a chunk is through, the next one starts or the command is complete.  Nothing ever waits: what has to, is a phase. */
#pragma once
#include "devices/storage/ata.h"

enum { IDE_BUFFER = 256 * ATA_SECTOR };
enum { CONTROL_NIEN = 0x02, CONTROL_SRST = 0x04, CONTROL_HOB = 0x80 };

enum ide_phase { IDE_IDLE, IDE_DISK, IDE_DATA_IN, IDE_DATA_OUT, IDE_DMA, IDE_PHASES };
enum ide_task { TASK_READ, TASK_WRITE, TASK_FLUSH, TASK_REPLY, TASK_PACKET, TASK_PARAMETERS, IDE_TASKS };

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
    struct ata_drive drive[2];
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

static inline struct ata_drive *ide_active(struct ide_channel *c)
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
void ide_fail(struct device *d, struct ide_channel *c, uint8_t error);
void ide_dma_go(struct device *d, struct ide_channel *c); /* the bus master was started, or data is ready for it */
void ide_resume(struct device *d, struct ide_channel *c); /* after a load: what was under way is asked for again */

/* piix3_ide.c: moves position..filled by the descriptor table; false if it had to stop before. */
bool ide_bus_master_move(struct device *d, struct ide_channel *c, bool to_memory);
