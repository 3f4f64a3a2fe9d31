// SPDX-License-Identifier: GPL-2.0-or-later
/* The control socket with a machine and a guest that obeys orders (scripted_guest.c) behind it.  Server and raw clients share this thread: pump() runs the loop. */
#include "core-vmm/machine/char_port.h"
#include "core-vmm/control/serving.h"
#include "core-vmm/control/wire.h"
#include "core-vmm/host/paths.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct rig {
    char *folder, *socket;
    GKeyFile *file;
    struct machine *machine;
    struct server *server;
    struct server_options options;
};

static void on_event(void *ctx, const struct machine_event *e)
{
    struct rig *r = ctx;
    server_state_changed(r->server, e);
}

static void set_up(struct rig *r, gconstpointer unused)
{
    r->folder = g_dir_make_tmp("terrarium-XXXXXX", NULL);
    r->socket = g_build_filename(r->folder, "control", NULL);
    r->file = g_key_file_new();
    g_key_file_set_string(r->file, "serial1", "target", "none");
    g_key_file_set_string(r->file, "ide2", "media", "cdrom");
    r->machine = machine_new(r->file, "machine.ini", r->folder, NULL, NULL);
    g_assert_nonnull(r->machine);
    r->options = (struct server_options){r->machine, "test", r->folder, 0};
    r->server = server_new(&r->options, socket_listen(r->socket, NULL), r->socket);
    g_assert_nonnull(r->server);
    machine_on_event(r->machine, on_event, r);
    g_assert_true(machine_start(r->machine, NULL));
    while (char_written(char_find(r->machine, "serial1")) < strlen("test guest ready\r\n"))
        g_main_context_iteration(NULL, FALSE);
}

static void tear_down(struct rig *r, gconstpointer unused)
{
    server_free(r->server);
    machine_free(r->machine);
    g_key_file_unref(r->file);
    g_assert_false(g_file_test(r->socket, G_FILE_TEST_EXISTS));
    g_assert_true(folder_remove(r->folder, NULL));
    g_free(r->folder);
    g_free(r->socket);
}

/* ---- raw clients ---- */

static void pump(unsigned ms)
{
    gint64 end = g_get_monotonic_time() + ms * 1000;
    while (g_get_monotonic_time() < end)
        if (!g_main_context_iteration(NULL, FALSE))
            g_usleep(500);
}

