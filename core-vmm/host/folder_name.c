// SPDX-License-Identifier: GPL-2.0-or-later
/* folder_name.c - see folder_name.h. */
#include "core-vmm/host/folder_name.h"
#include <limits.h>
#include <string.h>

char *folder_name_of(GKeyFile *file, const char *section)
{
    g_autofree char *said = g_key_file_get_string(file, section, "name", NULL);
    g_autofree char *path = g_key_file_get_string(file, section, "path", NULL);
    if (said && *said)
        return g_steal_pointer(&said);
    return path && *path ? g_path_get_basename(path) : NULL;
}

bool folder_name_fits(const char *name)
{
    return *name && strcmp(name, ".") && strcmp(name, "..") && !strchr(name, '/') && strlen(name) <= NAME_MAX;
}
