// SPDX-License-Identifier: GPL-2.0-or-later
/* client_media.c - opening a file here and handing its descriptor to the VM process as a medium. */
#include "core-vmm/control/answer.h"
#include "core-vmm/control/client.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE_MS 30000

/* Floppies, and sticks that are said by name: of anything else the VM process gets a descriptor that cannot be written to. */
static bool is_written(JsonObject *listed, const char *drive)
{
    JsonArray *drives = answer_array(listed, "drives");
    for (unsigned i = 0; i < answer_count(drives); i++) {
        JsonObject *o = answer_element(drives, i);
        const char *media = answer_text(o, "media", "");
        if (drive ? !strcmp(answer_text(o, "drive", ""), drive) : answer_flag(o, "removable"))
            return !strcmp(media, "floppy") || (drive && g_str_has_prefix(drive, "usb") && !strcmp(media, "disk"));
    }
    return false;
}

/* A file that may only be read becomes a write-protected medium. */
static int open_medium(const char *path, bool write, GError **error)
{
    struct stat st;
    bool device = !stat(path, &st) && S_ISBLK(st.st_mode); /* which shall look for a disc; but a pipe must not block */
    int flags = O_CLOEXEC | O_NOCTTY | (device ? 0 : O_NONBLOCK);
    int fd = write ? open(path, O_RDWR | flags) : -1;
    if (fd < 0 && (!write || errno == EACCES || errno == EPERM || errno == EROFS))
        fd = open(path, O_RDONLY | flags);
    if (fd < 0)
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "cannot open %s: %s", path, g_strerror(errno));
    return fd;
}

bool client_insert(struct client *c, const char *file, const char *drive, const char *format, bool readonly,
                   GError **error)
{
    g_autofree char *full = g_canonicalize_filename(file, NULL);
    JsonObject *listed = client_call(c, "media.list", NULL, PATIENCE_MS, error);
    if (!listed)
        return false;
    int fd = open_medium(full, !readonly && is_written(listed, drive), error);
    json_object_unref(listed);
    if (fd < 0)
        return false;
    JsonObject *args = json_object_new();
    json_object_set_string_member(args, "file", full);
    if (drive)
        json_object_set_string_member(args, "drive", drive);
    if (format)
        json_object_set_string_member(args, "format", format);
    json_object_set_boolean_member(args, "readonly", readonly);
    JsonObject *result = client_call_fds(c, "media.insert", args, &fd, 1, NULL, NULL, PATIENCE_MS, error);
    close(fd);
    if (!result)
        return false;
    json_object_unref(result);
    return true;
}
