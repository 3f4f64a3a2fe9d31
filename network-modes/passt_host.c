// SPDX-License-Identifier: GPL-2.0-or-later
/* passt_host.c - see passt_host.h.  The two talk by a pair of sockets of packets: a request, and its reply with a descriptor. */
#include "network-modes/passt_host.h"
#include "core-vmm/base/forward.h"
#include "core-vmm/base/net_wire.h"
#include "core-vmm/outer/fd_pass.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ANSWER_MS = 2000, READY_MS = 1000, LOOK_MS = 5, PASST_FD = 3 };

struct passt_host {
    int fd;
    uint32_t asked; /* requests */
};

/* ---- its process ---- */

/* Would that port of the host be free for passt?  0, or errno. */
static int try_bind(const struct forward *f)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(f->host_port), .sin6_addr = f->host};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(f->host_port)};
    int one = 1, fd = socket(f->v6 ? AF_INET6 : AF_INET, (f->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    memcpy(&v4.sin_addr, &f->host.s6_addr[12], 4);
    if (fd >= 0 && !f->udp)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bool good =
        fd >= 0 && !bind(fd, f->v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4, f->v6 ? sizeof v6 : sizeof v4);
    int e = good ? 0 : errno;
    if (fd >= 0)
        close(fd);
    return e;
}

static void add(GPtrArray *argv, const char *option, char *value)
{
    g_ptr_array_add(argv, g_strdup(option));
    if (value)
        g_ptr_array_add(argv, value);
}

static char *address(uint32_t host)
{
    return g_strdup_printf("%u.%u.%u.%u", host >> 24, host >> 16 & 255, host >> 8 & 255, host & 255);
}

/* Those that cannot be bound are left out: passt would not start. */
static void add_forwards(GPtrArray *argv, const GArray *list, struct passt_reply *reply)
{
    for (unsigned i = 0; i < PASST_FORWARDS && !list; i++)
        reply->forward[i] = EINVAL;
    for (unsigned i = 0; list && i < MIN(list->len, PASST_FORWARDS); i++) {
        const struct forward *f = &g_array_index(list, struct forward, i);
        char text[INET6_ADDRSTRLEN];
        inet_ntop(f->v6 ? AF_INET6 : AF_INET, f->v6 ? &f->host.s6_addr[0] : &f->host.s6_addr[12], text, sizeof text);
        reply->forward[i] = try_bind(f);
        if (!reply->forward[i])
            add(argv, f->udp ? "-u" : "-t", g_strdup_printf("%s/%u:%u", text, f->host_port, f->guest_port));
    }
}

/* The addresses are those of the other back end.  Names are not passt's business: nat_dns.c answers for them. */
static GPtrArray *command_line(const char *program, const struct passt_request *r, struct passt_reply *reply)
{
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GArray) list = forward_parse_list(r->forwards, NULL);
    uint32_t net = r->range.network & r->range.mask;
    add(argv, program, NULL);
    add(argv, "-f", NULL);
    add(argv, "-q", NULL);
    add(argv, "-F", g_strdup_printf("%d", PASST_FD));
    add(argv, "-m", g_strdup("1500"));
    add(argv, "-M",
        g_strdup_printf("52:55:%02x:%02x:%02x:%02x", net >> 24, net >> 16 & 255, net >> 8 & 255, (net & 255) + 2));
    add(argv, "-a", address(net + 15));
    add(argv, "-n", address(r->range.mask));
    add(argv, "-g", address(net + 2));
    add(argv, "-D", address(net + 3));
    if (r->ipv6) {
        add(argv, "-a", g_strdup("fd00::f"));
        add(argv, "-g", g_strdup("fd00::2"));
    } else {
        add(argv, "-4", NULL);
    }
    if (!r->host_reachable)
        add(argv, "--no-map-gw", NULL);
    add_forwards(argv, list, reply);
    g_ptr_array_add(argv, NULL);
    return argv;
}

static void become(char **argv, int socket)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int sig = 1; sig < NSIG; sig++) /* the network process ignores some */
        signal(sig, SIG_DFL);
    if (dup2(socket, PASST_FD) < 0)
        _exit(127);
    for (int fd = 0; fd < 3 && null >= 0; fd++)
        dup2(null, fd);
    close_range(PASST_FD + 1, ~0u, 0);
    execv(argv[0], argv);
    _exit(127);
}

static void end(pid_t *pid)
{
    if (*pid > 0) {
        kill(*pid, SIGKILL);
        waitpid(*pid, NULL, 0);
    }
    *pid = 0;
}

