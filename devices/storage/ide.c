// SPDX-License-Identifier: GPL-2.0-or-later
/* ide.c - what every IDE device has: task file, data port, interrupt, reset, and the way of a command (see ide.h).
 * Spec: ATA/ATAPI-6 (T13/1410D), chapters 7 (registers) and 9 (protocols). */
#include "devices/storage/ide.h"
#include <string.h>

/* Registers of the command block. */
enum { REG_ERROR = 1, REG_COUNT, REG_SECTOR, REG_LOW, REG_HIGH, REG_DEVICE, REG_STATUS, REG_FEATURE = 1 };
enum { BM_STATUS_INTERRUPT = 4 };

/* ---- interrupt ---- */
static void update_line(struct device *d, struct ide_channel *c)
{
    dev_irq(d, c->index, c->intrq && !(c->control & CONTROL_NIEN));
}

static void raise_interrupt(struct device *d, struct ide_channel *c)
{
    c->intrq = true;
    if (!(c->control & CONTROL_NIEN))
        c->bm_status |= BM_STATUS_INTERRUPT;
    update_line(d, c);
}

static void interrupt_off(struct device *d, struct ide_channel *c)
{
    c->intrq = false;
    update_line(d, c);
}

/* ---- ends of a command ---- */
static void finish(struct device *d, struct ide_channel *c)
{
    struct ata_drive *v = ide_active(c);

    c->t.phase = IDE_IDLE;
    v->status = STATUS_READY;
    v->error = 0;
    if (c->t.packet)
        v->count[0] = REASON_COMMAND | REASON_TO_HOST;
    raise_interrupt(d, c);
}

void ide_fail(struct device *d, struct ide_channel *c, uint8_t error)
{
    struct ata_drive *v = ide_active(c);

    c->t.phase = IDE_IDLE;
    v->status = STATUS_READY | STATUS_ERR;
    v->error = error;
    if (c->t.packet)
        v->count[0] = REASON_COMMAND | REASON_TO_HOST;
    raise_interrupt(d, c);
}

static void flush(struct device *d, struct ide_channel *c);

/* Only reads through the data port end without an interrupt: the guest knows that it took the last block. */
static void complete(struct device *d, struct ide_channel *c)
{
    struct ata_drive *v = ide_active(c);

    if (!c->t.packet && !c->t.dma && (c->t.task == TASK_READ || c->t.task == TASK_REPLY)) {
        c->t.phase = IDE_IDLE;
        v->status = STATUS_READY;
        v->error = 0;
    } else if (c->t.task == TASK_WRITE && v->cache_off) {
        flush(d, c);
    } else {
        finish(d, c);
    }
}

/* ---- buffer and guest ---- */
static void offer_block(struct device *d, struct ide_channel *c)
{
    struct ata_drive *v = ide_active(c);
    struct ide_transfer *t = &c->t;
    uint32_t bytes = MIN(t->block, t->filled - t->position);

    t->end = t->position + bytes;
    t->phase = IDE_DATA_IN;
    v->status = STATUS_READY | STATUS_DRQ;
    if (t->packet) {
        v->count[0] = REASON_TO_HOST;
        v->low[0] = bytes;
        v->high[0] = bytes >> 8;
    }
    raise_interrupt(d, c);
}

static void want_block(struct device *d, struct ide_channel *c, bool interrupt)
{
    struct ata_drive *v = ide_active(c);
    struct ide_transfer *t = &c->t;

    t->end = t->position + MIN(t->block, t->filled - t->position);
    t->phase = IDE_DATA_OUT;
    v->status = STATUS_READY | STATUS_DRQ;
    if (interrupt)
        raise_interrupt(d, c);
}

/* So many bytes are or will be in the buffer, and none of them has been asked for. */
static void new_buffer(struct ide_transfer *t, uint32_t bytes)
{
    t->position = t->end = 0;
    t->filled = bytes;
}

static void want(struct device *d, struct ide_channel *c, uint32_t bytes, bool interrupt)
{
    new_buffer(&c->t, bytes);
    want_block(d, c, interrupt);
}

static void to_guest(struct device *d, struct ide_channel *c)
{
    if (c->t.dma) {
        c->t.phase = IDE_DMA;
        ide_active(c)->status = STATUS_READY | STATUS_DRQ;
        ide_dma_go(d, c);
    } else {
        offer_block(d, c);
    }
}

