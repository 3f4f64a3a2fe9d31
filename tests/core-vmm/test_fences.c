// SPDX-License-Identifier: GPL-2.0-or-later
/* The library of the fence by itself; what processes do inside is tested by test_fence.py. */
#include "core-vmm/fence/fence.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static gpointer idle(gpointer data)
{
    g_usleep(60 * G_USEC_PER_SEC);
    return NULL;
}

/* ---- a second thread ---- */

static void alone_inner(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(fence_alone(&error));
    g_thread_new("early", idle, NULL);
    g_assert_false(fence_alone(&error));
    g_assert_nonnull(strstr(error->message, "2 threads"));
}

static void test_alone(void)
{
    g_test_trap_subprocess("/fences/alone/subprocess/inner", 0, 0);
    g_test_trap_assert_passed();
}

/* A filter for one thread only, as if the one for all had been forgotten. */
static void holds_inner(void)
{
    g_autoptr(GError) error = NULL;
    struct fence_filters *f = fence_filters_new(&error);
    g_assert_no_error(error);
    g_assert_false(fence_holds(NULL));
    g_thread_new("early", idle, NULL);
    g_assert_true(fence_thread(f, FENCE_LOOP, &error));
    g_assert_false(fence_holds(&error));
    g_assert_nonnull(strstr(error->message, "outside of its fence"));
}

static void test_holds(void)
{
    g_test_trap_subprocess("/fences/holds/subprocess/inner", 0, 0);
    g_test_trap_assert_passed();
}

/* ---- a child ---- */

struct trial {
    char *folder, *allowed, *hidden;
};

static void say(int to, const char *what, bool did)
{
    g_autofree char *line = g_strdup_printf("%s %s\n", what, did ? "done" : g_strerror(errno));
    g_assert_cmpint(write(to, line, strlen(line)), ==, strlen(line));
}

static int try(void *ctx, int answer)
{
    const struct trial *t = ctx;
    say(answer, "read", open(t->allowed, O_RDONLY) >= 0);
    say(answer, "write", open(t->allowed, O_WRONLY) >= 0);
    say(answer, "hidden", open(t->hidden, O_RDONLY) >= 0);
    say(answer, "process", open("/proc/1/cmdline", O_RDONLY) >= 0);
    say(answer, "fork", fork() >= 0);
    return 7;
}

static int crash(void *ctx, int answer)
{
    say(answer, "\033[2Jescape", true);
    abort();
}

static void trial_new(struct trial *t)
{
    t->folder = g_dir_make_tmp("terrarium-fences-XXXXXX", NULL);
    t->allowed = g_build_filename(t->folder, "a.img", NULL);
    t->hidden = g_build_filename(t->folder, ".secret", NULL);
    g_assert_true(g_file_set_contents(t->allowed, "image", -1, NULL) &&
                  g_file_set_contents(t->hidden, "key", -1, NULL));
}

static void trial_free(struct trial *t)
{
    unlink(t->allowed);
    unlink(t->hidden);
    rmdir(t->folder);
    g_free(t->allowed);
    g_free(t->hidden);
    g_free(t->folder);
}

static void test_child(void)
{
    struct trial t;
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) answer = NULL;
    trial_new(&t);
    struct fence_files *files = fence_files_new();
    fence_allow_beside(files, t.allowed, FENCE_READ);
    const struct fence_job job = {FENCE_LOOK, files, try, &t, 60};
    g_assert_cmpint(fence_run(&job, &answer, &error), ==, 7);
    g_assert_no_error(error);
    gsize n;
    const char *text = g_bytes_get_data(answer, &n);
    g_autofree char *said = g_strndup(text, n);
    g_assert_nonnull(strstr(said, "fork Operation not permitted\n"));
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 1)
        g_test_skip("this kernel has no Landlock");
    else
        g_assert_cmpstr(said, ==,
                        "read done\nwrite Permission denied\nhidden Permission denied\nprocess Permission denied\n"
                        "fork Operation not permitted\n");
    trial_free(&t);
}

/* What a child said before something ended it is kept, and fit to be shown. */
static void test_crash(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) answer = NULL;
    const struct fence_job job = {FENCE_LOOK, fence_files_new(), crash, NULL, 60};
    int code = fence_run(&job, &answer, &error);
    g_assert_cmpint(code, >, 128);
    gsize n;
    const char *text = g_bytes_get_data(answer, &n);
    g_autofree char *shown = fence_text(text, n);
    g_assert_cmpstr(shown, ==, "?[2Jescape done?");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fences/alone", test_alone);
    g_test_add_func("/fences/alone/subprocess/inner", alone_inner);
    g_test_add_func("/fences/holds", test_holds);
    g_test_add_func("/fences/holds/subprocess/inner", holds_inner);
    g_test_add_func("/fences/child", test_child);
    g_test_add_func("/fences/crash", test_crash);
    return g_test_run();
}
