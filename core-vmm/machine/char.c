// SPDX-License-Identifier: GPL-2.0-or-later
/* Threads: the guest's output comes from any thread with the device's lock held (char_write); all else runs on the
 * loop thread.  The port's lock, taken after the device's, guards the tail, the lines and their queues.
 * Output is written at once if nobody queues before it; the rest waits, bounded, for the loop. */
#include "core-vmm/machine/char_port.h"
#include "core-vmm/machine/core.h"
#include <gio/gio.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUEUE_BYTES_MAX (4 << 20) /* output waiting, per line */
#define INPUT_BYTES_MAX (64 << 10)
#define DRAIN_MS        1000 /* how long closing waits for a slow reader */
#define ESCAPE          0x01 /* Ctrl-A */

struct watcher {
    void (*fn)(void *ctx);
    void *ctx;
};
struct char_port {
    struct device *device;
    const struct char_receiver *receiver; /* may be NULL: output only */
    char *target;
    struct char_end *end;
    GMutex lock;
    uint8_t *tail;    /* a ring: byte n of the output is at n % CHAR_TAIL_BYTES */
    uint64_t written; /* so far */
    uint64_t dropped;
    uint64_t limit; /* of a file; 0: none */
    GPtrArray *lines;
    GByteArray *input; /* on its way to the guest */
    GArray *watchers;
    GSource *source; /* made ready by other threads: input can go on, output has come */
};
struct char_line {
    struct char_port *port;
    int in, out; /* -1: closed */
    bool socket, escapes, client, escaped;
    bool attached; /* by char_attach(), for this process: */
    pid_t owner;
    bool file, full;  /* a regular file; over its limit: the loop lets it begin again */
    uint64_t in_file; /* bytes */
    GByteArray *queue;
    GSource *source;
    gpointer in_tag, out_tag; /* the same if in == out */
};

/* ---- output: any thread ---- */

static ssize_t put(struct char_line *l, const uint8_t *data, size_t n)
{
    return l->socket ? send(l->out, data, n, MSG_DONTWAIT | MSG_NOSIGNAL) : write(l->out, data, n);
}

static void drop(struct char_port *p, size_t n)
{
    if (n && !p->dropped)
        g_message("%s: the far end does not take all output; some was dropped", p->device->name);
    p->dropped += n;
}

/* May all of it go into the file?  If not, the tail keeps it until the file begins again. */
static bool fits(struct char_line *l, size_t n)
{
    if (!l->file || !l->port->limit)
        return true;
    if (!l->full && l->in_file + n <= l->port->limit) {
        l->in_file += n;
        return true;
    }
    l->full = true;
    g_source_set_ready_time(l->source, 0);
    return false;
}

static void line_write(struct char_line *l, const uint8_t *data, size_t n)
{
    if (!fits(l, n))
        return;
    ssize_t done = l->queue->len ? 0 : put(l, data, n);
    if (done < 0 && errno != EAGAIN && errno != EINTR) { /* no space, reader gone: input tells about the latter */
        drop(l->port, n);
        return;
    }
    done = MAX(done, 0);
    size_t room = QUEUE_BYTES_MAX - l->queue->len, keep = MIN(room, n - done);
    if (n == (size_t)done)
        return;
    g_byte_array_append(l->queue, data + done, keep);
    drop(l->port, n - done - keep);
    g_source_set_ready_time(l->source, 0);
}

static void tail_append(struct char_port *p, const uint8_t *data, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t at = p->written % CHAR_TAIL_BYTES, part = MIN(n - i, CHAR_TAIL_BYTES - at);
        memcpy(p->tail + at, data + i, part);
        p->written += part;
        i += part;
    }
}

void char_write(struct char_port *p, const uint8_t *data, size_t n)
{
    g_mutex_lock(&p->lock);
    tail_append(p, data, n);
    for (unsigned i = 0; i < p->lines->len; i++) {
        struct char_line *l = p->lines->pdata[i];
        if (l->out >= 0)
            line_write(l, data, n);
    }
    bool watched = p->watchers->len;
    g_mutex_unlock(&p->lock);
    if (watched)
        g_source_set_ready_time(p->source, 0);
}

