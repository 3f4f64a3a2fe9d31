// SPDX-License-Identifier: GPL-2.0-or-later
/* remembered.c - see remembered.h. */
#include "gui/manager/remembered.h"
#include <glib.h>

#define GROUP "window"

static char *path(void)
{
    return g_build_filename(g_get_user_config_dir(), "terrarium", "manager.ini", NULL);
}

static GKeyFile *load(void)
{
    GKeyFile *file = g_key_file_new();
    g_autofree char *from = path();
    g_key_file_load_from_file(file, from, G_KEY_FILE_KEEP_COMMENTS, NULL);
    return file;
}

static void store(GKeyFile *file)
{
    g_autofree char *to = path(), *folder = g_path_get_dirname(to);
    g_mkdir_with_parents(folder, 0700);
    g_key_file_save_to_file(file, to, NULL);
}

char *remembered_text(const char *key, const char *otherwise)
{
    g_autoptr(GKeyFile) file = load();
    char *value = g_key_file_get_string(file, GROUP, key, NULL);
    return value ? value : g_strdup(otherwise);
}

char **remembered_texts(const char *key)
{
    g_autoptr(GKeyFile) file = load();
    return g_key_file_get_string_list(file, GROUP, key, NULL, NULL);
}

int remembered_number(const char *key, int low, int high, int otherwise)
{
    g_autoptr(GKeyFile) file = load();
    int value = g_key_file_get_integer(file, GROUP, key, NULL);
    return value >= low && value <= high ? value : otherwise;
}

void remember_text(const char *key, const char *value)
{
    g_autoptr(GKeyFile) file = load();
    g_key_file_set_string(file, GROUP, key, value);
    store(file);
}

void remember_texts(const char *key, const char *const *values, unsigned n)
{
    g_autoptr(GKeyFile) file = load();
    g_key_file_set_string_list(file, GROUP, key, values, n);
    store(file);
}

void remember_number(const char *key, int value)
{
    g_autoptr(GKeyFile) file = load();
    g_key_file_set_integer(file, GROUP, key, value);
    store(file);
}
