// SPDX-License-Identifier: GPL-2.0-or-later
/* The ports where firmware writes its debug text: 402h (SeaBIOS and OVMF under QEMU) and E9h (Bochs).  Reading gives E9h:
 * firmware takes that as "somebody listens".  Config: target, as for a serial port; without it whole lines go to the
 * machine's log. */
#include "../core-vmm/api/char.h"
#include "all.h"

enum { LINE_BYTES = 240 };

struct debugport {
    struct char_port *port; /* NULL: the log */
    char line[LINE_BYTES + 1];
    unsigned length;
};

static uint64_t debugport_read(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
    return 0xe9;
}

static void log_byte(struct device *d, uint8_t byte)
{
    struct debugport *p = d->state;
    if (byte >= ' ' && byte < 127)
        p->line[p->length++] = byte;
    if (p->length == 0 || (byte != '\n' && p->length < LINE_BYTES))
        return;
    p->line[p->length] = 0;
    dev_log(d, "%s", p->line);
    p->length = 0;
}

static void debugport_write(struct device *d, unsigned region, uint64_t offset, unsigned size, uint64_t v)
{
    struct debugport *p = d->state;
    uint8_t byte = v;
    if (p->port)
        char_write(p->port, &byte, 1);
    else
        log_byte(d, byte);
}

static bool debugport_init(struct device *d, const struct config *c, GError **error)
{
    struct debugport *p = d->state;
    if (!config_has(c, "target"))
        return true;
    g_autofree char *target = config_string(c, "target", NULL);
    p->port = char_open(d, target, NULL, error);
    return p->port != NULL;
}

static void debugport_fini(struct device *d)
{
    struct debugport *p = d->state;
    if (p->port)
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
