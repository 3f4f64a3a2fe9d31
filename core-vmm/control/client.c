// SPDX-License-Identifier: GPL-2.0-or-later
/* client.c - a connection to a VM process: questions, answers with their descriptors, events; nothing it says is
 * believed. */
#include "core-vmm/control/client.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/control/answer.h"
#include "core-vmm/control/wire.h"
#include <errno.h>
#include <glib-unix.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_US      (5 * G_USEC_PER_SEC)
#define TICK_MS         100
#define EVENTS_MAX      256 /* kept for client_attach() */
#define EVENT_BYTES_MAX (256 << 10)
#define BABBLE          "What the VM process says makes no sense: "
#define REASON_MAX      1000 /* characters of an error's message */

G_DEFINE_QUARK(control - error, control_error)

static const char *const error_names[] = {"failed",      "usage",   "unknown-command", "not-found",
                                          "wrong-state", "timeout", "permission",      "busy",
                                          "unsupported", "closed",  "protocol",        "no-space"};

const char *control_error_name(int code)
{
    return code >= 0 && code < (int)G_N_ELEMENTS(error_names) ? error_names[code] : error_names[CONTROL_FAILED];
}

int control_error_from_name(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(error_names); i++)
        if (!g_strcmp0(error_names[i], name))
            return i;
    return CONTROL_FAILED;
}

/* ---- state ---- */

struct message { /* that came */
    JsonObject *object;
    int fds[WIRE_FDS_MAX];
    unsigned fd_count;
    size_t bytes; /* of its line */
};
struct waiting { /* for an answer, by callback */
    client_reply fn;
    void *ctx;
};
struct client {
    struct wire wire;
    gint64 next_id;
    GQueue inbox; /* struct message */
    size_t inbox_bytes;
    gint64 awaited;      /* client_call(): the answer to this */
    GHashTable *waiting; /* id -> struct waiting */
    GSource *source;
    client_event event;
    client_closed closed;
    void *ctx;
    bool broken, freed;
    bool deaf;        /* the VM does not take requests any more; it may have said why */
    GError *farewell; /* that reason */
    int depth;        /* callbacks under way */
};

static void message_free(gpointer p)
{
    struct message *m = p;
    wire_close_fds(m->fds, m->fd_count);
    json_object_unref(m->object);
    g_free(m);
}

static void really_free(struct client *c)
{
    g_queue_clear_full(&c->inbox, message_free);
    g_hash_table_unref(c->waiting);
    g_clear_error(&c->farewell);
    wire_clear(&c->wire);
    g_free(c);
}

void client_free(struct client *c)
{
    if (!c)
        return;
    if (c->source) {
        g_source_destroy(c->source);
        g_source_unref(c->source);
        c->source = NULL;
    }
    c->freed = true;
    if (!c->depth)
        really_free(c);
}

/* A full queue of connections that wait is no reason to give up at once, for who may wait. */
static int connect_patiently(const char *path, gint64 patience_us, GError **error)
{
    gint64 end = g_get_monotonic_time() + patience_us;
    for (;;) {
        g_autoptr(GError) why = NULL;
        int fd = socket_connect(path, &why);
        bool again = fd < 0 && g_error_matches(why, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK);
        if (!again || g_get_monotonic_time() >= end) {
            if (fd < 0)
                g_propagate_error(error, g_steal_pointer(&why));
            return fd;
        }
        g_usleep(CONNECT_US / 100);
    }
}

static struct client *connect_path(const char *path, gint64 patience_us, GError **error)
{
    g_autoptr(GError) why = NULL;
    int fd = connect_patiently(path, patience_us, &why);
    if (fd < 0) {
        bool absent = g_error_matches(why, G_IO_ERROR, G_IO_ERROR_NOT_FOUND) ||
                      g_error_matches(why, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED);
        bool denied = g_error_matches(why, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED);
        bool full = g_error_matches(why, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK);
        g_set_error_literal(error, CONTROL_ERROR,
                            absent   ? CONTROL_NOT_FOUND
                            : denied ? CONTROL_PERMISSION
                            : full   ? CONTROL_BUSY
                                     : CONTROL_FAILED,
                            full ? "the VM process takes no connections: too many wait for it already" : why->message);
        return NULL;
    }
    struct client *c = g_new0(struct client, 1);
    wire_init(&c->wire, fd, WIRE_ANSWER);
    c->waiting = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    return c;
}

