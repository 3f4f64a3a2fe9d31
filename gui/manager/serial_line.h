// SPDX-License-Identifier: GPL-2.0-or-later
/* serial_line.h - a line to a serial port of a machine that runs. */
#pragma once
#include <glib.h>
#include <stdint.h>

struct serial_line;
/* From the default main context; the line may be freed in both. */
struct serial_line_calls {
    void (*said)(void *ctx, const uint8_t *data, gsize n); /* by the guest; first what it said last */
    void (*ended)(void *ctx, const char *problem);         /* NULL: the machine has gone */
    void *ctx;
};
/* port: "serial1". */
struct serial_line *serial_line_new(const char *machine, const char *port, const struct serial_line_calls *calls);
void serial_line_free(struct serial_line *l);
/* What the guest does not take, because it does not read for long, is lost. */
void serial_line_send(struct serial_line *l, const char *text, gsize n);