void char_limit(struct char_port *p, uint64_t bytes)
{
    g_mutex_lock(&p->lock);
    p->limit = bytes;
    g_mutex_unlock(&p->lock);
}

void char_more_room(struct char_port *p)
{
    g_source_set_ready_time(p->source, 0);
}

/* A full file becomes one with what the tail has.  If it cannot be emptied it stays as it is.  Port lock held. */
static void line_begin_again(struct char_line *l)
{
    struct char_port *p = l->port;
    uint64_t bytes = MIN(MIN(p->written, CHAR_TAIL_BYTES), p->limit / 2);
    if (!l->full || ftruncate(l->out, 0))
        return;
    l->full = false;
    l->in_file = 0;
    g_byte_array_set_size(l->queue, 0);
    for (uint64_t at = p->written - bytes, n; at < p->written; at += n) {
        n = MIN(p->written - at, CHAR_TAIL_BYTES - at % CHAR_TAIL_BYTES);
        line_write(l, p->tail + at % CHAR_TAIL_BYTES, n);
    }
}

/* Port lock held. */
static void line_flush(struct char_line *l)
{
    line_begin_again(l);
    while (l->out >= 0 && l->queue->len) {
        ssize_t n = put(l, l->queue->data, l->queue->len);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0) {
            drop(l->port, l->queue->len);
            n = l->queue->len;
        }
        g_byte_array_remove_range(l->queue, 0, n);
    }
}

/* ---- input: loop thread ---- */

static void deliver(struct char_port *p)
{
    uint8_t chunk[512];
    size_t n = 1;
    if (!p->receiver)
        g_byte_array_set_size(p->input, 0);
    dev_lock(p->device);
    while (n && p->input->len) {
        n = MIN(MIN(p->receiver->room(p->device), sizeof chunk), p->input->len);
        memcpy(chunk, p->input->data, n);
        g_byte_array_remove_range(p->input, 0, n);
        if (n)
            p->receiver->bytes(p->device, chunk, n);
    }
    dev_unlock(p->device);
}

size_t char_input(struct char_port *p, const uint8_t *data, size_t n)
{
    n = MIN(n, INPUT_BYTES_MAX - p->input->len);
    g_byte_array_append(p->input, data, n);
    deliver(p);
    return n;
}

static void escape_help(void)
{
    g_printerr("\r\nCtrl-A x  stop the machine (power cut)\r\nCtrl-A a  send Ctrl-A\r\nCtrl-A h  this help\r\n");
}

/* Takes escapes out of what was typed; the number of bytes left. */
static size_t take_escapes(struct char_line *l, uint8_t *data, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        bool escaped = l->escaped;
        l->escaped = !escaped && data[i] == ESCAPE;
        if (l->escaped)
            continue;
        if (escaped && data[i] == 'x')
            machine_stop(l->port->device->machine, MACHINE_END_STOPPED, 0, NULL);
        else if (escaped && data[i] == 'h')
            escape_help();
        else if (!escaped || data[i] == 'a' || data[i] == ESCAPE)
            data[kept++] = escaped ? ESCAPE : data[i];
    }
    return kept;
}

static void line_free(struct char_line *l)
{
    g_source_destroy(l->source);
    g_source_unref(l->source);
    g_byte_array_unref(l->queue);
    if (l->in >= 0)
        close(l->in);
    if (l->out >= 0 && l->out != l->in)
        close(l->out);
    g_free(l);
}

static void line_remove(struct char_line *l)
{
    struct char_port *p = l->port;
    g_mutex_lock(&p->lock);
    g_ptr_array_remove_fast(p->lines, l);
    g_mutex_unlock(&p->lock);
    line_free(l);
}

/* The input has ended: a file or stdin stays open for output, a socket has gone. */
static bool line_input_ended(struct char_line *l)
{
    if (l->in == l->out)
        return false;
    g_source_remove_unix_fd(l->source, l->in_tag);
    l->in_tag = NULL;
    close(l->in);
    l->in = -1;
    return true;
}

