// SPDX-License-Identifier: GPL-2.0-or-later
/* 82077AA floppy disk controller in an AT (ports 3F0h-3F5h and 3F7h), with two drives.
 * Source: Intel 82077AA data sheet (290166).  Line 0: IRQ 6; DMA channel 2.
 * Config: the sections floppy0 and floppy1 describe the drives; a drive without a section is not there.
 *
 * A command goes through three phases.  COMMAND collects its bytes (the table `commands` says how many), EXECUTION moves
 * sectors between medium and host (i82077_exec.c), RESULT hands out what became of it.  Seeks run beside it on a timer of
 * their own.  With speed=real in a drive's section time is real where software can tell (seeks, marks that are not found),
 * else as short as it can be.
 * Not there: the scan commands, FM recording, sectors of other sizes than 512 bytes. */
#include "core-vmm/api/platform.h"
#include "devices/all.h"
#include "devices/storage/i82077.h"
#include "devices/chipset/mc146818.h"
#include <string.h>

enum { REGION_LOW, REGION_HIGH };
enum { DOR = 2, TDR, MSR_DSR, FIFO };
enum { DSR_RATE = 3, DSR_RESET = 0x80, DIR_CHANGED = 0x80 };
enum { MSR_SEEKING_0 = 1, MSR_BUSY = 0x10, MSR_PIO = 0x20, MSR_TO_HOST = 0x40, MSR_READY = 0x80 };
enum { ST3_READONLY = 0x40, ST3_READY = 0x20, ST3_TRACK0 = 0x10, ST3_TWO_SIDES = 0x08 };
enum { CONFIG_NO_FIFO = 0x20, CONFIG_NO_POLL = 0x10, LOCK_BIT = 0x80, VERSION_ENHANCED = 0x90 };
enum { RECALIBRATE_TO = 0xff, RECALIBRATE_STEPS = 79 };
static const uint64_t SEEK_NS = 500000, FAST_SEEK_NS = 50000, RESET_NS = 100000;

/* ---- interrupts, timers ---- */

static void update_irq(struct device *d)
{
    const struct fdc *f = d->state;
    dev_irq(d, 0, f->interrupt && f->dor & DOR_IRQ_DMA);
}

void fdc_irq(struct device *d, bool level)
{
    ((struct fdc *)d->state)->interrupt = level;
    update_irq(d);
}

/* ---- drives ---- */

struct floppy *fdc_drive(struct fdc *f, unsigned select)
{
    return select < FDC_DRIVES && f->floppy[select].drive ? &f->floppy[select] : NULL;
}

/* ---- seeks: each drive has a timer ---- */

static uint64_t step_rate_ns(const struct fdc *f)
{
    static const uint8_t per_16[] = {8, 13, 16, 4}; /* the step rate's unit by data rate, in eighths of a millisecond */
    return (uint64_t)(16 - (f->specify[0] >> 4)) * per_16[f->rate] * 125000;
}

static void seek_end(struct device *d, unsigned select)
{
    struct fdc *f = d->state;
    struct floppy *v = fdc_drive(f, select);
    bool recalibrate = f->seek_to[select] == RECALIBRATE_TO;
    int steps = recalibrate ? -RECALIBRATE_STEPS : f->seek_to[select] - f->pcn[select];
    bool at_zero = v && floppy_step(v, recalibrate ? MAX(steps, -v->track) : steps);
    f->pcn[select] = recalibrate ? 0 : f->seek_to[select];
    f->sense[select] = ST0_SEEK_END | select;
    if (recalibrate && !at_zero)
        f->sense[select] |= ST0_ABNORMAL | ST0_NO_TRACK0;
    f->sense_pending |= 1u << select;
    f->seek_at[select] = DEV_NEVER;
    fdc_irq(d, true);
}

static void arm_seek(struct device *d);

static void seek_due(struct device *d)
{
    struct fdc *f = d->state;
    for (unsigned i = 0; i < FDC_SELECTS; i++)
        if (f->seek_at[i] <= dev_now(d))
            seek_end(d, i);
    arm_seek(d);
}

static void arm_seek(struct device *d)
{
    const struct fdc *f = d->state;
    uint64_t first = DEV_NEVER;
    for (unsigned i = 0; i < FDC_SELECTS; i++)
        first = MIN(first, f->seek_at[i]);
    dev_timer(d, TIMER_SEEK, first, seek_due);
}

