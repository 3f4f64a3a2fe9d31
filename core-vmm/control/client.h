// SPDX-License-Identifier: GPL-2.0-or-later
/* client.h - the other end of a VM's control socket, for vmctl, the manager and the screen window.
 * The messages are in docs/control.md.  One client belongs to one thread.
 *
 * Arguments are JSON objects whose reference the call takes (NULL: none).  Results and event data stay the client's
 * for the length of the callback.  What they contain is read with answer.h only.  A callback keeps a passed descriptor by putting -1 in its place; all others are
 * closed after it. */
#pragma once
#include <gio/gio.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>

#define CONTROL_ERROR control_error_quark()
GQuark control_error_quark(void);
enum control_error { /* on the wire by name: "wrong-state" ... */
                     CONTROL_FAILED,
                     CONTROL_USAGE,           /* an argument is missing, unknown or wrong */
                     CONTROL_UNKNOWN_COMMAND, /* no such command */
                     CONTROL_NOT_FOUND,       /* no such VM, device, drive ... */
                     CONTROL_WRONG_STATE,     /* not now: stopped, graphics mode, tray locked ... */
                     CONTROL_TIMEOUT,
                     CONTROL_PERMISSION,
                     CONTROL_BUSY,        /* in use by somebody else */
                     CONTROL_UNSUPPORTED, /* this VM has no such hardware, or it cannot do that */
                     CONTROL_CLOSED,      /* the VM process has gone */
                     CONTROL_PROTOCOL,    /* bytes that are no message */
                     CONTROL_NO_SPACE,    /* on a disk of the host */
};
const char *control_error_name(int code);
int control_error_from_name(const char *name); /* an unknown name is CONTROL_FAILED */

struct client;
/* By the VM's exact name; CONTROL_NOT_FOUND if it does not run.  While too many wait for the VM process already, it is tried again for
 * some seconds, then CONTROL_BUSY. */
struct client *client_connect(const char *name, GError **error);
struct client *client_connect_now(const char *name, GError **error); /* the same, never waits */
struct client *client_connect_socket(const char *path, GError **error);
void client_free(struct client *c);

/* Sends and waits for the answer, at most timeout_ms (-1: for ever).  The result is the caller's (json_object_unref).
 * fds may be NULL; else it receives up to *fd_count descriptors, which are the caller's.  Events that arrive meanwhile
 * are kept for client_attach() or client_next_event(). */
JsonObject *client_call(struct client *c, const char *command, JsonObject *args, int timeout_ms, GError **error);
JsonObject *client_call_fds(struct client *c, const char *command, JsonObject *args, const int *send,
                            unsigned send_count, int *fds, unsigned *fd_count, int timeout_ms, GError **error);

/* The same for what takes long: tick is called when there is something to read at fd, and ten times a second. */
struct client_tick {
    int fd;
    void (*tick)(void *ctx);
    void *ctx;
};
JsonObject *client_call_ticking(struct client *c, const char *command, const int *send, unsigned send_count,
                                const struct client_tick *tick, GError **error);

/* Puts an image into a drive (NULL: the only removable one) and waits for the answer.  The file is opened here, with the
 * user's rights: the VM process has given up most of them.  format NULL: by the file's name. */
bool client_insert(struct client *c, const char *file, const char *drive, const char *format, bool readonly,
                   GError **error);

/* Saves the machine into a file, which gets its name when it is whole and on stable storage; waits as long as that takes. */
bool client_save(struct client *c, const char *file, GError **error);

typedef void (*client_reply)(void *ctx, JsonObject *result, int *fds, unsigned fd_count, const GError *error);
typedef void (*client_event)(void *ctx, const char *event, JsonObject *data, int *fds, unsigned fd_count);
typedef void (*client_closed)(void *ctx, const GError *error); /* error: NULL if the VM said good-bye */
/* From now on answers, events and the end of the connection come as callbacks from that context's loop.
 * The client may be freed in any of them. */
void client_attach(struct client *c, GMainContext *context, client_event event, client_closed closed, void *ctx);
/* Does not wait; fn (may be NULL: errors are then dropped) gets the answer.  Needs client_attach(). */
void client_send(struct client *c, const char *command, JsonObject *args, client_reply fn, void *ctx);
