// SPDX-License-Identifier: GPL-2.0-or-later
/* machine_start.c - starts a VM process and hears from it how that went.
 *
 * The process has the write end of a pipe, says "ready" or "error CODE MESSAGE" there (core-vmm/vm/main.c), and closes it.
 * One that says neither in time is ended: whoever waits for a machine waits for an answer.  Waiting is done here, or by the
 * caller's main loop; what is heard is judged by the same code. */
#include "core-vmm/host/machine_fresh.h"
#include "core-vmm/host/machine_installed.h"
#include "core-vmm/host/machine_outer.h"
#include "core-vmm/host/machine_vnc.h"
#include "core-vmm/host/machines.h"
#include "core-vmm/host/paths.h"
#include "core-vmm/host/snapshots.h"
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY_FD    3          /* in the child */
#define LINE_FD     4          /* the same: to the processes around it */
#define SAID_MAX    (64 << 10) /* a longer last word is cut */
#define END_MS      5000       /* one that will not start may take so long to end */
#define POLL_US     5000
#define CLEAN_UP_US 2000000

/* ---- the process ---- */

static char *own_folder(void)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    return self ? g_path_get_dirname(self) : g_strdup("/usr/bin");
}

char *program_find(const char *name)
{
    static const char *const beside[] = {".",
                                         "../vm",
                                         "../look",
                                         "../sound",
                                         "../../gui/screen",
                                         "../../gui/vnc",
                                         "../../guest-additions/folders",
                                         "../../network-modes",
                                         "../../core-vmm/vm",
                                         "../../core-vmm/vmctl",
                                         "../../core-vmm/look",
                                         "../../core-vmm/sound",
                                         "../libexec/terrarium"};
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
void program_in_child(gpointer detached)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    if (detached)
        setsid();
}

/* A state to go on from; g_free; NULL: the machine's own, if it has one, which is used up then. */
static char *state_to_load(const char *folder, const struct machine_start *how)
{
    if (how->load)
        return g_canonicalize_filename(how->load, NULL);
    g_autofree char *own = how->disposable ? g_build_filename(folder, PATHS_SAVED, NULL) : NULL;
    return own && g_file_test(own, G_FILE_TEST_EXISTS) ? g_steal_pointer(&own) : NULL;
}

static char **command_line(const char *program, const char *folder, const struct machine_start *how,
                           const struct machine_outer *outer, const char *disposable)
{
    g_autofree char *load = state_to_load(folder, how);
    GPtrArray *a = g_ptr_array_new();
    g_ptr_array_add(a, g_strdup(program));
    g_ptr_array_add(a, g_strdup("--folder"));
    g_ptr_array_add(a, g_strdup(folder));
    g_ptr_array_add(a, g_strdup("--ready-fd"));
    g_ptr_array_add(a, g_strdup_printf("%d", READY_FD));
    if (outer->line >= 0) {
        g_ptr_array_add(a, g_strdup_printf("--line-fd=%d", LINE_FD));
        g_ptr_array_add(a, g_strconcat("--outer=", outer->names, NULL));
    }
    if (how->terminal) {
        g_ptr_array_add(a, g_strdup("--foreground"));
        g_ptr_array_add(a, g_strdup("--die-with-parent"));
    }
    if (how->unfenced)
        g_ptr_array_add(a, g_strdup("--no-jail"));
    if (load) {
        g_ptr_array_add(a, g_strdup("--load"));
        g_ptr_array_add(a, g_steal_pointer(&load));
    }
    if (how->engine)
        g_ptr_array_add(a, g_strconcat("--engine=", how->engine, NULL));
    if (disposable)
        g_ptr_array_add(a, g_strconcat("--disposable=", disposable, NULL));
    g_ptr_array_add(a, NULL);
    return (char **)g_ptr_array_free(a, FALSE);
}

