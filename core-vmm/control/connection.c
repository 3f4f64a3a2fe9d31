// SPDX-License-Identifier: GPL-2.0-or-later
/* connection.c - a client's connection: what comes and goes, and what it owns.  Who does not read his answers is not
 * listened to until he has; who lets events pile up is disconnected. */
#include "core-vmm/control/serving.h"
#include <sys/socket.h>
#include <unistd.h>

#define HOLD_BYTES    (256 << 10) /* unread: no more requests are taken */
#define PENDING_MAX   (4 << 20)   /* unread: disconnected */
#define PENDING_ALL   (64 << 20)  /* unread by all: who has most is disconnected */
#define LOOK_AGAIN_US (10 * 1000)
#define COMPLAIN_US   G_USEC_PER_SEC

struct owned {
    void *data;
    void (*free_data)(void *);
};

static void owned_free(gpointer p)
{
    struct owned *o = p;
    o->free_data(o->data);
    g_free(o);
}

void connection_free(gpointer p)
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
    g_clear_pointer(&n->held, json_object_unref);
    if (n->picture_fd >= 0)
        close(n->picture_fd);
    g_source_destroy(n->source);
    g_source_unref(n->source);
    wire_clear(&n->wire);
    g_free(n);
}

void connection_end(struct connection *n)
{
    struct server *s = n->server;
    g_ptr_array_remove_fast(s->connections, n);
    if (s->spare < 0)
        s->spare = server_spare_descriptor(s);
}

/* Bad clients must not fill the log either. */
static void complain(struct server *s, const char *what)
{
    gint64 now = g_get_monotonic_time();
    if (s->complained && now - s->complained < COMPLAIN_US)
        return;
    s->complained = now;
    g_message("control: a client %s; closed", what);
}

bool connection_held(const struct connection *n)
{
    return n->held || n->wire.pending > HOLD_BYTES;
}

/* Output goes out from the loop only, so that no handler finds its connection gone in the middle. */
void connection_watch(struct connection *n, bool output)
{
    g_source_modify_unix_fd(n->source, n->tag,
                            (n->closing || connection_held(n) ? 0 : G_IO_IN) | (output ? G_IO_OUT : 0));
    if (n->held && !n->closing)
        g_source_set_ready_time(n->source, g_get_monotonic_time() + LOOK_AGAIN_US);
}

void connection_drop(struct connection *n, const char *why)
{
    if (n->closing)
        return;
    complain(n->server, why);
    connection_take_back(n);
    n->closing = true;
    shutdown(n->wire.fd, SHUT_RDWR);
    connection_watch(n, true);
}

/* All together must not leave too much unread: the worst of them goes. */
static void bound_pending(struct server *s)
{
    size_t all = 0;
    struct connection *worst = NULL;
    for (unsigned i = 0; i < s->connections->len; i++) {
        struct connection *n = s->connections->pdata[i];
        all += n->closing ? 0 : n->wire.pending;
        if (!n->closing && (!worst || n->wire.pending > worst->wire.pending))
            worst = n;
    }
    if (all > PENDING_ALL && worst)
        connection_drop(worst, "has most of the messages that nobody reads");
}

/* Takes the object.  false: it cannot be said (too long, no descriptor left). */
bool connection_send(struct connection *n, JsonObject *o, const int *fds, unsigned fd_count)
{
    if (n->closing) {
        json_object_unref(o);
        return true;
    }
    bool full = n->wire.pending > PENDING_MAX; /* one long answer alone is no fault of the client's */
    if (!wire_queue(&n->wire, o, fds, fd_count))
        return false;
    if (fd_count && !n->passing++)
        n->passed = g_get_monotonic_time();
    if (full)
        connection_drop(n, "does not read its messages");
    bound_pending(n->server);
    connection_watch(n, true);
    return true;
}

/* false: the connection has ended. */
static bool connection_input(struct connection *n)
{
    g_autoptr(GError) error = NULL;
    if (!wire_fill(&n->wire, &error)) {
        if (error)
            connection_refuse(n, NULL, CONTROL_PROTOCOL, error->message);
        n->closing = n->wire.out.length; /* it may have closed its half only, and still read */
        return n->closing;
    }
    connection_handle_lines(n);
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
    struct idle_callback idle = n->on_idle;
    n->on_idle = (struct idle_callback){0};
    if (idle.fn)
        idle.fn(idle.ctx);
    return true;
}

/* Our end is done, but who closed only his half may still read.  What lies in the socket then is held by nobody that we
 * could count, so the connection counts until it was read. */
static void linger(struct connection *n, bool gone)
{
    if (gone || connection_all_read(n) || connection_late(n)) {
        if (!gone)
            connection_take_back(n);
        connection_end(n);
        return;
    }
    n->lingers = n->closing = true;
    g_source_modify_unix_fd(n->source, n->tag, 0);
    g_source_set_ready_time(n->source, g_get_monotonic_time() + LOOK_AGAIN_US);
}

struct connection_source {
    GSource base;
    struct connection *connection;
};

static gboolean connection_dispatch(GSource *source, GSourceFunc unused, gpointer data)
{
    struct connection *n = ((struct connection_source *)source)->connection;
    GIOCondition ready = g_source_query_unix_fd(source, n->tag);
    bool stopped = connection_held(n), gone = ready & (G_IO_HUP | G_IO_ERR), alive = !(stopped && gone);
    g_source_set_ready_time(source, -1);
    if (n->lingers) {
        linger(n, gone);
        return G_SOURCE_CONTINUE;
    }
    if (alive && ready & (G_IO_IN | G_IO_HUP | G_IO_ERR) && !n->closing)
        alive = connection_input(n);
    if (alive && (ready & ~G_IO_IN || n->closing))
        alive = connection_output(n);
    if (alive && stopped && !n->closing)
        connection_resume(n);
    if (alive)
        connection_watch(n, n->wire.out.length || n->closing || n->on_idle.fn);
    else
        linger(n, gone);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs connection_funcs = {.dispatch = connection_dispatch};

void connection_new(struct server *s, int fd, pid_t peer, bool reserved)
{
    struct connection *n = g_new0(struct connection, 1);
    n->server = s;
    n->peer = peer;
    n->reserved = reserved;
    n->since = g_get_monotonic_time();
    n->picture_fd = -1;
    n->calls = g_ptr_array_new();
    n->data = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, owned_free);
    wire_init(&n->wire, fd, WIRE_REQUEST);
    n->source = g_source_new(&connection_funcs, sizeof(struct connection_source));
    ((struct connection_source *)n->source)->connection = n;
    n->tag = g_source_add_unix_fd(n->source, fd, G_IO_IN);
    g_source_attach(n->source, NULL);
    g_ptr_array_add(s->connections, n);
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

struct additions *connection_additions(struct connection *n)
{
    return n->server->o.additions;
}

static JsonObject *event_object(const char *event, JsonObject *data)
{
    JsonObject *o = json_object_new();
    json_object_set_string_member(o, "event", event);
    json_object_set_object_member(o, "data", data);
    return o;
}

bool connection_event(struct connection *n, const char *event, JsonObject *data, int fd)
{
    return connection_send(n, event_object(event, data), &fd, fd >= 0) && !n->closing;
}

bool connection_idle(struct connection *n)
{
    return !n->wire.out.length;
}

void connection_on_idle(struct connection *n, void (*fn)(void *ctx), void *ctx)
{
    n->on_idle = (struct idle_callback){fn, ctx};
    connection_watch(n, true);
}
