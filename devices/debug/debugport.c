// SPDX-License-Identifier: GPL-2.0-or-later
/* The ports where firmware writes its debug text: 402h (SeaBIOS and OVMF under QEMU) and E9h (Bochs).  Reading gives E9h:
 * firmware takes that as "somebody listens".  Config: target, as for a serial port, or else a log of its own beside the
 * machine's: the latter takes only so many lines a second. */
#include "core-vmm/api/char.h"
#include "devices/all.h"

#define LOG_BYTES (8u << 20) /* a guest may write as much as it likes */

struct debugport {
    struct char_port *port;
};

static uint64_t debugport_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    return 0xe9;
}

static void debugport_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t v)
{
    struct debugport *p = d->state;
    uint8_t byte = v;
    char_write(p->port, &byte, 1);
}

static bool debugport_init(struct device *d, const struct config *c, GError **error)
{
    struct debugport *p = d->state;
    g_autofree char *target = config_string(c, "target");
    p->port = char_open(d, target, NULL, error);
    if (p->port)
        char_limit(p->port, LOG_BYTES);
    return p->port != NULL;
}

static void debugport_fini(struct device *d)
{
    struct debugport *p = d->state;
    char_close(p->port);
}

const struct device_ops debugport_ops = {
    .name = "debugport",
    .state_bytes = sizeof(struct debugport),
    .version = 1,
    .regions = {{BUS_PORT, 0x402, 1, 1, 1}, {BUS_PORT, 0xe9, 1, 1, 1}},
    .init = debugport_init,
    .read = debugport_read,
    .write = debugport_write,
    .fini = debugport_fini,
};
