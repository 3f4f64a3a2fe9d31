// SPDX-License-Identifier: GPL-2.0-or-later
/* char_port.h - serial ports as the rest of core sees them: the control socket's view, and the parts of char*.c.
 *
 * A port has lines: the one its target names, and one per `serial.open`.  All of them get what the guest sends, the
 * guest gets what any of them sends.  The last megabyte of output is kept for those who come later. */
#pragma once
#include "core-vmm/api/char.h"
#include "core-vmm/machine/machine.h"

#define CHAR_TAIL_BYTES (1 << 20)

/* ---- for control: loop thread ---- */
struct char_port *char_find(struct machine *m, const char *device); /* NULL */
struct char_port *char_nth(struct machine *m, unsigned n);          /* NULL: no more */
const char *char_name(struct char_port *p);
const char *char_target(struct char_port *p);
uint64_t char_written(struct char_port *p); /* bytes that the guest has ever sent */
uint64_t char_dropped(struct char_port *p); /* that the target did not take */
/* Output from offset on, as far as it is kept; *start is where the result begins. */
GBytes *char_tail(struct char_port *p, uint64_t offset, uint64_t *start);
size_t char_input(struct char_port *p, const uint8_t *data, size_t n); /* how much was taken */
/* fn on the loop thread, some time after output came. */
void char_watch(struct char_port *p, void (*fn)(void *ctx), void *ctx);
void char_unwatch(struct char_port *p, void (*fn)(void *ctx), void *ctx);
#define CHAR_LINES_MAX 16 /* of char_attach(), per port; and half of that per owner */
/* The far end of a new line: a stream socket.  owner: the process that asked for it, 0 if nobody counts. */
int char_attach(struct char_port *p, size_t replay, pid_t owner, GError **error);

/* ---- between char.c and char_ends.c ---- */
struct char_line;
enum { CHAR_LINE_ESCAPES = 1 /* Ctrl-A x stops the VM */, CHAR_LINE_CLIENT = 2 /* of a listening socket */ };
struct char_line *char_line_add(struct char_port *p, int in, int out,
                                unsigned flags); /* takes both; may be equal, -1 */
unsigned char_clients(struct char_port *p);

/* ---- char_ends.c: what a target needs beside its line ---- */
struct char_end;
/* Before there is a machine, or for it: port is its name ("serial1"), folder the machine's. */
struct char_end *char_end_open(const char *port, const char *target, const char *folder, GError **error);
void char_end_attach(struct char_end *e, struct char_port *p); /* once */
const char *char_end_name(const struct char_end *e);           /* the socket or link that was made for it, or NULL */
void char_end_close(struct char_end *e);                       /* NULL is fine */
