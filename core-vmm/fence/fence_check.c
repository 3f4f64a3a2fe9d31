// SPDX-License-Identifier: GPL-2.0-or-later
/* fence_check.c - asking the kernel whether every thread of this process is fenced (proc(5), status). */
#include "core-vmm/fence/fence.h"
#include <dirent.h>
#include <errno.h>
#include <gio/gio.h>
#include <string.h>

static bool has_line(const char *status, const char *name, int value)
{
    g_autofree char *line = g_strdup_printf("\n%s:\t%d\n", name, value);
    return strstr(status, line);
}

static bool thread_holds(const char *tid, GError **error)
{
    g_autofree char *path = g_strdup_printf("/proc/self/task/%s/status", tid), *status = NULL;
    if (!g_file_get_contents(path, &status, NULL, NULL))
        return true;                          /* it has ended */
    bool old = !strstr(status, "\nSeccomp:"); /* a kernel without: fence_calls_close() has said so */
    if (old || (has_line(status, "NoNewPrivs", 1) && has_line(status, "Seccomp", 2)))
        return true;
    g_autofree char *first = g_strndup(status, strcspn(status, "\n"));
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED,
                "a thread of this process is outside of its fence (%s, %s); this is a bug, --no-jail runs without", tid,
                first);
    return false;
}

/* Calls fn for each thread; how many there are, -1: it cannot be seen. */
static int each_thread(bool (*fn)(const char *tid, GError **error), bool *good, GError **error)
{
    DIR *d = opendir("/proc/self/task");
    int n = 0;
    if (!d) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
                    "/proc/self/task: %s; whether all threads are fenced "
                    "cannot be told",
                    g_strerror(errno));
        return -1;
    }
    for (struct dirent *e; (e = readdir(d));)
        if (g_ascii_isdigit(e->d_name[0])) {
            n++;
            *good = *good && (!fn || fn(e->d_name, error));
        }
    closedir(d);
    return n;
}

bool fence_holds(GError **error)
{
    bool good = true;
    return each_thread(thread_holds, &good, error) > 0 && good;
}

bool fence_alone(GError **error)
{
    bool good = true;
    int n = each_thread(NULL, &good, error);
    if (n > 1)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED,
                    "%d threads are there before the fence, which would not hold for all of them; this is a bug", n);
    return n == 1;
}
