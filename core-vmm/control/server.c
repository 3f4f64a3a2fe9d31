// SPDX-License-Identifier: GPL-2.0-or-later
/* The VM's side of the control socket.  Clients may be hostile or just slow: whatever one of them makes this process hold
 * is counted, for the client and in all (docs/control.md has the table).
 *
 * Who does not read his answers is not listened to until he has; who lets events pile up is disconnected.  Descriptors
 * weigh more than their message: one that was sent keeps its memory while it lies unread in the socket, where we cannot
 * see it.  The kernel tells how much of what we sent is unread, so descriptors count as under way until nothing is.
 *
 * When all places are taken, or all descriptors, a few reserved connections are left, which live shortly and may only ask
 * `info` and `stop`: a machine can always be stopped. */
#include "core-vmm/control/commands.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/control/answer.h"
#include "core-vmm/control/wire.h"
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS_MAX   64
#define RESERVED_MAX  8
#define RESERVED_US   (200 * 1000) /* that a reserved connection surely has */
#define BACKOFF_MS    50
#define CALLS_MAX     256                   /* unanswered, per client */
#define CALLS_ALL_MAX 1024                  /* and in all */
#define ASKED_MAX     (1 << 20)             /* bytes of unanswered requests, per client */
#define ASKED_ALL_MAX (8 << 20)             /* and in all */
#define HOLD_BYTES    (256 << 10)           /* unread: no more requests are taken */
#define PENDING_MAX   (4 << 20)             /* unread: disconnected */
#define PENDING_ALL   (64 << 20)            /* unread by all: who has most is disconnected */
#define PASSING_MAX   2                     /* messages with descriptors under way, per client */
#define PICTURES_MAX  (128 << 20)           /* bytes of copied pictures under way, in all; one is always allowed */
#define PASSING_US    (10 * G_USEC_PER_SEC) /* then what lies unread is taken back */
#define LOOK_AGAIN_US (10 * 1000)
#define COMPLAIN_US   G_USEC_PER_SEC
#define DRAIN_US      (200 * 1000)

