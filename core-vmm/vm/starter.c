// SPDX-License-Identifier: GPL-2.0-or-later
/* starter.c - terrarium-vm as it is started: closes the outermost fence and becomes terrarium-machine (main.c).
 *
 * main() of a program is not its first instruction: the dynamic linker has read the libraries' files by then, their
 * constructors have run and GLib has started, all of them told by the environment what to do.  A filter that is there
 * before execve() holds for them too.  So this program is linked statically, starts no library but the C library, opens
 * nothing, and the filter in it was compiled when it was built.
 *
 * The filter (FENCE_START in fence/fence_calls.c) refuses what no part of the VM process needs at any time.  The closer
 * ones that main.c adds are asked too, and the strictest answer holds. */
#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "start_filter.h" /* made by fence/start_filter.c */

extern char **environ;

static const char *word_after(char **words, const char *name)
{
    for (; *words; words++)
        if (!strcmp(*words, name))
            return words[1] ? words[1] : "";
    return NULL;
}

/* A kernel without filters is no reason to stop: main.c says so in the log. */
static bool fence(void)
{
    const struct sock_fprog program = {sizeof start_filter / sizeof *start_filter, (struct sock_filter *)start_filter};
    return (!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)) ||
           errno == ENOSYS || errno == EINVAL;
}

/* To whoever started us, as main.c would; on stderr if nobody listens. */
static int fail(char **argv, const char *what)
{
    const char *ready = word_after(argv, "--ready-fd");
    char text[PATH_MAX + 256];
    int e = errno, to = ready ? atoi(ready) : STDERR_FILENO;
    int n = ready ? snprintf(text, sizeof text, "error %d %s: %s\n", EXIT_FAILURE, what, strerror(e))
                  : snprintf(text, sizeof text, "terrarium-vm: %s: %s\n", what, strerror(e));
    return write(to, text, n) == n ? EXIT_FAILURE : EXIT_FAILURE + 1;
}

/* Beside us where we were built, or where it was installed to: as seen from our folder, so that both may move. */
static void become_machine(char **argv, char *path, size_t size)
{
    static const char *const places[] = {"terrarium-machine", MACHINE_INSTALLED};
    char folder[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", folder, sizeof folder - 1);
    folder[n > 0 ? n : 0] = 0;
    char *name = strrchr(folder, '/');
    for (unsigned i = 0; i < sizeof places / sizeof *places && name; i++) {
        snprintf(path, size, "%.*s%s", *places[i] == '/' ? 0 : (int)(name + 1 - folder), folder, places[i]);
        execve(path, argv, environ);
        if (errno != ENOENT)
            return;
    }
}

int main(int argc, char **argv)
{
    char path[2 * PATH_MAX] = "/proc/self/exe";
    if (!word_after(argv, "--no-jail") && !fence())
        return fail(argv, "the fence around the start cannot be closed (--no-jail starts without): seccomp");
    become_machine(argv, path, sizeof path);
    return fail(argv, path);
}
