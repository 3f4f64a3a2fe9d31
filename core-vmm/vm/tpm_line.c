// SPDX-License-Identifier: GPL-2.0-or-later
/* tpm_line.c - see tpm_line.h.  swtpm's control channel (its manual, swtpm_ioctls(3)) is the socket that comes up: requests begin
 * with their number, replies with a result, all big-endian; one is under way at a time, and what waits is done in order.  The first
 * passes it a socket of ours for the TPM's own commands.  What comes from the program is not trusted: one that says too much, or what
 * nobody asked for, is hung up on, and the keeper starts another.
 *
 * What it knows for a saved state is had while the guest stands and the TPM has nothing to do, so that is asked for and waited for right there; a new one is told
 * it before it begins.  While either is under way the program reads, or writes, and does nothing else. */
#include "core-vmm/vm/tpm_line.h"
#include "core-vmm/api/tpm.h"
#include "core-vmm/base/bytes.h"
#include "core-vmm/outer/fd_pass.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { INIT = 2, SET_LOCALITY = 5, CANCEL = 9, GET_BLOB = 12, SET_BLOB = 13, STOP = 14, SET_DATA_FD = 16 };
enum { NO_BLOB = 0x800, GOT_HEAD = 16, DELETE_VOLATILE = 1, BLOB_MS = 10000, POLL_MS = 100 };
enum { RESULT = 4, REQUEST_MOST = 16, WAITING = 16, HEADER = 10 };

struct request {
    uint8_t bytes[REQUEST_MOST];
    unsigned count;
    int fd;           /* goes along; -1: none */
    GByteArray *more; /* behind it; or NULL */
};
struct tpm_line {
    struct machine *machine;
    struct tpm_end end;
    int control, data;
    GSource *on_control, *on_data;
    struct request waiting[WAITING];
    unsigned first, requests; /* the first is under way if `sent` */
    bool sent, works;         /* works: INIT has been answered, and nothing went wrong since */
    bool remembers, again;    /* INIT goes on from a saved state; and then it is to be reset */
    uint8_t reply[RESULT];
    unsigned replied;
    uint8_t answer[TPM_MOST], command[TPM_MOST];
    size_t answered, commanded; /* commanded: a command that waits for its turn */
};

static void source_stop(GSource **source)
{
    if (*source)
        g_source_destroy(*source);
    g_clear_pointer(source, g_source_unref);
}

static void hang_up(struct tpm_line *l, const char *why)
{
    if (why && l->control >= 0)
        g_warning("tpm: %s", why);
    source_stop(&l->on_control);
    source_stop(&l->on_data);
    for (; l->requests; l->requests--, l->first = (l->first + 1) % WAITING) {
        if (l->waiting[l->first].fd >= 0)
            close(l->waiting[l->first].fd);
        g_clear_pointer(&l->waiting[l->first].more, g_byte_array_unref);
    }
    if (l->control >= 0)
        close(l->control);
    if (l->data >= 0)
        close(l->data);
    l->control = l->data = -1;
    l->sent = l->works = l->remembers = l->again = false;
    l->replied = l->answered = l->commanded = 0;
    if (machine_tpm(l->machine))
        tpm_attach(machine_tpm(l->machine), NULL);
}

/* ---- the control channel ---- */

/* It reads, or writes, a blob now; but nobody waits for it for ever. */
static bool ready(int fd, short events, gint64 end)
{
    struct pollfd p = {.fd = fd, .events = events};
    gint64 left = end - g_get_monotonic_time();
    return left > 0 && poll(&p, 1, left / 1000 + 1) > 0;
}