/* to: a cylinder, or RECALIBRATE_TO. */
static void start_seek(struct device *d, unsigned select, uint8_t to)
{
    struct fdc *f = d->state;
    struct floppy *v = fdc_drive(f, select);
    unsigned steps = to == RECALIBRATE_TO ? (v ? v->track : RECALIBRATE_STEPS) : ABS(to - f->pcn[select]);
    f->seek_to[select] = to;
    f->seek_at[select] = dev_now(d) + (v && !v->real_speed ? FAST_SEEK_NS : SEEK_NS + steps * step_rate_ns(f));
    arm_seek(d);
}

/* ---- results ---- */

void fdc_give(struct device *d, const uint8_t *bytes, unsigned n)
{
    struct fdc *f = d->state;
    if (n)
        memcpy(f->result, bytes, n);
    f->result_length = n;
    f->result_at = 0;
    f->phase = n ? RESULT : COMMAND;
    f->command_length = 0;
}

/* ---- the other commands ---- */

static void specify(struct device *d)
{
    struct fdc *f = d->state;
    memcpy(f->specify, f->command + 1, 2);
    fdc_give(d, NULL, 0);
}

static void drive_status(struct device *d)
{
    struct fdc *f = d->state;
    struct floppy *v = fdc_drive(f, f->command[1] & 3);
    uint8_t st3 = (f->command[1] & 7) | ST3_READY | ST3_TWO_SIDES;
    if (v && v->track == 0)
        st3 |= ST3_TRACK0;
    if (v && v->medium && drive_readonly(v->drive))
        st3 |= ST3_READONLY;
    fdc_give(d, &st3, 1);
}

static void recalibrate(struct device *d)
{
    struct fdc *f = d->state;
    fdc_give(d, NULL, 0);
    start_seek(d, f->command[1] & 3, RECALIBRATE_TO);
}

/* Bit 7 of the opcode: by so many tracks, bit 6: inwards. */
static void seek(struct device *d)
{
    struct fdc *f = d->state;
    unsigned select = f->command[1] & 3;
    int to = f->command[2];
    if (f->command[0] & 0x80)
        to = f->pcn[select] + (f->command[0] & 0x40 ? to : -to);
    fdc_give(d, NULL, 0);
    start_seek(d, select, CLAMP(to, 0, 0xfe));
}

/* One event at a time: first the four that follow a reset, then seeks that ended; else it is an invalid command. */
static void sense_interrupt(struct device *d)
{
    struct fdc *f = d->state;
    uint8_t r[2] = {ST0_INVALID};
    unsigned n = 1;
    if (f->reset_senses) {
        unsigned select = FDC_SELECTS - f->reset_senses--;
        r[0] = ST0_CHANGED | select;
        r[1] = f->pcn[select];
        n = 2;
    } else if (f->sense_pending) {
        unsigned select = __builtin_ctz(f->sense_pending);
        f->sense_pending &= ~(1u << select);
        r[0] = f->sense[select];
        r[1] = f->pcn[select];
        n = 2;
    }
    fdc_give(d, r, n);
    fdc_irq(d, false); /* and up again: the PC's controller wants an edge */
    fdc_irq(d, f->sense_pending && !f->reset_senses);
}

static void dump_registers(struct device *d)
{
    struct fdc *f = d->state;
    uint8_t r[] = {f->pcn[0],     f->pcn[1],         f->pcn[2],   f->pcn[3],
                   f->specify[0], f->specify[1],     f->last_eot, (f->lock ? LOCK_BIT : 0) | f->perpendicular,
                   f->config,     f->precompensation};
    fdc_give(d, r, sizeof r);
}

static void version(struct device *d)
{
    const uint8_t v = VERSION_ENHANCED;
    fdc_give(d, &v, 1);
}

static void configure(struct device *d)
{
    struct fdc *f = d->state;
    f->config = f->command[2] & 0x7f;
    f->precompensation = f->command[3];
    fdc_give(d, NULL, 0);
}

/* Bit 7 guards the drives' bits. */
static void perpendicular(struct device *d)
{
    struct fdc *f = d->state;
    uint8_t v = f->command[1], mask = v & 0x80 ? 0x3f : 0x03;
    f->perpendicular = (f->perpendicular & ~mask) | (v & mask);
    fdc_give(d, NULL, 0);
}

static void lock(struct device *d)
{
    struct fdc *f = d->state;
    f->lock = f->command[0] & LOCK_BIT;
    const uint8_t r = f->lock ? 0x10 : 0;
    fdc_give(d, &r, 1);
}

static void invalid(struct device *d)
{
    const uint8_t st0 = ST0_INVALID;
    fdc_give(d, &st0, 1);
}