struct client *client_connect_socket(const char *path, GError **error)
{
    return connect_path(path, CONNECT_US, error);
}

static struct client *connect_name(const char *name, gint64 patience_us, GError **error)
{
    g_autofree char *path = paths_socket(name, error);
    GError *why = NULL;
    struct client *c = path ? connect_path(path, patience_us, &why) : NULL;
    if (g_error_matches(why, CONTROL_ERROR, CONTROL_NOT_FOUND)) {
        g_clear_error(&why);
        g_set_error(error, CONTROL_ERROR, CONTROL_NOT_FOUND, "%s is not running", name);
    } else if (why) {
        g_propagate_error(error, why);
    }
    return c;
}

struct client *client_connect(const char *name, GError **error)
{
    return connect_name(name, CONNECT_US, error);
}

struct client *client_connect_now(const char *name, GError **error)
{
    return connect_name(name, 0, error);
}

/* ---- requests ---- */

static gint64 queue_request(struct client *c, const char *command, JsonObject *args, const int *fds, unsigned fd_count)
{
    JsonObject *o = json_object_new();
    json_object_set_int_member(o, "id", ++c->next_id);
    json_object_set_string_member(o, "cmd", command);
    if (args)
        json_object_set_object_member(o, "args", args);
    if (!wire_queue(&c->wire, o, fds, fd_count)) {
        g_set_error(&c->farewell, CONTROL_ERROR, CONTROL_FAILED, "a descriptor cannot be passed to the VM process: %s",
                    g_strerror(errno));
        c->broken = true;
    } else if (!c->deaf) {
        c->deaf = !wire_flush(&c->wire);
    }
    return c->next_id;
}

static gint64 id_of(JsonObject *o)
{
    return answer_number(o, "id", 1, G_MAXINT64, 0);
}

/* The result (borrowed), or the error that the answer carries. */
static JsonObject *answer_result(struct message *m, GError **error)
{
    JsonObject *result = answer_object(m->object, "result"), *why = answer_object(m->object, "error");
    if (answer_flag(m->object, "ok") && result)
        return result;
    const char *text = answer_text(why, "message", "the VM process gave no reason");
    g_autofree char *cut = g_utf8_strlen(text, -1) > REASON_MAX ? g_utf8_substring(text, 0, REASON_MAX) : NULL;
    g_set_error_literal(error, CONTROL_ERROR, control_error_from_name(answer_text(why, "code", NULL)),
                        cut ? cut : text);
    return NULL;
}

static void inbox_push(struct client *c, struct message *m)
{
    g_queue_push_tail(&c->inbox, m);
    c->inbox_bytes += m->bytes;
}

static void inbox_drop_oldest(struct client *c)
{
    struct message *m = g_queue_pop_head(&c->inbox);
    c->inbox_bytes -= m->bytes;
    message_free(m);
}

/* Without a loop only the awaited answer counts.  Events are kept for client_attach(), the newest of them, and without
 * descriptors: a VM process that talks without end must not fill our memory. */
static void keep_message(struct client *c, struct message *m)
{
    bool event = answer_has(m->object, "event"), answer = !event && id_of(m->object) == c->awaited;
    if (!c->source && !answer && (!event || m->fd_count)) {
        message_free(m);
        return;
    }
    inbox_push(c, m);
    while (!c->source && (c->inbox.length > EVENTS_MAX || c->inbox_bytes > EVENT_BYTES_MAX) && c->inbox.length > 1)
        inbox_drop_oldest(c);
}

/* What is said to nobody's request, before the connection is closed: the reason. */
static bool is_farewell(JsonObject *o)
{
    return !answer_has(o, "id") && !answer_has(o, "event") && answer_object(o, "error");
}

static void take_message(struct client *c, struct message *m)
{
    if (!is_farewell(m->object)) {
        keep_message(c, m);
        return;
    }
    if (!c->farewell)
        answer_result(m, &c->farewell);
    message_free(m);
}

