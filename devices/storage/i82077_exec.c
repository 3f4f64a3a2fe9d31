// SPDX-License-Identifier: GPL-2.0-or-later
/* The execution phase of the 82077AA: a chain of events, each started by the one before,
 *     fdc_begin -> STEP_START (timer) -> next_unit -> drive request -> unit_moving -> host (DMA or bytes) -> unit_done
 * where a unit is a sector, or four bytes of identification when formatting.
 *
 * A controller reset does not stop a drive request under way: `epoch` tells its late answer from one that is awaited, and
 * a new command waits for it. */
#include "devices/storage/i82077.h"
#include "devices/chipset/i8237.h"
#include <errno.h>
#include <string.h>

enum {
    ST1_END = 0x80,
    ST1_DATA = 0x20,
    ST1_OVERRUN = 0x10,
    ST1_NO_DATA = 0x04,
    ST1_READONLY = 0x02,
    ST1_NO_MARK = 0x01
};
enum { ST2_DELETED = 0x40, ST2_DATA = 0x20, ST2_WRONG_TRACK = 0x10 };
enum { MULTI_TRACK = 0x80, MFM = 0x40, SKIP = 0x20, VERIFY_COUNTS = 0x80, SIZE_CODE_512 = 2, DMA_CHANNEL = 2 };
static const uint64_t START_NS = 500000, FAST_START_NS = 20000, FAST_NO_MARK_NS = 2000000,
                      NO_MARK_NS = 400000000 /* two turns */, DMA_RETRY_NS = 50000, DMA_PATIENCE_NS = 1000000000;

static void step_due(struct device *d);
static void next_unit(struct device *d);

static void set_step(struct device *d, enum step step, uint64_t at)
{
    struct fdc *f = d->state;
    f->step = step;
    f->step_at = at;
    dev_timer(d, TIMER_STEP, at, step_due);
}

static void after(struct device *d, enum step step, uint64_t ns)
{
    set_step(d, step, dev_now(d) + ns);
}

static bool fast(const struct fdc *f)
{
    return f->select < FDC_DRIVES && f->floppy[f->select].drive && !f->floppy[f->select].real_speed;
}

static uint64_t start_ns(const struct fdc *f)
{
    return fast(f) ? FAST_START_NS : START_NS;
}

static void finish(struct device *d, uint8_t st0, uint8_t st1, uint8_t st2)
{
    struct fdc *f = d->state;
    uint8_t r[] = {st0 | (f->command[1] & 7), st1, st2 | f->st2, f->cylinder, f->head, f->sector, SIZE_CODE_512};
    set_step(d, STEP_NONE, DEV_NEVER);
    fdc_give(d, r, sizeof r);
    fdc_irq(d, true);
}

/* The disk turns, and what is looked for does not come by. */
static void not_found(struct device *d, uint8_t st1, uint8_t st2)
{
    struct fdc *f = d->state;
    f->fail_st0 = ST0_ABNORMAL;
    f->fail_st1 = st1;
    f->fail_st2 = st2;
    after(d, STEP_FAIL, fast(f) ? FAST_NO_MARK_NS : NO_MARK_NS);
}

/* ---- execution: what is under the head ---- */

static unsigned side(const struct fdc *f)
{
    return f->head & 1;
}

/* Is there anything readable at all: medium turning, right data rate, that side, that track? */
static bool marks_there(struct fdc *f)
{
    struct floppy *v = fdc_drive(f, f->select);
    return v && v->medium && fdc_motor_on(f, f->select) && f->command[0] & MFM && floppy_medium_rate(v) == f->rate &&
           side(f) < v->medium->heads && floppy_medium_track(v) >= 0 && floppy_medium_track(v) < v->medium->tracks;
}

