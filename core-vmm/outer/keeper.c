// SPDX-License-Identifier: GPL-2.0-or-later
/* keeper.c - the process that starts the ends of a VM, starts them again, and ends them with it. */
#include "core-vmm/outer/outer.h"
#include "core-vmm/outer/line.h"
#include "core-vmm/outer/fd_pass.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    AGAIN_MAX_MS = 30000,
    LIVED_MS = 60000 /* an end that lived so long begins anew */,
    STOP_MS = 1000,
    NOT_RUN = 127
};

struct child {
    const struct outer_end *end;
    pid_t pid; /* 0: not running */
    int pidfd;
    gint64 since, again; /* ms; again: when to start it, 0: not */
    unsigned wait;
};
struct keeper {
    struct child child[OUTER_ENDS_MAX];
    unsigned count;
    int line; /* hangs up when the VM process has gone; or a pidfd of it: */
    bool beside;
    bool done; /* the end was asked to go */
};

static gint64 now_ms(void)
{
    return g_get_monotonic_time() / 1000;
}

/* ---- in the end, before it is itself ---- */

/* Moves the descriptors to 3, 4, ... and closes all others.  fds is changed. */
static bool arrange(int *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++) { /* out of the way of their places */
        fds[i] = fcntl(fds[i], F_DUPFD, OUTER_SOCKET + count);
        if (fds[i] < 0)
            return false;
    }
    for (unsigned i = 0; i < count; i++)
        if (dup2(fds[i], OUTER_SOCKET + i) < 0)
            return false;
    return close_range(OUTER_SOCKET + count, ~0u, 0) == 0;
}

static void become(const struct outer_end *e, int socket, pid_t keeper)
{
    int fds[1 + OUTER_FDS_MAX] = {socket};
    unsigned first = socket >= 0;
    memcpy(fds + first, e->fds, e->fd_count * sizeof *fds);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL);
    if (getppid() == keeper && arrange(fds, first + e->fd_count))
        execv(e->argv[0], (char *const *)e->argv);
    _exit(NOT_RUN);
}

/* ---- the line ---- */

static bool tell(struct keeper *k, const struct line_news *news, int fd)
{
    return k->beside || fd_send(k->line, news, sizeof *news, fd, MSG_DONTWAIT) == sizeof *news;
}

/* ---- ends ---- */

static void start_later(struct child *c)
{
    if (!c->end->again_ms)
        return;
    bool lived = c->since && now_ms() - c->since > LIVED_MS;
    c->wait = !c->wait || lived ? c->end->again_ms : MIN(2 * c->wait, AGAIN_MAX_MS);
    c->again = now_ms() + c->wait;
}