struct server {
    struct server_options o;
    char *path;
    int fd, spare; /* spare: given up when there are no descriptors left, to let one more client in; -1 */
    GSource *accept;
    guint backoff;
    gint64 complained; /* when the log last heard of a bad client */
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
struct owned {
    void *data;
    void (*free_data)(void *);
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
    g_clear_pointer(&n->held, json_object_unref);
    if (n->picture_fd >= 0)
        close(n->picture_fd);
    g_source_destroy(n->source);
    g_source_unref(n->source);
    wire_clear(&n->wire);
    g_free(n);
}

static int spare_descriptor(struct server *s)
{
    return fcntl(s->fd, F_DUPFD_CLOEXEC, 3);
}

static void connection_end(struct connection *n)
{
    struct server *s = n->server;
    g_ptr_array_remove_fast(s->connections, n);
    if (s->spare < 0)
        s->spare = spare_descriptor(s);
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

static bool held(const struct connection *n)
{
    return n->held || n->wire.pending > HOLD_BYTES;
}

/* Output goes out from the loop only, so that no handler finds its connection gone in the middle. */
static void watch_connection(struct connection *n, bool output)
{
    g_source_modify_unix_fd(n->source, n->tag, (n->closing || held(n) ? 0 : G_IO_IN) | (output ? G_IO_OUT : 0));
    if (n->held && !n->closing)
        g_source_set_ready_time(n->source, g_get_monotonic_time() + LOOK_AGAIN_US);
}

/* ---- descriptors under way ---- */

/* What the client has not read of what we sent, in bytes of the kernel's; -1: not known here. */
static int64_t unread(const struct connection *n)
{
    uint32_t info[SK_MEMINFO_VARS];
    socklen_t size = sizeof info;
    if (getsockopt(n->wire.fd, SOL_SOCKET, SO_MEMINFO, info, &size) || size <= SK_MEMINFO_WMEM_ALLOC * sizeof *info)
        return -1;
    return info[SK_MEMINFO_WMEM_ALLOC];
}

static void passing_done(struct connection *n)
{
    n->passing = 0;
    n->picture = 0;
    if (n->picture_fd >= 0)
        close(n->picture_fd);
    n->picture_fd = -1;
}

/* Nothing that we passed is unread any more. */
static bool all_read(struct connection *n)
{
    if (n->passing && !n->wire.out.length && unread(n) <= 0)
        passing_done(n);
    return !n->passing;
}

/* The memory is the picture's, not the client's: who comes so late finds it empty. */
static void take_back(struct connection *n)
{
    if (!all_read(n) && n->picture_fd >= 0 && ftruncate(n->picture_fd, 0))
        g_warning("control: a picture cannot be taken back: %s", g_strerror(errno));
    passing_done(n);
}

static void drop(struct connection *n, const char *why)
{
    if (n->closing)
        return;
    complain(n->server, why);
    take_back(n);
    n->closing = true;
    shutdown(n->wire.fd, SHUT_RDWR);
    watch_connection(n, true);
}

static bool late(const struct connection *n)
{
    return g_get_monotonic_time() - n->passed > PASSING_US;
}

static bool drop_late(struct connection *n)
{
    if (late(n))
        drop(n, "did not read what it asked for");
    return n->closing;
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
        drop(worst, "has most of the messages that nobody reads");
}

/* Takes the object.  false: it cannot be said (too long, no descriptor left). */
static bool queue_message(struct connection *n, JsonObject *o, const int *fds, unsigned fd_count)
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
        drop(n, "does not read its messages");
    bound_pending(n->server);
    watch_connection(n, true);
    return true;
}

bool connection_may_pass(struct connection *n)
{
    return all_read(n) || n->passing < PASSING_MAX;
}

static size_t pictures_under_way(struct server *s)
{
    size_t all = 0;
    for (unsigned i = 0; i < s->connections->len; i++) {
        struct connection *n = s->connections->pdata[i];
        if (n->picture && !all_read(n) && !drop_late(n))
            all += n->picture;
    }
    return all;
}

bool call_may_picture(struct call *c, size_t bytes)
{
    size_t others = pictures_under_way(c->connection->server);
    return !others || others + bytes <= PICTURES_MAX;
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

/* ---- requests ---- */

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
    } else {
        wrong = command_check_args(command, args, fd_count);
    }
    if (!wrong && command->passes && !all_read(n)) { /* later: the last one is still under way */
        n->held = json_object_ref(o);
        n->held_bytes = bytes;
        watch_connection(n, n->wire.out.length);
        return;
    }
    if (!wrong) {
        run_call(n, command, id, args, bytes, fds, fd_count);
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
        handle_request(n, o, strlen(line), fds, fd_count);
        return;
    }
    refuse(n, NULL, CONTROL_PROTOCOL, error->message);
    n->closing = true;
}

static void handle_lines(struct connection *n)
{
    char *line;
    while (!n->closing && !held(n) && (line = wire_line(&n->wire))) {
        handle_line(n, line);
        g_free(line);
    }
}

/* Goes on with what was held back, if it may. */
static void connection_resume(struct connection *n)
{
    JsonObject *o = n->held;
    if (o && !all_read(n)) {
        drop_late(n);
        return;
    }
    n->held = NULL;
    if (o) {
        handle_request(n, o, n->held_bytes, (int[1]){-1}, 0);
        json_object_unref(o);
    }
    handle_lines(n);
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
    handle_lines(n);
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
    if (gone || all_read(n) || late(n)) {
        if (!gone)
            take_back(n);
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
    bool stopped = held(n), gone = ready & (G_IO_HUP | G_IO_ERR), alive = !(stopped && gone);
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
        watch_connection(n, n->wire.out.length || n->closing || n->on_idle.fn);
    else
        linger(n, gone);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs connection_funcs = {.dispatch = connection_dispatch};

static void connection_new(struct server *s, int fd, pid_t peer, bool reserved)
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

/* ---- the server ---- */

/* The process at the other end; 0: it is nobody's business here. */
static pid_t peer_welcome(int fd)
{
    struct ucred peer;
    socklen_t n = sizeof peer;
    bool known = !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n);
    return known && (peer.uid == geteuid() || peer.uid == 0) ? MAX(peer.pid, 1) : 0;
}

static unsigned count(const struct server *s, bool reserved)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->connections->len; i++)
        n += ((struct connection *)s->connections->pdata[i])->reserved == reserved;
    return n;
}

