// SPDX-License-Identifier: GPL-2.0-or-later
/* test_outer.c - processes around a VM: frames there and back, an end that dies, a VM that dies, a line that lies. */
#include "core-vmm/outer/outer.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000 };

struct rig {
    struct outer *outer;
    int socket; /* -1: the end is down */
    unsigned ups, downs;
    int alive; /* hangs up when no process of ours is left that the keeper started */
};

/* Warnings, as they come; they are expected here. */
static void take_log(const char *domain, GLogLevelFlags level, const char *message, gpointer log)
{
    if (level & G_LOG_LEVEL_WARNING)
        g_string_append_printf(log, "%s\n", message);
}

static gboolean not_fatal(const char *domain, GLogLevelFlags level, const char *message, gpointer log)
{
    return FALSE;
}

static GString *log_new(void)
{
    GString *log = g_string_new("");
    g_log_set_default_handler(take_log, log);
    g_test_log_set_fatal_handler(not_fatal, NULL);
    return log;
}

/* How often it was said. */
static unsigned said(GString *log, const char *words)
{
    unsigned n = 0;
    for (const char *at = log->str; (at = strstr(at, words)); at++)
        n++;
    return n;
}

static void on_up(void *ctx, int fd)
{
    struct rig *r = ctx;
    g_assert_cmpint(r->socket, ==, -1);
    r->socket = fd;
    r->ups++;
}

static void on_down(void *ctx)
{
    struct rig *r = ctx;
    close(r->socket);
    r->socket = -1;
    r->downs++;
}

static int start_end(const char *program, unsigned again_ms, int *alive)
{
    const char *argv[] = {program, NULL};
    int ends[2];
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(pipe(ends), ==, 0);
    struct outer_end end = {"echo", argv, SOCK_SEQPACKET, &ends[1], 1, again_ms};
    int line = outer_start(&end, 1, &error);
    g_assert_no_error(error);
    close(ends[1]);
    *alive = ends[0];
    return line;
}

static void listen_to(struct rig *r, int line)
{
    r->socket = -1;
    r->outer = outer_new(line, 1);
    outer_listen(r->outer, 0, "echo", &(struct outer_events){on_up, on_down, r});
}

static void rig_new(struct rig *r, const char *program, unsigned again_ms)
{
    listen_to(r, start_end(program, again_ms, &r->alive));
}

static void until(const unsigned *counter, unsigned value)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_MS * 1000;
    while (*counter < value && g_get_monotonic_time() < end)
        if (!g_main_context_iteration(NULL, FALSE))
            g_usleep(1000);
    g_assert_cmpuint(*counter, >=, value);
}

static bool hangs_up(int fd)
{
    struct pollfd p = {fd, POLLIN, 0};
    return poll(&p, 1, PATIENCE_MS) == 1 && p.revents & POLLHUP;
}

static void rig_free(struct rig *r)
{
    outer_free(r->outer);
    if (r->socket >= 0)
        close(r->socket);
    g_assert_true(hangs_up(r->alive)); /* the end has gone */
    close(r->alive);
    waitpid(-1, NULL, 0); /* and the keeper */
}

static size_t exchange(int fd, const void *frame, size_t n, void *back, size_t most)
{
    struct pollfd p = {fd, POLLIN, 0};
    g_assert_cmpint(write(fd, frame, n), ==, n);
    g_assert_cmpint(poll(&p, 1, PATIENCE_MS), ==, 1);
    return read(fd, back, most);
}

static void echoes(int fd, size_t n)
{
    g_autofree char *frame = g_malloc(n), *back = g_malloc0(n + 1);
    memset(frame, n % 251, n);
    g_assert_cmpuint(exchange(fd, frame, n, back, n + 1), ==, n);
    g_assert_cmpmem(frame, n, back, n);
}

static char *echo_program(void)
{
    return g_test_build_filename(G_TEST_BUILT, "outer-echo", NULL);
}

/* The only child of a process. */
static pid_t child_of(pid_t pid)
{
    g_autofree char *list = NULL, *path = g_strdup_printf("/proc/%d/task/%d/children", pid, pid);
    g_assert_true(g_file_get_contents(path, &list, NULL, NULL));
    return g_ascii_strtoull(list, NULL, 10);
}

/* The keepers of earlier tests have gone, and were waited for. */
static pid_t peer(void)
{
    return child_of(child_of(getpid()));
}

static void test_frames(void)
{
    g_autoptr(GString) log = log_new();
    g_autofree char *program = echo_program();
    struct rig r = {0};
    rig_new(&r, program, 50);
    until(&r.ups, 1);
    for (size_t n = 1; n <= 65536; n *= 2)
        echoes(r.socket, n);
    rig_free(&r);
}

