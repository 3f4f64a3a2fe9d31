// SPDX-License-Identifier: GPL-2.0-or-later
/* Coprocessor errors as PCs report them: FERR# becomes IRQ 13, and port F0h gives IGNNE# (line 0: IRQ 13).
 * Sources: 82371SB (PIIX3) data sheet, "Coprocessor Error Register"; SDM Vol. 1, appendix D.
 *
 * The interrupt stays up until port F0h is written.  If FERR# is up then, IGNNE# goes up as well, so that the handler can
 * execute x87 instructions, and stays until FERR# falls. */
#include "core-vmm/api/platform.h"
#include "devices/all.h"

struct fpu_error {
    uint32_t ferr; /* bit per CPU */
    bool interrupt, ignore;
};

static bool fpu_error_line(struct device *d, unsigned cpu, bool level)
{
    struct fpu_error *e = d->state;
    bool before = e->ferr;
    e->ferr = level ? e->ferr | 1u << cpu : e->ferr & ~(1u << cpu);
    if (e->ferr && !before) {
        e->interrupt = true;
        dev_irq(d, 0, true);
    }
    e->ignore = e->ignore && e->ferr;
    return e->ignore;
}

static void fpu_error_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    struct fpu_error *e = d->state;
    e->interrupt = false;
    e->ignore = e->ferr;
    dev_irq(d, 0, false);
}

static void fpu_error_reset(struct device *d)
{
    *(struct fpu_error *)d->state = (struct fpu_error){0};
    dev_irq(d, 0, false);
}

static bool fpu_error_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct fpu_error *e = d->state;
    stream_u32(s, &e->ferr);
    stream_bool(s, &e->interrupt);
    stream_bool(s, &e->ignore);
    if (s->loading)
        dev_irq(d, 0, e->interrupt);
    return stream_ok(s);
}

static const struct platform_ops platform = {.fpu_error = fpu_error_line};

const struct device_ops fpu_error_ops = {
    .name = "fpu-error",
    .state_bytes = sizeof(struct fpu_error),
    .version = 1,
    .regions = {{BUS_PORT, 0xf0, 1, 1, 1}},
    .reset = fpu_error_reset,
    .write = fpu_error_write,
    .sync = fpu_error_sync,
    .platform = &platform,
};
