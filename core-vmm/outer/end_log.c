// SPDX-License-Identifier: GPL-2.0-or-later
/* end_log.c - the log file of a process around a VM, which it was given open and can neither rename nor open again: when it is
 * full, its older half goes.  Guests and networks cause most of what is in it, so only so many lines a second are written. */
#include "core-vmm/outer/end_log.h"
#include "core-vmm/base/log_line.h"
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BYTES_MOST = 1 << 20, KEPT = BYTES_MOST / 2, LINES_A_SECOND = 20 };

struct log {
    int fd; /* -1: it cannot be written to any more */
    off_t bytes;
    gint64 second;
    unsigned lines, left_out; /* of that second; since one was written */
};

static void append(struct log *l, const char *text, size_t bytes)
{
    ssize_t n = write(l->fd, text, bytes);
    l->bytes += MAX(n, 0);
}

/* What stays begins with a whole line. */
static void halve(struct log *l)
{
    g_autofree char *half = g_malloc(KEPT);
    ssize_t n = pread(l->fd, half, KEPT, l->bytes - KEPT);
    const char *end = n > 0 ? memchr(half, '\n', (size_t)n) : NULL;
    if (ftruncate(l->fd, 0)) {
        l->fd = -1;
        return;
    }
    l->bytes = 0;
    if (end)
        append(l, end + 1, (size_t)(half + n - (end + 1)));
}

static bool may_write(struct log *l)
{
    gint64 second = g_get_monotonic_time() / G_USEC_PER_SEC;
    if (second != l->second)
        l->lines = 0;
    l->second = second;
    return l->lines++ < LINES_A_SECOND;
}

static void write_line(struct log *l, const char *line)
{
    size_t n = strlen(line);
    if (l->bytes + (off_t)n > BYTES_MOST)
        halve(l);
    if (l->left_out) {
        g_autofree char *gap = g_strdup_printf("... %u lines were left out\n", l->left_out);
        append(l, gap, strlen(gap));
    }
    l->left_out = 0;
    append(l, line, n);
}

static GLogWriterOutput writer(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer data)
{
    struct log *l = data;
    g_autofree char *line = log_line(level, fields, n);
    if (line && l->fd >= 0 && may_write(l))
        write_line(l, line);
    else
        l->left_out += line != NULL;
    return G_LOG_WRITER_HANDLED;
}

void end_log_start(int fd)
{
    struct stat st;
    if (fd < 0 || fstat(fd, &st))
        return;
    struct log *l = g_new0(struct log, 1);
    *l = (struct log){.fd = fd, .bytes = st.st_size};
    g_log_set_writer_func(writer, l, NULL);
}
