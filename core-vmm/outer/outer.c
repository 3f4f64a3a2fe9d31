// SPDX-License-Identifier: GPL-2.0-or-later
/* outer.c - the VM process' side: sockets of ends that come and go. */
#include "core-vmm/outer/outer.h"
#include "core-vmm/outer/line.h"
#include "core-vmm/outer/fd_pass.h"
#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct end {
    const char *name;
    struct outer_events events;
    bool up;
    int waiting; /* a socket that came before anybody listened; -1 */
};
struct outer {
    int line;
    unsigned count;
    GSource *source;
    struct end end[OUTER_ENDS_MAX];
};

static void went_up(struct end *e, int fd)
{
    if (!e->events.up) {
        if (e->waiting >= 0)
            close(e->waiting);
        e->waiting = fd;
        return;
    }
    g_message("%s: its process is there", e->name);
    e->up = true;
    e->events.up(e->events.ctx, fd);
}

static void went_down(struct end *e, const char *why)
{
    if (e->waiting >= 0)
        close(e->waiting);
    e->waiting = -1;
    if (e->name)
        g_warning("%s: its process %s", e->name, why);
    if (e->up)
        e->events.down(e->events.ctx);
    e->up = false;
}

static char *reason(uint32_t status)
{
    return WIFSIGNALED(status) ? g_strdup_printf("was ended by signal %d", WTERMSIG(status))
                               : g_strdup_printf("ended with exit code %d", WEXITSTATUS(status));
}

static gboolean on_line(int line, GIOCondition condition, gpointer data)
{
    struct outer *o = data;
    struct line_news news;
    int fd;
    ssize_t n = fd_receive(line, &news, sizeof news, &fd, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    if (n == sizeof news && news.end < o->count) {
        g_autofree char *why = news.up ? NULL : reason(news.status);
        if (news.up && fd >= 0 && g_unix_set_fd_nonblocking(fd, TRUE, NULL))
            went_up(&o->end[news.end], fd);
        else if (!news.up)
            went_down(&o->end[news.end], why);
        return G_SOURCE_CONTINUE;
    }
    for (unsigned i = 0; i < o->count; i++)
        went_down(&o->end[i], "has lost its keeper, and will not come back");
    return G_SOURCE_REMOVE;
}

struct outer *outer_new(int line, unsigned ends)
{
    struct outer *o = g_new0(struct outer, 1);
    o->line = line;
    o->count = ends;
    for (unsigned i = 0; i < ends; i++)
        o->end[i].waiting = -1;
    o->source = g_unix_fd_source_new(line, G_IO_IN);
    g_source_set_callback(o->source, G_SOURCE_FUNC(on_line), o, NULL);
    g_source_attach(o->source, NULL);
    return o;
}

void outer_listen(struct outer *o, unsigned end, const char *name, const struct outer_events *e)
{
    struct end *which = &o->end[end];
    int fd = which->waiting;
    which->name = name;
    which->events = *e;
    which->waiting = -1;
    if (fd >= 0)
        went_up(which, fd);
}

void outer_free(struct outer *o)
{
    if (!o)
        return;
    g_source_destroy(o->source);
    g_source_unref(o->source);
    for (unsigned i = 0; i < o->count; i++)
        if (o->end[i].waiting >= 0)
            close(o->end[i].waiting);
    close(o->line);
    g_free(o);
}