static void reply(struct device *d, struct ide_channel *c, uint32_t bytes)
{
    c->t.task = TASK_REPLY;
    c->t.left = c->t.chunk = 0;
    new_buffer(&c->t, bytes);
    to_guest(d, c);
}

/* ---- buffer and medium ---- */
static void request_done(struct device *d, struct drive_request *r, int error);

static void submit(struct device *d, struct ide_channel *c, enum drive_op op, uint64_t offset, uint64_t bytes)
{
    c->iov = (struct iovec){c->buffer, bytes};
    c->request = (struct drive_request){
        .op = op,
        .offset = offset,
        .bytes = bytes,
        .iov = bytes ? &c->iov : NULL,
        .iov_count = bytes ? 1 : 0,
        .done = request_done,
        .tag = c,
    };
    c->t.phase = IDE_DISK;
    c->pending = true;
    ide_active(c)->status = STATUS_BSY;
    drive_submit(ide_active(c)->medium, &c->request);
}

static void flush(struct device *d, struct ide_channel *c)
{
    c->t.task = TASK_FLUSH;
    submit(d, c, DRIVE_FLUSH, 0, 0);
}

static void submit_chunk(struct device *d, struct ide_channel *c)
{
    struct ide_transfer *t = &c->t;

    submit(d, c, t->task == TASK_WRITE ? DRIVE_WRITE : DRIVE_READ, t->lba * t->sector_bytes,
           (uint64_t)t->chunk * t->sector_bytes);
}

static void start(struct device *d, struct ide_channel *c)
{
    struct ide_transfer *t = &c->t;

    t->chunk = MIN(t->left, IDE_BUFFER / (t->raw ? CD_RAW_SECTOR : t->sector_bytes));
    new_buffer(t, t->chunk * (t->raw ? CD_RAW_SECTOR : t->sector_bytes));
    if (t->task != TASK_WRITE) {
        submit_chunk(d, c);
    } else if (t->dma) {
        t->phase = IDE_DMA;
        ide_active(c)->status = STATUS_READY | STATUS_DRQ;
        ide_dma_go(d, c);
    } else {
        want_block(d, c, t->begun); /* the first block is asked for without an interrupt */
    }
    t->begun = true;
}

static void chunk_through(struct device *d, struct ide_channel *c)
{
    struct ide_transfer *t = &c->t;

    t->lba += t->chunk;
    t->left -= t->chunk;
    t->chunk = 0;
    if (t->left)
        start(d, c);
    else
        complete(d, c);
}

static void medium_failed(struct device *d, struct ide_channel *c)
{
    struct ide_transfer *t = &c->t;

    if (t->packet) {
        ide_fail(d, c, atapi_read_failed(ide_active(c)));
        return;
    }
    ata_set_position(ide_active(c), t->lba);
    ide_fail(d, c, t->task == TASK_READ ? ERROR_UNC : ERROR_ABRT);
}

static void request_done(struct device *d, struct drive_request *r, int error)
{
    struct ide_channel *c = r->tag;

    c->pending = false;
    if (c->stale) {
        c->stale = false;
        return;
    }
    if (error)
        medium_failed(d, c);
    else if (c->t.task == TASK_FLUSH)
        finish(d, c);
    else if (c->t.task == TASK_WRITE)
        chunk_through(d, c);
    else {
        if (c->t.raw)
            atapi_expand_raw(c->buffer, c->t.lba, c->t.chunk);
        to_guest(d, c);
    }
}

/* ---- what the drive has decided ---- */
static void begin(struct ide_channel *c, enum ide_task task)
{
    c->t = (struct ide_transfer){.task = task, .unit = c->selected, .sector_bytes = ATA_SECTOR, .block = ATA_SECTOR};
}

/* The command itself comes through the data port. */
static void want_packet(struct device *d, struct ide_channel *c, const struct ata_action *a)
{
    struct ata_drive *v = ide_active(c);
    uint32_t limit = (v->high[0] << 8 | v->low[0]) & ~1u;

    c->t.task = TASK_PACKET;
    c->t.packet = true;
    c->t.dma = a->dma;
    c->t.block = a->bytes;
    v->count[0] = REASON_COMMAND;
    want(d, c, a->bytes, false);
    c->t.block = limit ? limit : 0xfffe;
}