static const struct command {
    uint8_t length, fixed; /* fixed: bits above the opcode that must be 0 */
    void (*run)(struct device *d);
} commands[32] = {
    [READ_TRACK] = {9, 0x80, fdc_begin},
    [SPECIFY] = {3, 0xe0, specify},
    [DRIVE_STATUS] = {2, 0xe0, drive_status},
    [WRITE] = {9, 0x20, fdc_begin},
    [READ] = {9, 0, fdc_begin},
    [RECALIBRATE] = {2, 0xe0, recalibrate},
    [SENSE] = {1, 0xe0, sense_interrupt},
    [WRITE_DELETED] = {9, 0x20, fdc_begin},
    [READ_ID] = {2, 0xa0, fdc_begin},
    [READ_DELETED] = {9, 0, fdc_begin},
    [FORMAT] = {6, 0xa0, fdc_begin},
    [DUMP] = {1, 0xe0, dump_registers},
    [SEEK] = {3, 0x20, seek},
    [VERSION] = {1, 0xe0, version},
    [PERPENDICULAR] = {2, 0xe0, perpendicular},
    [CONFIGURE] = {4, 0xe0, configure},
    [LOCK] = {1, 0x60, lock},
    [VERIFY] = {9, 0, fdc_begin},
};

static const struct command *command_of(uint8_t byte)
{
    static const struct command none = {1, 0, invalid};
    const struct command *c = &commands[byte & 31];
    return c->run && !(byte & c->fixed) ? c : &none;
}

/* ---- the FIFO ---- */

static void take_command_byte(struct device *d, uint8_t v)
{
    struct fdc *f = d->state;
    f->command[f->command_length++] = v;
    const struct command *c = command_of(f->command[0]);
    if (f->command_length == c->length)
        c->run(d);
}

static void write_fifo(struct device *d, uint8_t v)
{
    struct fdc *f = d->state;
    if (f->phase == COMMAND) {
        take_command_byte(d, v);
    } else if (fdc_host_turn(f)) {
        fdc_host_byte(d, &v, true);
    }
}

static uint8_t read_fifo(struct device *d)
{
    struct fdc *f = d->state;
    uint8_t v = 0;
    if (f->phase == RESULT) {
        v = f->result[f->result_at++];
        if (f->interrupt && !f->sense_pending)
            fdc_irq(d, false);
        if (f->result_at == f->result_length)
            fdc_give(d, NULL, 0);
    } else if (fdc_host_turn(f)) {
        fdc_host_byte(d, &v, false);
    }
    return v;
}

/* ---- read ---- */

static uint8_t main_status(const struct fdc *f)
{
    uint8_t v = 0;
    if (!(f->dor & DOR_NO_RESET) || f->reset_at != DEV_NEVER)
        return 0;
    for (unsigned i = 0; i < FDC_SELECTS; i++)
        if (f->seek_at[i] != DEV_NEVER || f->sense_pending >> i & 1)
            v |= MSR_SEEKING_0 << i;
    if (f->phase == COMMAND)
        return v | MSR_READY | (f->command_length ? MSR_BUSY : 0);
    if (f->phase == RESULT)
        return v | MSR_READY | MSR_TO_HOST | MSR_BUSY;
    v |= MSR_BUSY | (fdc_pio(f) ? MSR_PIO : 0);
    return fdc_host_turn(f) ? v | MSR_READY | (fdc_from_host(f) ? 0 : MSR_TO_HOST) : v;
}

static uint8_t digital_input(struct fdc *f)
{
    unsigned select = f->dor & 3;
    struct floppy *v = fdc_drive(f, select);
    return v && fdc_motor_on(f, select) && (v->changed || !v->medium) ? DIR_CHANGED : 0;
}

static uint64_t fdc_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    struct fdc *f = d->state;
    if (region == REGION_HIGH)
        return digital_input(f);
    switch (offset) {
    case DOR: return f->dor;
    case TDR: return f->tdr;
    case MSR_DSR: return main_status(f);
    case FIFO: return read_fifo(d);
    default: return 0xff; /* the PS/2's status registers A and B are not driven in an AT */
    }
}

/* ---- reset ---- */

static void reset_due(struct device *d)
{
    struct fdc *f = d->state;
    f->reset_at = DEV_NEVER;
    if (f->config & CONFIG_NO_POLL)
        return;
    f->reset_senses = FDC_SELECTS;
    fdc_irq(d, true);
}