static int raw(struct rig *r)
{
    int fd = socket_connect(r->socket, NULL);
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void put(int fd, const char *bytes, size_t n)
{
    while (n) {
        ssize_t done = send(fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (done < 0 && errno != EAGAIN)
            return; /* the server has had enough */
        bytes += MAX(done, 0);
        n -= MAX(done, 0);
        g_main_context_iteration(NULL, FALSE);
    }
}

/* The next line, or NULL when the connection has ended.  Never waits longer than 5 s. */
static char *get(int fd)
{
    GString *s = g_string_new(NULL);
    gint64 end = g_get_monotonic_time() + 5 * G_USEC_PER_SEC;
    while (g_get_monotonic_time() < end) {
        char c;
        ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            g_string_free(s, TRUE);
            return NULL;
        }
        if (n < 0)
            g_main_context_iteration(NULL, FALSE);
        else if (c == '\n')
            return g_string_free(s, FALSE);
        else
            g_string_append_c(s, c);
    }
    g_error("no answer in 5 s");
}

static void say(int fd, const char *line)
{
    put(fd, line, strlen(line));
    put(fd, "\n", 1);
}

static void expect(int fd, const char *request, const char *part)
{
    say(fd, request);
    g_autofree char *answer = get(fd);
    g_test_message("%.200s -> %.300s", request, answer ? answer : "(closed)");
    g_assert_nonnull(answer);
    g_assert_nonnull(strstr(answer, part));
}

/* The guest's picture, 64 x 48, all #102030. */
static void draw(struct rig *r)
{
    int fd = raw(r);
    expect(fd, "{\"id\":1,\"cmd\":\"serial.write\",\"args\":{\"text\":\"mode 64\\n\"}}", "\"ok\":true");
    expect(fd, "{\"id\":2,\"cmd\":\"wait.serial\",\"args\":{\"text\":\"mode 64\\r\\n\",\"timeout\":5}}", "\"ok\":true");
    close(fd);
}

static void expect_end(int fd)
{
    g_autofree char *line = get(fd);
    g_test_message("instead of the end: %s", line ? line : "-");
    g_assert_null(line);
    close(fd);
}

/* ---- requests ---- */

static void requests(struct rig *r, gconstpointer unused)
{
    int fd = raw(r);
    expect(fd, "{\"id\":7,\"cmd\":\"info\"}", "\"id\":7,\"ok\":true");
    expect(fd, "{\"id\":8,\"cmd\":\"commands\",\"args\":{}}", "\"wait.serial\"");
    expect(fd, "{\"id\":9,\"cmd\":\"inof\"}", "did you mean \\\"info\\\"?");
    expect(fd, "{\"id\":10,\"cmd\":\"info\",\"args\":{\"x\":1}}", "info has no argument \\\"x\\\"");
    expect(fd, "{\"id\":11,\"cmd\":\"input.text\"}", "needs the argument \\\"text\\\"");
    expect(fd, "{\"id\":12,\"cmd\":\"input.text\",\"args\":{\"text\":5}}", "text must be a text");
    expect(fd, "{\"id\":13,\"cmd\":\"input.text\",\"args\":{\"text\":\"\\u20ac\"}}", "a US keyboard has no key");
    expect(fd, "{\"id\":14,\"cmd\":\"debug.cpu\",\"args\":{\"cpu\":-1}}", "cpu must be a number from 0");
    expect(fd, "{\"id\":15,\"cmd\":\"debug.cpu\",\"args\":{\"cpu\":1}}", "not-found");
    expect(fd, "{\"id\":16,\"cmd\":\"resume\"}", "wrong-state");
    expect(fd, "{\"id\":17,\"cmd\":\"wait.state\",\"args\":{\"state\":\"asleep\"}}", "never \\\"asleep\\\"");
    expect(fd, "{\"id\":18,\"cmd\":\"wait.serial\",\"args\":{\"text\":\"\"}}", "must not be empty");
    expect(fd, "{\"id\":19,\"cmd\":\"wait.serial\",\"args\":{\"text\":\"x\",\"timeout\":-1}}", "number of seconds");
    expect(fd, "{\"id\":20,\"cmd\":\"serial.tail\",\"args\":{\"device\":\"serial9\"}}", "no serial port serial9");
    expect(fd, "{\"id\":21,\"cmd\":\"screen.text\"}", "GNU GRUB");
    expect(fd, "{\"id\":22,\"cmd\":\"media.insert\",\"args\":{\"file\":\"/a.iso\"}}", "takes 1 descriptors, 0 came");
    expect(fd, "{\"id\":24,\"cmd\":\"input.pointer-absolute\",\"args\":{\"x\":0,\"y\":0}}", "wrong-state");
    expect(fd, "{\"id\":9223372036854775807,\"cmd\":\"info\"}", "\"id\":9223372036854775807");
    close(fd);
}

/* What is no request gets an answer that says so; what breaks the framing ends the connection, and only that one. */
static void garbage(struct rig *r, gconstpointer unused)
{
    static const char *const polite[] = {"{}",
                                         "{\"id\":1}",
                                         "{\"cmd\":\"info\"}",
                                         "{\"id\":\"1\",\"cmd\":\"info\"}",
                                         "{\"id\":1,\"cmd\":[]}",
                                         "{\"id\":1,\"cmd\":\"info\",\"args\":[]}",
                                         "{\"id\":1.5,\"cmd\":\"info\"}",
                                         "{\"id\":null,\"cmd\":null,\"args\":null}"};
    static const char *const rude[] = {"",
                                       "hello",
                                       "[]",
                                       "1",
                                       "null",
                                       "{",
                                       "{\"id\":1",
                                       "\"\\",
                                       "\xff\xfe",
                                       "{\"fds\":3}",
                                       "{\"fds\":-1}",
                                       "GET / HTTP/1.1",
                                       "{/* \" */\"a\":1}",
                                       "var a = {\"id\":1}",
                                       "{'id':1}",
                                       "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{"
                                       "\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\""
                                       ":{\"a\":{\"a\":{\"a\":1}}}}}}}}}}}}}}}}}"};
    int witness = raw(r), fd = raw(r);
    for (unsigned i = 0; i < G_N_ELEMENTS(polite); i++)
        expect(fd, polite[i], "\"protocol\"");
    close(fd);
    for (unsigned i = 0; i < G_N_ELEMENTS(rude); i++) {
        fd = raw(r);
        expect(fd, rude[i], "\"protocol\"");
        expect_end(fd);
    }
    expect(witness, "{\"id\":1,\"cmd\":\"info\"}", "\"ok\":true");
    close(witness);
}

static void too_long(struct rig *r, gconstpointer unused)
{
    int fd = raw(r);
    g_autofree char *line = g_strnfill(WIRE_REQUEST + 20000, 'x'), *fits = g_strnfill(WIRE_REQUEST - 100, 'a');
    put(fd, line, strlen(line));
    g_autofree char *answer = get(fd);
    g_assert_nonnull(strstr(answer, "too long"));
    expect_end(fd);
    fd = raw(r);
    g_autofree char *request = g_strdup_printf("{\"id\":1,\"cmd\":\"serial.write\",\"args\":{\"text\":\"%s\"}}", fits);
    expect(fd, request, "\"ok\":true");
    close(fd);
}

static void nesting_bomb(struct rig *r, gconstpointer unused)
{
    int fd = raw(r);
    g_autofree char *line = g_strnfill(WIRE_REQUEST - 10, '[');
    expect(fd, line, "nested too deep");
    expect_end(fd);
}

static void random_bytes(struct rig *r, gconstpointer unused)
{
    for (unsigned i = 0; i < 200; i++) {
        char bytes[512];
        size_t n = g_test_rand_int_range(1, sizeof bytes);
        static const char alphabet[] = "{}[]\":,\\0123456789.eidcmargsnfo-\n \t\xff";
        for (size_t k = 0; k < n; k++)
            bytes[k] = alphabet[g_test_rand_int_range(0, sizeof alphabet - 1)];
        int fd = raw(r);
        put(fd, bytes, n);
        close(fd);
        pump(1);
    }
    int fd = raw(r);
    expect(fd, "{\"id\":1,\"cmd\":\"info\"}", "\"ok\":true");
    close(fd);
}

/* ---- many clients, slow clients ---- */

static void many_clients(struct rig *r, gconstpointer unused)
{
    int fd[200];
    for (unsigned i = 0; i < G_N_ELEMENTS(fd); i++) {
        fd[i] = raw(r);
        pump(1);
    }
    expect(fd[0], "{\"id\":1,\"cmd\":\"info\"}", "\"ok\":true");
    for (unsigned i = 0; i < G_N_ELEMENTS(fd); i++)
        close(fd[i]);
    pump(20);
    int late = raw(r);
    expect(late, "{\"id\":1,\"cmd\":\"info\"}", "\"ok\":true");
    close(late);
}

static void deaf_client(struct rig *r, gconstpointer unused)
{
    int fd = raw(r), small = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    for (unsigned i = 0; i < 20000; i++) {
        if (send(fd, "{\"id\":1,\"cmd\":\"commands\"}\n", 26, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN)
            break; /* the server has closed it */
        g_main_context_iteration(NULL, FALSE);
    }
    int other = raw(r);
    expect(other, "{\"id\":1,\"cmd\":\"info\"}", "\"ok\":true");
    close(other);
    close(fd);
}

/* ---- limits ---- */

/* How many descriptors of this process are such files. */
static unsigned open_files(const char *name)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    const char *fd;
    unsigned n = 0;
    while ((fd = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename("/proc/self/fd", fd, NULL), *target = g_file_read_link(path, NULL);
        n += target && strstr(target, name);
    }
    return n;
}

/* The next message with the descriptor beside it; -1: none came in 5 s. */
static int get_fd(int fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    for (gint64 end = g_get_monotonic_time() + 5 * G_USEC_PER_SEC; g_get_monotonic_time() < end;) {
        char buffer[4096];
        struct iovec iov = {buffer, sizeof buffer};
        struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        struct cmsghdr *c = recvmsg(fd, &m, MSG_DONTWAIT) > 0 ? CMSG_FIRSTHDR(&m) : NULL;
        int passed;
        if (c) {
            memcpy(&passed, CMSG_DATA(c), sizeof passed);
            return passed;
        }
        pump(1);
    }
    return -1;
}

/* Pictures that nobody reads: one is made, the others wait.  Who reads gets all of them. */
static void unread_pictures(struct rig *r, gconstpointer unused)
{
    draw(r);
    int fd = raw(r), other = raw(r);
    for (unsigned i = 0; i < 100; i++)
        say(fd, "{\"id\":1,\"cmd\":\"screen.shot\"}");
    pump(100);
    unsigned made = open_files("terrarium-shot");
    g_assert_cmpuint(made, ==, 1);
    say(other, "{\"id\":2,\"cmd\":\"screen.shot\"}"); /* held back is one client, not all */
    int picture = get_fd(other);
    g_assert_cmpint(picture, >=, 0);
    close(picture);
    for (unsigned i = 0; i < 100; i++) {
        struct stat st;
        picture = get_fd(fd);
        g_assert_true(picture >= 0 && !fstat(picture, &st) && st.st_size == 64 * 48 * 4);
        close(picture);
    }
    expect(fd, "{\"id\":3,\"cmd\":\"info\"}", "\"id\":3,\"ok\":true");
    close(fd);
    close(other);
}

/* Who closes his half and does not read leaves pictures in sockets: each counts as a client until it was read. */
static void half_closed_pictures(struct rig *r, gconstpointer unused)
{
    int fd[100];
    draw(r);
    for (unsigned i = 0; i < G_N_ELEMENTS(fd); i++) {
        fd[i] = raw(r);
        say(fd[i], "{\"id\":1,\"cmd\":\"screen.shot\"}");
        shutdown(fd[i], SHUT_WR);
        pump(2);
    }
    g_assert_cmpuint(open_files("terrarium-shot"), ==, 64);
    int picture = get_fd(fd[0]);
    struct stat st;
    g_assert_true(picture >= 0 && !fstat(picture, &st) && st.st_size == 64 * 48 * 4);
    close(picture);
    pump(50);
    expect_end(fd[0]);
    for (unsigned i = 1; i < G_N_ELEMENTS(fd); i++)
        close(fd[i]);
    pump(100);
    g_assert_cmpuint(open_files("terrarium-shot"), ==, 0);
}

/* A watcher that does not read gets few of the pictures that were, and the one that is. */
static void unread_modes(struct rig *r, gconstpointer unused)
{
    draw(r);
    int fd = raw(r), other = raw(r);
    say(fd, "{\"id\":1,\"cmd\":\"display.watch\"}");
    pump(30);
    for (unsigned i = 1; i <= 20; i++) {
        g_autofree char *order =
            g_strdup_printf("{\"id\":1,\"cmd\":\"serial.write\",\"args\":{\"text\":\"mode %u\\n\"}}", 64 + i);
        expect(other, order, "\"ok\":true");
        pump(40);
    }
    unsigned modes = 0;
    bool newest = false;
    for (gint64 end = g_get_monotonic_time() + 10 * G_USEC_PER_SEC; !newest && g_get_monotonic_time() < end;) {
        g_autofree char *line = get(fd);
        g_assert_nonnull(line);
        modes += strstr(line, "display.mode") != NULL;
        newest = strstr(line, "\"width\":84,\"height\":48,\"stride\":336");
    }
    g_assert_true(newest);
    g_assert_cmpuint(modes, <=, 3);
    close(other);
    close(fd);
}

static void many_lines(struct rig *r, gconstpointer unused)
{
    int fd = raw(r), lines[64];
    unsigned n = 0;
    for (; n < G_N_ELEMENTS(lines); n++) {
        say(fd, "{\"id\":1,\"cmd\":\"serial.open\",\"args\":{\"device\":\"serial1\"}}");
        pump(2);
        char c;
        if (recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 1) {
            g_autofree char *peek = g_malloc0(200);
            if (recv(fd, peek, 199, MSG_PEEK | MSG_DONTWAIT) > 0 && strstr(peek, "busy"))
                break;
        }
        lines[n] = get_fd(fd);
        g_assert_cmpint(lines[n], >=, 0);
    }
    g_assert_cmpuint(n, ==, 8);
    g_autofree char *refused = get(fd);
    g_assert_nonnull(strstr(refused, "serial1 has 8 lines open"));
    close(lines[0]);
    pump(10);
    say(fd, "{\"id\":1,\"cmd\":\"serial.open\"}");
    lines[0] = get_fd(fd);
    g_assert_cmpint(lines[0], >=, 0);
    for (unsigned i = 0; i < n; i++)
        close(lines[i]);
    close(fd);
}

/* All places taken: whoever comes is told so, and may still stop the machine. */
static void reserved_places(struct rig *r, gconstpointer unused)
{
    int fd[64], first = raw(r);
    for (unsigned i = 0; i < 63; i++) {
        fd[i] = raw(r);
        pump(1);
    }
    for (unsigned i = 0; i < 20; i++) { /* more than reserved places, one after another */
        int late = raw(r);
        expect(late, "{\"id\":1,\"cmd\":\"pause\"}", "\"busy\"");
        expect(late, "{\"id\":2,\"cmd\":\"info\"}", "\"id\":2,\"ok\":true");
        close(late);
    }
    int silent[8];
    for (unsigned i = 0; i < 8; i++)
        silent[i] = raw(r);
    pump(300);
    int stopper = raw(r);
    expect(stopper, "{\"id\":3,\"cmd\":\"stop\"}", "\"id\":3,\"ok\":true");
    g_autofree char *farewell = get(silent[0]);
    g_assert_true(farewell && strstr(farewell, "\"busy\""));
    close(stopper);
    for (unsigned i = 0; i < 8; i++)
        close(silent[i]);
    for (unsigned i = 0; i < 63; i++)
        close(fd[i]);
    close(first);
}

static gboolean on_tick(gpointer unused)
{
    return G_SOURCE_CONTINUE;
}

/* No descriptor left: the loop waits instead of turning, and a client is let in by the spare one. */
static void no_descriptors(struct rig *r, gconstpointer unused)
{
    int client = raw(r), second = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), taken[4096];
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct rlimit before, few;
    unsigned n = 0, turns = 0;
    say(client, "{\"id\":0,\"cmd\":\"screen.shot\"}"); /* makes the picture */
    close(get_fd(client));
    g_strlcpy(to.sun_path, r->socket, sizeof to.sun_path);
    g_assert_false(getrlimit(RLIMIT_NOFILE, &before));
    few = (struct rlimit){200, before.rlim_max};
    g_assert_false(setrlimit(RLIMIT_NOFILE, &few));
    while (n < G_N_ELEMENTS(taken) && (taken[n] = dup(client)) >= 0)
        n++;
    g_assert_false(connect(second, (struct sockaddr *)&to, sizeof to));
    expect(second, "{\"id\":1,\"cmd\":\"resume\"}", "\"busy\"");
    expect(second, "{\"id\":2,\"cmd\":\"info\"}", "\"id\":2,\"ok\":true");
    expect(client, "{\"id\":3,\"cmd\":\"screen.shot\"}", "\"busy\"");
    expect(client, "{\"id\":4,\"cmd\":\"serial.open\"}", "\"busy\"");
    int crowd[3]; /* one may take the place of the second; the others have to wait */
    for (unsigned i = 0; i < G_N_ELEMENTS(crowd); i++) {
        close(taken[--n]);
        crowd[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        g_assert_false(connect(crowd[i], (struct sockaddr *)&to, sizeof to));
    }
    guint tick = g_timeout_add(10, on_tick, NULL);
    for (gint64 end = g_get_monotonic_time() + 100000; g_get_monotonic_time() < end; turns++)
        g_main_context_iteration(NULL, TRUE);
    g_source_remove(tick);
    g_assert_cmpuint(turns, <, 60);
    while (n)
        close(taken[--n]);
    g_assert_false(setrlimit(RLIMIT_NOFILE, &before));
    pump(300);
    expect(crowd[2], "{\"id\":5,\"cmd\":\"info\"}", "\"id\":5,\"ok\":true");
    for (unsigned i = 0; i < G_N_ELEMENTS(crowd); i++)
        close(crowd[i]);
    close(second);
    close(client);
}

static void many_waits(struct rig *r, gconstpointer unused)
{
    int fd = raw(r);
    g_autofree char *text = g_strnfill(60000, 'x');
    g_autofree char *request = g_strdup_printf("{\"id\":1,\"cmd\":\"wait.serial\",\"args\":{\"text\":\"%s\"}}", text);
    for (unsigned i = 0; i < 17; i++) /* a megabyte of them */
        say(fd, request);
    expect(fd, request, "\"busy\"");
    close(fd);
}

/* Whatever the guest sends: a tail of a megabyte of escapes is six in JSON, and one who reads gets it. */
static void long_answer(struct rig *r, gconstpointer unused)
{
    struct char_port *p = char_find(r->machine, "serial1");
    g_autofree char *escapes = g_strnfill(CHAR_TAIL_BYTES, '\033');
    int fd = raw(r);
    char_write(p, (const uint8_t *)escapes, CHAR_TAIL_BYTES);
    say(fd, "{\"id\":1,\"cmd\":\"serial.tail\",\"args\":{\"bytes\":1048576}}");
    size_t all = 0;
    char buffer[65536];
    for (gint64 end = g_get_monotonic_time() + 20 * G_USEC_PER_SEC; all < 6 << 20 && g_get_monotonic_time() < end;) {
        ssize_t n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
        g_assert_true(n > 0 || (n < 0 && errno == EAGAIN));
        all += MAX(n, 0);
        g_main_context_iteration(NULL, FALSE);
    }
    g_assert_cmpuint(all, >=, 6 << 20);
    close(fd);
}

static void half_closed(struct rig *r, gconstpointer unused)
{
    int fd = raw(r);
    say(fd, "{\"id\":5,\"cmd\":\"info\"}");
    shutdown(fd, SHUT_WR);
    g_autofree char *answer = get(fd);
    g_assert_nonnull(strstr(answer, "\"id\":5,\"ok\":true"));
    expect_end(fd);
}

/* ---- waiting and events ---- */

static void waiting(struct rig *r, gconstpointer unused)
{
    int fd = raw(r), other = raw(r);
    expect(fd, "{\"id\":1,\"cmd\":\"wait.serial\",\"args\":{\"text\":\"guest ready\"}}", "\"offset\":16");
    expect(fd, "{\"id\":2,\"cmd\":\"wait.serial\",\"args\":{\"text\":\"guest ready\",\"new\":true,\"timeout\":0.05}}",
           "timeout");
    say(fd, "{\"id\":3,\"cmd\":\"wait.serial\",\"args\":{\"text\":\"split word\"}}");
    pump(5);
    expect(other, "{\"id\":1,\"cmd\":\"serial.write\",\"args\":{\"text\":\"a split word\\n\"}}", "\"ok\":true");
    g_autofree char *found = get(fd);
    g_assert_nonnull(strstr(found, "\"id\":3,\"ok\":true"));
    expect(fd, "{\"id\":4,\"cmd\":\"wait.screen\",\"args\":{\"text\":\"GRUB\"}}", "\"ok\":true");
    expect(fd, "{\"id\":5,\"cmd\":\"wait.screen\",\"args\":{\"text\":\"LILO\",\"timeout\":0.3}}", "timeout");
    say(fd, "{\"id\":6,\"cmd\":\"wait.serial\",\"args\":{\"text\":\"never\"}}");
    close(fd); /* in the middle of it */
    pump(5);
    expect(other, "{\"id\":2,\"cmd\":\"serial.write\",\"args\":{\"text\":\"never\\n\"}}", "\"ok\":true");
    close(other);
}

static void state_events(struct rig *r, gconstpointer unused)
{
    int fd = raw(r), other = raw(r);
    say(other, "{\"id\":1,\"cmd\":\"wait.state\",\"args\":{\"state\":\"stopped\"}}");
    say(other, "{\"id\":2,\"cmd\":\"wait.serial\",\"args\":{\"text\":\"never\"}}");
    pump(5);
    expect(fd, "{\"id\":1,\"cmd\":\"pause\"}", "{\"event\":\"state\",\"data\":{\"state\":\"paused\"}}");
    g_autofree char *answer = get(fd);
    g_assert_nonnull(strstr(answer, "\"ok\":true"));
    say(fd, "{\"id\":2,\"cmd\":\"stop\"}");
    g_autofree char *stopping = get(fd), *stopped = get(fd);
    g_assert_nonnull(strstr(stopping, "\"ok\":true"));
    g_assert_nonnull(strstr(stopped, "\"state\":\"stopped\",\"end\":\"stopped\",\"code\":0"));
    g_autofree char *paused = get(other), *event = get(other), *first = get(other), *second = get(other);
    g_assert_nonnull(strstr(paused, "paused") && strstr(event, "\"end\":\"stopped\"") ? "" : NULL);
    g_assert_nonnull(strstr(first, "\"id\":1,\"ok\":true"));
    g_assert_nonnull(strstr(second, "\"wrong-state\""));
    close(fd);
    close(other);
}

/* ---- through client.c, with descriptors ---- */

struct session {
    struct rig *rig;
    void (*body)(struct client *c);
    gint done;
};

static gpointer client_thread(gpointer data)
{
    struct session *s = data;
    struct client *c = client_connect_socket(s->rig->socket, NULL);
    g_assert_nonnull(c);
    s->body(c);
    client_free(c);
    g_atomic_int_set(&s->done, 1);
    return NULL;
}

static void with_client(struct rig *r, void (*body)(struct client *c))
{
    struct session s = {r, body, 0};
    GThread *t = g_thread_new("client", client_thread, &s);
    while (!g_atomic_int_get(&s.done))
        if (!g_main_context_iteration(NULL, FALSE))
            g_usleep(200);
    g_thread_join(t);
}

static void take_shot(struct client *c)
{
    int fds[4];
    unsigned n = 4;
    uint32_t pixel = 0;
    struct stat st;
    g_autoptr(JsonObject) o = client_call_fds(c, "screen.shot", NULL, NULL, 0, fds, &n, 5000, NULL);
    g_assert_nonnull(o);
    g_assert_cmpuint(n, ==, 1);
    g_assert_cmpint(json_object_get_int_member(o, "width"), ==, 64);
    g_assert_cmpint(json_object_get_int_member(o, "stride"), ==, 256);
    g_assert_true(!fstat(fds[0], &st) && st.st_size == 64 * 48 * 4);
    g_assert_cmpint(pread(fds[0], &pixel, sizeof pixel, 0), ==, sizeof pixel);
    g_assert_cmphex(pixel, ==, 0x102030);
    close(fds[0]);
}

static void use_serial(struct client *c)
{
    int line = -1;
    unsigned n = 1;
    JsonObject *args = json_object_new();
    json_object_set_int_member(args, "replay", 1000);
    g_autoptr(JsonObject) o = client_call_fds(c, "serial.open", args, NULL, 0, &line, &n, 5000, NULL);
    g_assert_true(o && n == 1);
    fcntl(line, F_SETFL, 0);
    g_assert_cmpint(write(line, "over the line\n", 14), ==, 14);
    GString *got = g_string_new(NULL);
    while (!strstr(got->str, "over the line\r\n")) {
        char buffer[64];
        ssize_t k = read(line, buffer, sizeof buffer);
        g_assert_cmpint(k, >, 0);
        g_string_append_len(got, buffer, k);
    }
    g_assert_true(g_str_has_prefix(got->str, "test guest ready\r\n"));
    g_string_free(got, TRUE);
    close(line);
}

static void errors_and_timeouts(struct client *c)
{
    g_autoptr(GError) unknown = NULL, late = NULL;
    JsonObject *args = json_object_new();
    json_object_set_string_member(args, "text", "never");
    g_assert_null(client_call(c, "nonsense", NULL, 5000, &unknown));
    g_assert_error(unknown, CONTROL_ERROR, CONTROL_UNKNOWN_COMMAND);
    g_assert_null(client_call(c, "wait.serial", args, 50, &late));
    g_assert_error(late, CONTROL_ERROR, CONTROL_TIMEOUT);
    g_autoptr(JsonObject) o = client_call(c, "info", NULL, 5000, NULL); /* the late answer is not taken for this one */
    g_assert_cmpstr(json_object_get_string_member(o, "name"), ==, "test");
}

static void screen_shot(struct rig *r, gconstpointer unused)
{
    draw(r);
    with_client(r, take_shot);
}

static void serial_line(struct rig *r, gconstpointer unused)
{
    with_client(r, use_serial);
}

static void client_errors(struct rig *r, gconstpointer unused)
{
    with_client(r, errors_and_timeouts);
}

/* ---- the asynchronous client, as the screen window uses it ---- */

struct viewer {
    unsigned modes, damages, answers;
    bool closed;
    int fd;
};

static void viewer_event(void *ctx, const char *event, JsonObject *data, int *fds, unsigned n)
{
    struct viewer *v = ctx;
    if (!strcmp(event, "display.mode")) {
        g_assert_cmpuint(n, ==, 1);
        v->fd = fds[0];
        fds[0] = -1;
        v->modes++;
    }
    v->damages += !strcmp(event, "display.damage");
}

static void viewer_closed(void *ctx, const GError *error)
{
    struct viewer *v = ctx;
    g_assert_no_error(error);
    v->closed = true;
}

static void viewer_answer(void *ctx, JsonObject *result, int *fds, unsigned n, const GError *error)
{
    struct viewer *v = ctx;
    g_assert_no_error(error);
    v->answers++;
}

static void watching(struct rig *r, gconstpointer unused)
{
    struct viewer v = {.fd = -1};
    draw(r);
    struct client *c = client_connect_socket(r->socket, NULL);
    client_attach(c, NULL, viewer_event, viewer_closed, &v);
    client_send(c, "display.watch", NULL, viewer_answer, &v);
    pump(150);
    g_assert_true(v.modes == 1 && v.damages >= 1 && v.answers == 1);
    uint32_t pixel = 0;
    g_assert_cmpint(pread(v.fd, &pixel, sizeof pixel, 0), ==, sizeof pixel);
    g_assert_cmphex(pixel, ==, 0x102030);
    g_assert_cmpint(pwrite(v.fd, &pixel, sizeof pixel, 0), <, 0); /* the picture is ours to read only */
    g_assert_cmpint(ftruncate(v.fd, 0), <, 0);
    client_send(c, "display.unwatch", NULL, viewer_answer, &v);
    pump(50);
    unsigned before = v.damages;
    pump(100);
    g_assert_cmpuint(v.damages, ==, before);
    server_free(r->server);
    r->server = server_new(&r->options, socket_listen(r->socket, NULL), r->socket);
    pump(20);
    g_assert_true(v.closed);
    client_free(c);
    close(v.fd);
}

static void flood(struct rig *r, gconstpointer unused)
{
    int fd = raw(r);
    expect(fd, "{\"id\":1,\"cmd\":\"serial.write\",\"args\":{\"text\":\"flood 1200000\\nover\\n\"}}", "\"ok\":true");
    expect(fd, "{\"id\":2,\"cmd\":\"wait.serial\",\"args\":{\"text\":\"over\\r\\n\",\"timeout\":5}}",
           "\"offset\":1200024");
    expect(fd, "{\"id\":2,\"cmd\":\"serial.tail\",\"args\":{\"bytes\":64}}", "\"offset\":1200024");
    expect(fd, "{\"id\":3,\"cmd\":\"wait.serial\",\"args\":{\"text\":\"test guest\",\"timeout\":0}}",
           "timeout"); /* scrolled away */
    close(fd);
}

/* ---- tools that agree to all ---- */

/* How often the power button was pressed. */
static unsigned *presses(void)
{
    static unsigned count;
    return &count;
}

bool __wrap_machine_power_button(struct machine *m, GError **error);
bool __wrap_machine_power_button(struct machine *m, GError **error)
{
    ++*presses();
    return true;
}

struct wish {
    additions_done done;
    void *ctx;
};

static gboolean agree(gpointer wish)
{
    struct wish *w = wish;
    w->done(w->ctx, true);
    g_free(w);
    return G_SOURCE_REMOVE;
}

bool __wrap_additions_say(struct additions *a, const char *text, additions_done done, void *ctx);
bool __wrap_additions_say(struct additions *a, const char *text, additions_done done, void *ctx)
{
    struct wish *w = g_new0(struct wish, 1);
    *w = (struct wish){done, ctx};
    g_idle_add(agree, w);
    return true;
}

/* As if the seconds had passed. */
static void let_pass(struct rig *r)
{
    GSource *later = g_main_context_find_source_by_id(NULL, r->server->after);
    g_assert_nonnull(later);
    g_assert_cmpint(g_source_get_ready_time(later) - g_get_monotonic_time(), >, 5 * G_USEC_PER_SEC);
    g_source_set_ready_time(later, 0);
    pump(20);
}

/* A guest whose tools agree to a shutdown that does not come: the button is pressed, unless the machine was reset meanwhile. */
static void agreed_only(struct rig *r, gconstpointer unused)
{
    server_free(r->server);
    r->options.additions = (struct additions *)r;
    r->server = server_new(&r->options, socket_listen(r->socket, NULL), r->socket);
    *presses() = 0;
    int fd = raw(r);
    expect(fd, "{\"id\":1,\"cmd\":\"powerbutton\"}", "\"ok\":true");
    expect(fd, "{\"id\":2,\"cmd\":\"powerbutton\"}", "\"ok\":true");
    g_assert_cmpuint(*presses(), ==, 0);
    let_pass(r);
    g_assert_cmpuint(*presses(), ==, 1);
    g_assert_cmpuint(r->server->after, ==, 0);
    expect(fd, "{\"id\":3,\"cmd\":\"reboot\"}", "\"ok\":true");
    g_assert_cmpuint(r->server->after, ==, 0);
    expect(fd, "{\"id\":4,\"cmd\":\"powerbutton\"}", "\"ok\":true");
    machine_pause(r->machine); /* while it stands nobody presses it */
    let_pass(r);
    machine_resume(r->machine);
    close(fd);
    fd = raw(r);
    expect(fd, "{\"id\":7,\"cmd\":\"powerbutton\"}", "\"ok\":true");
    expect(fd, "{\"id\":8,\"cmd\":\"reset\"}", "\"ok\":true");
    g_autofree char *event = get(fd);
    g_assert_cmpstr(event, ==, "{\"event\":\"reset\",\"data\":{}}");
    g_assert_cmpuint(r->server->after, ==, 0);
    expect(fd, "{\"id\":9,\"cmd\":\"powerbutton\"}", "\"ok\":true"); /* and the server goes before */
    g_assert_cmpuint(*presses(), ==, 1);
    close(fd);
}

static bool may_not_run(void *machine, GError **error)
{
    g_usleep(100000); /* one that runs would have said something by then */
    g_assert_cmpuint(char_written(char_find(machine, "serial1")), ==, 0);
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "not now");
    return false;
}

/* Whoever may refuse a start is asked before the guest's first instruction. */
static void asked_first(void)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) error = NULL;
    g_key_file_set_string(file, "serial1", "target", "none");
    struct machine *m = machine_new(file, "machine.ini", "/", NULL, NULL);
    machine_on_start(m, (struct start_hook){may_not_run, m});
    g_assert_false(machine_start(m, &error));
    g_assert_cmpstr(error->message, ==, "not now");
    machine_free(m);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*test)(struct rig *r, gconstpointer unused);
    } tests[] = {{"requests", requests},
                 {"garbage", garbage},
                 {"too-long", too_long},
                 {"nesting-bomb", nesting_bomb},
                 {"random-bytes", random_bytes},
                 {"many-clients", many_clients},
                 {"deaf-client", deaf_client},
                 {"half-closed", half_closed},
                 {"waiting", waiting},
                 {"state-events", state_events},
                 {"screen-shot", screen_shot},
                 {"serial-line", serial_line},
                 {"client-errors", client_errors},
                 {"watching", watching},
                 {"flood", flood},
                 {"unread-pictures", unread_pictures},
                 {"half-closed-pictures", half_closed_pictures},
                 {"unread-modes", unread_modes},
                 {"many-lines", many_lines},
                 {"reserved-places", reserved_places},
                 {"no-descriptors", no_descriptors},
                 {"many-waits", many_waits},
                 {"long-answer", long_answer},
                 {"agreed-only", agreed_only}};
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/start/asked-first", asked_first);
    for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strdup_printf("/control/%s", tests[i].name);
        g_test_add(path, struct rig, NULL, set_up, tests[i].test, tear_down);
    }
    return g_test_run();
}