/* Has it closed its own fence?  By then it has bound the host's ports. */
static bool is_ready(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status", (int)pid), *text = NULL;
    return g_file_get_contents(path, &text, NULL, NULL) && strstr(text, "\nSeccomp:\t2\n");
}

/* False: it has ended.  One that takes longer is not waited for. */
static bool wait_ready(pid_t *pid)
{
    for (gint64 until = g_get_monotonic_time() + READY_MS * 1000; g_get_monotonic_time() < until;) {
        if (waitpid(*pid, NULL, WNOHANG) == *pid) {
            *pid = 0;
            return false;
        }
        if (is_ready(*pid))
            return true;
        g_usleep(LOOK_MS * 1000);
    }
    return true;
}

/* Our end for the network process, or -1. */
static int start(const char *program, const struct passt_request *r, pid_t *pid, struct passt_reply *reply)
{
    int pair[2];
    end(pid);
    g_autoptr(GPtrArray) argv = command_line(program, r, reply);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
        reply->error = errno;
        return -1;
    }
    *pid = fork();
    if (*pid == 0)
        become((char **)argv->pdata, pair[1]);
    reply->error = *pid < 0 ? errno : 0;
    close(pair[1]);
    if (*pid > 0 && wait_ready(pid))
        return pair[0];
    close(pair[0]);
    return -1;
}

static bool answer(int fd, const struct passt_reply *reply, int given)
{
    bool good = fd_send(fd, reply, sizeof *reply, given, 0) == sizeof *reply;
    if (given >= 0)
        close(given);
    return good;
}

static void serve(int fd, pid_t parent, const char *program)
{
    pid_t pids[NET_WIRE_CARDS] = {0};
    struct passt_request r;
    prctl(PR_SET_NAME, "net-passt");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (bool good = getppid() == parent; good && recv(fd, &r, sizeof r, 0) == sizeof r;) {
        struct passt_reply reply = {.number = r.number};
        r.forwards[sizeof r.forwards - 1] = 0;
        int given = r.card < NET_WIRE_CARDS ? start(program, &r, &pids[r.card], &reply) : -1;
        good = answer(fd, &reply, given);
    }
    for (unsigned i = 0; i < NET_WIRE_CARDS; i++)
        end(&pids[i]);
    _exit(0);
}

/* ---- the network process ---- */

struct passt_host *passt_host_new(void)
{
    g_autofree char *program = g_find_program_in_path("passt");
    int pair[2];
    pid_t self = getpid();
    if (!program || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return NULL;
    pid_t pid = fork();
    if (pid == 0) { /* nothing of what was opened for the other is to be in passt's hands */
        dup2(pair[1], PASST_FD);
        close_range(PASST_FD + 1, ~0u, 0);
        serve(PASST_FD, self, program);
    }
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return NULL;
    }
    struct passt_host *h = g_new0(struct passt_host, 1);
    h->fd = pair[0];
    return h;
}

void passt_host_free(struct passt_host *h)
{
    if (h)
        close(h->fd);
    g_free(h);
}

/* A socket, or -1; *reply stays as it was if none came. */
static int take(int fd, struct passt_reply *reply)
{
    struct passt_reply got;
    int given;
    if (fd_receive(fd, &got, sizeof got, &given, MSG_DONTWAIT) == sizeof got)
        *reply = got;
    return given;
}

/* Replies that came too late for an earlier request are thrown away. */
int passt_host_start(struct passt_host *h, struct passt_request *r, struct passt_reply *reply)
{
    struct pollfd p = {h->fd, POLLIN, 0};
    gint64 until = g_get_monotonic_time() + ANSWER_MS * 1000, left = ANSWER_MS;
    r->number = ++h->asked;
    bool sent = send(h->fd, r, sizeof *r, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof *r, busy = !sent && errno == EAGAIN;
    int fd = -1;
    *reply = (struct passt_reply){0};
    for (; sent && reply->number != r->number && left > 0 && poll(&p, 1, (int)left) == 1;) {
        if (fd >= 0)
            close(fd);
        fd = take(h->fd, reply);
        sent = fd >= 0 || reply->number;
        left = (until - g_get_monotonic_time()) / 1000;
    }
    if (reply->number == r->number)
        return fd;
    if (fd >= 0)
        close(fd);
    reply->error = sent || busy ? ETIMEDOUT : EPIPE;
    return -1;
}
