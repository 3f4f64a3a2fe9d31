// SPDX-License-Identifier: GPL-2.0-or-later
/* test_paths.c - names, folders and locks of machines. */
#include "core-vmm/host/paths.h"
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void names(void)
{
    static const char *const good[] = {"demo", "Windows 11", "a", "1", "x-y_z.2", "Büro", "日本"};
    static const char *const bad[] = {"",     ".",    "..",   ".hidden", "a/b",   "-x",     " x",    "x ",
                                      "a\nb", "a\tb", "\xff", "a:b",     "a\x7f", "new;rm", "$HOME", "_x"};
    for (unsigned i = 0; i < G_N_ELEMENTS(good); i++)
        g_assert_true(vm_name_check(good[i], NULL));
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_test_message("%s", bad[i]);
        g_assert_false(vm_name_check(bad[i], NULL));
    }
    g_autofree char *longest = g_strnfill(64, 'x'), *longer = g_strnfill(65, 'x');
    g_assert_true(vm_name_check(longest, NULL));
    g_assert_false(vm_name_check(longer, NULL));
}

/* The runtime folder is never one that somebody else could have prepared. */
static void runtime_is_private(void)
{
    g_autofree char *base = g_dir_make_tmp("terrarium-XXXXXX", NULL),
                    *open_to_all = g_build_filename(base, "terrarium", NULL);
    g_autoptr(GError) error = NULL;
    g_setenv("XDG_RUNTIME_DIR", base, TRUE);
    g_assert_cmpint(g_mkdir(open_to_all, 0700), ==, 0);
    g_assert_cmpint(g_chmod(open_to_all, 0777), ==, 0);
    g_assert_null(paths_runtime(&error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED);
    g_rmdir(open_to_all);
    g_assert_cmpint(symlink("/tmp", open_to_all), ==, 0);
    g_assert_null(paths_runtime(NULL));
    g_unlink(open_to_all);
    g_autofree char *made = paths_runtime(NULL);
    struct stat st;
    g_assert_cmpstr(made, ==, open_to_all);
    g_assert_true(!stat(made, &st) && (st.st_mode & 0777) == 0700);
    g_assert_true(folder_remove(base, NULL));
}

static void lock_keeps_out(void)
{
    g_autofree char *folder = g_dir_make_tmp("terrarium-XXXXXX", NULL);
    g_autoptr(GError) error = NULL;
    pid_t holder;
    g_assert_cmpint(machine_lock_holder(folder), ==, 0);
    int fd = machine_lock(folder, &holder, NULL);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(machine_lock_holder(folder), ==, getpid());
    g_assert_cmpint(machine_lock(folder, &holder, &error), ==, -1);
    g_assert_cmpint(holder, ==, getpid());
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_BUSY);
    close(fd);
    g_assert_cmpint(machine_lock_holder(folder), ==, 0);
    g_assert_true(folder_remove(folder, NULL));
}