/* The sector that the command asks for is on this track. */
static bool sector_there(struct device *d)
{
    struct fdc *f = d->state;
    if (!marks_there(f)) {
        not_found(d, ST1_NO_MARK, 0);
        return false;
    }
    const struct floppy *v = &f->floppy[f->select];
    bool whole_track = fdc_opcode(f) == READ_TRACK; /* takes what comes */
    bool wrong = f->cylinder != floppy_medium_track(v) && !whole_track;
    if (wrong || f->sector < 1 || f->sector > v->medium->sectors || (f->command[5] != SIZE_CODE_512 && !whole_track)) {
        not_found(d, ST1_NO_DATA, wrong ? ST2_WRONG_TRACK : 0);
        return false;
    }
    return true;
}

static uint64_t offset_of(const struct fdc *f, unsigned sector)
{
    const struct floppy *v = &f->floppy[f->select];
    uint64_t track = (uint64_t)floppy_medium_track(v) * v->medium->heads + side(f);
    return (track * v->medium->sectors + sector - 1) * FLOPPY_SECTOR;
}

/* ---- execution: the drive's end ---- */

static void unit_moving(struct device *d);
static void unit_done(struct device *d);

static void drive_done(struct device *d, struct drive_request *r, int error)
{
    struct fdc *f = d->state;
    f->in_flight = false;
    if (f->request_epoch != f->epoch || f->step != STEP_DRIVE)
        return;
    if (error == EROFS)
        finish(d, ST0_ABNORMAL, ST1_READONLY, 0);
    else if (error)
        finish(d, ST0_ABNORMAL, ST1_DATA, ST2_DATA);
    else if (r->op == DRIVE_WRITE || fdc_opcode(f) == VERIFY)
        unit_done(d);
    else
        unit_moving(d);
}

/* The sector at offset, to or from buffer.  What an image shorter than its medium lacks reads as zeros. */
static void submit(struct device *d, enum drive_op op, uint64_t offset)
{
    struct fdc *f = d->state;
    struct drive *v = f->floppy[f->select].drive;
    uint64_t there = drive_bytes(v) > offset ? drive_bytes(v) - offset : 0;
    size_t n = MIN(there, FLOPPY_SECTOR);
    set_step(d, STEP_DRIVE, DEV_NEVER);
    if (op == DRIVE_READ)
        memset(f->buffer, 0, FLOPPY_SECTOR);
    f->request = (struct drive_request){
        .op = op, .offset = offset, .bytes = n, .iov = &f->iov, .iov_count = 1, .done = drive_done};
    f->iov = (struct iovec){f->buffer, n};
    f->request_epoch = f->epoch;
    f->in_flight = true;
    if (n && op == DRIVE_READ && fast(f) &&
        drive_peek(v, offset, f->buffer, n)) /* a worker takes longer than the read */
        drive_done(d, &f->request, 0);
    else if (n)
        drive_submit(v, &f->request);
    else
        drive_done(d, &f->request, op == DRIVE_READ ? 0 : ENOSPC);
}

/* ---- execution: the host's end ---- */

unsigned fdc_unit_bytes(const struct fdc *f)
{
    return fdc_opcode(f) == FORMAT ? 4 : FLOPPY_SECTOR;
}

static void write_unit(struct device *d)
{
    struct fdc *f = d->state;
    if (fdc_opcode(f) != FORMAT) {
        submit(d, DRIVE_WRITE, offset_of(f, f->sector));
        return;
    }
    unsigned sector = f->buffer[2];
    memset(f->buffer, f->command[5], FLOPPY_SECTOR);
    if (sector >= 1 && sector <= f->floppy[f->select].medium->sectors)
        submit(d, DRIVE_WRITE, offset_of(f, sector));
    else
        unit_done(d); /* an identification that no standard medium has: nobody will find it */
}

