// SPDX-License-Identifier: GPL-2.0-or-later
/* A machine's serial port on this terminal, or a look at its last output. */
#include "core-vmm/vmctl/verbs.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#define ESCAPE   0x01 /* Ctrl-A, as on the stdio of a machine in the foreground */
#define TYPED_MS 1000 /* what the machine does not take so long is lost: who types must be able to leave */

struct serial_options {
    char *device, *send, *output;
    gboolean tail, replay;
    int bytes;
};

static JsonObject *arguments(const struct serial_options *s)
{
    JsonObject *o = json_object_new();
    if (s->device)
        json_object_set_string_member(o, "device", s->device);
    return o;
}

static int tail(struct client *c, const struct serial_options *s)
{
    JsonObject *args = arguments(s);
    enum output how;
    int code;
    json_object_set_int_member(args, "bytes", s->bytes);
    if (!output_parse(s->output, &how, &code)) {
        json_object_unref(args);
        return code;
    }
    JsonObject *o = machine_call(c, "serial.tail", args, &code);
    if (!o)
        return code;
    if (how == OUTPUT_JSON) {
        print_json(o);
        return code;
    }
    return print_text(o);
}

static int send_text(struct client *c, const struct serial_options *s)
{
    JsonObject *args = arguments(s);
    int code;
    g_autofree char *text = g_strcompress(s->send); /* \n, \t, \003 ... */
    json_object_set_string_member(args, "text", text);
    JsonObject *o = machine_call(c, "serial.write", args, &code);
    g_clear_pointer(&o, json_object_unref);
    return code;
}

/* ---- interactive ---- */

/* false: the other side has gone, or took nothing for patience ms (-1: any time). */
static bool write_all(int fd, const char *data, ssize_t n, int patience)
{
    while (n > 0) {
        ssize_t done = fd == STDOUT_FILENO ? write(fd, data, n) : send(fd, data, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (done < 0 && errno == EAGAIN) {
            struct pollfd p = {fd, POLLOUT, 0};
            if (!poll(&p, 1, patience))
                return false;
        } else if (done < 0 && errno != EINTR) {
            return false;
        } else if (done > 0) {
            data += done;
            n -= done;
        }
    }
    return true;
}

/* Takes Ctrl-A sequences out of what was typed; false: the user leaves. */
static bool take_escapes(char *data, ssize_t *n, bool *escaped)
{
    ssize_t kept = 0;
    for (ssize_t i = 0; i < *n; i++) {
        bool was = *escaped;
        *escaped = !was && data[i] == ESCAPE;
        if (was && (data[i] == 'd' || data[i] == 'x'))
            return false;
        if (!*escaped)
            data[kept++] = was ? ESCAPE : data[i];
    }
    *n = kept;
    return true;
}

/* One piece from one side to the other; false: that side has ended, or the user leaves.  escaped: NULL if nobody types. */
static bool move(int from, int to, bool *escaped)
{
    char buffer[4096];
    ssize_t n = read(from, buffer, sizeof buffer);
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    if (escaped && !take_escapes(buffer, &n, escaped))
        return false;
    return write_all(to, buffer, n, escaped ? TYPED_MS : -1) || (escaped && errno == EAGAIN);
}

/* False: *code is how to end. */
static bool show(int line, int *code)
{
    char buffer[4096];
    ssize_t n = read(line, buffer, sizeof buffer);
    if (n > 0 && !write_all(STDOUT_FILENO, buffer, n, -1)) {
        *code = fail(EXIT_CODE_FAILED, "the output cannot be written: %s", g_strerror(errno));
        return false;
    }
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static int pump(int line, bool terminal)
{
    struct pollfd p[2] = {{line, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    bool escaped = false;
    int code = EXIT_CODE_OK;
    for (;;) {
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return code;
        if (p[0].revents && !show(line, &code))
            return code;
        if (p[1].revents && !move(STDIN_FILENO, line, terminal ? &escaped : NULL)) {
            if (terminal)
                return code;
            p[1].fd = -1; /* the input has ended; output may still come */
        }
    }
}

static int interact(struct client *c, const struct serial_options *s)
{
    struct termios cooked, raw;
    g_autoptr(GError) error = NULL;
    bool terminal = isatty(STDIN_FILENO) && !tcgetattr(STDIN_FILENO, &cooked);
    JsonObject *args = arguments(s);
    int line = -1;
    unsigned n = 1;
    json_object_set_int_member(args, "replay", s->replay ? s->bytes : 0);
    JsonObject *o = client_call_fds(c, "serial.open", args, NULL, 0, &line, &n, 30000, &error);
    if (!o)
        return fail_error(error);
    json_object_unref(o);
    if (n != 1 || !answer_is_stream(line)) {
        if (n == 1)
            close(line);
        return fail(EXIT_CODE_FAILED, "the VM process sent no serial line");
    }
    if (terminal) {
        raw = cooked;
        cfmakeraw(&raw);
        note("Ctrl-A d leaves, Ctrl-A a sends Ctrl-A");
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    int code = pump(line, terminal);
    if (terminal)
        tcsetattr(STDIN_FILENO, TCSANOW, &cooked);
    close(line);
    return code;
}

static int use_port(const char *given, const struct serial_options *s)
{
    int code;
    if (s->bytes < 0 || s->bytes > 1 << 20)
        return fail(EXIT_CODE_USAGE, "--bytes: a number from 0 to %d", 1 << 20);
    struct client *c = machine_connect(given, NULL, &code);
    if (!c)
        return code;
    code = s->send ? send_text(c, s) : EXIT_CODE_OK;
    if (!code && s->tail)
        code = tail(c, s);
    else if (!code && !s->send)
        code = interact(c, s);
    client_free(c);
    return code;
}

static int serial(const struct verb *v, int argc, char **argv)
{
    struct serial_options s = {.bytes = 16384};
    const GOptionEntry entries[] = {
        {"device", 'd', 0, G_OPTION_ARG_STRING, &s.device, "Which port (serial1)", "PORT"},
        {"tail", 't', 0, G_OPTION_ARG_NONE, &s.tail, "Print the last output and end", NULL},
        {"replay", 'r', 0, G_OPTION_ARG_NONE, &s.replay, "Begin with the last output", NULL},
        {"bytes", 'b', 0, G_OPTION_ARG_INT, &s.bytes, "How much of it (16384)", "N"},
        {"send", 's', 0, G_OPTION_ARG_STRING, &s.send, "Send this text (with \\n and the like) and end", "TEXT"},
        {"output", 'o', 0, G_OPTION_ARG_STRING, &s.output, "Of --tail: table or json", "HOW"},
        {NULL},
    };
    int code;
    if (verb_options(v, entries, &argc, &argv, 1, 1, &code))
        code = use_port(argv[1], &s);
    g_free(s.device);
    g_free(s.send);
    g_free(s.output);
    return code;
}

const struct verb verb_serial = {"serial", "NAME", "talk to the guest over its serial port",
                                 "  vmctl serial demo --replay\n"
                                 "  vmctl serial demo --tail --bytes 1000\n"
                                 "  vmctl serial demo --send 'root\\n'",
                                 serial};