/* What every reset does; LOCK keeps the FIFO's settings through those by software. */
static void stop_all(struct device *d, bool hardware)
{
    struct fdc *f = d->state;
    f->phase = COMMAND;
    f->command_length = f->result_length = f->result_at = 0;
    f->sense_pending = f->reset_senses = 0;
    f->reset_at = DEV_NEVER;
    f->perpendicular &= ~3;
    for (unsigned i = 0; i < FDC_SELECTS; i++) {
        f->seek_at[i] = DEV_NEVER;
        f->pcn[i] = 0;
    }
    if (hardware || !f->lock) {
        f->config = CONFIG_NO_FIFO;
        f->precompensation = 0;
    }
    fdc_stop(d);
    arm_seek(d);
    dev_timer(d, TIMER_RESET, DEV_NEVER, reset_due);
    fdc_irq(d, false);
}

static void leave_reset(struct device *d)
{
    struct fdc *f = d->state;
    f->reset_at = dev_now(d) + RESET_NS;
    dev_timer(d, TIMER_RESET, f->reset_at, reset_due);
}

/* ---- write ---- */

static void write_dor(struct device *d, uint8_t v)
{
    struct fdc *f = d->state;
    bool was = f->dor & DOR_NO_RESET, is = v & DOR_NO_RESET;
    f->dor = v;
    if (was && !is)
        stop_all(d, false);
    else if (!was && is)
        leave_reset(d);
    update_irq(d);
}

static void write_dsr(struct device *d, uint8_t v)
{
    struct fdc *f = d->state;
    f->rate = v & DSR_RATE;
    if (v & DSR_RESET && f->dor & DOR_NO_RESET) {
        stop_all(d, false);
        leave_reset(d);
    }
}

static void fdc_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t v)
{
    struct fdc *f = d->state;
    if (region == REGION_HIGH)
        f->rate = v & DSR_RATE;
    else if (offset == DOR)
        write_dor(d, v);
    else if (offset == TDR)
        f->tdr = v & 3;
    else if (offset == MSR_DSR)
        write_dsr(d, v);
    else if (offset == FIFO && f->dor & DOR_NO_RESET && f->reset_at == DEV_NEVER)
        write_fifo(d, v);
}

/* ---- life ---- */

/* [machine] floppy-signature; auto: without 55 AA boots what does not look like a data disk. */
static void tell_signature(struct device *d)
{
    const struct fdc *f = d->state;
    struct device *rtc = dev_find(d, "rtc");
    enum { AUTO, ON };
    bool code = f->signature == AUTO && f->floppy[0].drive && floppy_has_boot_code(&f->floppy[0]);
    if (rtc)
        mc146818_set_floppy_check(rtc, f->signature == ON || (f->signature == AUTO && !code));
}

/* A command that was at work on the old medium finds no marks any more. */
static void medium_changed(struct device *d, struct drive *drive)
{
    struct fdc *f = d->state;
    for (unsigned i = 0; i < FDC_DRIVES; i++) {
        if (f->floppy[i].drive != drive)
            continue;
        floppy_medium_changed(&f->floppy[i]);
        tell_signature(d);
        if (f->phase == EXECUTION && f->select == i)
            fdc_medium_gone(d);
    }
}

static bool fdc_init(struct device *d, const struct config *c, GError **error)
{
    static const char *const sections[FDC_DRIVES] = {"floppy0", "floppy1"};
    static const char *const speeds[] = {"fast", "real", NULL};
    unsigned speed;
    static const char *const signatures[] = {"auto", "on", "off", NULL};
    struct config machine = {c->file, c->path, "machine"};
    struct fdc *f = d->state;
    if (!config_choice(&machine, "floppy-signature", signatures, &f->signature, error))
        return false;
    for (unsigned i = 0; i < FDC_DRIVES; i++) {
        struct config section = {c->file, c->path, sections[i]};
        if (!c->file || !g_key_file_has_group(c->file, sections[i]))
            continue;
        struct drive *v =
            config_choice(&section, "speed", speeds, &speed, error) ? drive_open(d, &section, error) : NULL;
        if (!v)
            return false;
        f->floppy[i].real_speed = speed == 1;
        floppy_attach(&f->floppy[i], v);
        drive_on_change(v, medium_changed);
    }
    struct device *rtc = dev_find(d, "rtc");
    if (rtc)
        mc146818_set_floppies(rtc, f->floppy[0].type, f->floppy[1].type);
    tell_signature(d);
    return true;
}