/* All bytes of the unit have passed, or the host said "enough": a sector being written is filled up with zeros. */
static void unit_passed(struct device *d)
{
    struct fdc *f = d->state;
    fdc_irq(d, false);
    if (!fdc_from_host(f)) {
        unit_done(d);
    } else if (fdc_opcode(f) == FORMAT && f->at < 4) {
        finish(d, 0, 0, 0); /* terminal count between two identifications */
    } else {
        memset(f->buffer + f->at, 0, FLOPPY_SECTOR - f->at);
        write_unit(d);
    }
}

/* The longer the channel stays shut, the less often it is tried. */
static uint64_t dma_retry_ns(struct device *d)
{
    uint64_t waited = DMA_PATIENCE_NS - (((struct fdc *)d->state)->patience_until - dev_now(d));
    return MAX(DMA_RETRY_NS, waited / 8);
}

static void move_by_dma(struct device *d)
{
    struct fdc *f = d->state;
    struct device *dma = dev_find(d, "dma");
    size_t n = 0;
    if (dma && f->dor & DOR_IRQ_DMA)
        n = i8237_transfer(dma, DMA_CHANNEL, f->buffer + f->at, fdc_unit_bytes(f) - f->at,
                           fdc_from_host(f) ? I8237_FROM_MEMORY : I8237_TO_MEMORY, &f->terminal);
    f->at += n;
    if (n)
        f->patience_until = dev_now(d) + DMA_PATIENCE_NS;
    if (f->terminal || f->at == fdc_unit_bytes(f))
        unit_passed(d);
    else if (dev_now(d) < f->patience_until)
        after(d, STEP_HOST, dma_retry_ns(d));
    else
        finish(d, ST0_ABNORMAL, ST1_OVERRUN, 0);
}

static void unit_moving(struct device *d)
{
    struct fdc *f = d->state;
    f->at = 0;
    f->patience_until = dev_now(d) + DMA_PATIENCE_NS;
    set_step(d, STEP_HOST, DEV_NEVER);
    if (fdc_pio(f))
        fdc_irq(d, true);
    else
        move_by_dma(d);
}

/* ---- execution: unit by unit ---- */

/* To the next sector; false at the end of the cylinder. */
static bool advance(struct fdc *f)
{
    if (f->sector != f->eot) {
        f->sector++;
        return true;
    }
    f->sector = 1;
    bool both_sides = f->command[0] & MULTI_TRACK && fdc_opcode(f) != READ_TRACK;
    if (both_sides && !(f->head & 1)) {
        f->head |= 1;
        f->command[1] |= 4;
        return true;
    }
    if (both_sides) {
        f->head &= ~1;
        f->command[1] &= ~4;
    }
    f->cylinder++;
    return false;
}

static void unit_done(struct device *d)
{
    struct fdc *f = d->state;
    unsigned op = fdc_opcode(f);
    if (op == FORMAT) {
        if (--f->units_left == 0 || f->terminal)
            finish(d, 0, 0, 0);
        else
            next_unit(d);
        return;
    }
    bool more = advance(f), counted = op == VERIFY && f->units_left && --f->units_left == 0;
    if (op == READ_DELETED) /* no sector here is marked deleted: the first one ends it */
        finish(d, 0, 0, ST2_DELETED);
    else if (f->terminal || counted || (!more && op == VERIFY))
        finish(d, 0, 0, 0);
    else if (!more)
        finish(d, ST0_ABNORMAL, ST1_END, 0);
    else
        next_unit(d);
}

static void next_unit(struct device *d)
{
    struct fdc *f = d->state;
    f->terminal = false;
    if (fdc_opcode(f) == FORMAT ? !marks_there(f) : !sector_there(d)) {
        if (fdc_opcode(f) == FORMAT) /* a blank medium takes any format; none, or a side that is not there, none */
            not_found(d, ST1_NO_MARK, 0);
    } else if (fdc_from_host(f) && drive_readonly(f->floppy[f->select].drive)) {
        finish(d, ST0_ABNORMAL, ST1_READONLY, 0);
    } else if (fdc_from_host(f)) {
        unit_moving(d);
    } else {
        submit(d, DRIVE_READ, offset_of(f, f->sector));
    }
}

