// SPDX-License-Identifier: GPL-2.0-or-later
/* path_lies.c - see path_lies.h. */
#include "core-vmm/host/path_lies.h"
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#define LINKS_MAX 40 /* as the kernel follows */

bool path_begins(const char *path, const char *folder)
{
    size_t n = strcmp(folder, "/") ? strlen(folder) : 0;
    return !strncmp(path, folder, n) && (!path[n] || path[n] == '/');
}

/* What a link says, as seen from the link's own folder; NULL: it is none. */
static char *link_target(const char *path)
{
    g_autofree char *target = g_file_read_link(path, NULL), *folder = g_path_get_dirname(path);
    return !target || g_path_is_absolute(target) ? g_steal_pointer(&target) : g_build_filename(folder, target, NULL);
}

/* The name itself, whatever it leads to. */
static bool name_lies_in(const char *name, const char *folder)
{
    g_autofree char *in = g_path_get_dirname(name), *real = realpath(in, NULL);
    return real && path_begins(real, folder);
}

bool path_lies_in(const char *path, const char *folder)
{
    bool lies = false;
    char *name = g_strdup(path);
    for (unsigned i = 0; i < LINKS_MAX && name; i++) {
        char *next = link_target(name);
        lies = lies || name_lies_in(name, folder);
        g_free(name);
        name = next;
    }
    g_free(name);
    return lies;
}