static void start(struct keeper *k, unsigned n)
{
    struct child *c = &k->child[n];
    int pair[2] = {-1, -1};
    pid_t self = getpid();
    c->again = 0;
    c->since = now_ms();
    if (c->end->type && socketpair(AF_UNIX, c->end->type | SOCK_CLOEXEC, 0, pair)) {
        start_later(c);
        return;
    }
    pid_t pid = fork();
    if (pid == 0)
        become(c->end, pair[1], self);
    if (pair[1] >= 0)
        close(pair[1]);
    c->pidfd = pid > 0 ? syscall(SYS_pidfd_open, pid, 0) : -1;
    c->pid = c->pidfd >= 0 ? pid : 0;
    if (pid > 0 && !c->pid) { /* nobody would notice its end */
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    if (c->pid && !tell(k, &(struct line_news){n, 1, 0}, pair[0]))
        kill(pid, SIGKILL); /* the VM process does not read, or has gone */
    if (pair[0] >= 0)
        close(pair[0]);
    if (!c->pid)
        start_later(c);
}

static void reap(struct keeper *k, unsigned n)
{
    struct child *c = &k->child[n];
    int status;
    if (!c->pid || waitpid(c->pid, &status, WNOHANG) != c->pid)
        return;
    close(c->pidfd);
    c->pid = 0;
    tell(k, &(struct line_news){n, 0, status}, -1);
    k->done = k->beside && WIFEXITED(status) && !WEXITSTATUS(status);
    if (!k->done)
        start_later(c);
}

/* ms until something is to be started, or -1. */
static int until_next(const struct keeper *k)
{
    gint64 next = G_MAXINT64;
    for (unsigned i = 0; i < k->count; i++)
        if (k->child[i].again)
            next = MIN(next, k->child[i].again);
    return next == G_MAXINT64 ? -1 : (int)CLAMP(next - now_ms(), 0, AGAIN_MAX_MS);
}

/* False: the VM process has gone. */
static bool wait_for_news(struct keeper *k)
{
    struct pollfd p[1 + OUTER_ENDS_MAX] = {{k->line, k->beside ? POLLIN : 0, 0}}; /* what a line says is not read */
    for (unsigned i = 0; i < k->count; i++)
        p[1 + i] = (struct pollfd){k->child[i].pid ? k->child[i].pidfd : -1, POLLIN, 0};
    return poll(p, 1 + k->count, until_next(k)) < 0 || !p[0].revents;
}

static void signal_all(struct keeper *k, int sig)
{
    for (unsigned i = 0; i < k->count; i++)
        if (k->child[i].pid)
            kill(k->child[i].pid, sig);
}

static bool any_left(struct keeper *k)
{
    bool left = false;
    for (unsigned i = 0; i < k->count; i++) {
        reap(k, i);
        left |= k->child[i].pid != 0;
    }
    return left;
}

/* Whoever waits for the end of the starter's output, or for the end of anything else that it has open, must not wait for
 * these processes too. */
static void leave_descriptors(const struct keeper *k)
{
    int kept[2 + OUTER_ENDS_MAX * OUTER_FDS_MAX], count = 0, from = 3;
    kept[count++] = k->line;
    for (unsigned i = 0; i < k->count; i++)
        for (unsigned n = 0; n < k->child[i].end->fd_count; n++)
            kept[count++] = k->child[i].end->fds[n];
    for (int next; from >= 0; from = next) { /* all between one that is kept and the next */
        next = -1;
        for (int i = 0; i < count; i++)
            if (kept[i] >= from && (next < 0 || kept[i] < next))
                next = kept[i];
        if (next != from)
            close_range(from, next < 0 ? ~0u : (unsigned)next - 1, 0);
        next = next < 0 ? -1 : next + 1;
    }
}

static void leave_stdio(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3 && null >= 0; fd++)
        dup2(null, fd);
}

static void keep(struct keeper *k)
{
    prctl(PR_SET_NAME, "vm-keeper");
    setsid(); /* a terminal's Ctrl-C is not for the ends */
    leave_stdio();
    leave_descriptors(k);
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGTTOU};
    for (unsigned i = 0; i < G_N_ELEMENTS(ignored); i++)
        signal(ignored[i], SIG_IGN);
    for (unsigned i = 0; i < k->count; i++)
        start(k, i);
    while (!k->done && wait_for_news(k))
        for (unsigned i = 0; i < k->count; i++) {
            reap(k, i);
            if (k->child[i].again && k->child[i].again <= now_ms())
                start(k, i);
        }
    signal_all(k, SIGTERM);
    for (gint64 end = now_ms() + STOP_MS; any_left(k) && now_ms() < end;)
        g_usleep(5000);
    signal_all(k, SIGKILL);
    _exit(0);
}

/* A grandchild, so that nobody need wait for it.  0, or what errno says. */
static int start_keeper(struct keeper *k)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        pid = fork();
        if (pid == 0)
            keep(k);
        _exit(pid < 0 ? errno : 0);
    }
    if (pid < 0)
        return errno;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : EAGAIN;
}

static void no_keeper(GError **error, int e)
{
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(e), "no process to keep what the VM needs of the host: %s",
                g_strerror(e));
}

int outer_start(const struct outer_end *ends, unsigned count, GError **error)
{
    struct keeper k = {.count = count};
    int line[2];
    g_assert(count <= OUTER_ENDS_MAX);
    for (unsigned i = 0; i < count; i++)
        g_assert(ends[i].fd_count <= OUTER_FDS_MAX);
    for (unsigned i = 0; i < count; i++)
        k.child[i] = (struct child){.end = &ends[i], .pidfd = -1};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, line)) {
        no_keeper(error, errno);
        return -1;
    }
    k.line = line[0];
    int e = start_keeper(&k);
    close(line[0]);
    if (!e)
        return line[1];
    close(line[1]);
    no_keeper(error, e);
    return -1;
}

bool outer_start_beside(const struct outer_end *end, int vm, GError **error)
{
    struct keeper k = {.count = 1, .line = vm, .beside = true, .child = {{.end = end, .pidfd = -1}}};
    g_assert(end->fd_count <= OUTER_FDS_MAX && !end->type);
    int e = start_keeper(&k);
    if (e)
        no_keeper(error, e);
    return !e;
}