static void transfer(struct device *d, struct ide_channel *c, const struct ata_action *a)
{
    struct ide_transfer *t = &c->t;

    t->task = a->what == ATA_READ ? TASK_READ : TASK_WRITE;
    t->sector_bytes = a->sector_bytes;
    t->raw = a->raw;
    t->lba = a->lba;
    t->left = a->sectors;
    if (!t->packet) {
        t->dma = a->dma;
        t->block = a->block;
    }
    start(d, c);
}

static void carry_out(struct device *d, struct ide_channel *c, const struct ata_action *a)
{
    switch (a->what) {
    case ATA_DONE: finish(d, c); break;
    case ATA_FAIL: ide_fail(d, c, a->error); break;
    case ATA_READ:
    case ATA_WRITE: transfer(d, c, a); break;
    case ATA_FLUSH: flush(d, c); break;
    case ATA_ANSWER_OUT: reply(d, c, a->bytes); break;
    case ATA_PACKET: want_packet(d, c, a); break;
    case ATA_SWALLOW:
        c->t.task = TASK_PARAMETERS;
        c->t.dma = false;
        ide_active(c)->count[0] = 0;
        want(d, c, a->bytes, true);
        break;
    case ATA_TRIM: ide_fail(d, c, ERROR_ABRT); break; /* no drive of a parallel cable decides this */
    }
}

static void packet_given(struct device *d, struct ide_channel *c)
{
    uint8_t packet[PACKET_BYTES];
    struct ata_action a;

    memcpy(packet, c->buffer, sizeof packet);
    atapi_packet(ide_active(c), packet, c->buffer, &a);
    carry_out(d, c, &a);
}

/* ---- what happens when a block or chunk has passed ---- */
static void block_taken(struct device *d, struct ide_channel *c)
{
    if (c->t.position < c->t.filled)
        offer_block(d, c);
    else
        chunk_through(d, c);
}

static void chunk_given(struct device *d, struct ide_channel *c)
{
    switch (c->t.task) {
    case TASK_WRITE: submit_chunk(d, c); break;
    case TASK_PACKET: packet_given(d, c); break;
    default: finish(d, c); break;
    }
}

static void block_given(struct device *d, struct ide_channel *c)
{
    if (c->t.position < c->t.filled)
        want_block(d, c, true);
    else
        chunk_given(d, c);
}

void ide_dma_go(struct device *d, struct ide_channel *c)
{
    bool to_memory = c->t.task != TASK_WRITE;

    if (c->t.phase != IDE_DMA || !ide_bus_master_move(d, c, to_memory))
        return;
    if (to_memory)
        chunk_through(d, c);
    else
        submit_chunk(d, c);
}

uint32_t ide_data_read(struct device *d, struct ide_channel *c, unsigned size)
{
    struct ide_transfer *t = &c->t;
    uint32_t value = 0;

    if (t->phase != IDE_DATA_IN || t->unit != c->selected)
        return 0;
    for (unsigned n = 0; n < size && t->position < t->end; n++)
        value |= (uint32_t)c->buffer[t->position++] << n * 8;
    if (t->position == t->end)
        block_taken(d, c);
    return value;
}

void ide_data_write(struct device *d, struct ide_channel *c, unsigned size, uint32_t value)
{
    struct ide_transfer *t = &c->t;

    if (t->phase != IDE_DATA_OUT || t->unit != c->selected)
        return;
    for (unsigned n = 0; n < size && t->position < t->end; n++)
        c->buffer[t->position++] = value >> n * 8;
    if (t->position == t->end)
        block_given(d, c);
}

/* ---- reset ---- */
static void give_up(struct ide_channel *c)
{
    c->stale = c->pending;
    c->t.phase = IDE_IDLE;
}

static void soft_reset(struct device *d, struct ide_channel *c)
{
    give_up(c);
    for (unsigned n = 0; n < 2; n++)
        ata_reset(&c->drive[n]);
    c->selected = 0;
    interrupt_off(d, c);
}

void ide_channel_reset(struct device *d, struct ide_channel *c)
{
    ata_power_on(&c->drive[0]);
    ata_power_on(&c->drive[1]);
    c->control = 0;
    soft_reset(d, c);
    c->bm_command = c->bm_status = 0;
    c->prd_table = c->prd_next = c->prd_base = c->prd_left = 0;
    c->prd_last = false;
}

