// SPDX-License-Identifier: GPL-2.0-or-later
/* call.c - a client's requests: from a line to the command's handler, and what that uses to answer. */
#include "core-vmm/control/serving.h"
#include "core-vmm/control/answer.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define CALLS_MAX     256       /* unanswered, per client */
#define CALLS_ALL_MAX 1024      /* and in all */
#define ASKED_MAX     (1 << 20) /* bytes of unanswered requests, per client */
#define ASKED_ALL_MAX (8 << 20) /* and in all */

#define NO_ADDITIONS                                                                                                   \
    "the machine has no backdoor by which its guest could see that; add a section [additions] to its machine.ini "     \
    "(vmctl set NAME additions.identity=auto)"

void call_free(struct call *c)
{
    wire_close_fds(c->fds, c->fd_count);
    g_clear_pointer(&c->args, json_object_unref);
    g_free(c);
}

static JsonObject *error_object(enum control_error code, const char *message)
{
    JsonObject *e = json_object_new();
    json_object_set_string_member(e, "code", control_error_name(code));
    json_object_set_string_member(e, "message", message);
    return e;
}

void connection_refuse(struct connection *n, const gint64 *id, enum control_error code, const char *message)
{
    JsonObject *o = json_object_new();
    if (id)
        json_object_set_int_member(o, "id", *id);
    json_object_set_boolean_member(o, "ok", FALSE);
    json_object_set_object_member(o, "error", error_object(code, message));
    connection_send(n, o, NULL, 0);
}

static gint64 int_member(JsonObject *o, const char *name, bool *good)
{
    JsonNode *n = json_object_get_member(o, name);
    *good = n && JSON_NODE_HOLDS_VALUE(n) && json_node_get_value_type(n) == G_TYPE_INT64;
    return *good ? json_node_get_int(n) : 0;
}

static bool args_member(JsonObject *o, JsonObject **args)
{
    JsonNode *n = json_object_get_member(o, "args");
    *args = n && JSON_NODE_HOLDS_OBJECT(n) ? json_node_get_object(n) : NULL;
    return !n || *args;
}

/* NULL, or the limit that is reached. */
static const char *limit_reached(struct connection *n, const struct command *command, size_t bytes)
{
    unsigned calls = 0;
    size_t asked = bytes;
    for (unsigned i = 0; i < n->server->connections->len; i++) {
        const struct connection *other = n->server->connections->pdata[i];
        calls += other->calls->len;
        asked += other->asked;
    }
    if (n->reserved && strcmp(command->name, "stop") && strcmp(command->name, "info"))
        return "the VM process has as many clients, or open files, as it can have; only info and stop work now";
    if (n->calls->len >= CALLS_MAX || n->asked + bytes > ASKED_MAX)
        return "too many requests of this client wait for their answer";
    if (calls >= CALLS_ALL_MAX || asked > ASKED_ALL_MAX)
        return "too many requests of all clients wait for their answer";
    return NULL;
}

static void run_call(struct connection *n, const struct command *command, gint64 id, JsonObject *args, size_t bytes,
                     const int *fds, unsigned fd_count)
{
    struct call *c = g_new0(struct call, 1);
    *c = (struct call){.connection = n, .command = command, .id = id, .bytes = bytes, .fd_count = fd_count};
    n->asked += bytes;
    c->args = args ? json_object_ref(args) : NULL;
    memcpy(c->fds, fds, fd_count * sizeof *fds);
    g_ptr_array_add(n->calls, c);
    command->handler(c);
}

/* Takes the descriptors.  bytes: of its line. */
static void handle_request(struct connection *n, JsonObject *o, size_t bytes, int *fds, unsigned fd_count)
{
    bool has_id;
    gint64 id = int_member(o, "id", &has_id);
    const char *name = answer_text(o, "cmd", NULL);
    JsonObject *args;
    bool args_good = args_member(o, &args);
    const struct command *command = name ? command_find(name) : NULL;
    g_autofree char *wrong = NULL;
    enum control_error code = CONTROL_USAGE;
    if (!has_id || !name || !args_good) {
        wrong = g_strdup("a request is {\"id\": number, \"cmd\": text, \"args\": object}");
        code = CONTROL_PROTOCOL;
    } else if (!command) {
        wrong = command_unknown(name);
        code = CONTROL_UNKNOWN_COMMAND;
    } else if ((wrong = g_strdup(limit_reached(n, command, bytes)))) {
        code = CONTROL_BUSY;
    } else if (!(wrong = command_check_args(command, args, fd_count)) && command->additions &&
               !n->server->o.additions) {
        wrong = g_strdup(NO_ADDITIONS);
        code = CONTROL_WRONG_STATE;
    }
    if (!wrong && command->passes && !connection_all_read(n)) { /* later: the last one is still under way */
        n->held = json_object_ref(o);
        n->held_bytes = bytes;
        connection_watch(n, n->wire.out.length);
        return;
    }
    if (!wrong) {
        run_call(n, command, id, args, bytes, fds, fd_count);
        return;
    }
    wire_close_fds(fds, fd_count);
    connection_refuse(n, has_id ? &id : NULL, code, wrong);
}

