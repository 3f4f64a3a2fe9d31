// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_kill.c - ends a VM process that does not listen, by a signal.
 *
 * The lock file names a process, but the VM process can write there, and it may be in its guest's hands: it would have us
 * kill another one.  The kernel is asked instead: whoever holds the lock has it in /proc/PID/fdinfo.  Where a process does
 * not let us look (it may have made itself undumpable), the command line it was started with must name the folder.
 * A pidfd is taken before looking, so that the signal reaches the process that was looked at or none. */
#include "core-vmm/host/machines.h"
#include "core-vmm/host/paths.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define POLITE_US (3 * G_USEC_PER_SEC) /* for SIGTERM: open images are closed in order */
#define KILLED_US (5 * G_USEC_PER_SEC)

static bool is_file(const char *path, const struct stat *want)
{
    struct stat st;
    return !stat(path, &st) && st.st_dev == want->st_dev && st.st_ino == want->st_ino;
}

static bool locks(const char *process, const char *fd)
{
    g_autofree char *path = g_build_filename(process, "fdinfo", fd, NULL), *text = NULL;
    return g_file_get_contents(path, &text, NULL, NULL) && strstr(text, "OFDLCK") && strstr(text, "WRITE");
}

/* 1: the process holds the lock; 0: it does not; -1: it does not let us look. */
static int holds_lock(const char *process, const struct stat *lock)
{
    g_autofree char *folder = g_build_filename(process, "fd", NULL);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *fd;
    while (dir && (fd = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, fd, NULL);
        if (is_file(path, lock) && locks(process, fd))
            return 1;
    }
    return dir ? 0 : -1;
}

/* "terrarium-vm... --folder FOLDER" */
static bool started_for(const char *process, const char *folder)
{
    g_autofree char *path = g_build_filename(process, "cmdline", NULL), *text = NULL;
    gsize n;
    if (!g_file_get_contents(path, &text, &n, NULL) || !n)
        return false;
    g_autofree char *program = g_path_get_basename(text);
    bool named = false, after = false;
    for (const char *word = text; word < text + n; word += strlen(word) + 1) {
        named |= after && !strcmp(word, folder);
        after = !strcmp(word, "--folder");
    }
    return named && g_str_has_prefix(program, "terrarium-vm");
}

static bool is_ours(pid_t pid, const char *folder, const struct stat *lock)
{
    g_autofree char *process = g_strdup_printf("/proc/%d", (int)pid);
    struct stat st;
    if (pid == getpid() || stat(process, &st))
        return false;
    int holds = holds_lock(process, lock);
    return holds > 0 || (holds < 0 && started_for(process, folder));
}

/* By its own word: it is spared once, no more. */
static bool is_sweeper(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/comm", (int)pid), *name = NULL;
    return g_file_get_contents(path, &name, NULL, NULL) && !strcmp(g_strchomp(name), "vm-sweeper");
}

static bool signal_process(pid_t pid, int signal, const char *folder, const struct stat *lock)
{
    int process = syscall(SYS_pidfd_open, pid, 0);
    bool done = process >= 0 && is_ours(pid, folder, lock) && !syscall(SYS_pidfd_send_signal, process, signal, NULL, 0);
    if (process >= 0)
        close(process);
    return done;
}

/* All processes that hold the lock: a child that the VM process forked holds it too, and the one that waits to clean up
 * behind it (spare: not that). */
static unsigned signal_holders(const char *folder, int signal, bool spare)
{
    g_autofree char *path = g_build_filename(folder, "lock", NULL);
    g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
    struct stat lock;
    const char *name;
    unsigned found = 0;
    if (lstat(path, &lock))
        return 0;
    while (dir && (name = g_dir_read_name(dir))) {
        gint64 pid;
        if (g_ascii_string_to_signed(name, 10, 1, G_MAXINT, &pid, NULL) && !(spare && is_sweeper((pid_t)pid)))
            found += signal_process((pid_t)pid, signal, folder, &lock);
    }
    return found;
}

bool machines_kill(const char *name, const char *why, GError **error)
{
    g_autofree char *folder = machines_folder(name);
    unsigned found = signal_holders(folder, SIGTERM, true);
    bool ended = machines_wait_gone(name, found ? POLITE_US : 0);
    for (int spare = 1; spare >= 0 && !ended; spare--) {
        unsigned killed = signal_holders(folder, SIGKILL, spare);
        ended = machines_wait_gone(name, killed ? KILLED_US : 0);
        found += killed;
    }
    if (!ended)
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_TIMEOUT, "%s cannot be stopped: %s; and %s", name, why,
                    found ? "its process does not end by signals either" : "no process of yours has its lock");
    return ended;
}