static bool move_all(int fd, uint8_t *data, size_t bytes, bool out, gint64 end)
{
    while (bytes && ready(fd, out ? POLLOUT : POLLIN, end)) {
        ssize_t n = out ? send(fd, data, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) : recv(fd, data, bytes, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return false;
        data += MAX(n, 0);
        bytes -= MAX(n, 0);
    }
    return !bytes;
}

static void send_next(struct tpm_line *l)
{
    struct request *r = &l->waiting[l->first];
    if (l->sent || !l->requests)
        return;
    gint64 end = g_get_monotonic_time() + BLOB_MS * 1000;
    ssize_t n = fd_send(l->control, r->bytes, r->count, r->fd, MSG_DONTWAIT);
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
    l->sent = true;
    bool good = n == (ssize_t)r->count && (!r->more || move_all(l->control, r->more->data, r->more->len, true, end));
    g_clear_pointer(&r->more, g_byte_array_unref);
    if (!good)
        hang_up(l, "swtpm takes no requests");
}

static void ask_with(struct tpm_line *l, uint32_t number, const uint8_t *more, unsigned bytes, int fd, GByteArray *blob)
{
    if (l->control < 0 || l->requests == WAITING) {
        if (fd >= 0)
            close(fd);
        return;
    }
    struct request *r = &l->waiting[(l->first + l->requests++) % WAITING];
    put_be32(r->bytes, number);
    if (bytes)
        memcpy(r->bytes + 4, more, bytes);
    r->count = 4 + bytes;
    r->fd = fd;
    r->more = blob ? g_byte_array_ref(blob) : NULL;
    send_next(l);
}

static void ask(struct tpm_line *l, uint32_t number, const uint8_t *more, unsigned bytes, int fd)
{
    ask_with(l, number, more, bytes, fd, NULL);
}

static void send_command(struct tpm_line *l)
{
    if (!l->works || l->requests || !l->commanded)
        return;
    ssize_t n = send(l->data, l->command, l->commanded, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n != (ssize_t)l->commanded)
        hang_up(l, "swtpm takes no commands");
    l->commanded = 0;
}

static void stop_and_begin(struct tpm_line *l)
{
    static const uint8_t flags[4] = {0};
    ask(l, STOP, NULL, 0, -1);
    ask(l, INIT, flags, sizeof flags, -1);
}

static void began(struct tpm_line *l)
{
    bool again = l->again;
    l->works = true;
    if (l->remembers)
        tpm_forget(machine_tpm(l->machine));
    l->remembers = l->again = false;
    if (again)
        stop_and_begin(l);
}

static void replied(struct tpm_line *l)
{
    uint32_t number = get_be32(l->waiting[l->first].bytes), result = get_be32(l->reply);
    l->first = (l->first + 1) % WAITING;
    l->requests--;
    l->sent = false;
    l->replied = 0;
    if (result && number != CANCEL) {
        g_autofree char *why =
            g_strdup_printf("swtpm answers request %u with error %u (logs/tpm.log may say more)", number, result);
        if (l->remembers) { /* then it goes on with what lasts */
            g_warning("tpm: it does not take what it knew when the machine was saved");
            tpm_forget(machine_tpm(l->machine));
        }
        hang_up(l, why);
        return;
    }
    if (number == INIT)
        began(l);
    send_next(l);
    send_command(l);
}

static gboolean on_control(int fd, GIOCondition condition, gpointer data)
{
    struct tpm_line *l = data;
    ssize_t n = recv(fd, l->reply + l->replied, RESULT - l->replied, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    if (n <= 0 || !l->sent) {
        hang_up(l, n > 0 ? "swtpm says what nobody asked for" : NULL);
        return G_SOURCE_REMOVE;
    }
    l->replied += n;
    if (l->replied == RESULT)
        replied(l);
    return l->control == fd ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

/* ---- the TPM's answers ---- */

static gboolean on_data(int fd, GIOCondition condition, gpointer data)
{
    struct tpm_line *l = data;
    ssize_t n = recv(fd, l->answer + l->answered, sizeof l->answer - l->answered, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    l->answered += MAX(n, 0);
    uint32_t whole = l->answered >= HEADER ? get_be32(l->answer + 2) : HEADER;
    if (n <= 0 || whole < HEADER || whole > sizeof l->answer || l->answered > whole) {
        hang_up(l, n > 0 ? "swtpm's answer makes no sense" : NULL);
        return G_SOURCE_REMOVE;
    }
    if (l->answered == whole && l->answered >= HEADER) {
        l->answered = 0;
        tpm_answer(machine_tpm(l->machine), l->answer, whole);
    }
    return l->data == fd ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

/* ---- the machine's side ---- */

static void command(void *ctx, uint8_t locality, const uint8_t *data, size_t bytes)
{
    struct tpm_line *l = ctx;
    memcpy(l->command, data, bytes);
    l->commanded = bytes;
    ask(l, SET_LOCALITY, &locality, 1, -1);
}

/* Does such a request wait, from number `from` on?  0 is the one that is under way. */
static bool waits(const struct tpm_line *l, uint32_t number, unsigned from)
{
    for (unsigned i = from; i < l->requests; i++)
        if (get_be32(l->waiting[(l->first + i) % WAITING].bytes) == number)
            return true;
    return false;
}

static void cancel(void *ctx)
{
    struct tpm_line *l = ctx;
    if (!waits(l, CANCEL, 1))
        ask(l, CANCEL, NULL, 0, -1);
}

/* A TPM that works is to forget what only lasts until a reset.  What it will do anyway, before any command, is not asked again: a
 * guest that resets and cancels as it likes does not fill the queue, and STOP never goes without INIT. */
static void reset(void *ctx)
{
    struct tpm_line *l = ctx;
    if (l->works && !waits(l, INIT, 0))
        stop_and_begin(l);
    else
        l->again = l->remembers; /* what it is about to know a reset has ended */
}

/* ---- saved states ---- */

static bool wait_for(void *ctx, int ms)
{
    struct tpm_line *l = ctx;
    struct pollfd p[2] = {{.fd = l->control, .events = POLLIN}, {.fd = l->data, .events = POLLIN}};
    if (poll(p, 2, ms) <= 0)
        return false;
    if (p[0].revents)
        on_control(l->control, G_IO_IN, l);
    if (p[1].revents && l->data >= 0)
        on_data(l->data, G_IO_IN, l);
    return true;
}

enum got {
    GOT,
    NOT_GOT, /* and nothing else is different: it can be asked again */
    LOST,    /* what it says next is not known */
};

/* Kinds are numbered from 1. */
static enum got get_blob(struct tpm_line *l, unsigned kind, struct tpm_blob *b, gint64 end)
{
    uint8_t request[16] = {0}, head[GOT_HEAD];
    put_be32(request, GET_BLOB);
    put_be32(request + 8, kind);
    if (!move_all(l->control, request, sizeof request, true, end) ||
        !move_all(l->control, head, sizeof head, false, end))
        return LOST;
    uint32_t result = get_be32(head), all = get_be32(head + 8), bytes = get_be32(head + 12);
    if (bytes > TPM_BLOB_MOST || bytes != all || (result && bytes))
        return LOST;
    if (result && result != NO_BLOB)
        return NOT_GOT;
    b->flags = get_be32(head + 4);
    b->bytes = bytes ? g_byte_array_new() : NULL;
    if (bytes)
        g_byte_array_set_size(b->bytes, bytes);
    return !bytes || move_all(l->control, b->bytes->data, bytes, false, end) ? GOT : LOST;
}

/* One that is in step goes on with its guest, which may run: another that is started in its place has forgotten what does not last. */
static bool save(void *ctx, struct tpm_memory *out, unsigned ms, GError **error)
{
    struct tpm_line *l = ctx;
    gint64 end = g_get_monotonic_time() + (gint64)ms * 1000;
    while (l->control >= 0 && l->requests && g_get_monotonic_time() < end)
        wait_for(l, POLL_MS);
    enum got got = l->works && !l->requests ? GOT : NOT_GOT;
    for (unsigned i = 0; i < TPM_BLOBS && got == GOT; i++)
        got = get_blob(l, i + 1, &out->blob[i], end);
    if (got == GOT && out->blob[0].bytes)
        return true;
    bool late = g_get_monotonic_time() >= end;
    if (got == LOST)
        hang_up(l, "swtpm does not say what it knows");
    if (late)
        g_set_error(
            error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT,
            "The machine's TPM has not said what it knows in %u ms, so the machine cannot be saved: try again when "
            "the host has less to do",
            ms);
    else
        g_set_error(
            error, G_IO_ERROR, G_IO_ERROR_FAILED,
            "The machine's TPM does not say what it knows, so the machine cannot be saved (logs/tpm.log may say more)");
    return false;
}

/* Before it begins. */
static void remind(struct tpm_line *l, const struct tpm_memory *t)
{
    for (unsigned i = 0; t && i < TPM_BLOBS; i++) {
        const struct tpm_blob *b = &t->blob[i];
        uint8_t head[12];
        put_be32(head, b->flags);
        put_be32(head + 4, i + 1);
        put_be32(head + 8, b->bytes ? b->bytes->len : 0);
        if (b->bytes)
            ask_with(l, SET_BLOB, head, sizeof head, -1, b->bytes);
    }
}

static void begin(struct tpm_line *l)
{
    const struct tpm_memory *t = tpm_remembered(machine_tpm(l->machine));
    uint8_t flags[4] = {0};
    l->remembers = t;
    put_be32(flags, t ? DELETE_VOLATILE : 0);
    remind(l, t);
    ask(l, INIT, flags, sizeof flags, -1);
}

static GSource *watch(int fd, GUnixFDSourceFunc fn, struct tpm_line *l)
{
    GSource *s = g_unix_fd_source_new(fd, G_IO_IN);
    g_source_set_callback(s, G_SOURCE_FUNC(fn), l, NULL);
    g_source_attach(s, NULL);
    return s;
}

static void up(void *ctx, int fd)
{
    struct tpm_line *l = ctx;
    int pair[2];
    hang_up(l, NULL);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair)) {
        g_warning("tpm: %s", g_strerror(errno));
        close(fd);
        return;
    }
    fcntl(pair[1], F_SETFL, 0);
    l->control = fd;
    l->data = pair[0];
    l->on_control = watch(fd, on_control, l);
    l->on_data = watch(l->data, on_data, l);
    ask(l, SET_DATA_FD, NULL, 0, pair[1]);
    begin(l);
    if (l->control >= 0)
        tpm_attach(machine_tpm(l->machine), &l->end);
}

static void down(void *ctx)
{
    hang_up(ctx, NULL);
}

struct tpm_line *tpm_line_new(struct machine *m, struct outer *o, unsigned end)
{
    struct tpm_line *l = g_new0(struct tpm_line, 1);
    l->machine = m;
    l->control = l->data = -1;
    l->end = (struct tpm_end){command, cancel, reset, wait_for, save, l};
    if (machine_tpm(m))
        outer_listen(o, end, "tpm", &(struct outer_events){up, down, l});
    return l;
}

void tpm_line_free(struct tpm_line *l)
{
    if (l)
        hang_up(l, NULL);
    g_free(l);
}
