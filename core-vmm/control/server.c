// SPDX-License-Identifier: GPL-2.0-or-later
#include "commands.h"
#include "../paths.h"
#include "../suggest.h"
#include "wire.h"
#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS_MAX 64
#define CALLS_MAX   256       /* unanswered, per client */
#define PENDING_MAX (4 << 20) /* bytes that a client may leave unread */
#define DRAIN_US    (200 * 1000)

struct server {
    struct server_options o;
    char *path;
    int fd;
    GSource *accept;
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
};
struct owned {
    void *data;
    void (*free_data)(void *);
};
struct call {
    struct connection *connection;
    const struct command *command;
    JsonObject *args; /* may be NULL */
    gint64 id;
    int fds[WIRE_FDS_MAX];
    unsigned fd_count;
    void (*on_cancel)(void *ctx);
    void *cancel_ctx;
};

/* ---- connections ---- */

static void owned_free(gpointer p)
{
    struct owned *o = p;
    o->free_data(o->data);
    g_free(o);
}

static void call_free(struct call *c)
{
    wire_close_fds(c->fds, c->fd_count);
    g_clear_pointer(&c->args, json_object_unref);
    g_free(c);
}

static void connection_free(gpointer p)
{
    struct connection *n = p;
    for (unsigned i = 0; i < n->calls->len; i++) {
        struct call *c = n->calls->pdata[i];
        if (c->on_cancel)
            c->on_cancel(c->cancel_ctx);
        call_free(c);
    }
    g_ptr_array_unref(n->calls);
    g_hash_table_unref(n->data);
    g_source_destroy(n->source);
    g_source_unref(n->source);
    wire_clear(&n->wire);
    g_free(n);
}

static void connection_end(struct connection *n)
{
    g_ptr_array_remove_fast(n->server->connections, n);
}

/* Output goes out from the loop only, so that no handler finds its connection gone in the middle. */
static void want_output(struct connection *n)
{
    g_source_modify_unix_fd(n->source, n->tag, (n->closing ? 0 : G_IO_IN) | G_IO_OUT);
}

static void queue_message(struct connection *n, JsonObject *o, const int *fds, unsigned fd_count)
{
    if (n->closing) {
        json_object_unref(o);
        return;
    }
    if (!wire_queue(&n->wire, o, fds, fd_count) || n->wire.pending > PENDING_MAX) {
        g_message("control: a client does not read its messages; closed");
        n->closing = true;
        shutdown(n->wire.fd, SHUT_RDWR);
    }
    want_output(n);
}

static JsonObject *error_object(enum control_error code, const char *message)
{
    JsonObject *e = json_object_new();
    json_object_set_string_member(e, "code", control_error_name(code));
    json_object_set_string_member(e, "message", message);
    return e;
}

static void refuse(struct connection *n, const gint64 *id, enum control_error code, const char *message)
{
    JsonObject *o = json_object_new();
    if (id)
        json_object_set_int_member(o, "id", *id);
    json_object_set_boolean_member(o, "ok", FALSE);
    json_object_set_object_member(o, "error", error_object(code, message));
    queue_message(n, o, NULL, 0);
}

/* ---- checking a request ---- */

static const struct param *find_param(const struct command *c, const char *name)
{
    for (const struct param *p = c->params; p < c->params + COMMAND_PARAMS && p->name; p++)
        if (!strcmp(p->name, name))
            return p;
    return NULL;
}

static bool value_fits(const struct param *p, JsonNode *v)
{
    GType t = JSON_NODE_HOLDS_VALUE(v) ? json_node_get_value_type(v) : G_TYPE_INVALID;
    switch (p->type) {
    case PARAM_TEXT: return t == G_TYPE_STRING;
    case PARAM_FLAG: return t == G_TYPE_BOOLEAN;
    case PARAM_NUMBER: return t == G_TYPE_INT64 && json_node_get_int(v) >= p->low && json_node_get_int(v) <= p->high;
    case PARAM_SECONDS: break;
    }
    return (t == G_TYPE_INT64 || t == G_TYPE_DOUBLE) && json_node_get_double(v) >= 0 && json_node_get_double(v) <= 1e9;
}

static char *describe_param(const struct param *p)
{
    static const char *const words[] = {"a text", "a number", "a number of seconds", "true or false"};
    if (p->type == PARAM_NUMBER)
        return g_strdup_printf("%s must be a number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, p->name, p->low,
                               p->high);
    return g_strdup_printf("%s must be %s", p->name, words[p->type]);
}

