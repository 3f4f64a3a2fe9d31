// SPDX-License-Identifier: GPL-2.0-or-later
/* tpm_line.c - see tpm_line.h.  swtpm's control channel (its manual, swtpm_ioctls(3)) is the socket that comes up: requests begin
 * with their number, replies with a result, all big-endian; one is under way at a time, and what waits is done in order.  The first
 * passes it a socket of ours for the TPM's own commands.  What comes from the program is not trusted: one that says too much, or what
 * nobody asked for, is hung up on, and the keeper starts another. */
#include "core-vmm/vm/tpm_line.h"
#include "core-vmm/api/tpm.h"
#include "core-vmm/base/bytes.h"
#include "core-vmm/outer/fd_pass.h"
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { INIT = 2, SET_LOCALITY = 5, CANCEL = 9, STOP = 14, SET_DATA_FD = 16 };
enum { RESULT = 4, REQUEST_MOST = 8, WAITING = 16, HEADER = 10 };

struct request {
    uint8_t bytes[REQUEST_MOST];
    unsigned count;
    int fd; /* goes along; -1: none */
};
struct tpm_line {
    struct machine *machine;
    struct tpm_end end;
    int control, data;
    GSource *on_control, *on_data;
    struct request waiting[WAITING];
    unsigned first, requests; /* the first is under way if `sent` */
    bool sent, works;         /* works: INIT has been answered, and nothing went wrong since */
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
    for (; l->requests; l->requests--, l->first = (l->first + 1) % WAITING)
        if (l->waiting[l->first].fd >= 0)
            close(l->waiting[l->first].fd);
    if (l->control >= 0)
        close(l->control);
    if (l->data >= 0)
        close(l->data);
    l->control = l->data = -1;
    l->sent = l->works = false;
    l->replied = l->answered = l->commanded = 0;
    if (machine_tpm(l->machine))
        tpm_attach(machine_tpm(l->machine), NULL);
}

/* ---- the control channel ---- */

static void send_next(struct tpm_line *l)
{
    struct request *r = &l->waiting[l->first];
    if (l->sent || !l->requests)
        return;
    ssize_t n = fd_send(l->control, r->bytes, r->count, r->fd, MSG_DONTWAIT);
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
    l->sent = true;
    if (n != (ssize_t)r->count)
        hang_up(l, "swtpm takes no requests");
}

static void ask(struct tpm_line *l, uint32_t number, const uint8_t *more, unsigned bytes, int fd)
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
    send_next(l);
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
        hang_up(l, why);
        return;
    }
    l->works = l->works || number == INIT;
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

static void restart(struct tpm_line *l)
{
    static const uint8_t flags[4] = {0};
    ask(l, INIT, flags, sizeof flags, -1);
}

/* A TPM that works is to forget what only lasts until a reset.  What it will do anyway, before any command, is not asked again: a
 * guest that resets and cancels as it likes does not fill the queue, and STOP never goes without INIT. */
static void reset(void *ctx)
{
    struct tpm_line *l = ctx;
    if (!l->works || waits(l, INIT, 0))
        return;
    ask(l, STOP, NULL, 0, -1);
    restart(l);
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
    restart(l);
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
    l->end = (struct tpm_end){command, cancel, reset, l};
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
