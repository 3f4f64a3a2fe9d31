// SPDX-License-Identifier: GPL-2.0-or-later
/* fence_run.c - a child that does one thing inside of a fence, and its answer. */
#include "core-vmm/fence/fence.h"
#include <errno.h>
#include <gio/gio.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MAX     (1 << 20)
#define CANCEL_POLL_MS 100
#define UNFENCED       125 /* the child's exit code if the fence did not close */

char *fence_text(const char *text, gsize n)
{
    char *clean = g_utf8_make_valid(text, n);
    for (char *p = clean; *p; p = g_utf8_next_char(p))
        if (g_unichar_iscntrl(g_utf8_get_char(p)))
            memset(p, '?', g_utf8_next_char(p) - p);
    return clean;
}

static void close_others(int answer)
{
    if (answer > 3)
        close_range(3, answer - 1, 0);
    close_range(MAX(answer, 2) + 1, ~0u, 0);
}

static void child(const struct fence_job *job, int answer, pid_t parent)
{
    g_autoptr(GError) error = NULL;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(UNFENCED);
    alarm(job->seconds);
    bool good = fence_files_close(job->files, &error);
    close_others(answer); /* what was opened for the caller is no business of this process */
    if (!good || !fence_calls_close(job->kind, &error) || !fence_holds(&error)) {
        g_printerr("%s\n", error->message);
        _exit(UNFENCED);
    }
    int code = job->fn(job->ctx, answer);
    fflush(NULL);
    _exit(code);
}

/* Kills the child if that is wanted, before it says something or while it goes on saying things. */
static void wait_for_word(const struct fence_job *job, int from, pid_t pid)
{
    struct pollfd p = {from, POLLIN, 0};
    while (job->cancel) {
        if (g_atomic_int_get(job->cancel)) {
            kill(pid, SIGKILL);
            return;
        }
        if (poll(&p, 1, CANCEL_POLL_MS) > 0)
            return;
    }
}

static GBytes *read_answer(const struct fence_job *job, int from, pid_t pid)
{
    GByteArray *bytes = g_byte_array_new();
    uint8_t some[4096];
    ssize_t n;
    while (wait_for_word(job, from, pid),
           bytes->len < ANSWER_MAX && ((n = read(from, some, sizeof some)) > 0 || (n < 0 && errno == EINTR)))
        if (n > 0 && job->hear)
            job->hear(job->hear_ctx, (const char *)some, n);
        else if (n > 0)
            g_byte_array_append(bytes, some, n);
    return g_byte_array_free_to_bytes(bytes);
}

int fence_wait(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int fence_run(const struct fence_job *job, GBytes **answer, GError **error)
{
    int ends[2] = {-1, -1};
    pid_t parent = getpid();
    fflush(NULL); /* or the child says it once more */
    pid_t pid = answer && pipe(ends) ? -1 : fork();
    if (pid == 0)
        child(job, ends[1], parent);
    int e = errno;
    fence_files_free(job->files);
    if (answer)
        close(ends[1]);
    if (pid > 0 && answer)
        *answer = read_answer(job, ends[0], pid);
    if (answer)
        close(ends[0]);
    int code = pid > 0 ? fence_wait(pid) : -1;
    if (pid < 0)
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(e), "no process to look at disk images in: %s",
                    g_strerror(e));
    else if (code < 0 || code == UNFENCED)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "the process that looks at disk images could not be fenced");
    return code == UNFENCED ? -1 : code;
}