static void handle_line(struct connection *n, const char *line)
{
    int fds[WIRE_FDS_MAX];
    unsigned fd_count;
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) o = wire_parse(&n->wire, line, fds, &fd_count, &error);
    if (o) {
        handle_request(n, o, strlen(line), fds, fd_count);
        return;
    }
    connection_refuse(n, NULL, CONTROL_PROTOCOL, error->message);
    n->closing = true;
}

void connection_handle_lines(struct connection *n)
{
    char *line;
    while (!n->closing && !connection_held(n) && (line = wire_line(&n->wire))) {
        handle_line(n, line);
        g_free(line);
    }
}

/* Goes on with what was held back, if it may. */
void connection_resume(struct connection *n)
{
    JsonObject *o = n->held;
    if (o && !connection_all_read(n)) {
        connection_drop_late(n);
        return;
    }
    n->held = NULL;
    if (o) {
        handle_request(n, o, n->held_bytes, (int[1]){-1}, 0);
        json_object_unref(o);
    }
    connection_handle_lines(n);
}

/* ---- what handlers use ---- */

struct machine *call_machine(struct call *c)
{
    return c->connection->server->o.machine;
}

const struct server_options *call_options(struct call *c)
{
    return &c->connection->server->o;
}

struct server *call_server(struct call *c)
{
    return c->connection->server;
}

struct connection *call_connection(struct call *c)
{
    return c->connection;
}

const char *call_command(struct call *c)
{
    return c->command->name;
}

JsonObject *call_arguments(struct call *c)
{
    return c->args;
}

bool call_has(struct call *c, const char *param)
{
    return c->args && json_object_has_member(c->args, param);
}

const char *call_text(struct call *c, const char *param, const char *otherwise)
{
    return call_has(c, param) ? json_object_get_string_member(c->args, param) : otherwise;
}

int64_t call_number(struct call *c, const char *param, int64_t otherwise)
{
    return call_has(c, param) ? json_object_get_int_member(c->args, param) : otherwise;
}

double call_seconds(struct call *c, const char *param, double otherwise)
{
    return call_has(c, param) ? json_node_get_double(json_object_get_member(c->args, param)) : otherwise;
}

bool call_flag(struct call *c, const char *param)
{
    return call_has(c, param) && json_object_get_boolean_member(c->args, param);
}

int call_take_fd(struct call *c, unsigned n)
{
    int fd = n < c->fd_count ? c->fds[n] : -1;
    if (fd >= 0)
        c->fds[n] = -1;
    return fd;
}

static void finish(struct call *c)
{
    c->connection->asked -= c->bytes;
    g_ptr_array_remove_fast(c->connection->calls, c);
    call_free(c);
}

static bool reply(struct call *c, JsonObject *result, const int *fds, unsigned fd_count)
{
    JsonObject *o = json_object_new();
    json_object_set_int_member(o, "id", c->id);
    json_object_set_boolean_member(o, "ok", TRUE);
    json_object_set_object_member(o, "result", result ? result : json_object_new());
    bool good = connection_send(c->connection, o, fds, fd_count);
    if (!good)
        connection_refuse(c->connection, &c->id, CONTROL_BUSY,
                          errno == EMSGSIZE
                              ? "the answer is too long; ask for less"
                              : "the VM process has as many open files as it can have, and none left to pass on");
    finish(c);
    return good;
}

void call_reply(struct call *c, JsonObject *result)
{
    reply(c, result, NULL, 0);
}

void call_reply_fd(struct call *c, JsonObject *result, int fd)
{
    reply(c, result, &fd, 1);
}

void call_reply_picture(struct call *c, JsonObject *result, int fd, size_t bytes)
{
    struct connection *n = c->connection;
    if (reply(c, result, &fd, 1) && !n->closing) {
        n->picture = bytes;
        n->picture_fd = fd;
    } else {
        close(fd);
    }
}

void call_fail(struct call *c, enum control_error code, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *message = g_strdup_vprintf(format, ap);
    va_end(ap);
    connection_refuse(c->connection, &c->id, code, message);
    finish(c);
}

void call_fail_error(struct call *c, const GError *error)
{
    bool limit = g_error_matches(error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES) ||
                 g_error_matches(error, G_IO_ERROR, G_IO_ERROR_BUSY);
    call_fail(c,
              error->domain == CONTROL_ERROR ? (enum control_error)error->code
              : limit                        ? CONTROL_BUSY
                                             : CONTROL_FAILED,
              "%s", error->message);
}

void call_on_cancel(struct call *c, void (*fn)(void *ctx), void *ctx)
{
    c->on_cancel = fn;
    c->cancel_ctx = ctx;
}

pid_t call_peer(struct call *c)
{
    return c->connection->peer;
}
