// SPDX-License-Identifier: GPL-2.0-or-later
/* Shared folders in machine.ini: which may be, how they are opened, and several that are added at once. */
#include "core-vmm/control/client_folder.h"
#include "core-vmm/host/config_error.h"
#include "core-vmm/host/machine_folders.h"
#include "core-vmm/host/machines.h"
#include "core-vmm/host/paths.h"
#include <glib/gstdio.h>
#include <unistd.h>

#define assert_refused(call, domain, code)                                                                             \
    G_STMT_START                                                                                                       \
    {                                                                                                                  \
        g_autoptr(GError) refused_ = NULL;                                                                             \
        GError **error = &refused_;                                                                                    \
        g_assert_true(!(call));                                                                                        \
        g_assert_error(refused_, domain, code);                                                                        \
        g_test_message("%s", refused_->message);                                                                       \
    }                                                                                                                  \
    G_STMT_END

static void create(void)
{
    struct settings s = {0};
    GError *error = NULL;
    g_assert_true(machines_create("m", &s, &error));
    g_assert_no_error(error);
    settings_clear(&s);
}

static void delete (void)
{
    g_autofree char *folder = paths_machine("m");
    g_assert_true(folder_remove(folder, NULL));
}

static bool shares(const char *path, const char *name, bool read_only, GError **error)
{
    unsigned number;
    return folder_share("m", &(struct folder_settings){.path = path, .name = name, .read_only = read_only}, &number,
                        error);
}

static char *folder_key(const char *section, const char *key)
{
    g_autoptr(GKeyFile) file = machines_settings("m", NULL);
    return g_key_file_get_string(file, section, key, NULL);
}

/* A guest that can change what is around a folder, or an image, would choose what the next start opens. */
static void folders_in_folders(void)
{
    create();
    g_autofree char *base = g_dir_make_tmp("folders-XXXXXX", NULL), *outer = g_build_filename(base, "outer", NULL);
    g_autofree char *inner = g_build_filename(outer, "inner", NULL), *link = g_build_filename(base, "link", NULL);
    g_autofree char *disk = g_strdup_printf("floppy0.file=%s/disk.img", inner), *own = paths_machine("m");
    char *sets[] = {disk, NULL}, *gone[] = {"floppy0", NULL};
    enum settings_count count;
    g_assert_cmpint(g_mkdir_with_parents(inner, 0700) | symlink(outer, link), ==, 0);
    g_assert_true(shares(inner, NULL, false, NULL));
    assert_refused(shares(outer, NULL, false, error), CONFIG_ERROR, CONFIG_VALUE);
    assert_refused(shares(link, NULL, false, error), CONFIG_ERROR, CONFIG_VALUE);
    assert_refused(shares(own, NULL, false, error), CONFIG_ERROR, CONFIG_VALUE);
    g_assert_true(shares(inner, "again", false, NULL) && shares(link, NULL, true, NULL));
    g_autofree char *path = folder_key("folder3", "path"), *name = folder_key("folder3", "name");
    g_assert_cmpstr(path, ==, outer);
    g_assert_cmpstr(name, ==, "link");
    assert_refused(machines_change("m", sets, NULL, &count, error), CONFIG_ERROR, CONFIG_VALUE);
    g_assert_true(folder_unshare("m", "inner", NULL) && folder_unshare("m", "again", NULL));
    g_assert_true(machines_change("m", sets, NULL, &count, NULL)); /* in one that the guest only reads */
    assert_refused(shares(inner, NULL, false, error), CONFIG_ERROR, CONFIG_VALUE);
    g_assert_true(machines_change("m", NULL, gone, &count, NULL));
    g_assert_true(folder_remove(base, NULL));
    delete ();
}

/* What was a folder when it was added is a link by the next start. */
static void folder_becomes_link(void)
{
    create();
    g_autofree char *base = g_dir_make_tmp("folders-XXXXXX", NULL), *path = g_build_filename(base, "a", NULL);
    g_autofree char *folder = machines_folder("m"), *ini = machines_ini("m");
    g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
    g_assert_true(shares(path, NULL, false, NULL));
    g_autoptr(GKeyFile) file = machines_settings("m", NULL);
    const struct config c = {file, ini, "folder1"};
    g_autofree char *logs = g_build_filename(folder, "logs", NULL);
    g_mkdir(logs, 0700);
    struct machine_folder m = {.count = 0};
    g_assert_true(machine_folder_prepare(&m, &c, folder, NULL));
    machine_folder_done(&m);
    g_assert_cmpint(g_rmdir(path) | symlink("/", path), ==, 0);
    assert_refused(machine_folder_prepare(&m, &c, folder, error), G_IO_ERROR, G_IO_ERROR_TOO_MANY_LINKS);
    machine_folder_done(&m);
    g_assert_true(folder_remove(base, NULL));
    delete ();
}

static gpointer share_one(gpointer path)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(folder_keep("m", &(struct folder_settings){.path = path}, &error));
    return NULL;
}

/* All at once: each has a section of its own in the end. */
static void folders_at_once(void)
{
    GThread *thread[9];
    char *path[9];
    create();
    g_autofree char *base = g_dir_make_tmp("folders-XXXXXX", NULL);
    for (unsigned i = 0; i < 9; i++) {
        path[i] = g_strdup_printf("%s/%u", base, i);
        g_assert_cmpint(g_mkdir(path[i], 0700), ==, 0);
    }
    for (unsigned i = 0; i < 9; i++)
        thread[i] = g_thread_new("share", share_one, path[i]);
    for (unsigned i = 0; i < 9; i++)
        g_thread_join(thread[i]);
    for (unsigned i = 0; i < 9; i++) {
        g_autofree char *section = g_strdup_printf("folder%u", i + 1), *said = folder_key(section, "path");
        g_assert_nonnull(said);
        g_free(path[i]);
    }
    g_assert_true(folder_remove(base, NULL));
    delete ();
}

/* Of the program only its name is needed. */
int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_autofree char *base = g_dir_make_tmp("terrarium-shares-XXXXXX", NULL);
    g_autofree char *data = g_build_filename(base, "data", NULL), *run = g_build_filename(base, "run", NULL);
    g_autofree char *program = g_build_filename(base, "terrarium-folder", NULL);
    g_assert_true(!g_mkdir(data, 0700) && !g_mkdir(run, 0700));
    g_assert_true(g_file_set_contents_full(program, "", -1, G_FILE_SET_CONTENTS_NONE, 0700, NULL));
    g_setenv("XDG_DATA_HOME", data, TRUE);
    g_setenv("XDG_RUNTIME_DIR", run, TRUE);
    g_setenv("PATH", base, TRUE);
    g_test_add_func("/shares/in-shares", folders_in_folders);
    g_test_add_func("/shares/become-links", folder_becomes_link);
    g_test_add_func("/shares/at-once", folders_at_once);
    int code = g_test_run();
    folder_remove(base, NULL);
    return code;
}
