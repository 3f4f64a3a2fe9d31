// SPDX-License-Identifier: GPL-2.0-or-later
/* test_detect.c - the library of media in a program with many threads, and without waiting, as the manager uses it. */
#include "core-vmm/install/medium.h"
#include <glib/gstdio.h>
#include <string.h>

enum { SECTOR_BYTES = 2048, THREADS = 6, TIMES = 5 };

/* An ISO with nothing in it but a name; g_free, and remove it. */
static char *make_iso(const char *volume)
{
    char *path = g_build_filename(g_get_tmp_dir(), "terrarium-detect-XXXXXX", NULL);
    g_autofree uint8_t *data = g_malloc0(24 * SECTOR_BYTES);
    uint8_t *d = data + 16 * SECTOR_BYTES;
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(g_close(g_mkstemp(path), NULL), ==, TRUE);
    memcpy(d, "\1CD001\1", 7);
    memset(d + 40, ' ', 32);
    memcpy(d + 40, volume, strlen(volume));
    d[156] = 34;
    d[158] = 20;
    d[156 + 25] = 2;
    memcpy(d + SECTOR_BYTES,
           "\xff"
           "CD001\1",
           7);
    g_file_set_contents(path, (char *)data, 24 * SECTOR_BYTES, &error);
    g_assert_no_error(error);
    return path;
}

static gpointer detect_often(gpointer path)
{
    for (unsigned i = 0; i < TIMES; i++) {
        g_autoptr(GError) error = NULL;
        struct medium *m = medium_detect(path, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(m->id, ==, "archlinux");
        g_assert_cmpstr(m->os, ==, "linux");
        medium_free(m);
    }
    return NULL;
}

static void threads(void)
{
    g_autofree char *path = make_iso("ARCH_202401");
    GThread *t[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        t[i] = g_thread_new("detect", detect_often, path);
    for (unsigned i = 0; i < THREADS; i++)
        g_thread_join(t[i]);
    g_remove(path);
}

struct answer {
    GMainLoop *loop;
    struct medium *m;
    GError *error;
};

static void answered(GObject *source, GAsyncResult *result, gpointer data)
{
    struct answer *a = data;
    a->m = medium_detect_finish(result, &a->error);
    g_main_loop_quit(a->loop);
}

/* cancel: NULL, or one that has been set already. */
static struct answer ask(const char *path, GCancellable *cancel)
{
    struct answer a = {.loop = g_main_loop_new(NULL, FALSE)};
    medium_detect_async(path, cancel, answered, &a);
    g_assert_null(a.m); /* it does not wait */
    g_main_loop_run(a.loop);
    g_main_loop_unref(a.loop);
    return a;
}

static void without_waiting(void)
{
    g_autofree char *path = make_iso("FREEDOS");
    struct answer a = ask(path, NULL);
    g_assert_no_error(a.error);
    g_assert_cmpstr(a.m->id, ==, "freedos");
    g_assert_cmpint(a.m->kind, ==, MEDIUM_INSTALLER);
    medium_free(a.m);
    g_remove(path);
    a = ask(path, NULL);
    g_assert_error(a.error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
    g_clear_error(&a.error);
}

static void cancelled(void)
{
    g_autofree char *path = make_iso("FREEDOS");
    g_autoptr(GCancellable) cancel = g_cancellable_new();
    g_cancellable_cancel(cancel);
    struct answer a = ask(path, cancel);
    g_assert_error(a.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    g_clear_error(&a.error);
    g_remove(path);
}

/* One that was taken over by what it reads: it writes more than it may (but not without end, should nobody stop it). */
static void too_much(void)
{
    g_autofree char *path = make_iso("FREEDOS"), *script = g_strconcat(path, ".sh", NULL),
                    *to = g_strconcat(path, ".out", NULL);
    g_autofree char *was = g_strdup(g_getenv("TERRARIUM_LOOK"));
    g_autoptr(GError) error = NULL;
    g_file_set_contents(script, "#!/bin/sh\nexec head -c 3000000 /dev/zero\n", -1, &error);
    g_assert_no_error(error);
    g_assert_cmpint(g_chmod(script, 0700), ==, 0);
    g_setenv("TERRARIUM_LOOK", script, TRUE);
    g_assert_false(medium_extract(path, "x", to, 100000, &error));
    g_assert_nonnull(error);
    g_assert_false(g_file_test(to, G_FILE_TEST_EXISTS));
    g_clear_error(&error);
    g_assert_null(medium_detect(path, &error));
    g_assert_nonnull(error);
    if (was)
        g_setenv("TERRARIUM_LOOK", was, TRUE);
    g_remove(path);
    g_remove(script);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/medium/too-much", too_much); /* before there are threads: it changes the environment */
    g_test_add_func("/medium/threads", threads);
    g_test_add_func("/medium/without-waiting", without_waiting);
    g_test_add_func("/medium/cancelled", cancelled);
    return g_test_run();
}