/* Reads what is there into the inbox. */
static bool receive(struct client *c, GError **error)
{
    if (c->broken || !wire_fill(&c->wire, error)) {
        g_prefix_error(error, BABBLE);
        c->broken = true;
        return false;
    }
    g_autofree char *line = NULL;
    while ((line = wire_line(&c->wire))) {
        struct message *m = g_new0(struct message, 1);
        m->bytes = strlen(line);
        m->object = wire_parse(&c->wire, line, m->fds, &m->fd_count, error);
        if (!m->object) {
            g_prefix_error(error, BABBLE);
            g_free(m);
            c->broken = true;
            return false;
        }
        take_message(c, m);
        g_clear_pointer(&line, g_free);
    }
    return true;
}

static struct message *take_answer(struct client *c, gint64 id)
{
    for (GList *l = c->inbox.head; l; l = l->next) {
        struct message *m = l->data;
        if (id_of(m->object) == id) {
            g_queue_delete_link(&c->inbox, l);
            c->inbox_bytes -= m->bytes;
            return m;
        }
    }
    return NULL;
}

/* Of the connection.  tick (or NULL) is called in between. */
static int poll_ticking(struct pollfd *p, int ms, const struct client_tick *tick)
{
    struct pollfd both[] = {*p, {tick ? tick->fd : -1, POLLIN, 0}};
    int n = poll(both, 2, tick ? TICK_MS : ms);
    *p = both[0];
    if (tick)
        tick->tick(tick->ctx);
    return tick ? 1 : n;
}

static bool wait_more(struct client *c, gint64 deadline, const struct client_tick *tick, GError **error)
{
    struct pollfd p = {c->wire.fd, POLLIN | (c->wire.out.length && !c->deaf ? POLLOUT : 0), 0};
    gint64 us = deadline < 0 ? 0 : deadline - g_get_monotonic_time();
    bool late = us < 0; /* also while it talks and talks */
    int n = late ? 0 : poll_ticking(&p, deadline < 0 ? -1 : (int)MIN(us / 1000 + 1, G_MAXINT), tick);
    if (!n) {
        g_set_error(error, CONTROL_ERROR, CONTROL_TIMEOUT,
                    "the VM process did not answer in time; if it never does, vmctl stop --force ends it");
        return false;
    }
    if (n > 0 && p.revents & POLLOUT)
        c->deaf |= !wire_flush(&c->wire);
    if (n > 0 && p.revents & ~POLLOUT)
        receive(c, error);
    return true;
}

static void no_more_answers(struct client *c, GError **error)
{
    if (error && !*error && c->farewell)
        *error = g_error_copy(c->farewell);
    else if (error && !*error)
        g_set_error(error, CONTROL_ERROR, CONTROL_CLOSED, "the VM process has ended");
}

/* The answer to a request that was sent; NULL: an error. */
static struct message *await(struct client *c, gint64 id, gint64 deadline, const struct client_tick *tick,
                             GError **error)
{
    struct message *m;
    GError *why = NULL;
    while (!(m = take_answer(c, id))) {
        if (c->broken)
            no_more_answers(c, &why);
        if (why || !wait_more(c, deadline, tick, &why)) {
            g_propagate_error(error, why);
            return NULL;
        }
        if (!c->broken)
            g_clear_error(&why);
    }
    return m;
}

JsonObject *client_call_fds(struct client *c, const char *command, JsonObject *args, const int *send,
                            unsigned send_count, int *fds, unsigned *fd_count, int timeout_ms, GError **error)
{
    gint64 deadline = timeout_ms < 0 ? -1 : g_get_monotonic_time() + timeout_ms * (gint64)1000;
    gint64 id = c->awaited = queue_request(c, command, args, send, send_count);
    struct message *m = await(c, id, deadline, NULL, error);
    if (!m)
        return NULL;
    JsonObject *result = answer_result(m, error);
    if (result)
        json_object_ref(result);
    if (result && fds) {
        *fd_count = MIN(*fd_count, m->fd_count);
        memcpy(fds, m->fds, *fd_count * sizeof *fds);
        memset(m->fds, -1, *fd_count * sizeof *fds);
    }
    message_free(m);
    return result;
}

JsonObject *client_call_ticking(struct client *c, const char *command, const int *send, unsigned send_count,
                                const struct client_tick *tick, GError **error)
{
    gint64 id = c->awaited = queue_request(c, command, NULL, send, send_count);
    struct message *m = await(c, id, -1, tick, error);
    JsonObject *result = m ? answer_result(m, error) : NULL;
    if (result)
        json_object_ref(result);
    if (m)
        message_free(m);
    return result;
}