/* Makes a reserved place free, if one has been used long enough. */
static bool evict(struct server *s)
{
    struct connection *oldest = NULL;
    for (unsigned i = 0; i < s->connections->len; i++) {
        struct connection *n = s->connections->pdata[i];
        if (n->reserved && (!oldest || n->since < oldest->since))
            oldest = n;
    }
    if (!oldest || g_get_monotonic_time() - oldest->since < RESERVED_US)
        return false;
    refuse(oldest, NULL, CONTROL_BUSY, "the VM process has as many clients as it can have");
    wire_flush(&oldest->wire);
    connection_end(oldest);
    return true;
}

static void accept_again(struct server *s);

static gboolean on_backoff(gpointer data)
{
    struct server *s = data;
    s->backoff = 0;
    accept_again(s);
    return G_SOURCE_REMOVE;
}

/* Who waits in the kernel's queue keeps the listening socket ready: looking at once would be a loop without end. */
static void back_off(struct server *s)
{
    g_source_destroy(s->accept);
    g_clear_pointer(&s->accept, g_source_unref);
    s->backoff = g_timeout_add(BACKOFF_MS, on_backoff, s);
}

static bool out_of_descriptors(int e)
{
    return e == EMFILE || e == ENFILE || e == ENOBUFS || e == ENOMEM;
}

/* With the last descriptor, if there is no other: reserved then. */
static int accept_one(struct server *s, bool *reserved)
{
    int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0 || !out_of_descriptors(errno) || s->spare < 0)
        return fd;
    close(s->spare);
    s->spare = -1;
    *reserved = true;
    return accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static gboolean on_accept(int listening, GIOCondition condition, gpointer data)
{
    struct server *s = data;
    bool reserved = count(s, false) >= CLIENTS_MAX;
    if (reserved && count(s, true) >= RESERVED_MAX && !evict(s)) {
        back_off(s);
        return G_SOURCE_CONTINUE;
    }
    int fd = accept_one(s, &reserved);
    pid_t peer = fd >= 0 ? peer_welcome(fd) : 0;
    if (peer)
        connection_new(s, fd, peer, reserved);
    else if (fd >= 0)
        close(fd);
    else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED && !evict(s))
        back_off(s);
    if (s->spare < 0)
        s->spare = spare_descriptor(s);
    return G_SOURCE_CONTINUE;
}

static void accept_again(struct server *s)
{
    s->accept = g_unix_fd_source_new(s->fd, G_IO_IN);
    g_source_set_callback(s->accept, G_SOURCE_FUNC(on_accept), s, NULL);
    g_source_attach(s->accept, NULL);
}

struct server *server_new(const struct server_options *o, int listening, const char *path)
{
    struct server *s = g_new0(struct server, 1);
    s->o = *o;
    s->path = g_strdup(path);
    s->fd = listening;
    s->connections = g_ptr_array_new_with_free_func(connection_free);
    s->listeners = g_array_new(FALSE, FALSE, sizeof(struct listener));
    s->spare = spare_descriptor(s);
    accept_again(s);
    return s;
}

void server_free(struct server *s)
{
    if (!s)
        return;
    g_ptr_array_unref(s->connections);
    g_array_unref(s->listeners);
    if (s->accept)
        g_source_destroy(s->accept);
    g_clear_pointer(&s->accept, g_source_unref);
    if (s->backoff)
        g_source_remove(s->backoff);
    if (s->spare >= 0)
        close(s->spare);
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
    bool good = queue_message(c->connection, o, fds, fd_count);
    if (!good)
        refuse(c->connection, &c->id, CONTROL_BUSY,
               errno == EMSGSIZE ? "the answer is too long; ask for less"
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
    refuse(c->connection, &c->id, code, message);
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

pid_t call_peer(struct call *c)
{
    return c->connection->peer;
}

unsigned server_owning(struct server *s, const char *key)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->connections->len; i++)
        n += connection_data(s->connections->pdata[i], key) != NULL;
    return n;
}

struct machine *connection_machine(struct connection *n)
{
    return n->server->o.machine;
}

bool connection_event(struct connection *n, const char *event, JsonObject *data, int fd)
{
    return queue_message(n, event_object(event, data), &fd, fd >= 0) && !n->closing;
}

bool connection_idle(struct connection *n)
{
    return !n->wire.out.length;
}

void connection_on_idle(struct connection *n, void (*fn)(void *ctx), void *ctx)
{
    n->on_idle = (struct idle_callback){fn, ctx};
    watch_connection(n, true);
}
