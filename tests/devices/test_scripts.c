// SPDX-License-Identifier: GPL-2.0-or-later
/* Runs every script of the folder given as the first argument (scripts/), each as one test. */
#include "tests/devices/script.h"

static void run(const void *path)
{
    g_autofree char *problem = script_run(path);
    if (problem) {
        g_test_message("%s", problem);
        g_printerr("%s\n", problem);
        g_test_fail();
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions(); /* a script that fails does not stop the others */
    g_autoptr(GDir) dir = g_dir_open(argc > 1 ? argv[1] : "scripts", 0, NULL);
    if (!dir)
        g_error("usage: test-device-scripts FOLDER");
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    for (const char *name; (name = g_dir_read_name(dir));)
        if (g_str_has_suffix(name, ".txt")) {
            g_autofree char *base = g_strndup(name, strlen(name) - 4), *test = g_strconcat("/devices/", base, NULL);
            g_ptr_array_add(paths, g_build_filename(argv[1], name, NULL));
            g_test_add_data_func(test, paths->pdata[paths->len - 1], run);
        }
    return g_test_run();
}