/* false: the line has gone. */
static bool line_read(struct char_line *l)
{
    struct char_port *p = l->port;
    uint8_t buffer[4096];
    size_t room = MIN(sizeof buffer, INPUT_BYTES_MAX - p->input->len);
    if (!room)
        return true;
    ssize_t n = read(l->in, buffer, room);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR || line_input_ended(l);
    if (!n)
        return line_input_ended(l);
    size_t kept = l->escapes ? take_escapes(l, buffer, n) : (size_t)n;
    char_input(p, buffer, kept);
    return true;
}

/* Whoever read the output has gone: poll() would say so again and again.  Port lock held. */
static void line_output_ended(struct char_line *l)
{
    g_source_remove_unix_fd(l->source, l->out_tag);
    l->out_tag = NULL;
    close(l->out);
    l->out = -1;
    drop(l->port, l->queue->len);
    g_byte_array_set_size(l->queue, 0);
}

static void line_watch(struct char_line *l)
{
    bool room = l->port->input->len < INPUT_BYTES_MAX, waits = l->queue->len;
    if (l->in_tag)
        g_source_modify_unix_fd(l->source, l->in_tag,
                                (room ? G_IO_IN : 0) | (waits && l->out_tag == l->in_tag ? G_IO_OUT : 0));
    if (l->out_tag && l->out_tag != l->in_tag)
        g_source_modify_unix_fd(l->source, l->out_tag, waits ? G_IO_OUT : 0);
}

struct line_source {
    GSource base;
    struct char_line *line;
};