/* NULL, or what is wrong (g_free). */
static char *check_args(const struct command *c, JsonObject *args, unsigned fd_count)
{
    g_autoptr(GList) names = args ? json_object_get_members(args) : NULL;
    for (GList *l = names; l; l = l->next) {
        const struct param *p = find_param(c, l->data);
        if (!p)
            return g_strdup_printf("%s has no argument \"%s\"", c->name, (char *)l->data);
        if (!value_fits(p, json_object_get_member(args, p->name)))
            return describe_param(p);
    }
    for (const struct param *p = c->params; p < c->params + COMMAND_PARAMS && p->name; p++)
        if (p->required && !(args && json_object_has_member(args, p->name)))
            return g_strdup_printf("%s needs the argument \"%s\"", c->name, p->name);
    if (fd_count != c->fds)
        return g_strdup_printf("%s takes %u descriptors, %u came", c->name, c->fds, fd_count);
    return NULL;
}

static char *unknown_command(const char *name)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (const struct command *const *g = command_groups(); *g; g++)
        for (const struct command *c = *g; c->name; c++)
            g_ptr_array_add(names, (gpointer)c->name);
    g_ptr_array_add(names, NULL);
    const char *near = suggest(name, (const char *const *)names->pdata);
    if (near)
        return g_strdup_printf("there is no command \"%s\"; did you mean \"%s\"?", name, near);
    return g_strdup_printf("there is no command \"%.64s\"; \"commands\" lists them", name);
}

static gint64 int_member(JsonObject *o, const char *name, bool *good)
{
    JsonNode *n = json_object_get_member(o, name);
    *good = n && JSON_NODE_HOLDS_VALUE(n) && json_node_get_value_type(n) == G_TYPE_INT64;
    return *good ? json_node_get_int(n) : 0;
}

static const char *text_member(JsonObject *o, const char *name)
{
    JsonNode *n = json_object_get_member(o, name);
    return n && JSON_NODE_HOLDS_VALUE(n) && json_node_get_value_type(n) == G_TYPE_STRING ? json_node_get_string(n)
                                                                                         : NULL;
}

static bool args_member(JsonObject *o, JsonObject **args)
{
    JsonNode *n = json_object_get_member(o, "args");
    *args = n && JSON_NODE_HOLDS_OBJECT(n) ? json_node_get_object(n) : NULL;
    return !n || *args;
}

static void run_call(struct connection *n, const struct command *command, gint64 id, JsonObject *args, const int *fds,
                     unsigned fd_count)
{
    struct call *c = g_new0(struct call, 1);
    *c = (struct call){.connection = n, .command = command, .id = id, .fd_count = fd_count};
    c->args = args ? json_object_ref(args) : NULL;
    memcpy(c->fds, fds, fd_count * sizeof *fds);
    g_ptr_array_add(n->calls, c);
    command->handler(c);
}

/* Takes the descriptors. */
static void handle_request(struct connection *n, JsonObject *o, int *fds, unsigned fd_count)
{
    bool has_id;
    gint64 id = int_member(o, "id", &has_id);
    const char *name = text_member(o, "cmd");
    JsonObject *args;
    bool args_good = args_member(o, &args);
    const struct command *command = name ? command_find(name) : NULL;
    g_autofree char *wrong = NULL;
    enum control_error code = CONTROL_USAGE;
    if (!has_id || !name || !args_good) {
        wrong = g_strdup("a request is {\"id\": number, \"cmd\": text, \"args\": object}");
        code = CONTROL_PROTOCOL;
    } else if (!command) {
        wrong = unknown_command(name);
        code = CONTROL_UNKNOWN_COMMAND;
    } else if (n->calls->len >= CALLS_MAX) {
        wrong = g_strdup("too many requests of this client wait for their answer");
        code = CONTROL_BUSY;
    } else {
        wrong = check_args(command, args, fd_count);
    }
    if (!wrong) {
        run_call(n, command, id, args, fds, fd_count);
        return;
    }
    wire_close_fds(fds, fd_count);
    refuse(n, has_id ? &id : NULL, code, wrong);
}

