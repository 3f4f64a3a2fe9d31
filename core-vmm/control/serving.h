// SPDX-License-Identifier: GPL-2.0-or-later
/* serving.h - the inside of the control socket's server: server.c has the listening socket, connection.c a client's
 * connection, passing.c the descriptors that were sent to it, call.c its requests and their answers. */
#pragma once
#include "core-vmm/control/commands.h"
#include "core-vmm/control/wire.h"

struct server {
    struct server_options o;
    char *path;
    int fd, spare; /* spare: given up when there are no descriptors left, to let one more client in; -1 */
    GSource *accept;
    guint backoff;
    guint after; /* server_after()'s source */
    void (*after_fn)(struct server *s);
    gint64 complained; /* when the log last heard of a bad client */
    gint64 reset_told; /* when clients last heard of a reset */
    GPtrArray *connections;
    GArray *listeners; /* struct listener */
};
struct listener {
    void (*fn)(void *ctx, const struct machine_event *e);
    void *ctx;
};
struct idle_callback {
    void (*fn)(void *ctx);
    void *ctx;
};
struct connection {
    struct server *server;
    struct wire wire;
    GSource *source;
    gpointer tag;
    GPtrArray *calls;
    GHashTable *data; /* key -> struct owned */
    struct idle_callback on_idle;
    bool closing; /* say what waits to be said, then close */
    bool lingers; /* all is said, but not read */
    bool reserved;
    pid_t peer;
    gint64 since;
    size_t asked;     /* bytes of its unanswered requests */
    unsigned passing; /* messages with descriptors, sent and perhaps not read */
    gint64 passed;    /* when the first of them was */
    size_t picture;   /* bytes of a copied picture among them */
    int picture_fd;   /* ours, to take it back; -1 */
    JsonObject *held; /* a request that waits for them to be read */
    size_t held_bytes;
};
struct call {
    struct connection *connection;
    const struct command *command;
    JsonObject *args; /* may be NULL */
    gint64 id;
    size_t bytes;
    int fds[WIRE_FDS_MAX];
    unsigned fd_count;
    void (*on_cancel)(void *ctx);
    void *cancel_ctx;
};

/* server.c */
int server_spare_descriptor(struct server *s);

/* connection.c */
void connection_new(struct server *s, int fd, pid_t peer, bool reserved); /* takes fd */
void connection_free(gpointer connection);
void connection_end(struct connection *n);        /* it is gone after this */
bool connection_held(const struct connection *n); /* no more requests are taken from it now */
void connection_watch(struct connection *n, bool output);
void connection_drop(struct connection *n, const char *why); /* at once; gone when the loop comes by */
/* Takes the object.  false: it cannot be said (too long, no descriptor left). */
bool connection_send(struct connection *n, JsonObject *o, const int *fds, unsigned fd_count);

/* passing.c */
bool connection_all_read(struct connection *n); /* nothing that was passed to it is unread any more */
void connection_take_back(struct connection *n);
bool connection_late(const struct connection *n); /* what was passed to it should have been read by now */
bool connection_drop_late(struct connection *n);  /* true: it is closing */

/* call.c */
void call_free(struct call *c);
void connection_handle_lines(struct connection *n); /* the requests that have come */
void connection_resume(struct connection *n);       /* goes on with what was held back, if it may */
void connection_refuse(struct connection *n, const gint64 *id, enum control_error code, const char *message);
