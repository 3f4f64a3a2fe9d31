// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_folders.c - see machine_folders.h.  The program opens nothing itself but what is beneath the descriptor that it gets. */
#include "core-vmm/host/machine_folders.h"
#include "core-vmm/host/config_schema.h"
#include "core-vmm/host/machines.h"
#include "core-vmm/host/paths.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { AGAIN_MS = 1000 };

/* By no link: who can put one on the way, the guest of a folder that this one lies in, would choose what is shared.  A relative path
 * starts at the machine's folder, which is found as usual. */
static int open_unlinked(const char *ini, const char *path)
{
    const struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS};
    g_autofree char *folder = g_path_get_dirname(ini);
    int at = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = syscall(SYS_openat2, at, path, &how, sizeof how), e = errno;
    if (at >= 0)
        close(at);
    errno = e;
    return fd;
}

static int open_folder(const struct config *c, GError **error)
{
    g_autofree char *path = config_string(c, "path");
    int fd = path ? open_unlinked(c->path, path) : -1, e = errno;
    if (!path)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    "%s: [%s] has no path, so there is nothing to share", c->path, c->section);
    else if (fd < 0)
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(e), "[%s] path = %s cannot be shared: %s", c->section,
                    path,
                    e == ELOOP ? "there is a symbolic link on its way, and who can change that would choose what is "
                                 "shared; name the folder by its path without links"
                               : g_strerror(e));
    return fd;
}

static int open_log(const struct config *c, const char *folder, GError **error)
{
    g_autofree char *name = g_strconcat(c->section, ".log", NULL), *path = g_build_filename(folder, "logs", name, NULL);
    return log_begin(path, error);
}

static bool add(struct machine_folder *m, int fd)
{
    if (fd >= 0)
        m->fd[m->count++] = fd;
    return fd >= 0;
}

bool machine_folder_prepare(struct machine_folder *m, const struct config *c, const char *folder, GError **error)
{
    g_autofree char *program = program_find("terrarium-folder"), *links = config_string(c, "symlinks");
    bool read_only = false;
    if (!program) {
        g_set_error(
            error, MACHINE_ERROR, MACHINE_ERROR_NO_PROGRAM,
            "terrarium-folder, which shared folders need, is missing: it was looked for beside vmctl and in PATH");
        return false;
    }
    if (!config_flag(c, "readonly", &read_only, error) || !add(m, open_folder(c, error)) ||
        !add(m, open_log(c, folder, error)))
        return false;
    const char *argv[] = {program, read_only ? "read-only" : "read-write", links, NULL};
    m->argv = g_strdupv((char **)argv);
    m->end = (struct outer_end){c->section, (const char *const *)m->argv, SOCK_SEQPACKET, m->fd, m->count, AGAIN_MS};
    return true;
}

void machine_folder_done(struct machine_folder *m)
{
    while (m->count)
        close(m->fd[--m->count]);
    g_clear_pointer(&m->argv, g_strfreev);
}

static bool start_beside(struct machine_folder *m, const char *folder, int line, GError **error)
{
    pid_t vm = machine_lock_holder(folder);
    int pidfd = vm > 0 ? syscall(SYS_pidfd_open, vm, 0) : -1;
    if (pidfd < 0) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_NOT_RUNNING, "the machine does not run any more");
        return false;
    }
    const int fds[] = {line, m->fd[0], m->fd[1]};
    struct outer_end end = m->end;
    end.type = 0;
    end.fds = fds;
    end.fd_count = G_N_ELEMENTS(fds);
    bool good = outer_start_beside(&end, pidfd, error);
    close(pidfd);
    return good;
}

bool machine_folder_begin(const struct config *c, const char *folder, int *line, GError **error)
{
    struct machine_folder m = {.count = 0};
    int pair[2] = {-1, -1};
    bool good = machine_folder_prepare(&m, c, folder, error);
    if (good && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "no line to the folder's process: %s",
                    g_strerror(errno));
        good = false;
    }
    good = good && start_beside(&m, folder, pair[1], error);
    if (pair[1] >= 0)
        close(pair[1]);
    if (!good && pair[0] >= 0)
        close(pair[0]);
    *line = good ? pair[0] : -1;
    machine_folder_done(&m);
    return good;
}
