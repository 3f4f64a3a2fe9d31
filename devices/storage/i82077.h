// SPDX-License-Identifier: GPL-2.0-or-later
/* i82077.h - what the two halves of the floppy controller share: i82077.c has its registers and short commands,
 * i82077_exec.c the execution phase of those that touch the medium. */
#pragma once
#include "core-vmm/api/platform.h"
#include "devices/storage/floppy.h"

enum {
    READ_TRACK = 2,
    SPECIFY,
    DRIVE_STATUS,
    WRITE,
    READ,
    RECALIBRATE,
    SENSE,
    WRITE_DELETED,
    READ_ID,
    READ_DELETED = 12,
    FORMAT,
    DUMP,
    SEEK,
    VERSION,
    PERPENDICULAR = 18,
    CONFIGURE,
    LOCK,
    VERIFY = 22
};
enum { ST0_ABNORMAL = 0x40, ST0_INVALID = 0x80, ST0_CHANGED = 0xc0, ST0_SEEK_END = 0x20, ST0_NO_TRACK0 = 0x10 };
enum { DOR_NO_RESET = 4, DOR_IRQ_DMA = 8, SPECIFY_NO_DMA = 1, CONFIG_IMPLIED_SEEK = 0x40 };
enum { FDC_DRIVES = 2, FDC_SELECTS = 4 };
enum { TIMER_STEP, TIMER_RESET, TIMER_SEEK };

enum phase { COMMAND, EXECUTION, RESULT };
enum step { STEP_NONE, STEP_START, STEP_DRIVE /* a request is under way */, STEP_HOST, STEP_FAIL };

struct fdc {
    unsigned signature; /* of boot sectors, by the config: auto, on, off */
    struct floppy floppy[FDC_DRIVES];
    uint8_t dor, tdr, rate;
    uint8_t specify[2], config, precompensation, perpendicular, last_eot;
    bool lock;
    uint8_t pcn[FDC_SELECTS]; /* where the controller thinks the heads are */
    uint8_t seek_to[FDC_SELECTS];
    uint64_t seek_at[FDC_SELECTS]; /* when it ends, or DEV_NEVER */
    uint8_t sense[FDC_SELECTS];    /* ST0 of a seek that ended */
    uint8_t sense_pending;         /* bits by drive */
    uint8_t reset_senses;          /* interrupts of a reset not yet sensed: 4 to 1 */
    uint64_t reset_at;             /* when the reset's interrupt comes, or DEV_NEVER */
    bool interrupt;

    enum phase phase;
    uint8_t command[9], command_length, result[10], result_length, result_at;

    /* the command in execution */
    enum step step;
    uint64_t step_at;        /* when TIMER_STEP runs out, or DEV_NEVER */
    uint64_t patience_until; /* when DMA that does not come becomes an overrun */
    uint8_t select, cylinder, head, sector, eot;
    uint8_t fail_st0, fail_st1, fail_st2;
    uint8_t st2;         /* gathered */
    uint32_t units_left; /* verify with a count, format */
    bool terminal;       /* the host said "enough" */
    uint32_t at;         /* next byte of the unit in buffer */
    uint8_t buffer[FLOPPY_SECTOR];
    uint8_t turn; /* which identification passes the head next */

    uint32_t epoch, request_epoch;
    bool in_flight;
    struct drive_request request;
    struct iovec iov;
};

/* i82077.c */
void fdc_irq(struct device *d, bool level);
void fdc_give(struct device *d, const uint8_t *bytes,
              unsigned n);                                /* to the result phase; n == 0: to the next command */
struct floppy *fdc_drive(struct fdc *f, unsigned select); /* NULL: not there */

/* i82077_exec.c */
void fdc_begin(struct device *d);         /* the command is complete */
void fdc_stop(struct device *d);          /* the controller is reset */
void fdc_medium_gone(struct device *d);   /* while a command is at work on it */
void fdc_restart_timer(struct device *d); /* after loading */
bool fdc_host_turn(const struct fdc *f);  /* a byte must pass the FIFO */
void fdc_host_byte(struct device *d, uint8_t *byte, bool write);
unsigned fdc_unit_bytes(const struct fdc *f);

static inline unsigned fdc_opcode(const struct fdc *f)
{
    return f->command[0] & 31;
}
static inline bool fdc_pio(const struct fdc *f)
{
    return f->specify[1] & SPECIFY_NO_DMA;
}
static inline bool fdc_motor_on(const struct fdc *f, unsigned select)
{
    return f->dor >> (4 + select) & 1;
}
static inline bool fdc_from_host(const struct fdc *f)
{
    return fdc_opcode(f) == WRITE || fdc_opcode(f) == WRITE_DELETED || fdc_opcode(f) == FORMAT;
}