/* ready: the write end of a pipe, for the child; line: -1, or for it too. */
static bool launch(char **argv, bool terminal, int ready, int line, GPid *pid, GError **error)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), from[] = {ready, line}, to[] = {READY_FD, LINE_FD};
    GSpawnFlags how = G_SPAWN_DO_NOT_REAP_CHILD;
    if (terminal) /* named as descriptors, GLib would close them in the child */
        how |= G_SPAWN_CHILD_INHERITS_STDIN;
    int in = terminal ? -1 : null;
    bool good = g_spawn_async_with_pipes_and_fds(NULL, (const char *const *)argv, NULL, how, program_in_child,
                                                 GINT_TO_POINTER(!terminal), in, in, in, from, to, line < 0 ? 1 : 2,
                                                 pid, NULL, NULL, NULL, error);
    close(null);
    return good;
}

/* What is heard of one that starts. */
struct start {
    struct machine_run run;
    struct machine_outer outer;
    struct disposable disposable;
    struct machine_vnc vnc;
    char *watched; /* its folder, if there are to be automatic snapshots */
    int ready;     /* read end, non-blocking; -1: closed */
    GString *said;
    double seconds;
};

static bool start_spawn(struct start *s, const char *folder, const struct machine_start *how, GError **error)
{
    g_autofree char *program = program_find("terrarium-vm");
    int pair[2];
    if (!program) {
        g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_NO_PROGRAM,
                    "terrarium-vm is missing: it was looked for beside vmctl and in PATH");
        return false;
    }
    /* Before the pipe: those processes live longer than its other end may. */
    if (!snapshots_settle(folder, error) || !installed_settle(folder, error))
        return false;
    fresh_settle(folder);
    if ((how->disposable && !disposable_new(folder, &s->disposable, error)) ||
        !machine_vnc_open(folder, how->vnc, how->vnc != NULL, &s->vnc, error) ||
        !machine_outer_start(folder, &s->outer, error) || !g_unix_open_pipe(pair, FD_CLOEXEC, error)) {
        machine_vnc_close(&s->vnc);
        machine_outer_end(&s->outer, true);
        return false;
    }
    g_auto(GStrv) argv = command_line(program, folder, how, &s->outer, s->disposable.folder);
    bool good = launch(argv, how->terminal, pair[1], s->outer.line, &s->run.pid, error);
    close(pair[1]);
    s->watched = how->disposable ? NULL : g_strdup(folder);
    s->ready = pair[0];
    s->seconds = how->seconds;
    s->said = g_string_new(NULL);
    if (good)
        g_unix_set_fd_nonblocking(s->ready, TRUE, NULL);
    else
        machine_outer_end(&s->outer, true);
    return good;
}

/* Who takes snapshots of it that nobody asks for: it ends with the machine. */
static void start_watcher(const char *name, const char *verb)
{
    g_autofree char *program = program_find("vmctl");
    const char *argv[] = {program, verb, "watch", name, NULL};
    g_autoptr(GError) error = NULL;
    if (!program || !g_spawn_async(NULL, (char **)argv, NULL, G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL,
                                   program_in_child, GINT_TO_POINTER(true), NULL, &error))
        g_message("no automatic snapshots of %s: %s", name, error ? error->message : "vmctl is not installed");
}

static void start_watch(const char *folder)
{
    g_autofree char *name = g_path_get_basename(folder);
    struct snapshot_policy policy;
    if (paths_is_throwaway(name))
        return;
    if (snapshots_policy(name, &policy, NULL) && policy.minutes)
        start_watcher(name, "snapshot");
    if (fresh_waits(folder))
        start_watcher(name, "unattended");
}

static void start_clear(struct start *s, bool failed)
{
    machine_outer_end(&s->outer, failed);
    disposable_forget(&s->disposable);
    machine_vnc_close(&s->vnc);
    if (s->watched && !failed)
        start_watch(s->watched);
    g_clear_pointer(&s->watched, g_free);
    if (s->ready >= 0)
        close(s->ready);
    s->ready = -1;
    if (s->said)
        g_string_free(s->said, TRUE);
    s->said = NULL;
}

/* Takes what is there.  False: all has been said. */
static bool start_hear(struct start *s)
{
    char some[1024];
    ssize_t n = read(s->ready, some, sizeof some);
    if (n > 0)
        g_string_append_len(s->said, some, n);
    return (n > 0 && s->said->len < SAID_MAX) || (n < 0 && (errno == EINTR || errno == EAGAIN));
}

