// SPDX-License-Identifier: GPL-2.0-or-later
/* A VM process in its fence cannot remove a file: who may remove one in a folder may remove all in it and below it, and a
 * socket may lie in anybody's folder.  So a child that was made before the fence, and never reads anything that came from
 * the guest, waits for the process to end.  It learns of that by the end of a pipe.  Any byte before that says that the guest
 * runs; the state that it goes on from is no longer one of the machine then. */
#include "core-vmm/vm/jail.h"
#include "core-vmm/host/paths.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <signal.h>
#include <sys/prctl.h>
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
static void close_others(int pipe, int lock)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), first = MIN(pipe, lock), last = MAX(pipe, lock);
    for (int fd = 0; fd < 3 && null >= 0; fd++)
        dup2(null, fd);
    if (first > 3)
        close_range(3, first - 1, 0);
    if (last - first > 1)
        close_range(first + 1, last - 1, 0);
    close_range(last + 1, ~0u, 0);
}

/* Unless another one has that name by now. */
static void remove_state(const struct sweeping *s)
{
    struct stat st;
    if (s->state && !lstat(s->state, &st) && st.st_dev == s->file.st_dev && st.st_ino == s->file.st_ino &&
        !unlink(s->state)) {
        g_autofree char *folder = g_path_get_dirname(s->state);
        folder_sync(folder, NULL);
    }
}

static void sweep(int pipe, const struct sweeping *s)
{
    char byte;
    ssize_t n;
    prctl(PR_SET_NAME, "vm-sweeper");
    stay_alive();
    pipe = fcntl(pipe, F_DUPFD_CLOEXEC, 3); /* they may be 0, 1 or 2, if those were closed when we were started */
    close_others(pipe, fcntl(s->lock, F_DUPFD_CLOEXEC, 3));
    while ((n = read(pipe, &byte, 1)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0) /* all that is ever said; then comes the end */
            remove_state(s);
    for (char **name = s->names; *name; name++)
        remove_name(*name);
    rmdir(s->runtime);
    _exit(0);
}

bool sweeper_start(struct sweeping *s, GError **error)
{
    int ends[2];
    pid_t pid = pipe2(ends, O_CLOEXEC) ? -1 : fork();
    if (pid == 0)
        sweep(ends[0], s);
    if (pid > 0) {
        close(ends[0]);
        s->pipe = ends[1]; /* stays open until we end */
        return true;
    }
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "no process to clean up behind the VM: %s",
                g_strerror(errno));
    return false;
}

void sweeper_state_used(const struct sweeping *s)
{
    if (!s->pipe)
        remove_state(s);
    else if (s->state && write(s->pipe, "", 1) < 0)
        g_warning("%s: it could not be removed: %s", s->state, g_strerror(errno));
}