void ide_control_write(struct device *d, struct ide_channel *c, uint8_t value)
{
    uint8_t before = c->control;

    c->control = value;
    if (!(before & CONTROL_SRST) && (value & CONTROL_SRST))
        soft_reset(d, c);
    update_line(d, c);
}

/* ---- task file ---- */
uint8_t ide_alternate_status(const struct ide_channel *c)
{
    const struct ata_drive *v = &c->drive[c->selected];

    if (!v->medium)
        return 0; /* a pull-down resistor, or device 0 answering for the missing device 1 */
    return c->stale || (c->control & CONTROL_SRST) ? STATUS_BSY : v->status;
}

uint8_t ide_read(struct device *d, struct ide_channel *c, unsigned reg)
{
    struct ata_drive *v = &c->drive[c->selected];
    unsigned old = c->control & CONTROL_HOB ? 1 : 0;

    if (reg == REG_STATUS) {
        interrupt_off(d, c);
        return ide_alternate_status(c);
    }
    if (!c->drive[0].medium && !c->drive[1].medium)
        return 0;
    switch (reg) {
    case REG_ERROR: return v->error;
    case REG_COUNT: return v->count[old];
    case REG_SECTOR: return v->sector[old];
    case REG_LOW: return v->low[old];
    case REG_HIGH: return v->high[old];
    default: return v->device | DEVICE_FIXED | (c->selected ? DEVICE_UNIT : 0);
    }
}

static void shift_in(uint8_t *pair, uint8_t value)
{
    pair[1] = pair[0];
    pair[0] = value;
}

/* Both drives hear what is written. */
static void task_file_write(struct ata_drive *v, unsigned reg, uint8_t value)
{
    switch (reg) {
    case REG_FEATURE: shift_in(v->feature, value); break;
    case REG_COUNT: shift_in(v->count, value); break;
    case REG_SECTOR: shift_in(v->sector, value); break;
    case REG_LOW: shift_in(v->low, value); break;
    case REG_HIGH: shift_in(v->high, value); break;
    case REG_DEVICE: v->device = value; break;
    }
}

static void diagnose(struct device *d, struct ide_channel *c)
{
    for (unsigned n = 0; n < 2; n++)
        ata_reset(&c->drive[n]);
    c->selected = 0;
    c->t.unit = 0;
    raise_interrupt(d, c);
}

/* DEVICE RESET: packet devices only, and the one command that is heard while busy. */
static void packet_device_reset(struct device *d, struct ide_channel *c)
{
    if (c->t.unit == c->selected)
        give_up(c);
    ata_reset(&c->drive[c->selected]);
    interrupt_off(d, c);
}

static void command(struct device *d, struct ide_channel *c, uint8_t value)
{
    enum { DEVICE_RESET = 0x08, DIAGNOSTIC = 0x90 };
    struct ata_drive *v = &c->drive[c->selected];
    struct ata_action a;

    if (v->medium && v->cdrom && value == DEVICE_RESET) {
        packet_device_reset(d, c);
    } else if (c->t.phase == IDE_DISK) {
        dev_log(d, "command 0x%02x while busy", value);
    } else if (value == DIAGNOSTIC) {
        begin(c, TASK_REPLY);
        diagnose(d, c);
    } else if (v->medium) {
        interrupt_off(d, c);
        begin(c, TASK_REPLY);
        ata_command(v, value, c->buffer, &a);
        carry_out(d, c, &a);
    }
}

void ide_write(struct device *d, struct ide_channel *c, unsigned reg, uint8_t value)
{
    if (c->control & CONTROL_SRST || c->stale)
        return;
    c->control &= ~CONTROL_HOB;
    if (reg == REG_STATUS) {
        command(d, c, value);
        return;
    }
    if (c->t.phase == IDE_DISK)
        return; /* busy: the task file is the drive's */
    task_file_write(&c->drive[0], reg, value);
    task_file_write(&c->drive[1], reg, value);
    if (reg == REG_DEVICE)
        c->selected = value & DEVICE_UNIT ? 1 : 0;
}

void ide_resume(struct device *d, struct ide_channel *c)
{
    c->stale = c->pending = false;
    update_line(d, c);
    if (c->t.phase != IDE_DISK)
        return;
    if (c->t.task == TASK_FLUSH)
        flush(d, c);
    else
        submit_chunk(d, c);
}