static void test_fenced(void)
{
    g_autoptr(GString) log = log_new();
    g_autofree char *program = echo_program();
    char back[100] = "";
    struct rig r = {0};
    rig_new(&r, program, 50);
    until(&r.ups, 1);
    exchange(r.socket, "internet", 8, back, sizeof back);
    g_assert_cmpstr(back, ==, g_strerror(EPERM));
    rig_free(&r);
}

/* It comes back, and again. */
static void test_end_dies(void)
{
    g_autoptr(GString) log = log_new();
    g_autofree char *program = echo_program();
    struct rig r = {0};
    rig_new(&r, program, 20);
    for (unsigned n = 1; n <= 4; n++) {
        until(&r.ups, n);
        echoes(r.socket, 100);
        kill(peer(), SIGKILL);
        until(&r.downs, n);
        g_assert_cmpuint(said(log, "echo: its process was ended by signal 9"), ==, n);
    }
    rig_free(&r);
}

/* What cannot be started is tried again, ever less often: 50, 100, 200, 400 ms. */
static void test_not_there(void)
{
    g_autoptr(GString) log = log_new();
    struct rig r = {0};
    gint64 began = g_get_monotonic_time();
    rig_new(&r, "/nowhere/program", 50);
    until(&r.downs, 4);
    g_assert_cmpuint(said(log, "echo: its process ended with exit code 127"), ==, 4);
    g_assert_cmpint(g_get_monotonic_time() - began, >=, 350 * 1000);
    rig_free(&r);
}

static void test_once(void)
{
    g_autoptr(GString) log = log_new();
    struct rig r = {0};
    rig_new(&r, "/nowhere/program", 0);
    until(&r.downs, 1);
    for (unsigned n = 0; n < 100; n++) {
        g_main_context_iteration(NULL, FALSE);
        g_usleep(1000);
    }
    g_assert_cmpuint(said(log, "exit code 127"), ==, 1);
    g_assert_cmpuint(r.downs, ==, 1);
    rig_free(&r);
}

/* The VM process is killed: nothing of it may be left, though the ends never noticed. */
static void test_vm_dies(void)
{
    g_autofree char *program = echo_program();
    int alive, line = start_end(program, 50, &alive);
    pid_t vm = fork();
    if (vm == 0) {
        for (;;)
            pause();
    }
    close(line);
    g_usleep(100 * 1000);
    struct pollfd p = {alive, POLLIN, 0};
    g_assert_cmpint(poll(&p, 1, 0), ==, 0); /* it lives, by the VM's copy of the line */
    kill(vm, SIGKILL);
    waitpid(vm, NULL, 0);
    g_assert_true(hangs_up(alive));
    close(alive);
    waitpid(-1, NULL, 0);
}

/* Whatever the VM process says on the line: nobody reads it. */
static void test_vm_talks(void)
{
    g_autoptr(GString) log = log_new();
    g_autofree char *program = echo_program();
    int alive, line = start_end(program, 50, &alive), copy = dup(line);
    struct rig r = {.alive = alive};
    listen_to(&r, line);
    until(&r.ups, 1);
    for (unsigned n = 0; n < 1000; n++)
        if (send(copy, "start /bin/sh", 13, MSG_DONTWAIT) < 0)
            break;
    echoes(r.socket, 1000);
    g_assert_cmpuint(r.ups, ==, 1);
    close(copy);
    rig_free(&r);
}

/* A line that says what it should not: the ends are lost, the process is not. */
static void test_line_lies(void)
{
    g_autoptr(GString) log = log_new();
    int pair[2];
    struct rig r = {0};
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), ==, 0);
    listen_to(&r, pair[1]);
    g_assert_cmpint(write(pair[0], "xxxxxxxxxxxxxxxxxxxx", 20), ==, 20);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    g_assert_cmpuint(said(log, "echo: its process has lost its keeper"), ==, 1);
    outer_free(r.outer);
    close(pair[0]);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* keepers come back to us */
    g_test_add_func("/outer/frames", test_frames);
    g_test_add_func("/outer/fenced", test_fenced);
    g_test_add_func("/outer/end-dies", test_end_dies);
    g_test_add_func("/outer/not-there", test_not_there);
    g_test_add_func("/outer/once", test_once);
    g_test_add_func("/outer/vm-dies", test_vm_dies);
    g_test_add_func("/outer/vm-talks", test_vm_talks);
    g_test_add_func("/outer/line-lies", test_line_lies);
    return g_test_run();
}
