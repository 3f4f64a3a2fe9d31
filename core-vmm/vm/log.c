// SPDX-License-Identifier: GPL-2.0-or-later
/* log.c - the machine's log file, bounded in size, and stderr led into it. */
#include "core-vmm/vm/log.h"
#include "core-vmm/base/log_line.h"
#include "core-vmm/host/paths.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define LOG_BYTES_MAX (8 << 20)
#define LOG_SLACK     (1 << 20) /* what may come until the loop has put the full log away */

struct log {
    GMutex lock;
    char *folder;
    int fd;
    size_t bytes;
    bool full; /* the loop thread will put it away */
    bool loud;
    bool takes_stderr; /* nobody else reads it */
};

static int open_file(const char *folder)
{
    g_autofree char *path = paths_log(folder);
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* What goes to stderr are last words: the C library's, a fault handler's (patcher/host_fault.c). */
static bool nobody_reads_stderr(void)
{
    struct stat s;
    return fstat(STDERR_FILENO, &s) || (S_ISCHR(s.st_mode) && s.st_rdev == makedev(1, 3)); /* /dev/null */
}

static void opened(struct log *l, int fd)
{
    l->fd = fd;
    if (l->takes_stderr && fd >= 0 && dup2(fd, STDERR_FILENO) < 0)
        l->takes_stderr = false;
}

/* On the loop thread: the others may open and rename nothing. */
static gboolean put_away(gpointer data)
{
    struct log *l = data;
    g_autofree char *path = paths_log(l->folder);
    log_rotate(path);
    int fd = open_file(l->folder);
    g_mutex_lock(&l->lock);
    if (l->fd >= 0)
        close(l->fd);
    opened(l, fd);
    l->bytes = 0;
    l->full = false;
    g_mutex_unlock(&l->lock);
    return G_SOURCE_REMOVE;
}

static void write_line(struct log *l, const char *line)
{
    size_t n = strlen(line);
    g_mutex_lock(&l->lock);
    bool now_full = !l->full && l->bytes + n > LOG_BYTES_MAX;
    l->full = l->full || now_full;
    if (l->fd >= 0 && l->bytes + n <= LOG_BYTES_MAX + LOG_SLACK && write(l->fd, line, n) == (ssize_t)n)
        l->bytes += n;
    g_mutex_unlock(&l->lock);
    if (now_full)
        g_idle_add(put_away, l);
}

static GLogWriterOutput writer(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer data)
{
    struct log *l = data;
    bool serious = level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING);
    g_autofree char *line = log_line(level, fields, n);
    if (line)
        write_line(l, line);
    if (serious && l->loud)
        g_printerr("terrarium-vm: %s\n", log_message(fields, n));
    return G_LOG_WRITER_HANDLED;
}

bool log_open(const char *folder, bool loud, GError **error)
{
    g_autofree char *path = paths_log(folder), *parent = g_path_get_dirname(path), *debug = paths_debug_log(folder);
    log_rotate(path);
    log_rotate(debug);
    int fd = g_mkdir_with_parents(parent, 0700) ? -1 : open_file(folder);
    if (fd < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s", path, g_strerror(errno));
        return false;
    }
    struct log *l = g_new0(struct log, 1);
    *l = (struct log){.folder = g_strdup(folder), .loud = loud, .takes_stderr = nobody_reads_stderr()};
    opened(l, fd);
    g_mutex_init(&l->lock);
    g_log_set_writer_func(writer, l, NULL);
    return true;
}
