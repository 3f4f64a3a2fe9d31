// SPDX-License-Identifier: GPL-2.0-or-later
/* client_save.c - a machine's state into a file: made here, with the user's rights, and written by the VM process, which
 * may make no files. */
#include "core-vmm/control/client.h"
#include "core-vmm/host/paths.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* The new name, on stable storage. */
static bool publish(const char *fresh, const char *path, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && !rename(fresh, path) && !fsync(fd);
    if (!good)
        path_failed(path, error);
    if (fd >= 0)
        close(fd);
    return good;
}

bool client_save(struct client *c, const char *file, GError **error)
{
    g_autofree char *path = g_canonicalize_filename(file, NULL), *fresh = g_strconcat(path, ".XXXXXX", NULL);
    int fd = g_mkstemp_full(fresh, O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return path_failed(path, error);
    JsonObject *result = client_call_fds(c, "debug.save", NULL, &fd, 1, NULL, NULL, -1, error);
    close(fd);
    bool good = result && publish(fresh, path, error);
    if (result)
        json_object_unref(result);
    if (!good)
        unlink(fresh);
    return good;
}