static void fdc_fini(struct device *d)
{
    struct fdc *f = d->state;
    for (unsigned i = 0; i < FDC_DRIVES; i++)
        if (f->floppy[i].drive)
            drive_close(f->floppy[i].drive);
}

static void fdc_reset(struct device *d)
{
    struct fdc *f = d->state;
    f->dor = f->tdr = 0;
    f->rate = FLOPPY_250K;
    f->lock = false;
    f->perpendicular = 0;
    stop_all(d, true);
}

static void sync_execution(struct fdc *f, struct stream *s)
{
    uint32_t phase = f->phase, step = f->step;
    stream_check_u32(s, &phase, RESULT);
    stream_check_u32(s, &step, STEP_FAIL);
    f->phase = phase;
    f->step = step;
    uint8_t *bytes[] = {&f->command_length, &f->result_length, &f->result_at, &f->select,   &f->cylinder,
                        &f->head,           &f->sector,        &f->eot,       &f->fail_st0, &f->fail_st1,
                        &f->fail_st2,       &f->st2,           &f->turn};
    for (unsigned i = 0; i < G_N_ELEMENTS(bytes); i++)
        stream_u8(s, bytes[i]);
    stream_raw(s, f->command, sizeof f->command);
    stream_raw(s, f->result, sizeof f->result);
    stream_raw(s, f->buffer, sizeof f->buffer);
    stream_u64(s, &f->step_at);
    stream_u64(s, &f->patience_until);
    stream_u32(s, &f->units_left);
    stream_bool(s, &f->terminal);
    stream_check_u32(s, &f->at, FLOPPY_SECTOR); /* all of it, when a transfer is over */
}

/* The indices that the code above relies on.  No request is under way when a machine is saved. */
static bool plausible(struct fdc *f)
{
    unsigned length = f->phase == COMMAND ? f->command_length ? command_of(f->command[0])->length : 1 : 10;
    bool execution = f->phase == EXECUTION;
    struct floppy *v = fdc_drive(f, f->select & 3);
    return f->command_length < length && f->result_length <= sizeof f->result &&
           (f->phase != RESULT || f->result_at < f->result_length) && f->select < FDC_SELECTS &&
           f->step != STEP_DRIVE && execution == (f->step != STEP_NONE) &&
           (!execution || command_of(f->command[0])->run == fdc_begin) &&
           (f->step != STEP_HOST || (v && v->medium && f->at < fdc_unit_bytes(f))) && f->rate < 4 &&
           (fdc_opcode(f) != FORMAT || !execution || f->units_left);
}

static bool fdc_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct fdc *f = d->state;
    uint8_t *bytes[] = {&f->dor,
                        &f->tdr,
                        &f->rate,
                        &f->specify[0],
                        &f->specify[1],
                        &f->config,
                        &f->precompensation,
                        &f->perpendicular,
                        &f->last_eot,
                        &f->sense_pending,
                        &f->reset_senses};
    for (unsigned i = 0; i < G_N_ELEMENTS(bytes); i++)
        stream_u8(s, bytes[i]);
    for (unsigned i = 0; i < FDC_DRIVES; i++) {
        stream_u8(s, &f->floppy[i].track);
        stream_bool(s, &f->floppy[i].changed);
    }
    stream_bool(s, &f->lock);
    stream_raw(s, f->pcn, sizeof f->pcn);
    stream_raw(s, f->seek_to, sizeof f->seek_to);
    stream_raw(s, f->sense, sizeof f->sense);
    for (unsigned i = 0; i < FDC_SELECTS; i++)
        stream_u64(s, &f->seek_at[i]);
    stream_u64(s, &f->reset_at);
    stream_bool(s, &f->interrupt);
    sync_execution(f, s);
    f->sense_pending &= 15;
    if (!stream_ok(s) || f->reset_senses > FDC_SELECTS || !plausible(f))
        return false;
    if (s->loading) {
        fdc_restart_timer(d);
        dev_timer(d, TIMER_RESET, f->reset_at, reset_due);
        arm_seek(d);
        update_irq(d);
    }
    return true;
}

const struct device_ops i82077_ops = {
    .name = "i82077",
    .state_bytes = sizeof(struct fdc),
    .version = 1,
    .regions = {{BUS_PORT, 0x3f0, 6, 1, 1}, {BUS_PORT, 0x3f7, 1, 1, 1}},
    .init = fdc_init,
    .reset = fdc_reset,
    .read = fdc_read,
    .write = fdc_write,
    .sync = fdc_sync,
    .fini = fdc_fini,
};
