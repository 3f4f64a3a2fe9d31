// SPDX-License-Identifier: GPL-2.0-or-later
/* A parallel port as the IBM PC has it, one way: what the guest prints goes to a char target.  Line 0: IRQ 7.
 * Source: IBM PC AT Technical Reference, "Printer Adapter"; IEEE 1284-1994, compatibility mode.
 *
 * A byte passes when STROBE goes up.  The printer is never busy, so its acknowledge, a pulse, follows at once; it is seen as
 * an interrupt only.  Not there: the bidirectional, EPP and ECP modes.  Config: target, as for a serial port. */
#include "core-vmm/api/char.h"
#include "devices/all.h"

enum { DATA, STATUS, CONTROL };
enum { READY = 0xdf /* not busy, no acknowledge now, selected, no error; paper is there */, PAPER_OUT = 0x20 };
enum { STROBE = 0x01, IRQ_ON = 0x10, CONTROL_FIXED = 0xc0, CONTROL_BITS = 0x1f };

struct lpt {
    struct char_port *port;
    uint8_t data, control;
};

static uint64_t lpt_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    const struct lpt *p = d->state;
    switch (offset) {
    case DATA: return p->data;
    case STATUS: return READY & ~PAPER_OUT;
    case CONTROL: return CONTROL_FIXED | p->control;
    default: return 0xff;
    }
}

static void acknowledge(struct device *d)
{
    const struct lpt *p = d->state;
    if (!(p->control & IRQ_ON))
        return;
    dev_irq(d, 0, true);
    dev_irq(d, 0, false);
}

static void lpt_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t v)
{
    struct lpt *p = d->state;
    if (offset == DATA)
        p->data = v;
    if (offset != CONTROL)
        return;
    bool strobe = v & ~p->control & STROBE;
    p->control = v & CONTROL_BITS;
    if (strobe) {
        char_write(p->port, &p->data, 1);
        acknowledge(d);
    }
}

static bool lpt_init(struct device *d, const struct config *c, GError **error)
{
    struct lpt *p = d->state;
    g_autofree char *target = config_string(c, "target");
    p->port = char_open(d, target, NULL, error);
    return p->port != NULL;
}

static void lpt_fini(struct device *d)
{
    char_close(((struct lpt *)d->state)->port);
}

static void lpt_reset(struct device *d)
{
    struct lpt *p = d->state;
    p->data = p->control = 0;
}

static bool lpt_sync(struct device *d, struct stream *s, uint32_t version)
{
    struct lpt *p = d->state;
    stream_u8(s, &p->data);
    stream_u8(s, &p->control);
    p->control &= CONTROL_BITS;
    return stream_ok(s);
}

const struct device_ops lpt_ops = {
    .name = "lpt",
    .state_bytes = sizeof(struct lpt),
    .version = 1,
    .regions = {{BUS_PORT, 0x378, 3, 1, 1}},
    .init = lpt_init,
    .reset = lpt_reset,
    .read = lpt_read,
    .write = lpt_write,
    .sync = lpt_sync,
    .fini = lpt_fini,
};