static void handle_line(struct connection *n, const char *line)
{
    int fds[WIRE_FDS_MAX];
    unsigned fd_count;
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) o = wire_parse(&n->wire, line, fds, &fd_count, &error);
    if (o) {
        handle_request(n, o, fds, fd_count);
        return;
    }
    refuse(n, NULL, CONTROL_PROTOCOL, error->message);
    n->closing = true;
}

/* false: the connection has ended. */
static bool connection_input(struct connection *n)
{
    g_autoptr(GError) error = NULL;
    if (!wire_fill(&n->wire, &error)) {
        if (error)
            refuse(n, NULL, CONTROL_PROTOCOL, error->message);
        n->closing = n->wire.out.length; /* it may have closed its half only, and still read */
        return n->closing;
    }
    g_autofree char *line = NULL;
    while (!n->closing && (line = wire_line(&n->wire))) {
        handle_line(n, line);
        g_clear_pointer(&line, g_free);
    }
    return true;
}

/* false: the connection has ended. */
static bool connection_output(struct connection *n)
{
    if (!wire_flush(&n->wire))
        return false;
    if (n->wire.out.length)
        return true;
    if (n->closing)
        return false;
    g_source_modify_unix_fd(n->source, n->tag, G_IO_IN);
    struct idle_callback idle = n->on_idle;
    n->on_idle = (struct idle_callback){0};
    if (idle.fn)
        idle.fn(idle.ctx);
    return true;
}

struct connection_source {
    GSource base;
    struct connection *connection;
};

static gboolean connection_dispatch(GSource *source, GSourceFunc unused, gpointer data)
{
    struct connection *n = ((struct connection_source *)source)->connection;
    GIOCondition ready = g_source_query_unix_fd(source, n->tag);
    bool alive = true;
    if (ready & (G_IO_IN | G_IO_HUP | G_IO_ERR) && !n->closing)
        alive = connection_input(n);
    if (alive && (ready & ~G_IO_IN || n->closing))
        alive = connection_output(n);
    if (!alive)
        connection_end(n);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs connection_funcs = {.dispatch = connection_dispatch};

static void connection_new(struct server *s, int fd)
{
    struct connection *n = g_new0(struct connection, 1);
    n->server = s;
    n->calls = g_ptr_array_new();
    n->data = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, owned_free);
    wire_init(&n->wire, fd, WIRE_REQUEST);
    n->source = g_source_new(&connection_funcs, sizeof(struct connection_source));
    ((struct connection_source *)n->source)->connection = n;
    n->tag = g_source_add_unix_fd(n->source, fd, G_IO_IN);
    g_source_attach(n->source, NULL);
    g_ptr_array_add(s->connections, n);
}

/* ---- the server ---- */

static bool peer_welcome(int fd)
{
    struct ucred peer;
    socklen_t n = sizeof peer;
    return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) && (peer.uid == geteuid() || peer.uid == 0);
}

static gboolean on_accept(int listening, GIOCondition condition, gpointer data)
{
    struct server *s = data;
    int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return G_SOURCE_CONTINUE;
    if (s->connections->len < CLIENTS_MAX && peer_welcome(fd))
        connection_new(s, fd);
    else
        close(fd);
    return G_SOURCE_CONTINUE;
}

struct server *server_new(const struct server_options *o, int listening, const char *path)
{
    struct server *s = g_new0(struct server, 1);
    s->o = *o;
    s->path = g_strdup(path);
    s->fd = listening;
    s->connections = g_ptr_array_new_with_free_func(connection_free);
    s->listeners = g_array_new(FALSE, FALSE, sizeof(struct listener));
    s->accept = g_unix_fd_source_new(listening, G_IO_IN);
    g_source_set_callback(s->accept, G_SOURCE_FUNC(on_accept), s, NULL);
    g_source_attach(s->accept, NULL);
    return s;
}

void server_free(struct server *s)
{
    if (!s)
        return;
    g_ptr_array_unref(s->connections);
    g_array_unref(s->listeners);
    g_source_destroy(s->accept);
    g_source_unref(s->accept);
    unlink(s->path);
    close(s->fd);
    g_free(s->path);
    g_free(s);
}

static JsonObject *event_object(const char *event, JsonObject *data)
{
    JsonObject *o = json_object_new();
    json_object_set_string_member(o, "event", event);
    json_object_set_object_member(o, "data", data);
    return o;
}

