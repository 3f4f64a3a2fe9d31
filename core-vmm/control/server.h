// SPDX-License-Identifier: GPL-2.0-or-later
/* server.h - the server's side of a control socket: the VM process', and those of processes around it.  Everything runs on the loop thread.
 *
 * A command is a row of a table: name, parameters, summary, handler.  The server checks the arguments against the row
 * before the handler sees them.  A handler answers with call_reply() or call_fail(), at once or later (wait.*): a call
 * stays valid until it is answered; if its client goes first, on_cancel is told and the call is freed. */
#pragma once
#include "core-vmm/machine/machine.h"
#include "core-vmm/control/client.h"
#include "guest-additions/common/additions.h"

struct server;
struct call;
struct connection;

enum param_type { PARAM_TEXT, PARAM_NUMBER, PARAM_SECONDS, PARAM_FLAG };
struct param {
    const char *name;
    enum param_type type;
    bool required;
    int64_t low, high; /* PARAM_NUMBER */
};
#define COMMAND_PARAMS 6
struct command {
    const char *name;
    struct param params[COMMAND_PARAMS];
    const char *summary;
    void (*handler)(struct call *call);
    unsigned fds;   /* how many descriptors must come with it */
    bool passes;    /* answers with one: not before the client has read those that were passed to it */
    bool additions; /* its handler wants the machine's additions: a machine without refuses it */
};

struct server_options {      /* borrowed for the server's life */
    struct machine *machine; /* NULL: this is not the VM process */
    const char *name, *folder;
    int64_t started_us;          /* monotonic */
    struct additions *additions; /* NULL: the machine has none */
    bool disposable;             /* the machine writes to images that nobody has later */
    void *ctx;                   /* for the handlers of another process */
};
/* listening: a socket of socket_listen(), taken; path: where that is, to be removed at the end where one may; or NULL. */
struct server *server_new(const struct server_options *o, int listening, const char *path);
void server_free(struct server *s);
JsonObject *crash_describe(const struct machine_crash *c);                    /* data of the event "crash" */
void server_broadcast(struct server *s, const char *event, JsonObject *data); /* takes data */
/* Tells all clients and listeners of a state change. */
void server_state_changed(struct server *s, const struct machine_event *e);
/* fn hears of every state change until server_unlisten(); it may call that. */
void server_listen(struct server *s, void (*fn)(void *ctx, const struct machine_event *e), void *ctx);
void server_unlisten(struct server *s, void (*fn)(void *ctx, const struct machine_event *e), void *ctx);
/* fn once, so many seconds from now, unless the server goes before, or this is called again: fn NULL for never. */
void server_after(struct server *s, unsigned seconds, void (*fn)(struct server *s));
const struct server_options *server_options_of(struct server *s);
void server_drain(struct server *s); /* give answers that wait a moment to leave, before the process ends */

/* ---- for handlers ---- */
struct machine *call_machine(struct call *c);
const struct server_options *call_options(struct call *c);
struct server *call_server(struct call *c);
struct connection *call_connection(struct call *c);
const char *call_command(struct call *c);   /* its name, for handlers of several */
JsonObject *call_arguments(struct call *c); /* found good; the call's, or NULL */
bool call_has(struct call *c, const char *param);
const char *call_text(struct call *c, const char *param, const char *otherwise);
int64_t call_number(struct call *c, const char *param, int64_t otherwise);
double call_seconds(struct call *c, const char *param, double otherwise);
bool call_flag(struct call *c, const char *param);
int call_take_fd(struct call *c, unsigned n);                   /* -1 if none is left there */
void call_reply(struct call *c, JsonObject *result);            /* takes it; NULL: {} */
void call_reply_fd(struct call *c, JsonObject *result, int fd); /* fd stays the caller's */
/* With a copied picture, whose memory counts until the client has read the answer; takes fd. */
void call_reply_picture(struct call *c, JsonObject *result, int fd, size_t bytes);
bool call_may_picture(struct call *c, size_t bytes); /* false: too many wait to be read already */
pid_t call_peer(struct call *c);
void call_fail(struct call *c, enum control_error code, const char *format, ...) G_GNUC_PRINTF(3, 4);
void call_fail_error(struct call *c, const GError *error);
void call_on_cancel(struct call *c, void (*fn)(void *ctx), void *ctx);

/* Something a connection owns, found again by its key, freed with it.  One per key. */
void connection_set_data(struct connection *n, const char *key, void *data, void (*free_data)(void *));
void *connection_data(struct connection *n, const char *key);
unsigned server_owning(struct server *s, const char *key); /* how many connections have something under it */
struct machine *connection_machine(struct connection *n);
struct additions *connection_additions(struct connection *n); /* NULL: the machine has none */
bool connection_event(struct connection *n, const char *event, JsonObject *data, int fd /* -1: none */);
bool connection_may_pass(struct connection *n); /* else descriptors that were passed to it are still unread */
bool connection_idle(struct connection *n);     /* nothing waits to be sent */
/* fn when everything has been sent, once per call of this. */
void connection_on_idle(struct connection *n, void (*fn)(void *ctx), void *ctx);

/* All of them, each group ending with a NULL name; every process that serves has its own: commands.c, network-modes/commands.c. */
const struct command *const *command_groups(void);
extern const struct command own_commands[]; /* command_table.c: what every process has */
const struct command *command_find(const char *name);
/* check.c: NULL, or what is wrong; and a sentence about a name that is none.  g_free. */
char *command_check_args(const struct command *c, JsonObject *args, unsigned fd_count);
char *command_unknown(const char *name);
char *command_usage(const struct command *c); /* "device=TEXT [bytes=NUMBER]"; g_free */