static gboolean line_dispatch(GSource *source, GSourceFunc unused, gpointer data)
{
    struct char_line *l = ((struct line_source *)source)->line;
    GIOCondition in = l->in_tag ? g_source_query_unix_fd(source, l->in_tag) : 0;
    g_source_set_ready_time(source, -1);
    if (in & (G_IO_IN | G_IO_HUP | G_IO_ERR) && !line_read(l)) {
        line_remove(l);
        return G_SOURCE_CONTINUE;
    }
    g_mutex_lock(&l->port->lock);
    if (l->out_tag && l->out_tag != l->in_tag && g_source_query_unix_fd(source, l->out_tag) & (G_IO_ERR | G_IO_HUP))
        line_output_ended(l);
    line_flush(l);
    line_watch(l);
    g_mutex_unlock(&l->port->lock);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs line_funcs = {.dispatch = line_dispatch};

struct char_line *char_line_add(struct char_port *p, int in, int out, unsigned flags)
{
    struct char_line *l = g_new0(struct char_line, 1);
    struct stat st;
    int type;
    socklen_t n = sizeof type;
    *l = (struct char_line){.port = p, .in = in, .out = out, .queue = g_byte_array_new()};
    l->escapes = flags & CHAR_LINE_ESCAPES;
    l->client = flags & CHAR_LINE_CLIENT;
    l->socket = out >= 0 && !getsockopt(out, SOL_SOCKET, SO_TYPE, &type, &n);
    l->file = out >= 0 && !fstat(out, &st) && S_ISREG(st.st_mode);
    l->in_file = l->file ? st.st_size : 0;
    l->source = g_source_new(&line_funcs, sizeof(struct line_source));
    ((struct line_source *)l->source)->line = l;
    l->in_tag = in >= 0 ? g_source_add_unix_fd(l->source, in, G_IO_IN) : NULL;
    l->out_tag = in == out ? l->in_tag : out >= 0 ? g_source_add_unix_fd(l->source, out, 0) : NULL;
    g_source_attach(l->source, NULL);
    g_mutex_lock(&p->lock);
    g_ptr_array_add(p->lines, l);
    g_mutex_unlock(&p->lock);
    return l;
}

unsigned char_clients(struct char_port *p)
{
    unsigned n = 0;
    for (unsigned i = 0; i < p->lines->len; i++)
        n += ((struct char_line *)p->lines->pdata[i])->client;
    return n;
}

/* ---- the port ---- */

struct port_source {
    GSource base;
    struct char_port *port;
};

static gboolean port_dispatch(GSource *source, GSourceFunc unused, gpointer data)
{
    struct char_port *p = ((struct port_source *)source)->port;
    g_source_set_ready_time(source, -1);
    if (p->input->len)
        deliver(p);
    for (unsigned i = 0; i < p->lines->len; i++)
        g_source_set_ready_time(((struct char_line *)p->lines->pdata[i])->source, 0);
    g_autoptr(GArray) now = g_array_copy(p->watchers); /* a watcher may take itself off the list */
    for (unsigned i = 0; i < now->len; i++) {
        struct watcher *w = &g_array_index(now, struct watcher, i);
        w->fn(w->ctx);
    }
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs port_funcs = {.dispatch = port_dispatch};

static struct char_port *port_new(struct device *d, const char *target, const struct char_receiver *r)
{
    struct char_port *p = g_new0(struct char_port, 1);
    p->device = d;
    p->receiver = r;
    p->target = g_strdup(target);
    p->tail = g_malloc0(CHAR_TAIL_BYTES);
    p->lines = g_ptr_array_new();
    p->input = g_byte_array_new();
    p->watchers = g_array_new(FALSE, FALSE, sizeof(struct watcher));
    g_mutex_init(&p->lock);
    p->source = g_source_new(&port_funcs, sizeof(struct port_source));
    ((struct port_source *)p->source)->port = p;
    g_source_attach(p->source, NULL);
    return p;
}

static bool stdio_taken(struct machine *m, GError **error)
{
    for (unsigned i = 0; m->char_ports && i < m->char_ports->len; i++) {
        struct char_port *other = m->char_ports->pdata[i];
        if (strcmp(other->target, "stdio"))
            continue;
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_BUSY, "stdio is the target of %s already", other->device->name);
        return true;
    }
    return false;
}

/* The one that was opened before the machine was made, if there is one. */
static struct char_end *end_for(struct machine *m, const char *name, const char *target, GError **error)
{
    gpointer key, end;
    if (m->ends && g_hash_table_steal_extended(m->ends, name, &key, &end)) {
        g_free(key);
        return end;
    }
    return char_end_open(name, target, m->folder, error);
}

struct char_port *char_open(struct device *d, const char *target, const struct char_receiver *r, GError **error)
{
    struct machine *m = d->machine;
    if (!strcmp(target, "stdio") && stdio_taken(m, error))
        return NULL;
    struct char_port *p = port_new(d, target, r);
    if (!m->char_ports)
        m->char_ports = g_ptr_array_new();
    g_ptr_array_add(m->char_ports, p);
    GError *why = NULL;
    p->end = end_for(m, d->name, target, &why);
    if (p->end) {
        char_end_attach(p->end, p);
        return p;
    }
    g_propagate_prefixed_error(error, why, "%s: ", d->name);
    char_close(p);
    return NULL;
}

static void line_drain(struct char_line *l)
{
    gint64 end = g_get_monotonic_time() + DRAIN_MS * 1000;
    line_flush(l);
    while (l->queue->len && g_get_monotonic_time() < end) {
        struct pollfd f = {l->out, POLLOUT, 0};
        poll(&f, 1, 50);
        line_flush(l);
    }
}

void char_close(struct char_port *p)
{
    struct machine *m = p->device->machine;
    for (unsigned i = 0; i < p->lines->len; i++) {
        line_drain(p->lines->pdata[i]);
        line_free(p->lines->pdata[i]);
    }
    char_end_close(p->end);
    g_ptr_array_remove(m->char_ports, p);
    if (!m->char_ports->len)
        g_clear_pointer(&m->char_ports, g_ptr_array_unref);
    g_source_destroy(p->source);
    g_source_unref(p->source);
    g_ptr_array_unref(p->lines);
    g_byte_array_unref(p->input);
    g_array_unref(p->watchers);
    g_mutex_clear(&p->lock);
    g_free(p->tail);
    g_free(p->target);
    g_free(p);
}

/* ---- for control ---- */

struct char_port *char_nth(struct machine *m, unsigned n)
{
    return m->char_ports && n < m->char_ports->len ? m->char_ports->pdata[n] : NULL;
}

struct char_port *char_find(struct machine *m, const char *device)
{
    struct char_port *p;
    for (unsigned i = 0; (p = char_nth(m, i)); i++)
        if (!strcmp(p->device->name, device))
            return p;
    return NULL;
}

const char *char_name(struct char_port *p)
{
    return p->device->name;
}

const char *char_target(struct char_port *p)
{
    return p->target;
}

uint64_t char_written(struct char_port *p)
{
    g_mutex_lock(&p->lock);
    uint64_t n = p->written;
    g_mutex_unlock(&p->lock);
    return n;
}

uint64_t char_dropped(struct char_port *p)
{
    g_mutex_lock(&p->lock);
    uint64_t n = p->dropped;
    g_mutex_unlock(&p->lock);
    return n;
}

GBytes *char_tail(struct char_port *p, uint64_t offset, uint64_t *start)
{
    g_mutex_lock(&p->lock);
    uint64_t oldest = p->written > CHAR_TAIL_BYTES ? p->written - CHAR_TAIL_BYTES : 0;
    offset = CLAMP(offset, oldest, p->written);
    size_t n = p->written - offset, at = offset % CHAR_TAIL_BYTES, part = MIN(n, CHAR_TAIL_BYTES - at);
    uint8_t *copy = g_malloc(n + 1);
    memcpy(copy, p->tail + at, part);
    memcpy(copy + part, p->tail, n - part);
    g_mutex_unlock(&p->lock);
    *start = offset;
    return g_bytes_new_take(copy, n);
}

void char_watch(struct char_port *p, void (*fn)(void *ctx), void *ctx)
{
    struct watcher w = {fn, ctx};
    g_mutex_lock(&p->lock);
    g_array_append_val(p->watchers, w);
    g_mutex_unlock(&p->lock);
}

void char_unwatch(struct char_port *p, void (*fn)(void *ctx), void *ctx)
{
    g_mutex_lock(&p->lock);
    for (unsigned i = p->watchers->len; i-- > 0;) {
        struct watcher *w = &g_array_index(p->watchers, struct watcher, i);
        if (w->fn == fn && w->ctx == ctx)
            g_array_remove_index_fast(p->watchers, i);
    }
    g_mutex_unlock(&p->lock);
}

/* Every line takes a descriptor and may have a queue; who opened them may be gone. */
static bool line_free_for(struct char_port *p, pid_t owner, GError **error)
{
    unsigned all = 0, own = 0;
    for (unsigned i = 0; i < p->lines->len; i++) {
        const struct char_line *l = p->lines->pdata[i];
        all += l->attached;
        own += l->attached && l->owner == owner;
    }
    if (all < CHAR_LINES_MAX && own < CHAR_LINES_MAX / 2)
        return true;
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_BUSY,
                "%s has %u lines open, %u of them yours: at most %d, and %d for one process; close one",
                p->device->name, all, own, CHAR_LINES_MAX, CHAR_LINES_MAX / 2);
    return false;
}

int char_attach(struct char_port *p, size_t replay, pid_t owner, GError **error)
{
    int pair[2];
    if (!line_free_for(p, owner, error))
        return -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair)) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "serial line: %s", g_strerror(errno));
        return -1;
    }
    uint64_t written = char_written(p), start;
    g_autoptr(GBytes) old = char_tail(p, written - MIN(written, replay), &start);
    gsize n;
    const uint8_t *data = g_bytes_get_data(old, &n);
    struct char_line *l = char_line_add(p, pair[0], pair[0], 0);
    l->attached = true;
    l->owner = owner;
    g_mutex_lock(&p->lock);
    if (n)
        line_write(l, data, n);
    g_mutex_unlock(&p->lock);
    return pair[1];
}
