// SPDX-License-Identifier: GPL-2.0-or-later
/* test_sweeper.c - a saved state whose name must be gone before the guest runs. */
#include "core-vmm/vm/jail.h"
#include <errno.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder with the state in it and a link that leads to itself. */
static char *begin(struct sweeping *s, const char *name)
{
    char *folder = g_dir_make_tmp("terrarium-test-XXXXXX", NULL);
    g_autofree char *state = g_build_filename(folder, "saved.state", NULL),
                    *loop = g_build_filename(folder, "loop", NULL);
    g_assert_true(g_file_set_contents(state, "x", 1, NULL));
    g_assert_cmpint(symlink("loop", loop), ==, 0);
    g_assert_cmpint(lstat(state, &s->file), ==, 0);
    s->state = g_build_filename(folder, name, NULL);
    return folder;
}

static void end(const struct sweeping *s, char *folder)
{
    for (const char *const *n = (const char *const[]){"saved.state", "loop", NULL}; *n; n++) {
        g_autofree char *path = g_build_filename(folder, *n, NULL);
        g_unlink(path);
    }
    g_rmdir(folder);
    g_free((char *)s->state);
    g_free(folder);
}

static void removed(void)
{
    struct sweeping s = {0};
    char *folder = begin(&s, "saved.state");
    g_assert_true(sweeper_remove_state(&s, NULL));
    g_assert_false(g_file_test(s.state, G_FILE_TEST_EXISTS));
    g_assert_true(sweeper_remove_state(&s, NULL)); /* gone already */
    end(&s, folder);
}

static void another(void)
{
    struct sweeping s = {0};
    char *folder = begin(&s, "saved.state");
    s.file.st_ino++;
    g_assert_true(sweeper_remove_state(&s, NULL));
    g_assert_true(g_file_test(s.state, G_FILE_TEST_EXISTS));
    end(&s, folder);
}

static void cannot_look(void)
{
    struct sweeping s = {0};
    g_autoptr(GError) error = NULL;
    char *folder = begin(&s, "loop/saved.state");
    g_assert_false(sweeper_remove_state(&s, &error));
    g_assert_error(error, G_IO_ERROR, (int)g_io_error_from_errno(ELOOP));
    end(&s, folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sweeper/removed", removed);
    g_test_add_func("/sweeper/another", another);
    g_test_add_func("/sweeper/cannot-look", cannot_look);
    return g_test_run();
}