/* The guest runs: a VNC server that does not is no reason to end it. */
static void start_vnc(struct start *s)
{
    g_autoptr(GError) error = NULL;
    if (s->vnc.count && !machine_vnc_start(&s->vnc, s->run.pid, &error))
        g_warning("VNC: %s", error->message);
}

/* Of one that has said all. */
static bool start_judge(struct start *s, GError **error)
{
    const char *said = g_strchomp(s->said->str);
    char *rest = NULL;
    if (!strcmp(said, "ready")) {
        start_vnc(s);
        return true;
    }
    guint64 code = g_str_has_prefix(said, "error ") ? g_ascii_strtoull(said + 6, &rest, 10) : 0;
    s->run.refusal = code && code < 256 ? (int)code : 1;
    g_set_error_literal(error, MACHINE_ERROR, MACHINE_ERROR_REFUSED,
                        code ? rest + (*rest == ' ') : "terrarium-vm ended before it was ready; see vmctl logs");
    return false;
}

/* Still our child, so the id is still its. */
static void start_too_late(struct start *s, GError **error)
{
    kill(s->run.pid, SIGKILL);
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_TIMEOUT,
                "the VM process was not ready after %g s and was ended; see vmctl logs (--timeout gives it longer)",
                s->seconds);
}

/* A process that has just ended may have one behind it that cleans up: that one is waited for. */
static bool is_free(const char *name, const char *folder, GError **error)
{
    pid_t holder = machine_lock_holder(folder);
    for (unsigned us = 0; holder > 0 && kill(holder, 0) && errno == ESRCH && us < CLEAN_UP_US; us += POLL_US) {
        g_usleep(POLL_US);
        holder = machine_lock_holder(folder);
    }
    if (!holder)
        return true;
    g_set_error(error, MACHINE_ERROR, MACHINE_ERROR_RUNNING, "%s is running already", name);
    return false;
}

/* ---- waiting here ---- */

/* False: it is too late, and nothing came. */
static bool readable_by(int fd, gint64 deadline)
{
    struct pollfd p = {fd, POLLIN, 0};
    gint64 left = deadline - g_get_monotonic_time();
    return left > 0 && poll(&p, 1, (int)MIN(left / 1000 + 1, G_MAXINT)) != 0;
}

static bool start_wait(struct start *s, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)(s->seconds * G_USEC_PER_SEC);
    bool in_time, more;
    do {
        in_time = readable_by(s->ready, deadline);
        more = in_time && start_hear(s);
    } while (more);
    if (in_time)
        return start_judge(s, error);
    start_too_late(s, error);
    return false;
}

/* Of one that said that it does not start, or nonsense. */
static void reap(GPid pid)
{
    gint64 deadline = g_get_monotonic_time() + END_MS * 1000;
    while (waitpid(pid, NULL, WNOHANG) == 0) {
        if (g_get_monotonic_time() > deadline)
            kill(pid, SIGKILL);
        g_usleep(POLL_US);
    }
}

bool machines_start_folder(const char *folder, const struct machine_start *how, struct machine_run *r, GError **error)
{
    struct start s = {.ready = -1, .outer.line = -1};
    bool spawned = start_spawn(&s, folder, how, error);
    bool good = spawned && start_wait(&s, error);
    *r = s.run;
    start_clear(&s, !good); /* whoever goes on talking then gets SIGPIPE */
    if (spawned && !good)
        reap(r->pid); /* so that its lock has gone when we return */
    return good;
}

bool machines_start(const char *name, const struct machine_start *how, struct machine_run *r, GError **error)
{
    g_autofree char *folder = machines_folder(name);
    *r = (struct machine_run){0};
    return is_free(name, folder, error) && machines_start_folder(folder, how, r, error);
}

/* ---- waiting in a main loop ---- */

struct async_start {
    struct start start;
    GSource *hear, *late, *cancelled;
    GError *error; /* why it ends, once it is to end */
};

static void source_stop(GSource **source)
{
    if (*source)
        g_source_destroy(*source);
    g_clear_pointer(source, g_source_unref);
}

static void async_stop(struct async_start *a)
{
    source_stop(&a->hear);
    source_stop(&a->late);
    source_stop(&a->cancelled);
    start_clear(&a->start, a->error != NULL);
}

