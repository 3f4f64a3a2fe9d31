// SPDX-License-Identifier: GPL-2.0-or-later
/* System control port A (92h): the fast A20 gate and INIT, which software of the 80286 uses to get back to real mode.
 * Source: 82371SB (PIIX3) data sheet. */
#include "core-vmm/api/platform.h"
#include "devices/all.h"

enum { FAST_INIT = 1, FAST_A20 = 2 };

struct port92 {
    uint8_t
        value; /* of the last write; bit 1 comes from the A20 gate itself, which the keyboard controller moves too */
};

static uint64_t port92_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    const struct port92 *p = d->state;
    return (p->value & ~FAST_A20) | (dev_a20_now(d) ? FAST_A20 : 0);
}

/* Only a rising bit 0 counts: software sets A20 by read, or, write. */
static void port92_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t v)
{
    struct port92 *p = d->state;
    bool init = v & ~p->value & FAST_INIT;
    p->value = v;
    dev_a20(d, v & FAST_A20);
    if (init)
        dev_init_cpus(d);
}

static void port92_reset(struct device *d)
{
    ((struct port92 *)d->state)->value = 0;
}

static bool port92_sync(struct device *d, struct stream *s, uint32_t version)
{
    stream_u8(s, &((struct port92 *)d->state)->value);
    return stream_ok(s);
}

const struct device_ops port92_ops = {
    .name = "port92",
    .state_bytes = sizeof(struct port92),
    .version = 1,
    .regions = {{BUS_PORT, 0x92, 1, 1, 1}},
    .reset = port92_reset,
    .read = port92_read,
    .write = port92_write,
    .sync = port92_sync,
};
