// SPDX-License-Identifier: GPL-2.0-or-later
/* char.h - the far end of a serial line: file, socket, pty, stdio, or nothing.  The spelling is in docs/machine.md. */
#pragma once
#include "core-vmm/api/device.h"

struct char_port;
/* Receiver callbacks come on the loop thread with the device's lock held. */
struct char_receiver {
    size_t (*room)(struct device *d);
    void (*bytes)(struct device *d, const uint8_t *data, size_t n); /* n <= room() */
};
/* target: "none", "stdio", "pty", "file:PATH", "socket:PATH" (listens), ... ; key and d name it in errors. */
struct char_port *char_open(struct device *d, const char *target, const struct char_receiver *r, GError **error);
void char_write(struct char_port *p, const uint8_t *data,
                size_t n); /* never blocks; what does not fit is dropped and counted */
/* A file that is the target never holds more than this: when it is full, it begins again with the last that was written. */
void char_limit(struct char_port *p, uint64_t bytes);
void char_more_room(struct char_port *p); /* the receiver can take bytes again */
void char_close(struct char_port *p);
