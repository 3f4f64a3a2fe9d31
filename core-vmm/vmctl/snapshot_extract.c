// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshot_extract.c - vmctl snapshot extract. */
#include "core-vmm/host/snapshots.h"
#include "core-vmm/vmctl/verbs.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int snapshot_extract(const char *name, const char *which, const char *drive, const char *path, const char *out)
{
    g_autoptr(GError) error = NULL;
    bool own = strcmp(out, "-");
    int fd = own ? open(out, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return fail(EXIT_CODE_FAILED, "%s: %s", out, g_strerror(errno));
    bool good = snapshots_extract(name, which, drive, path, fd, &error);
    if (close(fd) && good) {
        g_set_error(&error, G_FILE_ERROR, g_file_error_from_errno(errno), "%s: %s", out, g_strerror(errno));
        good = false;
    }
    if (own && !good)
        unlink(out);
    return good ? EXIT_CODE_OK : fail_error(error);
}