static void async_free(gpointer data)
{
    struct async_start *a = data;
    async_stop(a);
    g_clear_error(&a->error);
    g_free(a);
}

/* Of one that did not start: now its lock has gone. */
static void on_failed_end(GPid pid, int status, gpointer data)
{
    g_autoptr(GTask) task = data;
    struct async_start *a = g_task_get_task_data(task);
    async_stop(a);
    g_spawn_close_pid(pid);
    g_task_return_error(task, g_steal_pointer(&a->error));
}

static void on_end(GPid pid, int status, gpointer data)
{
    g_spawn_close_pid(pid);
}

static GSource *attach(GTask *task, GSource *source, GSourceFunc fn)
{
    g_source_set_callback(source, fn, task, NULL);
    g_source_attach(source, g_task_get_context(task));
    return source;
}

static gboolean on_not_ended(gpointer task)
{
    struct async_start *a = g_task_get_task_data(task);
    kill(a->start.run.pid, SIGKILL);
    return G_SOURCE_CONTINUE;
}

/* Watches for its end in the task's context. */
static void watch_end(GTask *task, GPid pid, GChildWatchFunc fn, gpointer data)
{
    GSource *s = g_child_watch_source_new(pid);
    g_source_set_callback(s, G_SOURCE_FUNC(fn), data, NULL);
    g_source_attach(s, g_task_get_context(task));
    g_source_unref(s);
}

/* The last word; takes the reference that the sources had.  a->error: what went wrong. */
static void async_end(GTask *task)
{
    struct async_start *a = g_task_get_task_data(task);
    GPid pid = a->start.run.pid;
    async_stop(a);
    if (a->error) {
        watch_end(task, pid, on_failed_end, task);
        a->late = attach(task, g_timeout_source_new(END_MS), on_not_ended);
        return;
    }
    watch_end(task, pid, on_end, NULL);
    g_task_return_boolean(task, TRUE);
    g_object_unref(task);
}

static gboolean on_heard(int fd, GIOCondition condition, gpointer data)
{
    struct async_start *a = g_task_get_task_data(data);
    if (start_hear(&a->start))
        return G_SOURCE_CONTINUE;
    start_judge(&a->start, &a->error);
    async_end(data);
    return G_SOURCE_REMOVE;
}

static gboolean on_late(gpointer data)
{
    struct async_start *a = g_task_get_task_data(data);
    start_too_late(&a->start, &a->error);
    async_end(data);
    return G_SOURCE_REMOVE;
}

static gboolean on_cancelled(GCancellable *cancel, gpointer data)
{
    struct async_start *a = g_task_get_task_data(data);
    kill(a->start.run.pid, SIGKILL);
    g_cancellable_set_error_if_cancelled(cancel, &a->error);
    async_end(data);
    return G_SOURCE_REMOVE;
}

void machines_start_async(const char *name, const struct machine_start *how, GCancellable *cancel,
                          GAsyncReadyCallback done, gpointer data)
{
    g_autofree char *folder = machines_folder(name);
    GTask *task = g_task_new(NULL, cancel, done, data);
    struct async_start *a = g_new0(struct async_start, 1);
    GError *error = NULL;
    a->start.ready = -1;
    a->start.outer.line = -1;
    g_task_set_check_cancellable(task, FALSE); /* one that runs, runs */
    g_task_set_task_data(task, a, async_free);
    if (g_cancellable_set_error_if_cancelled(cancel, &error) || !is_free(name, folder, &error) ||
        !start_spawn(&a->start, folder, how, &error)) {
        g_task_return_error(task, error);
        g_object_unref(task);
        return;
    }
    a->hear = attach(task, g_unix_fd_source_new(a->start.ready, G_IO_IN | G_IO_HUP), G_SOURCE_FUNC(on_heard));
    a->late = attach(task, g_timeout_source_new((guint)MIN(how->seconds * 1000, G_MAXUINT)), on_late);
    if (cancel)
        a->cancelled = attach(task, g_cancellable_source_new(cancel), G_SOURCE_FUNC(on_cancelled));
}

bool machines_start_finish(GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}
