// SPDX-License-Identifier: GPL-2.0-or-later
/* end_settings.c - see end_settings.h. */
#include "core-vmm/outer/end_settings.h"
#include <errno.h>
#include <gio/gio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SETTINGS_MOST = 1 << 20 };

int end_settings_new(GKeyFile *settings, GError **error)
{
    gsize n;
    g_autofree char *text = g_key_file_to_data(settings, &n, NULL);
    int fd = memfd_create("terrarium-settings", MFD_CLOEXEC);
    if (fd >= 0 && write(fd, text, n) == (ssize_t)n)
        return fd;
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "no memory for the settings of a process: %s",
                g_strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

GKeyFile *end_settings_read(int fd, GError **error)
{
    struct stat st;
    if (fstat(fd, &st) || st.st_size > SETTINGS_MOST) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "the settings of the process cannot be read");
        return NULL;
    }
    g_autofree char *text = g_malloc(st.st_size + 1);
    ssize_t n = pread(fd, text, st.st_size, 0);
    g_autoptr(GKeyFile) settings = g_key_file_new();
    return g_key_file_load_from_data(settings, text, MAX(n, 0), G_KEY_FILE_NONE, error) ? g_steal_pointer(&settings)
                                                                                        : NULL;
}

void end_settings_write(int fd, GKeyFile *settings)
{
    gsize n;
    g_autofree char *text = g_key_file_to_data(settings, &n, NULL);
    if (pwrite(fd, text, n, 0) != (ssize_t)n || ftruncate(fd, n))
        g_warning("what has changed will not outlast this process: %s", g_strerror(errno));
}
