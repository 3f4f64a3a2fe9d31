// SPDX-License-Identifier: GPL-2.0-or-later
/* Descriptors on a stream socket arrive with the bytes they were sent with, but a read may also bring bytes of earlier
 * messages.  So arrived descriptors stand in a queue, and each message says by "fds" how many of them are its own. */
#include "core-vmm/control/wire.h"
#include "core-vmm/control/client.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct wire_out {
    char *bytes;
    size_t length, sent;
    int fds[WIRE_FDS_MAX];
    unsigned fd_count;
};
union ancillary {
    char bytes[CMSG_SPACE(sizeof(int) * WIRE_FDS_MAX)];
    struct cmsghdr align;
};

void wire_close_fds(int *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static void out_free(gpointer p)
{
    struct wire_out *o = p;
    wire_close_fds(o->fds, o->fd_count);
    g_free(o->bytes);
    g_free(o);
}

void wire_init(struct wire *w, int fd, size_t line_max)
{
    *w = (struct wire){.fd = fd, .line_max = line_max, .in = g_string_new(NULL), .out = G_QUEUE_INIT};
    w->fds_max = line_max == WIRE_REQUEST ? WIRE_FDS_REQUEST : G_N_ELEMENTS(w->fds);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

void wire_clear(struct wire *w)
{
    wire_close_fds(w->fds, w->fd_count);
    g_queue_clear_full(&w->out, out_free);
    g_string_free(w->in, TRUE);
    close(w->fd);
}

/* ---- in ---- */

static bool take_ancillary(struct wire *w, struct msghdr *m)
{
    bool good = !(m->msg_flags & MSG_CTRUNC);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        unsigned n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (unsigned i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (w->fd_count < w->fds_max) {
                w->fds[w->fd_count++] = fd;
            } else {
                close(fd);
                good = false;
            }
        }
    }
    return good;
}

static bool protocol_error(GError **error, const char *what)
{
    g_set_error(error, CONTROL_ERROR, CONTROL_PROTOCOL, "%s", what);
    return false;
}

bool wire_fill(struct wire *w, GError **error)
{
    char buffer[16384];
    union ancillary control;
    struct iovec iov = {buffer, sizeof buffer};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(w->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (!take_ancillary(w, &m))
        return protocol_error(error, "Too many descriptors came with a message, or this process cannot have more.");
    if (!n)
        return false;
    g_string_append_len(w->in, buffer, n);
    if (w->in->len > w->line_max && !memchr(w->in->str + w->scanned, '\n', w->in->len - w->scanned))
        return protocol_error(error, "The message is too long.");
    return true;
}

char *wire_line(struct wire *w)
{
    char *end = memchr(w->in->str + w->scanned, '\n', w->in->len - w->scanned);
    if (!end) {
        w->scanned = w->in->len;
        return NULL;
    }
    size_t length = end - w->in->str;
    char *line = g_strndup(w->in->str, length);
    g_string_erase(w->in, 0, length + 1);
    w->scanned = 0;
    return line;
}

/* The parser recurses and takes memory for each value, and it knows more than JSON (comments, assignments).  So a line is
 * looked at before: outside of texts there is nothing but what JSON has there, not too deep and not too much. */
static bool shape_good(const char *line)
{
    unsigned depth = 0, values = 0;
    bool quoted = false;
    for (; *line; line++) {
        if (quoted && *line == '\\' && line[1])
            line++;
        else if (*line == '"')
            quoted = !quoted;
        else if (quoted)
            continue;
        else if (!strchr("{}[]:,0123456789+-.eEtrufalsn \t\r", *line))
            return false;
        else if (*line == '{' || *line == '[')
            depth++;
        else if (depth && (*line == '}' || *line == ']'))
            depth--;
        values += !quoted && (*line == ',' || *line == '{' || *line == '[');
        if (depth > WIRE_DEPTH_MAX || values > WIRE_VALUES_MAX)
            return false;
    }
    return !quoted;
}

static bool take_fds(struct wire *w, JsonObject *o, int *fds, unsigned *fd_count)
{
    JsonNode *node = json_object_get_member(o, "fds");
    gint64 n = node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_INT64
                   ? json_node_get_int(node)
                   : 0;
    if (n < 0 || n > WIRE_FDS_MAX || n > w->fd_count)
        return false;
    *fd_count = n;
    memcpy(fds, w->fds, n * sizeof *fds);
    w->fd_count -= n;
    memmove(w->fds, w->fds + n, w->fd_count * sizeof *fds);
    return true;
}

JsonObject *wire_parse(struct wire *w, const char *line, int fds[WIRE_FDS_MAX], unsigned *fd_count, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    *fd_count = 0;
    if (!g_utf8_validate(line, -1, NULL) || !shape_good(line) || !json_parser_load_from_data(parser, line, -1, NULL)) {
        protocol_error(error, "The message is not JSON, or nested too deep, or has too many parts.");
        return NULL;
    }
    JsonNode *root = json_parser_get_root(parser);
    if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
        protocol_error(error, "The message is not a JSON object.");
        return NULL;
    }
    JsonObject *o = json_node_get_object(root);
    if (!take_fds(w, o, fds, fd_count)) {
        protocol_error(error, "The message has other descriptors than it says.");
        return NULL;
    }
    return json_object_ref(o);
}

/* ---- out ---- */

bool wire_queue(struct wire *w, JsonObject *message, const int *fds, unsigned fd_count)
{
    if (fd_count)
        json_object_set_int_member(message, "fds", fd_count);
    g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), message);
    json_object_unref(message);
    struct wire_out *o = g_new0(struct wire_out, 1);
    g_autofree char *text = json_to_string(node, FALSE);
    o->bytes = g_strconcat(text, "\n", NULL);
    o->length = strlen(o->bytes);
    bool good = fd_count <= WIRE_FDS_MAX && o->length <= WIRE_ANSWER;
    errno = EMSGSIZE; /* if not good */
    for (unsigned i = 0; good && i < fd_count; i++) {
        o->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
        o->fd_count++;
        good = o->fds[i] >= 0;
    }
    if (!good) {
        int e = errno;
        out_free(o);
        errno = e;
        return false;
    }
    w->pending += o->length;
    g_queue_push_tail(&w->out, o);
    return true;
}

static ssize_t send_some(struct wire *w, struct wire_out *o)
{
    union ancillary control = {0};
    struct iovec iov = {o->bytes + o->sent, o->length - o->sent};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (o->fd_count && !o->sent) {
        m.msg_control = &control;
        m.msg_controllen = CMSG_SPACE(sizeof(int) * o->fd_count);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        *c = (struct cmsghdr){CMSG_LEN(sizeof(int) * o->fd_count), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(c), o->fds, sizeof(int) * o->fd_count);
    }
    return sendmsg(w->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool wire_flush(struct wire *w)
{
    struct wire_out *o;
    while ((o = g_queue_peek_head(&w->out))) {
        ssize_t n = send_some(w, o);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        o->sent += n;
        w->pending -= n;
        if (o->sent == o->length)
            out_free(g_queue_pop_head(&w->out));
    }
    return true;
}
