// SPDX-License-Identifier: GPL-2.0-or-later
/* spawn.c - starting the VM process, and waiting until it is ready. */
#include "core-vmm/vmctl/vmctl.h"
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define READY_FD 3          /* in the child */
#define SAID_MAX (64 << 10) /* a longer last word is cut */

static char *own_folder(void)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    return self ? g_path_get_dirname(self) : g_strdup("/usr/bin");
}

char *program_find(const char *name)
{
    static const char *const beside[] = {".", "../vm", "../../gui/screen", "../libexec/terrarium"};
    g_autofree char *folder = own_folder();
    g_autofree char *variable = g_ascii_strup(name, -1);
    const char *told = g_getenv(g_strdelimit(variable, "-", '_')); /* TERRARIUM_VM: for tests and developers */
    if (told && *told)
        return g_strdup(told);
    for (unsigned i = 0; i < G_N_ELEMENTS(beside); i++) {
        g_autofree char *path = g_build_filename(folder, beside[i], name, NULL);
        if (g_file_test(path, G_FILE_TEST_IS_EXECUTABLE) && !g_file_test(path, G_FILE_TEST_IS_DIR))
            return g_steal_pointer(&path);
    }
    return g_find_program_in_path(name);
}

/* Between fork and exec: only what is safe there. */
static void in_child(gpointer flags)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    if (GPOINTER_TO_UINT(flags) & SPAWN_DETACHED)
        setsid();
}

static char **command_line(const char *program, const char *folder, unsigned flags, char **extra)
{
    GPtrArray *a = g_ptr_array_new();
    g_ptr_array_add(a, g_strdup(program));
    g_ptr_array_add(a, g_strdup("--folder"));
    g_ptr_array_add(a, g_strdup(folder));
    g_ptr_array_add(a, g_strdup("--ready-fd"));
    g_ptr_array_add(a, g_strdup_printf("%d", READY_FD));
    if (flags & SPAWN_TERMINAL) {
        g_ptr_array_add(a, g_strdup("--foreground"));
        g_ptr_array_add(a, g_strdup("--die-with-parent"));
    }
    for (; extra && *extra; extra++)
        g_ptr_array_add(a, g_strdup(*extra));
    g_ptr_array_add(a, NULL);
    return (char **)g_ptr_array_free(a, FALSE);
}

static bool launch(char **argv, unsigned flags, int ready, GPid *pid, GError **error)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), to = READY_FD;
    bool terminal = flags & SPAWN_TERMINAL;
    GSpawnFlags how = G_SPAWN_DO_NOT_REAP_CHILD;
    if (terminal) /* named as descriptors, GLib would close them in the child */
        how |= G_SPAWN_CHILD_INHERITS_STDIN;
    int in = terminal ? -1 : null;
    bool good =
        g_spawn_async_with_pipes_and_fds(NULL, (const char *const *)argv, NULL, how, in_child, GUINT_TO_POINTER(flags),
                                         in, in, in, &ready, &to, 1, pid, NULL, NULL, NULL, error);
    close(null);
    return good;
}

bool spawn_vm(const char *folder, unsigned flags, char **extra, struct spawned *s, GError **error)
{
    g_autofree char *program = program_find("terrarium-vm");
    int pair[2];
    if (!program) {
        g_set_error(error, CONTROL_ERROR, CONTROL_PERMISSION,
                    "terrarium-vm is missing: it was looked for beside vmctl and in PATH");
        return false;
    }
    if (!g_unix_open_pipe(pair, FD_CLOEXEC, error))
        return false;
    g_auto(GStrv) argv = command_line(program, folder, flags, extra);
    bool good = launch(argv, flags, pair[1], &s->pid, error);
    close(pair[1]);
    s->ready = pair[0];
    if (!good)
        close(pair[0]);
    return good;
}

static bool more_by(int fd, gint64 deadline)
{
    struct pollfd p = {fd, POLLIN, 0};
    gint64 left = deadline - g_get_monotonic_time();
    return left > 0 && poll(&p, 1, (int)MIN(left / 1000 + 1, G_MAXINT)) != 0;
}

/* What was said on the ready descriptor, until it was closed.  NULL: it was not closed in time. */
static char *read_all(int fd, gint64 deadline)
{
    g_autoptr(GString) s = g_string_new(NULL);
    char buffer[1024];
    ssize_t n = 1;
    while (s->len < SAID_MAX && n && more_by(fd, deadline)) {
        n = read(fd, buffer, sizeof buffer);
        if (n < 0 && errno != EINTR)
            n = 0;
        else if (n > 0)
            g_string_append_len(s, buffer, n);
    }
    return n && s->len < SAID_MAX ? NULL : g_strchomp(g_strdup(s->str));
}

static int not_in_time(struct spawned *s, double seconds, char **message)
{
    kill(s->pid, SIGKILL); /* still our child, so the id is still its */
    *message =
        g_strdup_printf("the VM process was not ready after %g s and was ended; see vmctl logs (--timeout gives it "
                        "longer)",
                        seconds);
    return EXIT_CODE_TIMEOUT;
}

int spawn_wait_ready(struct spawned *s, double seconds, char **message)
{
    g_autofree char *said = read_all(s->ready, g_get_monotonic_time() + (gint64)(seconds * G_USEC_PER_SEC));
    char *rest;
    close(s->ready);
    s->ready = -1;
    *message = NULL;
    if (!said)
        return not_in_time(s, seconds, message);
    if (!strcmp(said, "ready"))
        return EXIT_CODE_OK;
    guint64 code = g_str_has_prefix(said, "error ") ? g_ascii_strtoull(said + 6, &rest, 10) : 0;
    *message =
        code ? g_strdup(rest + (*rest == ' ')) : g_strdup("terrarium-vm ended before it was ready; see vmctl logs");
    return code && code < 256 ? (int)code : EXIT_CODE_FAILED;
}

GPid spawn_window(const char *name, bool stays)
{
    g_autofree char *screen = program_find("terrarium-screen");
    g_autoptr(GError) error = NULL;
    const char *argv[] = {screen, name, NULL};
    bool display = g_getenv("DISPLAY") || g_getenv("WAYLAND_DISPLAY");
    /* One that outlives us holds neither our terminal nor the pipe that we write to. */
    unsigned how = stays ? G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL : 0;
    GPid pid = 0;
    if (!display && stays)
        note("vmctl: no window: there is no display");
    else if (!screen && (display || stays))
        note("vmctl: no window: terrarium-screen is not installed");
    else if (display && !g_spawn_async(NULL, (char **)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD | how, in_child,
                                       GUINT_TO_POINTER(stays ? SPAWN_DETACHED : 0), &pid, &error))
        note("vmctl: no window: %s", error->message);
    return pid;
}
