// SPDX-License-Identifier: GPL-2.0-or-later
/* A VM process in its fence cannot remove a file: who may remove one in a folder may remove all in it and below it, and a
 * socket may lie in anybody's folder.  So a child that was made before the fence, and never reads anything that came from
 * the guest, waits for the process to end.  It learns of that by the end of a line, a pair of sockets.  Any byte before that says that the
 * guest is about to run; the state that it goes on from is then removed, and the answer says how that went. */
#include "core-vmm/vm/jail.h"
#include "core-vmm/host/paths.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Only what we made: what somebody put in its place meanwhile is his. */
static void remove_name(const char *path)
{
    struct stat st;
    if (!lstat(path, &st) && (S_ISSOCK(st.st_mode) || S_ISLNK(st.st_mode)) && st.st_uid == geteuid())
        unlink(path);
}

static void stay_alive(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGTTOU};
    for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++)
        signal(signals[i], SIG_IGN);
}

/* Whoever waits for the end of our output must not wait for the sweeper too. */
static void close_others(int line, int lock)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), first = MIN(line, lock), last = MAX(line, lock);
    for (int fd = 0; fd < 3 && null >= 0; fd++)
        dup2(null, fd);
    if (first > 3)
        close_range(3, first - 1, 0);
    if (last - first > 1)
        close_range(first + 1, last - 1, 0);
    close_range(last + 1, ~0u, 0);
}

enum outcome { REMOVED = 'r', NOT_SYNCED = 's', STILL_THERE = 't' };
struct answer {
    char outcome;
    int error; /* errno, if it may still be there */
};

/* Unless another one has that name by now.  No memory beyond its own: all of it is cleared, for it goes through a socket. */
static struct answer remove_state(const struct sweeping *s)
{
    struct answer a;
    struct stat st;
    memset(&a, 0, sizeof a);
    a.outcome = REMOVED;
    if (lstat(s->state, &st)) {
        a.error = errno;
        if (a.error != ENOENT && a.error != ENOTDIR) /* nobody knows whether it is there */
            a.outcome = STILL_THERE;
        return a;
    }
    if (st.st_dev != s->file.st_dev || st.st_ino != s->file.st_ino)
        return a;
    if (unlink(s->state)) {
        a.outcome = STILL_THERE;
        a.error = errno;
        return a;
    }
    g_autofree char *folder = g_path_get_dirname(s->state);
    if (!folder_sync(folder, NULL))
        a.outcome = NOT_SYNCED;
    return a;
}

static void sweep(int line, const struct sweeping *s)
{
    char byte;
    ssize_t n;
    prctl(PR_SET_NAME, "vm-sweeper");
    stay_alive();
    line = fcntl(line, F_DUPFD_CLOEXEC, 3); /* they may be 0, 1 or 2, if those were closed when we were started */
    close_others(line, fcntl(s->lock, F_DUPFD_CLOEXEC, 3));
    while ((n = read(line, &byte, 1)) > 0 || (n < 0 && errno == EINTR)) {
        if (n < 0 || !s->state)
            continue;
        struct answer a = remove_state(s); /* all that is ever asked; then comes the end */
        (void)!send(line, &a, sizeof a, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    for (char **name = s->names; *name; name++)
        remove_name(*name);
    rmdir(s->runtime);
    _exit(0);
}

bool sweeper_start(struct sweeping *s, GError **error)
{
    int ends[2];
    pid_t pid = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) ? -1 : fork();
    if (pid == 0)
        sweep(ends[0], s);
    if (pid > 0) {
        close(ends[0]);
        s->line = ends[1]; /* stays open until we end */
        return true;
    }
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "no process to clean up behind the VM: %s",
                g_strerror(errno));
    return false;
}

/* An answer goes through as a whole: it is sent at once, and is all that ever comes. */
static bool ask(int line, struct answer *a)
{
    ssize_t n = write(line, "", 1);
    while (n > 0 && (n = read(line, a, sizeof *a)) < 0 && errno == EINTR)
        n = 1;
    return n == sizeof *a;
}

bool sweeper_remove_state(const struct sweeping *s, GError **error)
{
    struct answer a;
    if (!s->state)
        return true;
    if (!s->line)
        a = remove_state(s);
    else if (!ask(s->line, &a))
        a = (struct answer){STILL_THERE, EPIPE};
    if (a.outcome == STILL_THERE)
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(a.error),
                    "%s cannot be removed (%s), and a machine whose disks change must not have it: see to its folder's "
                    "rights, and start it again",
                    s->state, a.error == EPIPE ? "the process that does that has ended" : g_strerror(a.error));
    else if (a.outcome == NOT_SYNCED)
        g_warning("%s was removed, but its folder could not be flushed: after a power cut the file may be there again, "
                  "and vmctl discard-state removes it",
                  s->state);
    return a.outcome != STILL_THERE;
}