JsonObject *client_call(struct client *c, const char *command, JsonObject *args, int timeout_ms, GError **error)
{
    return client_call_fds(c, command, args, NULL, 0, NULL, NULL, timeout_ms, error);
}

/* ---- with a loop ---- */

struct client_source {
    GSource base;
    struct client *client;
    gpointer tag;
};

static void dispatch_answer(struct client *c, struct message *m)
{
    gint64 id = id_of(m->object);
    struct waiting *w = g_hash_table_lookup(c->waiting, &id);
    if (!w)
        return;
    struct waiting copy = *w;
    g_autoptr(GError) error = NULL;
    g_hash_table_remove(c->waiting, &id);
    JsonObject *result = answer_result(m, &error);
    if (copy.fn)
        copy.fn(copy.ctx, result, m->fds, m->fd_count, error);
}

static void dispatch_message(struct client *c, struct message *m)
{
    const char *event = answer_text(m->object, "event", NULL);
    JsonObject *data = answer_object(m->object, "data");
    if (event && data && c->event)
        c->event(c->ctx, event, data, m->fds, m->fd_count);
    else if (!event)
        dispatch_answer(c, m);
    message_free(m);
}

static void fail_waiting(struct client *c, const GError *error)
{
    g_autoptr(GHashTable) waiting = g_steal_pointer(&c->waiting);
    GHashTableIter i;
    struct waiting *w;
    c->waiting = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    g_hash_table_iter_init(&i, waiting);
    while (!c->freed && g_hash_table_iter_next(&i, NULL, (gpointer *)&w))
        if (w->fn)
            w->fn(w->ctx, NULL, NULL, 0, error);
}

static void connection_ended(struct client *c, const GError *protocol)
{
    g_autoptr(GError) error = NULL;
    no_more_answers(c, &error);
    g_source_destroy(c->source);
    fail_waiting(c, protocol ? protocol : error);
    if (!c->freed && c->closed)
        c->closed(c->ctx, protocol);
}

static void watch_output(struct client *c)
{
    struct client_source *s = (struct client_source *)c->source;
    if (c->source)
        g_source_modify_unix_fd(c->source, s->tag, G_IO_IN | (c->wire.out.length && !c->deaf ? G_IO_OUT : 0));
}

static gboolean source_dispatch(GSource *source, GSourceFunc unused, gpointer data)
{
    struct client_source *s = (struct client_source *)source;
    struct client *c = s->client;
    g_autoptr(GError) error = NULL;
    GIOCondition ready = g_source_query_unix_fd(source, s->tag);
    g_source_set_ready_time(source, -1);
    c->depth++;
    if (ready & G_IO_OUT)
        c->deaf |= !wire_flush(&c->wire);
    if (ready & ~G_IO_OUT)
        receive(c, &error);
    struct message *m;
    while (!c->freed && (m = g_queue_pop_head(&c->inbox))) {
        c->inbox_bytes -= m->bytes;
        dispatch_message(c, m);
    }
    if (!c->freed && c->broken)
        connection_ended(c, error);
    else if (!c->freed)
        watch_output(c);
    if (--c->depth == 0 && c->freed)
        really_free(c);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = {.dispatch = source_dispatch};

void client_attach(struct client *c, GMainContext *context, client_event event, client_closed closed, void *ctx)
{
    c->event = event;
    c->closed = closed;
    c->ctx = ctx;
    c->source = g_source_new(&source_funcs, sizeof(struct client_source));
    struct client_source *s = (struct client_source *)c->source;
    s->client = c;
    s->tag = g_source_add_unix_fd(c->source, c->wire.fd, G_IO_IN);
    g_source_set_ready_time(c->source, c->inbox.length || c->broken ? 0 : -1);
    g_source_attach(c->source, context);
}

void client_send(struct client *c, const char *command, JsonObject *args, client_reply fn, void *ctx)
{
    gint64 id = queue_request(c, command, args, NULL, 0);
    struct waiting *w = g_new(struct waiting, 1);
    *w = (struct waiting){fn, ctx};
    g_hash_table_insert(c->waiting, g_memdup2(&id, sizeof id), w);
    watch_output(c);
    if (c->broken)
        g_source_set_ready_time(c->source, 0);
}
