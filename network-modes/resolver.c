// SPDX-License-Identifier: GPL-2.0-or-later
/* resolver.c - see resolver.h.  The two talk by a pair of sockets: a byte asks; a byte and the file's text, if there is one, is
 * the answer. */
#include "network-modes/resolver.h"
#include "core-vmm/fence/fence.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TEXT_MOST = 8192, OLD_US = G_USEC_PER_SEC, ANSWER_MS = 20 };

struct resolver {
    int fd; /* -1: it is not there */
    GSource *source;
    gint64 asked; /* monotonic us; 0: never */
    struct resolver_servers servers;
};

/* ---- its process ---- */

static ssize_t read_names(char *text)
{
    int fd = open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t n = fd >= 0 ? read(fd, text, TEXT_MOST) : 0;
    if (fd >= 0)
        close(fd);
    return MAX(n, 0);
}

static void answer(int fd, pid_t parent)
{
    static const char *const folders[] = {
        "/etc", "/run/systemd/resolve", "/run/NetworkManager", "/run/resolvconf", "/run/connman", "/run/netconfig"};
    char text[1 + TEXT_MOST], asked;
    prctl(PR_SET_NAME, "net-resolver");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct fence_files *f = fence_files_new();
    for (unsigned i = 0; i < G_N_ELEMENTS(folders); i++)
        fence_allow(f, folders[i], FENCE_READ);
    if (getppid() != parent || !fence_files_close(f, NULL) || !fence_calls_close(FENCE_LOOK, NULL) ||
        !fence_holds(NULL))
        _exit(1);
    for (*text = '.'; read(fd, &asked, 1) == 1;)
        if (write(fd, text, 1 + read_names(text + 1)) < 0)
            break;
    _exit(0);
}

static void only(int fd)
{
    dup2(fd, 0);
    close_range(1, ~0u, 0);
}

/* ---- names ---- */

static bool parse_server(const char *text, struct sockaddr_in6 *out)
{
    struct in_addr v4;
    g_auto(GStrv) parts = g_strsplit(text, "%", 2); /* fe80::1%eth0 */
    *out = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(RESOLVER_PORT)};
    if (!parts[0])
        return false;
    if (inet_pton(AF_INET, parts[0], &v4) == 1) {
        out->sin6_addr.s6_addr[10] = out->sin6_addr.s6_addr[11] = 0xff;
        memcpy(&out->sin6_addr.s6_addr[12], &v4, sizeof v4);
        return true;
    }
    out->sin6_scope_id = parts[1] ? if_nametoindex(parts[1]) : 0;
    return inet_pton(AF_INET6, parts[0], &out->sin6_addr) == 1;
}

void resolver_parse(const char *text, struct resolver_servers *out)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    *out = (struct resolver_servers){0};
    for (char **l = lines; *l && out->count < RESOLVER_SERVERS; l++) {
        g_auto(GStrv) words = g_strsplit_set(*l, " \t\r", -1);
        const char *server = NULL;
        for (char **w = words + (*words ? 1 : 0); *w && !server; w++)
            server = **w ? *w : NULL;
        if (*words && !strcmp(*words, "nameserver") && server && parse_server(server, &out->server[out->count]))
            out->count++;
    }
    if (!out->count) /* resolv.conf(5): "the default is to use the name server on the local machine" */
        out->count = parse_server("127.0.0.1", &out->server[0]);
}

static void stop(struct resolver *r)
{
    if (r->source) {
        g_source_destroy(r->source);
        g_source_unref(r->source);
    }
    r->source = NULL;
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
}

static gboolean on_answer(int fd, GIOCondition condition, gpointer data)
{
    struct resolver *r = data;
    char text[1 + TEXT_MOST + 1];
    ssize_t n = recv(fd, text, 1 + TEXT_MOST, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    if (n <= 0) {
        g_warning("the host's name servers cannot be read any more; the last ones known stay");
        stop(r);
        return G_SOURCE_REMOVE;
    }
    text[n] = 0;
    resolver_parse(text + 1, &r->servers);
    return G_SOURCE_CONTINUE;
}

struct resolver *resolver_new(void)
{
    struct resolver *r = g_new0(struct resolver, 1);
    int pair[2];
    pid_t self = getpid();
    r->fd = -1;
    resolver_parse("", &r->servers);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return r;
    pid_t pid = fork();
    if (pid == 0) {
        only(pair[1]);
        answer(0, self);
    }
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return r;
    }
    r->fd = pair[0];
    r->source = g_unix_fd_source_new(r->fd, G_IO_IN | G_IO_HUP);
    g_source_set_callback(r->source, G_SOURCE_FUNC(on_answer), r, NULL);
    g_source_attach(r->source, NULL);
    return r;
}

void resolver_free(struct resolver *r)
{
    stop(r);
    g_free(r);
}

/* The other process answers at once; if it is not let run, the old answer does until the next question. */
const struct resolver_servers *resolver_servers(struct resolver *r)
{
    gint64 now = g_get_monotonic_time();
    struct pollfd p = {r->fd, POLLIN, 0};
    if (r->fd < 0 || (r->asked && now - r->asked < OLD_US) || send(r->fd, "?", 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1)
        return &r->servers;
    r->asked = now;
    if (poll(&p, 1, ANSWER_MS) == 1)
        on_answer(r->fd, G_IO_IN, r);
    return &r->servers;
}