/* Identifications come one after the other as the disk turns. */
static void read_id(struct device *d)
{
    struct fdc *f = d->state;
    if (!marks_there(f)) {
        not_found(d, ST1_NO_MARK, 0);
        return;
    }
    const struct floppy *v = &f->floppy[f->select];
    f->cylinder = floppy_medium_track(v);
    f->sector = f->turn++ % v->medium->sectors + 1;
    finish(d, 0, 0, 0);
}

static void implied_seek(struct fdc *f)
{
    struct floppy *v = fdc_drive(f, f->select);
    if (!(f->config & CONFIG_IMPLIED_SEEK) || f->cylinder == f->pcn[f->select])
        return;
    if (v)
        floppy_step(v, f->cylinder - f->pcn[f->select]);
    f->pcn[f->select] = f->cylinder;
}

static void step_due(struct device *d)
{
    struct fdc *f = d->state;
    enum step step = f->step;
    f->step_at = DEV_NEVER;
    if (step == STEP_FAIL)
        finish(d, f->fail_st0, f->fail_st1, f->fail_st2);
    else if (step == STEP_HOST)
        move_by_dma(d);
    else if (step == STEP_START && f->in_flight) /* a request from before a reset */
        after(d, STEP_START, start_ns(f));
    else if (step == STEP_START && fdc_opcode(f) == READ_ID)
        read_id(d);
    else if (step == STEP_START)
        next_unit(d);
}

/* Read, write, verify, format, read identification. */
void fdc_begin(struct device *d)
{
    struct fdc *f = d->state;
    unsigned op = fdc_opcode(f);
    f->phase = EXECUTION;
    f->select = f->command[1] & 3;
    f->head = f->command[1] >> 2 & 1;
    f->st2 = 0;
    f->units_left = 0;
    if (op == FORMAT) {
        f->units_left = f->command[3];
        f->cylinder = f->pcn[f->select];
        f->sector = 1;
    } else if (op != READ_ID) {
        f->cylinder = f->command[2];
        f->head = f->command[3];
        f->sector = op == READ_TRACK ? 1 : f->command[4];
        f->eot = f->last_eot = f->command[6];
        if (op == VERIFY && f->command[1] & VERIFY_COUNTS) /* EC: the last byte is a count */
            f->units_left = f->command[8];
        implied_seek(f);
    }
    bool wrong_side = op != FORMAT && op != READ_ID && f->head != (f->command[1] >> 2 & 1);
    bool wrong_format = op == FORMAT && (f->command[2] != SIZE_CODE_512 || !f->units_left);
    if (wrong_side || wrong_format)
        not_found(d, ST1_NO_DATA, 0);
    else if (op == READ_DELETED && f->command[0] & SKIP) /* skips every sector there is */
        not_found(d, ST1_NO_DATA, 0);
    else
        after(d, STEP_START, start_ns(f));
}

void fdc_medium_gone(struct device *d)
{
    struct fdc *f = d->state;
    f->epoch++;
    not_found(d, ST1_NO_MARK, 0);
}

void fdc_stop(struct device *d)
{
    struct fdc *f = d->state;
    f->epoch++;
    set_step(d, STEP_NONE, DEV_NEVER);
}

void fdc_restart_timer(struct device *d)
{
    dev_timer(d, TIMER_STEP, ((struct fdc *)d->state)->step_at, step_due);
}

bool fdc_host_turn(const struct fdc *f)
{
    return f->phase == EXECUTION && f->step == STEP_HOST && fdc_pio(f);
}

void fdc_host_byte(struct device *d, uint8_t *byte, bool write)
{
    struct fdc *f = d->state;
    if (write != fdc_from_host(f))
        return;
    if (write)
        f->buffer[f->at] = *byte;
    else
        *byte = f->buffer[f->at];
    if (++f->at == fdc_unit_bytes(f))
        unit_passed(d);
}