/* kill -9 leaves neither lock nor socket in the way. */
static void killed_holder(void)
{
    g_autofree char *folder = g_dir_make_tmp("terrarium-XXXXXX", NULL),
                    *path = g_build_filename(folder, "control", NULL);
    int told[2];
    char byte;
    pid_t holder;
    g_assert_cmpint(pipe(told), ==, 0);
    pid_t child = fork();
    if (!child) {
        bool good = machine_lock(folder, &holder, NULL) >= 0 && socket_listen(path, NULL) >= 0;
        _exit(write(told[1], good ? "y" : "n", 1) == 1 && pause());
    }
    g_assert_cmpint(read(told[0], &byte, 1), ==, 1);
    g_assert_cmpint(byte, ==, 'y');
    g_assert_cmpint(machine_lock_holder(folder), ==, child);
    g_autoptr(GError) live = NULL;
    g_assert_cmpint(socket_listen(path, &live), ==, -1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    int lock = machine_lock(folder, &holder, NULL), listening = socket_listen(path, NULL);
    g_assert_true(lock >= 0 && listening >= 0);
    close(lock);
    close(listening);
    close(told[0]);
    close(told[1]);
    g_assert_true(folder_remove(folder, NULL));
}

static void long_socket_paths(void)
{
    g_autofree char *base = g_dir_make_tmp("terrarium-XXXXXX", NULL), *deep = g_strnfill(100, 'd');
    g_autofree char *folder = g_build_filename(base, deep, deep, NULL),
                    *path = g_build_filename(folder, "control", NULL);
    g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
    int listening = socket_listen(path, NULL), fd = socket_connect(path, NULL);
    g_assert_true(listening >= 0 && fd >= 0);
    close(fd);
    close(listening);
    g_assert_cmpint(socket_connect(path, NULL), ==, -1);
    g_assert_true(folder_remove(base, NULL));
}

/* A file of the user that happens to have the socket's name is not ours to delete. */
static void files_are_kept(void)
{
    g_autofree char *base = g_dir_make_tmp("terrarium-XXXXXX", NULL), *path = g_build_filename(base, "control", NULL);
    g_assert_true(g_file_set_contents(path, "precious", -1, NULL));
    g_assert_cmpint(socket_listen(path, NULL), ==, -1);
    g_assert_true(g_file_test(path, G_FILE_TEST_IS_REGULAR));
    g_assert_true(folder_remove(base, NULL));
}

static void removal_follows_no_link(void)
{
    g_autofree char *base = g_dir_make_tmp("terrarium-XXXXXX", NULL), *keep = g_build_filename(base, "keep", NULL);
    g_autofree char *file = g_build_filename(keep, "file", NULL), *gone = g_build_filename(base, "gone", NULL);
    g_autofree char *link = g_build_filename(gone, "link", NULL);
    g_assert_cmpint(g_mkdir(keep, 0700) | g_mkdir(gone, 0700) | symlink(keep, link), ==, 0);
    g_assert_true(g_file_set_contents(file, "x", -1, NULL));
    g_assert_true(folder_remove(gone, NULL));
    g_assert_true(g_file_test(file, G_FILE_TEST_EXISTS) && !g_file_test(gone, G_FILE_TEST_EXISTS));
    g_assert_true(folder_remove(base, NULL));
}

static void only_files_are_replaced(void)
{
    g_autofree char *base = g_dir_make_tmp("terrarium-XXXXXX", NULL), *pipe = g_build_filename(base, "pipe", NULL),
                    *file = g_build_filename(base, "file", NULL), *got = NULL;
    g_autoptr(GError) error = NULL;
    struct stat st;
    g_assert_cmpint(mkfifo(pipe, 0600), ==, 0);
    g_assert_false(file_replace(pipe, "x", 1, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_NOT_REGULAR_FILE);
    g_assert_true(!stat(pipe, &st) && S_ISFIFO(st.st_mode));
    g_assert_true(file_replace(file, "x", 1, NULL) && file_replace(file, "y", 1, NULL));
    g_assert_true(g_file_get_contents(file, &got, NULL, NULL));
    g_assert_cmpstr(got, ==, "y");
    g_assert_true(folder_remove(base, NULL));
}

static void logs_rotate(void)
{
    g_autofree char *base = g_dir_make_tmp("terrarium-XXXXXX", NULL), *log = paths_log(base),
                    *logs = g_path_get_dirname(log);
    g_assert_cmpint(g_mkdir(logs, 0700), ==, 0);
    for (int i = 0; i < LOG_KEEP + 3; i++) {
        g_autofree char *text = g_strdup_printf("%d", i);
        log_rotate(log);
        g_assert_true(g_file_set_contents(log, text, -1, NULL));
    }
    for (int i = 1; i <= LOG_KEEP; i++) {
        g_autofree char *path = g_strdup_printf("%s.%d", log, i), *text = NULL;
        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        g_assert_cmpint(atoi(text), ==, LOG_KEEP + 2 - i);
    }
    g_autofree char *beyond = g_strdup_printf("%s.%d", log, LOG_KEEP + 1);
    g_assert_false(g_file_test(beyond, G_FILE_TEST_EXISTS));
    g_assert_true(folder_remove(base, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/paths/names", names);
    g_test_add_func("/paths/runtime-is-private", runtime_is_private);
    g_test_add_func("/paths/lock-keeps-out", lock_keeps_out);
    g_test_add_func("/paths/killed-holder", killed_holder);
    g_test_add_func("/paths/long-socket-paths", long_socket_paths);
    g_test_add_func("/paths/files-are-kept", files_are_kept);
    g_test_add_func("/paths/removal-follows-no-link", removal_follows_no_link);
    g_test_add_func("/paths/only-files-are-replaced", only_files_are_replaced);
    g_test_add_func("/paths/logs-rotate", logs_rotate);
    return g_test_run();
}