void server_broadcast(struct server *s, const char *event, JsonObject *data)
{
    for (unsigned i = 0; i < s->connections->len; i++)
        connection_event(s->connections->pdata[i], event, json_object_ref(data), -1);
    json_object_unref(data);
}

static int find_listener(struct server *s, const struct listener *l)
{
    for (unsigned i = 0; i < s->listeners->len; i++)
        if (!memcmp(&g_array_index(s->listeners, struct listener, i), l, sizeof *l))
            return i;
    return -1;
}

void server_listen(struct server *s, void (*fn)(void *ctx, const struct machine_event *e), void *ctx)
{
    struct listener l = {fn, ctx};
    g_array_append_val(s->listeners, l);
}

void server_unlisten(struct server *s, void (*fn)(void *ctx, const struct machine_event *e), void *ctx)
{
    int at = find_listener(s, &(struct listener){fn, ctx});
    if (at >= 0)
        g_array_remove_index_fast(s->listeners, at);
}

void server_state_changed(struct server *s, const struct machine_event *e)
{
    g_autoptr(GArray) now = g_array_copy(s->listeners);
    server_broadcast(s, "state", state_describe(e));
    for (unsigned i = 0; i < now->len; i++) {
        struct listener l = g_array_index(now, struct listener, i);
        if (find_listener(s, &l) >= 0)
            l.fn(l.ctx, e);
    }
}

void server_drain(struct server *s)
{
    gint64 end = g_get_monotonic_time() + DRAIN_US;
    bool waits = true;
    while (waits && g_get_monotonic_time() < end) {
        waits = false;
        for (unsigned i = 0; i < s->connections->len; i++) {
            struct connection *n = s->connections->pdata[i];
            waits |= wire_flush(&n->wire) && n->wire.out.length;
        }
        if (waits)
            g_usleep(1000);
    }
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

static void finish(struct call *c, JsonObject *answer, const int *fds, unsigned fd_count)
{
    queue_message(c->connection, answer, fds, fd_count);
    g_ptr_array_remove_fast(c->connection->calls, c);
    call_free(c);
}

static void reply(struct call *c, JsonObject *result, const int *fds, unsigned fd_count)
{
    JsonObject *o = json_object_new();
    json_object_set_int_member(o, "id", c->id);
    json_object_set_boolean_member(o, "ok", TRUE);
    json_object_set_object_member(o, "result", result ? result : json_object_new());
    finish(c, o, fds, fd_count);
}

void call_reply(struct call *c, JsonObject *result)
{
    reply(c, result, NULL, 0);
}

void call_reply_fd(struct call *c, JsonObject *result, int fd)
{
    reply(c, result, &fd, 1);
}

void call_fail(struct call *c, enum control_error code, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *message = g_strdup_vprintf(format, ap);
    va_end(ap);
    JsonObject *o = json_object_new();
    json_object_set_int_member(o, "id", c->id);
    json_object_set_boolean_member(o, "ok", FALSE);
    json_object_set_object_member(o, "error", error_object(code, message));
    finish(c, o, NULL, 0);
}

void call_fail_error(struct call *c, const GError *error)
{
    call_fail(c, error->domain == CONTROL_ERROR ? (enum control_error)error->code : CONTROL_FAILED, "%s",
              error->message);
}

void call_on_cancel(struct call *c, void (*fn)(void *ctx), void *ctx)
{
    c->on_cancel = fn;
    c->cancel_ctx = ctx;
}

void connection_set_data(struct connection *n, const char *key, void *data, void (*free_data)(void *))
{
    g_hash_table_remove(n->data, key);
    if (!data)
        return;
    struct owned *o = g_new(struct owned, 1);
    *o = (struct owned){data, free_data};
    g_hash_table_insert(n->data, g_strdup(key), o);
}

void *connection_data(struct connection *n, const char *key)
{
    struct owned *o = g_hash_table_lookup(n->data, key);
    return o ? o->data : NULL;
}

struct machine *connection_machine(struct connection *n)
{
    return n->server->o.machine;
}

bool connection_event(struct connection *n, const char *event, JsonObject *data, int fd)
{
    queue_message(n, event_object(event, data), &fd, fd >= 0);
    return !n->closing;
}

bool connection_idle(struct connection *n)
{
    return !n->wire.out.length;
}

void connection_on_idle(struct connection *n, void (*fn)(void *ctx), void *ctx)
{
    n->on_idle = (struct idle_callback){fn, ctx};
    want_output(n);
}
