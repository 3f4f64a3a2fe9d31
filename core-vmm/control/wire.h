// SPDX-License-Identifier: GPL-2.0-or-later
/* wire.h - one end of a control connection: lines, the descriptors beside them, and what still waits to be sent.
 * Shared by server.c and client.c.  The peer is hostile: lines and descriptors are bounded. */
#pragma once
#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>

#define WIRE_FDS_MAX     8          /* with one message */
#define WIRE_FDS_REQUEST 3          /* that a server keeps for a client, until their message is whole */
#define WIRE_DEPTH_MAX   16         /* nesting of a message */
#define WIRE_VALUES_MAX  20000      /* in a message */
#define WIRE_REQUEST     (64 << 10) /* longest line to the server */
#define WIRE_ANSWER      (8 << 20)  /* longest line from it */

struct wire {
    int fd; /* non-blocking */
    size_t line_max;
    GString *in;
    size_t scanned; /* of in: no line end before this */
    int fds[2 * WIRE_FDS_MAX];
    unsigned fd_count, fds_max;
    GQueue out; /* of struct wire_out */
    size_t pending;
};
void wire_init(struct wire *w, int fd, size_t line_max);
void wire_clear(struct wire *w);
/* Reads what is there.  false: the other side closed (no error) or broke the rules. */
bool wire_fill(struct wire *w, GError **error);
char *wire_line(struct wire *w); /* the next whole line without its end, or NULL; g_free */
/* Parses a line: an object, not nested too deep; takes its "fds" descriptors out of the queue into fds. */
JsonObject *wire_parse(struct wire *w, const char *line, int fds[WIRE_FDS_MAX], unsigned *fd_count, GError **error);
/* Takes the object; duplicates the descriptors.  false: errno is EMSGSIZE (longer than WIRE_ANSWER) or why not. */
bool wire_queue(struct wire *w, JsonObject *message, const int *fds, unsigned fd_count);
bool wire_flush(struct wire *w); /* sends what goes; false: the connection has broken */
void wire_close_fds(int *fds, unsigned count);
